"""Zone transfers: real NSD and Knot as secondaries, kdig and dnspython for the forms of every answer."""

import pytest

from leeward import dig, record
from process import free_port, wait_for
from secondaries import KnotSecondary, NsdSecondary

ZONE = "example.com"


def tag_zone(daemon, zone, **tags):
    """Sets tags on the zone; transfer_to=... becomes leeward:transfer-to."""
    daemon.client("route53").change_tags_for_resource(
        ResourceType="hostedzone", ResourceId=zone.removeprefix("/hostedzone/"),
        AddTags=[{"Key": "leeward:" + key.replace("_", "-"), "Value": value} for key, value in tags.items()])


def serial_of(server, zone=ZONE):
    return int(dig(server, zone, "SOA").data[0].split()[2])


def secondaries(sandbox, daemon, zones=(ZONE,), key=None):
    return [sandbox.add(kind(sandbox.folder / kind.__name__, sandbox.address(), daemon.dns, zones, key)).start()
            for kind in (NsdSecondary, KnotSecondary)]


def told(secondary, key=None):
    return " ".join(f"{one.address}:{one.port}" + (f"#{key['name']}" if key else "") for one in secondary)


def test_secondaries_transfer_a_zone_and_follow_it(sandbox, daemon):
    zone = daemon.create_zone(ZONE)
    daemon.change(zone, record(f"www.{ZONE}", "A", "192.0.2.1", "192.0.2.2"), record(f"*.w.{ZONE}", "TXT", '"x"'))
    both = secondaries(sandbox, daemon)
    tag_zone(daemon, zone, transfer_to=" ".join(one.address for one in both) + " 127.0.0.1", notify=told(both))
    for one in both:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.1", "192.0.2.2"])
        one.wait_for_data(f"a.w.{ZONE}", "TXT", ['"x"'])
    before = serial_of(daemon.dns)
    daemon.change(zone, record(f"www.{ZONE}", "A", "192.0.2.3"), action="UPSERT")
    for one in both:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.3"], seconds=2)
        assert one.serial(ZONE) == serial_of(daemon.dns) > before
