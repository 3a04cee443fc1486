"""The thinnest path through everything: an API call, the store, the compiler, an answer."""

import botocore.exceptions
import pytest

from leeward import AwsError, record
from process import wait_for

pytestmark = pytest.mark.sanitized


def test_a_record_made_with_boto3_is_answered(daemon, route53):
    zone = daemon.create_zone("example.com")
    change = daemon.change(zone, record("www.example.com", "A", "192.0.2.1", "192.0.2.2", ttl=30))
    answer = daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1", "192.0.2.2"])
    assert answer.rcode == "NOERROR"
    assert "aa" in answer.flags
    assert {(r.name, r.ttl) for r in answer.answer} == {("www.example.com.", 30)}
    assert daemon.dig("www.example.com", "A", "+tcp").data == answer.data
    wait_for(lambda: route53.get_change(Id=change["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC", 5, "INSYNC")


def test_the_aws_cli_makes_and_lists_a_zone(daemon):
    made = daemon.aws("route53", "create-hosted-zone", "--name", "example.org", "--caller-reference", "one")
    assert made["HostedZone"]["Name"] == "example.org."
    listed = daemon.aws("route53", "list-hosted-zones")
    assert [zone["Id"] for zone in listed["HostedZones"]] == [made["HostedZone"]["Id"]]
    soa = wait_for(lambda: daemon.dig("example.org", "SOA").answer, 5, "the SOA is answered")
    assert soa[0].type == "SOA"


def test_an_error_has_the_code_that_clients_know(daemon, route53):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        route53.get_hosted_zone(Id="Z0000000000000000000")
    assert error.value.response["Error"]["Code"] == "NoSuchHostedZone"
    assert error.type is route53.exceptions.NoSuchHostedZone
    with pytest.raises(AwsError) as error:
        daemon.aws("route53", "get-hosted-zone", "--id", "Z0000000000000000000", key=("AKIAUNKNOWN000000000", "x" * 40))
    assert error.value.code == "InvalidClientTokenId"


def test_records_survive_a_kill(daemon):
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record("www.example.com", "A", "192.0.2.1"))
    daemon.kill()
    daemon.restart()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])


def test_a_name_without_a_zone_is_refused(daemon):
    assert daemon.dig("www.example.net", "A").rcode == "REFUSED"


def test_a_resolver_follows_a_failover(sandbox, daemon, route53):
    """Primary and secondary are real web servers; the customer sees only the resolver."""
    primary, secondary = sandbox.nginx("us-east-1"), sandbox.nginx("us-west-2")
    zone = daemon.create_zone("example.com")
    check = route53.create_health_check(CallerReference="primary", HealthCheckConfig={
        "Type": "HTTPS", "IPAddress": primary.address, "Port": primary.https_port, "ResourcePath": "/health",
        "RequestInterval": 10, "FailureThreshold": 1})["HealthCheck"]["Id"]
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=check, AddTags=[
        {"Key": "leeward:interval-ms", "Value": "100"}, {"Key": "leeward:successes-up", "Value": "1"}])
    daemon.change(
        zone,
        record("www.example.com", "A", primary.address, ttl=1, SetIdentifier="primary", Failover="PRIMARY",
               HealthCheckId=check),
        record("www.example.com", "A", secondary.address, ttl=1, SetIdentifier="secondary", Failover="SECONDARY"))
    resolver = sandbox.unbound(daemon, "example.com")

    def resolver_says(address):
        return wait_for(lambda: resolver.dig("www.example.com").data == [address], 15, f"the resolver says {address}")

    resolver_says(primary.address)
    primary.kill()
    resolver_says(secondary.address)
    primary.start()
    resolver_says(primary.address)
