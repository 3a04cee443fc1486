"""Zones whose records come from another primary: real Knot and NSD, and primaries that lie, stall or fall silent."""

import base64
import json

import botocore.exceptions
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.tsig
import pytest

from leeward import dig, record
from primaries import FakePrimary, KnotPrimary, NsdPrimary, ns, reply, soa, zone_text
from process import wait_for
from questions import ask, question, rcode

ZONE = "example.com"


def follow(daemon, zone, *primaries, key=None):
    """Names the zone's primaries: anything with an address and a port."""
    value = " ".join(f"{one.address}:{one.port}" + (f"#{key['name']}" if key else "") for one in primaries)
    daemon.client("route53").change_tags_for_resource(
        ResourceType="hostedzone", ResourceId=zone, AddTags=[{"Key": "leeward:primary", "Value": value}])


def make_key(daemon, name):
    """name, algorithm and secret of a new TSIG key."""
    made = json.loads(daemon.leeward("tsig", "create", name, "--json").stdout)
    return {key.lower(): value for key, value in made.items()}


def state(daemon, zone):
    """What `leeward status` says of the zone."""
    zones = json.loads(daemon.leeward("status", "--json").stdout)["SecondaryZones"]
    found = [one for one in zones if one["ZoneId"] == zone]
    assert found, zones
    return found[0]


def wait_for_state(daemon, zone, wanted, error="", seconds=10, **more):
    def reached():
        now = state(daemon, zone)
        assert now["State"] == wanted and error in now["Error"], now
        assert {key: now.get(key) for key in more} == more, now
        return now
    return wait_for(reached, seconds, f"the zone is {wanted}", every=0.1)


def serial_of(server, zone=ZONE):
    answer = dig(server, zone, "SOA")
    return int(answer.data[0].split()[2]) if answer.data else None


def kinds_of_transfers(daemon):
    """kind of each transfer that the daemon logged."""
    found = []
    for line in daemon.log.read_text().splitlines():
        if "secondary.transferred" in line:
            found.append("ixfr" if "ixfr" in line else "axfr")
    return found


def test_knot_is_followed_by_notify_and_differences(sandbox, daemon):
    primary = sandbox.add(KnotPrimary(sandbox.folder / "knot", sandbox.address(), {
        ZONE: zone_text(ZONE, 10, "www IN A 192.0.2.1", "old IN A 192.0.2.9", "*.w IN TXT \"x\"")}, told=daemon.dns)).start()
    zone = daemon.create_zone(ZONE)
    follow(daemon, zone, primary)
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.1"])
    daemon.wait_for_answer(f"a.w.{ZONE}", "TXT", ['"x"'])
    assert serial_of(daemon.dns) == 10
    assert dig(daemon.dns, ZONE, "NS").data == [f"ns1.{ZONE}."]
    # SOA refresh is an hour: only NOTIFY makes this quick
    primary.put(ZONE, zone_text(ZONE, 11, "www IN A 192.0.2.1", "www IN A 192.0.2.2", "new IN MX 5 www", "*.w IN TXT \"x\""))
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.1", "192.0.2.2"])
    daemon.wait_for_answer(f"new.{ZONE}", "MX", [f"5 www.{ZONE}."])
    assert dig(daemon.dns, f"old.{ZONE}", "A").rcode == "NXDOMAIN"
    assert serial_of(daemon.dns) == 11
    assert kinds_of_transfers(daemon) == ["axfr", "ixfr"]
    assert wait_for_state(daemon, zone, "current", Serial=11)["Error"] == ""
    assert "refused" not in primary.log.read_text()


def test_nsd_is_followed_by_whole_transfers(sandbox, daemon):
    def text(serial, *lines):
        return zone_text(ZONE, serial, *lines, refresh=1, retry=1)
    primary = sandbox.add(NsdPrimary(sandbox.folder / "nsd", sandbox.address(), {
        ZONE: text(1, "www IN A 192.0.2.1", "old IN CAA 0 issue \"a\"")})).start()
    zone = daemon.create_zone(ZONE)
    follow(daemon, zone, primary)
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.1"])
    primary.put(ZONE, text(2, "www IN A 192.0.2.2"))
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.2"], seconds=10)
    assert dig(daemon.dns, f"old.{ZONE}", "CAA").rcode == "NXDOMAIN"
    wait_for_state(daemon, zone, "current", Serial=2)


def test_a_notify_that_nobody_awaits_is_notauth(daemon):
    """RFC 1996; for a zone that is unknown, one without a primary, and one with another."""
    daemon.create_zone("plain.test")
    followed = daemon.create_zone("followed.test")
    daemon.client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=followed, AddTags=[
        {"Key": "leeward:primary", "Value": "127.99.99.99:1"}])
    wait_for_state(daemon, followed, "failing", "127.99.99.99")
    for zone in ("unknown.test", "plain.test", "followed.test"):
        for tcp in (False, True):
            query = question(zone, "SOA", edns=False)
            query.set_opcode(dns.opcode.NOTIFY)
            answer = ask(daemon.dns, None, query=query, tcp=tcp)
            assert (rcode(answer), answer.opcode(), answer.answer) == ("NOTAUTH", dns.opcode.NOTIFY, [])
    query = question("followed.test", "A", edns=False)
    query.set_opcode(dns.opcode.NOTIFY)
    assert rcode(ask(daemon.dns, None, query=query)) == "FORMERR"


def test_records_of_a_zone_with_a_primary_are_not_changed_here(sandbox, daemon):
    client = daemon.client("route53")
    with FakePrimary(sandbox.address(), lambda query: [[soa(ZONE, 5), ns(ZONE), f"a.{ZONE}. 60 IN A 192.0.2.1", soa(ZONE, 5)]]) as primary:
        zone = daemon.create_zone(ZONE)
        follow(daemon, zone, primary)
        daemon.wait_for_answer(f"a.{ZONE}", "A", ["192.0.2.1"])
        for action, name in (("CREATE", "b"), ("DELETE", "a"), ("UPSERT", "a")):
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                daemon.change(zone, record(f"{name}.{ZONE}", "A", "192.0.2.1"), action=action)
            assert refused.value.response["Error"]["Code"] == "InvalidInput"
            assert "leeward:primary" in refused.value.response["Error"]["Message"]
        # without the tag it is a zone like others, with the records that came
        client.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, RemoveTagKeys=["leeward:primary"])
        daemon.change(zone, record(f"b.{ZONE}", "A", "192.0.2.2"))
        daemon.wait_for_answer(f"b.{ZONE}", "A", ["192.0.2.2"])
        # the tag again: what was changed here meanwhile goes
        follow(daemon, zone, primary)
        wait_for(lambda: daemon.dig(f"b.{ZONE}").rcode == "NXDOMAIN", 10, "the record is gone")
        assert primary.kinds == ["AXFR", "AXFR"]
        client.delete_hosted_zone(Id=zone)
        wait_for(lambda: daemon.dig(ZONE, "SOA").rcode == "REFUSED", 10, "the zone is gone")


A = f"a.{ZONE}. 60 IN A 192.0.2.1"
NEW = f"b.{ZONE}. 60 IN A 192.0.2.2"


def quick(serial, **more):
    """An SOA that has the daemon ask again every second."""
    return soa(ZONE, serial, refresh=1, retry=1, **more)


def whole(serial, *records, **more):
    return [quick(serial, **more), ns(ZONE), A, *records, quick(serial, **more)]


def stalls(query):
    yield [quick(6), ns(ZONE)]
    yield 60


def never_ends(query):
    """Records of a type that is left out, 60,000 bytes each, as fast as they are taken."""
    yield [quick(6), ns(ZONE)]
    message = reply(query, [f"x.{ZONE}. 60 IN TYPE65400 \\# 60000 {'00' * 60000}"])
    while True:
        yield message


# What a primary does instead of a good transfer: (handler, what the state says).
LIES = {
    "ends early": (lambda query: [[quick(6), ns(ZONE), NEW]], "closed the connection before the transfer's end"),
    "ends inside a message": (lambda query: [reply(query, whole(6, NEW))[:-7]],
                              "closed the connection before the transfer's end"),
    "says nothing": (lambda query: [60], "said nothing for 500 ms"),
    "stalls": (stalls, "said nothing for 500 ms"),
    "closes": (lambda query: [], "closed the connection"),
    "refuses": (lambda query: [reply(query, [], rcode=dns.rcode.REFUSED)], "refuses the transfer (REFUSED)"),
    "knows no zone": (lambda query: [reply(query, [], rcode=dns.rcode.NOTAUTH)], "refuses the transfer (NOTAUTH)"),
    "fails": (lambda query: [reply(query, [], rcode=dns.rcode.SERVFAIL)], "answers SERVFAIL"),
    "other soa at the end": (lambda query: [[*whole(6, NEW)[:-1], quick(7)]], "another SOA than it began with"),
    "same serial, other soa": (lambda query: [[*whole(6, NEW)[:-1], quick(6, primary="ns2")]],
                               "another SOA than it began with"),
    "out of zone": (lambda query: [whole(6, NEW, "b.example.net. 60 IN A 192.0.2.2")],
                    "name isn't in the zone"),
    "other class": (lambda query: [reply(query, whole(6, NEW)).replace(b"\0\x01\0\x01\0\0\0\x3c", b"\0\x01\0\x03\0\0\0\x3c")],
                    "class IN"),
    "serial goes back": (lambda query: [whole(4, NEW)], "serial 4 is older than 5"),
    "no soa first": (lambda query: [[NEW, *whole(6)]], "not in the order of a transfer"),
    "more behind the end": (lambda query: [[*whole(6), NEW]], "not in the order of a transfer"),
    "no name servers": (lambda query: [[quick(6), NEW, quick(6)]], "no NS records at its own name"),
    "steps from elsewhere": (lambda query: [[quick(6), quick(3), A, quick(6), NEW, quick(6)]],
                             "not in the order of a transfer"),
    "steps with a gap": (lambda query: [[quick(7), quick(5), A, quick(6), NEW, quick(8), quick(7), quick(7)]],
                         "not in the order of a transfer"),
    "empty message": (lambda query: [[]], "not in the order of a transfer"),
    "no message": (lambda query: [b"\0\x05short"], "malformed"),
    "no length": (lambda query: [b"\0\0"], "malformed"),
    "another answer": (lambda query: [b"\0\x0c\x12\x34\x84\0\0\0\0\0\0\0\0\0"], "no response to the query"),
}


def start_following(daemon, primary):
    zone = daemon.create_zone(ZONE)
    follow(daemon, zone, primary)
    daemon.wait_for_answer(f"a.{ZONE}", "A", ["192.0.2.1"])
    return zone


@pytest.mark.parametrize("lie", LIES)
def test_a_bad_transfer_changes_nothing_and_the_state_says_why(sandbox, lie):
    daemon = sandbox.daemon("--dns-transfer-timeout-ms", "500").start()
    handler, why = LIES[lie]
    now = {"handler": lambda query: [whole(5)]}
    with FakePrimary(sandbox.address(), lambda query: now["handler"](query)) as primary:
        zone = start_following(daemon, primary)
        now["handler"] = handler
        wait_for_state(daemon, zone, "stale", why, Serial=5)
        assert daemon.dig(f"a.{ZONE}").data == ["192.0.2.1"]
        assert daemon.dig(f"b.{ZONE}").rcode == "NXDOMAIN"
        assert serial_of(daemon.dns) == 5
        now["handler"] = lambda query: [whole(9, NEW)]
        daemon.wait_for_answer(f"b.{ZONE}", "A", ["192.0.2.2"])
        wait_for_state(daemon, zone, "current", Serial=9)


def test_a_primary_that_never_ends_is_cut(sandbox, daemon):
    now = {"handler": lambda query: [whole(5)]}
    with FakePrimary(sandbox.address(), lambda query: now["handler"](query)) as primary:
        zone = start_following(daemon, primary)
        now["handler"] = never_ends
        wait_for_state(daemon, zone, "stale", "the transfer has more than 268435456 bytes", seconds=60, Serial=5)
        assert daemon.dig(f"a.{ZONE}").data == ["192.0.2.1"]
        asked = len(primary.queries)
        wait_for(lambda: len(primary.queries) > asked, 10, "it asks again")
        assert daemon.stop() == 0  # in the middle of the next one


@pytest.mark.sanitized
def test_dead_primaries_are_passed_over(sandbox):
    daemon = sandbox.daemon("--dns-transfer-timeout-ms", "500").start()
    with FakePrimary(sandbox.address(), lambda query: [60]) as silent, \
            FakePrimary(sandbox.address(), lambda query: [whole(5)]) as good:
        zone = daemon.create_zone(ZONE)
        daemon.client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=[{
            "Key": "leeward:primary",
            "Value": f"{sandbox.address()}:1 {silent.address}:{silent.port} {good.address}:{good.port}"}])
        daemon.wait_for_answer(f"a.{ZONE}", "A", ["192.0.2.1"], seconds=10)
        wait_for_state(daemon, zone, "current")


def test_a_primary_without_ixfr_is_asked_for_everything(sandbox, daemon):
    def old(query):
        if query.question[0].rdtype == dns.rdatatype.IXFR:
            return [reply(query, [], rcode=dns.rcode.NOTIMP)]
        return [whole(5 + len(primary.queries) // 3)]
    with FakePrimary(sandbox.address(), old) as primary:
        start_following(daemon, primary)
        wait_for(lambda: serial_of(daemon.dns) > 5, 10, "a later serial")
        assert primary.kinds[:3] == ["AXFR", "IXFR", "AXFR"]


@pytest.mark.sanitized
def test_a_restart_goes_on_from_the_stored_serial(sandbox, daemon):
    with FakePrimary(sandbox.address(), lambda query: [whole(5)]) as primary:
        zone = start_following(daemon, primary)
        daemon.restart()
        wait_for(lambda: len(primary.queries) > 1, 10, "it asks again")
        assert set(primary.kinds[1:]) == {"IXFR"}
        assert primary.queries[-1].authority[0][0].serial == 5
        wait_for_state(daemon, zone, "current", Serial=5)
    daemon.kill()
    daemon.restart()  # its primary is dead by now
    wait_for_state(daemon, zone, "stale", "Connection refused", Serial=5)
    assert daemon.dig(f"a.{ZONE}").data == ["192.0.2.1"]
    assert serial_of(daemon.dns) == 5


def test_serials_wrap_around(sandbox, daemon):
    """RFC 1982."""
    now = {"serial": 2 ** 32 - 2}
    with FakePrimary(sandbox.address(), lambda query: [whole(now["serial"])]) as primary:
        start_following(daemon, primary)
        for serial in (2 ** 32 - 1, 0, 1, 2 ** 31):
            now["serial"] = serial
            wait_for(lambda: serial_of(daemon.dns) == now["serial"], 10, f"serial {serial}")


@pytest.mark.sanitized
def test_differences_change_exactly_what_they_name(sandbox, daemon):
    steps = [quick(7),
             quick(5), A, quick(6), f"a.{ZONE}. 90 IN A 192.0.2.7", f"a.{ZONE}. 90 IN A 192.0.2.8", f"x.{ZONE}. 60 IN A 192.0.2.9",
             quick(6), f"x.{ZONE}. 60 IN A 192.0.2.9", f"a.{ZONE}. 90 IN A 192.0.2.7", quick(7),
             f"t.{ZONE}. 60 IN TXT \"a\" \"b\"", f"A.{ZONE}. 60 IN TYPE65400 \\# 1 00",
             quick(7)]
    with FakePrimary(sandbox.address(), lambda query: [
            steps if query.question[0].rdtype == dns.rdatatype.IXFR else whole(5)]) as primary:
        zone = start_following(daemon, primary)
        answer = daemon.wait_for_answer(f"a.{ZONE}", "A", ["192.0.2.8"])
        assert [one.ttl for one in answer.answer] == [90]
        assert daemon.dig(f"x.{ZONE}").rcode == "NXDOMAIN"
        assert daemon.dig(f"t.{ZONE}", "TXT").data == ['"a" "b"']
        assert serial_of(daemon.dns) == 7
        wait_for(lambda: len(primary.queries) > 2, 10, "it asks again")
        assert kinds_of_transfers(daemon) == ["axfr", "ixfr"]
        count = daemon.client("route53").get_hosted_zone(Id=zone)["HostedZone"]["ResourceRecordSetCount"]
        assert count == 4


def test_a_large_zone_comes_whole(sandbox, daemon):
    """100,000 records, more than one transaction holds; then a difference of one."""
    count = 100000
    lines = [f"h{number} IN A 10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(count)]
    primary = sandbox.add(KnotPrimary(sandbox.folder / "knot", sandbox.address(), {
        ZONE: zone_text(ZONE, 1, *lines)}, told=daemon.dns)).start()
    zone = daemon.create_zone(ZONE)
    follow(daemon, zone, primary)
    wait_for_state(daemon, zone, "current", Serial=1, seconds=90)
    daemon.wait_for_answer(f"h{count - 1}.{ZONE}", "A", [lines[-1].split()[-1]], seconds=30)
    assert daemon.client("route53").get_hosted_zone(Id=zone)["HostedZone"]["ResourceRecordSetCount"] == count + 3
    primary.put(ZONE, zone_text(ZONE, 2, *lines[:-1], "h0 IN A 192.0.2.1"))
    daemon.wait_for_answer(f"h0.{ZONE}", "A", ["10.0.0.0", "192.0.2.1"], seconds=30)
    assert daemon.dig(f"h{count - 1}.{ZONE}").rcode == "NXDOMAIN"
    assert kinds_of_transfers(daemon) == ["axfr", "ixfr"]


def test_many_zones_share_few_transfers(sandbox):
    daemon = sandbox.daemon("--dns-transfers", "2").start()
    names = [f"zone{number}.test" for number in range(40)]
    primary = sandbox.add(KnotPrimary(sandbox.folder / "knot", sandbox.address(), {
        name: zone_text(name, 1, "www IN A 192.0.2.1") for name in names}, told=daemon.dns)).start()
    for name in names:
        follow(daemon, daemon.create_zone(name), primary)
    for name in names:
        daemon.wait_for_answer(f"www.{name}", "A", ["192.0.2.1"], seconds=20)


def test_a_zone_whose_primary_is_silent_expires_in_name_only(sandbox, daemon):
    def answers(query):
        """The same zone under two names; one of them may be believed for an hour."""
        name = query.question[0].name.to_text(omit_final_dot=True)
        first = soa(name, 5, refresh=1, retry=1, expire=1 if name == ZONE else 3600)
        return [[first, ns(name), f"a.{name}. 60 IN A 192.0.2.1", first]]

    with FakePrimary(sandbox.address(), answers) as primary:
        zone = start_following(daemon, primary)
        other = daemon.create_zone("other.test")
        follow(daemon, other, primary)
        daemon.wait_for_answer("a.other.test", "A", ["192.0.2.1"])
    wait_for_state(daemon, zone, "stale")
    # The least expire time is a minute, whatever the SOA says.
    assert wait_for_state(daemon, zone, "expired", "Connection refused", seconds=75)["Serial"] == 5
    assert daemon.dig(f"a.{ZONE}").data == ["192.0.2.1"]
    assert state(daemon, other)["State"] == "stale"
    assert "expired" in daemon.leeward("status").stdout


# ---- TSIG: RFC 8945 ----


@pytest.mark.sanitized
def test_knot_signs_transfers_and_notifies(sandbox, daemon):
    key = make_key(daemon, "between.us")
    primary = sandbox.add(KnotPrimary(sandbox.folder / "knot", sandbox.address(), {
        ZONE: zone_text(ZONE, 10, "www IN A 192.0.2.1")}, told=daemon.dns, key=key)).start()
    zone = daemon.create_zone(ZONE)
    follow(daemon, zone, primary)
    wait_for_state(daemon, zone, "failing", "refuses the transfer")
    follow(daemon, zone, primary, key=key)
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.1"])
    before = primary.log.read_text().count("NOTAUTH")  # what it said before it was awaited
    primary.put(ZONE, zone_text(ZONE, 11, "www IN A 192.0.2.2"))
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.2"])
    assert kinds_of_transfers(daemon) == ["axfr", "ixfr"]
    assert primary.log.read_text().count("NOTAUTH") == before


def test_nsd_signs_a_long_transfer(sandbox, daemon):
    """Many messages, of which it signs some."""
    key = make_key(daemon, "between.us")
    lines = [f"h{number} IN TXT \"{'x' * 200}\"" for number in range(30000)]
    primary = sandbox.add(NsdPrimary(sandbox.folder / "nsd", sandbox.address(), {ZONE: zone_text(ZONE, 10, *lines)},
                                     key=key)).start()
    zone = daemon.create_zone(ZONE)
    follow(daemon, zone, primary, key=key)
    wait_for_state(daemon, zone, "current", Serial=10, seconds=30)
    daemon.wait_for_answer(f"h29999.{ZONE}", "TXT", [f'"{"x" * 200}"'], seconds=30)


def test_a_key_that_comes_later_is_used_at_once(sandbox, daemon):
    first = make_key(daemon, "between.us")
    daemon.leeward("tsig", "delete", "between.us")
    zone = daemon.create_zone(ZONE)
    primary = sandbox.add(KnotPrimary(sandbox.folder / "knot", sandbox.address(), {
        ZONE: zone_text(ZONE, 10, "www IN A 192.0.2.1")}, key=first)).start()
    follow(daemon, zone, primary, key=first)
    wait_for_state(daemon, zone, "failing", "there is no TSIG key between.us")
    make_key(daemon, "between.us")
    wait_for_state(daemon, zone, "failing", "it has another secret for it", seconds=3)
    other = sandbox.add(KnotPrimary(sandbox.folder / "other", sandbox.address(), {
        ZONE: zone_text(ZONE, 10, "www IN A 192.0.2.1")}, key={**first, "name": "somebody.else"})).start()
    follow(daemon, zone, other, key=first)
    wait_for_state(daemon, zone, "failing", "it doesn't know the key", seconds=3)


@pytest.mark.parametrize("signed", ["nothing", "first", "wrongly"])
def test_an_answer_that_is_not_signed_changes_nothing(sandbox, daemon, signed):
    key = make_key(daemon, "between.us")
    name = dns.name.from_text(key["name"])
    ours = {name: dns.tsig.Key(name, base64.b64decode(key["secret"]), "hmac-sha256")}
    theirs = ours if signed == "first" else {name: dns.tsig.Key(name, b"x" * 32, "hmac-sha256")}

    def answers(query):
        wires = [reply(query, part, framed=False) for part in (whole(5)[:3], whole(5)[3:])]
        if signed != "nothing":
            first = dns.message.make_response(query)
            for one in dns.message.from_wire(wires[0]).answer:
                first.answer.append(one)
            first.use_tsig(theirs, keyname=name, algorithm=dns.tsig.HMAC_SHA256)
            first.request_mac = query.mac
            wires[0] = first.to_wire()
        return [len(wire).to_bytes(2, "big") + wire for wire in wires]

    with FakePrimary(sandbox.address(), answers, keyring=ours) as primary:
        zone = daemon.create_zone(ZONE)
        follow(daemon, zone, primary, key=key)
        why = "the end of the primary's answer is not signed" if signed == "first" else "is not signed by the key"
        wait_for_state(daemon, zone, "failing", why)
        assert daemon.dig(f"a.{ZONE}").rcode == "NXDOMAIN"
