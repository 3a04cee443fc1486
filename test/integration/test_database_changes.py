"""Clusters with real PostgreSQL servers that are stopped, started, moved to another port, left without instances, or taken out of a
global cluster: their rows stay."""

import contextlib
import os
import signal

import postgres
import pytest
from databases import DATABASE, ENGINE, GLOBAL, MASTER, PASSWORD, Databases
from process import free_port, wait_for

pytestmark = [pytest.mark.waiting, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

REGION = "east"


def messages(rds, source, kind):
    found = rds.describe_events(SourceIdentifier=source, SourceType=kind, Duration=60)["Events"]
    return [event["Message"] for event in found]


def set_kept(data, pid, lines):
    """What ALTER SYSTEM would write into the settings of that server, which reads them."""
    file = data / "postgresql.auto.conf"
    before = file.read_text()
    file.write_text(lines)
    os.kill(pid, signal.SIGHUP)
    return before


def stay_away_too_long(rds, query, region, writer, reader):
    """The reader hears nothing while its writer writes more than it keeps: its data are copied anew, and it follows again."""
    servers = region.servers()
    [away] = [data for data in servers if (data / "standby.signal").exists()]
    [home] = [data for data in servers if data != away]
    before = set_kept(home, servers[home], "max_slot_wal_keep_size = '4MB'\nwal_keep_size = 0\n")
    wait_for(lambda: query(writer, "SELECT current_setting('max_slot_wal_keep_size') || current_setting('wal_keep_size')") == [["4MB0"]],
             60, "the writer keeps little")
    processes = postgres.family([servers[away]])
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: query(writer, "SELECT count(*) FROM pg_stat_replication") == [["0"]], 60, "the writer has given the reader up")
        query(writer, "INSERT INTO kept VALUES (0)")
        query(writer, "CREATE TABLE much AS SELECT repeat(md5(n::text), 60) AS text FROM generate_series(1, 8000) AS n")
        query(writer, "CHECKPOINT")
        wait_for(lambda: query(writer, "SELECT DISTINCT wal_status FROM pg_replication_slots") == [["lost"]], 60, "its log is thrown away")
    finally:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    wait_for(lambda: any("copied from the writer anew" in message for message in messages(rds, reader, "db-instance")), 120,
             "it is said that the reader is made anew")
    wait_for(lambda: query(writer, "SELECT DISTINCT wal_status FROM pg_replication_slots") == [["reserved"]], 120, "its slot is new")
    set_kept(home, servers[home], before)


def test_a_cluster_rests_moves_and_changes_its_instance(sandbox):
    world = Databases(sandbox, regions=(REGION,), store="sqlite").start()
    rds, region = world.rds(REGION), world.regions[REGION]

    def wait(waiter, **what):
        rds.get_waiter(waiter).wait(WaiterConfig={"Delay": 1, "MaxAttempts": 180}, **what)

    def query(instance, sql):
        [found] = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
        where = found["Endpoint"]
        return postgres.query(f"host={where['Address']} port={where['Port']} user={MASTER} password={PASSWORD} dbname={DATABASE} "
                              "sslmode=require connect_timeout=5", sql)

    def create_instance(name):
        rds.create_db_instance(DBInstanceIdentifier=name, DBClusterIdentifier="first", Engine=ENGINE, DBInstanceClass="db.r6g.large")
        wait("db_instance_available", DBInstanceIdentifier=name)

    def status():
        [found] = rds.describe_db_clusters(DBClusterIdentifier="first")["DBClusters"]
        return found["Status"]

    def rows(instance, count):
        wait_for(lambda: query(instance, "SELECT count(*) FROM kept") == [[str(count)]], 120, f"{instance} has {count} rows")

    rds.create_db_cluster(DBClusterIdentifier="first", Engine=ENGINE, MasterUsername=MASTER, MasterUserPassword=PASSWORD,
                          DatabaseName=DATABASE, Port=region.port)
    create_instance("first-1")
    create_instance("first-2")
    query("first-1", "CREATE TABLE kept AS SELECT n FROM generate_series(1, 100) AS n")
    rows("first-2", 100)

    stay_away_too_long(rds, query, region, "first-1", "first-2")
    rows("first-2", 101)

    rds.stop_db_cluster(DBClusterIdentifier="first")
    wait_for(lambda: status() == "stopped", 120, "the cluster is stopped")
    assert region.servers() == {}
    rds.start_db_cluster(DBClusterIdentifier="first")
    wait("db_cluster_available", DBClusterIdentifier="first")
    rows("first-1", 101)

    port = free_port(region.addresses[0])
    rds.modify_db_cluster(DBClusterIdentifier="first", Port=port, ApplyImmediately=True)
    rows("first-1", 101)
    assert postgres.query(world.at(REGION).replace(f"port={region.port}", f"port={port}"), "SHOW port") == [[str(port)]]
    query("first-1", "INSERT INTO kept VALUES (0)")
    rows("first-2", 102)  # the reader follows to the other port

    rds.delete_db_instance(DBInstanceIdentifier="first-2", SkipFinalSnapshot=True)
    wait("db_instance_deleted", DBInstanceIdentifier="first-2")
    rds.delete_db_instance(DBInstanceIdentifier="first-1", SkipFinalSnapshot=True)
    wait("db_instance_deleted", DBInstanceIdentifier="first-1")
    wait_for(lambda: region.servers() == {}, 60, "no server runs")
    for ended in ("created", "stopped", "started", "deleted"):
        wait_for(lambda text=f"DB instance {ended}": text in messages(rds, "first-2", "db-instance"), 60, f"it was {ended}, by an event")
    create_instance("first-3")
    rows("first-3", 102)
    query("first-3", "INSERT INTO kept VALUES (0)")


def test_a_cluster_that_leaves_its_global_cluster_writes_by_itself(sandbox):
    world = Databases(sandbox, store="sqlite").start().create()
    world.query("east", "CREATE TABLE kept AS SELECT n FROM generate_series(1, 100) AS n")
    wait_for(lambda: world.query("west", "SELECT count(*) FROM kept") == [["100"]], 60, "the reader has the rows")
    world.rds("west").remove_from_global_cluster(GlobalClusterIdentifier=GLOBAL, DbClusterIdentifier=world.arn("west"))
    world.wait_writer("west", 120)
    world.query("west", "INSERT INTO kept VALUES (0)")
    world.query("east", "DELETE FROM kept")
    assert world.query("west", "SELECT count(*) FROM kept") == [["101"]]
    [found] = world.rds("west").describe_global_clusters(GlobalClusterIdentifier=GLOBAL)["GlobalClusters"]
    assert [member["IsWriter"] for member in found["GlobalClusterMembers"]] == [True]
    assert world.arn("west") not in str(found["GlobalClusterMembers"])
