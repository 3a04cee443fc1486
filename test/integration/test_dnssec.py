"""Signed zones, judged by validating resolvers: unbound and BIND's delv, both with nothing but the zone's DS."""

import threading
import time

import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from process import wait_for
from validators import Validator, ZoneServer, delegation_signer, delv, write_anchor

ZONE = "signed.example"
STAGE = r"""
zone Z1 signed.example.
record Z1 signed.example. SOA ttl=900 : ns1.signed.example. host.signed.example. 1 7200 900 1209600 300
record Z1 signed.example. NS ttl=3600 : ns1.signed.example.
record Z1 ns1.signed.example. A : 192.0.2.53
record Z1 plain.signed.example. A : 192.0.2.10 | 192.0.2.9
record Z1 plain.signed.example. TXT : "b" | "a" "c" | "A"
record Z1 plain.signed.example. CAA : 0 issue "ca.example"
record Z1 fail.signed.example. A ttl=0 set=a role=primary check=c1 : 192.0.2.1
record Z1 fail.signed.example. A ttl=0 set=b role=secondary : 192.0.2.2
record Z1 alias.signed.example. A alias=Z1/fail.signed.example. evaluate
record Z1 weighted.signed.example. A ttl=0 set=a weight=1 : 192.0.2.1
record Z1 weighted.signed.example. A ttl=0 set=b weight=3 check=c1 : 192.0.2.2
record Z1 few.signed.example. A ttl=0 set=a multivalue check=c1 : 192.0.2.1
record Z1 few.signed.example. A ttl=0 set=b multivalue : 192.0.2.2
record Z1 choice.signed.example. A set=a weight=1 alias=Z1/weighted.signed.example.
record Z1 choice.signed.example. A set=b weight=1 alias=Z1/many.signed.example.
record Z1 signed.example. A alias=Z1/few.signed.example. evaluate
record Z1 empty.signed.example. A alias=Z1/absent.signed.example.
record Z1 empty.signed.example. TXT : "x"
record Z1 \052.wild.signed.example. A : 192.0.2.7
record Z1 \052.wild.signed.example. MX : 10 plain.signed.example.
record Z1 to-plain.signed.example. CNAME : plain.signed.example.
record Z1 to-wild.signed.example. CNAME : a.wild.signed.example.
record Z1 to-gone.signed.example. CNAME : gone.signed.example.
record Z1 to-other.signed.example. CNAME : www.unsigned.example.
record Z1 \052.named.signed.example. CNAME : b.wild.signed.example.
record Z1 deep.inner.signed.example. A : 192.0.2.9
record Z1 sub.signed.example. NS : ns1.sub.signed.example.
record Z1 ns1.sub.signed.example. A : 127.0.0.1
zone Z2 sub.signed.example.
record Z2 sub.signed.example. SOA ttl=900 : ns1.signed.example. host.signed.example. 1 7200 900 1209600 300
record Z2 sub.signed.example. NS ttl=3600 : ns1.sub.signed.example.
record Z2 www.sub.signed.example. A : 192.0.2.20
zone Z3 safe.signed.example.
record Z3 safe.signed.example. SOA ttl=900 : ns1.signed.example. host.signed.example. 1 7200 900 1209600 300
record Z3 safe.signed.example. NS ttl=3600 : ns1.signed.example.
record Z3 www.safe.signed.example. A : 192.0.2.30
record Z1 safe.signed.example. NS : ns1.signed.example.
zone Z4 unsigned.example.
record Z4 unsigned.example. SOA ttl=900 : ns1.signed.example. host.signed.example. 1 7200 900 1209600 300
record Z4 www.unsigned.example. A : 192.0.2.40
record Z4 alias.unsigned.example. A alias=Z1/fail.signed.example.
"""
MANY = "\n".join(f"record Z1 many.signed.example. A ttl=0 set=m{i} multivalue check=m{i} : 198.51.100.{i}"
                 for i in range(20))

# name, type, RCODE, values (None: whatever they are)
SECURE = [
    ("plain", "A", "NOERROR", ["192.0.2.10", "192.0.2.9"]),
    ("plain", "TXT", "NOERROR", ['"A"', '"a" "c"', '"b"']),
    ("plain", "CAA", "NOERROR", ['0 issue "ca.example"']),
    ("", "SOA", "NOERROR", None),
    ("", "NS", "NOERROR", ["ns1.signed.example."]),
    ("", "DNSKEY", "NOERROR", None),
    ("", "A", "NOERROR", ["192.0.2.1", "192.0.2.2"]),
    ("fail", "A", "NOERROR", ["192.0.2.1"]),
    ("alias", "A", "NOERROR", ["192.0.2.1"]),
    ("weighted", "A", "NOERROR", None),
    ("few", "A", "NOERROR", ["192.0.2.1", "192.0.2.2"]),
    ("many", "A", "NOERROR", None),
    ("choice", "A", "NOERROR", None),
    ("q.wild", "A", "NOERROR", ["192.0.2.7"]),
    ("q.r.wild", "MX", "NOERROR", ["10 plain.signed.example."]),
    ("to-plain", "A", "NOERROR", ["192.0.2.10", "192.0.2.9"]),
    ("to-wild", "A", "NOERROR", ["192.0.2.7"]),
    ("z.named", "A", "NOERROR", ["192.0.2.7"]),
    ("safe", "DS", "NOERROR", None),
    ("www.safe", "A", "NOERROR", ["192.0.2.30"]),
    ("gone", "A", "NXDOMAIN", []),
    ("a.b.gone", "A", "NXDOMAIN", []),
    ("to-gone", "A", "NXDOMAIN", []),
    ("deeper.deep.inner", "A", "NXDOMAIN", []),
    ("plain", "MX", "NOERROR", []),
    ("fail", "AAAA", "NOERROR", []),
    ("empty", "A", "NOERROR", []),
    ("inner", "A", "NOERROR", []),
    ("wild", "A", "NOERROR", []),
    ("q.wild", "TXT", "NOERROR", []),
    ("z.named", "TXT", "NOERROR", []),
    ("sub", "DS", "NOERROR", []),
]
# Below a delegation without DS, or behind a CNAME to an unsigned zone.
INSECURE = [
    ("www.sub", "A", "NOERROR", ["192.0.2.20"]),
    ("gone.sub", "A", "NXDOMAIN", []),
    ("to-other", "A", "NOERROR", ["192.0.2.40"]),
]


@pytest.fixture
def zones(sandbox):
    server = sandbox.add(ZoneServer())
    server.run(STAGE + MANY + "\nsign Z1\nsign Z3\npublish")
    signer = delegation_signer(server, "safe.signed.example")
    server.run(f"record Z1 safe.signed.example. DS : {signer.to_text()}\npublish")
    return server


@pytest.fixture
def unbound(sandbox, zones):
    address = sandbox.address()
    return sandbox.add(Validator(sandbox.folder / "validator", address, zones,
                                 {ZONE: delegation_signer(zones, ZONE)}, [ZONE, "unsigned.example"])).start()


@pytest.fixture
def anchor(sandbox, zones):
    return write_anchor(sandbox.folder / "anchor", ZONE, delegation_signer(zones, ZONE))


def _full(name):
    return f"{name}.{ZONE}." if name else f"{ZONE}."


def test_unbound_validates_every_kind_of_answer(unbound):
    for name, kind, rcode, values in SECURE:
        got = unbound.ask(_full(name), kind)
        assert got[:2] == (rcode, True), f"{name} {kind}: {got}"
        assert values is None or got[2] == values, f"{name} {kind}: {got}"
    for name, kind, rcode, values in INSECURE:
        assert unbound.ask(_full(name), kind) == (rcode, False, values), f"{name} {kind}"


def test_delv_validates_every_kind_of_answer(zones, anchor):
    for name, kind, _, values in SECURE:
        said = delv(zones, anchor, ZONE, _full(name), kind)
        # Behind a CNAME delv shows that first, and a denial as what its cache holds.
        negative = values == [] and not name.startswith(("to-", "z."))
        expected = "; negative response, fully validated" if negative else "; fully validated"
        assert expected in said and "unsigned" not in said, f"{name} {kind}:\n{said}"
    for name, kind, *_ in INSECURE:
        said = delv(zones, anchor, ZONE, _full(name), kind)
        # What is not below the anchor delv calls authoritative at most.
        assert "unsigned answer" in said or "; authoritative" in said, f"{name} {kind}:\n{said}"


def test_signatures_come_only_when_they_are_asked_for(zones):
    for name, kind, *_ in SECURE + INSECURE:
        answer = zones.ask(_full(name), kind, want_dnssec=False)
        types = {rrset.rdtype for rrset in answer.answer + answer.authority + answer.additional}
        assert not types & {dns.rdatatype.RRSIG, dns.rdatatype.NSEC}, f"{name} {kind}"
    answer = zones.ask("alias.unsigned.example.", "A")
    assert [rrset.rdtype for rrset in answer.answer] == [dns.rdatatype.A]


def test_glue_and_delegations_carry_no_signatures(zones):
    answer = zones.ask("www.sub2.signed.example.", "A")
    assert dns.rcode.to_text(answer.rcode()) == "NXDOMAIN"
    zones.run("record Z1 sub2.signed.example. NS : ns1.sub2.signed.example.\n"
              "record Z1 ns1.sub2.signed.example. A : 192.0.2.99\npublish")
    answer = zones.ask("www.sub2.signed.example.", "A")
    covered = {r.type_covered for rrset in answer.authority if rrset.rdtype == dns.rdatatype.RRSIG for r in rrset}
    assert covered == {dns.rdatatype.NSEC}
    assert {rrset.rdtype for rrset in answer.additional} == {dns.rdatatype.A}


@pytest.mark.serial
def test_a_name_that_fails_over_is_valid_at_every_moment(zones, unbound, anchor):
    """100 flips, while both validators ask all the time: no SERVFAIL, nothing bogus, and only what was current."""
    names = [("fail", {"192.0.2.1", "192.0.2.2"}), ("alias", {"192.0.2.1", "192.0.2.2"}),
             ("weighted", {"192.0.2.1", "192.0.2.2"}), ("few", {"192.0.2.1", "192.0.2.2"}),
             ("many", {f"198.51.100.{i}" for i in range(20)}), ("gone", set())]
    problems, asked, done = [], {"unbound": 0, "delv": 0}, threading.Event()

    def ask_unbound():
        while not done.is_set():
            for name, allowed in names:
                rcode, valid, values = unbound.ask(_full(name), "A")
                if rcode != ("NOERROR" if allowed else "NXDOMAIN") or not valid or not set(values) <= allowed:
                    problems.append((name, rcode, valid, values))
                asked["unbound"] += 1

    def ask_delv():
        while not done.is_set():
            for name, allowed in names:
                said = delv(zones, anchor, ZONE, _full(name), "A")
                if "fully validated" not in said:
                    problems.append((name, said))
                asked["delv"] += 1

    threads = [threading.Thread(target=ask) for ask in (ask_unbound, ask_delv)]
    for thread in threads:
        thread.start()
    try:
        for flip in range(100):
            zones.run("status c1 m1 m2 m3" if flip % 2 == 0 else "status")
            down = flip % 2 == 0
            now = unbound.ask(_full("fail"), "A")
            assert now == ("NOERROR", True, ["192.0.2.2" if down else "192.0.2.1"]), f"flip {flip}: {now}"
            done.wait(0.03)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[:5]
    assert asked["unbound"] > 100 and asked["delv"] > 10, asked


def test_changes_of_names_keep_the_chain_whole(zones, unbound):
    """Names come and go at the ends and in the middle; what is gone is proved gone, what is new is there."""
    for number in range(40):
        zones.run(f"record Z1 n{number:02}.signed.example. A ttl=1 : 192.0.2.{number}\npublish")
    chain = walk(zones)
    assert {f"n{number:02}.signed.example." for number in range(40)} <= set(chain)
    for number in range(0, 40, 2):
        zones.run(f"delete Z1 n{number:02}.signed.example. A\npublish")
    for number in range(40):
        got = unbound.ask(f"n{number:02}.signed.example.", "A")
        assert got[:2] == ("NXDOMAIN" if number % 2 == 0 else "NOERROR", True), f"{number}: {got}"
    # A delegation hides what is below it, and uncovers it again.
    zones.run("record Z1 inner.signed.example. NS : ns1.signed.example.\npublish")
    assert "deep.inner.signed.example." not in walk(zones)
    zones.run("delete Z1 inner.signed.example. NS\npublish")
    assert "deep.inner.signed.example." in walk(zones)
    assert unbound.ask("deep.inner.signed.example.", "A") == ("NOERROR", True, ["192.0.2.9"])


def test_an_alias_stays_valid_when_its_name_gets_and_loses_other_records(zones, anchor):
    for name in ("alias", "few", "many", "choice", "fail", "weighted", ""):
        for change in (f'record Z1 {_full(name)} TXT : "x"', f'record Z1 {_full(name)} TXT : "y"', f"delete Z1 {_full(name)} TXT"):
            zones.run(f"{change}\npublish")
            said = delv(zones, anchor, ZONE, _full(name), "A")
            assert "fully validated" in said, f"{change}:\n{said}"


def walk(server, limit=500):
    """The owners of the NSEC chain, from the apex round to the apex; each must lead on in canonical order."""
    apex = dns.name.from_text(ZONE)
    names, name = [], apex
    while len(names) < limit:
        below = dns.name.Name((name.labels[0] + b"\0",) + name.labels[1:]) if name != apex else name
        answer = server.ask(below, "NSEC" if name == apex else "A")
        found = [r for r in answer.answer + answer.authority
                 if r.rdtype == dns.rdatatype.NSEC and r.name == name]
        assert found, f"no NSEC of {name}:\n{answer}"
        names.append(name.to_text())
        after = found[0][0].next
        if after == apex:
            return names
        assert after > name, f"{after} stands behind {name}"
        name = after
    raise AssertionError("the chain does not end")


def test_keys_change_while_the_zone_is_served(zones, sandbox):
    zones.run("sign Z1\npublish\nrefresh")
    fresh = Validator(sandbox.folder / "fresh", sandbox.address(), zones,
                      {ZONE: delegation_signer(zones, ZONE)}, [ZONE, "unsigned.example"])
    sandbox.add(fresh).start()
    for name, kind, rcode, _ in SECURE:
        got = fresh.ask(_full(name), kind)
        assert got[:2] == (rcode, True), f"{name} {kind}: {got}"
    zones.run("unsign Z1\npublish")
    answer = zones.ask("plain.signed.example.", "A")
    assert [rrset.rdtype for rrset in answer.answer] == [dns.rdatatype.A]
    assert not zones.ask(ZONE, "DNSKEY").answer


def test_a_clock_that_went_ahead_and_back_leaves_only_valid_signatures(zones, unbound):
    def signatures(name, kind):
        answer = zones.ask(_full(name), kind)
        return [r for rrset in answer.answer + answer.authority if rrset.rdtype == dns.rdatatype.RRSIG for r in rrset]

    def all_are_valid():
        return all(r.inception <= time.time() for name, kind, _, _ in SECURE for r in signatures(name, kind))

    first = signatures("plain", "A")
    zones.run("refresh 60")
    assert signatures("plain", "A") == first
    # Made again, as if eight days had gone by; with the clock as it is they are not valid yet, and made once more.
    zones.run(f"refresh {8 * 86400}")
    wait_for(lambda: signatures("plain", "A") != first and all_are_valid(), 10)
    for name, kind, rcode, _ in SECURE:
        assert unbound.ask(_full(name), kind)[:2] == (rcode, True), f"{name} {kind}"
