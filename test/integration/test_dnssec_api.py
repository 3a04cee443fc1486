"""DNSSEC through the Route 53 API: AWS's clients, and what DNS then serves, checked with BIND's validator."""

import re
import sqlite3
import subprocess

import dns.dnssec
import dns.rdata
import pytest

from leeward import AwsError, record
from process import clean_environment, wait_for

ARN = "arn:aws:kms:us-east-1:123456789012:key/"
DELV = "/usr/bin/delv"


@pytest.fixture
def route53(daemon):
    return daemon.client("route53")


def make_zone(route53, name="example.com"):
    zone = route53.create_hosted_zone(Name=name, CallerReference=f"zone {name}")["HostedZone"]["Id"].rpartition("/")[2]
    change = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record(f"www.{name}", "A", "192.0.2.1")}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)
    return zone


def create(route53, zone, name="main", status="ACTIVE", arn="1"):
    return route53.create_key_signing_key(HostedZoneId=zone, CallerReference=f"{name} of {zone}", Name=name, Status=status,
                                          KeyManagementServiceArn=ARN + arn)


def in_sync(route53, answer):
    route53.get_waiter("resource_record_sets_changed").wait(Id=answer["ChangeInfo"]["Id"],
                                                            WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})


def sign(route53, zone, **settings):
    made = create(route53, zone, **settings)
    in_sync(route53, route53.enable_hosted_zone_dnssec(HostedZoneId=zone))
    return made["KeySigningKey"]


def delv(daemon, folder, zone, key, name, kind="A"):
    """What BIND's validator says, with this key as the zone's trust anchor."""
    anchors = folder / "anchors.conf"
    flags, protocol, algorithm, public = key["DNSKEYRecord"].split(" ")
    anchors.write_text(f'trust-anchors {{ "{zone}" static-key {flags} {protocol} {algorithm} "{public}"; }};\n')
    run = subprocess.run([DELV, f"@{daemon.dns[0]}", "-p", str(daemon.dns[1]), "-a", str(anchors), f"+root={zone}", name, kind],
                         capture_output=True, text=True, env=clean_environment(), stdin=subprocess.DEVNULL, timeout=60)
    return run.stdout + run.stderr


def ds_of(daemon, zone):
    """The DS records of the key-signing keys that DNS serves, made by dnspython."""
    keys = [dns.rdata.from_text("IN", "DNSKEY", key.data)
            for key in daemon.dig(zone, "DNSKEY", "+dnssec", "+tcp").answer if key.type == "DNSKEY"]
    made = [dns.dnssec.make_ds(f"{zone}.", key, "SHA256") for key in keys if key.flags == 257]
    return {f"{ds.key_tag} {int(ds.algorithm)} {int(ds.digest_type)} {ds.digest.hex().upper()}" for ds in made}


def raises(client, error, call, **arguments):
    with pytest.raises(getattr(client.exceptions, error)) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Message"]


def test_a_zone_is_signed_and_its_ds_is_the_one_shown(daemon, route53, tmp_path):
    zone = make_zone(route53)
    assert route53.get_dnssec(HostedZoneId=zone)["Status"] == {"ServeSignature": "NOT_SIGNING"}
    key = sign(route53, zone)
    shown = route53.get_dnssec(HostedZoneId=zone)
    assert shown["Status"] == {"ServeSignature": "SIGNING"}
    assert [k["Name"] for k in shown["KeySigningKeys"]] == ["main"]
    assert shown["KeySigningKeys"][0]["DSRecord"] == key["DSRecord"]
    assert ds_of(daemon, "example.com") == {key["DSRecord"]}
    assert key["KmsArn"] == ARN + "1" and key["Flag"] == 257 and key["Status"] == "ACTIVE"
    served = {r.data.replace(" ", "") for r in daemon.dig("example.com", "DNSKEY", "+tcp").answer}
    assert key["DNSKEYRecord"].replace(" ", "") in served and len(served) == 2
    assert "fully validated" in delv(daemon, tmp_path, "example.com", key, "www.example.com")
    assert "fully validated" in delv(daemon, tmp_path, "example.com", key, "none.example.com")


def test_a_change_is_in_sync_only_when_dns_serves_it(daemon, route53):
    for i in range(5):
        zone = make_zone(route53, f"sync{i}.example")
        sign(route53, zone)
        assert [r.type for r in daemon.dig(f"www.sync{i}.example", "A", "+dnssec").answer] == ["A", "RRSIG"]
        in_sync(route53, route53.disable_hosted_zone_dnssec(HostedZoneId=zone))
        assert [r.type for r in daemon.dig(f"www.sync{i}.example", "A", "+dnssec").answer] == ["A"]
        assert daemon.dig(f"sync{i}.example", "DNSKEY").answer == []


def test_keys_outlive_a_restart_and_are_nowhere_in_plain(daemon, route53, tmp_path):
    zone = make_zone(route53)
    key = sign(route53, zone)
    daemon.restart()
    assert "fully validated" in delv(daemon, tmp_path, "example.com", key, "www.example.com")
    assert "PRIVATE" not in "".join(p.read_bytes().decode("latin-1") for p in daemon.data.glob("leeward.db*"))


def test_a_new_key_signing_key_takes_over(daemon, route53, tmp_path):
    zone = make_zone(route53)
    old = sign(route53, zone)
    raises(route53, "KeySigningKeyInUse", route53.deactivate_key_signing_key, HostedZoneId=zone, Name="main")
    answer = create(route53, zone, "next", arn="2")
    in_sync(route53, answer)
    new = answer["KeySigningKey"]
    assert ds_of(daemon, "example.com") == {old["DSRecord"], new["DSRecord"]}
    for key in (old, new):
        assert "fully validated" in delv(daemon, tmp_path, "example.com", key, "www.example.com")
    raises(route53, "TooManyKeySigningKeys", create, route53=route53, zone=zone, name="third", arn="3")
    in_sync(route53, route53.deactivate_key_signing_key(HostedZoneId=zone, Name="main"))
    assert ds_of(daemon, "example.com") == {new["DSRecord"]}
    in_sync(route53, route53.delete_key_signing_key(HostedZoneId=zone, Name="main"))
    assert "fully validated" in delv(daemon, tmp_path, "example.com", new, "www.example.com")


def test_errors_are_the_exceptions_of_the_model(route53):
    zone = make_zone(route53)
    raises(route53, "NoSuchHostedZone", route53.get_dnssec, HostedZoneId="ZNONE")
    raises(route53, "NoSuchHostedZone", create, route53=route53, zone="ZNONE")
    raises(route53, "KeySigningKeyWithActiveStatusNotFound", route53.enable_hosted_zone_dnssec, HostedZoneId=zone)
    raises(route53, "DNSSECNotFound", route53.disable_hosted_zone_dnssec, HostedZoneId=zone)
    raises(route53, "InvalidKeySigningKeyName", create, route53=route53, zone=zone, name="a-b")
    raises(route53, "InvalidKeySigningKeyStatus", create, route53=route53, zone=zone, status="SOMETHING")
    raises(route53, "InvalidKMSArn", route53.create_key_signing_key, HostedZoneId=zone, CallerReference="1", Name="main",
           Status="ACTIVE", KeyManagementServiceArn="alias/key")
    create(route53, zone)
    assert create(route53, zone)["KeySigningKey"]["Name"] == "main"  # repeated: the same key
    raises(route53, "KeySigningKeyAlreadyExists", create, route53=route53, zone=zone, name="other")
    for call in (route53.activate_key_signing_key, route53.deactivate_key_signing_key, route53.delete_key_signing_key):
        raises(route53, "NoSuchKeySigningKey", call, HostedZoneId=zone, Name="nobody")
    raises(route53, "InvalidKeySigningKeyStatus", route53.delete_key_signing_key, HostedZoneId=zone, Name="main")


def test_a_key_that_the_parent_names_stays(daemon, route53):
    parent = make_zone(route53, "example")
    zone = make_zone(route53, "child.example")
    key = sign(route53, zone)
    ds = {"Action": "UPSERT", "ResourceRecordSet": record("child.example", "DS", key["DSRecord"])}
    route53.change_resource_record_sets(HostedZoneId=parent, ChangeBatch={"Changes": [ds]})
    raises(route53, "KeySigningKeyInParentDSRecord", route53.disable_hosted_zone_dnssec, HostedZoneId=zone)
    route53.change_resource_record_sets(HostedZoneId=parent, ChangeBatch={"Changes": [{**ds, "Action": "DELETE"}]})
    in_sync(route53, route53.disable_hosted_zone_dnssec(HostedZoneId=zone))


def test_a_zone_goes_when_its_keys_are_gone(daemon, route53):
    zone = route53.create_hosted_zone(Name="gone.example", CallerReference="1")["HostedZone"]["Id"]
    sign(route53, zone.rpartition("/")[2])
    raises(route53, "HostedZoneNotEmpty", route53.delete_hosted_zone, Id=zone)
    route53.disable_hosted_zone_dnssec(HostedZoneId=zone)
    route53.deactivate_key_signing_key(HostedZoneId=zone, Name="main")
    route53.delete_key_signing_key(HostedZoneId=zone, Name="main")
    in_sync(route53, route53.delete_hosted_zone(Id=zone))
    assert daemon.dig("gone.example", "SOA").rcode == "REFUSED"


def test_the_aws_command_line_signs_a_zone(daemon, route53):
    zone = make_zone(route53)
    made = daemon.aws("route53", "create-key-signing-key", "--hosted-zone-id", zone, "--caller-reference", "1", "--name", "main",
                      "--status", "INACTIVE", "--key-management-service-arn", ARN + "1")
    assert made["KeySigningKey"]["Status"] == "INACTIVE" and made["Location"].endswith(f"/keysigningkey/{zone}/main")
    with pytest.raises(AwsError) as caught:
        daemon.aws("route53", "enable-hosted-zone-dnssec", "--hosted-zone-id", zone)
    assert caught.value.code == "KeySigningKeyWithActiveStatusNotFound"
    daemon.aws("route53", "activate-key-signing-key", "--hosted-zone-id", zone, "--name", "main")
    change = daemon.aws("route53", "enable-hosted-zone-dnssec", "--hosted-zone-id", zone)["ChangeInfo"]["Id"]
    wait_for(lambda: daemon.aws("route53", "get-change", "--id", change)["ChangeInfo"]["Status"] == "INSYNC")
    shown = daemon.aws("route53", "get-dnssec", "--hosted-zone-id", zone)
    assert shown["Status"]["ServeSignature"] == "SIGNING"
    assert re.fullmatch(r"\d+ 13 2 [0-9A-F]{64}", shown["KeySigningKeys"][0]["DSRecord"])
    for operation in ("disable-hosted-zone-dnssec", "deactivate-key-signing-key", "delete-key-signing-key"):
        name = [] if operation.startswith("disable") else ["--name", "main"]
        daemon.aws("route53", operation, "--hosted-zone-id", zone, *name)
    assert daemon.aws("route53", "get-dnssec", "--hosted-zone-id", zone) == {
        "Status": {"ServeSignature": "NOT_SIGNING"}, "KeySigningKeys": []}


def test_a_key_that_is_damaged_is_told_and_the_zone_goes_on(daemon, route53, tmp_path):
    zone = make_zone(route53)
    key = sign(route53, zone)
    daemon.stop()
    with sqlite3.connect(daemon.data / "leeward.db") as database:
        name, value = database.execute("SELECT key, value FROM entry WHERE CAST(key AS TEXT) LIKE 'r53/ksk/%'").fetchone()
        place = value.index(b'"Sealed":"') + 30
        swap = b"A" if value[place:place + 1] != b"A" else b"B"
        database.execute("UPDATE entry SET value = ? WHERE key = ?", (value[:place] + swap + value[place + 1:], name))
    database.close()
    daemon.start()
    assert daemon.dig("www.example.com", "A").data == ["192.0.2.1"]
    shown = daemon.client("route53").get_dnssec(HostedZoneId=zone)["KeySigningKeys"][0]
    assert shown["Status"] == "ACTION_NEEDED" and "seal key" in shown["StatusMessage"]
    assert shown["DSRecord"] == key["DSRecord"]
    status = daemon.leeward("status").stdout
    assert "problem" in status and zone in status
    assert "signing.keys_unusable" in daemon.log.read_text()
