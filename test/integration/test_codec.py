"""The codec against botocore: what botocore serializes, the codec must read, and what the codec writes, botocore must
parse, for every listed operation and every protocol. Inputs and outputs are random but valid; a failure prints its seed.

The codec runs as build/src/aws/codec_convert (src/aws/test/convert.c), one process for all cases.
"""

import base64
import datetime
import io
import json
import os
import random
import re
import subprocess
import urllib.parse
import warnings
from pathlib import Path

import botocore.awsrequest
import botocore.compat
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import sre_constants
    import sre_parse

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LEEWARD_BUILD", ROOT / "build"))
LISTS = [ROOT / "src/aws/operations.list", ROOT / "src/aws/test/operations.list"]
OVERLAY = ROOT / "src/aws/overlay"
SEED = int(os.environ.get("LEEWARD_SEED", "20261121"))
ROUNDS = int(os.environ.get("LEEWARD_ROUNDS", "30"))
DEPTH = 6  # nested structures of a random value

pytestmark = pytest.mark.sanitized


def listed():
    pairs = []
    for path in LISTS:
        for line in path.read_text().splitlines():
            words = line.split("#")[0].split()
            if words:
                pairs.append((words[0], words[1]))
    return pairs


OPERATIONS = listed()


def merge(base, addition):
    for key, value in addition.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        elif isinstance(value, list) and isinstance(base.get(key), list):
            base[key] = base[key] + [item for item in value if item not in base[key]]
        else:
            base[key] = value


MODELS = {}
LOADER = botocore.loaders.Loader(include_default_extras=False)  # extras never reach the wire


def service_model(name):
    """The model as tools/generate-aws sees it: botocore's, with our overlays."""
    if name not in MODELS:
        try:
            model = json.loads(json.dumps(LOADER.load_service_model(name, "service-2")))
        except botocore.exceptions.UnknownServiceError:
            model = {}
        for path in sorted((OVERLAY / name).glob("*.json")):
            merge(model, json.loads(path.read_text()))
        MODELS[name] = botocore.model.ServiceModel(model, name)
    return MODELS[name]


@pytest.fixture(scope="module")
def codec():
    with subprocess.Popen([BUILD / "src/aws/codec_convert"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        def ask(**line):
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, f"codec_convert ended: {process.wait()}"
            return json.loads(answer)
        yield ask
        process.stdin.close()
        assert process.wait() == 0


# --- random values


class Unable(Exception):
    """No value could be made for a shape."""


def text_of_pattern(pattern, rng):
    """A string that a Python regular expression matches; only what the models use."""
    out = []
    for operator, argument in pattern:
        if operator is sre_constants.LITERAL:
            out.append(chr(argument))
        elif operator is sre_constants.ANY:
            out.append(rng.choice("ab-Z9"))
        elif operator is sre_constants.IN:
            out.append(chr(choose_in(argument, rng)))
        elif operator is sre_constants.NOT_LITERAL:
            out.append("x" if argument != ord("x") else "y")
        elif operator in (sre_constants.MAX_REPEAT, sre_constants.MIN_REPEAT):
            low, high, inner = argument
            for _ in range(rng.randint(low, max(low, min(high, low + rng.choice([1, 8, 40]))))):
                out.append(text_of_pattern(inner, rng))
        elif operator is sre_constants.SUBPATTERN:
            out.append(text_of_pattern(argument[3], rng))
        elif operator is sre_constants.BRANCH:
            out.append(text_of_pattern(rng.choice(argument[1]), rng))
        elif operator in (sre_constants.AT, sre_constants.ASSERT, sre_constants.ASSERT_NOT):
            pass  # checked afterwards
        else:
            raise Unable(str(operator))
    return "".join(out)


def choose_in(items, rng):
    if items[0][0] is sre_constants.NEGATE:
        return ord(rng.choice([c for c in "abcXYZ019-_" if not in_set(items[1:], ord(c))] or ["~"]))
    operator, argument = rng.choice(items)
    if operator is sre_constants.LITERAL:
        return argument
    if operator is sre_constants.RANGE:
        return rng.randint(argument[0], argument[1])
    return ord(rng.choice({sre_constants.CATEGORY_DIGIT: "0189", sre_constants.CATEGORY_WORD: "aZ_9",
                           sre_constants.CATEGORY_SPACE: " \t"}.get(argument, "aZ-+")))


def in_set(items, character):
    return any((operator is sre_constants.LITERAL and argument == character)
               or (operator is sre_constants.RANGE and argument[0] <= character <= argument[1])
               for operator, argument in items)


def acceptable(text, where):
    """Whether XML and HTTP can carry it at all."""
    if any(ord(c) < 32 and c not in "\t\n" or 0xD800 <= ord(c) < 0xE000 or c in "\x7f\ufffe\uffff" for c in text):
        return False
    if where in ("header", "headers"):
        return text == text.strip() and text.isascii() and "\n" not in text and "\t" not in text and "," not in text
    return not (where == "uri" and text == "")


ALPHABETS = ["abcdefghijklmnopqrstuvwxyz", "ABCxyz0189-_.", "<&>\"'/ %+=;:?#[]{}\\", "äß中🌍é"]


def random_text(shape, rng, where):
    low = shape.metadata.get("min", 0)
    high = shape.metadata.get("max", low + 60)
    pattern = shape.metadata.get("pattern")
    if shape.enum:
        return rng.choice(shape.enum)
    if pattern:  # Python has no such classes; what stands here for them is part of them
        for java, python in (("L", "a-zA-Z"), ("Z", " "), ("N", "0-9")):
            pattern = pattern.replace(r"\p{%s}" % java, python)
        pattern = pattern.replace(r"\p{ASCII}", "[ -~]")  # stands alone where it is used
    try:
        parsed = sre_parse.parse(pattern) if pattern else None
        check = re.compile(pattern, re.ASCII) if pattern else None
    except (re.error, OverflowError):
        raise Unable(pattern) from None
    for _ in range(400):
        if parsed is not None:
            text = text_of_pattern(parsed, rng)
        else:
            length = rng.randint(max(low, 1), max(low, 1, min(high, low + rng.choice([1, 20, 60]))))
            alphabet = rng.choice(ALPHABETS[:2]) if where in ("header", "headers") else "".join(ALPHABETS)
            text = "".join(rng.choice(alphabet) for _ in range(length))
        units = len(text.encode("utf-16-le")) // 2
        if low <= units <= high and acceptable(text, where) and (not check or check.fullmatch(text)):
            return text
    raise Unable(f"{shape.name}: {pattern}")


def random_number(shape, rng):
    low = shape.metadata.get("min", -2**31)
    high = shape.metadata.get("max", 2**31 - 1)
    if shape.type_name in ("float", "double"):
        return rng.choice([float(low), float(high), rng.uniform(low, high), (low + high) / 3.0])
    if shape.type_name == "integer":
        low, high = max(low, -2**31), min(high, 2**31 - 1)
    return rng.choice([int(low), int(high), rng.randint(int(low), int(high))])


def random_time(rng, millis):
    when = datetime.datetime.fromtimestamp(rng.randint(0, 4_000_000_000), datetime.timezone.utc)
    return when.replace(microsecond=rng.choice([0, 123000, 1000, 999000]) if millis else 0)


def random_structure(shape, rng, depth, millis):
    out = {}
    members = list(shape.members.items())
    if getattr(shape, "is_tagged_union", False):
        members = [rng.choice(members)]
    for name, member in members:
        required = name in shape.required_members or getattr(shape, "is_tagged_union", False)
        if not required and (depth >= DEPTH or rng.random() < 0.3 * (1 + depth / 2)):
            continue
        if member.serialization.get("eventstream") or getattr(member, "is_document_type", False):
            continue
        try:
            out[name] = random_value(member, rng, depth + 1, millis, member.serialization.get("location"))
        except Unable:
            if required:
                raise
    if not out and members:  # query cannot tell an empty structure from none
        name, member = min(members, key=lambda pair: pair[1].type_name in ("structure", "list", "map"))
        out[name] = random_value(member, rng, depth + 1, millis, member.serialization.get("location"))
    return out


def random_value(shape, rng, depth=0, millis=False, where=None):
    kind = shape.type_name
    if depth > DEPTH + 4:
        raise Unable("too deep")
    if kind == "structure":
        return random_structure(shape, rng, depth, millis)
    if kind in ("list", "map"):
        low = max(1, shape.metadata.get("min", 1))
        count = rng.randint(low, max(low, min(shape.metadata.get("max", low + 3), low + 3)))
        if kind == "list":
            return [random_value(shape.member, rng, depth + 1, millis, where) for _ in range(count)]
        where = "headers" if where == "headers" else None
        pairs = [(random_value(shape.key, rng, depth + 1, millis, where),
                  random_value(shape.value, rng, depth + 1, millis, where)) for _ in range(count)]
        return {key.lower() if where == "headers" else key: value for key, value in pairs}  # headers have no case
    if kind in ("string", "character"):
        return random_text(shape, rng, where)
    if kind in ("integer", "long", "float", "double"):
        return random_number(shape, rng)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "timestamp":
        return random_time(rng, millis)
    assert kind == "blob", kind
    low = shape.metadata.get("min", 0)
    return rng.randbytes(rng.randint(max(low, 1), max(low, 1) + 40))


# --- comparison


def as_tree(value):
    """As the codec's trees: ISO 8601, base64."""
    if isinstance(value, dict):
        return {key: as_tree(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_tree(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        value = value.astimezone(datetime.timezone.utc)
        millis = f".{value.microsecond // 1000:03d}" if value.microsecond else ""
        return value.strftime("%Y-%m-%dT%H:%M:%S") + millis + "Z"
    return value


def pruned(value):
    """Without empty lists, maps and structures: most wire formats do not tell them from absent ones."""
    if isinstance(value, dict):
        out = {key: pruned(inner) for key, inner in value.items()}
        return {key: inner for key, inner in out.items() if inner not in ({}, [])}
    if isinstance(value, list):
        return [pruned(inner) for inner in value]
    return value


def seeds(service, operation):
    for number in range(ROUNDS):
        yield f"{SEED}/{service}/{operation}/{number}"


def raw_request(model, operation, parameters):
    """What botocore would put on the wire, as codec_convert reads it."""
    serializer = botocore.serialize.create_serializer(model.metadata["protocol"], include_validation=False)
    request = serializer.serialize_to_request(parameters, operation)
    botocore.awsrequest.prepare_request_dict(request, endpoint_url="http://127.0.0.1:4566")
    prepared = botocore.awsrequest.create_request_object(request).prepare()
    url = urllib.parse.urlsplit(prepared.url)
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else body
    headers = {name: value.decode() if isinstance(value, bytes) else str(value)
               for name, value in prepared.headers.items()}
    return {"signing": model.metadata.get("signingName", model.metadata["endpointPrefix"]), "method": prepared.method,
            "path": url.path, "query": url.query, "headers": headers, "body": base64.b64encode(body).decode()}


def response_of(answer):
    body = base64.b64decode(answer["body"])
    return {"status_code": answer["status"], "headers": botocore.compat.HTTPHeaders.from_dict(answer["headers"]),
            "body": body}


def parse(model, answer, shape, streaming=False):
    parser = botocore.parsers.create_parser(model.metadata["protocol"])
    response = response_of(answer)
    if streaming:
        response["body"] = io.BytesIO(response["body"])
    parsed = parser.parse(response, shape)
    return {name: value.read() if isinstance(value, io.BytesIO) else value for name, value in parsed.items()}


@pytest.mark.parametrize("service,name", OPERATIONS)
def test_what_botocore_serializes_is_decoded(codec, service, name):
    model = service_model(service)
    operation = model.operation_model(name)
    made = 0
    for seed in seeds(service, name):
        rng = random.Random(seed)
        try:
            parameters = random_value(operation.input_shape, rng) if operation.input_shape else {}
        except Unable:
            continue
        answer = codec(decode=raw_request(model, operation, parameters))
        assert "tree" in answer, (seed, parameters, answer, base64.b64decode(answer.get("body", "")))
        assert answer["operation"] == name, seed
        if "ContentLength" not in parameters:
            answer["tree"].pop("ContentLength", None)  # S3's own name for the header
        assert pruned(answer["tree"]) == pruned(as_tree(parameters)), seed
        made += 1
    assert made, "no valid input could be made"


@pytest.mark.parametrize("service,name", OPERATIONS)
def test_what_is_encoded_botocore_parses(codec, service, name):
    model = service_model(service)
    operation = model.operation_model(name)
    shape = operation.output_shape
    made = 0
    for seed in seeds(service, name):
        rng = random.Random(seed)
        try:
            output = random_value(shape, rng, millis=True) if shape else {}
        except Unable:
            continue
        for member_name, member in (shape.members.items() if shape else ()):
            where = member.serialization.get("location")
            if where == "statusCode" and member_name in output:
                output[member_name] = 202
            if where == "header" and isinstance(output.get(member_name), datetime.datetime):
                output[member_name] = output[member_name].replace(microsecond=0)
        answer = codec(encode={"service": service, "operation": name, "tree": as_tree(output)})
        assert "failed" not in answer, (seed, output, answer)
        assert 200 <= answer["status"] < 300, seed
        parsed = parse(model, answer, shape, operation.has_streaming_output)
        parsed.pop("ResponseMetadata")
        if shape is not None:
            for member_name, member in shape.members.items():
                if member.serialization.get("location") == "statusCode" and member_name not in output:
                    parsed.pop(member_name)
        payload = shape.serialization.get("payload") if shape else None
        if payload and shape.members[payload].type_name == "blob" and payload not in output:
            parsed.pop(payload, None)
        assert pruned(as_tree(parsed)) == pruned(as_tree(output)), (seed, base64.b64decode(answer["body"]))
        made += 1
    assert made, "no valid output could be made"


@pytest.mark.parametrize("service,name", OPERATIONS)
def test_errors_have_their_code_message_and_status(codec, service, name):
    model = service_model(service)
    operation = model.operation_model(name)
    shapes = {shape.name: shape for shape in operation.error_shapes}
    for error_name, shape in shapes.items():
        trait = shape.metadata.get("error", {})
        answer = codec(error={"service": service, "operation": name, "code": error_name,
                              "message": "a <b> & \"c\" ü", "members": {}})
        fault = model._service_description["shapes"][error_name].get("fault")
        assert answer["status"] == trait.get("httpStatusCode", 500 if fault else 400)
        parsed = parse(model, answer, operation.output_shape)
        assert parsed["Error"]["Code"] == trait.get("code", error_name)
        assert parsed["Error"]["Message"] == "a <b> & \"c\" ü"
    answer = codec(error={"service": service, "operation": name, "code": "SomethingElse", "message": "why",
                          "members": {}})
    parsed = parse(model, answer, operation.output_shape)
    assert (answer["status"], parsed["Error"]["Code"], parsed["Error"]["Message"]) == (400, "SomethingElse", "why")


# --- Route 53, to the letter


def post(path, body, signing="route53", method="POST", query=""):
    return {"signing": signing, "method": method, "path": path, "query": query, "headers": {},
            "body": base64.b64encode(body.encode() if isinstance(body, str) else body).decode()}


def route53_error(codec, request):
    answer = codec(decode=request)
    assert "failed" in answer, answer
    parsed = parse(service_model("route53"), answer, None)
    return answer["status"], parsed["Error"]["Code"], parsed["Error"]["Message"]


NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
BATCH = """<ChangeResourceRecordSetsRequest xmlns="%s"><ChangeBatch><Changes><Change><Action>%s</Action>
<ResourceRecordSet><Name>www.example.com</Name><Type>%s</Type><TTL>%s</TTL><ResourceRecords><ResourceRecord>
<Value>192.0.2.1</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch>
</ChangeResourceRecordSetsRequest>"""
RRSET = "/2013-04-01/hostedzone/Z1/rrset"


@pytest.mark.parametrize("path", [RRSET, RRSET + "/", "/2013-04-01/hostedzone/Z%31/rrset/"])
def test_a_batch_is_found_with_and_without_the_slash(codec, path):
    answer = codec(decode=post(path, BATCH % (NAMESPACE, "UPSERT", "A", 60)))
    assert answer["operation"] == "ChangeResourceRecordSets"
    assert answer["tree"] == {"HostedZoneId": "Z1", "ChangeBatch": {"Changes": [{
        "Action": "UPSERT", "ResourceRecordSet": {"Name": "www.example.com", "Type": "A", "TTL": 60,
                                                  "ResourceRecords": [{"Value": "192.0.2.1"}]}}]}}


def test_a_wrong_enum_is_named_with_its_path(codec):
    status, code, message = route53_error(codec, post(RRSET, BATCH % (NAMESPACE, "UPSERT", "A2", 60)))
    assert (status, code) == (400, "InvalidInput")
    assert message.startswith(
        "1 validation error detected: Value 'A2' at 'changeBatch.changes.1.member.resourceRecordSet.type' failed to "
        "satisfy constraint: Member must satisfy enum value set: [SOA, A, TXT, ")


def test_several_violations_are_gathered(codec):
    status, code, message = route53_error(codec, post(RRSET, BATCH % (NAMESPACE, "PUT", "A", -1)))
    assert (status, code) == (400, "InvalidInput")
    assert message.startswith("2 validation errors detected: Value 'PUT' at 'changeBatch.changes.1.member.action'")
    assert message.endswith("Value '-1' at 'changeBatch.changes.1.member.resourceRecordSet.tTL' failed to satisfy "
                            "constraint: Member must have value greater than or equal to 0")


def test_what_is_missing_is_null(codec):
    body = f'<CreateHostedZoneRequest xmlns="{NAMESPACE}"><Name>example.com</Name></CreateHostedZoneRequest>'
    assert route53_error(codec, post("/2013-04-01/hostedzone", body)) == (
        400, "InvalidInput", "1 validation error detected: Value null at 'callerReference' failed to satisfy "
                             "constraint: Member must not be null")


@pytest.mark.parametrize("body,code,message", [
    ("<Create", "MalformedInput", "Could not parse XML"),
    ("", "InvalidInput", "2 validation errors detected: Value null at 'name'"),
    ("<a></b>", "MalformedInput", "Could not parse XML"),
    ("<Name>x</Name>", "MalformedInput", "Name is not valid, expected CreateHostedZoneRequest"),
    ("<CreateHostedZoneRequest><Colour/></CreateHostedZoneRequest>", "InvalidInput",
     "Invalid XML ; cvc-complex-type.2.4.a: Invalid content was found starting with element 'Colour'."),
    ("<CreateHostedZoneRequest>text</CreateHostedZoneRequest>", "InvalidInput", "Invalid XML ; cvc-complex-type.2.3"),
    ("<CreateHostedZoneRequest><Name>a</Name><Name>b</Name></CreateHostedZoneRequest>", "InvalidInput",
     "Invalid XML ; cvc-complex-type.2.4.a"),
    ("<CreateHostedZoneRequest/><CreateHostedZoneRequest/>", "MalformedInput", "Could not parse XML"),
    ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><CreateHostedZoneRequest><Name>&e;</Name>'
     "</CreateHostedZoneRequest>", "MalformedInput", "Could not parse XML: a document type is not allowed"),
    ("<CreateHostedZoneRequest><Name>&e;</Name></CreateHostedZoneRequest>", "MalformedInput", "Could not parse XML"),
    ("<a>" * 1_000_000, "MalformedInput", "Could not parse XML: the document is nested too deeply"),
    ("<a " + " ".join(f"x{i}=''" for i in range(100_000)) + "/>", "MalformedInput", "Could not parse XML: an element"),
    ("<CreateHostedZoneRequest>" + "<a/>" * 1_000_000, "MalformedInput", "Could not parse XML: the document has"),
    ("<CreateHostedZoneRequest/>".encode("utf-16"), "MalformedInput", "Could not parse XML: the document is not"),
    (b"<CreateHostedZoneRequest><Name>\xff</Name></CreateHostedZoneRequest>", "MalformedInput", "Could not parse XML"),
    (b'<?xml version="1.0" encoding="latin1"?><CreateHostedZoneRequest><Name>\xff</Name></CreateHostedZoneRequest>',
     "MalformedInput", "Could not parse XML"),
    ("<?xml version='1.0' encoding='IBM037'?><CreateHostedZoneRequest/>".encode("cp037"), "MalformedInput",
     "Could not parse XML"),
    (b"<?xml version='1.0' encoding='UTF-7'?><CreateHostedZoneRequest>+ADw-Name+AD4-a+ADw-/Name+AD4-"
     b"</CreateHostedZoneRequest>", "InvalidInput", "Invalid XML ; cvc-complex-type.2.3"),
])
def test_bad_documents_are_refused(codec, body, code, message):
    status, found, text = route53_error(codec, post("/2013-04-01/hostedzone", body))
    assert (status, found) == (400, code)
    assert text.startswith(message)


def test_a_batch_of_a_thousand_records_is_decoded_at_once(codec):
    change = ("<Change><Action>CREATE</Action><ResourceRecordSet><Name>n%d.example.com</Name><Type>A</Type><TTL>1</TTL>"
              "<ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>"
              "</ResourceRecordSet></Change>")
    body = ("<ChangeResourceRecordSetsRequest><ChangeBatch><Changes>" + "".join(change % i for i in range(1000))
            + "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>")
    answer = codec(decode=post(RRSET, body))
    assert len(answer["tree"]["ChangeBatch"]["Changes"]) == 1000


def test_an_invalid_batch_raises_its_own_exception(codec):
    answer = codec(error={"service": "route53", "operation": "ChangeResourceRecordSets", "code": "InvalidChangeBatch",
                          "message": "ignored", "members": {"messages": ["first", "second <x>"]}})
    model = service_model("route53")
    parsed = parse(model, answer, None)
    parsed.update(parse(model, answer, model.shape_for("InvalidChangeBatch")))  # as botocore's client does
    assert answer["status"] == 400
    assert parsed["Error"]["Code"] == "InvalidChangeBatch"
    assert parsed["Error"]["Message"] == "[first, second <x>]"
    assert parsed["messages"] == ["first", "second <x>"]
    assert parsed["ResponseMetadata"]["RequestId"] == "00000000-1111-4222-8333-444444444444"


# --- routing


@pytest.mark.parametrize("request_,service,operation,is_listed", [
    (post("/2013-04-01/hostedzone/Z1", "", method="GET"), "route53", "GetHostedZone", True),
    (post("/2013-04-01/hostedzone", "", method="GET"), "route53", "ListHostedZones", True),
    (post("/2013-04-01/hostedzonesbyname", "", method="GET"), "route53", "ListHostedZonesByName", True),
    (post("/2013-04-01/hostedzone/Z1/associatevpc", ""), "route53", "AssociateVPCWithHostedZone", False),
    (post("/2013-04-01/nothing", "", method="GET"), "route53", "GET /2013-04-01/nothing", False),
    (post("/2013-04-01/hostedzone/Z1", "", method="PATCH"), "route53", "PATCH /2013-04-01/hostedzone/Z1", False),
    (post("/", "Action=GetCallerIdentity&Version=2011-06-15", "sts"), "sts", "GetCallerIdentity", True),
    (post("/", "Version=2011-06-15&Action=GetCallerIdentity", "sts"), "sts", "GetCallerIdentity", True),
    (post("/", "", "sts", query="Action=GetCallerIdentity&Version=2011-06-15"), "sts", "GetCallerIdentity", True),
    (post("/", "Action=AssumeRole&Version=2011-06-15", "sts"), "sts", "AssumeRole", False),
    (post("/", "Action=Nonsense&Version=2011-06-15", "sts"), "sts", "Nonsense", False),
    (post("/b/k", "", "s3", "PUT"), "s3", "PutObject", True),
    (post("/b/k", "", "s3", "PUT", "partNumber=1&uploadId=x"), "s3", "UploadPart", True),
    (post("/b", "", "s3", "GET", "acl"), "s3", "GetBucketAcl", True),
    (post("/b", "", "s3", "GET", "list-type=2"), "s3", "ListObjectsV2", True),
    (post("/b", "", "s3", "GET", "policy"), "s3", "GetBucketPolicy", False),
])
def test_requests_find_their_operation(codec, request_, service, operation, is_listed):
    answer = codec(route=request_)
    assert (answer["service"], answer["operation"], answer["listed"]) == (service, operation, is_listed)


def test_an_arn_in_a_path_stays_one_label(codec):
    arn = "arn:aws:route53-recovery-control::123456789012:controlpanel/abc/safetyrule/def"
    request = post("/tags/" + urllib.parse.quote(arn, safe=""), "", "route53-recovery-control-config", "DELETE",
                   "TagKeys=a&TagKeys=b")
    answer = codec(decode=request)
    assert answer == {"operation": "UntagResource", "tree": {"ResourceArn": arn, "TagKeys": ["a", "b"]}}


@pytest.mark.parametrize("path,key", [("a/b%2Fc//d/", "a/b/c//d/"), ("/a", "/a"), ("/", "/"), ("//", "//")])
def test_a_greedy_label_keeps_its_slashes(codec, path, key):
    answer = codec(decode=post("/bucket/" + path, "", "s3", "GET"))
    assert answer["tree"] == {"Bucket": "bucket", "Key": key}


# --- query and json


def test_query_lists_take_both_names_and_sparse_indices(codec):
    body = ("Action=DescribeDBInstances&Version=2014-10-31&Filters.Filter.10.Name=b&Filters.Filter.10.Values.member.1=y"
            "&Filters.Filter.2.Name=a&Filters.Filter.2.Values.Value.7=x&PreSignedUrl=ignored")
    assert codec(decode=post("/", body, "rds"))["tree"] == {"Filters": [
        {"Name": "a", "Values": ["x"]}, {"Name": "b", "Values": ["y"]}]}


def test_an_empty_query_list_is_a_list(codec):
    body = ("Action=PutMetricAlarm&Version=2010-08-01&AlarmName=a&EvaluationPeriods=1&Threshold=1"
            "&ComparisonOperator=LessThanThreshold&OKActions=")
    assert codec(decode=post("/", body, "monitoring"))["tree"]["OKActions"] == []


@pytest.mark.parametrize("body", [
    "Action=DescribeDBInstances&DBInstanceIdentifier=a&DBInstanceIdentifier=b",
    "Action=DescribeDBInstances&MaxRecords=x",
    "Action=DescribeDBInstances&Filters.Filter.x.Name=a",
    "Action=DescribeDBInstances&Filters." + "Filter.1.Values." * 100 + "=a",
    "Action=DescribeDBInstances&Marker=%zz",
    "Action=DescribeDBInstances&Marker=%00",
    "Action=DescribeDBInstances&Marker=%ff",
])
def test_bad_query_requests_are_refused(codec, body):
    answer = codec(decode=post("/", body, "rds"))
    parsed = parse(service_model("rds"), answer, None)
    assert (answer["status"], parsed["Error"]["Code"]) == (400, "MalformedInput"), parsed


def json_request(body):
    request = post("/", body, "secretsmanager")
    request["headers"] = {"X-Amz-Target": "secretsmanager.CreateSecret", "Content-Type": "application/x-amz-json-1.1"}
    return request


@pytest.mark.parametrize("body", ["{", "[]", '{"Name":5}', '{"Name":"a","Name":"b"}', "[" * 1_000_000, '{"Name":"\\u0000"}',
                                  '{"a":[' + "{}," * 1_000_000 + "{}]}", b'{"Name":"\xff"}'])
def test_bad_json_is_refused(codec, body):
    answer = codec(decode=json_request(body))
    parsed = parse(service_model("secretsmanager"), answer, None)
    assert (answer["status"], parsed["Error"]["Code"]) == (400, "SerializationException"), parsed


def test_json_validation_is_worded_as_the_services_do_and_keeps_secrets(codec):
    answer = codec(decode=json_request(json.dumps({"Name": "", "SecretString": "x" * 65537})))
    parsed = parse(service_model("secretsmanager"), answer, None)
    assert parsed["Error"]["Code"] == "ValidationException"
    assert parsed["Error"]["Message"] == (
        "2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must have length greater "
        "than or equal to 1; Value '***Sensitive Data Redacted***' at 'secretString' failed to satisfy constraint: "
        "Member must have length less than or equal to 65536")


def test_a_handler_that_breaks_the_model_is_an_internal_failure(codec):
    for tree in ({"Nonsense": 1}, {}, {"HostedZone": 5}):
        answer = codec(encode={"service": "route53", "operation": "GetHostedZone", "tree": tree})
        assert "failed" in answer and answer["status"] == 500
        assert b"Nonsense" not in base64.b64decode(answer["body"])
