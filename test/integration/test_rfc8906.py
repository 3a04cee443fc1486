"""RFC 8906 section 8, test by test: the RFC's own dig commands, and what it expects of each answer, over UDP and TCP.

dig prints flags, section counts and the EDNS pseudosection; unknown bits come out as "MBZ". The zone is signed with
nothing, so that DO=1 is about the flag alone.
"""

import re
import subprocess

import pytest

from conftest import Sandbox
from leeward import record
from process import PATIENCE, clean_environment, wait_for

DIG = "/usr/bin/dig"
ZONE = "example.com"
LONG = " ".join('"' + chr(97 + n % 26) * 250 + '"' for n in range(12))

# section: (dig's words, what is expected). "soa" and "opt" say whether such a record has to be there.
WORKS = {"status": "NOERROR", "soa": True, "aa": True}
REFUSES = {"status": "BADVERS", "soa": False, "aa": False, "opt": True}
TESTS = {
    "8.1.1 configured for the zone": ("+noedns +noad +norec soa ZONE", {**WORKS, "opt": False}),
    "8.1.2 unknown types": ("+noedns +noad +norec type1000 ZONE", {**WORKS, "soa": False, "empty": True, "opt": False}),
    "8.1.3.1 CD=1": ("+noedns +noad +norec +cd soa ZONE", {**WORKS, "opt": False}),
    "8.1.3.2 AD=1": ("+noedns +norec +ad soa ZONE", {**WORKS, "opt": False}),
    "8.1.3.3 reserved bit": ("+noedns +noad +norec +zflag soa ZONE", {**WORKS, "opt": False}),
    "8.1.3.4 recursive queries": ("+noedns +noad +rec soa ZONE", {**WORKS, "opt": False, "rd": True}),
    "8.1.4 unknown opcodes": ("+noedns +noad +opcode=15 +norec +header-only",
                              {"status": "NOTIMP", "soa": False, "aa": False, "opt": False, "empty": True}),
    "8.1.5 TCP": ("+noedns +noad +norec +tcp soa ZONE", {**WORKS, "opt": False}),
    "8.2.1 minimal EDNS": ("+nocookie +edns=0 +noad +norec soa ZONE", {**WORKS, "opt": True}),
    "8.2.2 version negotiation": ("+nocookie +edns=1 +noednsneg +noad +norec soa ZONE", REFUSES),
    "8.2.3 unknown options": ("+nocookie +edns=0 +noad +norec +ednsopt=100 soa ZONE", {**WORKS, "opt": True}),
    "8.2.4 unknown flags": ("+nocookie +edns=0 +noad +norec +ednsflags=0x40 soa ZONE", {**WORKS, "opt": True}),
    "8.2.5 version with unknown flags": ("+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40 soa ZONE", REFUSES),
    "8.2.6 version with unknown options": ("+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 soa ZONE", REFUSES),
    "8.2.7 truncated responses": ("+norec +dnssec +bufsize=512 +ignore txt long.ZONE",
                                  {"status": "NOERROR", "soa": False, "aa": True, "opt": True, "tc": True}),
    "8.2.8 DO=1": ("+nocookie +edns=0 +noad +norec +dnssec soa ZONE", {**WORKS, "opt": True, "do": True}),
    "8.2.9 version with DO=1": ("+nocookie +edns=1 +noednsneg +noad +norec +dnssec soa ZONE", {**REFUSES, "do": True}),
    "8.2.10 several defined options": ("+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 soa ZONE",
                                       {**WORKS, "opt": True}),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    box = Sandbox(tmp_path_factory.mktemp("rfc8906"))
    daemon = box.daemon().start()
    zone = daemon.create_zone(ZONE)
    daemon.change(zone, record(f"long.{ZONE}", "TXT", LONG))
    wait_for(lambda: daemon.dig(f"long.{ZONE}", "TXT").answer, 10, "the zone is served")
    yield daemon
    box.close()


def dig(daemon, words):
    command = [DIG, f"@{daemon.dns[0]}", "-p", str(daemon.dns[1]), "+tries=1", f"+timeout={3 * PATIENCE}", "+qr",
               *words.replace("ZONE", ZONE).split()]
    run = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stdout + run.stderr
    # With +qr the query comes first; what matters is behind it.
    return run.stdout, run.stdout.split(";; Got answer:", 1)[1]


def seen(text):
    """What dig printed of the answer, in the words of the table above."""
    flags = re.search(r"^;; flags: ?([a-z ]*)[;]?(.*?); QUERY: \d+, ANSWER: (\d+)", text, re.MULTILINE)
    edns = re.search(r"^; EDNS: version: (\d+), flags:([^;]*); udp: (\d+)", text, re.MULTILINE)
    words = flags.group(1).split()
    return {
        "status": re.search(r"status: (\w+)", text).group(1),
        "soa": bool(re.search(r"^[^;].*\sIN\s+SOA\s", text, re.MULTILINE)) and int(flags.group(3)) > 0,
        "empty": int(flags.group(3)) == 0,
        "aa": "aa" in words, "rd": "rd" in words, "tc": "tc" in words, "ad": "ad" in words, "ra": "ra" in words,
        "qr": "qr" in words,
        "opt": bool(edns),
        "version": int(edns.group(1)) if edns else None,
        "do": bool(edns) and "do" in edns.group(2).split(),
        "unknown bits": "MBZ" in text,
        "option 100": "OPT=100" in text,
    }


@pytest.mark.sanitized
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("test", list(TESTS))
def test_what_rfc_8906_asks(served, test, transport):
    words, expected = TESTS[test]
    if test.startswith("8.2.7") and transport == "+tcp":
        expected = {**expected, "tc": False}
    whole, text = dig(served, f"{words} {transport}")
    answer = seen(text)
    # Of every answer: it is one, RD only as asked, never AD, RA or bits that nobody defined, version 0, no OPT=100.
    always = {"qr": True, "rd": False, "ad": False, "ra": False, "unknown bits": False, "option 100": False, "tc": False,
              "version": 0 if expected["opt"] else None}
    wanted = {**always, **expected}
    assert {key: answer[key] for key in wanted} == wanted, whole


def test_dig_is_satisfied_with_cookies_and_subnets(served):
    """8.2.10: of the options asked for, those that we know come back in their right form."""
    _, text = dig(served, TESTS["8.2.10 several defined options"][0])
    assert re.search(r"^; COOKIE: [0-9a-f]{48} \(good\)", text, re.MULTILINE), text
    assert "; CLIENT-SUBNET: 0.0.0.0/0/0" in text
