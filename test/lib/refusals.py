"""What a refused call looks like to boto3: exception class, code, HTTP status and message.

    with refused(route53, "NoSuchHostedZone", 404, "No hosted zone found with ID: Z1"):
        route53.get_hosted_zone(Id="Z1")
"""

import contextlib
import re

import botocore.exceptions
import pytest


@contextlib.contextmanager
def refused(client, code, status=400, message=None):
    """The block's call fails with the class that the client has for the code. message: all of it, or a pattern."""
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        yield raised
    check_refusal(client, raised.value, code, status, message)


def check_refusal(client, error, code, status, message):
    answer = error.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), str(error)
    assert type(error) is client.exceptions.from_code(code)
    if isinstance(message, re.Pattern):
        assert message.search(text_of(error)), text_of(error)
    elif message is not None:
        assert text_of(error) == message
    assert re.fullmatch(r"[0-9a-f-]{36}", answer["ResponseMetadata"]["RequestId"])


def text_of(error):
    """The sentence; InvalidChangeBatch keeps its own in a list."""
    return error.response["Error"].get("Message") or ", ".join(error.response.get("messages", []))
