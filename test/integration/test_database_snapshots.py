"""Snapshots of databases with real PostgreSQL servers: taken, restored, final ones, and what may happen meanwhile."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import postgres
import pytest
from databases import DATABASE, ENGINE, MASTER, PASSWORD, Databases
from process import wait_for

pytestmark = [pytest.mark.waiting, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

REGION = "east"

# Stands for pg_basebackup, in front of it: it waits while there is a file `hold`, and fails as on a full disk while there is `full`.
GATE = """#!/bin/sh
echo $$ >> {folder}/begun
while test -e {folder}/hold; do sleep 0.05; done
if test -e {folder}/full; then
    mkdir -p "$2" && echo half > "$2/half"
    echo 'pg_basebackup: error: could not write to file "base/1/2": No space left on device' >&2
    exit 1
fi
exec {program} "$@"
"""


class Gate:
    """PostgreSQL's programs in a folder of their own, with a gate before base backups. All may write what it looks at."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="lwgate", dir="/tmp"))
        self.root.chmod(0o755)  # the servers' user gets there
        self.folder = self.root / "gate"
        self.programs = self.root / "bin"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.programs.mkdir()
        for program in postgres.binaries().iterdir():
            if program.name != "pg_basebackup":
                (self.programs / program.name).symlink_to(program)
        gate = self.programs / "pg_basebackup"
        gate.write_text(GATE.format(folder=self.folder, program=postgres.binaries() / "pg_basebackup"))
        gate.chmod(0o755)

    def stop(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def set(self, name):
        (self.folder / name).touch()

    def clear(self, name):
        (self.folder / name).unlink()

    def begun(self):
        """How many backups were begun."""
        path = self.folder / "begun"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_begun(self, before=0):
        wait_for(lambda: self.begun() > before, 60, "a base backup has begun")


class Site:
    """One region, and its clusters outside of global ones; each has one instance, called as it is with "-1" behind."""

    def __init__(self, sandbox, **more):
        self.world = Databases(sandbox, regions=(REGION,), store="sqlite", servers=4, **more).start()
        self.region = self.world.regions[REGION]
        self.rds = self.world.rds(REGION)

    @property
    def daemon(self):
        return self.region.daemon

    def aws(self, operation, *words):
        return self.daemon.aws("rds", operation, *words, region=REGION)

    def wait(self, waiter, seconds=120, **what):
        self.rds.get_waiter(waiter).wait(WaiterConfig={"Delay": 1, "MaxAttempts": seconds}, **what)

    def create_instance(self, cluster, number=1):
        self.rds.create_db_instance(DBInstanceIdentifier=f"{cluster}-{number}", DBClusterIdentifier=cluster, Engine=ENGINE,
                                    DBInstanceClass="db.r6g.large")

    def create(self, cluster):
        self.rds.create_db_cluster(DBClusterIdentifier=cluster, Engine=ENGINE, MasterUsername=MASTER, MasterUserPassword=PASSWORD,
                                   DatabaseName=DATABASE, Port=self.region.port)
        self.create_instance(cluster)
        self.wait("db_instance_available", DBInstanceIdentifier=f"{cluster}-1")
        self.wait("db_cluster_available", DBClusterIdentifier=cluster)

    def endpoint(self, instance):
        [found] = self.rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
        return found["Endpoint"]["Address"]

    def query(self, instance, sql):
        return postgres.query(f"host={self.endpoint(instance)} port={self.region.port} user={MASTER} password={PASSWORD} "
                              f"dbname={DATABASE} sslmode=require connect_timeout=5", sql)

    def snapshot(self, name):
        [found] = self.rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]
        return found

    def create_snapshot(self, name, cluster):
        self.rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=name, DBClusterIdentifier=cluster)

    def wait_snapshot(self, name):
        self.wait("db_cluster_snapshot_available", DBClusterSnapshotIdentifier=name)

    def restore(self, name, cluster):
        self.rds.restore_db_cluster_from_snapshot(SnapshotIdentifier=name, DBClusterIdentifier=cluster, Engine=ENGINE,
                                                  Port=self.region.port)
        self.create_instance(cluster)
        self.wait("db_instance_available", DBInstanceIdentifier=f"{cluster}-1")

    def delete_instance(self, name):
        self.rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
        self.wait("db_instance_deleted", DBInstanceIdentifier=name)

    def folders(self):
        """Of snapshots."""
        return sorted((self.region.folder / "snapshots").glob("*"))

    def data(self):
        """Folders of servers."""
        return sorted(self.region.folder.glob("db-*"))

    def events(self, name):
        found = self.rds.describe_events(SourceIdentifier=name, SourceType="db-cluster-snapshot", Duration=60)["Events"]
        return [event["Message"] for event in found]


@pytest.fixture
def site(sandbox):
    return Site(sandbox)


@pytest.fixture
def gated(sandbox):
    """A site whose base backups can be held."""
    gate = sandbox.add(Gate())  # goes after the servers
    site = Site(sandbox, options=("--database-bin", str(gate.programs)))
    site.gate = gate
    return site


def fill(site, instance, rows=1000):
    site.query(instance, f"CREATE TABLE kept AS SELECT n FROM generate_series(1, {rows}) AS n")


def count(site, instance):
    return site.query(instance, "SELECT count(*) FROM kept")


def test_rows_of_a_snapshot_are_in_the_cluster_that_is_restored(site):
    site.create("first")
    fill(site, "first-1")
    made = site.aws("create-db-cluster-snapshot", "--db-cluster-snapshot-identifier", "before", "--db-cluster-identifier", "first")
    assert made["DBClusterSnapshot"]["Status"] == "creating"
    site.wait_snapshot("before")
    found = site.snapshot("before")
    assert found["PercentProgress"] == 100 and found["MasterUsername"] == MASTER, found
    [folder] = site.folders()
    subprocess.run([postgres.binaries() / "pg_verifybackup", folder / "data"], check=True)
    assert site.events("before") == ["Creating manual cluster snapshot", "Manual cluster snapshot created"]

    site.query("first-1", "DELETE FROM kept")
    site.aws("restore-db-cluster-from-snapshot", "--snapshot-identifier", "before", "--db-cluster-identifier", "second", "--engine", ENGINE,
             "--port", str(site.region.port))
    site.create_instance("second")
    site.wait("db_instance_available", DBInstanceIdentifier="second-1")
    site.wait("db_cluster_available", DBClusterIdentifier="second")
    assert count(site, "second-1") == [["1000"]]
    assert count(site, "first-1") == [["0"]]
    site.query("second-1", "INSERT INTO kept VALUES (0)")
    site.create_instance("second", 2)  # its reader follows on the timeline of the restored one
    wait_for(lambda: count(site, "second-2") == [["1001"]], 120, "a reader of the restored cluster has its rows")

    site.rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="before")
    site.wait("db_cluster_snapshot_deleted", DBClusterSnapshotIdentifier="before")
    wait_for(lambda: site.folders() == [], 60, "the files of the snapshot are gone")


def test_a_final_snapshot_is_taken_before_the_data_go(site):
    site.create("first")
    fill(site, "first-1")
    site.delete_instance("first-1")  # the cluster has no instance any more: its data stay, at rest
    site.rds.delete_db_cluster(DBClusterIdentifier="first", FinalDBSnapshotIdentifier="last")
    site.wait("db_cluster_deleted", DBClusterIdentifier="first")
    site.wait_snapshot("last")
    wait_for(lambda: site.data() == [], 60, "the cluster's data are gone")
    [folder] = site.folders()
    subprocess.run([postgres.binaries() / "pg_verifybackup", folder / "data"], check=True)
    site.restore("last", "first")
    assert count(site, "first-1") == [["1000"]]


def test_what_befalls_a_snapshot(gated):
    site, gate = gated, gated.gate
    site.create("first")
    fill(site, "first-1")

    gate.set("hold")
    site.create_snapshot("killed", "first")
    gate.wait_begun()
    agent = site.world.agent(REGION)
    os.kill(agent, signal.SIGKILL)
    gate.wait_begun(before=1)  # by the next agent
    assert site.snapshot("killed")["Status"] == "creating"
    gate.clear("hold")
    site.wait_snapshot("killed")
    [kept] = site.folders()
    subprocess.run([postgres.binaries() / "pg_verifybackup", kept / "data"], check=True)

    gate.set("full")
    site.create_snapshot("full", "first")
    wait_for(lambda: site.snapshot("full")["Status"] == "failed", 60, "a full disk fails the snapshot")
    wait_for(lambda: site.folders() == [kept], 60, "nothing is kept of it")
    assert "No space left on device" in site.events("full")[-1], site.events("full")
    site.rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="full")
    site.wait("db_cluster_snapshot_deleted", DBClusterSnapshotIdentifier="full")
    gate.clear("full")

    gate.set("hold")
    before = gate.begun()
    site.create_snapshot("outlived", "first")
    gate.wait_begun(before)
    site.delete_instance("first-1")
    site.rds.delete_db_cluster(DBClusterIdentifier="first", SkipFinalSnapshot=True)
    site.wait_snapshot("outlived")  # of the files, once the server is at rest
    site.wait("db_cluster_deleted", DBClusterIdentifier="first")
    gate.clear("hold")
    site.restore("outlived", "second")
    assert count(site, "second-1") == [["1000"]]


def test_a_new_writer_does_not_wait_for_a_snapshot(gated):
    site, gate = gated, gated.gate
    site.create("first")
    fill(site, "first-1")
    site.create_instance("first", 2)
    site.wait("db_instance_available", DBInstanceIdentifier="first-2")
    wait_for(lambda: count(site, "first-2") == [["1000"]], 120, "the reader has the rows")

    gate.set("hold")
    before = gate.begun()
    site.create_snapshot("meanwhile", "first")
    gate.wait_begun(before)

    def asked():
        try:
            return site.rds.failover_db_cluster(DBClusterIdentifier="first", TargetDBInstanceIdentifier="first-2")
        except site.rds.exceptions.InvalidDBClusterStateFault as refusal:
            raise AssertionError(str(refusal)) from None
    wait_for(asked, 60, "the reader may take over")
    wait_for(lambda: site.query("first-2", "SELECT pg_is_in_recovery()") == [["f"]], 60, "the writer moves meanwhile")
    gate.wait_begun(before + 1)  # anew
    gate.clear("hold")
    site.wait_snapshot("meanwhile")
    site.restore("meanwhile", "second")
    assert count(site, "second-1") == [["1000"]]
