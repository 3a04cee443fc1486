"""The truth in etcd, away when it is needed: DNS and health go on from the replica, and start from it."""

import json
import os
import shutil
import sqlite3
import subprocess
import time

import pytest

import etcd
import leeward
import network
from endpoints import FAST, page_check
from endpoints import Site
from leeward import record
from process import wait_for

HEALTHY, UNHEALTHY = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def cluster(tmp_path):
    started = etcd.Cluster(tmp_path / "cluster", count=1)
    yield started.start()
    started.close()


class World:
    """A daemon on etcd with a zone: plain names, and one that follows a health check."""

    def __init__(self, sandbox, cluster):
        self.cluster = cluster
        options = ["--store", "etcd", "--etcd-timeout-ms", "1000"]
        options += [word for url in cluster.endpoints for word in ("--etcd", url)]
        self.daemon = sandbox.daemon(*options).start()
        address = sandbox.address()
        self.site = sandbox.add(Site(sandbox.folder / f"site-{address}", address)).start()
        self.zone = self.daemon.create_zone("example.com")
        (self.site.www / "one").write_text("yes")
        self.check = page_check(self.daemon, self.site, "one", FAST)
        self.daemon.change(
            self.zone, record("www.example.com", "A", "192.0.2.7"),
            record("f.example.com", "A", HEALTHY, SetIdentifier="1", Failover="PRIMARY", HealthCheckId=self.check),
            record("f.example.com", "A", UNHEALTHY, SetIdentifier="2", Failover="SECONDARY"))
        self.daemon.wait_for_answer("www.example.com", "A", ["192.0.2.7"])
        self.daemon.wait_for_answer("f.example.com", "A", [HEALTHY])

    def flips(self):
        (self.site.www / "one").unlink()
        self.daemon.wait_for_answer("f.example.com", "A", [UNHEALTHY])
        (self.site.www / "one").write_text("yes")
        self.daemon.wait_for_answer("f.example.com", "A", [HEALTHY])

    def replica(self):
        return json.loads(self.daemon.leeward("status", "--json").stdout)["Node"]["Replica"]

    def stop_etcd(self):
        for member in self.cluster.members:
            member.stop()

    def start_etcd(self):
        self.cluster.start()


@pytest.fixture
def world(sandbox, cluster):
    return World(sandbox, cluster)


def test_a_daemon_starts_without_the_truth_and_takes_up_changes_when_it_is_back(world):
    daemon = world.daemon
    assert wait_for(lambda: world.replica()["InStep"], 5, "the replica is in step")
    daemon.stop()
    world.stop_etcd()
    daemon.restart()
    assert daemon.dig("www.example.com", "A").data == ["192.0.2.7"]
    assert daemon.dig("f.example.com", "A").data == [HEALTHY]
    world.flips()
    began = time.monotonic()
    with pytest.raises(leeward.AwsError):
        daemon.aws("route53", "list-hosted-zones")
    assert time.monotonic() - began < 180
    assert not world.replica()["InStep"] and world.replica()["Problem"]
    world.start_etcd()
    wait_for(lambda: world.replica()["InStep"], 20, "the replica is in step again")
    daemon.change(world.zone, record("new.example.com", "A", "192.0.2.9"))
    daemon.wait_for_answer("new.example.com", "A", ["192.0.2.9"])


def test_verdicts_survive_a_restart_without_the_truth(world):
    (world.site.www / "one").unlink()
    world.daemon.wait_for_answer("f.example.com", "A", [UNHEALTHY])
    world.stop_etcd()
    world.site.pause()  # nothing new can be seen
    world.daemon.restart()
    assert world.daemon.dig("f.example.com", "A").data == [UNHEALTHY]
    world.site.resume()


def test_a_damaged_replica_is_named_set_aside_and_made_anew(world):
    daemon = world.daemon
    daemon.stop()
    with sqlite3.connect(daemon.data / "replica.db") as file:
        file.execute("UPDATE entry SET value = x'7b7d' WHERE key = (SELECT key FROM entry LIMIT 1)")
    daemon.restart()
    assert daemon.dig("www.example.com", "A").data == ["192.0.2.7"]
    assert "checksum" in world.replica()["Damage"]
    assert (daemon.data / "replica.db.damaged").exists()


def test_without_replica_and_truth_nothing_is_made_up(world):
    daemon = world.daemon
    daemon.stop()
    world.stop_etcd()
    for name in ("replica.db", "replica.db-wal", "replica.db-shm"):
        (daemon.data / name).unlink(missing_ok=True)
    daemon.restart()
    assert daemon.dig("www.example.com", "A").rcode == "REFUSED"
    world.start_etcd()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.7"], seconds=20)


def test_a_restored_truth_is_followed_from_there(world, tmp_path):
    daemon, member = world.daemon, world.cluster.members[0]
    saved = tmp_path / "saved"
    world.stop_etcd()
    shutil.copytree(member.folder / "data", saved)
    world.start_etcd()
    wait_for(lambda: world.replica()["InStep"], 20, "the replica is in step")
    for number in range(5):
        daemon.change(world.zone, record(f"lost{number}.example.com", "A", "192.0.2.8"))
    daemon.wait_for_answer("lost4.example.com", "A", ["192.0.2.8"])
    world.stop_etcd()
    shutil.rmtree(member.folder / "data")
    shutil.copytree(saved, member.folder / "data")
    world.start_etcd()
    wait_for(lambda: daemon.dig("lost4.example.com", "A").rcode == "NXDOMAIN", 30, "the lost change is gone")
    assert daemon.dig("www.example.com", "A").data == ["192.0.2.7"]
    daemon.change(world.zone, record("after.example.com", "A", "192.0.2.9"))
    daemon.wait_for_answer("after.example.com", "A", ["192.0.2.9"], seconds=20)


class FullDisk(leeward.Daemon):
    """A daemon behind a script that makes it a data directory."""

    script = ""

    def spawn(self):
        self.command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", self.script, "sh", *self.command]
        return super().spawn()


def restore(cluster, snapshot, token):
    """As docs/sites.md says: a folder of the snapshot, in a cluster with a new token."""
    member = cluster.members[0]
    shutil.rmtree(member.data)
    cluster.token = token
    subprocess.run(
        ["etcdctl", "snapshot", "restore", str(snapshot), f"--name={member.label}", f"--data-dir={member.data}",
         f"--initial-cluster={member.label}={member.peer}", f"--initial-advertise-peer-urls={member.peer}",
         f"--initial-cluster-token={token}"], check=True, capture_output=True, env=dict(os.environ, ETCDCTL_API="3"))


def test_a_snapshot_restored_that_went_beyond_is_noticed_by_the_clusters_id(world, tmp_path):
    daemon, member = world.daemon, world.cluster.members[0]
    snapshot = tmp_path / "snapshot"
    subprocess.run(["etcdctl", f"--endpoints={member.client}", "snapshot", "save", str(snapshot)], check=True,
                   capture_output=True, env=dict(os.environ, ETCDCTL_API="3"))
    for number in range(5):
        daemon.change(world.zone, record(f"lost{number}.example.com", "A", "192.0.2.8"))
    daemon.wait_for_answer("lost4.example.com", "A", ["192.0.2.8"])
    daemon.stop()  # it does not look while the store goes on beyond it
    world.stop_etcd()
    restore(world.cluster, snapshot, "leeward-restored")
    world.start_etcd()
    for number in range(60):
        assert member.ask("/v3/kv/put", {"key": "b3RoZXI=", "value": "MQ=="})
    daemon.restart()
    wait_for(lambda: daemon.dig("lost4.example.com", "A").rcode == "NXDOMAIN", 20, "the lost changes are gone")
    assert "it is another cluster, or was restored" in daemon.log.read_text()
    assert daemon.dig("www.example.com", "A").data == ["192.0.2.7"]
    daemon.change(world.zone, record("after.example.com", "A", "192.0.2.9"))
    daemon.wait_for_answer("after.example.com", "A", ["192.0.2.9"], seconds=20)


@pytest.mark.parametrize("room", [0, 300])
def test_a_daemon_on_a_full_disk_serves_its_replica_or_says_why_not(world, sandbox, room):
    """Kilobytes that are left beside the replica: with some it serves, with none it says why it does not."""
    if absent := network.no_mounts():
        pytest.skip(absent)
    daemon = world.daemon
    wait_for(lambda: world.replica()["InStep"], 5, "the replica is in step")
    daemon.stop()
    world.stop_etcd()
    saved = daemon.data.with_name("saved")
    daemon.data.rename(saved)
    daemon.data.mkdir(mode=0o700)
    size = sum((file.stat().st_size + 4095) // 4096 * 4 for file in saved.iterdir()) + room
    full = sandbox.add(FullDisk(daemon.data.parent, *daemon.options))
    full.data, full.listen = daemon.data, daemon.listen
    full.script = (f"mount -t tmpfs -o size={size}k,mode=700 none '{full.data}' && cp -a '{saved}'/* '{full.data}/' && "
                   f"exec \"$@\"")
    if room:
        full.start()
        assert full.dig("www.example.com", "A").data == ["192.0.2.7"]
        assert full.dig("f.example.com", "A").data == [HEALTHY]
        full.stop()
    else:
        with pytest.raises(RuntimeError):
            full.start()
        sandbox.processes.remove(full)  # that it ended by itself is right
        assert "the disk is full" in full.log.read_text() or "No space left on device" in full.log.read_text()
