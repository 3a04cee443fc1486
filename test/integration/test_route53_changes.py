"""Change batches: all or nothing, what they may hold, what is said when they may not, and many clients at once."""

import collections
import re
import threading

import pytest

from leeward import record
from process import wait_for
from refusals import refused, text_of

NO_CHECK = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def api(shared):
    return shared.client("route53")


class Zone:
    """A zone of its own for a test, changed and looked at through the API and DNS."""

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.name = name
        self.api = daemon.client("route53")
        self.id = daemon.create_zone(name)

    def change(self, *changes, action="CREATE"):
        batch = [change if isinstance(change, tuple) else (action, change) for change in changes]
        return self.api.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch={
            "Changes": [{"Action": verb, "ResourceRecordSet": one} for verb, one in batch]})

    def records(self):
        return self.api.get_paginator("list_resource_record_sets").paginate(HostedZoneId=self.id).build_full_result()[
            "ResourceRecordSets"]

    def own(self):
        """All but the apex's SOA and NS."""
        return [r for r in self.records() if r["Type"] not in ("SOA", "NS") or r["Name"] != f"{self.name}."]

    def count(self):
        return self.api.get_hosted_zone(Id=self.id)["HostedZone"]["ResourceRecordSetCount"]

    def settle(self, change):
        """Waits until DNS serves the change."""
        wait_for(lambda: self.api.get_change(Id=change["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC", 10,
                 "INSYNC")

    def a(self, name, *values, **more):
        return record(f"{name}.{self.name}", "A", *(values or ["192.0.2.1"]), **more)

    def refused(self, message, *changes, action="CREATE", code="InvalidChangeBatch", status=400):
        """The batch is refused with the message, and the zone is as it was."""
        before = self.records()
        with refused(self.api, code, status, message) as raised:
            self.change(*changes, action=action)
        assert self.records() == before
        return raised.value


@pytest.fixture
def zone(shared, request):
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60]
    return Zone(shared, f"{name}.example")


# ---- all or nothing ----


@pytest.mark.sanitized
def test_nothing_of_a_bad_batch_is_applied(zone):
    zone.settle(zone.change(zone.a("stays"), zone.a("goes")))
    before = (zone.records(), zone.count())
    zone.refused(f"[Tried to create resource record set [name='stays.{zone.name}.', type='A'] but it already exists]",
                 ("CREATE", zone.a("new")), ("UPSERT", zone.a("stays2", "192.0.2.9")), ("DELETE", zone.a("goes")),
                 ("CREATE", zone.a("stays", "192.0.2.8")))
    assert (zone.records(), zone.count()) == before
    zone.settle(zone.change(zone.a("later")))  # DNS has seen everything before this one, too
    answers = {name: zone.daemon.dig(f"{name}.{zone.name}") for name in ("stays", "goes", "new", "stays2", "later")}
    assert {name: (answer.rcode, answer.data) for name, answer in answers.items()} == {
        "stays": ("NOERROR", ["192.0.2.1"]), "goes": ("NOERROR", ["192.0.2.1"]), "new": ("NXDOMAIN", []),
        "stays2": ("NXDOMAIN", []), "later": ("NOERROR", ["192.0.2.1"])}


def test_every_problem_of_a_batch_is_told(zone):
    error = zone.refused(None, ("DELETE", zone.a("absent")), ("CREATE", zone.a("fine")),
                         ("CREATE", record("www.example.net", "A", "192.0.2.1")),
                         ("CREATE", record(f"bad.{zone.name}", "A", "192.0.2.256")))
    assert error.response["messages"] == [
        f"RRSet with DNS name www.example.net. is not permitted in zone {zone.name}.",
        "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) encountered "
        "with '192.0.2.256''",
        f"Tried to delete resource record set [name='absent.{zone.name}.', type='A'] but it was not found"]


def test_a_batch_replaces_records_in_one_step(zone):
    zone.settle(zone.change(zone.a("www", "192.0.2.1")))
    change = zone.change(("DELETE", zone.a("www", "192.0.2.1")),
                         ("CREATE", record(f"www.{zone.name}", "CNAME", f"other.{zone.name}")),
                         ("CREATE", zone.a("other", "192.0.2.2")))
    zone.settle(change)
    assert zone.daemon.dig(f"www.{zone.name}").data == sorted([f"other.{zone.name}.", "192.0.2.2"])
    assert zone.count() == 4
    zone.settle(zone.change(("DELETE", record(f"www.{zone.name}", "CNAME", f"other.{zone.name}")),
                            ("CREATE", zone.a("www", "192.0.2.3"))))
    assert zone.daemon.dig(f"www.{zone.name}").data == ["192.0.2.3"]


# ---- CREATE, DELETE, UPSERT ----


def test_a_delete_must_match_exactly(zone):
    there = record(f"www.{zone.name}", "A", "192.0.2.1", "192.0.2.2", ttl=60)
    zone.change(there)
    mismatch = (f"[Tried to delete resource record set [name='www.{zone.name}.', type='A'] but the values provided do not "
                "match the current values]")
    for wrong in ({**there, "TTL": 61}, record(f"www.{zone.name}", "A", "192.0.2.1"),
                  record(f"www.{zone.name}", "A", "192.0.2.1", "192.0.2.3"),
                  record(f"www.{zone.name}", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3")):
        zone.refused(mismatch, wrong, action="DELETE")
    zone.refused(f"[Tried to delete resource record set [name='www.{zone.name}.', type='AAAA'] but it was not found]",
                 record(f"www.{zone.name}", "AAAA", "2001:db8::1"), action="DELETE")
    zone.change(record(f"WWW.{zone.name.upper()}.", "A", "192.0.2.2", "192.0.2.1"), action="DELETE")  # means the same
    assert zone.own() == []


def test_a_routed_record_is_found_by_its_set_identifier(zone):
    one, two = (zone.a("www", SetIdentifier=name, Weight=1) for name in ("one", "two"))
    zone.change(one, two)
    zone.refused(f"[Tried to delete resource record set [name='www.{zone.name}.', type='A', set-identifier='three'] but it "
                 "was not found]", {**one, "SetIdentifier": "three"}, action="DELETE")
    zone.refused(f"[Tried to delete resource record set [name='www.{zone.name}.', type='A', set-identifier='one'] but the "
                 "values provided do not match the current values]", {**one, "Weight": 2}, action="DELETE")
    zone.change(one, action="DELETE")
    assert [r["SetIdentifier"] for r in zone.own()] == ["two"]


def test_an_upsert_makes_and_replaces(zone):
    zone.change(zone.a("www", "192.0.2.1"), action="UPSERT")
    zone.change(zone.a("www", "192.0.2.2", ttl=5), action="UPSERT")
    assert zone.own() == [record(f"www.{zone.name}.", "A", "192.0.2.2", ttl=5)]
    assert zone.count() == 3
    zone.daemon.wait_for_answer(f"www.{zone.name}", "A", ["192.0.2.2"])


def test_a_record_set_is_changed_once_in_a_batch(zone):
    sentence = f"[The request contains an invalid set of changes for a resource record set 'A www.{zone.name}.']"
    for actions in (("CREATE", "CREATE"), ("UPSERT", "UPSERT"), ("CREATE", "DELETE"), ("UPSERT", "DELETE")):
        zone.refused(sentence, *[(action, zone.a("www")) for action in actions])


# ---- limits ----


@pytest.mark.sanitized
def test_a_batch_holds_a_thousand_elements(zone):
    many = [zone.a(f"n{number}") for number in range(1000)]
    zone.refused("[Number of records limit of 1000 exceeded.]", *many, zone.a("one-more"))
    zone.refused("[Number of records limit of 1000 exceeded.]", *many[:501], action="UPSERT")  # each counts twice
    zone.refused("[Number of records limit of 1000 exceeded.]",
                 *[zone.a(f"v{number}", *[f"192.0.2.{value}" for value in range(1, 201)]) for number in range(6)])
    zone.settle(zone.change(*many))
    assert zone.count() == 1002
    assert len(zone.own()) == 1000
    for number in (0, 500, 999):
        assert zone.daemon.dig(f"n{number}.{zone.name}").data == ["192.0.2.1"]
    zone.change(*many, action="DELETE")
    assert zone.own() == []


def test_the_characters_of_a_batch_are_limited(zone):
    texts = [record(f"t{number}.{zone.name}", "TXT", *[f'"{number}-{value}-{"x" * 240}"' for value in range(13)])
             for number in range(10)]
    zone.change(*texts[:9])
    zone.refused("[Number of characters limit of 32000 in the values exceeded.]", *texts, action="DELETE")


# ---- what a batch may hold ----


def simple(zone, *values, kind="A", name="www", **more):
    return record(f"{name}.{zone.name}" if name else zone.name, kind, *values, **more)


def test_values_are_checked_by_type(zone):
    bad = [("A", "192.0.2"), ("A", "2001:db8::1"), ("A", ""), ("AAAA", "192.0.2.1"), ("AAAA", "2001:db8::g"),
           ("MX", "mail.example.com"), ("MX", "65536 mail.example.com"), ("TXT", "no quotes"), ("TXT", '"open'),
           ("TXT", '"' + "x" * 256 + '"'), ("CNAME", "a..b"), ("NS", "a b"), ("SRV", "1 2 web.example.com"),
           ("SRV", "1 2 70000 web.example.com"), ("CAA", "0 issue"), ("CAA", '256 issue "ca.example"'), ("PTR", "..."),
           ("SPF", "v=spf1"), ("NAPTR", "1 2"), ("DS", "1 2 3"), ("DS", "1 2 3 xyz")]
    for kind, value in bad:
        zone.refused(re.compile(r"^\[Invalid Resource Record: '"), simple(zone, value, kind=kind))
    good = [("A", "192.0.2.1"), ("AAAA", "2001:DB8::1"), ("MX", "10 mail.example.com"), ("TXT", '"one" "two \\"2\\""'),
            ("SRV", "1 2 443 web.example.com"), ("CAA", '0 issue "ca.example"'), ("PTR", "www.example.com"),
            ("SPF", '"v=spf1 -all"'), ("NAPTR", '100 50 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .'),
            ("NS", "ns.example.com"), ("CNAME", "www.example.com"),
            ("DS", "12345 13 2 " + "0123456789ABCDEF" * 4)]
    zone.settle(zone.change(*[simple(zone, value, kind=kind, name=f"{kind}-type") for kind, value in good]))
    kept = {r["Type"]: r["ResourceRecords"][0]["Value"] for r in zone.own()}
    assert kept == dict(good)  # as they were sent, not as DNS shows them
    for kind in ("A", "AAAA", "MX", "TXT", "SRV", "CAA", "PTR", "NAPTR", "CNAME"):
        assert len(zone.daemon.dig(f"{kind}-type.{zone.name}", kind).answer) == 1, kind


def test_a_value_comes_once(zone):
    zone.refused("[Duplicate Resource Record: '192.0.2.1']", zone.a("www", "192.0.2.1", "192.0.2.1"))


def test_a_name_must_lie_in_the_zone(zone):
    for name in (f"www.not{zone.name}", "example", "www.example.net"):
        zone.refused(f"[RRSet with DNS name {name}. is not permitted in zone {zone.name}.]", record(name, "A", "192.0.2.1"))
    for name in (f"a..{zone.name}", "x" * 64 + f".{zone.name}"):
        zone.refused(re.compile(r"^\[Invalid domain name '"), record(name, "A", "192.0.2.1"))


def test_a_cname_stands_alone(zone):
    cname = simple(zone, "www.example.com", kind="CNAME")
    zone.change(zone.a("www"))
    alone = (f"[RRSet of type CNAME with DNS name www.{zone.name}. is not permitted as it conflicts with other records with "
             f"the same DNS name in zone {zone.name}.]")
    zone.refused(alone, cname)
    zone.change(zone.a("www"), action="DELETE")
    zone.change(cname)
    zone.refused(f"[RRSet of type TXT with DNS name www.{zone.name}. is not permitted because a conflicting RRSet of type "
                 f"CNAME with the same DNS name already exists in zone {zone.name}.]", simple(zone, '"x"', kind="TXT"))
    zone.refused(f"[RRSet of type CNAME with DNS name {zone.name}. is not permitted at apex in zone {zone.name}.]",
                 simple(zone, "www.example.com", kind="CNAME", name=""))
    zone.refused(re.compile("can have only one value"), simple(zone, "a.example", "b.example", kind="CNAME", name="two"))


def test_the_apex_keeps_its_soa_and_ns(zone):
    apex = {r["Type"]: r for r in zone.records()}
    zone.refused("[A HostedZone must contain exactly one SOA record.]", apex["SOA"], action="DELETE")
    zone.refused("[A HostedZone must contain at least one NS record for the zone itself.]", apex["NS"], action="DELETE")
    zone.refused(f"[RRSet of type SOA with DNS name www.{zone.name}. is not permitted in zone {zone.name}.]",
                 {**apex["SOA"], "Name": f"www.{zone.name}"})
    soa = "ns.example.com. admin.example.com. 7 7200 900 1209600 30"
    zone.settle(zone.change({**apex["SOA"], "ResourceRecords": [{"Value": soa}]}, action="UPSERT"))
    assert zone.daemon.dig(zone.name, "SOA").data == [soa]
    negative = zone.daemon.dig(f"nothing.{zone.name}")
    assert (negative.rcode, negative.authority[0].ttl) == ("NXDOMAIN", 30)


def test_policies_do_not_mix(zone):
    weighted = zone.a("www", SetIdentifier="w", Weight=1)
    multivalue = zone.a("www", SetIdentifier="m", MultiValueAnswer=True)
    failover = zone.a("www", SetIdentifier="f", Failover="SECONDARY")
    zone.change(zone.a("www"))
    for other, word in ((weighted, "weighted"), (failover, "failover")):
        zone.refused(f"[RRSet with DNS name www.{zone.name}., type A, SetIdentifier {other['SetIdentifier']} cannot be "
                     f"created as a non-{word} set exists with the same name and type.]", other)
    zone.refused(f"[RRSet with DNS name www.{zone.name}., type A, SetIdentifier m cannot be created because a non "
                 "multivalue answer rrset exists with the same name and type.]", multivalue)
    zone.change(("DELETE", zone.a("www")), ("CREATE", weighted))
    zone.refused(f"[RRSet with DNS name www.{zone.name}., type A cannot be created as other RRSets exist with the same name "
                 "and type.]", zone.a("www"))
    zone.refused(re.compile("cannot be created as a non-failover set exists"), failover)
    zone.refused(re.compile("a non multivalue answer rrset exists"), multivalue)
    zone.change(simple(zone, "2001:db8::1", kind="AAAA"))  # another type has a policy of its own
    zone.refused(re.compile("type A, SetIdentifier w2 cannot be created as weighted sets must contain the same TTL"),
                 {**weighted, "SetIdentifier": "w2", "TTL": 61})


def test_a_failover_pair_has_one_of_each(zone):
    check = zone.api.create_health_check(CallerReference=zone.name, HealthCheckConfig={
        "Type": "TCP", "IPAddress": "192.0.2.1", "Port": 1, "Disabled": True})["HealthCheck"]["Id"]
    primary = zone.a("www", SetIdentifier="one", Failover="PRIMARY", HealthCheckId=check)
    secondary = zone.a("www", "192.0.2.2", SetIdentifier="two", Failover="SECONDARY")
    zone.change(primary, secondary)
    for which in (primary, secondary):
        zone.refused(f"[RRSet with DNS name www.{zone.name}., type A, SetIdentifier three cannot be created as a failover "
                     f"set with the value {which['Failover']} exists with the same name and type.]",
                     {**which, "SetIdentifier": "three"})
    without = {k: v for k, v in primary.items() if k != "HealthCheckId"}
    zone.refused("[A non-alias primary ResourceRecordSet must have an associated health check.]", without, action="UPSERT")
    zone.daemon.wait_for_answer(f"www.{zone.name}", "A", ["192.0.2.1"])
    with refused(zone.api, "NoSuchHealthCheck", 404, f"A health check with id {NO_CHECK} does not exist."):
        zone.change({**primary, "HealthCheckId": NO_CHECK}, action="UPSERT")


POLICIES = "[Weight, Region, Failover, GeoLocation, MultiValueAnswer, or CidrRoutingConfig]"
CONTENTS = "[AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId]"
SHAPES = {
    "no identifier": ({"Weight": 1}, "Missing field 'SetIdentifier'"),
    "no policy": ({"SetIdentifier": "x"}, f"Expected exactly one of {POLICIES}, but found none"),
    "two policies": ({"SetIdentifier": "x", "Weight": 1, "Failover": "PRIMARY"},
                     f"Expected exactly one of {POLICIES}, but found more than one"),
    "no values": ({"ResourceRecords": None}, f"Expected exactly one of {CONTENTS}, but found none"),
    "no TTL": ({"TTL": None}, f"Expected exactly one of {CONTENTS}, but found none"),
    "alias and values": ({"AliasTarget": {"HostedZoneId": "Z1", "DNSName": "a.example", "EvaluateTargetHealth": False}},
                         f"Expected exactly one of {CONTENTS}, but found more than one"),
    "geolocation": ({"SetIdentifier": "x", "GeoLocation": {"CountryCode": "ZZ"}},
                    "GeoLocation [ContinentCode=, CountryCode=ZZ, SubdivisionCode=] is not supported"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_the_shape_of_a_record_is_checked(zone, case):
    members, problem = SHAPES[case]
    bad = {name: value for name, value in {**zone.a("www"), **members}.items() if value is not None}
    identifier = bad.get("SetIdentifier", "null")
    zone.refused(f"Invalid request: {problem} in Change with [Action=CREATE, Name=www.{zone.name}, Type=A, "
                 f"SetIdentifier={identifier}]", zone.a("fine"), bad, code="InvalidInput")


@pytest.mark.sanitized
def test_an_alias_needs_its_target(shared, zone):
    def alias(name, target, zone_id=None, **more):
        return {"Name": f"{name}.{zone.name}" if name else zone.name, "Type": "A", **more, "AliasTarget": {
            "HostedZoneId": zone_id or zone.id, "DNSName": target, "EvaluateTargetHealth": False}}

    other = Zone(shared, f"other-{zone.name}")
    other.change(other.a("www", "192.0.2.7"))
    target = f"www.{zone.name}., type A in zone {zone.id}"
    zone.refused(f"[Tried to create an alias that targets {target}, but that target was not found]",
                 alias("", f"www.{zone.name}"))
    zone.change(zone.a("www", "192.0.2.6"), alias("", f"WWW.{zone.name}"),
                alias("far", f"www.{other.name}", f"/hostedzone/{other.id}"))
    shared.wait_for_answer(zone.name, "A", ["192.0.2.6"])
    shared.wait_for_answer(f"far.{zone.name}", "A", ["192.0.2.7"])
    listed = {r["Name"]: r["AliasTarget"] for r in zone.own() if "AliasTarget" in r}
    assert listed == {
        f"{zone.name}.": {"HostedZoneId": zone.id, "DNSName": f"www.{zone.name}.", "EvaluateTargetHealth": False},
        f"far.{zone.name}.": {"HostedZoneId": other.id, "DNSName": f"www.{other.name}.", "EvaluateTargetHealth": False}}
    zone.refused(re.compile("but the alias target name does not lie within the target zone"),
                 alias("out", f"www.{other.name}"))
    zone.refused(re.compile("but that is the alias itself"), alias("self", f"self.{zone.name}"))
    zone.refused(re.compile("cannot be an alias"), {**alias("", f"www.{zone.name}"), "Type": "NS"}, action="UPSERT")


def test_wrong_words_are_refused_by_the_model(shared, zone):
    unchecked = shared.client("route53", parameter_validation=False)

    def send(batch):
        unchecked.change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch=batch)

    good = {"Action": "CREATE", "ResourceRecordSet": zone.a("www")}
    for batch, pattern in (
            ({"Changes": []}, "at 'changeBatch.changes' failed to satisfy constraint: Member must have length greater"),
            ({"Changes": [{**good, "Action": "REPLACE"}]},
             r"Value 'REPLACE' at 'changeBatch.changes.1.member.action' failed to satisfy constraint: Member must satisfy "
             r"enum value set: \[CREATE, DELETE, UPSERT\]"),
            ({"Changes": [good, {**good, "ResourceRecordSet": {**zone.a("www"), "Type": "AXFR"}}]},
             "Value 'AXFR' at 'changeBatch.changes.2.member.resourceRecordSet.type'"),
            ({"Changes": [good, {**good, "ResourceRecordSet": {**zone.a("www"), "Weight": 256, "SetIdentifier": "x"}}]},
             "'256' at 'changeBatch.changes.2.member.resourceRecordSet.weight'"),
            ({"Changes": [{"Action": "CREATE"}]}, "at 'changeBatch.changes.1.member.resourceRecordSet' failed")):
        with refused(unchecked, "InvalidInput", 400, re.compile(pattern)):
            send(batch)
    assert zone.own() == []


# ---- many clients at once ----


def in_threads(count, work):
    """Runs work(number) in that many threads at once; a failure in one is a failure of all."""
    gate, problems = threading.Barrier(count), []

    def run(number):
        try:
            gate.wait()
            work(number)
        except BaseException as problem:  # shown below
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems


@pytest.mark.sanitized
def test_clients_at_once_lose_nothing(daemon):
    """Eight change one zone, eight have a zone each. The one zone also has a record that all eight replace."""
    rounds = 5
    common = Zone(daemon, "common.example")
    apart = [Zone(daemon, f"apart{number}.example") for number in range(8)]
    changes = collections.defaultdict(list)

    def work(number):
        zone = common if number < 8 else apart[number - 8]
        for turn in range(rounds):
            made = zone.change(("CREATE", zone.a(f"n{number}-{turn}", f"192.0.2.{number + 1}")),
                               ("CREATE", zone.a(f"gone{number}-{turn}")),
                               ("UPSERT", zone.a("all", f"198.51.100.{number + 1}", ttl=turn)))
            changes[number].append(made)
            zone.change(zone.a(f"gone{number}-{turn}"), action="DELETE")

    in_threads(16, work)
    for zone, numbers in ((common, range(8)), *((one, [8 + at]) for at, one in enumerate(apart))):
        expected = {f"n{number}-{turn}.{zone.name}.": [f"192.0.2.{number + 1}"]
                    for number in numbers for turn in range(rounds)}
        listed = {r["Name"]: [v["Value"] for v in r["ResourceRecords"]] for r in zone.own()}
        last = listed.pop(f"all.{zone.name}.")
        assert listed == expected
        assert zone.count() == len(expected) + 3
        assert last[0] in [f"198.51.100.{number + 1}" for number in numbers]
        zone.settle(zone.change(zone.a("last")))
        assert zone.daemon.dig(f"all.{zone.name}").data == last
        some = list(expected)[::5]
        assert [zone.daemon.dig(name).data for name in some] == [expected[name] for name in some]
        assert zone.daemon.dig(f"gone{numbers[0]}-0.{zone.name}").rcode == "NXDOMAIN"
    ids = [made["ChangeInfo"]["Id"] for every in changes.values() for made in every]
    assert len(set(ids)) == 16 * rounds


def test_of_creations_at_once_one_succeeds(shared, api):
    """The same caller reference, and the same record, from eight clients."""
    zone = Zone(shared, "race.example")
    clients = [shared.client("route53") for _ in range(8)]
    results = collections.Counter()
    lock = threading.Lock()

    def work(number):
        for what, call in (
                ("record", lambda: clients[number].change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch={
                    "Changes": [{"Action": "CREATE", "ResourceRecordSet": zone.a("www", f"192.0.2.{number + 1}")}]})),
                ("zone", lambda: clients[number].create_hosted_zone(Name="raced.example", CallerReference="raced")),
                ("check", lambda: clients[number].create_health_check(CallerReference="raced", HealthCheckConfig={
                    "Type": "TCP", "IPAddress": "192.0.2.1", "Port": number + 1, "Disabled": True}))):
            try:
                call()
                word = "made"
            except clients[number].exceptions.ClientError as error:
                word = error.response["Error"]["Code"]
                assert text_of(error)
            with lock:
                results[what, word] += 1

    in_threads(8, work)
    assert results == {("record", "made"): 1, ("record", "InvalidChangeBatch"): 7, ("zone", "made"): 1,
                       ("zone", "HostedZoneAlreadyExists"): 7, ("check", "made"): 1,
                       ("check", "HealthCheckAlreadyExists"): 7}
    assert zone.count() == 3


def test_a_zone_deleted_while_it_is_filled_is_whole_or_gone(shared):
    """A deletion and a change at once: one of them loses, and says so."""
    for turn in range(5):
        zone = Zone(shared, f"contested{turn}.example")
        api = shared.client("route53")
        outcome = {}

        def work(number):
            try:
                if number == 0:
                    zone.change(zone.a("www"))
                else:
                    api.delete_hosted_zone(Id=zone.id)
                outcome[number] = ""
            except zone.api.exceptions.ClientError as error:
                outcome[number] = error.response["Error"]["Code"]

        in_threads(2, work)
        assert outcome in ({0: "", 1: "HostedZoneNotEmpty"}, {0: "NoSuchHostedZone", 1: ""})
        if outcome[1]:
            assert [r["Name"] for r in zone.own()] == [f"www.{zone.name}."]
