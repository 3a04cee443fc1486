"""Choosing a record: the rules of Route 53's policies, with real endpoints whose pages come and go.

Each test has a daemon and one web server of its own; a record's check is on one page of it, so that its health is the
test's to say. Random choices are counted over 2,000 questions and compared with the exact distribution: a correct
daemon fails such a comparison about once in 10^10.
"""

import itertools

import botocore.exceptions
import pytest

import endpoints
from endpoints import make_check, page_check, wait_for_health
from leeward import record
from process import wait_for
from questions import ask, assert_share, data, rcode, records, tally, values_seen

ZONE = "example.com"
NAME = "www.example.com"


class World:
    """A daemon, one hosted zone, one site, and the checks on its pages by their names."""

    def __init__(self, sandbox):
        self.daemon = sandbox.daemon().start()
        self.site = sandbox.add(endpoints.Site(sandbox.folder / "site", sandbox.address())).start()
        self.zone = self.daemon.create_zone(ZONE)
        self.checks = {}

    def check(self, page, healthy=True):
        """The check on a page, made when first asked for."""
        if page not in self.checks:
            if healthy:
                self.site.up(page)
            self.checks[page] = page_check(self.daemon, self.site, page)
        return self.checks[page]

    def add(self, *changes, action="CREATE", zone=None):
        """One batch; waits until DNS has it."""
        change = self.daemon.change(zone or self.zone, *changes, action=action)["ChangeInfo"]["Id"]
        client = self.daemon.client("route53")
        wait_for(lambda: client.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC", 10, "INSYNC")

    def ask(self, name=NAME, kind="A", **more):
        return ask(self.daemon.dns, name, kind, **more)

    def data(self, name=NAME, kind="A"):
        return data(self.ask(name, kind), kind)

    def wait_for(self, *values, name=NAME, kind="A"):
        """Waits until the answer is exactly these values."""
        def answered():
            seen = self.data(name, kind)
            assert seen == sorted(values), seen
            return True
        wait_for(answered, 10, f"{name} {kind} is {values}")

    def settle(self, name=NAME, kind="A", **health):
        wait_for_health(self.daemon, name, kind, **health)

    def tally(self, name=NAME, kind="A", count=2000):
        return tally(self.daemon.dns, name, kind, count)

    def alias(self, name, target, kind="A", evaluate=False, zone=None, **more):
        return alias(name, target, zone or self.zone, kind, evaluate, **more)


@pytest.fixture
def world(sandbox):
    return World(sandbox)


def alias(name, target, zone, kind="A", evaluate=False, **more):
    return {"Name": name, "Type": kind, "AliasTarget": {"HostedZoneId": zone, "DNSName": target,
                                                        "EvaluateTargetHealth": evaluate}, **more}


def failover(name, role, *values, kind="A", check=None, **more):
    if check:
        more["HealthCheckId"] = check
    return record(name, kind, *values, SetIdentifier=role.lower(), Failover=role, **more)


def weighted(name, key, weight, *values, kind="A", check=None, **more):
    if check:
        more["HealthCheckId"] = check
    return record(name, kind, *values, SetIdentifier=key, Weight=weight, **more)


def multivalue(name, key, value, check=None, **more):
    if check:
        more["HealthCheckId"] = check
    return record(name, "A", value, SetIdentifier=key, MultiValueAnswer=True, **more)


# Simple


def test_a_simple_record_answers_all_its_values(world):
    world.add(record(NAME, "A", "192.0.2.1", "192.0.2.2", "192.0.2.3", ttl=77), record(NAME, "AAAA", "2001:db8::1"))
    assert world.data() == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert world.data(kind="AAAA") == ["2001:db8::1"]
    assert {rrset.ttl for rrset in world.ask().answer} == {77}


# Failover (rules 1, 2, 3)


@pytest.mark.sanitized
def test_failover_in_every_combination_of_health(world):
    world.add(failover(NAME, "PRIMARY", "192.0.2.1", check=world.check("one")),
              failover(NAME, "SECONDARY", "192.0.2.2", check=world.check("two")))
    expected = {(True, True): "192.0.2.1", (True, False): "192.0.2.1", (False, True): "192.0.2.2",
                (False, False): "192.0.2.1"}
    # Every combination is entered from each of the others that differ in one endpoint.
    states = [(True, True), (False, True), (False, False), (True, False), (True, True), (True, False), (False, False),
              (False, True), (True, True)]
    for one, two in states:
        (world.site.up if one else world.site.down)("one")
        (world.site.up if two else world.site.down)("two")
        world.settle(primary=one, secondary=two)
        assert world.data() == [expected[one, two]], (one, two)


def test_a_secondary_without_a_check_is_always_healthy(world):
    world.add(failover(NAME, "PRIMARY", "192.0.2.1", check=world.check("one")),
              failover(NAME, "SECONDARY", "192.0.2.2"))
    world.wait_for("192.0.2.1")
    world.site.down("one")
    world.wait_for("192.0.2.2")
    world.site.up("one")
    world.wait_for("192.0.2.1")


def test_a_primary_without_a_check_has_to_be_an_alias_and_is_always_returned(world):
    secondary = failover(NAME, "SECONDARY", "192.0.2.2", check=world.check("two"))
    with pytest.raises(botocore.exceptions.ClientError, match="primary ResourceRecordSet must have an associated health"):
        world.daemon.change(world.zone, failover(NAME, "PRIMARY", "192.0.2.1"), secondary)
    world.add(record("target.example.com", "A", "192.0.2.1"), secondary,
              world.alias(NAME, "target.example.com", SetIdentifier="primary", Failover="PRIMARY"))
    for state in (world.site.down, world.site.up):
        state("two")
        world.settle(primary=True, secondary=state == world.site.up)
        assert world.data() == ["192.0.2.1"]


def test_half_a_failover_pair_is_returned_whatever_its_health(world):
    world.add(failover(NAME, "SECONDARY", "192.0.2.2", check=world.check("two", healthy=False)))
    world.settle(secondary=False)
    assert world.data() == ["192.0.2.2"]


def test_each_type_of_a_name_fails_over_on_its_own(world):
    world.add(failover(NAME, "PRIMARY", "192.0.2.1", check=world.check("one", healthy=False)),
              failover(NAME, "SECONDARY", "192.0.2.2"),
              failover(NAME, "PRIMARY", "2001:db8::1", kind="AAAA", check=world.check("two")),
              failover(NAME, "SECONDARY", "2001:db8::2", kind="AAAA"))
    world.wait_for("192.0.2.2")
    assert world.data(kind="AAAA") == ["2001:db8::1"]


@pytest.mark.sanitized
def test_the_aws_cli_makes_a_failover_pair_and_a_resolver_follows_it(sandbox, world):
    """As an operator types it; the endpoint is killed, not merely unwell."""
    check = world.daemon.aws(
        "route53", "create-health-check", "--caller-reference", "cli", "--health-check-config",
        f"Type=HTTPS,IPAddress={world.site.address},Port={world.site.https_port},ResourcePath=/one,"
        "RequestInterval=10,FailureThreshold=1")["HealthCheck"]["Id"]
    world.daemon.aws("route53", "change-tags-for-resource", "--resource-type", "healthcheck", "--resource-id", check,
                     "--add-tags", *(f"Key={key},Value={value}" for key, value in endpoints.FAST.items()))
    world.site.up("one")
    world.add(failover(NAME, "PRIMARY", "192.0.2.1", check=check, ttl=1), failover(NAME, "SECONDARY", "192.0.2.2", ttl=1))
    resolver = sandbox.unbound(world.daemon, ZONE)

    def says(value):
        wait_for(lambda: resolver.dig(NAME).data == [value], 15, f"the resolver says {value}")
    endpoints.wait_for_report(world.daemon, check, "Success: HTTP Status Code 200")
    says("192.0.2.1")
    world.site.kill()
    says("192.0.2.2")
    world.site.start()
    says("192.0.2.1")


# Weighted (rule 4)


@pytest.mark.sanitized
def test_weights_divide_the_answers(world):
    world.add(weighted(NAME, "a", 10, "192.0.2.1"), weighted(NAME, "b", 20, "192.0.2.2"),
              weighted(NAME, "c", 70, "192.0.2.3", "192.0.2.4"))
    seen = world.tally()
    assert set(seen) == {("192.0.2.1",), ("192.0.2.2",), ("192.0.2.3", "192.0.2.4")}
    for values, share in ((("192.0.2.1",), 0.1), (("192.0.2.2",), 0.2), (("192.0.2.3", "192.0.2.4"), 0.7)):
        assert_share(seen[values], 2000, share, values)


def test_the_largest_and_the_smallest_weight_divide_the_answers(world):
    world.add(weighted(NAME, "a", 255, "192.0.2.1"), weighted(NAME, "b", 1, "192.0.2.2"))
    seen = world.tally()
    assert_share(seen[("192.0.2.2",)], 2000, 1 / 256, "weight 1 of 256")


def test_an_unhealthy_weighted_record_is_left_out(world):
    world.add(weighted(NAME, "a", 10, "192.0.2.1", check=world.check("one")), weighted(NAME, "b", 30, "192.0.2.2"),
              weighted(NAME, "c", 60, "192.0.2.3", check=world.check("three", healthy=False)))
    world.settle(a=True, b=True, c=False)
    seen = world.tally()
    assert set(seen) == {("192.0.2.1",), ("192.0.2.2",)}
    assert_share(seen[("192.0.2.1",)], 2000, 0.25, "10 of the healthy 40")
    world.site.up("three")
    world.settle(c=True)
    assert_share(world.tally()[("192.0.2.3",)], 2000, 0.6, "60 of 100 once it is healthy again")


def test_weight_0_is_used_only_when_all_others_are_unhealthy(world):
    world.add(weighted(NAME, "a", 0, "192.0.2.1"), weighted(NAME, "b", 0, "192.0.2.2"),
              weighted(NAME, "c", 5, "192.0.2.3", check=world.check("three")),
              weighted(NAME, "d", 5, "192.0.2.4", check=world.check("four")))
    world.settle(c=True, d=True)
    assert set(world.tally(count=300)) == {("192.0.2.3",), ("192.0.2.4",)}
    world.site.down("four")
    world.settle(c=True, d=False)
    assert set(world.tally(count=300)) == {("192.0.2.3",)}
    world.site.down("three")
    world.settle(c=False, d=False)
    seen = world.tally()
    assert set(seen) == {("192.0.2.1",), ("192.0.2.2",)}
    assert_share(seen[("192.0.2.1",)], 2000, 0.5, "half of each of weight 0")
    world.site.up("three")
    world.settle(c=True)
    assert set(world.tally(count=300)) == {("192.0.2.3",)}


def test_where_all_weights_are_0_all_are_equally_likely(world):
    world.add(*(weighted(NAME, str(n), 0, f"192.0.2.{n}") for n in range(1, 5)))
    seen = world.tally()
    assert len(seen) == 4
    for values, count in seen.items():
        assert_share(count, 2000, 0.25, values)


def test_where_all_weights_are_0_the_unhealthy_are_left_out(world):
    world.add(weighted(NAME, "a", 0, "192.0.2.1", check=world.check("one", healthy=False)),
              weighted(NAME, "b", 0, "192.0.2.2"), weighted(NAME, "c", 0, "192.0.2.3"))
    world.settle(a=False)
    seen = world.tally()
    assert set(seen) == {("192.0.2.2",), ("192.0.2.3",)}
    assert_share(seen[("192.0.2.2",)], 2000, 0.5, "half of each healthy one")


def test_where_nothing_is_healthy_all_count_by_their_weight(world):
    world.add(weighted(NAME, "a", 10, "192.0.2.1", check=world.check("one", healthy=False)),
              weighted(NAME, "b", 30, "192.0.2.2", check=world.check("two", healthy=False)),
              weighted(NAME, "c", 0, "192.0.2.3", check=world.check("three", healthy=False)))
    world.settle(a=False, b=False, c=False)
    seen = world.tally()
    assert set(seen) == {("192.0.2.1",), ("192.0.2.2",)}, "all treated as healthy: weight 0 stays unused"
    assert_share(seen[("192.0.2.1",)], 2000, 0.25, "10 of 40")


def test_changing_a_weight_takes_effect(world):
    world.add(weighted(NAME, "a", 50, "192.0.2.1"), weighted(NAME, "b", 50, "192.0.2.2"))
    world.add(weighted(NAME, "a", 0, "192.0.2.1"), action="UPSERT")
    assert set(world.tally(count=300)) == {("192.0.2.2",)}


def test_a_weighted_cname_is_followed_to_what_was_chosen(world):
    world.add(weighted(NAME, "a", 1, "blue.example.com", kind="CNAME"),
              weighted(NAME, "b", 3, "green.example.com", kind="CNAME"),
              record("blue.example.com", "A", "192.0.2.1"), record("green.example.com", "A", "192.0.2.2"))
    seen = world.tally()
    assert set(seen) == {("192.0.2.1",), ("192.0.2.2",)}
    assert_share(seen[("192.0.2.1",)], 2000, 0.25, "1 of 4")


# Multivalue (rule 5)


def twelve(world, unhealthy=()):
    """Twelve multivalue records; those of the numbers given have a check, which fails."""
    return [multivalue(NAME, f"m{n}", f"192.0.2.{n}",
                       check=world.check(f"m{n}", healthy=False) if n in unhealthy else None) for n in range(1, 13)]


@pytest.mark.sanitized
def test_multivalue_answers_eight_of_twelve_at_random(world):
    world.add(*twelve(world))
    seen = world.tally()
    assert {len(values) for values in seen} == {8}
    assert all(len(set(values)) == 8 for values in seen)
    for value, count in values_seen(seen).items():
        assert_share(count, 2000, 8 / 12, value)
    assert len(values_seen(seen)) == 12
    # Sampling without a pattern: each of the 495 subsets is about as likely as any other, none stands out.
    assert len(seen) > 400
    for values in itertools.islice(seen, 5):
        assert_share(seen[values], 2000, 1 / 495, values)


def test_multivalue_leaves_the_unhealthy_out(world):
    world.add(*twelve(world, unhealthy=(1, 2, 3)))
    world.settle(m1=False, m2=False, m3=False)
    seen = values_seen(world.tally())
    assert set(seen) == {f"192.0.2.{n}" for n in range(4, 13)}
    for value, count in seen.items():
        assert_share(count, 2000, 8 / 9, value)


def test_multivalue_answers_fewer_than_eight_when_fewer_are_healthy(world):
    world.add(*twelve(world, unhealthy=range(1, 10)))
    world.settle(**{f"m{n}": False for n in range(1, 10)})
    assert set(world.tally(count=200)) == {("192.0.2.10", "192.0.2.11", "192.0.2.12")}


def test_multivalue_answers_eight_when_none_is_healthy(world):
    world.add(*twelve(world, unhealthy=range(1, 13)))
    world.settle(**{f"m{n}": False for n in range(1, 13)})
    seen = world.tally(count=1000)
    assert {len(values) for values in seen} == {8}
    assert len(values_seen(seen)) == 12
    world.site.up("m5")
    world.settle(m5=True)
    assert world.data() == ["192.0.2.5"]


# Alias (rules 7, 8, 9)


@pytest.mark.sanitized
def test_an_alias_answers_with_its_targets_records_and_ttl_and_no_cname(world):
    world.add(record("target.example.com", "A", "192.0.2.1", "192.0.2.2", ttl=77),
              record("target.example.com", "AAAA", "2001:db8::1", ttl=78),
              world.alias(NAME, "target.example.com"), world.alias(NAME, "target.example.com", kind="AAAA"))
    assert records(world.ask().answer) == [(NAME + ".", 77, "A", "192.0.2.1"), (NAME + ".", 77, "A", "192.0.2.2")]
    assert records(world.ask(kind="AAAA").answer) == [(NAME + ".", 78, "AAAA", "2001:db8::1")]
    nodata = world.ask(kind="CNAME")
    assert (rcode(nodata), nodata.answer) == ("NOERROR", [])
    world.add(record("target.example.com", "A", "192.0.2.3", ttl=5), action="UPSERT")
    assert records(world.ask().answer) == [(NAME + ".", 5, "A", "192.0.2.3")]


def test_an_alias_answers_for_types_other_than_addresses(world):
    world.add(record("target.example.com", "TXT", '"one"'), record("target.example.com", "MX", "10 mail.example.com"),
              world.alias(NAME, "target.example.com", kind="TXT"), world.alias(NAME, "target.example.com", kind="MX"))
    assert world.data(kind="TXT") == ['"one"']
    assert world.data(kind="MX") == ["10 mail.example.com."]


def test_an_alias_at_the_apex_answers_beside_soa_and_ns(world):
    world.add(record(NAME, "A", "192.0.2.1"), world.alias(ZONE, NAME))
    assert records(world.ask(ZONE).answer) == [(ZONE + ".", 60, "A", "192.0.2.1")]
    assert len(world.data(ZONE, "NS")) == 4
    assert len(world.data(ZONE, "SOA")) == 1


def test_a_wildcard_alias_answers_for_every_name_below(world):
    world.add(record("target.example.com", "A", "192.0.2.1"), world.alias("*.apps.example.com", "target.example.com"))
    assert records(world.ask("shop.apps.example.com").answer) == [("shop.apps.example.com.", 60, "A", "192.0.2.1")]


def test_an_alias_points_into_another_hosted_zone_by_its_id(world):
    other = world.daemon.create_zone("example.net")
    world.add(record("service.example.net", "A", "198.51.100.1", ttl=30), zone=other)
    world.add(world.alias(ZONE, "service.example.net", zone=other), world.alias(NAME, "service.example.net", zone=other))
    for name in (ZONE, NAME):
        assert records(world.ask(name).answer) == [(name + ".", 30, "A", "198.51.100.1")]
    world.add(record("service.example.net", "A", "198.51.100.2", ttl=30), action="UPSERT", zone=other)
    assert world.data() == ["198.51.100.2"]


def test_an_alias_of_an_alias_answers_with_the_last_target(world):
    other = world.daemon.create_zone("example.net")
    world.add(record("c.example.net", "A", "192.0.2.9", ttl=9), alias("b.example.net", "c.example.net", other), zone=other)
    world.add(world.alias("a.example.com", "b.example.net", zone=other), world.alias(NAME, "a.example.com"))
    assert records(world.ask().answer) == [(NAME + ".", 9, "A", "192.0.2.9")]


def test_an_alias_of_a_failover_pair_follows_it(world):
    world.add(failover("pair.example.com", "PRIMARY", "192.0.2.1", check=world.check("one")),
              failover("pair.example.com", "SECONDARY", "192.0.2.2", ttl=7),
              world.alias(NAME, "pair.example.com"), world.alias(ZONE, "pair.example.com"))
    world.wait_for("192.0.2.1")
    world.site.down("one")
    world.wait_for("192.0.2.2")
    assert records(world.ask(ZONE).answer) == [(ZONE + ".", 7, "A", "192.0.2.2")]


def test_a_primary_alias_is_skipped_while_nothing_of_its_target_is_healthy(world):
    """A failover pair of two regions, each a weighted group of two: the tree of Route 53's guide."""
    groups = [weighted(f"{region}.example.com", f"{region}{n}", 10, f"192.0.2.{start + n}",
                       check=world.check(f"{region}{n}")) for region, start in (("east", 0), ("west", 10))
              for n in (1, 2)]
    world.add(*groups,
              world.alias(NAME, "east.example.com", evaluate=True, SetIdentifier="primary", Failover="PRIMARY"),
              world.alias(NAME, "west.example.com", evaluate=True, SetIdentifier="secondary", Failover="SECONDARY"))
    assert set(world.tally(count=200)) == {("192.0.2.1",), ("192.0.2.2",)}
    world.site.down("east1")
    world.settle(name="east.example.com", east1=False, east2=True)
    assert set(world.tally(count=200)) == {("192.0.2.2",)}, "one healthy member keeps the branch"
    world.site.down("east2")
    world.settle(primary=False, secondary=True)
    assert set(world.tally(count=200)) == {("192.0.2.11",), ("192.0.2.12",)}
    world.site.down("west1", "west2")
    world.settle(primary=False, secondary=False)
    assert set(world.tally(count=200)) == {("192.0.2.1",), ("192.0.2.2",)}, "nothing is healthy: the PRIMARY's"
    world.site.up("east1")
    world.settle(primary=True)
    world.settle(name="east.example.com", east1=True, east2=False)
    assert set(world.tally(count=200)) == {("192.0.2.1",)}


def test_without_evaluate_target_health_an_alias_is_healthy(world):
    world.add(weighted("east.example.com", "e", 1, "192.0.2.1", check=world.check("one", healthy=False)),
              world.alias(NAME, "east.example.com", SetIdentifier="primary", Failover="PRIMARY"),
              failover(NAME, "SECONDARY", "192.0.2.2"))
    world.settle(name="east.example.com", e=False)
    assert world.data() == ["192.0.2.1"]


@pytest.mark.sanitized
def test_weighted_aliases_of_failover_pairs_are_evaluated_two_deep(world):
    """www: weighted aliases -> a pair of each region -> its endpoints and those of a backup that is a weighted group."""
    changes = []
    for region, start in (("east", 0), ("west", 10)):
        changes += [
            weighted(f"backup.{region}.example.com", f"{region}-backup", 1, f"192.0.2.{start + 2}",
                     check=world.check(f"{region}-backup")),
            failover(f"{region}.example.com", "PRIMARY", f"192.0.2.{start + 1}", check=world.check(region)),
            world.alias(f"{region}.example.com", f"backup.{region}.example.com", evaluate=True,
                        SetIdentifier="secondary", Failover="SECONDARY"),
            world.alias(NAME, f"{region}.example.com", evaluate=True, SetIdentifier=region,
                        Weight=1 if region == "east" else 3)]
    world.add(*changes)
    seen = world.tally()
    assert set(seen) == {("192.0.2.1",), ("192.0.2.11",)}
    assert_share(seen[("192.0.2.1",)], 2000, 0.25, "east, 1 of 4")
    world.site.down("east")
    world.settle(name="east.example.com", primary=False, secondary=True)
    assert set(world.tally(count=300)) == {("192.0.2.2",), ("192.0.2.11",)}
    world.site.down("east-backup")
    world.settle(east=False, west=True)
    assert set(world.tally(count=300)) == {("192.0.2.11",)}
    world.site.down("west")
    world.settle(name="west.example.com", primary=False, secondary=True)
    assert set(world.tally(count=300)) == {("192.0.2.12",)}
    world.site.down("west-backup")
    world.settle(east=False, west=False)
    seen = world.tally()
    assert set(seen) == {("192.0.2.1",), ("192.0.2.11",)}, "all treated as healthy: each pair's PRIMARY"
    assert_share(seen[("192.0.2.1",)], 2000, 0.25, "east, 1 of 4")
    world.site.up("east-backup")
    world.settle(east=True, west=False)
    assert set(world.tally(count=300)) == {("192.0.2.2",)}


def test_an_alias_with_its_own_check_needs_both_to_be_healthy(world):
    world.add(weighted("east.example.com", "e", 1, "192.0.2.1", check=world.check("target")),
              world.alias(NAME, "east.example.com", evaluate=True, SetIdentifier="primary", Failover="PRIMARY",
                          HealthCheckId=world.check("own")),
              failover(NAME, "SECONDARY", "192.0.2.2"))
    for own, target in ((True, True), (False, True), (False, False), (True, False), (True, True)):
        (world.site.up if own else world.site.down)("own")
        (world.site.up if target else world.site.down)("target")
        world.settle(primary=own and target)
        world.settle(name="east.example.com", e=target)
        assert world.data() == ["192.0.2.1" if own and target else "192.0.2.2"], (own, target)


def test_an_alias_that_does_not_evaluate_still_has_its_own_check(world):
    world.add(record("target.example.com", "A", "192.0.2.1"),
              world.alias(NAME, "target.example.com", SetIdentifier="primary", Failover="PRIMARY",
                          HealthCheckId=world.check("own", healthy=False)),
              failover(NAME, "SECONDARY", "192.0.2.2"))
    world.wait_for("192.0.2.2")


def test_an_alias_across_zones_follows_the_health_there(world):
    other = world.daemon.create_zone("example.net")
    world.add(failover("pair.example.net", "PRIMARY", "192.0.2.1", check=world.check("one")),
              failover("pair.example.net", "SECONDARY", "192.0.2.2", check=world.check("two")), zone=other)
    world.add(world.alias(NAME, "pair.example.net", zone=other, evaluate=True, SetIdentifier="a", Failover="PRIMARY"),
              failover(NAME, "SECONDARY", "192.0.2.3"))
    for down, expected in (("one", "192.0.2.2"), ("two", "192.0.2.3")):
        world.site.down(down)
        world.wait_for(expected)
    world.site.up("two")
    world.wait_for("192.0.2.2")


def test_an_alias_whose_target_vanished_answers_nodata(world):
    world.add(record("target.example.com", "A", "192.0.2.1"), world.alias(NAME, "target.example.com"))
    assert world.data() == ["192.0.2.1"]
    world.add(record("target.example.com", "A", "192.0.2.1"), action="DELETE")
    answer = world.ask()
    assert (rcode(answer), answer.answer) == ("NOERROR", [])
    assert [rrset.rdtype for rrset in answer.authority] == [6]


def test_one_check_serves_many_records(world):
    """One endpoint dies; every name that depends on it moves, through aliases too."""
    check = world.check("one")
    names = [f"n{n}.example.com" for n in range(20)]
    for name in names:
        world.add(failover(name, "PRIMARY", "192.0.2.1", check=check), failover(name, "SECONDARY", "192.0.2.2"))
    world.add(world.alias(NAME, "n7.example.com"))
    for state, expected in ((world.site.down, "192.0.2.2"), (world.site.up, "192.0.2.1")):
        state("one")
        for name in [*names, NAME]:
            world.wait_for(expected, name=name)


def test_leeward_dig_explains_what_is_served(world):
    world.add(failover(NAME, "PRIMARY", "192.0.2.1", check=world.check("one", healthy=False)),
              failover(NAME, "SECONDARY", "192.0.2.2"))
    world.wait_for("192.0.2.2")
    explained = endpoints.candidates(world.daemon, NAME)
    assert {key: (c["Healthy"], c["Chosen"], c["Values"]) for key, c in explained.items()} == {
        "primary": (False, False, ["192.0.2.1"]), "secondary": (True, True, ["192.0.2.2"])}
    text = world.daemon.leeward("dig", NAME, "A").stdout
    assert "not served" in text
    assert "failover" in text


def test_a_record_whose_check_was_deleted_and_made_anew_follows_the_new_one(world):
    """The id in the record is what counts: a new check has a new id, so the record is changed to it."""
    old = world.check("old", healthy=False)
    world.add(failover(NAME, "PRIMARY", "192.0.2.1", check=old), failover(NAME, "SECONDARY", "192.0.2.2"))
    world.wait_for("192.0.2.2")
    world.site.up("new")
    new = make_check(world.daemon, Type="HTTP", IPAddress=world.site.address, Port=world.site.http_port,
                     ResourcePath="/new")
    world.add(failover(NAME, "PRIMARY", "192.0.2.1", check=new), action="UPSERT")
    world.wait_for("192.0.2.1")
    world.daemon.client("route53").delete_health_check(HealthCheckId=old)
    assert world.data() == ["192.0.2.1"]
