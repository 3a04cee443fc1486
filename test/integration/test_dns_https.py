"""DNS over HTTPS (RFC 8484): curl and kdig as clients, HTTP/1.1 and HTTP/2 spoken by hand, clients that mean harm."""

import base64
import contextlib
import resource
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from leeward import dig, record
from process import clean_environment, wait_for
from test_dns_tls import make_certificate

NAME = "www.example.com"
TYPE = "application/dns-message"


@pytest.fixture
def served(request, sandbox, tmp_path):
    folder = tmp_path / "tls"
    idle = request.node.get_closest_marker("idle")
    make_certificate(folder, "doh.example.com")
    daemon = sandbox.daemon("--dns-https", "127.0.0.1:0", "--dns-tls", "127.0.0.1:0", "--dns-tls-certificate", folder / "cert.pem",
                            "--dns-tls-key", folder / "key.pem", "--dns-tcp-idle-ms", idle.args[0] if idle else 60000, "--dns-tcp-connections", "400",
                            "--metrics", "127.0.0.1:0", workers=2).start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1", ttl=77), record("two.example.com", "CNAME", NAME, ttl=30),
                  record("here.example.com", "A", "127.0.0.2"),
                  *[record(f"big{n}.example.com", "TXT", *['"' + f"{i:03}" + "x" * 200 + '"' for i in range(40)])
                    for n in range(3)])
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    for line in daemon.output.read_text().splitlines():
        kind, _, address = line.partition(" ")
        if kind in ("https", "tls"):
            host, _, port = address.rpartition(":")
            setattr(daemon, kind, (host, int(port)))
    daemon.proc = Path("/proc") / str(daemon.pid)
    daemon.certificates = folder
    return daemon


def query_of(name=NAME, kind="A", **more):
    return dns.message.make_query(name, kind, id=0, **more).to_wire()


def encode(wire):
    return base64.urlsafe_b64encode(wire).rstrip(b"=").decode()


def curl(daemon, *options, path="/dns-query", data=None):
    """(status, headers, body)"""
    run = subprocess.run(["curl", "-sS", "-i", "--max-time", "120", "--cacert", daemon.certificates / "cert.pem",
                          "--connect-to", "doh.example.com:443:%s:%d" % daemon.https, *options,
                          f"https://doh.example.com{path}"], input=data, capture_output=True, env=clean_environment())
    assert run.returncode == 0, run.stderr
    head, _, body = run.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:]), body


@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
def test_curl_gets_and_posts(served, version):
    for options, path, data in (((), f"/dns-query?dns={encode(query_of())}", None),
                                (("-H", f"content-type: {TYPE}", "--data-binary", "@-"), "/dns-query", query_of())):
        status, headers, body = curl(served, version, *options, path=path, data=data)
        assert status == 200
        assert headers["content-type"] == TYPE and int(headers["content-length"]) == len(body)
        assert headers["cache-control"] == "max-age=77"
        assert headers["date"].endswith("gmt")
        answer = dns.message.from_wire(body)
        assert answer.id == 0 and [str(r) for r in answer.answer[0]] == ["192.0.2.1"]


def test_curl_and_kdig_resolve_through_it(served):
    port = served.https[1]
    run = subprocess.run(["curl", "-sS", "-v", "--max-time", "120", "--doh-insecure", "--doh-url",
                          f"https://127.0.0.1:{port}/dns-query", "http://here.example.com:1/"],
                         capture_output=True, text=True, env=clean_environment())
    assert "127.0.0.2" in run.stderr  # where nobody listens
    for option in ("+https", "+https-get"):
        answer = dig(served.https, NAME, "A", "+https", option, f"+tls-ca={served.certificates / 'cert.pem'}",
                     "+tls-hostname=doh.example.com")
        assert answer.data == ["192.0.2.1"]
    assert dig(served.https, "big0.example.com", "TXT", "+https", seconds=5).rcode == "NOERROR"
    counters = subprocess.run(["curl", "-s", next(line.split()[1] for line in served.output.read_text().splitlines()
                                                  if line.startswith("metrics ")) + "/metrics"],
                              capture_output=True, text=True).stdout
    assert 'leeward_dns_queries_total{transport="https"} 5' in counters


@pytest.mark.filterwarnings("ignore::Warning")  # the certificate is not looked at here
def test_dnspython_asks_by_get_and_post(served):
    for post in (True, False):
        answer = dns.query.https(dns.message.make_query(NAME, "A", use_edns=0), "https://127.0.0.1:%d/dns-query" % served.https[1],
                                 timeout=120, post=post, verify=False)
        assert [str(r) for r in answer.answer[0]] == ["192.0.2.1"]


# By hand

def connect(daemon, *alpn, address=None, source=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(socket.create_connection(address or daemon.https, timeout=120, source_address=source))


def read_all(stream):
    data = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while more := stream.recv(65536):
            data += more
    return data


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    def text(data):
        if len(data) < 127:
            return bytes([len(data)]) + data
        left, more = len(data) - 127, b"\x7f"
        while left >= 128:
            left, more = left >> 7, more + bytes([left & 127 | 128])
        return more + bytes([left]) + data
    return b"\0" + text(name) + text(value)


DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


def get(name=NAME, kind="A"):
    path = f"/dns-query?dns={encode(query_of(name, kind))}".encode()
    return b"\x82\x87" + literal(b":authority", b"x") + literal(b":path", path)


POST = b"\x83\x87" + literal(b":authority", b"x") + literal(b":path", b"/dns-query") + literal(b"content-type", TYPE.encode())


def frames(stream, until):
    """(type, flags, stream, payload), until one satisfies; that one is the last."""
    data, got = b"", []
    while True:
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            size = int.from_bytes(data[:3], "big")
            got.append((data[3], data[4], struct.unpack(">I", data[5:9])[0], data[9:9 + size]))
            data = data[9 + size:]
            if until(got[-1]):
                return got
        more = stream.recv(65536)
        assert more, got
        data += more


def answers(daemon):
    """Whether a new client of each kind is served."""
    with connect(daemon, "h2") as stream:
        stream.sendall(PREFACE + frame(HEADERS, END_STREAM | END_HEADERS, 1, get()))
        got = frames(stream, lambda f: f[0] == DATA and f[1] & END_STREAM)
        assert [str(r) for r in dns.message.from_wire(got[-1][3]).answer[0]] == ["192.0.2.1"]
    assert daemon.dig(NAME, "A").data == ["192.0.2.1"]
    return True


def answers_again(daemon):
    with contextlib.suppress(OSError):  # closed to us for now
        return answers(daemon)


@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
def test_whatever_is_no_query_gets_the_status_that_says_so(served, version):
    good, post = encode(query_of()), ("-H", f"content-type: {TYPE}", "--data-binary", "@-")
    for status, options, path, data in (
            (404, (), "/", None), (404, (), f"/dns-query/?dns={good}", None), (405, ("-X", "PUT"), f"/dns-query?dns={good}", None),
            (405, ("--head",), f"/dns-query?dns={good}", None), (400, (), "/dns-query", None), (400, (), "/dns-query?dns=%00", None),
            (400, (), f"/dns-query?dns={good}=", None), (400, (), "/dns-query?dns=AAAA", None), (400, post, "/dns-query", b""),
            (400, post, "/dns-query", b"short"), (413, post, "/dns-query", bytes(5000)), (414, (), "/dns-query?dns=" + "A" * 6000, None),
            (415, ("-H", "content-type: text/plain", "--data-binary", "@-"), "/dns-query", query_of()),
            (431, ("-H", "x: " + "y" * 8192), f"/dns-query?dns={good}", None)):
        got, headers, body = curl(served, version, *options, path=path, data=data)
        assert (got, body) == (status, b""), path[:40]
        assert headers["content-length"] == "0"
        assert headers.get("allow") == ("get, post" if status == 405 else None)
    answer = dns.message.from_wire(query_of())
    answer.flags |= dns.flags.QR  # a response is no query
    assert curl(served, version, *post, data=answer.to_wire())[0] == 400
    assert answers(served)


def test_every_rcode_is_a_200_and_says_how_long_it_is_good(served):
    zone_negative = None
    for name, kind, rcode, age in ((NAME, "A", "NOERROR", 77), ("two.example.com", "A", "NOERROR", 30), ("no.example.com", "A", "NXDOMAIN", None),
                                   (NAME, "MX", "NOERROR", None), ("example.org", "A", "REFUSED", 0), ("example.com", "AXFR", "REFUSED", 0)):
        status, headers, body = curl(served, path=f"/dns-query?dns={encode(query_of(name, kind))}")
        answer = dns.message.from_wire(body)
        assert (status, dns.rcode.to_text(answer.rcode())) == (200, rcode), name
        fresh = int(headers["cache-control"].removeprefix("max-age="))
        if age is None:
            soa = answer.authority[0]
            zone_negative = min(soa.ttl, soa[0].minimum)
        assert fresh == (zone_negative if age is None else age), name


def test_padding_alpn_and_early_data(served):
    _, _, body = curl(served, path=f"/dns-query?dns={encode(query_of(use_edns=0, pad=128))}")
    assert len(body) == 468
    for offered, chosen in ((("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"), ((), None)):
        with connect(served, *offered) as stream:
            assert stream.selected_alpn_protocol() == chosen
    with pytest.raises(ssl.SSLError):
        connect(served, "dot")
    session, early = served.folder / "session", served.folder / "early"
    early.write_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    def openssl(*options):
        return subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % served.https, "-tls1_3", *options], input=b"Q\n",
                              capture_output=True, timeout=120, env=clean_environment()).stdout
    client = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % served.https, "-tls1_3", "-sess_out", session],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
    wait_for(lambda: session.exists() and session.stat().st_size > 0)
    client.communicate(b"Q\n", timeout=120)
    assert b"Max Early Data: 0" in session.read_bytes() or b"Early data was accepted" not in openssl("-sess_in", session, "-early_data", early)
    assert b"DHE" not in openssl("-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384")  # no forward secrecy: no handshake


def test_http2_answers_many_queries_at_once(served):
    with connect(served, "h2") as stream:
        stream.sendall(PREFACE + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24)))
        ids = range(1, 161, 2)
        stream.sendall(b"".join(frame(HEADERS, END_STREAM | END_HEADERS, n, get(f"big{n % 3}.example.com", "TXT")) for n in ids))
        done, sizes = set(), {}
        data = b""
        while len(done) < len(ids):
            more = stream.recv(65536)
            assert more
            data += more
            while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
                kind, flags, number = data[3], data[4], struct.unpack(">I", data[5:9])[0]
                if kind == DATA:
                    sizes[number] = sizes.get(number, 0) + size
                    done |= {number} if flags & END_STREAM else set()
                assert kind not in (RST_STREAM, GOAWAY)
                data = data[9 + size:]
        assert all(size > 8000 for size in sizes.values())


@pytest.mark.idle(1500)
def test_an_idle_connection_is_closed_with_a_word(served):
    with connect(served, "h2") as stream:
        stream.sendall(PREFACE + frame(HEADERS, END_STREAM | END_HEADERS, 1, get()))
        got = frames(stream, lambda f: f[0] == GOAWAY)
        assert got[-1][3] == struct.pack(">II", 1, 0)  # stream 1 was the last, no error
        assert read_all(stream) == b""


# Clients that mean harm

def goaway(stream):
    """The error code of the GOAWAY that ends the connection; None when it ended without."""
    try:
        return struct.unpack(">I", frames(stream, lambda f: f[0] == GOAWAY)[-1][3][4:8])[0]
    except (AssertionError, ConnectionError, ssl.SSLError):
        return None


@pytest.mark.sanitized
def test_rapid_resets_and_floods_end_the_connection(served):
    post = frame(HEADERS, END_HEADERS, 1, POST)
    floods = {
        "reset": b"".join(frame(HEADERS, END_HEADERS, n, POST) + frame(RST_STREAM, 0, n, bytes([0, 0, 0, 8])) for n in range(1, 8001, 2)),
        "answered reset": b"".join(frame(HEADERS, END_STREAM | END_HEADERS, n, get()) + frame(RST_STREAM, 0, n, bytes([0, 0, 0, 8]))
                                   for n in range(1, 8001, 2)),
        "ping": frame(PING, 0, 0, bytes(8)) * 4000,
        "settings": frame(SETTINGS, 0, 0) * 4000,
        "empty data": post + frame(DATA, 0, 1) * 4000,
        "window": frame(WINDOW_UPDATE, 0, 0, bytes([0, 0, 0, 1])) * 4000,
        "continuation": frame(HEADERS, 0, 1, POST) + frame(CONTINUATION, 0, 1) * 4000,
        "errors": b"".join(frame(HEADERS, END_STREAM | END_HEADERS, n, b"\x82\x87\x84" + literal(b":authority", b"x"))
                           for n in range(1, 8001, 2)),
    }
    for what, flood in floods.items():
        with connect(served, "h2") as stream:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                stream.sendall(PREFACE + flood)
            stream.settimeout(50)
            assert goaway(stream) in (0xb, 0x1, None), what  # ENHANCE_YOUR_CALM; None: cut off while we still sent
            started = time.monotonic()
            read_all(stream)
            assert time.monotonic() - started < 50, f"{what}: still open"
    assert answers(served)


@pytest.mark.sanitized
def test_too_many_streams_are_refused_and_unread_answers_wait(served):
    with connect(served, "h2") as stream:
        stream.sendall(PREFACE + b"".join(frame(HEADERS, END_HEADERS, n, POST) for n in range(1, 301, 2)))
        got = frames(stream, lambda f: f[0] == RST_STREAM and f[2] == 299)
        refused = [f for f in got if f[0] == RST_STREAM]
        assert len(refused) == 50 and {f[3] for f in refused} == {struct.pack(">I", 7)}
    closed = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))  # windows of no bytes
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stream = stack.enter_context(connect(served, "h2"))
            stream.sendall(PREFACE + closed + b"".join(
                frame(HEADERS, END_STREAM | END_HEADERS, n, get("big0.example.com", "TXT")) for n in range(1, 181, 2)))
        assert answers(served)


@pytest.mark.idle(1500)
def test_slow_headers_bodies_and_silence_are_cut_off_and_harm_nobody(served):
    head = b"POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\nContent-Length: 100\r\n\r\n"
    drips = [b"GET /dns-query?dns=" + b"A" * 4000, head[:-2] + b"X: " + b"y" * 4000, head + bytes(99), b"",
             PREFACE, PREFACE + frame(HEADERS, END_HEADERS, 1, POST) + b"".join(frame(DATA, 0, 1, b"x") for _ in range(99))]
    slow = []
    for number in range(120):
        drip = drips[number % len(drips)]
        stream = connect(served, *(["h2"] if drip.startswith(b"PRI") else ["http/1.1"]))
        slow.append((stream, drip, 0))
    begun = time.monotonic()
    alive = len(slow)
    while alive and time.monotonic() - begun < 120:
        rest = []
        for stream, drip, at in slow:
            try:
                stream.sendall(drip[at:at + 1])
                stream.settimeout(0.001)
                with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                    if stream.recv(65536) == b"":
                        raise ConnectionResetError
                stream.settimeout(60)
                rest.append((stream, drip, at + 1))
            except (ConnectionError, ssl.SSLError):
                stream.close()
        slow, alive = rest, len(rest)
        assert answers(served)
    assert alive == 0, "a drip keeps a connection beyond dns.tcp-idle-ms"


@pytest.mark.sanitized
@pytest.mark.idle(1500)
def test_garbage_and_wrong_protocols_are_closed(served):
    for alpn, data in (("h2", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ("h2", bytes(1000)), ("h2", PREFACE + frame(DATA, 0, 1, b"x" * 100)),
                       ("h2", PREFACE + b"\xff\xff\xff\0\0\0\0\0\1"), ("h2", PREFACE + frame(HEADERS, 5, 1, b"\xff" * 50)),
                       ("http/1.1", PREFACE), ("http/1.1", bytes(10000)), ("http/1.1", b"\n" * 20000 + b"x\n\n\r\n\r\n"),
                       ("http/1.1", struct.pack(">H", 33) + query_of() + b"\r\n\r\n")):
        with connect(served, alpn) as stream:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                stream.sendall(data)
            stream.settimeout(120)
            read_all(stream)
    plain = socket.create_connection(served.https, timeout=120)
    plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP/1" not in read_all(plain)
    assert answers(served)


@pytest.mark.idle(1500)
def test_thousands_of_connections_and_no_descriptors_left(served):
    """Plain, TLS and HTTPS clients that stay; then descriptors run out. Packets are always answered."""
    held = []
    kept = []
    try:
        for number in range(1500):
            source = (f"127.0.{number % 7 + 1}.{number % 200 + 1}", 0)
            target = (served.https, served.tls, served.dns)[number % 3]
            held.append(socket.create_connection(target, timeout=60, source_address=source))
            if number % 100 == 0:
                assert served.dig(NAME, "A").data == ["192.0.2.1"]
        assert served.dig(NAME, "A").data == ["192.0.2.1"]
        wait_for(lambda: answers_again(served), 10, "those that were silent longest make room")
        for stream in held:
            stream.close()
        held.clear()
        before = resource.prlimit(served.pid, resource.RLIMIT_NOFILE)
        wait_for(lambda: len(list((served.proc / "fd").iterdir())) < 200, 10)
        now = len(list((served.proc / "fd").iterdir()))
        resource.prlimit(served.pid, resource.RLIMIT_NOFILE, (now + 20, before[1]))
        for number in range(100):
            with contextlib.suppress(OSError):
                kept.append(socket.create_connection((served.https, served.dns)[number % 2], timeout=60))
        for _ in range(20):
            assert served.dig(NAME, "A").data == ["192.0.2.1"]
        resource.prlimit(served.pid, resource.RLIMIT_NOFILE, before)
        for stream in kept:
            stream.close()
        wait_for(lambda: answers_again(served), 10)
    finally:
        for stream in held + kept:
            stream.close()
    served.assert_running()


@pytest.mark.sanitized
def test_certificates_change_under_load_without_a_lost_query(served):
    stop = threading.Event()
    failures, served_count, seen = [], [0], set()

    def client(fresh):
        try:
            while not stop.is_set():
                with connect(served, "h2") as stream:
                    seen.add(stream.getpeercert(True))
                    stream.sendall(PREFACE)
                    for number in range(1, 3 if fresh else 201, 2):
                        stream.sendall(frame(HEADERS, END_STREAM | END_HEADERS, number, get()))
                        got = frames(stream, lambda f: f[0] == DATA and f[1] & END_STREAM)
                        assert len(dns.message.from_wire(got[-1][3]).answer) == 1
                        served_count[0] += 1
        except Exception as error:  # noqa: BLE001: all of them are failures
            failures.append(error)
    threads = [threading.Thread(target=client, args=(fresh,)) for fresh in (True, True, False)]
    for thread in threads:
        thread.start()
    for number in range(10):
        make_certificate(served.certificates, f"doh{number}.example.com")
        before = served.log.read_text().count("config.reloaded")
        served.reload()
        wait_for(lambda: served.log.read_text().count("config.reloaded") > before)
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert served_count[0] > 50 and len(seen) >= 5
    assert "dns.certificate_kept" not in served.log.read_text()
