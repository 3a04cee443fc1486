"""Signature Version 4 against botocore: what botocore signs must be accepted, and with any one part of it changed it must
be refused. Requests are random; a failure prints its seed.

The verifier runs as build/src/aws/aws_verify (src/aws/test/verify.c), one process for all cases.
"""

import copy
import datetime
import json
import os
import random
import subprocess
import urllib.parse
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LEEWARD_BUILD", ROOT / "build"))
SEED = int(os.environ.get("LEEWARD_SEED", "20261121"))
ROUNDS = int(os.environ.get("LEEWARD_ROUNDS", "400"))
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
LETTERS = "abcXYZ019-._~ /+&=%?:;,@!$'()*[]|\"<>\\^`{}#\u00e9\u1234"

pytestmark = pytest.mark.sanitized


@pytest.fixture(scope="module")
def verify():
    process = subprocess.Popen([BUILD / "src/aws/aws_verify"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)

    def ask(case):
        process.stdin.write(json.dumps(case) + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()
    yield ask
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def word(chance, low=0, high=12):
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(low, high)))


def random_path(chance, service):
    segments = [chance.choice(["", ".", "..", word(chance), word(chance)]) for _ in range(chance.randint(0, 5))]
    if service == "s3":
        segments = [segment for segment in segments if segment not in (".", "..")]
    return "/" + "/".join(urllib.parse.quote(segment, safe="-._~") for segment in segments)


def random_query(chance):
    pairs = [(word(chance, 1), word(chance)) for _ in range(chance.randint(0, 6))]
    if pairs and chance.random() < 0.3:
        pairs.append((pairs[0][0], word(chance)))  # a name twice
    chance.shuffle(pairs)
    return "&".join(f"{urllib.parse.quote(name, safe='-._~')}={urllib.parse.quote(value, safe='-._~')}"
                    for name, value in pairs)


def random_request(chance, service):
    method = chance.choice(["GET", "POST", "PUT", "DELETE"])
    headers = {}
    for _ in range(chance.randint(0, 4)):
        name = chance.choice(["X-Amz-Thing", "Content-Type", "My-Header", "X-Custom", "X-Amz-Meta-Long"])
        headers[name] = chance.choice(["", " ", "\t"]) + "  ".join(
            "".join(chance.choice("abc\"',=-") for _ in range(chance.randint(1, 6))) for _ in range(3)) + " "
    query = random_query(chance)
    path = random_path(chance, service)
    url = "http://127.0.0.1:4566" + path + ("?" + query if query else "")
    body = word(chance, 0, 40) if method != "GET" else ""
    return botocore.awsrequest.AWSRequest(method=method, url=url, headers=headers, data=body.encode())


def as_case(request, host="127.0.0.1:4566"):
    parts = urllib.parse.urlsplit(request.url)
    headers = [["Host", host]] + [[name, value] for name, value in request.headers.items() if name.lower() != "host"]
    return {"method": request.method, "path": parts.path or "/", "query": parts.query, "headers": headers,
            "body": request.data.decode() if isinstance(request.data, bytes) else request.data,
            "secret": SECRET, "now": datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")}


def sign(request, service, presigned, token):
    credentials = botocore.credentials.Credentials("AKIDEXAMPLE", SECRET, token)
    if presigned:
        request.data = b""  # botocore would move a body into the query
        signer = botocore.auth.S3SigV4QueryAuth if service == "s3" else botocore.auth.SigV4QueryAuth
        signer(credentials, service, "eu-west-1", expires=300).add_auth(request)
    else:
        signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
        signer(credentials, service, "eu-west-1").add_auth(request)
    return request


def mutations(case, chance):
    """The same request with one part changed."""
    for key, value in (("method", "PATCH"), ("path", case["path"] + "x"),
                       ("query", case["query"] + ("&" if case["query"] else "") + "extra=1"),
                       ("secret", SECRET[:-1] + "Z")):
        yield key, {**copy.deepcopy(case), key: value}
    yield "body", {**copy.deepcopy(case), "body": case["body"] + "x"}
    for index, (name, value) in enumerate(case["headers"]):
        if name.lower() in ("host", "authorization") or name.lower().startswith("x-amz-"):
            changed = copy.deepcopy(case)
            at = chance.randrange(len(value.strip()))
            old = value.strip()
            changed["headers"][index][1] = old[:at] + ("0" if old[at] != "0" else "1") + old[at + 1:]
            yield name, changed
            dropped = copy.deepcopy(case)
            del dropped["headers"][index]
            yield "no " + name, dropped
    yield "new header", {**copy.deepcopy(case), "headers": case["headers"] + [["x-amz-new", "1"]]}
    later = datetime.datetime.utcnow() + datetime.timedelta(minutes=6)
    yield "late", {**copy.deepcopy(case), "now": later.strftime("%Y%m%dT%H%M%SZ")}
    earlier = datetime.datetime.utcnow() - datetime.timedelta(minutes=6)
    yield "early", {**copy.deepcopy(case), "now": earlier.strftime("%Y%m%dT%H%M%SZ")}
    pieces = case["query"].split("&")
    for index, piece in enumerate(pieces):
        if piece.startswith("X-Amz-"):
            name, _, value = piece.partition("=")
            fresh = pieces.copy()
            fresh[index] = f"{name}={value[:-1]}{'1' if value[-1] != '1' else '2'}"
            yield name, {**copy.deepcopy(case), "query": "&".join(fresh)}
            yield "no " + name, {**copy.deepcopy(case), "query": "&".join(pieces[:index] + pieces[index + 1:])}


@pytest.mark.parametrize("presigned", [False, True], ids=["header", "presigned"])
@pytest.mark.parametrize("service", ["route53", "s3", "execute-api"])
def test_what_botocore_signs_is_accepted(verify, service, presigned):
    chance = random.Random(f"{SEED}{service}{presigned}")
    for turn in range(ROUNDS):
        request = random_request(chance, service)
        token = chance.choice([None, "session/token+=="])
        case = as_case(sign(request, service, presigned, token))
        assert verify(case) == "ok", (SEED, turn, case)


@pytest.mark.parametrize("presigned", [False, True], ids=["header", "presigned"])
def test_no_part_can_be_changed(verify, presigned):
    chance = random.Random(f"{SEED}{presigned}")
    for turn in range(max(ROUNDS // 10, 1)):
        case = as_case(sign(random_request(chance, "route53"), "route53", presigned, None))
        assert verify(case) == "ok", (SEED, turn, case)
        for name, changed in mutations(case, chance):
            assert verify(changed) not in ("ok", "", "BadLine"), (SEED, turn, name, changed)


def test_a_space_may_be_a_plus_in_a_query(verify):
    request = botocore.awsrequest.AWSRequest(method="GET", url="http://127.0.0.1:4566/?a=b%20c", headers={})
    case = as_case(sign(request, "route53", False, None))
    case["query"] = "a=b+c"
    assert verify(case) == "ok"


def test_the_body_of_a_presigned_s3_request_is_for_tls(verify):
    request = botocore.awsrequest.AWSRequest(method="PUT", url="http://127.0.0.1:4566/bucket/key", headers={})
    case = {**as_case(sign(request, "s3", True, None)), "body": "body"}
    assert verify(case) == "InvalidRequest"
    assert verify({**case, "tls": True}) == "ok"
