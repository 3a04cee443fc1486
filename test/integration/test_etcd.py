"""The truth in etcd: a daemon on a real cluster of three members, from the API's call to the answer over DNS."""

import pytest

import etcd
from leeward import record
from process import wait_for


@pytest.fixture
def cluster(tmp_path):
    started = etcd.Cluster(tmp_path / "cluster")
    yield started.start()
    started.close()


def options(cluster, *more):
    return ["--store", "etcd", *(word for url in cluster.endpoints for word in ("--etcd", url)), *more]


def in_sync(daemon, change):
    client = daemon.client("route53")
    wait_for(lambda: client.get_change(Id=change["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC", 10, "INSYNC")


def test_a_zone_made_with_the_aws_cli_is_answered(sandbox, cluster):
    daemon = sandbox.daemon(*options(cluster)).start()
    made = daemon.aws("route53", "create-hosted-zone", "--name", "example.com", "--caller-reference", "one")
    zone = made["HostedZone"]["Id"]
    in_sync(daemon, daemon.change(zone, record("www.example.com", "A", "192.0.2.1", ttl=30)))
    assert daemon.dig("www.example.com", "A").data == ["192.0.2.1"]
    assert cluster.members[2].ask("/v3/kv/range", {"key": "bGVld2FyZC8=", "range_end": "bGVld2FyZDA=", "count_only": True})
    daemon.stop()
    daemon.restart()
    assert wait_for(lambda: daemon.dig("www.example.com", "A").data, 5, "an answer") == ["192.0.2.1"]


def test_two_daemons_serve_each_others_changes_while_a_member_dies(sandbox, cluster):
    first = sandbox.daemon(*options(cluster), "--node", "first").start()
    second = sandbox.daemon(*options(cluster), "--node", "second", "--seal-key", first.data / "seal.key").start()
    zone = first.create_zone("example.com")
    first.change(zone, record("a.example.com", "A", "192.0.2.1"))
    second.wait_for_answer("a.example.com", "A", ["192.0.2.1"])
    cluster.leader().kill()
    client = second.client("route53")

    def change():
        try:
            return client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [
                {"Action": "UPSERT", "ResourceRecordSet": {"Name": "b.example.com", "Type": "A", "TTL": 30,
                                                          "ResourceRecords": [{"Value": "192.0.2.2"}]}}]})
        except client.exceptions.ClientError:
            return None
    wait_for(change, 20, "a change without one member")
    first.wait_for_answer("b.example.com", "A", ["192.0.2.2"])
