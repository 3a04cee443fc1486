"""The rules of RFC 5936 (AXFR), RFC 1995 (IXFR), RFC 1996 (NOTIFY, beside test_transfer_failures.py) and RFC 8945 (TSIG).

Messages are made and taken apart byte by byte where a library would hide what the rule is about.
"""

import base64
import collections
import hashlib
import hmac
import struct
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.xfr
import pytest

from leeward import record
from process import wait_for
from questions import Stream, ask, question, rcode
from secondaries import (ZONE, contents, create_open_zone, make_key, serial_of, tag_zone, transfer, untag_zone,
                         wait_until_open)

SECRET = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def open_zone(daemon):
    return create_open_zone(daemon)


def incremental(serial, **more):
    query = question(ZONE, "IXFR", **more)
    query.authority.append(dns.rrset.from_text(ZONE + ".", 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    return query


def messages(server, query):
    """All messages of a transfer, as (wire, parsed with one RRset a record)."""
    found, soas = [], 0
    with Stream(server, seconds=30) as stream:
        stream.send(query)
        while soas < 2:
            wire = stream.read(struct.unpack("!H", stream.read(2))[0])
            found.append((wire, dns.message.from_wire(read_tsig(wire)[1], one_rr_per_rrset=True)))
            soas += sum(rrset.rdtype == dns.rdatatype.SOA for rrset in found[-1][1].answer)
    return found


def big(daemon, zone):
    """Enough for several messages."""
    for i in range(4):
        daemon.change(zone, *[record(f"m{i}-{k}.{ZONE}", "TXT", *[f'"{j:02d}{"y" * 240}"' for j in range(60)])
                              for k in range(2)])
    wait_for(lambda: sum(one[1] == "TXT" for one in contents(transfer(daemon.dns))) == 480)


# RFC 5936: AXFR


def test_axfr_messages_have_the_form_of_section_2_2(daemon, open_zone):
    big(daemon, open_zone)
    query = question(ZONE, "AXFR", edns=False)
    query.flags |= dns.flags.RD | dns.flags.CD
    parts = messages(daemon.dns, query)
    assert len(parts) > 1
    records = [rrset for _, message in parts for rrset in message.answer]
    assert records[0] == records[-1] and records[0].rdtype == dns.rdatatype.SOA
    assert sum(rrset.rdtype == dns.rdatatype.SOA for rrset in records) == 2
    assert len({(rrset.name, rrset.rdtype, rrset[0].to_text()) for rrset in records}) == len(records) - 1
    for wire, message in parts:
        assert message.id == query.id and message.opcode() == dns.opcode.QUERY
        assert message.flags & dns.flags.QR and message.flags & dns.flags.AA
        assert not message.flags & (dns.flags.TC | dns.flags.RA)
        assert message.rcode() == dns.rcode.NOERROR
        assert not message.authority and not message.additional
        assert len(wire) <= 65535
    assert parts[0][1].question == query.question
    assert all(message.question in ([], query.question) for _, message in parts)
    # Section 3.4: names are compressed, so that an owner takes two bytes where it stood before.
    assert parts[0][0].count(b"\x07example\x03com\x00") == 1


def test_axfr_has_delegations_glue_wildcards_and_occluded_names(daemon, open_zone):
    daemon.change(open_zone, record(f"sub.{ZONE}", "NS", f"ns.sub.{ZONE}"), record(f"ns.sub.{ZONE}", "A", "192.0.2.9"),
                  record(f"hidden.sub.{ZONE}", "TXT", '"below the cut"'), record(f"*.w.{ZONE}", "A", "192.0.2.7"),
                  record(f"deep.inner.{ZONE}", "A", "192.0.2.8"))
    wait_for(lambda: len(contents(transfer(daemon.dns))) == 9)
    assert {one for one in contents(transfer(daemon.dns)) if one[0] != "@"} == {
        ("sub", "NS", 60, "ns.sub"), ("ns.sub", "A", 60, "192.0.2.9"), ("hidden.sub", "TXT", 60, '"below the cut"'),
        ("*.w", "A", 60, "192.0.2.7"), ("deep.inner", "A", 60, "192.0.2.8")}


def test_axfr_is_one_state_of_the_zone_while_it_changes(daemon, open_zone):
    """Section 3: as if the zone stood still. Two records always change together."""
    big(daemon, open_zone)
    end = threading.Event()

    def change():
        i = 0
        while not end.is_set():
            i += 1
            daemon.change(open_zone, *[record(f"{name}.{ZONE}", "A", f"10.0.{i // 250}.{i % 250}") for name in ("a", "z")],
                          action="UPSERT")
    thread = threading.Thread(target=change)
    thread.start()
    try:
        seen = {}
        for _ in range(30):
            copy = transfer(daemon.dns)
            pair = {value for name, _, _, value in contents(copy) if name in ("a", "z")}
            assert len(pair) <= 1
            serial = copy.get_soa().serial
            assert seen.setdefault(serial, contents(copy)) == contents(copy)  # and one serial is one state
    finally:
        end.set()
        thread.join()
    assert len(seen) > 3


@pytest.mark.parametrize("name, kind, expected", [
    ("example.net", "AXFR", "NOTAUTH"), (f"www.{ZONE}", "AXFR", "NOTAUTH"), ("com", "AXFR", "NOTAUTH"),
    ("example.net", "IXFR", "NOTAUTH")])
def test_a_transfer_of_what_is_no_zone_here_is_not_authoritative(daemon, open_zone, name, kind, expected):
    query = question(name, kind)
    if kind == "IXFR":
        query = incremental(1)
        query.question = [dns.rrset.RRset(dns.name.from_text(name), 1, dns.rdatatype.IXFR)]
    assert rcode(ask(daemon.dns, None, query=query, tcp=True)) == expected


def test_axfr_over_udp_is_a_format_error(daemon, open_zone):
    assert rcode(ask(daemon.dns, None, query=question(ZONE, "AXFR"))) == "FORMERR"


def test_axfr_with_more_than_a_question_is_judged_before_anything_is_sent(daemon, open_zone):
    query = question(ZONE, "AXFR", edns=False).to_wire()
    for wire in (query[:4] + b"\0\2" + query[6:] + query[12:],  # two questions
                 query[:6] + b"\0\1" + query[8:]):  # an answer that is not there
        with Stream(daemon.dns) as stream:
            stream.send(wire)
            answer = stream.receive()
            assert (answer.rcode(), answer.answer) == (dns.rcode.FORMERR, [])


@pytest.mark.sanitized
def test_a_connection_goes_on_after_a_transfer(daemon, open_zone):
    """RFC 5936 section 4.1: further queries, and further transfers, on the same connection."""
    axfr, soa = question(ZONE, "AXFR"), question(ZONE, "SOA")
    with Stream(daemon.dns) as stream:
        stream.send(soa, axfr, soa, axfr, soa)
        for expected in (soa, axfr, soa, axfr, soa):
            answer = stream.receive()
            assert answer.id == expected.id
        stream.send(axfr)
        assert len(stream.receive().answer) == 3 - 1  # SOA at both ends is one RRset to dnspython, and NS


# RFC 1995: IXFR


def test_ixfr_of_who_is_up_to_date_is_the_soa_alone(daemon, open_zone):
    """Section 2; over UDP also where the difference would have to come over TCP."""
    serial = serial_of(daemon.dns)
    for have, tcp in ((serial, True), (serial + 1, True), (serial, False), (serial - 100000, False)):
        answer = ask(daemon.dns, None, query=incremental(have), tcp=tcp)
        assert [(rrset.rdtype, rrset[0].serial) for rrset in answer.answer] == [(dns.rdatatype.SOA, serial)]


def test_ixfr_without_the_serial_that_the_client_has_is_a_format_error(daemon, open_zone):
    assert rcode(ask(daemon.dns, None, query=question(ZONE, "IXFR"), tcp=True)) == "FORMERR"


def test_ixfr_from_a_serial_that_is_unknown_is_the_whole_zone(daemon, open_zone):
    """Section 4: the second record is no SOA then."""
    records = [rrset for _, message in messages(daemon.dns, incremental(serial_of(daemon.dns) - 100000))
               for rrset in message.answer]
    assert [rrset.rdtype for rrset in records] == [dns.rdatatype.SOA, *[dns.rdatatype.NS] * 4, dns.rdatatype.SOA]


def test_ixfr_is_condensed_deletions_before_additions(daemon, open_zone):
    first = serial_of(daemon.dns)
    for value in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        before = serial_of(daemon.dns)
        daemon.change(open_zone, record(f"www.{ZONE}", "A", value), action="UPSERT")
        wait_for(lambda before=before: serial_of(daemon.dns) > before)
    middle = transfer(daemon.dns)
    daemon.change(open_zone, record(f"www.{ZONE}", "A", "192.0.2.4"), action="UPSERT")
    wait_for(lambda: serial_of(daemon.dns) > middle.get_soa().serial)
    now = serial_of(daemon.dns)

    def sequence(serial):
        with Stream(daemon.dns) as stream:
            stream.send(incremental(serial))
            wire = stream.read(struct.unpack("!H", stream.read(2))[0])
        return [rrset[0].serial if rrset.rdtype == dns.rdatatype.SOA else rrset[0].to_text()
                for rrset in dns.message.from_wire(wire, one_rr_per_rrset=True).answer]
    assert sequence(first) == [now, first, now, "192.0.2.4", now]  # what came and went in between is not there
    assert sequence(middle.get_soa().serial) == [now, middle.get_soa().serial, "192.0.2.3", now, "192.0.2.4", now]


# RFC 8945: TSIG

Tsig = collections.namedtuple("Tsig", "algorithm time fudge mac original error other")


def read_tsig(wire, name="a.key"):
    """The TSIG record that ends the message, and the message without it; (None, wire) where it has none."""
    owner = dns.name.from_text(name).to_wire()
    start = wire.rfind(owner + b"\x00\xfa\x00\xff\x00\x00\x00\x00")
    if start < 0:
        return None, wire
    at = start + len(owner) + 10
    rdata = wire[at:]
    assert struct.unpack("!H", wire[at - 2:at])[0] == len(rdata)  # the last thing there is
    algorithm, used = dns.name.from_wire(rdata, 0)
    high, low, fudge, size = struct.unpack("!HIHH", rdata[used:used + 10])
    rest = rdata[used + 10 + size:]
    original, error, other = struct.unpack("!HHH", rest[:6])
    assert len(rest) == 6 + other
    stripped = wire[:10] + struct.pack("!H", struct.unpack("!H", wire[10:12])[0] - 1) + wire[12:start]
    return Tsig(algorithm.to_text(), high << 32 | low, fudge, rdata[used + 10:used + 10 + size], original, error,
                rest[6:]), stripped


def variables(name, algorithm, moment, fudge, error=0, other=b""):
    return (dns.name.from_text(name).to_wire() + b"\x00\xff\x00\x00\x00\x00" + dns.name.from_text(algorithm).to_wire() +
            struct.pack("!HIH", moment >> 32, moment & 0xffffffff, fudge) + struct.pack("!HH", error, len(other)) + other)


def sign(query, key, moment=None, fudge=300, size=None, corrupt=False):
    """The query's bytes with a TSIG record; size: of a truncated MAC."""
    wire = query if isinstance(query, bytes) else query.to_wire()
    moment = int(time.time()) if moment is None else moment
    digest = getattr(hashlib, key["algorithm"].rstrip(".").removeprefix("hmac-"))
    mac = hmac.new(base64.b64decode(key["secret"]), wire + variables(key["name"], key["algorithm"], moment, fudge),
                   digest).digest()[:size]
    if corrupt:
        mac = bytes([mac[0] ^ 1]) + mac[1:]
    rdata = (dns.name.from_text(key["algorithm"]).to_wire() + struct.pack("!HIHH", moment >> 32, moment & 0xffffffff,
                                                                         fudge, len(mac)) +
             mac + wire[:2] + b"\0\0\0\0")
    return (wire[:10] + struct.pack("!H", struct.unpack("!H", wire[10:12])[0] + 1) + wire[12:] +
            dns.name.from_text(key["name"]).to_wire() + struct.pack("!HHIH", 250, 255, 0, len(rdata)) + rdata, mac)


def exchanged(server, wire):
    with Stream(server) as stream:
        stream.send(wire)
        return stream.read(struct.unpack("!H", stream.read(2))[0])


@pytest.fixture(params=["hmac-sha256", "hmac-sha384", "hmac-sha512"])
def key(request, daemon):
    made = make_key(daemon, "a.key", "--algorithm", request.param)
    wait_for(lambda: read_tsig(exchanged(daemon.dns, sign(question(ZONE, "SOA"), made)[0]))[0].error == 0)
    return made


@pytest.mark.sanitized
def test_a_signed_query_gets_a_signed_answer(daemon, open_zone, key):
    """Section 5.3: the MAC covers the request's, the answer and its own variables; section 5.2.3: times."""
    wire, mac = sign(question(ZONE, "SOA"), key)
    tsig, answer = read_tsig(exchanged(daemon.dns, wire))
    assert (tsig.error, tsig.other, tsig.fudge) == (0, b"", 300)
    assert abs(tsig.time - time.time()) < 120
    digest = getattr(hashlib, key["algorithm"].removeprefix("hmac-"))
    covered = struct.pack("!H", len(mac)) + mac + answer + variables(key["name"], key["algorithm"], tsig.time, tsig.fudge)
    assert tsig.mac == hmac.new(base64.b64decode(key["secret"]), covered, digest).digest()
    assert read_tsig(exchanged(daemon.dns, question(ZONE, "SOA").to_wire()))[0] is None


def test_every_message_of_a_transfer_is_signed_in_a_chain(daemon, open_zone, key):
    """Section 5.3.1: the first as an answer; those that follow cover the MAC before and the times alone."""
    big(daemon, open_zone)
    wire, prior = sign(question(ZONE, "AXFR"), key)
    parts = messages(daemon.dns, wire)
    assert len(parts) > 1
    digest = getattr(hashlib, key["algorithm"].removeprefix("hmac-"))
    for i, (part, _) in enumerate(parts):
        tsig, message = read_tsig(part)
        own = variables(key["name"], key["algorithm"], tsig.time, tsig.fudge)
        if i > 0:
            own = struct.pack("!HIH", tsig.time >> 32, tsig.time & 0xffffffff, tsig.fudge)
        covered = struct.pack("!H", len(prior)) + prior + message + own
        assert tsig.mac == hmac.new(base64.b64decode(key["secret"]), covered, digest).digest(), i
        prior = tsig.mac


def test_a_forwarder_may_change_the_id(daemon, open_zone, key):
    """Section 5.2: the original id is what was signed."""
    wire, _ = sign(question(ZONE, "SOA"), key)
    other = bytes([wire[0] ^ 0xff]) + wire[1:]
    answer = exchanged(daemon.dns, other)
    assert answer[:2] == other[:2] and read_tsig(answer)[0].error == 0


def test_a_key_or_algorithm_that_is_not_known_is_badkey(daemon, open_zone, key):
    """Section 5.2.1: NOTAUTH, and the answer is not signed."""
    for wrong in ({**key, "name": "unknown.key"}, {**key, "algorithm": "hmac-sha1"},
                  {**key, "algorithm": "hmac-sha256" if key["algorithm"] != "hmac-sha256" else "hmac-sha512"}):
        answer = exchanged(daemon.dns, sign(question(ZONE, "AXFR"), wrong)[0])
        tsig, _ = read_tsig(answer, wrong["name"])
        assert (tsig.error, answer[3] & 15, tsig.mac) == (dns.rcode.BADKEY, 9, b"")


def test_what_was_tampered_with_is_badsig(daemon, open_zone, key):
    """Section 5.2.2: NOTAUTH, not signed."""
    tampered, _ = sign(question(ZONE, "AXFR"), key)
    for wire in (sign(question(ZONE, "AXFR"), {**key, "secret": base64.b64encode(b"x" * 32).decode()})[0],
                 sign(question(ZONE, "AXFR"), key, corrupt=True)[0],
                 tampered[:2] + bytes([tampered[2] ^ 1]) + tampered[3:]):  # RD
        answer = exchanged(daemon.dns, wire)
        tsig, _ = read_tsig(answer)
        assert (tsig.error, answer[3] & 15, tsig.mac) == (dns.rcode.BADSIG, 9, b"")


@pytest.mark.parametrize("late", [-400, 400])
def test_a_clock_that_is_off_is_badtime(daemon, open_zone, key, late):
    """Section 5.2.3: signed, with the client's time, and the server's in other data."""
    moment = int(time.time()) + late
    wire, mac = sign(question(ZONE, "AXFR"), key, moment=moment)
    received = exchanged(daemon.dns, wire)
    tsig, answer = read_tsig(received)
    assert (tsig.error, received[3] & 15, tsig.time) == (dns.rcode.BADTIME, 9, moment)
    assert len(tsig.other) == 6 and abs(int.from_bytes(tsig.other, "big") - time.time()) < 120
    digest = getattr(hashlib, key["algorithm"].removeprefix("hmac-"))
    covered = struct.pack("!H", len(mac)) + mac + answer + variables(
        key["name"], key["algorithm"], tsig.time, tsig.fudge, tsig.error, tsig.other)
    assert tsig.mac == hmac.new(base64.b64decode(key["secret"]), covered, digest).digest()
    assert read_tsig(exchanged(daemon.dns, sign(question(ZONE, "SOA"), key, moment=moment, fudge=1000)[0]))[0].error == 0


def test_a_truncated_mac_is_taken_down_to_half(daemon, open_zone, key):
    """Section 5.2.2.1."""
    full = int(key["algorithm"].removeprefix("hmac-sha")) // 8
    tsig, _ = read_tsig(exchanged(daemon.dns, sign(question(ZONE, "SOA"), key, size=full // 2)[0]))
    assert tsig.error == 0
    for size in (full // 2 - 1, 9, 0):
        answer = exchanged(daemon.dns, sign(question(ZONE, "SOA"), key, size=size)[0])
        assert answer[3] & 15 == dns.rcode.FORMERR, size


def test_tsig_is_last_and_alone(daemon, open_zone, key):
    """Section 5.1."""
    wire, _ = sign(question(ZONE, "SOA", edns=False), key)
    twice, _ = sign(wire, key)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    behind = wire[:10] + b"\0\2" + wire[12:] + opt
    for wrong in (twice, behind):
        assert exchanged(daemon.dns, wrong)[3] & 15 == 1


def test_who_may_is_judged_by_address_and_key(daemon, open_zone):
    one = make_key(daemon, "one.key", "--secret", SECRET)
    two = make_key(daemon, "two.key")
    assert (one["secret"], one["algorithm"]) == (SECRET, "hmac-sha256")

    def may(key=None):
        try:
            return len(contents(transfer(daemon.dns, key=key))) > 0
        except dns.xfr.TransferError as error:
            assert error.rcode == dns.rcode.REFUSED
            return False
    wait_until_open(daemon, one)
    wait_until_open(daemon, two)
    for value, expected in (("#one.key", (False, True, False)), ("127.0.0.0/8#two.key", (False, False, True)),
                            ("192.0.2.1 #two.key", (False, False, True)), ("192.0.2.0/24#one.key", (False,) * 3),
                            ("127.0.0.1", (True, True, True)), ("::1 127.0.0.1/32#one.key", (False, True, False))):
        tag_zone(daemon, open_zone, transfer_to=value)
        wait_for(lambda expected=expected: (may(), may(one), may(two)) == expected, what=value)
    daemon.leeward("tsig", "delete", "one.key")
    with pytest.raises(dns.tsig.PeerBadKey):
        wait_for(lambda: not transfer(daemon.dns, key=one))
    untag_zone(daemon, open_zone, "leeward:transfer-to")
    wait_for(lambda: not may() and not may(two))


def test_keys_are_made_listed_and_deleted(daemon):
    made = make_key(daemon, "A.Key", "--algorithm", "hmac-sha512")
    assert (made["name"], made["algorithm"]) == ("a.key.", "hmac-sha512")
    assert len(base64.b64decode(made["secret"])) == 64
    listed = daemon.leeward("tsig", "list").stdout
    assert "a.key." in listed and "hmac-sha512" in listed and made["secret"] not in listed
    assert made["secret"] not in daemon.log.read_text()
    for words, sentence in ((("A.KEY",), "there is a TSIG key a.key. already"),
                            (("b.key", "--algorithm", "hmac-md5"), "hmac-md5"),
                            (("b.key", "--secret", "c2hvcnQ="), "16 to 192 bytes"),
                            (("b.key", "--secret", "not base64"), "16 to 192 bytes"),
                            (("b..key",), "is no domain name")):
        run = daemon.leeward("tsig", "create", *words, check=False)
        assert run.returncode == 1 and sentence in run.stderr, (words, run.stderr)
    daemon.restart()  # it is in the store
    wait_for(lambda: read_tsig(exchanged(daemon.dns, sign(question(ZONE, "SOA"), made)[0]))[0].error == 0)
    assert daemon.leeward("tsig", "delete", "a.key").returncode == 0
    assert daemon.leeward("tsig", "delete", "a.key", check=False).returncode == 1
    wait_for(lambda: read_tsig(exchanged(daemon.dns, sign(question(ZONE, "SOA"), made)[0]))[0].error == dns.rcode.BADKEY)
