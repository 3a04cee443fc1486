"""The API server driven over real sockets, by boto3 and by clients that misbehave.

The server runs as build/src/aws/aws_serve (src/aws/test/serve.c): canned handlers, fixed keys, one process a test.
"""

import contextlib
import datetime
import http.client
import os
import random
import re
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LEEWARD_BUILD", ROOT / "build"))
PATIENCE = 30  # seconds until a wait is a failure
COUNT = "/2013-04-01/hostedzonecount"

pytestmark = pytest.mark.sanitized


class Server:
    def __init__(self, process, port):
        self.process = process
        self.port = port
        self.calls = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.calls.append(line.strip())

    def client(self, service="route53", key="AKIDADMIN", secret="secret", scheme="http", **options):
        return boto3.client(service, endpoint_url=f"{scheme}://127.0.0.1:{self.port}", region_name="us-east-1",
                            aws_access_key_id=key, aws_secret_access_key=secret,
                            config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=PATIENCE,
                                                          connect_timeout=PATIENCE), **options)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(self, data):
        """What the server sends in return, until it closes."""
        with self.connect() as peer:
            peer.sendall(data)
            return read_all(peer)

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=PATIENCE)
        self.reader.join()
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def serving(*arguments):
    process = subprocess.Popen([BUILD / "src/aws/aws_serve", *map(str, arguments)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    server = Server(process, int(process.stdout.readline().split()[1]))
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0  # a sanitizer's finding is another code


@pytest.fixture
def server():
    with serving() as running:
        yield running


def read_all(peer):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := peer.recv(65536):
            data += chunk
    return data


def signed(server, path=COUNT, method="GET", body=b"", when=None, service="route53"):
    """The head of a signed request, as bytes, and its body."""
    request = botocore.awsrequest.AWSRequest(method=method, url=f"http://127.0.0.1:{server.port}{path}", data=body)
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials("AKIDADMIN", "secret"), service, "us-east-1")
    if when is None:
        signer.add_auth(request)
    else:
        request.context["timestamp"] = when.strftime("%Y%m%dT%H%M%SZ")
        signer._modify_request_before_signing(request)
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        canonical = signer.canonical_request(request)
        signer._inject_signature_to_request(request,
                                            signer.signature(signer.string_to_sign(request, canonical), request))
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode(), body


def code_of(raised):
    return raised.value.response["Error"]["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]


def status_of(answer):
    return int(re.match(rb"HTTP/1\.1 (\d+)", answer).group(1)) if answer else 0


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_a_signed_call_is_answered(server):
    answer = server.client().get_hosted_zone_count()
    assert answer["HostedZoneCount"] == 3
    assert re.fullmatch(r"[0-9a-f-]{36}", answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    assert "date" in answer["ResponseMetadata"]["HTTPHeaders"]
    wait_until(lambda: server.calls == ["call route53:GetHostedZoneCount AKIDADMIN 127.0.0.1 200 fine"])


def test_the_region_and_the_account_are_those_of_the_call(server):
    answer = server.client("sts").get_caller_identity()
    assert (answer["Account"], answer["UserId"], answer["Arn"]) == ("123456789012", "AKIDADMIN", "us-east-1")


@pytest.mark.parametrize("key, secret, code, status", [
    ("AKIDADMIN", "wrong", "SignatureDoesNotMatch", 403),
    ("AKIDNOBODY", "secret", "InvalidClientTokenId", 403),
    ("AKIDBROKEN", "secret", "ServiceUnavailable", 503),
])
@pytest.mark.parametrize("service", ["route53", "sts"])
def test_a_bad_key_is_refused(server, service, key, secret, code, status):
    client = server.client(service, key, secret)
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        client.get_caller_identity() if service == "sts" else client.get_hosted_zone_count()
    assert code_of(raised) == (code, status)
    assert "/secret/place" not in str(raised.value)


@pytest.mark.parametrize("key, read, fail_over, create", [
    ("AKIDVIEWER", True, False, False), ("AKIDOPERATOR", True, True, False), ("AKIDADMIN", True, True, True)])
def test_each_role_may_do_its_part(server, key, read, fail_over, create):
    client = server.client(key=key)
    identifier = "11111111-2222-3333-4444-555555555555"
    calls = [(read, "GetHostedZoneCount", client.get_hosted_zone_count),
             (fail_over, "UpdateHealthCheck", lambda: client.update_health_check(HealthCheckId=identifier)),
             (create, "DeleteHealthCheck", lambda: client.delete_health_check(HealthCheckId=identifier))]
    for allowed, operation, call in calls:
        try:
            call()
            assert allowed, operation
        except botocore.exceptions.ClientError as error:
            if allowed:  # the canned answer lacks members: the call arrived
                assert error.response["Error"]["Code"] == "InternalFailure"
                continue
            assert error.response["Error"]["Code"] == "AccessDenied"
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
            assert error.response["Error"]["Message"] == (
                f"User: arn:aws:iam::123456789012:user/{key} is not authorized to perform: route53:{operation} "
                f"because no identity-based policy allows the route53:{operation} action")


def test_failures_of_handlers_tell_nothing_of_the_inside(server):
    client = server.client()
    cases = [(client.get_health_check_count, "InternalFailure", 500),
             (client.get_checker_ip_ranges, "ServiceUnavailable", 503),
             (client.list_health_checks, "Throttling", 400),
             (lambda: client.get_account_limit(Type="MAX_HOSTED_ZONES_BY_OWNER"), "ServiceUnavailable", 503),
             (lambda: client.get_hosted_zone(Id="Z1"), "NoSuchHostedZone", 404)]
    for call, code, status in cases:
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            call()
        assert code_of(raised) == (code, status)
        assert "inside" not in str(raised.value)
    wait_until(lambda: sum("a secret of the inside" in line for line in server.calls) == 4)


def test_a_modelled_error_becomes_its_exception_class(server):
    client = server.client()
    with pytest.raises(client.exceptions.NoSuchHostedZone):
        client.get_hosted_zone(Id="Z1")


def test_a_request_without_signature_lacks_its_token(server):
    for head in (f"GET {COUNT}", "POST /", "GET /anything", "DELETE /2013-04-01/hostedzone/Z1"):
        answer = server.ask(f"{head} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        assert status_of(answer) == 403
        assert b"<Code>MissingAuthenticationToken</Code><Message>Missing Authentication Token</Message>" in answer


@pytest.mark.parametrize("minutes", [-6, 6, -60 * 24 * 400])
def test_an_old_or_future_date_is_refused(server, minutes):
    when = datetime.datetime.utcnow() + datetime.timedelta(minutes=minutes)
    head, _ = signed(server, when=when)
    answer = server.ask(head + b"Connection: close\r\n\r\n")
    assert status_of(answer) == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in answer
    assert (b"Signature expired: " if minutes < 0 else b"Signature not yet current: ") in answer


def test_a_tampered_body_is_refused(server):
    body = b'<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"/>'
    head, _ = signed(server, "/2013-04-01/hostedzone", "POST", body)
    answer = server.ask(head + b"Connection: close\r\n\r\n" + body.replace(b"Zone", b"Zona"))
    assert status_of(answer) == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in answer


def test_a_broken_authorization_is_an_incomplete_signature(server):
    answer = server.ask(f"GET {COUNT} HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n"
                        "Connection: close\r\n\r\n".encode())
    assert status_of(answer) == 400
    assert b"<Code>IncompleteSignature</Code>" in answer


def test_operations_that_are_not_there_are_named(server):
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        server.client().list_hosted_zones_by_vpc(VPCId="vpc-1", VPCRegion="us-east-1")
    assert raised.value.response["Error"]["Code"] == "NotImplemented"
    assert "ListHostedZonesByVPC" in str(raised.value)
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        server.client("sts").get_session_token()
    assert code_of(raised) == ("InvalidAction", 400)
    assert "GetSessionToken" in str(raised.value)


def test_a_body_of_100_mb_is_refused_and_the_client_sees_the_answer(server):
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        server.client().create_hosted_zone(Name="example.com", CallerReference="1" * (100 << 20))
    assert code_of(raised) == ("RequestEntityTooLarge", 413)


def test_a_large_body_is_refused_before_it_is_sent(server):
    with server.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
        assert status_of(read_all(peer)) == 413


def test_a_chunked_body_over_the_limit_is_refused(server):
    with server.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(6):
            peer.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
        peer.sendall(b"0\r\n\r\n")
        assert status_of(peer.recv(65536)) == 413


def test_an_endless_chunked_body_is_cut(server):
    with server.connect() as peer, pytest.raises(OSError):
        peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            peer.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")


def test_expect_100_continue_is_answered(server):
    with server.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert status_of(peer.recv(65536)) == 100
        peer.sendall(b"abc")
        assert status_of(peer.recv(65536)) == 403
    with server.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n")
        assert status_of(peer.recv(65536)) == 413


@pytest.mark.parametrize("head", [
    b"Content-Length: 3\r\nContent-Length: 4\r\n", b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    b"Content-Length: -3\r\n", b"Content-Length: 3x\r\n", b"Transfer-Encoding: gzip\r\n", b"Host: y\r\n"])
def test_a_body_that_could_be_read_in_two_ways_is_refused(server, head):
    hidden = b"GET /leeward/healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = server.ask(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n0\r\n\r\n" + hidden)
    assert status_of(answer) == 400
    assert b" 200 " not in answer


def test_too_many_headers_and_long_targets_are_refused(server):
    many = "".join(f"X-{i}: 1\r\n" for i in range(100))
    assert status_of(server.ask(f"GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n".encode())) == 431
    assert status_of(server.ask(b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")) == 414
    assert status_of(server.ask(b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")) in (0, 414, 431)


def test_the_pages_need_no_signature(server):
    def get(method, path):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheader("Content-Type"), body
    assert get("GET", "/leeward/healthz") == (200, "text/plain; charset=utf-8", b"ok\n")
    assert get("HEAD", "/leeward/healthz")[::2] == (200, b"")
    assert b"Leeward" in get("GET", "/")[2]
    assert get("HEAD", "/")[::2] == (200, b"")
    assert get("OPTIONS", "/")[0] == 204
    assert get("HEAD", "/x")[::2] == (403, b"")
    assert get("TRACE", "/")[0] == 403


def test_pipelined_requests_are_answered_in_order(server):
    head, _ = signed(server)
    health = b"GET /leeward/healthz HTTP/1.1\r\nHost: x\r\n"
    answer = server.ask((health + b"\r\n" + head + b"\r\n") * 20 + health + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 41
    assert answer.count(b"<HostedZoneCount>3</HostedZoneCount>") == 20


def test_a_half_closed_client_still_gets_its_answer(server):
    head, _ = signed(server)
    with server.connect() as peer:
        peer.sendall(head + b"\r\n")
        peer.shutdown(socket.SHUT_WR)
        assert status_of(peer.recv(65536)) == 200


def test_garbage_does_no_harm(server):
    chance = random.Random(20261121)
    peers = []
    for _ in range(200):
        data = chance.randbytes(chance.randint(1, 2000))
        if chance.random() < 0.5:
            data = b"POST / HTTP/1.1\r\nHost: x\r\n" + data + b"\r\n\r\n"
        peers.append(server.connect())
        with contextlib.suppress(OSError):
            peers[-1].sendall(data)
            peers[-1].shutdown(socket.SHUT_WR)
    for peer in peers:
        with peer:
            read_all(peer)
    assert server.client().get_hosted_zone_count()["HostedZoneCount"] == 3


def open_slow(server, count, kinds):
    peers = []
    for i in range(count):
        peer = server.connect()
        peer.sendall(kinds[i % len(kinds)])
        peers.append(peer)
    return peers


SLOW = [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"]


def test_500_slow_connections_do_not_stop_a_good_client():
    with serving(20000, 60000, 1000) as server:
        peers = open_slow(server, 500, SLOW)
        for peer in peers[::5]:
            peer.shutdown(socket.SHUT_WR)
        for _ in range(20):
            start = time.monotonic()
            assert server.client().get_hosted_zone_count()["HostedZoneCount"] == 3
            assert time.monotonic() - start < PATIENCE
        for peer in peers:
            peer.close()


def test_more_slow_connections_than_there_is_room_for_are_relieved():
    with serving(60000, 120000, 100) as server:
        peers = open_slow(server, 300, SLOW)
        assert server.client().get_hosted_zone_count()["HostedZoneCount"] == 3
        for peer in peers:
            peer.close()


def test_an_idle_connection_is_closed():
    with serving(1000, 60000) as server, server.connect() as peer:
        start = time.monotonic()
        assert read_all(peer) == b""
        assert 0.5 < time.monotonic() - start < PATIENCE


def test_a_trickling_request_meets_its_deadline():
    with serving(5000, 1000) as server, server.connect() as peer:
        start = time.monotonic()
        peer.settimeout(0.2)
        data = None
        while data is None and time.monotonic() - start < PATIENCE:
            with contextlib.suppress(TimeoutError):
                try:
                    peer.sendall(b"G")
                    data = peer.recv(1)
                except (ConnectionResetError, BrokenPipeError):
                    data = b""
        assert data == b""
        assert 0.9 < time.monotonic() - start < PATIENCE


def test_many_clients_at_once_are_served(server):
    failures = []

    def work(client):
        for _ in range(20):
            if client.get_hosted_zone_count()["HostedZoneCount"] != 3:
                failures.append(1)
    threads = [threading.Thread(target=work, args=(server.client(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    wait_until(lambda: len(server.calls) == 160)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", folder / "key.pem", "-out", folder / "certificate.pem", "-days", "2", "-subj",
                    "/CN=leeward", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return folder


def test_tls_clients_are_served(certificate):
    with serving(5000, 0, 100, certificate / "certificate.pem", certificate / "key.pem") as server:
        client = server.client(scheme="https", verify=str(certificate / "certificate.pem"))
        assert client.get_hosted_zone_count()["HostedZoneCount"] == 3
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            client.create_hosted_zone(Name="example.com", CallerReference="1" * (10 << 20))
        assert code_of(raised) == ("RequestEntityTooLarge", 413)
        old = ssl.create_default_context(cafile=certificate / "certificate.pem")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)), server.connect() as peer:
            old.wrap_socket(peer, server_hostname="127.0.0.1")


def test_a_key_of_another_certificate_is_told_at_the_start(certificate, tmp_path):
    (tmp_path / "key.pem").write_text("nonsense")
    done = subprocess.run([BUILD / "src/aws/aws_serve", "5000", "0", "100", certificate / "certificate.pem",
                           tmp_path / "key.pem"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "certificate" in done.stderr


LONG = "/2013-04-01/delegationset"  # its answer is more than the sockets hold


@contextlib.contextmanager
def half_taken(server):
    """A client that asked for a long answer and has begun to take it."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.settimeout(PATIENCE)
        peer.connect(("127.0.0.1", server.port))
        peer.sendall(signed(server, LONG)[0] + b"\r\n")
        assert peer.recv(1000).startswith(b"HTTP/1.1 200 ")
        yield peer


def test_a_client_that_takes_nothing_does_not_hold_the_end_up():
    with serving() as server, half_taken(server):
        start = time.monotonic()
        assert server.stop() == 0
        assert 1.5 < time.monotonic() - start < PATIENCE


def test_a_client_that_takes_its_time_gets_all_before_the_end():
    with serving() as server, half_taken(server) as peer:
        server.process.stdin.close()
        data = b""
        while chunk := peer.recv(1 << 20):
            data += chunk
            time.sleep(0.005)
        assert len(data) > 15 << 20 and data.endswith(b"</ListReusableDelegationSetsResponse>")
        assert server.stop() == 0


def test_stopping_with_connections_open_is_clean():
    with serving() as server:
        peers = open_slow(server, 20, SLOW)
        assert server.client().get_hosted_zone_count()["HostedZoneCount"] == 3
    for peer in peers:
        peer.close()
