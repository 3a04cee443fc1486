"""What guards the DNS server: cookies, the rate limit. Asked with dnspython, from source addresses that a test makes up."""

import json
import os
import socket
import subprocess
import time

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from leeward import record
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


def exchange(daemon, query, source="127.0.0.1", seconds=2.0):
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


# The rate limit

def flood(daemon, query, count, source="127.0.0.1"):
    """Sends the query so many times from one socket; the responses, as bytes."""
    wire = query if isinstance(query, bytes) else query.to_wire()
    got = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.connect(daemon.dns)
        client.settimeout(0.5)
        for _ in range(count):
            client.send(wire)
        while True:
            try:
                got.append(client.recv(65535))
            except socket.timeout:
                return got


def test_beyond_the_limit_an_unverified_source_gets_nothing_larger_than_its_query(make_daemon):
    daemon = serve(make_daemon("--dns-rate-limit", "20", "--dns-rate-limit-slip", "2"))
    for number, query in enumerate((
            dns.message.make_query("long.example.com", "TXT"),
            dns.message.make_query("long.example.com", "TXT", use_edns=0, payload=4096, want_dnssec=True),
            dns.message.make_query("absent.example.com", "A", use_edns=0),
            dns.message.make_query("example.org", "A"),
            cookie_query(CLIENT, "long.example.com"))):
        wire = query.to_wire()
        responses = flood(daemon, wire, 400, source=f"127.0.{number + 1}.1")
        whole = [got for got in responses if not dns.message.from_wire(got).flags & dns.flags.TC]
        cut = [got for got in responses if dns.message.from_wire(got).flags & dns.flags.TC]
        assert 20 <= len(whole) <= 60, "a second's worth, and what the flood's own time gives"
        assert 100 <= len(cut) <= 190, "every second one of the rest"
        for got in cut:
            assert len(got) <= len(wire)
            assert got[:2] == wire[:2] and not dns.message.from_wire(got).answer
    assert counter(daemon, "limited_slipped") >= 500
    assert counter(daemon, "limited_dropped") >= 500


def test_neighbours_cookies_tcp_and_exempt_networks_have_no_limit(make_daemon):
    daemon = serve(make_daemon("--dns-rate-limit", "10", "--dns-rate-limit-exempt", "127.9.0.0/16"))
    query = dns.message.make_query(NAME, "A")
    learned = cookie_of(exchange(daemon, cookie_query(CLIENT), source="127.1.1.1"))
    assert len(flood(daemon, query, 200, source="127.1.1.1")) < 200
    assert len(flood(daemon, cookie_query(learned), 200, source="127.1.1.1")) == 200
    assert len(flood(daemon, query, 200, source="127.9.1.1")) == 200
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
