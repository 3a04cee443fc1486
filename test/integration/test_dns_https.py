"""DNS over HTTPS (RFC 8484): curl and kdig as clients, HTTP/1.1 and HTTP/2 spoken by hand, clients that mean harm."""

import base64
import socket
import ssl
import struct
import subprocess
import time

import dns.message
import dns.rcode
import pytest

from leeward import dig, record
from process import clean_environment, wait_for
from test_dns_tls import make_certificate

NAME = "www.example.com"
TYPE = "application/dns-message"


@pytest.fixture
def served(sandbox, tmp_path):
    folder = tmp_path / "tls"
    make_certificate(folder, "doh.example.com")
    daemon = sandbox.daemon("--dns-https", "127.0.0.1:0", "--dns-tls", "127.0.0.1:0", "--dns-tls-certificate", folder / "cert.pem",
                            "--dns-tls-key", folder / "key.pem", "--dns-tcp-idle-ms", "1500", "--dns-tcp-connections", "400",
                            "--metrics", "127.0.0.1:0", workers=2).start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1", ttl=77), record("two.example.com", "CNAME", NAME, ttl=30),
                  *[record(f"big{n}.example.com", "TXT", *['"' + f"{i:03}" + "x" * 200 + '"' for i in range(40)])
                    for n in range(3)])
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    line = next(line for line in daemon.output.read_text().splitlines() if line.startswith("https "))
    host, _, port = line.split()[1].rpartition(":")
    daemon.https = (host, int(port))
    daemon.certificates = folder
    return daemon


def query_of(name=NAME, kind="A", **more):
    return dns.message.make_query(name, kind, id=0, **more).to_wire()


def encode(wire):
    return base64.urlsafe_b64encode(wire).rstrip(b"=").decode()


def curl(daemon, *options, path="/dns-query", data=None):
    """(status, headers, body)"""
    run = subprocess.run(["curl", "-sS", "-i", "--max-time", "10", "--cacert", daemon.certificates / "cert.pem",
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
    run = subprocess.run(["curl", "-sS", "-v", "--max-time", "5", "--doh-insecure", "--doh-url",
                          f"https://127.0.0.1:{port}/dns-query", "--connect-timeout", "0.2", f"http://{NAME}:1/"],
                         capture_output=True, text=True, env=clean_environment())
    assert "192.0.2.1" in run.stderr
    for option in ("+https", "+https-get"):
        answer = dig(served.https, NAME, "A", "+https", option, f"+tls-ca={served.certificates / 'cert.pem'}",
                     "+tls-hostname=doh.example.com")
        assert answer.data == ["192.0.2.1"]
    assert dig(served.https, "big0.example.com", "TXT", "+https", seconds=5).rcode == "NOERROR"
    counters = subprocess.run(["curl", "-s", next(line.split()[1] for line in served.output.read_text().splitlines()
                                                  if line.startswith("metrics ")) + "/metrics"],
                              capture_output=True, text=True).stdout
    assert 'leeward_dns_queries_total{transport="https"} 5' in counters
