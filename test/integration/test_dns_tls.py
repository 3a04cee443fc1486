"""DNS over TLS: kdig and openssl as clients, certificates that change, clients that are slow or speak something else."""

import os
import re
import select
import socket
import ssl
import struct
import subprocess
import time

import dns.edns
import dns.message
import dns.query
import pytest

from leeward import dig, record
from process import clean_environment, wait_for

NAME = "www.example.com"


def make_certificate(folder, name):
    folder.mkdir(exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", folder / "key.pem", "-out",
                    folder / "cert.pem"], check=True, capture_output=True)


@pytest.fixture
def served(request, sandbox, tmp_path):
    folder = tmp_path / "tls"
    idle = request.node.get_closest_marker("idle")
    make_certificate(folder, "dot.example.com")
    daemon = sandbox.daemon("--dns-tls", "127.0.0.1:0", "--dns-tls-certificate", folder / "cert.pem", "--dns-tls-key",
                            folder / "key.pem", "--dns-tcp-idle-ms", idle.args[0] if idle else 60000, "--metrics", "127.0.0.1:0",
                            workers=2).start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1"),
                  *[record(f"big{n}.example.com", "TXT", *['"' + f"{i:03}" + "x" * 200 + '"' for i in range(40)])
                    for n in range(3)])
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    line = next(line for line in daemon.output.read_text().splitlines() if line.startswith("tls "))
    host, _, port = line.split()[1].rpartition(":")
    daemon.tls = (host, int(port))
    daemon.certificates = folder
    return daemon


def connect(daemon, **settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if "alpn" in settings:
        context.set_alpn_protocols(settings["alpn"])
    if "version" in settings:
        context.minimum_version = context.maximum_version = settings["version"]
    return context.wrap_socket(socket.create_connection(daemon.tls, timeout=120))


def ask(stream, name=NAME, kind="A", **more):
    query = dns.message.make_query(name, kind, **more)
    wire = query.to_wire()
    stream.sendall(struct.pack(">H", len(wire)) + wire)
    return read(stream)


def read(stream):
    data = b""
    while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
        more = stream.recv(65536)
        assert more, "closed"
        data += more
    return dns.message.from_wire(data[2:])


def openssl(daemon, *options, send=b""):
    return subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % daemon.tls, *options], input=send, capture_output=True,
                          timeout=120, env=clean_environment())


def test_kdig_gets_answers_padded_and_with_the_name_checked(served):
    ca = served.certificates / "cert.pem"
    answer = dig(served.tls, NAME, "A", "+tls", f"+tls-ca={ca}", "+tls-hostname=dot.example.com", "+edns", "+padding")
    assert answer.data == ["192.0.2.1"]
    assert "PADDING" in answer.text
    size = int(re.search(r"Received (\d+) B", answer.text).group(1))
    assert size == 468
    assert dig(served.tls, "big0.example.com", "TXT", "+tls", seconds=5).rcode == "NOERROR"
    plain = served.dig(NAME, "A", "+edns", "+padding=64")
    assert "PADDING" not in plain.text


@pytest.mark.idle(1500)
def test_keepalive_is_told_over_tcp_and_tls_only(served):
    option = [dns.edns.GenericOption(dns.edns.OptionType(11), b"")]

    def told(response):
        return [o.data for o in response.options if o.otype == 11]
    query = dns.message.make_query(NAME, "A", use_edns=0, options=option)
    assert told(dns.query.tcp(query, served.dns[0], port=served.dns[1], timeout=60)) == [struct.pack(">H", 15)]
    assert told(dns.query.udp(query, served.dns[0], port=served.dns[1], timeout=60)) == []
    with connect(served) as stream:
        assert told(ask(stream, use_edns=0, options=option)) == [struct.pack(">H", 15)]


def test_protocol_versions_alpn_and_tickets(served):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with connect(served, version=version, alpn=["dot"]) as stream:
            assert stream.selected_alpn_protocol() == "dot"
            assert len(ask(stream).answer) == 1
    assert openssl(served, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0").returncode != 0
    with pytest.raises(ssl.SSLError):
        connect(served, alpn=["h2", "http/1.1"])
    session = served.folder / "session"
    assert openssl(served, "-tls1_2", "-sess_out", session).returncode == 0
    assert b"Reused" in openssl(served, "-tls1_2", "-sess_in", session).stdout


def test_renegotiation_is_refused(served):
    client = subprocess.Popen(["openssl", "s_client", "-tls1_2", "-connect", "%s:%d" % served.tls], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_environment())
    client.stdin.write(b"R\n")
    client.stdin.flush()
    out = b""
    try:
        while b"no renegotiation" not in out and b"handshake failure" not in out:
            assert select.select([client.stdout], [], [], 120)[0], out
            more = os.read(client.stdout.fileno(), 65536)
            assert more, out
            out += more
    finally:
        client.kill()
        client.communicate()
    with connect(served) as stream:
        assert len(ask(stream).answer) == 1


def test_many_queries_in_one_write_are_all_answered(served):
    with connect(served) as stream:
        wires = [dns.message.make_query(f"big{n % 3}.example.com", "TXT", id=n).to_wire() for n in range(60)]
        stream.sendall(b"".join(struct.pack(">H", len(w)) + w for w in wires))
        data, ids = b"", []
        while len(ids) < 60:
            more = stream.recv(65536)
            assert more
            data += more
            while len(data) >= 2 and len(data) >= 2 + struct.unpack(">H", data[:2])[0]:
                size = struct.unpack(">H", data[:2])[0]
                ids.append(struct.unpack(">H", data[2:4])[0])
                data = data[2 + size:]
        assert sorted(ids) == list(range(60))


def test_a_reload_changes_the_certificate_and_closes_nothing(served):
    with connect(served) as stream:
        assert len(ask(stream).answer) == 1
        before = stream.getpeercert(True)
        make_certificate(served.certificates, "other.example.com")
        served.reload()

        def changed():
            with connect(served) as fresh:
                return fresh.getpeercert(True) != before and len(ask(fresh).answer) == 1
        assert len(ask(stream).answer) == 1
        wait_for(changed)
        assert len(ask(stream).answer) == 1
    (served.certificates / "key.pem").write_text("nonsense")
    served.reload()
    wait_for(lambda: "dns.certificate_kept" in served.log.read_text())
    with connect(served) as fresh:
        assert len(ask(fresh).answer) == 1


@pytest.mark.idle(1500)
def test_hundreds_of_slow_and_half_handshakes_harm_nobody(served):
    rude = []
    hello = None
    with socket.socket() as listener:  # a client hello, as bytes
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % listener.getsockname()[1]],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peer, _ = listener.accept()
        hello = peer.recv(65536)
        peer.close()
        client.kill()
        client.wait()
    try:
        for number in range(300):
            stream = socket.create_connection(served.tls, timeout=60)
            stream.send([b"", hello[: len(hello) // 2], hello, os.urandom(200), b"GET / HTTP/1.1\r\n\r\n"][number % 5])
            rude.append(stream)
        for _ in range(20):
            with connect(served) as stream:
                assert len(ask(stream).answer) == 1
            assert served.dig(NAME, "A").data == ["192.0.2.1"]
        # All of them are closed when the idle time is over.
        deadline = time.monotonic() + 120
        for stream in rude:
            stream.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                while stream.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    finally:
        for stream in rude:
            stream.close()
    served.assert_running()
