"""Zones whose records come from another primary: real Knot and NSD, and primaries that lie, stall or fall silent."""

import json

import botocore.exceptions
import dns.opcode
import dns.rcode
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
