"""Traffic policies, with AWS's own clients, real endpoints whose pages come and go, and the answers of DNS."""

import json
import random
import sqlite3
import threading

import botocore.exceptions
import pytest

from endpoints import wait_for_health
from leeward import dig, record
from process import wait_for
from questions import ask, assert_share, rcode
from secondaries import KnotSecondary
from test_transfers import tag_zone
from traffic import NAME, ZONE, World, document


@pytest.fixture
def world(sandbox):
    return World(sandbox)


@pytest.mark.sanitized
def test_failover_over_weighted_over_values_fails_over_and_back(world):
    one, two, three = (world.check(page) for page in ("one", "two", "three"))
    world.instance(world.policy(document(
        "switch", {"a": "192.0.2.1", "b": "192.0.2.2", "c": "198.51.100.1", "d": "198.51.100.2"}, {
            "switch": {"RuleType": "failover", "Primary": {"RuleReference": "main"},
                       "Secondary": {"RuleReference": "spare"}},
            "main": {"RuleType": "weighted", "Items": [
                {"EndpointReference": "a", "Weight": "3", "HealthCheck": one},
                {"EndpointReference": "b", "Weight": "1", "HealthCheck": two}]},
            "spare": {"RuleType": "multivalue", "Items": [
                {"EndpointReference": "c", "HealthCheck": three}, {"EndpointReference": "d"}]}})))
    world.wait_for_answers("192.0.2.1", "192.0.2.2")
    assert_share(world.tally()[("192.0.2.1",)], 2000, 0.75, "3 of 4")
    world.site.down("one")
    world.wait_for("192.0.2.2")
    world.site.down("two")
    world.wait_for("198.51.100.1", "198.51.100.2")
    world.site.down("three")
    world.wait_for("198.51.100.2")
    world.site.up("two", "three")
    world.wait_for("192.0.2.2")
    world.site.up("one")
    world.wait_for_answers("192.0.2.1", "192.0.2.2")


def test_the_aws_cli_makes_a_policy_and_kdig_sees_its_answers(world):
    aws, daemon = world.daemon.aws, world.daemon
    check = world.check("one")
    text = document("switch", {"a": "192.0.2.1", "b": "192.0.2.2"}, {"switch": {
        "RuleType": "failover", "Primary": {"EndpointReference": "a", "HealthCheck": check},
        "Secondary": {"EndpointReference": "b"}}})
    policy = aws("route53", "create-traffic-policy", "--name", "cli", "--comment", "first", "--document", text)
    assert policy["TrafficPolicy"]["Version"] == 1
    identifier = policy["TrafficPolicy"]["Id"]
    assert json.loads(policy["TrafficPolicy"]["Document"]) == json.loads(text)
    assert aws("route53", "list-traffic-policies")["TrafficPolicySummaries"] == [
        {"Id": identifier, "Name": "cli", "Type": "A", "LatestVersion": 1, "TrafficPolicyCount": 1}]
    made = aws("route53", "create-traffic-policy-instance", "--hosted-zone-id", world.zone, "--name", NAME, "--ttl", "7",
               "--traffic-policy-id", identifier, "--traffic-policy-version", "1")["TrafficPolicyInstance"]
    world.applied(made)
    wait_for_health(daemon, f"_tp-{made['Id']}-1-0.{ZONE}", primary=True)
    assert daemon.dig(NAME).data == ["192.0.2.1"]
    world.site.down("one")
    daemon.wait_for_answer(NAME, "A", ["192.0.2.2"])
    world.site.up("one")
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    assert aws("route53", "list-traffic-policy-instances")["TrafficPolicyInstances"][0]["State"] == "Applied"
    assert aws("route53", "list-traffic-policy-instances-by-policy", "--traffic-policy-id", identifier,
               "--traffic-policy-version", "1")["TrafficPolicyInstances"][0]["Id"] == made["Id"]
    assert aws("route53", "list-traffic-policy-instances-by-hosted-zone", "--hosted-zone-id",
               world.zone)["TrafficPolicyInstances"][0]["Name"] == NAME + "."
    assert aws("route53", "get-traffic-policy-instance-count") == {"TrafficPolicyInstanceCount": 1}
    aws("route53", "update-traffic-policy-comment", "--id", identifier, "--traffic-policy-version", "1", "--comment", "2")
    assert aws("route53", "list-traffic-policy-versions", "--id", identifier)["TrafficPolicies"][0]["Comment"] == "2"
    aws("route53", "delete-traffic-policy-instance", "--id", made["Id"])
    wait_for(lambda: daemon.dig(NAME).rcode == "NXDOMAIN", 5, "the name is gone")
    aws("route53", "delete-traffic-policy", "--id", identifier, "--traffic-policy-version", "1")
    assert aws("route53", "list-traffic-policies")["TrafficPolicySummaries"] == []


def test_only_the_instances_own_record_set_is_listed_and_it_cannot_be_changed(world):
    policy = world.policy(document("mix", {"a": "192.0.2.1", "b": "192.0.2.2"}, {"mix": {
        "RuleType": "weighted", "Items": [{"EndpointReference": "a", "Weight": 1},
                                          {"EndpointReference": "b", "Weight": 1}]}}))
    made = world.instance(policy)
    assert [r for r in world.listed() if r["Type"] == "A"] == [
        {"Name": NAME + ".", "Type": "A", "TrafficPolicyInstanceId": made["Id"]}]
    assert world.route53.get_hosted_zone(Id=world.zone)["HostedZone"]["ResourceRecordSetCount"] == 3
    for action in ("CREATE", "UPSERT", "DELETE"):
        with pytest.raises(botocore.exceptions.ClientError, match="belongs to the traffic policy instance"):
            world.daemon.change(world.zone, record(NAME, "A", "192.0.2.9"), action=action)
    world.refused("HostedZoneNotEmpty", "delete_hosted_zone", Id=world.zone)
    world.refused("TrafficPolicyInUse", "delete_traffic_policy", Id=policy["Id"], Version=1)
    world.refused("TrafficPolicyInstanceAlreadyExists", "create_traffic_policy_instance", HostedZoneId=world.zone,
                  Name=NAME, TTL=1, TrafficPolicyId=policy["Id"], TrafficPolicyVersion=1)
    world.route53.delete_traffic_policy_instance(Id=made["Id"])
    world.refused("NoSuchTrafficPolicyInstance", "get_traffic_policy_instance", Id=made["Id"])
    world.route53.delete_hosted_zone(Id=world.zone)


@pytest.mark.sanitized
def test_an_update_is_never_half_seen(world):
    """Versions of different shapes under constant questions: each answer is of the one or the other, none is empty."""
    def mix(*values):
        return document("top", {f"e{n}": value for n, value in enumerate(values)}, {
            "top": {"RuleType": "failover", "Primary": {"RuleReference": "mix"}, "Secondary": {"RuleReference": "mix"}},
            "mix": {"RuleType": "multivalue", "Items": [{"EndpointReference": f"e{n}"} for n in range(len(values))]}})
    first = world.policy(mix("192.0.2.1", "192.0.2.2"))
    second = world.version(first, mix("192.0.2.3", "192.0.2.4", "192.0.2.5"))
    third = world.version(first, document("a", {"a": "192.0.2.6"}))
    made = world.instance(first)
    seen, stop = set(), threading.Event()

    def question():
        while not stop.is_set():
            seen.update(world.tally(50))
    thread = threading.Thread(target=question)
    thread.start()
    try:
        for version in [second, third, first] * 5:
            world.update(made, version)
    finally:
        stop.set()
        thread.join()
    assert seen <= {("192.0.2.1", "192.0.2.2"), ("192.0.2.3", "192.0.2.4", "192.0.2.5"), ("192.0.2.6",)}, seen
    assert world.data() == ["192.0.2.1", "192.0.2.2"]
    assert len([r for r in world.listed() if r["Type"] == "A"]) == 1


def test_a_service_endpoint_is_answered_from_the_zone_that_holds_it_and_followed_in_its_health(world):
    check = world.check("one")
    other = world.daemon.create_zone("elb.test")
    world.daemon.change(other, record("lb.elb.test", "A", "203.0.113.1", ttl=1, SetIdentifier="x", Weight=1,
                                      HealthCheckId=check))
    world.instance(world.policy(document(
        "switch", {"lb": {"Type": "elastic-load-balancer", "Value": "lb.elb.test"}, "b": "192.0.2.2"},
        {"switch": {"RuleType": "failover", "Primary": {"EndpointReference": "lb"},
                    "Secondary": {"EndpointReference": "b"}}})))
    world.wait_for("203.0.113.1")
    world.site.down("one")
    world.wait_for("192.0.2.2")
    world.site.up("one")
    world.wait_for("203.0.113.1")


def test_a_check_on_a_rule_counts_with_what_is_below_it(world):
    check = world.check("one")
    world.instance(world.policy(document("switch", {"a": "192.0.2.1", "b": "192.0.2.2"}, {
        "switch": {"RuleType": "failover", "Primary": {"RuleReference": "main", "HealthCheck": check},
                   "Secondary": {"EndpointReference": "b"}},
        "main": {"RuleType": "multivalue", "Items": [{"EndpointReference": "a"}]}})))
    world.wait_for("192.0.2.1")
    world.site.down("one")
    world.wait_for("192.0.2.2")
    world.site.up("one")
    world.wait_for("192.0.2.1")


def test_other_record_types_the_apex_and_wildcards(world):
    mail = world.policy(document("m", {"m": "10 mail.example.com."}, kind="MX"))
    world.instance(mail, name=ZONE)
    assert world.data(ZONE, "MX") == ["10 mail.example.com."]
    blue = world.policy(document("mix", {"blue": "blue.example.com"}, {
        "mix": {"RuleType": "weighted", "Items": [{"EndpointReference": "blue", "Weight": 1}]}}, kind="CNAME"))
    world.instance(blue)
    world.daemon.change(world.zone, record("blue.example.com", "A", "192.0.2.1"))
    world.wait_for("192.0.2.1")
    assert world.data(kind="CNAME") == ["blue.example.com."]
    world.instance(world.policy(document("mix", {"a": "192.0.2.7"}, {
        "mix": {"RuleType": "multivalue", "Items": [{"EndpointReference": "a"}]}})), name="*.w.example.com")
    assert world.data("any.w.example.com") == ["192.0.2.7"]
    answer = ask(world.daemon.dns, "any.w.example.com", "A")
    assert {str(rrset.name) for rrset in answer.answer} == {"any.w.example.com."}
    assert rcode(answer) == "NOERROR"


def test_instances_survive_a_restart(world):
    check = world.check("one")
    made = world.instance(world.policy(document("switch", {"a": "192.0.2.1", "b": "192.0.2.2"}, {"switch": {
        "RuleType": "failover", "Primary": {"EndpointReference": "a", "HealthCheck": check},
        "Secondary": {"EndpointReference": "b"}}})))
    world.site.down("one")
    world.wait_for("192.0.2.2")
    world.daemon.restart()
    assert world.data() == ["192.0.2.2"]
    world.site.up("one")
    world.wait_for("192.0.2.1")
    world.applied(made)


def test_secondaries_follow_an_instance_through_failover_versions_and_its_end(sandbox, world):
    check = world.check("one")
    first = world.policy(document("switch", {"a": "192.0.2.1", "b": "192.0.2.2"}, {"switch": {
        "RuleType": "failover", "Primary": {"EndpointReference": "a", "HealthCheck": check},
        "Secondary": {"EndpointReference": "b"}}}))
    second = world.version(first, document("c", {"c": "192.0.2.3"}))
    made = world.instance(first)
    copy = sandbox.add(KnotSecondary(sandbox.folder / "knot", sandbox.address(), world.daemon.dns, (ZONE,))).start()
    tag_zone(world.daemon, world.zone, transfer_to="127.0.0.0/8", notify=f"{copy.address}:{copy.port}")
    copy.wait_for_data(NAME, "A", ["192.0.2.1"])
    world.site.down("one")
    copy.wait_for_data(NAME, "A", ["192.0.2.2"])
    world.update(made, second)
    copy.wait_for_data(NAME, "A", ["192.0.2.3"])
    world.update(made, first)
    copy.wait_for_data(NAME, "A", ["192.0.2.2"])
    copy.wait_for_data(f"_tp-{made['Id']}-3-0.{ZONE}", "A", ["192.0.2.2"])
    world.route53.delete_traffic_policy_instance(Id=made["Id"])
    copy.wait_for_data(NAME, "A", [])
    assert dig(copy.server, f"_tp-{made['Id']}-3-0.{ZONE}").rcode == "NXDOMAIN"


def test_what_is_wrong_with_a_document_is_said_with_its_place(world):
    message = world.refused("InvalidTrafficPolicyDocument", "create_traffic_policy", Name="x",
                            Document=document("r", {"a": "192.0.2.1"}, {
                                "r": {"RuleType": "weighted", "Items": [{"EndpointReference": "a", "Weight": 300}]}}))
    assert message == ("The traffic policy document is not valid: rule 'r', Items 1: Weight must be a whole number "
                       "from 0 to 255")
    policy = world.policy(document("a", {"a": "192.0.2.1"}))
    world.refused("TrafficPolicyAlreadyExists", "create_traffic_policy", Name=policy["Name"],
                  Document=document("a", {"a": "192.0.2.1"}))
    six = world.version(policy, document("a", {"a": "2001:db8::1"}, kind="AAAA"))
    made = world.instance(policy)
    world.refused("ConflictingTypes", "update_traffic_policy_instance", Id=made["Id"], TTL=1,
                  TrafficPolicyId=policy["Id"], TrafficPolicyVersion=six["Version"])
    world.refused("NoSuchTrafficPolicy", "get_traffic_policy", Id=policy["Id"], Version=9)


@pytest.mark.sanitized
def test_calls_at_the_same_time_leave_nothing_half_done(world):
    """Instances come, go and change while others do the same with the versions that they use: all stays consistent."""
    def keys(prefix):
        with sqlite3.connect(f"file:{world.daemon.data}/leeward.db?mode=ro", uri=True) as database:
            return [key for key, in database.execute(
                "SELECT CAST(key AS TEXT) FROM entry WHERE CAST(key AS TEXT) LIKE ?", (f"r53/traffic/{prefix}/%",))]

    def mix(count):
        return document("mix", {"a": "192.0.2.1"}, {"mix": {"RuleType": "weighted", "Items": [
            {"EndpointReference": "a", "Weight": 1}] * count}})
    policy = world.policy(mix(1))
    made = [world.instance(policy, name=f"n{n}.example.com") for n in range(3)]
    refusals = []

    def work(seed):
        chance = random.Random(seed)
        api = world.daemon.client("route53")
        for _ in range(25):
            one, version = chance.choice(made), chance.randint(1, 4)
            calls = [
                lambda: api.create_traffic_policy_version(Id=policy["Id"], Document=mix(version)),
                lambda: api.delete_traffic_policy(Id=policy["Id"], Version=version),
                lambda: api.update_traffic_policy_instance(Id=one["Id"], TTL=1, TrafficPolicyId=policy["Id"],
                                                           TrafficPolicyVersion=version),
                lambda: api.create_traffic_policy_instance(HostedZoneId=world.zone, Name=f"m{version}.example.com", TTL=1,
                                                           TrafficPolicyId=policy["Id"], TrafficPolicyVersion=version),
                lambda: api.delete_traffic_policy_instance(Id=next(
                    iter(api.list_traffic_policy_instances()["TrafficPolicyInstances"]), made[0])["Id"])]
            try:
                chance.choices(calls, [4, 2, 6, 3, 1])[0]()
            except botocore.exceptions.ClientError as error:
                refusals.append(error.response["Error"]["Code"])
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refusals) <= {"NoSuchTrafficPolicy", "NoSuchTrafficPolicyInstance", "TrafficPolicyInUse",
                             "TrafficPolicyInstanceAlreadyExists", "PriorRequestNotComplete", "Throttling"}, refusals
    left = world.route53.list_traffic_policy_instances()["TrafficPolicyInstances"]
    versions = {v["Version"] for v in world.route53.list_traffic_policy_versions(Id=policy["Id"])["TrafficPolicies"]}
    assert {one["TrafficPolicyVersion"] for one in left} <= versions
    assert len(keys("instance")) == len(keys("place")) == len(keys("use")) == len(left)
    documents = {v: world.route53.get_traffic_policy(Id=policy["Id"], Version=v)["TrafficPolicy"]["Document"] for v in versions}
    assert len(keys("rrset")) == sum(
        len(json.loads(documents[one["TrafficPolicyVersion"]])["Rules"]["mix"]["Items"]) for one in left)
    summary, = world.route53.list_traffic_policies()["TrafficPolicySummaries"]
    assert summary["TrafficPolicyCount"] == len(versions) and summary["LatestVersion"] == max(versions)
    for one in left:
        world.wait_for("192.0.2.1", name=one["Name"])
        world.route53.delete_traffic_policy_instance(Id=one["Id"])
    for version in versions:
        world.route53.delete_traffic_policy(Id=policy["Id"], Version=version)
    assert [keys(prefix) for prefix in ("head", "version", "instance", "place", "use", "rrset")] == [[]] * 6
    world.route53.delete_hosted_zone(Id=world.zone)
