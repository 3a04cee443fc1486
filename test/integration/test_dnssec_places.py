"""Signed answers that depend on where the client is: every variant verifies, so does every denial (dnspython, delv)."""

import dns.dnssec
import dns.edns
import dns.message
import dns.name
import dns.query
import dns.rdata
import dns.rdatatype
import maxmind
import pytest

from leeward import record
from process import wait_for
from test_policies_place import geoproximity
from validators import delv, write_anchor

ZONE = "place.example"
APEX = dns.name.from_text(ZONE)
ARN = "arn:aws:kms:us-east-1:123456789012:key/1"
BERLIN, ANGELES, TOKYO = "198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24"
NETWORKS = {
    BERLIN: maxmind.place("EU", "DE", "BE", 52.52, 13.40),
    ANGELES: maxmind.place("NA", "US", "CA", 34.05, -118.24),
    TOKYO: maxmind.place("AS", "JP", None, 35.68, 139.69),
    "127.0.0.0/8": maxmind.place("EU", "FR", None, 48.86, 2.35),
}
US, EU = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def signed(sandbox):
    database = sandbox.folder / "places.mmdb"
    maxmind.write(database, NETWORKS)
    daemon = sandbox.daemon("--dns-location-database", database).start()
    route53 = daemon.client("route53")
    zone = daemon.create_zone(ZONE)
    cidr = route53.create_cidr_collection(Name="nets", CallerReference="1")["Collection"]["Id"]
    route53.change_cidr_collection(Id=cidr, Changes=[{"LocationName": "america", "Action": "PUT", "CidrList": [ANGELES]}])
    policies = {
        "lat": ({"Region": "us-east-1"}, {"Region": "eu-central-1"}),
        "geo": ({"GeoLocation": {"CountryCode": "US"}}, {"GeoLocation": {"ContinentCode": "EU"}}),
        "cidr": ({"CidrRoutingConfig": {"CollectionId": cidr, "LocationName": "america"}},
                 {"CidrRoutingConfig": {"CollectionId": cidr, "LocationName": "*"}}),
    }
    status, text = geoproximity(daemon, f"/hostedzone/{zone}", [
        ("near", "us", "<AWSRegion>us-west-2</AWSRegion>", US), ("near", "eu", "<AWSRegion>eu-central-1</AWSRegion><Bias>10</Bias>", EU)])
    assert status == 200, text
    changes = []
    for name, pair in policies.items():
        for value, policy in zip((US, EU), pair):
            changes.append({**record(f"{name}.{ZONE}", "A", value), "SetIdentifier": value, **policy})
    for name in (*policies, "near"):
        changes.append({"Name": f"to-{name}.{ZONE}", "Type": "A", "AliasTarget": {
            "HostedZoneId": zone, "DNSName": f"{name}.{ZONE}", "EvaluateTargetHealth": False}})
    daemon.change(zone, *changes)
    key = route53.create_key_signing_key(HostedZoneId=zone, CallerReference="1", Name="main", Status="ACTIVE",
                                         KeyManagementServiceArn=ARN)["KeySigningKey"]
    change = route53.enable_hosted_zone_dnssec(HostedZoneId=zone)["ChangeInfo"]["Id"]
    wait_for(lambda: route53.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC", 20, "INSYNC")
    daemon.ds = dns.rdata.from_text("IN", "DS", key["DSRecord"])
    return daemon


def ask(daemon, name, kind, subnet=None):
    options = [dns.edns.ECSOption(subnet.partition("/")[0], int(subnet.partition("/")[2]))] if subnet else []
    query = dns.message.make_query(name, kind, want_dnssec=True, payload=4096, options=options)
    return dns.query.tcp(query, daemon.dns[0], port=daemon.dns[1], timeout=60)


def verify(section, keys):
    """Each RRset of the section verifies; how many there were."""
    plain = [rrset for rrset in section if rrset.rdtype != dns.rdatatype.RRSIG]
    for rrset in plain:
        signatures = next(s for s in section if s.rdtype == dns.rdatatype.RRSIG and s.name == rrset.name and s.covers == rrset.rdtype)
        dns.dnssec.validate(rrset, signatures, {APEX: keys})
    return len(plain)


def test_every_variant_of_an_answer_and_of_its_absence_verifies(signed, sandbox):
    keys = next(rrset for rrset in ask(signed, ZONE, "DNSKEY").answer if rrset.rdtype == dns.rdatatype.DNSKEY)
    expected = {"lat": (US, EU), "geo": (US, EU), "near": (US, EU), "cidr": (US, EU)}
    for _ in range(2):
        for name, (american, european) in expected.items():
            for owner in (f"{name}.{ZONE}", f"to-{name}.{ZONE}"):
                for subnet, value in ((ANGELES, american), (BERLIN, european), (None, european)):
                    answer = ask(signed, owner, "A", subnet)
                    assert [r.to_text() for rrset in answer.answer for r in rrset if rrset.rdtype == dns.rdatatype.A] == [value]
                    assert verify(answer.answer, keys) == 1, f"{owner} {subnet}"
        # Nothing for Japan, and no default: the NSEC of the name must not promise an A.
        for owner in (f"geo.{ZONE}", f"to-geo.{ZONE}"):
            answer = ask(signed, owner, "A", TOKYO)
            assert answer.answer == [] and answer.rcode() == 0 and verify(answer.authority, keys) == 2
            nsec = next(rrset for rrset in answer.authority if rrset.rdtype == dns.rdatatype.NSEC)
            assert nsec.name == dns.name.from_text(owner) and " A " not in f"{nsec[0].to_text()} "
        answer = ask(signed, f"none.{ZONE}", "A", TOKYO)
        assert answer.rcode() == 3 and verify(answer.authority, keys) >= 2
        signed.restart()
    anchor = write_anchor(sandbox.folder / "anchor", ZONE, signed.ds)
    for name in expected:
        for owner in (name, f"to-{name}"):
            assert "fully validated" in delv(signed, anchor, ZONE, f"{owner}.{ZONE}.", "A"), owner
