"""The DNS protocol as clients and resolvers meet it: kdig, dnspython, plain sockets, and a real unbound.

Most tests only ask, and share one daemon a process with the zone below; tests of abuse and of changes have their own.
"""

import socket

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdatatype
import dns.rrset
import pytest

from conftest import Sandbox
from leeward import record
from process import wait_for
from questions import Stream, ask, data, exchange, question, rcode, records

ZONE = "example.com"
LONG = " ".join('"' + chr(97 + n % 26) * 250 + '"' for n in range(12))  # about 3,000 bytes of TXT

RECORDS = [
    record(ZONE, "MX", "10 mail.example.com", "20 mail.example.net"),
    record(ZONE, "TXT", '"v=spf1 -all"'),
    record("www.example.com", "A", "192.0.2.1", "192.0.2.2", ttl=300),
    record("www.example.com", "AAAA", "2001:db8::1", ttl=300),
    record("mail.example.com", "A", "192.0.2.25"),
    record("deep.under.empty.example.com", "TXT", '"deep"'),
    record("_sip._tcp.example.com", "SRV", "1 2 5060 www.example.com"),
    record("long.example.com", "TXT", LONG),
    record("medium.example.com", "TXT", " ".join('"' + "m" * 200 + '"' for _ in range(4))),
    # CNAMEs: a chain, circles, an end that does not exist, one without the type, one elsewhere, another zone of ours
    record("one.example.com", "CNAME", "two.example.com", ttl=11),
    record("two.example.com", "CNAME", "three.example.com", ttl=12),
    record("three.example.com", "CNAME", "www.example.com", ttl=13),
    record("self.example.com", "CNAME", "self.example.com"),
    record("round.example.com", "CNAME", "about.example.com"),
    record("about.example.com", "CNAME", "round.example.com"),
    record("dangling.example.com", "CNAME", "missing.example.com"),
    record("typeless.example.com", "CNAME", "mail.example.com"),
    record("away.example.com", "CNAME", "www.elsewhere.test"),
    record("neighbour.example.com", "CNAME", "www.example.net"),
    record("below.example.com", "CNAME", "host.child.example.com"),
    record("*.cname.example.com", "CNAME", "www.example.com"),
    # Delegations: glue in the child, glue beside it, none
    record("child.example.com", "NS", "ns1.child.example.com", "ns2.child.example.com", ttl=900),
    record("ns1.child.example.com", "A", "192.0.2.53", ttl=901),
    record("ns1.child.example.com", "AAAA", "2001:db8::53", ttl=901),
    record("ns2.child.example.com", "A", "192.0.2.54", ttl=902),
    record("sibling.example.com", "NS", "ns1.child.example.com"),
    record("far.example.com", "NS", "ns.elsewhere.test"),
    # RFC 4592 section 2.2.1
    record("*.wild.example.com", "TXT", '"this is a wildcard"', ttl=3600),
    record("*.wild.example.com", "MX", "10 host1.wild.example.com", ttl=3600),
    record("sub.*.wild.example.com", "TXT", '"this is not a wildcard"', ttl=3600),
    record("host1.wild.example.com", "A", "192.0.2.1", ttl=3600),
    record("_ssh._tcp.host1.wild.example.com", "SRV", "0 0 22 host1.wild.example.com", ttl=3600),
    record("_ssh._tcp.host2.wild.example.com", "SRV", "0 0 22 host2.wild.example.com", ttl=3600),
    record("subdel.wild.example.com", "NS", "ns.elsewhere.test", "ns.other.test", ttl=3600),
]


def insync(daemon, change):
    client = daemon.client("route53")
    wait_for(lambda: client.get_change(Id=change["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC", 10, "INSYNC")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A daemon with the records above, for tests that only ask."""
    box = Sandbox(tmp_path_factory.mktemp("dns"))
    daemon = box.daemon().start()
    daemon.zone = daemon.create_zone(ZONE)
    neighbour = daemon.create_zone("example.net")
    daemon.change(neighbour, record("www.example.net", "A", "198.51.100.1", ttl=99))
    insync(daemon, daemon.change(daemon.zone, *RECORDS))
    yield daemon
    box.close()


def owners(section):
    return {(rrset.name.to_text(), dns.rdatatype.to_text(rrset.rdtype)) for rrset in section}


def authoritative(answer):
    return bool(answer.flags & dns.flags.AA)


def truncated(answer):
    return bool(answer.flags & dns.flags.TC)


def assert_negative(answer, expected, zone=ZONE):
    """No answer; the zone's SOA alone in the authority section, with the lower of its TTL and its minimum."""
    assert rcode(answer) == expected
    assert authoritative(answer)
    (soa,) = answer.authority
    assert (soa.name.to_text(), soa.rdtype) == (f"{zone}.", dns.rdatatype.SOA)
    assert soa.ttl <= soa[0].minimum


# Positive answers


@pytest.mark.sanitized
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_kdig_gets_an_authoritative_answer(shared, transport):
    answer = shared.dig("www.example.com", "A", transport)
    assert (answer.rcode, answer.data) == ("NOERROR", ["192.0.2.1", "192.0.2.2"])
    assert "aa" in answer.flags
    assert {"ra", "tc"}.isdisjoint(answer.flags)
    assert {(r.name, r.ttl) for r in answer.answer} == {("www.example.com.", 300)}
    assert answer.authority == []


def test_the_apex_has_its_soa_and_four_name_servers(shared):
    assert len(shared.dig(ZONE, "NS").data) == 4
    (soa,) = shared.dig(ZONE, "SOA").answer
    assert soa.ttl == 900
    assert soa.data.endswith(" 1 7200 900 1209600 86400")


def test_addresses_of_what_is_pointed_at_come_along(shared):
    mx = ask(shared.dns, ZONE, "MX")
    assert data(mx, "MX") == ["10 mail.example.com.", "20 mail.example.net."]
    assert ("mail.example.com.", 60, "A", "192.0.2.25") in records(mx.additional)
    srv = ask(shared.dns, "_sip._tcp.example.com", "SRV")
    assert {("www.example.com.", "A"), ("www.example.com.", "AAAA")} == owners(srv.additional)


def test_an_rrset_is_whole_every_time(shared):
    for _ in range(50):
        assert data(ask(shared.dns, "www.example.com")) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.sanitized
def test_the_case_of_the_question_comes_back_as_it_was(shared):
    """Draft vixie-dnsext-dns0x20: a resolver compares the question byte by byte."""
    for name in ("wWw.ExAmPlE.cOm", "WWW.EXAMPLE.COM", "AnY.wIlD.eXaMpLe.CoM", "MiSsInG.eXaMpLe.CoM", "HoSt.ChIlD.eXaMpLe.cOm"):
        query = question(name, "TXT").to_wire()
        answer = exchange(shared.dns, query)
        end = 12 + len(dns.name.from_text(name).to_wire()) + 4
        assert answer[12:end] == query[12:end], name


def test_an_answer_to_another_case_is_the_same(shared):
    for name in ("WWW.example.COM", "oNe.example.com"):
        answer = ask(shared.dns, name)
        assert data(answer) == ["192.0.2.1", "192.0.2.2"]


# Negative answers (RFC 2308, RFC 8020)


@pytest.mark.sanitized
@pytest.mark.parametrize("name, kind, expected", [
    ("missing.example.com", "A", "NXDOMAIN"),
    ("deeper.missing.example.com", "A", "NXDOMAIN"),
    ("below.www.example.com", "A", "NXDOMAIN"),
    ("www.example.com", "TXT", "NOERROR"),
    ("www.example.com", "TYPE1000", "NOERROR"),
    (ZONE, "AAAA", "NOERROR"),
    ("under.empty.example.com", "TXT", "NOERROR"),
    ("empty.example.com", "A", "NOERROR"),
    ("_tcp.example.com", "SRV", "NOERROR"),
    ("other.empty.example.com", "A", "NXDOMAIN"),
    ("other.under.empty.example.com", "A", "NXDOMAIN"),
])
def test_nodata_nxdomain_and_empty_non_terminals(shared, name, kind, expected):
    answer = ask(shared.dns, name, kind)
    assert answer.answer == []
    assert_negative(answer, expected)


@pytest.mark.parametrize("ttl, minimum, expected", [(900, 30, 30), (20, 86400, 20), (60, 60, 60), (600, 0, 0)])
def test_the_soa_of_a_negative_answer_has_the_lower_ttl(daemon, ttl, minimum, expected):
    zone = daemon.create_zone(ZONE)
    soa = f"ns.example.com. hostmaster.example.com. 7 3600 600 86400 {minimum}"
    insync(daemon, daemon.change(zone, record(ZONE, "SOA", soa, ttl=ttl), action="UPSERT"))
    for kind, name in (("A", "missing.example.com"), ("AAAA", ZONE)):
        answer = ask(daemon.dns, name, kind)
        assert answer.authority[0].ttl == expected
    assert ask(daemon.dns, ZONE, "SOA").answer[0].ttl == ttl


@pytest.mark.parametrize("name", ["example.org", "com", ".", "notexample.com", "example.com.example.org"])
def test_names_outside_every_zone_are_refused(shared, name):
    answer = ask(shared.dns, name)
    assert (rcode(answer), authoritative(answer)) == ("REFUSED", False)
    assert (answer.answer, answer.authority) == ([], [])


# Wildcards: the vectors of RFC 4592 section 2.2.1


@pytest.mark.sanitized
@pytest.mark.parametrize("name, kind, values", [
    ("host3", "MX", ["10 host1.wild.example.com."]),
    ("host3", "A", []),
    ("foo.bar", "TXT", ['"this is a wildcard"']),
    ("a.b.c.d.e", "TXT", ['"this is a wildcard"']),
    ("*", "TXT", ['"this is a wildcard"']),
    ("sub.*", "TXT", ['"this is not a wildcard"']),
])
def test_wildcards_answer_with_the_name_asked_for(shared, name, kind, values):
    full = f"{name}.wild.example.com"
    answer = ask(shared.dns, full, kind)
    assert data(answer, kind) == values
    if values:
        assert (rcode(answer), owners(answer.answer)) == ("NOERROR", {(f"{full}.", kind)})
        assert answer.answer[0].ttl == 3600
    else:
        assert_negative(answer, "NOERROR")


@pytest.mark.parametrize("name, kind, expected", [
    ("host1", "MX", "NOERROR"),
    ("sub.*", "MX", "NOERROR"),
    ("_telnet._tcp.host1", "SRV", "NXDOMAIN"),
    ("_tcp.host1", "TXT", "NOERROR"),
    ("host2", "TXT", "NOERROR"),
    ("x.host1", "TXT", "NXDOMAIN"),
    ("ghost.*", "MX", "NXDOMAIN"),
    ("ghost.sub.*", "TXT", "NXDOMAIN"),
])
def test_wildcards_do_not_stand_in_below_names_that_exist(shared, name, kind, expected):
    answer = ask(shared.dns, f"{name}.wild.example.com", kind)
    assert answer.answer == []
    assert_negative(answer, expected)


def test_a_delegation_hides_the_wildcard(shared):
    answer = ask(shared.dns, "host.subdel.wild.example.com", "TXT")
    assert (rcode(answer), authoritative(answer), answer.answer) == ("NOERROR", False, [])
    assert owners(answer.authority) == {("subdel.wild.example.com.", "NS")}


def test_a_wildcard_cname_is_followed(shared):
    answer = ask(shared.dns, "any.cname.example.com")
    assert [rrset.name.to_text() for rrset in answer.answer] == ["any.cname.example.com.", "www.example.com."]
    assert data(answer) == ["192.0.2.1", "192.0.2.2"]


# CNAMEs


@pytest.mark.sanitized
def test_a_chain_of_cnames_is_followed_in_order(shared):
    answer = ask(shared.dns, "one.example.com")
    assert [(rrset.name.to_text(), rrset.ttl) for rrset in answer.answer] == [
        ("one.example.com.", 11), ("two.example.com.", 12), ("three.example.com.", 13), ("www.example.com.", 300)]
    assert (rcode(answer), authoritative(answer)) == ("NOERROR", True)


def test_a_cname_is_not_followed_when_it_is_asked_for(shared):
    answer = ask(shared.dns, "one.example.com", "CNAME")
    assert data(answer, "CNAME") == ["two.example.com."]
    assert len(answer.answer) == 1


@pytest.mark.parametrize("name, chain", [
    ("self.example.com", {"self.example.com."}), ("round.example.com", {"round.example.com.", "about.example.com."})])
def test_circles_of_cnames_end(shared, name, chain):
    for tcp in (False, True):
        answer = ask(shared.dns, name, tcp=tcp)
        assert {rrset.name.to_text() for rrset in answer.answer} == chain
        assert len(answer.answer) == len(chain)
        assert data(answer) == []


def test_the_end_of_a_chain_decides_the_rcode(shared):
    """RFC 6604: the RCODE is about the last name; its zone's SOA says for how long."""
    missing = ask(shared.dns, "dangling.example.com")
    assert data(missing, "CNAME") == ["missing.example.com."]
    assert_negative(missing, "NXDOMAIN")
    nodata = ask(shared.dns, "typeless.example.com", "AAAA")
    assert data(nodata, "CNAME") == ["mail.example.com."]
    assert_negative(nodata, "NOERROR")


def test_a_chain_that_leaves_our_zones_ends_there(shared):
    answer = ask(shared.dns, "away.example.com")
    assert (rcode(answer), authoritative(answer)) == ("NOERROR", True)
    assert data(answer, "CNAME") == ["www.elsewhere.test."]
    assert (len(answer.answer), answer.authority) == (1, [])


def test_a_chain_into_another_zone_of_ours_goes_on(shared):
    answer = ask(shared.dns, "neighbour.example.com")
    assert data(answer) == ["198.51.100.1"]


def test_a_chain_into_a_delegation_ends_with_the_referral(shared):
    answer = ask(shared.dns, "below.example.com")
    assert data(answer, "CNAME") == ["host.child.example.com."]
    assert owners(answer.authority) == {("child.example.com.", "NS")}


# Delegations


@pytest.mark.sanitized
@pytest.mark.parametrize("name, kind", [
    ("child.example.com", "A"), ("child.example.com", "NS"), ("host.child.example.com", "A"),
    ("a.b.c.child.example.com", "TXT"), ("ns1.child.example.com", "A"), ("child.example.com", "SOA")])
def test_at_and_below_a_cut_there_are_referrals_with_glue(shared, name, kind):
    answer = ask(shared.dns, name, kind)
    assert (rcode(answer), authoritative(answer), answer.answer) == ("NOERROR", False, [])
    assert records(answer.authority) == [("child.example.com.", 900, "NS", "ns1.child.example.com."),
                                         ("child.example.com.", 900, "NS", "ns2.child.example.com.")]
    assert records(answer.additional) == [("ns1.child.example.com.", 901, "A", "192.0.2.53"),
                                          ("ns1.child.example.com.", 901, "AAAA", "2001:db8::53"),
                                          ("ns2.child.example.com.", 902, "A", "192.0.2.54")]


def test_ds_at_the_cut_is_answered_by_the_parent(shared):
    answer = ask(shared.dns, "child.example.com", "DS")
    assert answer.answer == []
    assert_negative(answer, "NOERROR")


def test_glue_of_a_sibling_comes_along_and_of_a_stranger_does_not(shared):
    assert ("ns1.child.example.com.", "A") in owners(ask(shared.dns, "x.sibling.example.com").additional)
    far = ask(shared.dns, "x.far.example.com")
    assert (data(far), far.additional) == ([], [])
    assert records(far.authority) == [("far.example.com.", 60, "NS", "ns.elsewhere.test.")]


def test_a_hosted_child_zone_answers_instead_of_the_delegation(daemon):
    parent = daemon.create_zone(ZONE)
    child = daemon.create_zone("child.example.com")
    daemon.change(parent, record("child.example.com", "NS", "ns.elsewhere.test"))
    insync(daemon, daemon.change(child, record("www.child.example.com", "A", "192.0.2.7")))
    answer = ask(daemon.dns, "www.child.example.com")
    assert (data(answer), authoritative(answer)) == (["192.0.2.7"], True)
    assert_negative(ask(daemon.dns, "no.child.example.com"), "NXDOMAIN", zone="child.example.com")


# ANY (RFC 8482)


@pytest.mark.parametrize("name", [ZONE, "www.example.com", "any.wild.example.com"])
def test_any_gets_one_small_rrset(shared, name):
    answer = ask(shared.dns, name, "ANY")
    assert (rcode(answer), authoritative(answer)) == ("NOERROR", True)
    assert records(answer.answer)[0][2:] == ("HINFO", '"rfc8482" ""')
    assert len(answer.answer) == 1
    assert len(answer.to_wire()) < 100


def test_any_of_a_cname_an_absent_name_and_an_empty_one(shared):
    assert data(ask(shared.dns, "one.example.com", "ANY"), "CNAME") == ["two.example.com."]
    assert_negative(ask(shared.dns, "missing.example.com", "ANY"), "NXDOMAIN")
    assert_negative(ask(shared.dns, "empty.example.com", "ANY"), "NOERROR")


# Size and truncation


@pytest.mark.sanitized
def test_what_does_not_fit_is_truncated_and_whole_over_tcp(shared):
    for settings in ({}, {"edns": False}, {"payload": 4096}, {"payload": 512}):
        answer = ask(shared.dns, "long.example.com", "TXT", **settings)
        assert truncated(answer)
        assert answer.answer == []
        assert rcode(answer) == "NOERROR"
    whole = ask(shared.dns, "long.example.com", "TXT", tcp=True)
    assert not truncated(whole)
    assert data(whole, "TXT") == [LONG]


def test_the_size_a_client_takes_is_respected(shared):
    """About 900 bytes: too much without EDNS and for a small buffer, never more than was offered."""
    for settings, fits in (({"edns": False}, False), ({"payload": 512}, False), ({"payload": 100}, False),
                           ({"payload": 800}, False), ({"payload": 1232}, True), ({"payload": 65535}, True)):
        wire = exchange(shared.dns, question("medium.example.com", "TXT", **settings).to_wire())
        assert len(wire) <= max(512, settings.get("payload", 512))
        assert truncated(dns.message.from_wire(wire)) != fits, settings


def test_a_client_falls_back_to_tcp_by_itself(shared):
    answer = shared.dig("long.example.com", "TXT", "+ignore")
    assert "tc" in answer.flags
    answer = shared.dig("long.example.com", "TXT")
    assert "tc" not in answer.flags
    assert len(answer.answer) == 1


# EDNS (RFC 6891)


def edns_query(name=ZONE, kind="SOA", version=0, flags=0, payload=1232, options=(), **more):
    query = question(name, kind, edns=False, **more)
    query.use_edns(version, flags, payload, options=list(options))
    return query


def test_edns_is_answered_where_it_was_asked(shared):
    plain = ask(shared.dns, ZONE, "SOA", edns=False)
    assert plain.edns == -1
    answer = ask(shared.dns, ZONE, "SOA")
    assert (answer.edns, answer.payload >= 512) == (0, True)


def test_client_subnet_comes_back_with_scope_0(shared):
    option = dns.edns.ECSOption("203.0.113.0", 24)
    answer = ask(shared.dns, query=edns_query(options=[option]), name=None)
    (echoed,) = [o for o in answer.options if o.otype == dns.edns.ECS]
    assert (echoed.address, echoed.srclen, echoed.scopelen) == ("203.0.113.0", 24, 0)


@pytest.mark.parametrize("packet", ["two OPT records", "OPT below a name", "option cut short", "bad client subnet",
                                    "two questions", "no question", "rest", "answer in a query"])
def test_malformed_queries_are_formerr(shared, packet):
    wire = question(ZONE, "SOA", edns=False).to_wire()
    head, body = wire[:12], wire[12:]
    opt = b"\0" + b"\0\x29\x04\xd0\0\0\0\0\0\0"

    def counts(questions=1, answers=0, additional=0):
        return head[:4] + bytes([0, questions, 0, answers, 0, 0, 0, additional])
    wire = {
        "two OPT records": counts(additional=2) + body + opt + opt,
        "OPT below a name": counts(additional=1) + body + b"\x01x" + opt,
        "option cut short": counts(additional=1) + body + opt[:-2] + b"\0\x06\0\x64\0\x09ab",
        "bad client subnet": counts(additional=1) + body + opt[:-2] + b"\0\x0c\0\x08\0\x08\0\x01\x21\0\x01\x02\x03\x04",
        "two questions": counts(questions=2) + body + body,
        "no question": counts(questions=0),
        "rest": counts() + body + b"left over",
        "answer in a query": counts(answers=1) + body + b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04",
    }[packet]
    answer = exchange(shared.dns, wire)
    assert answer[:2] == wire[:2]
    assert answer[2] & 0x80
    assert answer[3] & 0xf == 1


def test_what_is_no_query_gets_no_answer(shared):
    """Answering an answer makes two servers talk forever."""
    reply = dns.message.make_response(question(ZONE, "SOA"))
    for wire in (reply.to_wire(), b"", b"\0" * 11):
        with pytest.raises(TimeoutError):
            exchange(shared.dns, wire, seconds=0.3)


# RFC 8906 section 8, and what else strangers ask


@pytest.mark.parametrize("kind, expected", [("SOA", True), ("NS", True), ("TYPE1000", False), ("TYPE65280", False)])
@pytest.mark.parametrize("tcp", [False, True])
def test_rfc_8906_plain_dns(shared, kind, expected, tcp):
    answer = ask(shared.dns, ZONE, kind, edns=False, tcp=tcp)
    assert (rcode(answer), authoritative(answer), answer.edns) == ("NOERROR", True, -1)
    assert bool(answer.answer) == expected


@pytest.mark.parametrize("bit", ["AD", "CD", "Z", "RD", "AA", "TC", "RA"])
def test_rfc_8906_header_bits(shared, bit):
    """Bits that are not ours to answer are ignored and not echoed; RD comes back, CD too, RA is never set."""
    value = 0x40 if bit == "Z" else getattr(dns.flags, bit)
    query = question(ZONE, "SOA", edns=False)
    query.flags |= value
    answer = ask(shared.dns, query=query, name=None)
    assert (rcode(answer), len(answer.answer)) == ("NOERROR", 1)
    echoed = {"RD": dns.flags.RD, "AA": dns.flags.AA, "CD": answer.flags & dns.flags.CD}.get(bit, 0)
    assert answer.flags & value == echoed
    assert not answer.flags & dns.flags.RA


@pytest.mark.parametrize("opcode", [1, 2, 3, 5, 6, 15])
def test_rfc_8906_unknown_opcodes_are_notimp(shared, opcode):
    """IQUERY, STATUS, UPDATE and DSO too. NOTIFY (4) is known: test_secondary.py."""
    query = question(ZONE, "SOA", edns=False)
    query.set_opcode(opcode)
    wire = exchange(shared.dns, query.to_wire())
    assert wire[3] & 0xf == 4
    assert wire[2] >> 3 & 0xf == opcode
    assert wire[6:8] == b"\0\0"


@pytest.mark.sanitized
@pytest.mark.parametrize("version, flags, options, payload", [
    (0, 0, [], 1232), (100, 0, [], 1232), (0, 0, [(100, b"")], 1232), (0, 0x40, [], 1232), (100, 0x40, [], 1232),
    (100, 0, [(100, b"odd")], 1232), (0, 0x8000, [], 512), (100, 0x8000, [], 4096), (1, 0, [], 1232), (255, 0xffff, [], 0),
    (0, 0, [(3, b""), (9, b""), (10, bytes(range(8))), (65001, b"x" * 100)], 1232)])
def test_rfc_8906_edns(shared, version, flags, options, payload):
    """Other versions: BADVERS with version 0. Unknown options and flags: ignored, not echoed."""
    query = edns_query(version=version, flags=flags, payload=payload,
                       options=[dns.edns.GenericOption(code, value) for code, value in options])
    for tcp in (False, True):
        answer = ask(shared.dns, query=query, name=None, tcp=tcp)
        assert answer.edns == 0
        assert answer.ednsflags & 0x7fff == 0
        assert {option.otype for option in answer.options}.isdisjoint({100, 65001})
        assert rcode(answer) == ("NOERROR" if version == 0 else "BADVERS")
        assert bool(answer.answer) == (version == 0)


def test_rfc_8906_a_truncated_answer_keeps_its_opt(shared):
    answer = ask(shared.dns, "long.example.com", "TXT", query=edns_query("long.example.com", "TXT", flags=0x8000,
                                                                         payload=512))
    assert (truncated(answer), answer.edns) == (True, 0)


@pytest.mark.parametrize("name", ["version.bind", "version.server", "hostname.bind", "id.server"])
def test_chaos_says_nothing(shared, name):
    answer = shared.dig(name, "TXT", "-c", "CH")
    assert (answer.rcode, answer.answer) == ("REFUSED", [])


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_transfers_are_refused_until_a_tag_allows_them(shared, kind):
    query = question(ZONE, kind)
    assert rcode(ask(shared.dns, query=query, name=None, tcp=True)) == "REFUSED"


# TCP (RFC 7766)


@pytest.mark.sanitized
def test_pipelined_queries_are_all_answered(shared):
    asked = (("www.example.com", "A"), ("long.example.com", "TXT"), ("missing.example.com", "A"), (ZONE, "NS")) * 50
    queries = [question(name, kind) for name, kind in asked]
    for number, query in enumerate(queries):
        query.id = number
    with Stream(shared.dns) as stream:
        stream.send(*queries)
        answers = [stream.receive() for _ in queries]
    assert sorted(answer.id for answer in answers) == list(range(len(queries)))
    for answer in answers:
        assert queries[answer.id].is_response(answer)


def test_a_query_may_come_byte_by_byte_and_two_at_once(shared):
    wire = question("www.example.com").to_wire()
    framed = len(wire).to_bytes(2, "big") + wire
    with Stream(shared.dns) as stream:
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed + framed[:7]:
            stream.socket.sendall(bytes([byte]))
        assert data(stream.receive()) == ["192.0.2.1", "192.0.2.2"]
        stream.socket.sendall(framed[7:])
        assert data(stream.receive()) == ["192.0.2.1", "192.0.2.2"]


def test_a_half_closed_connection_gets_its_answers(shared):
    with Stream(shared.dns) as stream:
        stream.send(*[question("long.example.com", "TXT")] * 20)
        stream.socket.shutdown(socket.SHUT_WR)
        for _ in range(20):
            assert data(stream.receive(), "TXT") == [LONG]
        assert stream.closed()


# Through a real resolver


@pytest.fixture(scope="module")
def resolver(shared, tmp_path_factory):
    box = Sandbox(tmp_path_factory.mktemp("resolver"))
    yield box.unbound(shared, ZONE, "example.net")
    box.close()


@pytest.mark.sanitized
@pytest.mark.parametrize("name, kind, expected, values", [
    ("www.example.com", "A", "NOERROR", ["192.0.2.1", "192.0.2.2"]),
    ("WwW.eXample.com", "AAAA", "NOERROR", ["2001:db8::1"]),
    (ZONE, "MX", "NOERROR", ["10 mail.example.com.", "20 mail.example.net."]),
    ("_sip._tcp.example.com", "SRV", "NOERROR", ["1 2 5060 www.example.com."]),
    ("missing.example.com", "A", "NXDOMAIN", []),
    ("www.example.com", "TXT", "NOERROR", []),
    ("empty.example.com", "A", "NOERROR", []),
    ("some.name.wild.example.com", "TXT", "NOERROR", ['"this is a wildcard"']),
    ("ghost.sub.*.wild.example.com", "TXT", "NXDOMAIN", []),
    ("one.example.com", "A", "NOERROR", ["192.0.2.1", "192.0.2.2", "three.example.com.", "two.example.com.",
                                         "www.example.com."]),
    ("neighbour.example.com", "A", "NOERROR", ["198.51.100.1", "www.example.net."]),
    ("dangling.example.com", "A", "NXDOMAIN", ["missing.example.com."]),
    ("long.example.com", "TXT", "NOERROR", [LONG]),
])
def test_unbound_resolves(resolver, name, kind, expected, values):
    answer = resolver.dig(name, kind)
    assert (answer.rcode, answer.data) == (expected, values)


def test_unbound_gives_up_on_a_circle_of_cnames(resolver, shared):
    """Whatever it makes of it, it ends, and both go on."""
    assert resolver.dig("round.example.com").rcode in ("SERVFAIL", "NOERROR")
    assert resolver.dig("www.example.com").rcode == "NOERROR"
    assert data(ask(shared.dns, "www.example.com")) == ["192.0.2.1", "192.0.2.2"]


def test_unbound_follows_a_delegation_with_glue(sandbox):
    """Parent and child are two daemons; the child's answers where resolvers look, on port 53 of the glue's address."""
    address = sandbox.address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 53))
        except OSError as problem:
            pytest.skip(f"cannot listen on port 53: {problem}")
    parent, child = sandbox.daemon().start(), sandbox.daemon(dns=(f"{address}:53",)).start()
    zone = child.create_zone("child.example.com")
    child.change(zone, record("child.example.com", "NS", "ns.child.example.com"), action="UPSERT")
    insync(child, child.change(zone, record("ns.child.example.com", "A", address),
                               record("www.child.example.com", "A", "192.0.2.80")))
    zone = parent.create_zone(ZONE)
    insync(parent, parent.change(zone, record("child.example.com", "NS", "ns.child.example.com"),
                                 record("ns.child.example.com", "A", address)))
    resolver = sandbox.unbound(parent, ZONE)
    answer = resolver.dig("www.child.example.com")
    assert (answer.rcode, answer.data) == ("NOERROR", ["192.0.2.80"])
    assert resolver.dig("missing.child.example.com").rcode == "NXDOMAIN"


# GetChange and TestDNSAnswer


def test_a_change_is_pending_and_then_insync(daemon):
    """INSYNC is said only once DNS serves it: what the API says INSYNC about is answered at the very next question."""
    zone = daemon.create_zone(ZONE)
    client = daemon.client("route53")
    first = daemon.change(zone, record("n.example.com", "TXT", '"0"'))["ChangeInfo"]
    assert first["Status"] == "PENDING"
    for number in range(1, 30):
        change = daemon.change(zone, record("n.example.com", "TXT", f'"{number}"'), action="UPSERT")["ChangeInfo"]
        assert change["Status"] == "PENDING"
        wait_for(lambda: client.get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "INSYNC", 10, "INSYNC", every=0.002)
        assert data(ask(daemon.dns, "n.example.com", "TXT"), "TXT") == [f'"{number}"']
    assert client.get_change(Id=first["Id"])["ChangeInfo"]["Status"] == "INSYNC"


@pytest.mark.sanitized
def test_the_aws_cli_waits_for_a_change(daemon):
    zone = daemon.create_zone(ZONE)
    batch = '{"Changes":[{"Action":"CREATE","ResourceRecordSet":{"Name":"cli.example.com","Type":"A","TTL":5,' \
            '"ResourceRecords":[{"Value":"192.0.2.9"}]}}]}'
    change = daemon.aws("route53", "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", batch)
    assert change["ChangeInfo"]["Status"] == "PENDING"
    daemon.aws("route53", "wait", "resource-record-sets-changed", "--id", change["ChangeInfo"]["Id"])
    assert data(ask(daemon.dns, "cli.example.com")) == ["192.0.2.9"]


@pytest.mark.parametrize("name, kind", [
    (ZONE, "SOA"), (ZONE, "NS"), (ZONE, "MX"), ("www.example.com", "A"), ("www.example.com", "AAAA"),
    ("long.example.com", "TXT"), ("_sip._tcp.example.com", "SRV"), ("some.wild.example.com", "TXT"),
    ("missing.example.com", "A"), ("www.example.com", "TXT"), ("empty.example.com", "A"), ("one.example.com", "CNAME"),
    ("one.example.com", "A")])
def test_testdnsanswer_says_what_dns_answers(shared, name, kind):
    answer = ask(shared.dns, name, kind, tcp=True)
    said = shared.client("route53").test_dns_answer(HostedZoneId=shared.zone, RecordName=name, RecordType=kind)
    assert said["ResponseCode"] == rcode(answer)
    served = [rdata.to_text() for rrset in answer.answer for rdata in rrset]
    assert sorted(text.rstrip(".") for text in said["RecordData"]) == sorted(text.rstrip(".") for text in served)
    assert said["Protocol"] in ("UDP", "TCP")
    assert (said["RecordName"].rstrip("."), said["RecordType"]) == (name, kind)


def test_testdnsanswer_by_the_aws_cli_follows_a_failover(daemon):
    """The primary's check is disabled and inverted: unhealthy by definition."""
    zone = daemon.create_zone(ZONE)
    check = daemon.client("route53").create_health_check(CallerReference="one", HealthCheckConfig={
        "Type": "TCP", "IPAddress": "127.0.0.1", "Port": 1, "Disabled": True, "Inverted": True})["HealthCheck"]["Id"]
    daemon.change(zone, record("www.example.com", "A", "192.0.2.1", SetIdentifier="1", Failover="PRIMARY",
                               HealthCheckId=check),
                  record("www.example.com", "A", "192.0.2.2", SetIdentifier="2", Failover="SECONDARY"))
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.2"])
    said = daemon.aws("route53", "test-dns-answer", "--hosted-zone-id", zone, "--record-name", "www.example.com",
                      "--record-type", "A", "--resolver-ip", "198.51.100.7", "--edns0-client-subnet-ip", "203.0.113.5",
                      "--edns0-client-subnet-mask", "24")
    assert (said["ResponseCode"], said["RecordData"]) == ("NOERROR", ["192.0.2.2"])


def test_a_deleted_zone_is_refused_at_once(daemon):
    zone = daemon.create_zone(ZONE)
    client = daemon.client("route53")
    wait_for(lambda: rcode(ask(daemon.dns, ZONE, "SOA")) == "NOERROR", 5, "the zone is served")
    client.delete_hosted_zone(Id=zone)
    wait_for(lambda: rcode(ask(daemon.dns, ZONE, "SOA")) == "REFUSED", 5, "the zone is gone")
