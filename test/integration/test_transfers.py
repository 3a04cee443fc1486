"""Zone transfers: real NSD, Knot and BIND as secondaries; what is transferred, and who may."""

import base64
import struct
import subprocess
import threading
import time

import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.xfr
import pytest

from endpoints import FAST, Site, page_check, wait_for_health
from leeward import dig, record
from process import clean_environment, wait_for
from questions import Stream, ask, question, rcode
from refusals import refused
from secondaries import (ZONE, contents, create_open_zone, make_key, secondaries, serial_in, serial_of, tag_zone, told, transfer,
                         untag_zone, wait_until_follows, wait_until_open)
from validators import Validator, delv, write_anchor

SECRET = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def open_zone(daemon):
    return create_open_zone(daemon)


# Secondaries


@pytest.mark.sanitized
@pytest.mark.parametrize("signed", [False, True], ids=["addresses", "tsig"])
def test_secondaries_transfer_a_zone_and_follow_it(sandbox, daemon, signed):
    zone = daemon.create_zone(ZONE)
    daemon.change(zone, record(f"www.{ZONE}", "A", "192.0.2.1", "192.0.2.2"), record(f"*.w.{ZONE}", "TXT", '"x"'),
                  record(f"sub.{ZONE}", "NS", f"ns.sub.{ZONE}"), record(f"ns.sub.{ZONE}", "A", "192.0.2.9"))
    key = make_key(daemon, "secondary.key") if signed else None
    others = secondaries(sandbox, daemon, key=key, start=False)
    allowed = f"#{key['name']}" if signed else " ".join(one.address for one in others) + " 127.0.0.1"
    tag_zone(daemon, zone, transfer_to=allowed, notify=told(others, key))
    wait_until_open(daemon, key)
    for one in others:
        one.start()
    for one in others:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.1", "192.0.2.2"])
        one.wait_for_data(f"a.w.{ZONE}", "TXT", ['"x"'])
        assert [r.data for r in dig(one.server, f"x.sub.{ZONE}").additional] == ["192.0.2.9"]
    before = serial_of(daemon.dns)
    daemon.change(zone, record(f"www.{ZONE}", "A", "192.0.2.3"), ("DELETE", record(f"*.w.{ZONE}", "TXT", '"x"')),
                  action="UPSERT")
    for one in others:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.3"])
        assert one.serial(ZONE) == serial_of(daemon.dns) > before
        assert dig(one.server, f"a.w.{ZONE}", "TXT").rcode == "NXDOMAIN"


@pytest.mark.serial
def test_a_failover_reaches_the_secondaries_within_a_second(sandbox, daemon):
    zone = daemon.create_zone(ZONE)
    site = sandbox.add(Site(sandbox.folder / "site", sandbox.address())).start()
    site.up("one")
    check = page_check(daemon, site, "one", FAST)
    daemon.change(zone,
                  record(f"www.{ZONE}", "A", "192.0.2.1", SetIdentifier="a", Failover="PRIMARY", HealthCheckId=check),
                  record(f"www.{ZONE}", "A", "192.0.2.2", SetIdentifier="b", Failover="SECONDARY"))
    daemon.change(zone, {"Name": f"alias.{ZONE}", "Type": "A", "AliasTarget": {
        "HostedZoneId": zone, "DNSName": f"www.{ZONE}", "EvaluateTargetHealth": False}})
    tag_zone(daemon, zone, transfer_to="127.0.0.0/8")
    wait_until_open(daemon)
    others = secondaries(sandbox, daemon)
    tag_zone(daemon, zone, notify=told(others))
    wait_for_health(daemon, f"www.{ZONE}", a=True)
    wait_until_follows(others, daemon)
    for one in others:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.1"])
    # NSD takes a change at most once a second: xfrd-reload-timeout cannot be less. BIND asks then, too.
    time.sleep(1.5)
    killed = site.kill()
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.2"])
    noticed = time.monotonic() - killed
    for one in others:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.2"], seconds=5)
        one.wait_for_data(f"alias.{ZONE}", "A", ["192.0.2.2"], seconds=5)
    behind = time.monotonic() - killed - noticed
    print(f"noticed after {noticed:.3f} s, secondaries {behind:.3f} s later")
    assert behind < 10  # a second on a machine that does nothing else; what a secondary asks by itself comes after a minute


def test_a_thousand_changes_arrive_whole(sandbox, daemon):
    zone = create_open_zone(daemon)
    others = secondaries(sandbox, daemon)
    tag_zone(daemon, zone, notify=told(others))
    wait_until_follows(others, daemon)
    have = transfer(daemon.dns)
    daemon.change(zone, *[record(f"n{i}.{ZONE}", "A", f"10.0.{i // 250}.{i % 250}") for i in range(1000)])
    wait_for(lambda: len(contents(transfer(daemon.dns))) == 1004)
    wait_until_follows(others, daemon)
    ours = transfer(daemon.dns)
    assert contents(transfer(daemon.dns, have=have)) == contents(ours)
    assert len(contents(ours)) == 1000 + 4
    for one in others:
        for name, kind, ttl, value in sorted(contents(ours))[::37]:
            answer = dig(one.server, f"{name}.{ZONE}" if name != "@" else ZONE, kind)
            assert (value.removesuffix("."), ttl) in {(r.data.removesuffix("."), r.ttl) for r in answer.answer}


@pytest.mark.serial
def test_a_zone_of_a_hundred_thousand_records(sandbox, daemon):
    """The whole of it, then a difference; queries are answered meanwhile."""
    file = sandbox.folder / "large.zone"
    file.write_text(f"$ORIGIN {ZONE}.\n" + "".join(
        f"n{i} 60 IN A 10.{k}.{i >> 8}.{i & 255}\n" for i in range(5000) for k in range(20)))
    zone = create_open_zone(daemon)
    daemon.leeward("zone", "import", str(file), zone)
    wait_for(lambda: dig(daemon.dns, f"n4999.{ZONE}").answer, seconds=30)
    end, slowest = threading.Event(), []

    def query():
        while not end.is_set():
            before = time.monotonic()
            assert len(ask(daemon.dns, f"n7.{ZONE}").answer[0]) == 20
            slowest.append(time.monotonic() - before)
    thread = threading.Thread(target=query)
    thread.start()
    try:
        start, before = time.monotonic(), len(slowest)
        run = subprocess.run(["/usr/bin/kdig", f"@{daemon.dns[0]}", "-p", str(daemon.dns[1]), "+timeout=60", ZONE, "AXFR"],
                             capture_output=True, text=True, env=clean_environment())
        took, meanwhile = time.monotonic() - start, len(slowest) - before
        others = secondaries(sandbox, daemon)
        tag_zone(daemon, zone, notify=told(others))
        for one in others:
            one.wait_for_serial(ZONE, serial_of(daemon.dns), 60)
    finally:
        end.set()
        thread.join()
    print(f"transferred and printed in {took:.2f} s; slowest answer meanwhile {max(slowest) * 1000:.0f} ms")
    assert run.stdout.count("\tA\t") == 100_000
    assert meanwhile > 20  # nobody waited for the transfer
    daemon.change(zone, record(f"n5.{ZONE}", "A", "192.0.2.1"), action="UPSERT")
    for one in others:
        one.wait_for_data(f"n5.{ZONE}", "A", ["192.0.2.1"])


# What is transferred


def test_ixfr_brings_what_changed_and_nothing_else(daemon, open_zone):
    daemon.change(open_zone, *[record(f"n{i}.{ZONE}", "A", "192.0.2.1") for i in range(50)])
    first = wait_for(lambda: len(contents(copy := transfer(daemon.dns))) == 54 and copy)
    daemon.change(open_zone, record(f"n1.{ZONE}", "A", "192.0.2.1", "192.0.2.2"), action="UPSERT")
    daemon.change(open_zone, record(f"gone.{ZONE}", "A", "192.0.2.3"))
    daemon.change(open_zone, record(f"gone.{ZONE}", "A", "192.0.2.3"), action="DELETE")
    daemon.change(open_zone, record(f"n2.{ZONE}", "A", "192.0.2.1"), action="DELETE")
    wait_for(lambda: len(contents(transfer(daemon.dns))) == 54 and not dig(daemon.dns, f"gone.{ZONE}").answer)
    serial = serial_of(daemon.dns)
    query = question(ZONE, "IXFR", edns=False)
    query.authority.append(dns.rrset.from_text(ZONE + ".", 0, "IN", "SOA", f". . {serial_in(first)} 0 0 0 0"))
    with Stream(daemon.dns) as stream:
        stream.send(query)
        wire = stream.read(struct.unpack("!H", stream.read(2))[0])
    answer = [(rrset.name.to_text(), rrset[0].to_text())
              for rrset in dns.message.from_wire(wire, one_rr_per_rrset=True).answer]
    soa = [value for _, value in answer if len(value.split()) == 7]
    assert [int(value.split()[2]) for value in soa] == [serial, serial_in(first), serial, serial]
    assert [one for one in answer if len(one[1].split()) == 1] == [
        (f"n2.{ZONE}.", "192.0.2.1"), (f"n1.{ZONE}.", "192.0.2.2")]
    assert contents(transfer(daemon.dns, have=first)) == contents(transfer(daemon.dns))


def test_routed_names_are_given_as_they_are_answered_now(sandbox, daemon, open_zone):
    site = sandbox.add(Site(sandbox.folder / "site", sandbox.address())).start()
    site.up("up", "two")
    up, two = page_check(daemon, site, "up", FAST), page_check(daemon, site, "two", FAST)

    def policy(name, value, one, check, **more):
        return record(f"{name}.{ZONE}", "A", value, SetIdentifier=one, HealthCheckId=check, **more)
    daemon.change(open_zone,
                  policy("heavy", "192.0.2.1", "a", up, Weight=1), policy("heavy", "192.0.2.2", "b", two, Weight=9),
                  *[policy("many", f"192.0.2.{i}", str(i), two if i == 3 else up, MultiValueAnswer=True)
                    for i in range(1, 13)])

    def have(name):
        return {value for owner, _, _, value in contents(transfer(daemon.dns)) if owner == name}
    everything = {f"192.0.2.{i}" for i in range(1, 13)}
    wait_for(lambda: have("heavy") == {"192.0.2.2"} and have("many") == everything)
    site.down("two")
    wait_for(lambda: have("heavy") == {"192.0.2.1"} and have("many") == everything - {"192.0.2.3"})
    site.up("two")
    wait_for(lambda: have("heavy") == {"192.0.2.2"} and have("many") == everything)


def test_a_signed_zone_is_transferred_with_its_signatures(sandbox, daemon, open_zone):
    daemon.change(open_zone, *[record(f"n{i}.{ZONE}", "A", "192.0.2.1") for i in range(20)],
                  record(f"sub.{ZONE}", "NS", f"ns.sub.{ZONE}"), record(f"ns.sub.{ZONE}", "A", "192.0.2.9"))
    have = transfer(daemon.dns)
    enable_dnssec(daemon, open_zone)
    wait_for(lambda: any(one[1] == "DNSKEY" for one in contents(transfer(daemon.dns))), what="the zone is signed")
    daemon.change(open_zone, record(f"n1.{ZONE}", "A", "192.0.2.7"), record(f"new.{ZONE}", "A", "192.0.2.8"),
                  ("DELETE", record(f"n2.{ZONE}", "A", "192.0.2.1")), action="UPSERT")
    wait_for(lambda: dig(daemon.dns, f"new.{ZONE}").answer)
    for copy in (transfer(daemon.dns), transfer(daemon.dns, have=have)):
        file = sandbox.folder / "transferred.zone"
        copy.to_file(str(file), relativize=False)
        run = subprocess.run(["/usr/bin/dnssec-verify", "-o", ZONE, str(file)], capture_output=True, text=True,
                             env=clean_environment())
        assert run.returncode == 0, run.stdout + run.stderr
    assert contents(have, without=()) == contents(transfer(daemon.dns), without=())


def enable_dnssec(daemon, zone):
    """Signs the zone; the text of its DS record."""
    client = daemon.client("route53")
    client.create_key_signing_key(CallerReference="1", HostedZoneId=zone, Name="main", Status="ACTIVE",
                                  KeyManagementServiceArn="arn:aws:kms:us-east-1:123456789012:key/1")
    client.enable_hosted_zone_dnssec(HostedZoneId=zone)
    wait_for(lambda: dig(daemon.dns, ZONE, "DNSKEY").answer, what="the zone is signed")
    return client.get_dnssec(HostedZoneId=zone)["KeySigningKeys"][0]["DSRecord"]


def test_resolvers_validate_what_secondaries_serve_of_a_signed_zone(sandbox, daemon, open_zone):
    site = sandbox.add(Site(sandbox.folder / "site", sandbox.address())).start()
    site.up("one")
    check = page_check(daemon, site, "one", FAST)
    daemon.change(open_zone,
                  record(f"www.{ZONE}", "A", "192.0.2.1", ttl=0, SetIdentifier="a", Failover="PRIMARY",
                         HealthCheckId=check),
                  record(f"www.{ZONE}", "A", "192.0.2.2", ttl=0, SetIdentifier="b", Failover="SECONDARY"),
                  record(f"*.w.{ZONE}", "TXT", '"x"'), record(f"plain.{ZONE}", "A", "192.0.2.7"))
    wait_for_health(daemon, f"www.{ZONE}", a=True)
    others = secondaries(sandbox, daemon)
    tag_zone(daemon, open_zone, notify=told(others))
    wait_until_follows(others, daemon)
    signer = dns.rdata.from_text("IN", "DS", enable_dnssec(daemon, open_zone))
    anchor = write_anchor(sandbox.folder / "anchor", ZONE, signer)
    resolvers = [sandbox.add(Validator(sandbox.folder / f"unbound-{one.name}", sandbox.address(), one, {ZONE: signer},
                                       [ZONE])).start() for one in others]

    def all_validate(address):
        wait_until_follows(others, daemon)
        for one, resolver in zip(others, resolvers, strict=True):
            for name, kind, code, values in (
                    ("www", "A", "NOERROR", [address]), ("a.w", "TXT", "NOERROR", ['"x"']),
                    ("plain", "A", "NOERROR", ["192.0.2.7"]), ("plain", "AAAA", "NOERROR", []),
                    ("no", "A", "NXDOMAIN", [])):
                said = delv(one, anchor, ZONE, f"{name}.{ZONE}.", kind)
                assert "fully validated" in said, f"{one.name} {name} {kind}: {said}"
                assert resolver.ask(f"{name}.{ZONE}.", kind) == (code, True, values), f"{one.name} {name} {kind}"
    all_validate("192.0.2.1")
    site.down("one")
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.2"])
    all_validate("192.0.2.2")
    daemon.change(open_zone, record(f"new.{ZONE}", "A", "192.0.2.8"))
    site.up("one")
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.1"])
    all_validate("192.0.2.1")


def test_the_serial_of_a_signed_zone_moves_without_secondaries(sandbox, daemon):
    zone = daemon.create_zone(ZONE)
    site = sandbox.add(Site(sandbox.folder / "site", sandbox.address())).start()
    site.up("one")
    check = page_check(daemon, site, "one", FAST)
    daemon.change(zone,
                  record(f"www.{ZONE}", "A", "192.0.2.1", SetIdentifier="a", Failover="PRIMARY", HealthCheckId=check),
                  record(f"www.{ZONE}", "A", "192.0.2.2", SetIdentifier="b", Failover="SECONDARY"))
    wait_for_health(daemon, f"www.{ZONE}", a=True)
    assert serial_of(daemon.dns) == 1
    signer = dns.rdata.from_text("IN", "DS", enable_dnssec(daemon, zone))
    anchor = write_anchor(sandbox.folder / "anchor", ZONE, signer)
    serials = [wait_for(lambda: (now := serial_of(daemon.dns)) > 1 and now)]
    assert serials[0] <= time.time() + 2

    def moved():
        serials.append(wait_for(lambda: (now := serial_of(daemon.dns)) != serials[-1] and now))
        for name, kind in ((ZONE, "SOA"), (f"no.{ZONE}", "A")):
            assert "fully validated" in delv(daemon, anchor, ZONE, f"{name}.", kind)
    daemon.change(zone, record(f"a.{ZONE}", "A", "192.0.2.3"))
    moved()
    site.down("one")
    moved()
    for i in range(20):
        daemon.change(zone, record(f"b{i}.{ZONE}", "A", "192.0.2.3"))
        moved()
    assert serials == sorted(set(serials))
    daemon.kill()
    daemon.restart()
    wait_for(lambda: serial_of(daemon.dns) > serials[-1])
    moved()
    assert serials == sorted(set(serials))
    daemon.client("route53").disable_hosted_zone_dnssec(HostedZoneId=zone)
    wait_for(lambda: serial_of(daemon.dns) == 1)


# Who may


def test_nobody_may_until_a_tag_says_so_and_not_after_it_went(daemon):
    zone = daemon.create_zone(ZONE)

    def answer(name=ZONE):
        return rcode(ask(daemon.dns, None, query=question(name, "AXFR"), tcp=True))
    stored = serial_of(daemon.dns)
    assert (answer(), answer("example.net"), answer(f"www.{ZONE}")) == ("REFUSED", "NOTAUTH", "NOTAUTH")
    tag_zone(daemon, zone, transfer_to="192.0.2.1 2001:db8::/32 #some.key")
    wait_for(lambda: serial_of(daemon.dns) != stored)
    assert answer() == "REFUSED"
    tag_zone(daemon, zone, transfer_to="127.0.0.0/8")
    wait_for(lambda: answer() == "NOERROR")
    assert rcode(ask(daemon.dns, None, query=question(ZONE, "AXFR"))) == "FORMERR"
    assert rcode(ask(daemon.dns, None, query=question(ZONE, "IXFR"), tcp=True)) == "FORMERR"
    untag_zone(daemon, zone, "leeward:transfer-to")
    wait_for(lambda: answer() == "REFUSED")
    assert serial_of(daemon.dns) == stored


@pytest.mark.parametrize("tag, value, why", [
    ("leeward:transfer-to", "192.0.2.300", "'192.0.2.300' is no IP address or prefix"),
    ("leeward:transfer-to", "192.0.2.1/24", "has address bits behind its prefix"),
    ("leeward:transfer-to", "192.0.2.0/33", "prefix length"),
    ("leeward:transfer-to", "192.0.2.1#", "does not name a key"),
    ("leeward:transfer-to", " ", "is empty"),
    ("leeward:notify", "ns.example.com", "is no IP address"),
    ("leeward:notify", "192.0.2.1:0", "port"),
    ("leeward:notify", "[2001:db8::1", "is no IP address"),
    ("leeward:notifies", "192.0.2.1", "leeward:transfer-to, leeward:notify and leeward:primary"),
])
def test_tags_that_make_no_sense_are_refused(shared, tag, value, why):
    zone = shared.create_zone("tags.test")
    client = shared.client("route53")
    with refused(client, "InvalidInput", message=None) as error:
        client.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=[{"Key": tag, "Value": value}])
    assert why in str(error.value)
