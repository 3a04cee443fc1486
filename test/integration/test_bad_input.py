"""Requests that no good client sends, at the built daemon: each is answered properly, and none changes anything.

What the HTTP server does with broken framing by itself is in test_server.py, the codec's own part in test_codec.py.
"""

import http.client
import json
import os
import random
import re
import socket
import threading
import xml.etree.ElementTree

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from leeward import KEY_ID, REGION, SECRET, AwsError, record
from process import SLOWER, wait_for
from refusals import refused

PATIENCE = 120 * SLOWER
SPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
ZONES = "/2013-04-01/hostedzone"
PRIVATE_FILE = "file:///etc/hostname"


def sign(daemon, method, path, body=b"", headers=None, service="route53"):
    """The headers of a signed request."""
    request = botocore.awsrequest.AWSRequest(method=method, url=daemon.endpoint + path, data=body, headers=headers or {})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(KEY_ID, SECRET), service, REGION).add_auth(request)
    return dict(request.headers.items())


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def error(self):
        """Code and message of an error in Route 53's shape, which every client can read."""
        root = xml.etree.ElementTree.fromstring(self.body)
        assert root.tag == f"{{{SPACE}}}ErrorResponse", self.body
        assert self.headers["Content-Type"] == "text/xml"
        assert re.fullmatch(r"[0-9a-f-]{36}", root.findtext(f"{{{SPACE}}}RequestId"))
        error = root.find(f"{{{SPACE}}}Error")
        assert error.findtext(f"{{{SPACE}}}Type") == ("Sender" if self.status < 500 else "Receiver")
        return error.findtext(f"{{{SPACE}}}Code"), error.findtext(f"{{{SPACE}}}Message")


def send(daemon, method, path, body=b"", headers=None, signed=True):
    headers = sign(daemon, method, path, body, headers) if signed else headers or {}
    connection = http.client.HTTPConnection(daemon.api, timeout=PATIENCE)
    try:
        connection.request(method, path, body=body or None, headers=headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def dump(daemon):
    """Everything that clients can see of zones, records, checks, tags and keys."""
    api = daemon.client("route53")

    def whole(operation, key, **parameters):
        return api.get_paginator(operation).paginate(**parameters).build_full_result()[key]

    zones, checks = whole("list_hosted_zones", "HostedZones"), whole("list_health_checks", "HealthChecks")
    return {
        "zones": zones, "checks": checks,
        "records": {zone["Id"]: whole("list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"])
                    for zone in zones},
        "tags": [api.list_tags_for_resource(ResourceType=kind, ResourceId=one["Id"].rpartition("/")[2])["ResourceTagSet"]
                 for kind, every in (("hostedzone", zones), ("healthcheck", checks)) for one in every],
        "sets": api.list_reusable_delegation_sets()["DelegationSets"],
        "keys": json.loads(daemon.leeward("key", "list", "--json").stdout),
    }


@pytest.fixture(scope="module")
def filled(shared):
    """A daemon with something in it to be changed by mistake; `zone` is the id of one zone."""
    shared.zone = shared.create_zone("filled.example")
    shared.change(shared.zone, record("www.filled.example", "A", "192.0.2.1"),
                  record("one.filled.example", "A", "192.0.2.2", SetIdentifier="one", Weight=1))
    api = shared.client("route53")
    check = api.create_health_check(CallerReference="filled", HealthCheckConfig={
        "Type": "TCP", "IPAddress": "192.0.2.1", "Port": 1, "Disabled": True})["HealthCheck"]["Id"]
    api.change_tags_for_resource(ResourceType="healthcheck", ResourceId=check, AddTags=[{"Key": "Name", "Value": "it"}])
    shared.wait_for_answer("www.filled.example", "A", ["192.0.2.1"])
    return shared


@pytest.fixture
def unchanged(filled):
    """The daemon; at the end of the test it still runs, with everything as it was, in the API and in DNS."""
    before = dump(filled)
    pid = filled.pid
    yield filled
    assert filled.running() and filled.pid == pid
    assert dump(filled) == before
    assert filled.dig("www.filled.example").data == ["192.0.2.1"]


# ---- XML ----


def create(inside="", root="CreateHostedZoneRequest", name="bad.example"):
    return (f'<{root} xmlns="{SPACE}"><Name>{name}</Name><CallerReference>bad</CallerReference>{inside}</{root}>').encode()


BOMB = ('<!DOCTYPE b [<!ENTITY a0 "lol">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 11)) + "]>")
BAD_XML = {
    "nothing": b"", "no XML": b"not xml", "JSON": b'{"Name": "bad.example", "CallerReference": "bad"}',
    "cut": create()[:-5], "cut in a tag": create()[:60], "crossed tags": create("<a><b></a></b>"),
    "two roots": create() + create(), "text after the root": create() + b"text",
    "attribute twice": create("<a b='1' b='2'/>"),
    "unknown entity": create(name="&unknown;"), "bad reference": create(name="&#0;"), "NUL": create(name="a\0b"),
    "bad UTF-8": create(name="@").replace(b"@", b"\xff\xfe"), "overlong UTF-8": create(name="@").replace(b"@", b"\xc0\xaf"),
    "half a surrogate": create(name="@").replace(b"@", b"\xed\xa0\x80"),
    "Latin-1": create(name="ü").decode().encode("latin-1"),
    "UTF-16": b"\xff\xfe" + create().decode().encode("utf-16-le"),
    "in no encoding": b'<?xml version="1.0" encoding="ISO-8859-1"?>' + create(name="\xfc").decode().encode("latin-1"),
    "entity bomb": BOMB.encode() + create(name="&a10;"),
    "external entity": f'<!DOCTYPE b [<!ENTITY x SYSTEM "{PRIVATE_FILE}">]>'.encode() + create(name="&x;"),
    "document type": b'<!DOCTYPE CreateHostedZoneRequest SYSTEM "http://127.0.0.1:1/x.dtd">' + create(),
    "a million nested": b"<a>" * 1000000, "a million nested inside": create()[:-27] + b"<a>" * 1000000,
    "a million siblings": create("<a/>" * 1000000),
    "100,000 attributes": create("<a " + " ".join(f"a{n}=''" for n in range(100000)) + "/>"),
    "unknown element": create("<Frobnicate>1</Frobnicate>"), "element twice": create("<Name>two.example</Name>"),
    "wrong root": create(root="DeleteHostedZoneRequest"), "element in a text": create(name="<b>x</b>"),
    "text beside elements": create("text"),
}


@pytest.mark.sanitized
def test_bad_xml_is_refused(unchanged):
    for what, body in BAD_XML.items():
        answer = send(unchanged, "POST", ZONES, body, {"Content-Type": "text/xml"})
        code, message = answer.error
        assert answer.status == (413 if code == "RequestEntityTooLarge" else 400), (what, answer.body)
        assert code in ("MalformedInput", "InvalidInput", "InvalidDomainName", "RequestEntityTooLarge"), (what, code)
        assert message and len(answer.body) < 5000, (what, answer.body[:1000])
        assert socket.gethostname().encode() not in answer.body, what


def test_the_same_in_a_change_batch_changes_nothing(unchanged):
    path = f"{ZONES}/{unchanged.zone}/rrset/"
    good = ("<Change><Action>UPSERT</Action><ResourceRecordSet><Name>www.filled.example</Name><Type>A</Type><TTL>1</TTL>"
            "<ResourceRecords><ResourceRecord><Value>192.0.2.66</Value></ResourceRecord></ResourceRecords>"
            "</ResourceRecordSet></Change>")
    batch = f'<ChangeResourceRecordSetsRequest xmlns="{SPACE}"><ChangeBatch><Changes>{good}@</Changes></ChangeBatch>' \
            "</ChangeResourceRecordSetsRequest>"
    assert good in batch
    for inside in ("<Change/>", "<Change><Action>UPSERT</Action></Change>", good.replace("UPSERT", "upsert"),
                   good.replace("<TTL>1", "<TTL>x"), good.replace("<TTL>1", "<TTL>-1"), good.replace("<TTL>1", "<TTL>1e400"),
                   good.replace("<TTL>1", "<TTL>99999999999999999999"), good.replace("192.0.2.66", ""),
                   good.replace("192.0.2.66", "9" * 5000), good.replace(">A<", ">TYPE1<"), good.replace("www", "w" * 2000),
                   good.replace("<Type>A</Type>", ""), "<Frobnicate/>", "<Change>" * 1000, good):
        answer = send(unchanged, "POST", path, batch.replace("@", inside).encode())
        root = xml.etree.ElementTree.fromstring(answer.body)
        assert answer.status == 400, (inside[:200], answer.body)
        assert root.tag.endswith(("}ErrorResponse", "}InvalidChangeBatch")), answer.body


def test_random_changes_to_a_good_document_do_no_harm(unchanged):
    """Seeded, so that a failure can be looked at. The name is not valid, and no change makes it so."""
    chance = random.Random(53)
    good = create("<HostedZoneConfig><Comment>c</Comment></HostedZoneConfig>", name="a..b" + "x" * 70)
    connection = http.client.HTTPConnection(unchanged.api, timeout=PATIENCE)
    for _ in range(200):
        body = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            body[at:at + chance.randint(0, 3)] = chance.choice([b"<", b">", b"&", b"\0", b"\xff", b"]]>", b"<!--", b"", b"/"])
        body = bytes(body)
        connection.request("POST", ZONES, body=body, headers=sign(unchanged, "POST", ZONES, body))
        answer = Answer(connection.getresponse())
        assert answer.status == 400 and answer.error[1], (body, answer.body)
    connection.close()


def test_the_content_type_is_not_what_counts(unchanged):
    """Route 53 reads XML whatever it is called, and nothing else."""
    bad = b'{"Name": "bad.example", "CallerReference": "bad"}'
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "a" * 2000):
        assert send(unchanged, "POST", ZONES, bad, {"Content-Type": kind}).error[0] == "MalformedInput"
        assert send(unchanged, "POST", ZONES, create(name="a..b"), {"Content-Type": kind}).error[0] == "InvalidDomainName"


# ---- sizes ----


def test_a_body_of_100_mb_is_refused(unchanged):
    connection = http.client.HTTPConnection(unchanged.api, timeout=PATIENCE)
    body = b"<a>" * (100 << 20 >> 2)
    connection.putrequest("POST", ZONES)
    for name, value in {**sign(unchanged, "POST", ZONES, b"x"), "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        connection.send(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may stop listening, as long as the answer is there
    answer = Answer(connection.getresponse())
    connection.close()
    assert (answer.status, answer.error[0]) == (413, "RequestEntityTooLarge")
    size = int(re.search(r"VmHWM:\s+(\d+) kB", open(f"/proc/{unchanged.pid}/status").read()).group(1))
    assert SLOWER > 1 or size < 400 << 10, f"the daemon has used {size} kB"


def test_enormous_headers_are_refused(unchanged):
    for name, value, statuses in (("X-Amz-Big", "x" * 40000, (400, 403, 431)), ("X-Amz-Big", "x" * 1000000, (431, 0)),
                                  ("Authorization", "AWS4-HMAC-SHA256 " + "Credential=a/" * 3000, (400, 431))):
        with socket.create_connection(unchanged.api.split(":"), timeout=PATIENCE) as peer:
            try:
                peer.sendall(f"GET {ZONES} HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\n\r\n".encode())
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                answer = peer.recv(65536)
            except ConnectionResetError:
                answer = b""
        status = int(answer.split()[1]) if answer else 0
        assert status in statuses, (name, len(value), answer[:500])


def test_ids_and_names_of_any_kind_are_only_looked_up(unchanged):
    for text in ("%00", "%2e%2e%2f%2e%2e", "../../node", "%ff%fe", "%", "%zz", "Z" * 33, "*", "r53%2Fzone", "'%20OR%201=1",
                 "%F0%9F%92%A9", "Z1%0d%0aX-Injected:%20yes", "%3Cscript%3E"):
        for method, path in (("GET", f"{ZONES}/{text}"), ("DELETE", f"{ZONES}/{text}"),
                             ("GET", f"/2013-04-01/healthcheck/{text}"), ("DELETE", f"/2013-04-01/healthcheck/{text}"),
                             ("GET", f"/2013-04-01/change/{text}"), ("GET", f"{ZONES}/{text}/rrset"),
                             ("GET", f"/2013-04-01/tags/hostedzone/{text}"),
                             ("GET", f"{ZONES}?maxitems=1&marker={text}&maxitems=2"),
                             ("GET", f"{ZONES}/{unchanged.zone}/rrset?name={text}&type={text}&identifier={text}")):
            answer = send(unchanged, method, path)
            assert answer.status in (200, 400, 403, 404, 501), (method, path, answer.body)
            assert "X-Injected" not in answer.headers
            xml.etree.ElementTree.fromstring(answer.body)


def test_a_path_that_cannot_be_decoded_is_malformed(unchanged):
    for method, path in (("GET", f"{ZONES}/%00"), ("DELETE", f"{ZONES}/Z1%00"), ("GET", f"{ZONES}/%zz"),
                         ("GET", "/2013-04-01/healthcheck/a%"), ("GET", f"{ZONES}/%00/rrset")):
        answer = send(unchanged, method, path)
        assert (answer.status, answer.error) == (
            400, ("MalformedInput", "The path of the request holds an escape that stands for no character")), path


# ---- operations that are not there ----


def test_an_unknown_operation_is_named(unchanged):
    api = unchanged.client("route53")
    for call, name in ((lambda: api.list_hosted_zones_by_vpc(VPCId="vpc-1", VPCRegion="us-east-1"), "ListHostedZonesByVPC"),
                       (lambda: api.list_vpc_association_authorizations(HostedZoneId=unchanged.zone),
                        "ListVPCAssociationAuthorizations"),
                       (lambda: api.create_query_logging_config(
                           HostedZoneId=unchanged.zone, CloudWatchLogsLogGroupArn="arn"), "CreateQueryLoggingConfig")):
        with refused(api, "NotImplemented", 501, f"Leeward does not implement the operation {name} of route53"):
            call()
    with pytest.raises(AwsError) as error:
        unchanged.aws("route53", "list-vpc-association-authorizations", "--hosted-zone-id", unchanged.zone)
    assert error.value.code == "NotImplemented" and "ListVPCAssociationAuthorizations" in error.value.stderr
    sts = unchanged.client("sts")
    with refused(sts, "InvalidAction", 400, "Leeward does not implement the operation GetSessionToken of sts"):
        sts.get_session_token()
    for method, path in (("GET", "/2013-04-01/frobnicate"), ("PATCH", ZONES), ("PUT", ZONES), ("GET", "/2012-02-29/hostedzone")):
        answer = send(unchanged, method, path)
        assert (answer.status, answer.error) == (
            404, ("UnknownOperationException", f"{method} {path} addresses no operation of route53"))
    lightsail = unchanged.client("lightsail")
    with pytest.raises(lightsail.exceptions.ClientError) as raised:
        lightsail.get_instances()
    assert "lightsail" in str(raised.value)


# ---- connections ----


@pytest.mark.sanitized
def test_hundreds_of_slow_connections_do_not_stop_good_clients(unchanged):
    """Silent ones, half requests, half bodies and half-closed ones, all held open while clients go on working."""
    address, port = unchanged.api.split(":")
    path = f"{ZONES}/{unchanged.zone}"
    head = f"GET {path} HTTP/1.1\r\nHost: {unchanged.api}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in sign(unchanged, "GET", path).items())
    begun = [b"", b"P", f"POST {ZONES} HTTP/1.1\r\nHost: x\r\n".encode(), head.encode(),
             f"POST {ZONES} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n<Create".encode(),
             f"POST {ZONES} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n<".encode()]
    peers = []
    try:
        for number in range(400):
            peer = socket.create_connection((address, int(port)), timeout=PATIENCE)
            peers.append(peer)
            peer.sendall(begun[number % len(begun)])
            if number % 4 == 0:
                peer.shutdown(socket.SHUT_WR)
        problems = []

        def work(number):
            try:
                api = clients[number]
                for turn in range(10):
                    name = f"slow{number}-{turn}.filled.example"
                    unchanged_change(api, unchanged.zone, "CREATE", name)
                    unchanged_change(api, unchanged.zone, "DELETE", name)
            except BaseException as problem:  # shown below
                problems.append(problem)

        clients = [unchanged.client("route53") for _ in range(4)]
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems
        whole = peers[3]  # half-sent so far: the rest makes it a good request
        assert begun[3] == head.encode()
        whole.sendall(b"\r\n")
        assert whole.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        for peer in peers:
            peer.close()


def unchanged_change(api, zone, action, name):
    api.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={
        "Changes": [{"Action": action, "ResourceRecordSet": record(name, "A", "192.0.2.1")}]})


def test_a_client_that_goes_away_leaves_nothing_behind(sandbox):
    """Requests that are cut anywhere are as if they had never been sent, and what they held is given back."""
    daemon = sandbox.daemon("--api-idle-ms", 1000).start()
    daemon.create_zone("there.example")
    before = dump(daemon)
    body = create()
    head = f"POST {ZONES} HTTP/1.1\r\nHost: {daemon.api}\r\nContent-Length: {len(body)}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in sign(daemon, "POST", ZONES, body).items()) + "\r\n"
    whole = head.encode() + body

    def descriptors():
        return len(os.listdir(f"/proc/{daemon.pid}/fd"))

    held = descriptors()
    for cut in range(0, len(whole), 7):
        with socket.create_connection(daemon.api.split(":"), timeout=PATIENCE) as peer:
            peer.sendall(whole[:cut])
    wait_for(lambda: descriptors() <= held, 10, "the connections are closed")
    assert dump(daemon) == before
    assert send(daemon, "POST", ZONES, body).status == 201  # nothing was wrong with the request itself
