"""Traffic policies whose rules look at where the client is, asked by dig with a client subnet."""

import json

import maxmind
import pytest

from process import wait_for
from traffic import NAME, World, document

BERLIN, ANGELES, SYDNEY = "198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24"
NETWORKS = {
    BERLIN: maxmind.place("EU", "DE", "BE", 52.52, 13.40),
    ANGELES: maxmind.place("NA", "US", "CA", 34.05, -118.24),
    SYDNEY: maxmind.place("OC", "AU", None, -33.87, 151.21),
}
VALUES = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3", "d": "10.0.0.4", "e": "10.0.0.5"}


@pytest.fixture
def world(sandbox, tmp_path):
    database = tmp_path / "places.mmdb"
    maxmind.write(database, NETWORKS)
    return World(sandbox, "--dns-location-database", database, "--region-coordinates", "site-a=50.94,6.96")


def dig(world, subnet, name=NAME):
    return world.daemon.dig(name, "A", f"+subnet={subnet}")


def seen(world, name=NAME):
    return [dig(world, subnet, name).data for subnet in (BERLIN, ANGELES, SYDNEY)]


def wait_for_seen(world, *values):
    def answered():
        got = seen(world)
        assert got == [[value] for value in values], got
        return True
    wait_for(answered, 10, f"Berlin, Los Angeles and Sydney get {values}")


def tree(us, eu, spare):
    """Europe and the United States each have a pair that fails over; everybody else gets the spare."""
    def pair(primary, check, secondary):
        return {"RuleType": "failover", "Primary": {"EndpointReference": primary, "HealthCheck": check},
                "Secondary": {"EndpointReference": secondary}}
    return document("where", VALUES, {
        "where": {"RuleType": "geo", "Locations": [
            {"IsDefault": "true", "EndpointReference": "e", "HealthCheck": spare},
            {"Country": "US", "RuleReference": "us"},
            {"Continent": "EU", "RuleReference": "eu"}]},
        "us": pair("a", us, "b"), "eu": pair("c", eu, "d")})


@pytest.mark.sanitized
def test_geo_over_failover_over_health_checks_with_the_aws_cli_and_dig(world):
    us, eu, spare = (world.check(page) for page in ("us", "eu", "spare"))
    aws = world.daemon.aws
    policy = aws("route53", "create-traffic-policy", "--name", "world", "--document", tree(us, eu, spare))["TrafficPolicy"]
    made = aws("route53", "create-traffic-policy-instance", "--hosted-zone-id", world.zone, "--name", NAME, "--ttl", "5",
               "--traffic-policy-id", policy["Id"], "--traffic-policy-version", "1")["TrafficPolicyInstance"]
    world.applied(made)
    wait_for_seen(world, "10.0.0.3", "10.0.0.1", "10.0.0.5")
    answer = dig(world, BERLIN)
    assert f"{BERLIN}/24" in answer.text  # the scope: another client may get another answer
    world.site.down("eu")
    wait_for_seen(world, "10.0.0.4", "10.0.0.1", "10.0.0.5")
    world.site.down("us")
    wait_for_seen(world, "10.0.0.4", "10.0.0.2", "10.0.0.5")
    world.daemon.restart()
    wait_for_seen(world, "10.0.0.4", "10.0.0.2", "10.0.0.5")
    world.site.up("us", "eu")
    wait_for_seen(world, "10.0.0.3", "10.0.0.1", "10.0.0.5")
    explained = json.loads(world.daemon.leeward("dig", f"_tp-{made['Id']}-1-0.example.com", "A", "--client",
                                                "198.51.100.7/24", "--json").stdout)
    assert [row["SetIdentifier"] for row in explained["Candidates"] if row["Chosen"]] == ["3"]


def test_an_area_that_is_down_as_a_whole_gives_way_to_the_next(world):
    us, eu, spare = (world.check(page) for page in ("us", "eu", "spare"))
    text = json.loads(tree(us, eu, spare))
    for pair, check in (("us", us), ("eu", eu)):
        text["Rules"][pair]["Secondary"]["HealthCheck"] = check
    world.instance(world.policy(json.dumps(text)))
    wait_for_seen(world, "10.0.0.3", "10.0.0.1", "10.0.0.5")
    world.site.down("eu")
    wait_for_seen(world, "10.0.0.5", "10.0.0.1", "10.0.0.5")
    world.site.down("us", "spare")  # nothing is healthy: as if all were
    wait_for_seen(world, "10.0.0.3", "10.0.0.1", "10.0.0.5")


def test_latency_goes_to_the_nearest_region_that_is_up(world):
    check = world.check("site")
    world.instance(world.policy(document("near", VALUES, {"near": {"RuleType": "latency", "Regions": [
        {"Region": "us-west-2", "EndpointReference": "a"},
        {"Region": "ap-southeast-2", "EndpointReference": "b"},
        {"Region": "site-a", "EndpointReference": "c", "HealthCheck": check}]}})))
    wait_for_seen(world, "10.0.0.3", "10.0.0.1", "10.0.0.2")
    world.site.down("site")
    wait_for_seen(world, "10.0.0.1", "10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("version", ["2015-10-01", "2023-05-09"])
def test_geoproximity_of_both_versions_of_the_format(world, version):
    def location(endpoint, bias, region=None, coordinates=None, zone=None):
        place = {"Region": f"aws:route53:{region}"} if region else {}
        if coordinates:
            place = dict(zip(("Latitude", "Longitude"), coordinates))
        if version == "2023-05-09":
            kind = "LocalZone" if zone else "Region" if region else "Coordinate"
            place = {"Location": {"Type": kind, **(place if coordinates else
                                                   {"LocationName": f"aws:route53:{zone or region}"})}}
        return {"EndpointReference": endpoint, "Bias": bias, **place}

    def rule(*locations):
        return document("near", VALUES, {"near": {"RuleType": "geoproximity", "GeoproximityLocations": locations}},
                        version=version)
    lax = {"zone": "us-west-2-lax-1a"} if version == "2023-05-09" else {"region": "us-west-1"}
    first = world.policy(rule(location("a", "0", **lax), location("b", 0, coordinates=("-33.87", 151.2)),
                              location("c", 0, region="eu-central-1")))
    made = world.instance(first)
    wait_for_seen(world, "10.0.0.3", "10.0.0.1", "10.0.0.2")
    world.update(made, world.version(first, rule(
        location("a", "99", **lax), location("b", 0, coordinates=("-33.87", 151.2)),
        location("c", "-90", region="eu-central-1"))))
    wait_for_seen(world, "10.0.0.1", "10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("rule, words", [
    ({"RuleType": "latency", "Regions": [{"Region": "site-b", "EndpointReference": "a"}]}, "'site-b' is none of AWS's"),
    ({"RuleType": "latency", "Regions": [{"Region": "us-east-1", "EndpointReference": "a"}] * 2}, "the same place twice"),
    ({"RuleType": "geo", "Locations": [{"Country": "ZZ", "EndpointReference": "a"}]}, "CountryCode=ZZ"),
    ({"RuleType": "geo", "Locations": [{"Subdivision": "CA", "EndpointReference": "a"}]}, "CountryCode"),
    ({"RuleType": "geo", "Locations": [{"IsDefault": True, "EndpointReference": "a"},
                                       {"Country": "*", "EndpointReference": "b"}]}, "the same place twice"),
    ({"RuleType": "geoproximity", "GeoproximityLocations": [
        {"Region": "us-east-1", "Bias": 1, "EndpointReference": "a"},
        {"Region": "aws:route53:us-east-1", "Bias": 2, "EndpointReference": "b"}]}, "the same place twice, in 1 and 2"),
    ({"RuleType": "geoproximity", "GeoproximityLocations": [
        {"Latitude": "90.01", "Longitude": "0", "EndpointReference": "a"}]}, "'90.01' is not a Latitude"),
])
def test_places_that_are_none_are_refused(world, rule, words):
    message = world.refused("InvalidTrafficPolicyDocument", "create_traffic_policy", Name="x",
                            Document=document("r", VALUES, {"r": rule}))
    assert words in message and "rule 'r'" in message
