"""A zone that is signed through the API and judged by unbound and BIND's delv, with nothing but the DS that GetDNSSEC shows:
at every moment of failovers by real health checks, of key rollovers, of a restart, and with many names."""

import threading

import dns.dnssec
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdata
import dns.rdatatype
import pytest

import endpoints
from endpoints import page_check
from leeward import record
from process import SLOWER, wait_for
from validators import Validator, delv, write_anchor

ZONE = "signed.example"
ARN = "arn:aws:kms:us-east-1:123456789012:key/"
FIRST, SECOND = "192.0.2.1", "192.0.2.2"

# name, type, RCODE, values (None: whatever they are)
ANSWERS = [
    ("www", "A", "NOERROR", [FIRST]),
    ("alias", "A", "NOERROR", [FIRST]),
    ("", "A", "NOERROR", [FIRST]),
    ("cname", "A", "NOERROR", [FIRST]),
    ("weighted", "A", "NOERROR", None),
    ("multi", "A", "NOERROR", [FIRST, SECOND]),
    ("any.wild", "A", "NOERROR", ["192.0.2.7"]),
    ("", "DNSKEY", "NOERROR", None),
    ("", "SOA", "NOERROR", None),
    ("none", "A", "NXDOMAIN", []),
    ("www", "AAAA", "NOERROR", []),
    ("any.wild", "TXT", "NOERROR", []),
]


def full(name):
    return f"{name}.{ZONE}." if name else f"{ZONE}."


def in_sync(route53, answer):
    wait_for(lambda: route53.get_change(Id=answer["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC", 60 * SLOWER, "INSYNC")


def create_key(route53, zone, name, status="ACTIVE"):
    return route53.create_key_signing_key(HostedZoneId=zone, CallerReference=name, Name=name, Status=status,
                                          KeyManagementServiceArn=ARN + name)


class Signed:
    """A daemon with one signed zone, a name in it that fails over with a page, and the two validators."""

    def __init__(self, sandbox, *options):
        self.sandbox = sandbox
        self.daemon = sandbox.daemon(*options).start()
        self.route53 = self.daemon.client("route53")
        self.site = sandbox.add(endpoints.Site(sandbox.folder / "site", sandbox.address())).start()
        self.site.up("page")
        self.check = page_check(self.daemon, self.site, "page")
        self.zone = self.daemon.create_zone(ZONE)
        in_sync(self.route53, self.daemon.change(self.zone, *self.records()))
        self.key = create_key(self.route53, self.zone, "main")["KeySigningKey"]
        in_sync(self.route53, self.route53.enable_hosted_zone_dnssec(HostedZoneId=self.zone))
        assert self.route53.get_dnssec(HostedZoneId=self.zone)["KeySigningKeys"][0]["DSRecord"] == self.key["DSRecord"]
        self.validators = 0
        self.longest = None

    def records(self):
        alias = {"HostedZoneId": self.zone, "DNSName": full("www"), "EvaluateTargetHealth": True}
        routed = [("www", {"Failover": "PRIMARY"}, {"Failover": "SECONDARY"}),
                  ("weighted", {"Weight": 1}, {"Weight": 1}),
                  ("multi", {"MultiValueAnswer": True}, {"MultiValueAnswer": True})]
        made = [{**record(full(name), "A", value, ttl=0), "SetIdentifier": value, **policy,
                 **({"HealthCheckId": self.check} if value == FIRST else {})}
                for name, first, second in routed for value, policy in ((FIRST, first), (SECOND, second))]
        return [*made,
                {"Name": full("alias"), "Type": "A", "AliasTarget": alias},
                {"Name": full(""), "Type": "A", "AliasTarget": alias},
                record(full("cname"), "CNAME", full("www"), ttl=0),
                record(full("*.wild"), "A", "192.0.2.7", ttl=0)]

    @property
    def signer(self):
        return dns.rdata.from_text("IN", "DS", self.key["DSRecord"])

    def unbound(self):
        """A fresh one, which has nothing in its cache."""
        self.validators += 1
        return self.sandbox.add(Validator(self.sandbox.folder / f"validator{self.validators}", self.sandbox.address(),
                                          self.daemon, {ZONE: self.signer}, [ZONE], self.longest)).start()

    def delv(self, name, kind="A"):
        path = self.sandbox.folder / f"anchor{self.signer.key_tag}"
        if not path.exists():  # whole from the first moment on: two threads come here
            write_anchor(path.with_suffix(f".{threading.get_ident()}"), ZONE, self.signer).rename(path)
        return delv(self.daemon, path, ZONE, full(name), kind)

    def judge(self):
        """Every kind of answer, by both."""
        unbound = self.unbound()
        for name, kind, rcode, values in ANSWERS:
            got = unbound.ask(full(name), kind)
            assert got[:2] == (rcode, True) and (values is None or got[2] == values), f"{name} {kind}: {got}"
            assert "fully validated" in self.delv(name, kind), f"{name} {kind}"

    def served(self, name="", kind="DNSKEY"):
        """{RDATA}, {key tags of its signatures}."""
        query = dns.message.make_query(full(name), kind, want_dnssec=True)
        answer = dns.query.tcp(query, self.daemon.dns[0], port=self.daemon.dns[1], timeout=60).answer
        data = {r for rrset in answer if rrset.rdtype == dns.rdatatype.from_text(kind) for r in rrset}
        tags = {r.key_tag for rrset in answer if rrset.rdtype == dns.rdatatype.RRSIG for r in rrset}
        return data, tags

    def zone_keys(self):
        return {dns.dnssec.key_id(key) for key in self.served()[0] if key.flags == 256}


class Watch:
    """Asks both validators all the time; `problems` are answers that did not validate."""

    def __init__(self, signed, names):
        self.signed, self.names = signed, [*names, "none"]
        self.problems, self.asked, self.done = [], {"unbound": 0, "delv": 0}, threading.Event()
        self.resolver = signed.unbound()
        self.threads = [threading.Thread(target=ask) for ask in (self.ask_unbound, self.ask_delv)]

    def ask_unbound(self):
        while not self.done.is_set():
            for name in self.names:
                rcode, valid, values = self.resolver.ask(full(name), "A")
                good = rcode == ("NXDOMAIN" if name == "none" else "NOERROR") and valid and set(values) <= {FIRST, SECOND}
                if not good:
                    self.problems.append((name, rcode, valid, values))
                self.asked["unbound"] += 1

    def ask_delv(self):
        while not self.done.is_set():
            for name in self.names:
                said = self.signed.delv(name)
                if "fully validated" not in said:
                    self.problems.append((name, said))
                self.asked["delv"] += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()


def test_every_kind_of_answer_validates_with_the_ds_that_is_shown_and_after_a_restart(sandbox):
    signed = Signed(sandbox)
    signed.judge()
    signed.daemon.restart()
    signed.judge()
    signed.daemon.popen.kill()
    signed.daemon.popen.wait()
    signed.daemon.start()
    signed.judge()
    in_sync(signed.route53, signed.route53.disable_hosted_zone_dnssec(HostedZoneId=signed.zone))
    assert signed.served("www", "A")[1] == set() and signed.zone_keys() == set()


@pytest.mark.serial
def test_a_name_that_a_health_check_flips_100_times_is_valid_at_every_moment(sandbox):
    signed = Signed(sandbox)
    plain = signed.unbound()
    with Watch(signed, ["www", "alias", "", "cname", "weighted", "multi"]) as watch:
        for flip in range(100):
            up = flip % 2 == 1
            (signed.site.up if up else signed.site.down)("page")
            wanted = ("NOERROR", True, [FIRST if up else SECOND])
            wait_for(lambda wanted=wanted: plain.ask(full("www"), "A") == wanted, 20, f"flip {flip}", every=0.01)
            assert plain.ask(full("alias"), "A") == wanted
    assert not watch.problems, watch.problems[:3]
    assert watch.asked["unbound"] > 100 and watch.asked["delv"] > 10, watch.asked


def test_a_key_signing_key_is_replaced_while_validators_ask(sandbox):
    signed = Signed(sandbox)
    old = signed.key
    with Watch(signed, ["www", "alias"]) as watch:
        second = create_key(signed.route53, signed.zone, "second")
        in_sync(signed.route53, second)
        assert {key.flags for key in signed.served()[0]} == {256, 257} and len(signed.served()[1]) == 2
        signed.judge()
        signed.key = second["KeySigningKey"]  # the parent's DS from here on
        signed.judge()
        watch.done.set()
    assert not watch.problems, watch.problems[:3]
    in_sync(signed.route53, signed.route53.deactivate_key_signing_key(HostedZoneId=signed.zone, Name="main"))
    in_sync(signed.route53, signed.route53.delete_key_signing_key(HostedZoneId=signed.zone, Name="main"))
    signed.judge()
    signed.key = old
    assert "fully validated" not in signed.delv("www")


@pytest.mark.serial
def test_zone_signing_keys_roll_over_by_themselves(sandbox):
    """With a period of nine seconds: published, signing, retired, gone, and the next; a crash in the middle; valid always."""
    signed = Signed(sandbox, "--dns-zone-key-period", "9")
    signed.longest = 1  # else the DNSKEY records, whose TTL is an hour, outlive the waits of so short a period
    first = signed.zone_keys()
    assert len(first) == 1 and signed.served("www", "A")[1] == first
    with Watch(signed, ["www", "alias", "cname"]) as watch:
        fresh = wait_for(lambda: signed.zone_keys() - first, 30 * SLOWER, "a key is published")
        assert signed.served("www", "A")[1] == first
        watch.done.set()
    signed.daemon.popen.kill()
    signed.daemon.popen.wait()
    signed.daemon.start()
    assert signed.zone_keys() >= fresh
    with Watch(signed, ["www", "alias", "cname"]) as again:
        wait_for(lambda: signed.served("www", "A")[1] == fresh, 30 * SLOWER, "it signs")
        assert signed.zone_keys() == first | fresh
        wait_for(lambda: signed.zone_keys() == fresh, 30 * SLOWER, "the first is gone")
        wait_for(lambda: not signed.zone_keys() & first and signed.served("www", "A")[1].isdisjoint(first | fresh),
                 60 * SLOWER, "and the next one took over")
    assert not watch.problems + again.problems, (watch.problems + again.problems)[:3]
    log = signed.daemon.log.read_text()
    for event in ("signing.key_published", "signing.key_switched", "signing.key_removed"):
        assert event in log
    signed.judge()


def test_a_zone_of_5000_names_is_never_served_unsigned_after_a_restart(sandbox):
    signed = Signed(sandbox)
    names = [f"n{number:04}" for number in range(5000)]
    for at in range(0, len(names), 500):
        change = signed.daemon.change(signed.zone, *(record(full(name), "A", FIRST) for name in names[at:at + 500]))
    in_sync(signed.route53, change)
    for crash in (False, True):
        seen, done = [], threading.Event()

        def ask(seen=seen, done=done):
            """All the time from before the start on: the first answer there is has to be signed."""
            at = 0
            while not done.is_set():
                query = dns.message.make_query(full(names[at % len(names)]), "A", want_dnssec=True)
                at += 1237
                try:
                    answer = dns.query.udp(query, signed.daemon.dns[0], port=signed.daemon.dns[1], timeout=0.05)
                except (OSError, dns.exception.Timeout):
                    continue
                seen.append([rrset.rdtype for rrset in answer.answer])

        (signed.daemon.popen.kill if crash else signed.daemon.stop)()
        signed.daemon.popen.wait()
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            signed.daemon.start()
            wait_for(lambda seen=seen: len(seen) > 200, 20 * SLOWER, "answers came")
        finally:
            done.set()
            asking.join()
        assert all(types == [dns.rdatatype.A, dns.rdatatype.RRSIG] for types in seen), seen[:5]
    unbound = signed.unbound()
    for name in names[::500]:
        assert unbound.ask(full(name), "A") == ("NOERROR", True, [FIRST])
