"""Traffic policy documents that are wrong in every way: each gets one clear error, and the daemon goes on."""

import json

import botocore.exceptions
import pytest

from leeward import Daemon
from process import wait_for
from questions import ask, data
from traffic import document

GOOD = document("a", {"a": "192.0.2.1"})
LARGEST = 102400


def changed(**members):
    return json.dumps({**json.loads(GOOD), **members})


def items(*references, kind="weighted"):
    return {"RuleType": kind, "Items": [{"Weight": 1, **reference} if kind == "weighted" else reference
                                        for reference in references]}


def chain(length):
    """Rules one below the other, the last over an endpoint."""
    rules = {f"r{n}": items({"RuleReference": f"r{n + 1}"}) for n in range(length - 1)}
    return document("r0", {"a": "192.0.2.1"}, {**rules, f"r{length - 1}": items({"EndpointReference": "a"})})


def lattice(width):
    """16 layers, each of whose references lead to the next: width to the power of 16 ways through, and few record sets."""
    rules = {f"r{n}": items(*[{"RuleReference": f"r{n + 1}"}] * width) for n in range(15)}
    return document("r0", {"a": "192.0.2.1"}, {**rules, "r15": items(*[{"EndpointReference": "a"}] * width)})


def circle(length):
    return document("r0", {"a": "192.0.2.1"}, {f"r{n}": items({"RuleReference": f"r{(n + 1) % length}"})
                                               for n in range(length)})


def rule(**members):
    return document("r", {"a": "192.0.2.1"}, {"r": {**items({"EndpointReference": "a"}), **members}})


def item(**members):
    return document("r", {"a": "192.0.2.1"}, {"r": items({"EndpointReference": "a", **members})})


WRONG = [
    ("", "expected near end of file"),
    ("null", "expected near 'null'"),
    ("[]", "it is not a JSON object"),
    ("[" * 50000 + "]" * 50000, "maximum parsing depth"),
    ("[" * LARGEST, "maximum parsing depth"),
    ('{"a":' * 10000 + "1" + "}" * 10000, "maximum parsing depth"),
    (changed(Endpoints={"a": json.loads('{"a":' * 900 + "1" + "}" * 900)}), "endpoint 'a' cannot have a member 'a'"),
    ('{"RecordType":"A","RecordType":"A"}', "duplicate object key"),
    ('{"\\u0000":1}', "NUL byte"),
    ('{"\\ud800":1}', "invalid Unicode"),
    (changed(StartEndpoint=10 ** 40), "too big integer"),
    (circle(1), "rule 'r0' leads back to itself"),
    (circle(3), "rule 'r0' leads back to itself"),
    (circle(400), "more than 16 rules below one another"),
    (chain(17), "more than 16 rules below one another"),
    (lattice(63), "more than 1000 references"),
    (document("r", {"a": "192.0.2.1"}, {"r": items(*[{"EndpointReference": "a"}] * 101)}), "must have 1 to 100 Items"),
    (document("r", {"a": "192.0.2.1"}, {"r": items(*[{"EndpointReference": "a"}] * 201, kind="multivalue")}),
     "must have 1 to 200 Items"),
    (changed(AWSPolicyFormatVersion=2015), "AWSPolicyFormatVersion must be a string"),
    (changed(AWSPolicyFormatVersion="2015-10-02"), 'must be "2015-10-01" or "2023-05-09"'),
    (changed(RecordType=["A"]), "RecordType must be a string"),
    (changed(RecordType="SOA"), "RecordType 'SOA'"),
    (changed(StartEndpoint=None), "StartEndpoint must be a string"),
    (changed(Endpoints=[]), "Endpoints is not an object"),
    (changed(Endpoints={"a": 1}), "endpoint 'a' is not an object"),
    (changed(Endpoints={"": {}}), "an id in Endpoints does not have 1 to 255 characters"),
    (changed(Endpoints={"a" * 256: {}}), "an id in Endpoints does not have 1 to 255 characters"),
    (changed(Endpoints={"a": {"Type": "value", "Value": ["192.0.2.1"]}}), "Value must be a string"),
    (changed(Endpoints={"a": {"Type": "value", "Value": "192.0.2.1\n"}}), "not a valid IPv4 address"),
    (changed(Rules=1), "Rules is not an object"),
    (changed(Rules={"r": None}), "rule 'r' is not an object"),
    (rule(RuleType={}), "rule 'r'"),
    (rule(Items={}), "must have 1 to 100 Items"),
    (rule(Items=[None]), "rule 'r', Items 1 is not an object"),
    (rule(Primary={}), "cannot have a member 'Primary'"),
    (item(RuleReference=1), "RuleReference must be a string"),
    (item(RuleReference="r"), "either an EndpointReference or a RuleReference"),
    (item(HealthCheck=[]), "HealthCheck must be a string"),
    (item(Weight=None), "Weight must be a whole number"),
    (item(Weight=1.5), "Weight must be a whole number"),
    (item(EvaluateTargetHealth=1), "EvaluateTargetHealth must be true or false"),
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    running = Daemon(tmp_path_factory.mktemp("hostile")).start()
    yield running
    running.stop()


def create(daemon, text, name="hostile"):
    return daemon.client("route53").create_traffic_policy(Name=name, Document=text)["TrafficPolicy"]


def refused(daemon, text):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        create(daemon, text)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.mark.parametrize("text, words", WRONG, ids=[words for _, words in WRONG])
def test_a_document_that_is_wrong_is_refused_with_the_reason(daemon, text, words):
    code, message = refused(daemon, text)
    assert code == "InvalidTrafficPolicyDocument"
    assert message.startswith("The traffic policy document is not valid: ") and words in message, message
    assert len(message) < 1200


@pytest.mark.parametrize("letter", ["\u00e9", "\u20ac", "\U0001f600"])
def test_the_error_is_readable_wherever_it_cuts_the_document(daemon, letter):
    for length in range(1, 40):
        code, message = refused(daemon, changed(**{"a" * (length % 4) + letter * length: 1}))
        assert code == "InvalidTrafficPolicyDocument" and "cannot have a member" in message
    code, message = refused(daemon, changed(RecordType=letter * 1000))
    assert code == "InvalidTrafficPolicyDocument" and letter in message


def test_the_size_of_a_document_has_a_bound(daemon):
    text = GOOD + " " * (LARGEST - len(GOOD))
    assert len(create(daemon, text, "largest")["Document"]) == LARGEST
    for size in (1, 1000000):
        code, message = refused(daemon, text + " " * size)
        assert code == "InvalidInput"
        assert message.endswith("at 'document' failed to satisfy constraint: Member must have length less than or "
                                f"equal to {LARGEST}")
    quotes = '{"' + '\\"' * ((LARGEST - 6) // 2) + '":1}'  # the largest that it can be on the wire
    assert refused(daemon, quotes)[0] == "InvalidTrafficPolicyDocument"


def test_the_deepest_and_the_widest_document_are_answered(daemon):
    route53 = daemon.client("route53")
    zone = daemon.create_zone("example.com")
    full = document("top", {"a": "192.0.2.1"}, {
        "top": items(*[{"RuleReference": f"r{n}"} for n in range(9)]),
        **{f"r{n}": items(*[{"EndpointReference": "a"}] * 100) for n in range(9)}})
    for name, text in (("deep", chain(16)), ("lattice", lattice(60)), ("full", full)):
        policy = create(daemon, text, name)
        made = route53.create_traffic_policy_instance(
            HostedZoneId=zone, Name=f"{name}.example.com", TTL=1, TrafficPolicyId=policy["Id"],
            TrafficPolicyVersion=1)["TrafficPolicyInstance"]

        def answered():
            seen = data(ask(daemon.dns, f"{name}.example.com"))
            assert seen == ["192.0.2.1"], seen
            return True
        wait_for(answered, 10, f"{name} is answered")
        route53.delete_traffic_policy_instance(Id=made["Id"])
    assert [r["Type"] for r in route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]] == ["NS", "SOA"]
    route53.delete_hosted_zone(Id=zone)
