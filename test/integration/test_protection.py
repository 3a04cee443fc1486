"""What guards the DNS server: cookies, the rate limit. Asked with dnspython, from source addresses that a test makes up."""

import json
import os
import socket
import subprocess
import time
from types import SimpleNamespace

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from leeward import record
from peers import Knot, Nsd
from process import BUILD, clean_environment, wait_for

NAME = "www.example.com"
CLIENT = bytes.fromhex("2464c4abcf10c957")
LONG = " ".join('"' + "l" * 250 + '"' for _ in range(1))


@pytest.fixture
def make_daemon(sandbox):
    return lambda *options, **settings: sandbox.daemon(*options, **settings).start()


def serve(daemon):
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1"), record("long.example.com", "TXT", LONG))
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    return daemon


def cookie_query(cookie, name=NAME):
    return dns.message.make_query(name, "A", use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)])


def exchange(daemon, query, source="127.0.0.1", seconds=60.0):
    """The response; None when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.connect(daemon.dns)
        client.settimeout(seconds)
        client.send(query if isinstance(query, bytes) else query.to_wire())
        try:
            return dns.message.from_wire(client.recv(65535))
        except socket.timeout:
            return None


def cookie_of(response):
    found = [option.data for option in response.options if option.otype == dns.edns.OptionType.COOKIE]
    assert len(found) <= 1
    return found[0] if found else None


def log(daemon):
    return daemon.log.read_text()


def counter(daemon, name):
    node = json.loads(daemon.leeward("status", "--json").stdout)["Node"]
    return next(entry["Value"] for entry in node["DnsCounters"] if entry["Name"] == name)


# Cookies

def test_a_client_learns_a_cookie_and_uses_it(make_daemon):
    daemon = serve(make_daemon())
    learned = cookie_of(exchange(daemon, cookie_query(CLIENT)))
    assert learned[:8] == CLIENT and len(learned) == 24 and learned[8] == 1
    assert abs(int.from_bytes(learned[12:16], "big") - time.time()) < 60
    assert cookie_of(exchange(daemon, cookie_query(learned))) == learned
    wrong = learned[:-1] + bytes([learned[-1] ^ 1])
    answer = exchange(daemon, cookie_query(wrong))
    assert answer.rcode() == dns.rcode.NOERROR and len(answer.answer) == 1
    assert cookie_of(answer) != wrong
    elsewhere = cookie_of(exchange(daemon, cookie_query(learned), source="127.0.0.2"))
    assert elsewhere != learned


def test_servers_of_one_anycast_address_share_secrets_and_a_reload_rotates_them(make_daemon, tmp_path):
    secrets = tmp_path / "secrets"
    old, new = os.urandom(16).hex(), os.urandom(16).hex()
    secrets.write_text(f"# first makes\n{old}\n")
    one = serve(make_daemon("--dns-cookie-secrets", secrets))
    two = serve(make_daemon("--dns-cookie-secrets", secrets))
    learned = cookie_of(exchange(one, cookie_query(CLIENT)))
    assert cookie_of(exchange(two, cookie_query(learned))) == learned
    secrets.write_text(f"{new}\n{old}\n")
    one.reload()
    fresh = wait_for(lambda: (got := cookie_of(exchange(one, cookie_query(learned)))) != learned and got, 5, "rotated")
    assert cookie_of(exchange(one, cookie_query(fresh))) == fresh
    assert cookie_of(exchange(two, cookie_query(fresh))) != fresh
    # What cannot be read leaves the secrets as they are.
    secrets.write_text("nonsense\n")
    one.reload()
    wait_for(lambda: "dns.cookies_kept" in log(one))
    assert cookie_of(exchange(one, cookie_query(fresh))) == fresh
    assert "nonsense" not in log(one)


def test_where_cookies_are_required_others_are_sent_away(make_daemon):
    daemon = make_daemon("--dns-require-cookie", "yes")
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1"))
    wait_for(lambda: daemon.dig(NAME, "A", "+tcp").data == ["192.0.2.1"])
    plain = exchange(daemon, dns.message.make_query(NAME, "A"))
    assert plain.flags & dns.flags.TC and not plain.answer
    refused = exchange(daemon, cookie_query(CLIENT))
    assert refused.rcode() == dns.rcode.BADCOOKIE and not refused.answer
    answer = exchange(daemon, cookie_query(cookie_of(refused)))
    assert answer.rcode() == dns.rcode.NOERROR and len(answer.answer) == 1
    assert daemon.dig(NAME, "A", "+cookie", "+badcookie").data == ["192.0.2.1"]


PEER_ZONE = "example.com. 60 IN SOA ns.example.com. h.example.com. 1 60 60 60 60\nexample.com. 60 IN NS ns.example.com.\n" \
            f"{NAME}. 60 IN A 192.0.2.1\n"


class KnotWithCookies(Knot):
    secret = ""

    def write(self):
        text = super().write().replace("template:\n  - id: default\n", "template:\n  - id: default\n    global-module: mod-cookies/ours\n")
        return f"mod-cookies:\n  - id: ours\n    secret: 0x{self.secret}\n    badcookie-slip: 1\n{text}"


class NsdWithCookies(Nsd):
    secret = ""

    def write(self):
        return super().write().replace("server:\n", f"server:\n    answer-cookie: yes\n    cookie-secret: {self.secret}\n", 1)


@pytest.mark.parametrize("kind", [KnotWithCookies, NsdWithCookies])
def test_cookies_of_knot_and_nsd_with_the_same_secret_are_good_here_and_ours_there(sandbox, tmp_path, kind):
    secret = os.urandom(16).hex()
    (tmp_path / "secrets").write_text(f"{secret}\n")
    peer = kind(tmp_path / "peer", sandbox.address(), {"example.com": PEER_ZONE})
    peer.secret = secret
    sandbox.add(peer).start()
    ours = serve(sandbox.daemon("--dns-cookie-secrets", tmp_path / "secrets").start())
    theirs = SimpleNamespace(dns=peer.server)

    def kept(server, cookie):
        """Whether the server gives the cookie back as it is: it is one of its own, and fresh."""
        response = exchange(server, cookie_query(cookie))
        assert response.rcode() == dns.rcode.NOERROR and len(response.answer) == 1
        return cookie_of(response) == cookie
    learned_here = cookie_of(exchange(ours, cookie_query(CLIENT)))
    learned_there = cookie_of(exchange(theirs, cookie_query(CLIENT)))
    assert len(learned_here) == len(learned_there) == 24
    assert kept(ours, learned_there) and kept(ours, learned_here)

    def twins():
        """Made in the same second both are the same bytes."""
        here, there = (cookie_of(exchange(one, cookie_query(CLIENT))) for one in (ours, theirs))
        assert here[12:16] == there[12:16]
        return here, there
    here, there = wait_for(twins)
    assert here == there
    (tmp_path / "secrets").write_text(os.urandom(16).hex() + "\n")
    ours.reload()
    wait_for(lambda: not kept(ours, learned_there), 5, "another secret")


# The rate limit

def all_come(daemon, count):
    """Waits until so many queries have been received, or no more come because the kernel had no room for them."""
    quiet_since, seen = time.monotonic(), 0
    while seen < count and time.monotonic() < quiet_since + 20:
        now = counter(daemon, "queries_udp")
        if now != seen:
            quiet_since, seen = time.monotonic(), now


def flood(daemon, query, count, source="127.0.0.1"):
    """Sends the query so many times from one socket; the responses, as bytes, and how long that took in seconds."""
    wire = query if isinstance(query, bytes) else query.to_wire()
    got = []
    before, began = counter(daemon, "queries_udp"), time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.connect(daemon.dns)
        client.settimeout(0.5)
        for _ in range(count):
            client.send(wire)
        all_come(daemon, before + count)
        took = time.monotonic() - began
        while True:
            try:
                got.append(client.recv(65535))
            except socket.timeout:
                return got, took


def test_beyond_the_limit_an_unverified_source_gets_nothing_larger_than_its_query(make_daemon):
    daemon = serve(make_daemon("--dns-rate-limit", "20", "--dns-rate-limit-slip", "2"))
    slipped = 0
    for number, query in enumerate((
            dns.message.make_query("long.example.com", "TXT"),
            dns.message.make_query("long.example.com", "TXT", use_edns=0, payload=4096, want_dnssec=True),
            dns.message.make_query("absent.example.com", "A", use_edns=0),
            dns.message.make_query("example.org", "A"),
            cookie_query(CLIENT, "long.example.com"))):
        wire = query.to_wire()
        responses, took = flood(daemon, wire, 400, source=f"127.0.{number + 1}.1")
        whole = [got for got in responses if not dns.message.from_wire(got).flags & dns.flags.TC]
        cut = [got for got in responses if dns.message.from_wire(got).flags & dns.flags.TC]
        assert 20 <= len(whole) <= 21 + 20 * took, "a second's worth, and what the flood's own time gives"
        assert (400 - len(whole)) / 2 - 90 <= len(cut) <= (400 - len(whole)) / 2 + 1, "every second one of the rest, less what is lost"
        for got in cut:
            assert len(got) <= len(wire)
            assert got[:2] == wire[:2] and not dns.message.from_wire(got).answer
        slipped += len(cut)
    assert counter(daemon, "limited_slipped") >= slipped
    assert counter(daemon, "limited_dropped") >= slipped - 5


def test_no_byte_is_gained_by_a_forged_source_beyond_the_limit(make_daemon):
    """All that a victim gets of a flood in its name, signed denials of many zones among it, against what was sent."""
    daemon = make_daemon("--dns-rate-limit", "5")
    client = daemon.client("route53")
    zones = [f"zone{number}.example" for number in range(30)]
    for zone in zones:
        daemon.create_zone(zone)
    wait_for(lambda: daemon.dig(zones[-1], "SOA").rcode == "NOERROR")
    wires = [dns.message.make_query(f"x{number}.{zones[number % 30]}", kind, use_edns=0, want_dnssec=True).to_wire()
             for number in range(3000) for kind in ("A", "ANY")]
    sent = received = 0
    before = counter(daemon, "queries_udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.77.1.1", 0))
        victim.connect(daemon.dns)
        victim.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        victim.settimeout(0.5)
        began = time.monotonic()
        for wire in wires:
            victim.send(wire)
            sent += len(wire)
        all_come(daemon, before + len(wires))
        took = time.monotonic() - began
        while True:
            try:
                received += len(victim.recv(65535))
            except socket.timeout:
                break
    burst = 5 * 4 * 1232 * (1 + took)  # what the limit itself lets through: four classes at most
    assert received - burst < sent / 2, f"{sent} bytes sent, {received} received"
    assert counter(daemon, "limited_dropped") > 2000 - 5 * 4 * took
    assert client.get_hosted_zone_count()["HostedZoneCount"] == 30


def test_neighbours_cookies_tcp_and_exempt_networks_have_no_limit(make_daemon):
    daemon = serve(make_daemon("--dns-rate-limit", "10", "--dns-rate-limit-exempt", "127.9.0.0/16"))
    query = dns.message.make_query(NAME, "A")
    learned = cookie_of(exchange(daemon, cookie_query(CLIENT), source="127.1.1.1"))
    responses, took = flood(daemon, query, 200, source="127.1.1.1")
    assert len(responses) < 200 or took > 15  # 10 a second, and every second one beyond
    assert len(flood(daemon, cookie_query(learned), 200, source="127.1.1.1")[0]) == 200
    assert len(flood(daemon, query, 200, source="127.9.1.1")[0]) == 200
    assert len(exchange(daemon, query, source="127.1.2.1").answer) == 1
    for _ in range(30):
        assert daemon.dig(NAME, "A", "+tcp").data == ["192.0.2.1"]


@pytest.mark.parametrize("option, value", [("--dns-rate-limit-exempt", "127.0.0.0/33"), ("--dns-rate-limit-exempt", "x"),
                                           ("--dns-rate-limit", "-1"), ("--dns-cookie-secrets", "/nonexistent")])
def test_wrong_settings_are_refused_by_name(tmp_path, option, value):
    run = subprocess.run([BUILD / "leewardd", "--data", tmp_path / "data", "--api", "127.0.0.1:0", "--dns", "127.0.0.1:0",
                          option, value], capture_output=True, text=True, timeout=60, env=clean_environment())
    assert run.returncode != 0
    assert option.removeprefix("--dns-") in run.stderr
