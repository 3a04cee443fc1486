"""Parameter groups that mean ill, on real servers: what stops clients stops no server, no reader and no switchover."""

import postgres
import pytest
from conftest import Sandbox
from databases import ENGINE, Databases
from process import wait_for

pytestmark = [pytest.mark.waiting, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

REGIONS = ("east", "west")
GROUP = "mine"
SECONDS = 120


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory):
    box = Sandbox(tmp_path_factory.mktemp("parameters"))
    world = Databases(box, store="sqlite").start().create()
    [version] = world.rds("east").describe_db_engine_versions(Engine=ENGINE)["DBEngineVersions"]
    for name in REGIONS:
        rds = world.rds(name)
        rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=GROUP, Description="d",
                                              DBParameterGroupFamily=version["DBParameterGroupFamily"])
        rds.modify_db_cluster(DBClusterIdentifier=name, DBClusterParameterGroupName=GROUP)
    yield world
    box.close()


def set_parameters(world, names, method="immediate", **values):
    for name in names:
        world.rds(name).modify_db_cluster_parameter_group(DBClusterParameterGroupName=GROUP, Parameters=[
            {"ParameterName": parameter, "ParameterValue": value, "ApplyMethod": method} for parameter, value in values.items()])


def wait_setting(world, name, parameter, value):
    wait_for(lambda: world.query(name, f"SHOW {parameter}") == [[value]], SECONDS, f"{parameter} is {value} in {name}")


def reboot(world, name):
    """Until the server has been started anew."""
    began = "SELECT extract(epoch FROM pg_postmaster_start_time())"
    [[before]] = world.query(name, began)

    def ask():
        world.rds(name).reboot_db_instance(DBInstanceIdentifier=f"{name}-1")
        return True
    wait_for(lambda: status(world, name) == "available" and ask(), SECONDS, f"{name} can be rebooted")
    wait_for(lambda: answers(world, name, began) not in (None, [[before]]), SECONDS, f"{name} was started again: {world.tail()}")


def answers(world, name, sql):
    try:
        return world.query(name, sql)
    except Exception:  # noqa: BLE001: it is being started
        return None


def status(world, name):
    return world.rds(name).describe_db_instances(DBInstanceIdentifier=f"{name}-1")["DBInstances"][0]["DBInstanceStatus"]


def wait_replayed(world, writer, reader, row):
    world.query(writer, f"BEGIN READ WRITE; CREATE TABLE IF NOT EXISTS told (what text); INSERT INTO told VALUES ('{row}'); COMMIT")
    wait_for(lambda: answers(world, reader, f"SELECT count(*) FROM told WHERE what = '{row}'") == [["1"]], SECONDS,
             f"{reader} has {row}: {world.tail()}")


def switch(world, target):
    def ask():
        try:
            world.switchover(target)
        except world.rds(target).exceptions.InvalidGlobalClusterStateFault as refusal:
            raise AssertionError(str(refusal)) from None
        return True
    wait_for(ask, SECONDS, f"{target} may take over: {world.tail()}")
    wait_for(lambda: answers(world, target, "SELECT pg_is_in_recovery()") == [["f"]], SECONDS, f"{target} writes: {world.tail()}")


def test_what_clients_may_do_does_not_bind_leeward(world):
    """A reader refuses serializable transactions, and nothing is done within a millisecond."""
    set_parameters(world, REGIONS, default_transaction_isolation="serializable", default_transaction_read_only="1", lock_timeout="1",
                   idle_session_timeout="60000", row_security="0", bytea_output="escape", IntervalStyle="iso_8601",
                   standard_conforming_strings="0", log_statement="all")
    for name in REGIONS:
        wait_for(lambda name=name: answers(world, name, "BEGIN ISOLATION LEVEL READ COMMITTED; SHOW lock_timeout") == [["1ms"]],
                 SECONDS, f"{name} has it")
    switch(world, "west")
    wait_for(lambda: status(world, "east") == "available", SECONDS, "the reader is seen")
    set_parameters(world, REGIONS, default_transaction_isolation="read committed", default_transaction_read_only="0", lock_timeout="0")
    for name in REGIONS:
        wait_setting(world, name, "default_transaction_isolation", "read committed")
    switch(world, "east")
    wait_replayed(world, "east", "west", "back")


def test_a_reader_keeps_up_with_a_writer_that_allows_more(world):
    set_parameters(world, ["east"], "pending-reboot", max_connections="300", max_prepared_transactions="7")
    reboot(world, "east")
    wait_setting(world, "east", "max_connections", "300")
    wait_replayed(world, "east", "west", "more")
    assert world.query("west", "SHOW max_connections") == [["300"]] and world.query("west", "SHOW max_prepared_transactions") == [["7"]]
    switch(world, "west")
    wait_replayed(world, "west", "east", "much")
    switch(world, "east")


def test_a_server_starts_without_what_keeps_it_from_starting(world):
    set_parameters(world, ["east"], TimeZone="Nowhere/At_All")
    set_parameters(world, ["east"], "pending-reboot", shared_buffers="1073741823")
    reboot(world, "east")
    wait_setting(world, "east", "max_connections", "300")
    assert world.query("east", "SHOW shared_buffers") == [["128MB"]]
    events = world.rds("east").describe_events(SourceType="db-instance", SourceIdentifier="east-1")["Events"]
    told = [event for event in events if "without them" in event["Message"]]
    assert told and told[0]["EventCategories"] == ["failure"], events
    wait_replayed(world, "east", "west", "anyway")
    set_parameters(world, ["east"], "pending-reboot", shared_buffers="2000", TimeZone="UTC")
    reboot(world, "east")
    wait_setting(world, "east", "shared_buffers", "16000kB")


def test_clients_must_use_tls_when_the_group_says_so(world):
    plain = world.at("east").replace("sslmode=require", "sslmode=disable")
    assert postgres.query(plain, "SELECT 1") == [["1"]]
    set_parameters(world, ["east"], **{"rds.force_ssl": "1"})

    def refused():
        try:
            postgres.query(plain, "SELECT 1")
        except Exception as error:  # noqa: BLE001: psql's own
            return "no encryption" in str(error)
        return False
    wait_for(refused, SECONDS, "a connection without TLS is refused")
    assert world.query("east", "SELECT 1") == [["1"]]
