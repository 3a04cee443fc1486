"""What RFCs ask of an authoritative server and no other file looks at (docs/standards.md lists them all), with kdig,
dnspython and plain bytes.
"""

import itertools
import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from botocore.exceptions import ClientError

from conftest import Sandbox
from leeward import record
from process import wait_for
from questions import Stream, ask, data, exchange, question, rcode, records

ZONE = "example.com"
LABEL = "l" * 63
LONGEST = ".".join([LABEL, LABEL, LABEL, "x" * 49, ZONE])  # 255 bytes in a message
MANY = 130
SERVERS = [f"n{number:03}.{'s' * 60}.{'t' * 60}.{'u' * 60}.far.{ZONE}" for number in range(MANY)]
FEW = [f"ns{number:02}.few.{ZONE}" for number in range(30)]
SERVICES = {
    "HTTPS": ('1 . alpn="h2,h3" port=8443', "0 www.example.com."),
    "SVCB": ("1 pool.example.com. ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 mandatory=port port=53",
             '2 . key667="a\\001b"'),
    "SSHFP": ("4 2 123456789ABCDEF67890123456789ABCDEF67890123456789ABCDEF123456789",),
    "TLSA": ("3 1 1 " + "0123456789abcdef" * 4,),
}

RECORDS = [
    record("www.example.com", "A", "192.0.2.1"),
    record("pool.example.com", "AAAA", "2001:db8::2"),
    record("a\\000b.example.com", "TXT", '"zero"'),
    record("a\\056b.example.com", "TXT", '"dot"'),
    record("\\100\\042\\134.example.com", "TXT", '"odd"'),
    record(LONGEST, "TXT", '"longest"'),
    record("medium.example.com", "TXT", *['"' + chr(97 + n) * 100 + '"' for n in range(9)]),
    record("ttl.example.com", "A", "192.0.2.3", ttl=2147483647),
    record(f"few.{ZONE}", "NS", *FEW),
    *[record(name, "A", f"192.0.2.{number}") for number, name in enumerate(FEW)],
    *[record(f"{kind.lower()}.example.com", kind, *values) for kind, values in SERVICES.items()],
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    box = Sandbox(tmp_path_factory.mktemp("standards"))
    daemon = box.daemon().start()
    daemon.zone = daemon.create_zone(ZONE)
    daemon.change(daemon.zone, *RECORDS)
    daemon.change(daemon.zone, record(f"far.{ZONE}", "NS", *SERVERS),
                  *[record(name, "A", f"198.51.100.{number}") for number, name in enumerate(SERVERS)])
    for number in range(8):
        values = [" ".join('"' + chr(97 + n % 26) * 245 + '"' for n in range(15)) + f' "{number} {part}"' for part in range(4)]
        last = daemon.change(daemon.zone, record("huge.example.com", "TXT", *values, SetIdentifier=str(number),
                                                 MultiValueAnswer=True))
    client = daemon.client("route53")
    wait_for(lambda: client.get_change(Id=last["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC", 10, "INSYNC")
    yield daemon
    box.close()


def authoritative(answer):
    return bool(answer.flags & dns.flags.AA)


def truncated(answer):
    return bool(answer.flags & dns.flags.TC)


# RFC 1035, RFC 2181 section 11, RFC 4343: names are bytes, their case does not count


@pytest.mark.parametrize("name, text", [
    ("a\\000b.example.com", "zero"), ("a\\.b.example.com", "dot"), ('\\@\\"\\\\.example.com', "odd"), (LONGEST, "longest"),
    (LONGEST.upper(), "longest"), ("A\\000B.eXample.COM", "zero")])
def test_any_byte_may_be_in_a_label(served, name, text):
    answer = ask(served.dns, name, "TXT")
    assert (rcode(answer), data(answer, "TXT")) == ("NOERROR", [f'"{text}"'])
    assert answer.question[0].name.labels == dns.name.from_text(name).labels  # case and all


def test_a_dot_inside_a_label_parts_nothing(served):
    assert rcode(ask(served.dns, "a.b.example.com", "TXT")) == "NXDOMAIN"


def test_kdig_asks_for_the_longest_name(served):
    answer = served.dig(LONGEST, "TXT")
    assert (answer.rcode, answer.data) == ("NOERROR", ['"longest"'])


@pytest.mark.parametrize("of", ["CH", "HS", "ANY", "NONE", "CLASS999"])
def test_other_classes_are_refused(served, of):
    """RFC 1035 section 4.1.2: the zones are class IN."""
    answer = ask(served.dns, "www.example.com", rdclass=dns.rdataclass.from_text(of))
    assert (rcode(answer), answer.answer, authoritative(answer)) == ("REFUSED", [], False)


def test_compression_points_backwards_and_saves(served):
    """RFC 1035 section 4.1.4: the owner of an answer is two bytes."""
    packet = question("www.example.com", edns=False).to_wire()
    wire = exchange(served.dns, packet)
    assert wire[len(packet):len(packet) + 2] == b"\xc0\x0c"
    assert len(wire) == len(packet) + 2 + 10 + 4


# RFC 2181


def test_an_rrset_is_whole_or_not_there(served):
    """Section 9, at every size a client may take."""
    for size in range(512, 1233, 45):
        wire = exchange(served.dns, question("medium.example.com", "TXT", payload=size).to_wire())
        answer = dns.message.from_wire(wire)
        assert len(wire) <= size
        assert len(data(answer, "TXT")) == (0 if truncated(answer) else 9), size


def test_the_largest_ttl_has_31_bits(served):
    """Section 8."""
    assert ask(served.dns, "ttl.example.com").answer[0].ttl == 2147483647
    with pytest.raises(ClientError, match="2147483648"):
        served.change(served.zone, record("more.example.com", "A", "192.0.2.1", ttl=2147483648))


# RFC 3597


@pytest.mark.parametrize("kind", ["TYPE1000", "TYPE65280", "TYPE65535", "NULL", "WKS"])
def test_types_that_nobody_knows_are_nodata(served, kind):
    answer = ask(served.dns, "www.example.com", kind)
    assert (rcode(answer), answer.answer, authoritative(answer)) == ("NOERROR", [], True)
    assert [rrset.rdtype for rrset in answer.authority] == [dns.rdatatype.SOA]


# RFC 4255, RFC 6698, RFC 9460


@pytest.mark.sanitized
@pytest.mark.parametrize("kind", list(SERVICES))
def test_types_that_route53_got_late(served, kind):
    expected = sorted(dns.rdata.from_text("IN", kind, value).to_text() for value in SERVICES[kind])
    assert data(ask(served.dns, f"{kind.lower()}.example.com", kind), kind) == expected
    assert len(served.dig(f"{kind.lower()}.example.com", kind).data) == len(expected)


@pytest.mark.sanitized
@pytest.mark.parametrize("kind, value", [
    ("HTTPS", "1 . port=1 port=2"), ("HTTPS", "1 . mandatory=alpn"), ("HTTPS", "1 . no-default-alpn"), ("SVCB", "70000 ."),
    ("SVCB", "1 . ipv4hint=192.0.2"), ("SSHFP", "4 2 12"), ("TLSA", "3 1 1 xyz"), ("TLSA", "3 1")])
def test_what_they_forbid_is_refused(served, kind, value):
    with pytest.raises(ClientError, match="InvalidChangeBatch"):
        served.change(served.zone, record("wrong.example.com", kind, value))


def test_a_service_brings_addresses_along(served):
    """RFC 9460 section 4.1."""
    answer = ask(served.dns, "svcb.example.com", "SVCB")
    assert records(answer.additional) == [("pool.example.com.", 60, "AAAA", "2001:db8::2")]


# RFC 6891


def test_a_client_cannot_take_less_than_512_bytes(served):
    """Section 6.2.5: lower values count as 512."""
    for payload in (0, 1, 511):
        wire = exchange(served.dns, question("www.example.com", payload=payload).to_wire())
        assert data(dns.message.from_wire(wire)) == ["192.0.2.1"]


def test_unknown_options_are_passed_over(served):
    options = [dns.edns.GenericOption(code, b"x" * 20) for code in (0, 4, 65001, 65535)]
    query = question("www.example.com", options=options)
    answer = ask(served.dns, None, query=query)
    assert (rcode(answer), data(answer), answer.options) == ("NOERROR", ["192.0.2.1"], ())


# RFC 7766


def test_twenty_queries_in_one_segment_are_answered_with_their_ids(served):
    queries = [question("www.example.com", id=number) for number in range(20)]
    with Stream(served.dns) as stream:
        stream.send(*queries)
        assert sorted(stream.receive().id for _ in queries) == list(range(20))


def test_a_connection_survives_a_malformed_query(served):
    with Stream(served.dns) as stream:
        stream.send(b"\0\1" + b"\0" * 9 + b"\1" + b"junk")
        assert rcode(stream.receive()) == "FORMERR"
        stream.send(question("www.example.com"))
        assert data(stream.receive()) == ["192.0.2.1"]


# RFC 7830, RFC 8467


def test_nothing_is_padded_in_the_clear(served):
    query = question("www.example.com", options=[dns.edns.GenericOption(12, b"\0" * 30)])
    for tcp in (False, True):
        assert ask(served.dns, None, tcp=tcp, query=query).options == ()


# RFC 7871


def test_a_client_subnet_is_echoed_in_its_own_family_and_length(served):
    for address, length in (("203.0.113.0", 24), ("0.0.0.0", 0), ("198.51.100.7", 32), ("2001:db8::", 56), ("::", 0)):
        query = question("www.example.com", options=[dns.edns.ECSOption(address, length)])
        (echo,) = ask(served.dns, None, query=query).options
        assert (echo.address, echo.srclen, echo.scopelen) == (address, length, 0)


@pytest.mark.parametrize("octets", [b"\0\1\x18\0\xcb\0\x71\1", b"\0\1\x18\0\xcb\0", b"\0\1\x21\0\xcb\0\x71\0\0",
                                    b"\0\3\x18\0\xcb\0\x71", b"\0\1\x18\1\xcb\0\x71", b"\0\1\x17\0\xcb\0\x71"])
def test_a_wrong_client_subnet_is_formerr(served, octets):
    """Section 6: trailing bytes, too few, too long a prefix, a family nobody knows, a scope in a query, bits behind the prefix."""
    answer = ask(served.dns, None, query=question("www.example.com", options=[dns.edns.GenericOption(8, octets)]))
    assert (rcode(answer), answer.answer) == ("FORMERR", [])


# RFC 7873


def cookie_query(count, cookie):
    """A header that says `count` questions, without any, and an OPT record with a COOKIE."""
    option = struct.pack("!HH", 10, len(cookie)) + cookie
    return b"\x12\x34\0\0" + struct.pack("!4H", count, 0, 0, 1) + b"\0\0\x29\4\xd0\0\0\0\0" + struct.pack("!H", len(option)) + option


@pytest.mark.sanitized
def test_a_cookie_is_given_without_a_question(served):
    """Section 5.4: QDCOUNT 0 asks for the server's cookie alone."""
    answer = dns.message.from_wire(exchange(served.dns, cookie_query(0, b"12345678")))
    (option,) = answer.options
    assert (rcode(answer), answer.question, answer.answer) == ("NOERROR", [], [])
    assert (option.otype, option.data[:8], len(option.data)) == (10, b"12345678", 24)
    again = dns.message.from_wire(exchange(served.dns, cookie_query(0, option.data)))
    assert (rcode(again), again.options[0].data) == ("NOERROR", option.data)


@pytest.mark.parametrize("cookie", [b"", b"1234567", b"123456789", b"1" * 41])
def test_a_cookie_of_the_wrong_length_is_formerr(served, cookie):
    """Section 5.2.2."""
    assert rcode(dns.message.from_wire(exchange(served.dns, cookie_query(0, cookie)))) == "FORMERR"


def test_without_a_cookie_a_query_without_a_question_is_formerr(served):
    packet = b"\x12\x34\0\0" + struct.pack("!4H", 0, 0, 0, 0)
    assert rcode(dns.message.from_wire(exchange(served.dns, packet))) == "FORMERR"


# RFC 9471


@pytest.mark.sanitized
def test_all_glue_or_tc(served):
    """Section 2.1: thirty name servers with their addresses in 1,232 bytes, in fewer, and over TCP."""
    for size in (512, 800, 1232, 4096):
        answer = ask(served.dns, f"www.few.{ZONE}", payload=size)
        glue = sum(len(rrset) for rrset in answer.additional)
        assert (rcode(answer), answer.answer, authoritative(answer)) == ("NOERROR", [], False)
        assert truncated(answer) == (glue < len(FEW)), size
    whole = ask(served.dns, f"www.few.{ZONE}", tcp=True)
    assert (len(whole.additional), truncated(whole)) == (len(FEW), False)


@pytest.mark.sanitized
def test_glue_beyond_what_a_pointer_reaches(served):
    """130 names of 200 bytes stand 16 KiB into the message and further: those owners are written whole."""
    for query in (question(f"www.far.{ZONE}"), question(f"www.far.{ZONE}", edns=False)):
        with Stream(served.dns) as stream:
            stream.send(query)
            wire = stream.read(struct.unpack("!H", stream.read(2))[0])
        answer = dns.message.from_wire(wire)
        assert not truncated(answer) and len(wire) > 0x8000
        assert sorted(records(answer.additional)) == sorted(
            (f"{name}.", 60, "A", f"198.51.100.{number}") for number, name in enumerate(SERVERS))
    assert truncated(ask(served.dns, f"www.far.{ZONE}"))


# Answers that no message can hold


@pytest.mark.sanitized
def test_a_multivalue_answer_over_64_kib_is_as_many_records_as_fit(served):
    """Eight records of 15,000 bytes: over UDP TC, over TCP whole records, others each time."""
    assert truncated(ask(served.dns, "huge.example.com", "TXT"))
    seen = set()
    for _ in range(20):
        answer = ask(served.dns, "huge.example.com", "TXT", tcp=True)
        texts = [rdata.strings for rrset in answer.answer for rdata in rrset]
        parts = sorted(strings[-1].decode() for strings in texts)
        groups = {text.split()[0] for text in parts}
        assert (rcode(answer), truncated(answer), len(groups)) == ("NOERROR", False, 4)
        assert parts == sorted(f"{group} {part}" for group, part in itertools.product(groups, range(4)))
        seen |= groups
    assert seen == set("01234567")
