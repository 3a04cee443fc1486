"""Traffic policies in a signed zone: every answer validates, before and after a change of version and of health."""

import maxmind
import pytest

from process import wait_for
from test_dnssec_api import delv, sign
from traffic import NAME, ZONE, World, document

RULES = {
    "weighted": {"RuleType": "weighted", "Items": [{"EndpointReference": "a", "Weight": 1},
                                                   {"EndpointReference": "b", "Weight": 1}]},
    "multivalue": {"RuleType": "multivalue", "Items": [{"EndpointReference": e} for e in "abc"]},
    "geo": {"RuleType": "geo", "Locations": [{"Country": "*", "RuleReference": "weighted"},
                                             {"Continent": "EU", "RuleReference": "multivalue"}]},
    "latency": {"RuleType": "latency", "Regions": [{"Region": "us-east-1", "EndpointReference": "a"},
                                                   {"Region": "eu-west-1", "EndpointReference": "b"}]},
}
VALUES = {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}


@pytest.fixture
def world(sandbox, tmp_path):
    database = tmp_path / "places.mmdb"
    maxmind.write(database, {"127.0.0.0/8": maxmind.place("EU", "FR", None, 48.86, 2.35)})
    return World(sandbox, "--dns-location-database", database)


def test_every_answer_of_a_traffic_policy_in_a_signed_zone_validates(world, tmp_path):
    def validated(name=NAME, kind="A"):
        said = delv(world.daemon, tmp_path, ZONE, key, name, kind)
        assert "fully validated" in said and "unsigned" not in said, said
        return said
    key = sign(world.route53, world.zone)
    check = world.check("page")
    failover = {"RuleType": "failover", "Primary": {"EndpointReference": "a", "HealthCheck": check},
                "Secondary": {"RuleReference": "geo"}}
    first = world.policy(document("switch", VALUES, {**RULES, "switch": failover}))
    made = world.instance(first)
    assert "192.0.2.1" in validated()
    world.site.down("page")
    world.wait_for("192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert "192.0.2.3" in validated()
    validated(kind="AAAA")
    for start in RULES:
        world.update(made, world.version(first, document(start, VALUES, RULES)))
        for _ in range(4):
            validated()
    world.daemon.restart()
    validated()
    world.route53.delete_traffic_policy_instance(Id=made["Id"])

    def gone():
        assert "ncache nxdomain" in validated(), "still there"
        return True
    wait_for(gone, 10, "the name is gone")
