"""Snapshots of databases with real PostgreSQL servers: taken, restored, final ones, and what may happen meanwhile."""

import subprocess

import postgres
import pytest
from databases import DATABASE, ENGINE, MASTER, PASSWORD, Databases
from process import wait_for

pytestmark = [pytest.mark.serial, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

REGION = "east"


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

    def folders(self):
        """Of snapshots."""
        return sorted((self.region.folder / "snapshots").glob("*"))

    def events(self, name):
        found = self.rds.describe_events(SourceIdentifier=name, SourceType="db-cluster-snapshot", Duration=60)["Events"]
        return [event["Message"] for event in found]


@pytest.fixture
def site(sandbox):
    return Site(sandbox)


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
