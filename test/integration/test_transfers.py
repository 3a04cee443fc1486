"""Zone transfers: real NSD and Knot as secondaries; dnspython for the form of every answer."""

import base64
import json
import socket
import struct
import subprocess
import time

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.xfr
import dns.zone
import pytest

from endpoints import FAST, Site, page_check, wait_for_health
from leeward import dig, record
from process import clean_environment, wait_for
from questions import Stream, ask, question, rcode
from refusals import refused
from secondaries import KnotSecondary, NsdSecondary

ZONE = "example.com"
SECRET = base64.b64encode(bytes(range(32))).decode()


def tag_zone(daemon, zone, **tags):
    """Sets tags on the zone; transfer_to=... becomes leeward:transfer-to."""
    daemon.client("route53").change_tags_for_resource(
        ResourceType="hostedzone", ResourceId=zone,
        AddTags=[{"Key": "leeward:" + key.replace("_", "-"), "Value": value} for key, value in tags.items()])


def untag_zone(daemon, zone, *keys):
    daemon.client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, RemoveTagKeys=list(keys))


def make_key(daemon, name, *options):
    return {key.lower(): value for key, value in
            json.loads(daemon.leeward("tsig", "create", name, "--json", *options).stdout).items()}


def keyring(*keys):
    return dns.tsigkeyring.from_text({key["name"]: (key["algorithm"], key["secret"]) for key in keys})


def serial_of(server, zone=ZONE):
    return int(dig(server, zone, "SOA").data[0].split()[2])


def transfer(server, zone=ZONE, have=None, key=None):
    """The zone after AXFR, or, with `have` (a zone), after IXFR from it; its serial. And how many messages it took."""
    copy = have if have is not None else dns.zone.Zone(zone)
    query, serial = dns.xfr.make_query(copy, keyring=keyring(key) if key else None,
                                       keyname=dns.name.from_text(key["name"]) if key else None,
                                       keyalgorithm=key["algorithm"] if key else None)
    kind = "AXFR" if have is None else "IXFR"
    assert dns.rdatatype.to_text(query.question[0].rdtype) == kind
    dns.query.inbound_xfr(server[0], copy, query, port=server[1], timeout=10, lifetime=60)
    return copy


def serial_in(copy):
    return copy.get_soa().serial


def contents(copy, without=("SOA",)):
    return {(name.to_text(), dns.rdatatype.to_text(rdataset.rdtype), rdataset.ttl, rdata.to_text())
            for name, rdataset in copy.iterate_rdatasets() for rdata in rdataset
            if dns.rdatatype.to_text(rdataset.rdtype) not in without}


def secondaries(sandbox, daemon, zones=(ZONE,), key=None):
    return [sandbox.add(kind(sandbox.folder / kind.__name__, sandbox.address(), daemon.dns, zones, key)).start()
            for kind in (NsdSecondary, KnotSecondary)]


def told(both, key=None):
    return " ".join(f"{one.address}:{one.port}" + (f"#{key['name']}" if key else "") for one in both)


def wait_until_follows(both, daemon, zone=ZONE, seconds=10):
    serial = serial_of(daemon.dns, zone)
    for one in both:
        one.wait_for_serial(zone, serial, seconds)
    return serial


@pytest.fixture
def open_zone(daemon):
    """A zone that loopback may transfer."""
    zone = daemon.create_zone(ZONE)
    tag_zone(daemon, zone, transfer_to="127.0.0.0/8")
    wait_for(lambda: serial_of(daemon.dns) > 1, what="the zone has a serial that moves")
    return zone


# Secondaries


@pytest.mark.sanitized
@pytest.mark.parametrize("signed", [False, True], ids=["addresses", "tsig"])
def test_secondaries_transfer_a_zone_and_follow_it(sandbox, daemon, signed):
    zone = daemon.create_zone(ZONE)
    daemon.change(zone, record(f"www.{ZONE}", "A", "192.0.2.1", "192.0.2.2"), record(f"*.w.{ZONE}", "TXT", '"x"'),
                  record(f"sub.{ZONE}", "NS", f"ns.sub.{ZONE}"), record(f"ns.sub.{ZONE}", "A", "192.0.2.9"))
    key = make_key(daemon, "secondary.key") if signed else None
    both = secondaries(sandbox, daemon, key=key)
    allowed = f"#{key['name']}" if signed else " ".join(one.address for one in both) + " 127.0.0.1"
    tag_zone(daemon, zone, transfer_to=allowed, notify=told(both, key))
    for one in both:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.1", "192.0.2.2"])
        one.wait_for_data(f"a.w.{ZONE}", "TXT", ['"x"'])
        assert [r.data for r in dig(one.server, f"x.sub.{ZONE}").additional] == ["192.0.2.9"]
    before = serial_of(daemon.dns)
    daemon.change(zone, record(f"www.{ZONE}", "A", "192.0.2.3"), ("DELETE", record(f"*.w.{ZONE}", "TXT", '"x"')),
                  action="UPSERT")
    for one in both:
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
    both = secondaries(sandbox, daemon)
    tag_zone(daemon, zone, transfer_to="127.0.0.0/8", notify=told(both))
    wait_for_health(daemon, f"www.{ZONE}", a=True)
    wait_until_follows(both, daemon)
    for one in both:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.1"])
    # NSD takes a change at most once a second: xfrd-reload-timeout cannot be less.
    time.sleep(1.5)
    killed = site.kill()
    daemon.wait_for_answer(f"www.{ZONE}", "A", ["192.0.2.2"])
    noticed = time.monotonic() - killed
    for one in both:
        one.wait_for_data(f"www.{ZONE}", "A", ["192.0.2.2"], seconds=5)
        one.wait_for_data(f"alias.{ZONE}", "A", ["192.0.2.2"], seconds=5)
    behind = time.monotonic() - killed - noticed
    print(f"noticed after {noticed:.3f} s, secondaries {behind:.3f} s later")
    assert behind < 1


def test_a_thousand_changes_arrive_whole(sandbox, daemon):
    zone = daemon.create_zone(ZONE)
    both = secondaries(sandbox, daemon)
    tag_zone(daemon, zone, transfer_to="127.0.0.0/8", notify=told(both))
    wait_until_follows(both, daemon)
    have = transfer(daemon.dns)
    daemon.change(zone, *[record(f"n{i}.{ZONE}", "A", f"10.0.{i // 250}.{i % 250}") for i in range(1000)])
    wait_for(lambda: dig(daemon.dns, f"n999.{ZONE}").answer)
    wait_until_follows(both, daemon)
    ours = transfer(daemon.dns)
    assert contents(transfer(daemon.dns, have=have)) == contents(ours)
    assert len(contents(ours)) == 1000 + 4
    for one in both:
        for name, kind, ttl, value in sorted(contents(ours))[::37]:
            answer = dig(one.server, f"{name}.{ZONE}" if name != "@" else ZONE, kind)
            assert (value.removesuffix("."), ttl) in {(r.data.removesuffix("."), r.ttl) for r in answer.answer}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_serials_go_on_over_a_restart(sandbox, daemon, end):
    zone = daemon.create_zone(ZONE)
    both = secondaries(sandbox, daemon)
    tag_zone(daemon, zone, transfer_to="127.0.0.0/8", notify=told(both))
    for i in range(60):  # faster than a change a second: the serial runs ahead of the clock
        daemon.change(zone, record(f"n{i}.{ZONE}", "A", "192.0.2.1"))
    before = wait_until_follows(both, daemon)
    assert before > time.time() + 10
    getattr(daemon, end)()
    daemon.restart()
    assert before < serial_of(daemon.dns) < before + 2000
    daemon.change(zone, record(f"after.{ZONE}", "A", "192.0.2.7"))
    for one in both:
        one.wait_for_data(f"after.{ZONE}", "A", ["192.0.2.7"])
    wait_until_follows(both, daemon)


# What is transferred


def test_ixfr_brings_what_changed_and_nothing_else(daemon, open_zone):
    daemon.change(open_zone, *[record(f"n{i}.{ZONE}", "A", "192.0.2.1") for i in range(50)])
    first = transfer(daemon.dns)
    daemon.change(open_zone, record(f"n1.{ZONE}", "A", "192.0.2.1", "192.0.2.2"), action="UPSERT")
    daemon.change(open_zone, record(f"gone.{ZONE}", "A", "192.0.2.3"))
    daemon.change(open_zone, record(f"gone.{ZONE}", "A", "192.0.2.3"), action="DELETE")
    daemon.change(open_zone, record(f"n2.{ZONE}", "A", "192.0.2.1"), action="DELETE")
    serial = wait_for(lambda: (now := serial_of(daemon.dns)) >= serial_in(first) + 4 and now)
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


def test_ixfr_of_who_is_up_to_date_is_the_soa_alone(daemon, open_zone):
    serial = serial_of(daemon.dns)
    for have, tcp in ((serial, True), (serial + 1, True), (serial, False), (serial - 100000, False)):
        query = question(ZONE, "IXFR")
        query.authority.append(dns.rrset.from_text(ZONE + ".", 0, "IN", "SOA", f". . {have} 0 0 0 0"))
        answer = ask(daemon.dns, None, query=query, tcp=tcp)
        assert [(rrset.rdtype, rrset[0].serial) for rrset in answer.answer] == [(dns.rdatatype.SOA, serial)]


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
    client = daemon.client("route53")
    daemon.change(open_zone, *[record(f"n{i}.{ZONE}", "A", "192.0.2.1") for i in range(20)],
                  record(f"sub.{ZONE}", "NS", f"ns.sub.{ZONE}"), record(f"ns.sub.{ZONE}", "A", "192.0.2.9"))
    have = transfer(daemon.dns)
    client.create_key_signing_key(CallerReference="1", HostedZoneId=open_zone, Name="main", Status="ACTIVE",
                                  KeyManagementServiceArn="arn:aws:kms:us-east-1:123456789012:key/1")
    client.enable_hosted_zone_dnssec(HostedZoneId=open_zone)
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


def tsig_error(server, query):
    """What the TSIG record of the answer says, the RCODE, and whether the answer is signed."""
    wire = query.to_wire()
    with Stream(server) as stream:
        stream.send(wire)
        answer = stream.read(struct.unpack("!H", stream.read(2))[0])
    at = answer.rindex(b"\x00\xfa\x00\xff")
    length = struct.unpack("!H", answer[at + 8:at + 10])[0]
    rdata = answer[at + 10:at + 10 + length]
    algorithm_end = rdata.index(b"\x00") + 1
    mac_size = struct.unpack("!H", rdata[algorithm_end + 8:algorithm_end + 10])[0]
    error = struct.unpack("!H", rdata[algorithm_end + 12 + mac_size:algorithm_end + 14 + mac_size])[0]
    return error, answer[3] & 15, mac_size > 0


@pytest.mark.sanitized
def test_signed_queries(daemon, open_zone):
    key = make_key(daemon, "a.key", "--secret", SECRET)
    assert (key["secret"], key["algorithm"]) == (SECRET, "hmac-sha256")
    big = make_key(daemon, "big.key", "--algorithm", "hmac-sha512")
    listed = daemon.leeward("tsig", "list").stdout
    assert "a.key." in listed and "hmac-sha512" in listed and SECRET not in listed
    assert daemon.leeward("tsig", "create", "A.KEY", check=False).returncode == 1
    for one in (key, big):
        def signed(tcp):
            query = question(ZONE, "SOA")
            query.use_tsig(keyring(one), algorithm=one["algorithm"])
            answer = ask(daemon.dns, None, query=query, tcp=tcp)
            return answer.had_tsig and answer.answer
        wait_for(lambda: signed(False))
        assert signed(True)
    tag_zone(daemon, open_zone, transfer_to="#a.key")
    wait_for(lambda: contents(transfer(daemon.dns, key=key)))
    with pytest.raises(dns.xfr.TransferError):
        transfer(daemon.dns, key=big)
    query = question(ZONE, "SOA")
    query.use_tsig(keyring({**key, "name": "unknown.key"}))
    assert tsig_error(daemon.dns, query) == (dns.rcode.BADKEY, 9, False)
    query.use_tsig(keyring({**key, "algorithm": "hmac-sha1"}), algorithm="hmac-sha1")
    assert tsig_error(daemon.dns, query) == (dns.rcode.BADKEY, 9, False)
    query.use_tsig(keyring({**key, "secret": base64.b64encode(b"x" * 32).decode()}))
    assert tsig_error(daemon.dns, query) == (dns.rcode.BADSIG, 9, False)
    query.use_tsig(keyring(key), fudge=0)
    real = time.time
    try:
        dns.message.time.time = lambda: real() - 400
        wire = query.to_wire()
    finally:
        dns.message.time.time = real
    late = type("Late", (), {"to_wire": staticmethod(lambda: wire)})
    assert tsig_error(daemon.dns, late) == (dns.rcode.BADTIME, 9, True)
    daemon.leeward("tsig", "delete", "a.key")
    with pytest.raises(dns.tsig.PeerBadKey):
        wait_for(lambda: not transfer(daemon.dns, key=key))


# Clients that are slow, rude or many


@pytest.mark.sanitized
def test_a_connection_goes_on_after_a_transfer(daemon, open_zone):
    axfr, soa = question(ZONE, "AXFR"), question(ZONE, "SOA")
    with Stream(daemon.dns) as stream:
        stream.send(soa, axfr, soa, axfr, soa)
        for expected in (soa, axfr, soa, axfr, soa):
            answer = stream.receive()
            assert answer.id == expected.id
        stream.send(axfr)
        assert len(stream.receive().answer) == 3 - 1  # SOA at both ends is one RRset to dnspython, and NS


def test_slow_and_aborted_transfers(sandbox):
    daemon = sandbox.daemon("--dns-transfer-timeout-ms", 500, "--dns-transfers", 2).start()
    zone = daemon.create_zone(ZONE)
    for i in range(40):  # 10 MB: more than the kernel keeps for a client
        daemon.change(zone, *[record(f"m{i}-{k}.{ZONE}", "TXT", *[f'"{j:02d}{"y" * 240}"' for j in range(60)])
                              for k in range(2)])
    for part in range(18):
        daemon.change(zone, *[{"Name": f"a{part}-{i}.{ZONE}", "Type": "TXT", "AliasTarget": {
            "HostedZoneId": zone, "DNSName": f"m0-0.{ZONE}", "EvaluateTargetHealth": False}} for i in range(40)])
    tag_zone(daemon, zone, transfer_to="127.0.0.0/8")

    def lines():
        run = subprocess.run(["/usr/bin/kdig", f"@{daemon.dns[0]}", "-p", str(daemon.dns[1]), ZONE, "AXFR"],
                             capture_output=True, text=True, env=clean_environment())
        return run.stdout.count("\tTXT\t")
    whole = 60 * (80 + 18 * 40)
    wait_for(lambda: lines() == whole)
    axfr = question(ZONE, "AXFR").to_wire()
    idle = []
    for _ in range(4):  # they ask and never read
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.connect(daemon.dns)
        one.sendall(struct.pack("!H", len(axfr)) + axfr)
        idle.append(one)
    for _ in range(20):  # they ask and go
        with socket.create_connection(daemon.dns) as one:
            one.sendall(struct.pack("!H", len(axfr)) + axfr)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    start = time.monotonic()
    assert dig(daemon.dns, ZONE, "SOA").answer
    assert time.monotonic() - start < 1
    wait_for(lambda: lines() == whole, seconds=20)
    for one in idle:
        one.close()
