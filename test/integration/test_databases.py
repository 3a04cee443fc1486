"""Global databases from end to end: AWS clients ask, agents act on real PostgreSQL servers, and a client that writes all the time says
what it saw. Regions with a daemon each on one etcd, and one daemon with SQLite for both.
"""

import json
import os
import signal
import time
from pathlib import Path

import postgres
import pytest
from databases import Databases
from process import wait_for
from rows import Writer, judge, present

pytestmark = [pytest.mark.waiting, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

LEASE_MS = 5000  # a machine that stands still for so long changes the writer by itself


@pytest.fixture
def world(sandbox):
    return Databases(sandbox, members=1).start().create(lease_ms=LEASE_MS)


def write(world, sandbox, client=1):
    """A client with both hosts, which has begun to write."""
    writer = sandbox.add(Writer(sandbox.folder / f"writer{client}", world.conninfo(), client=client)).start()
    writer.wait_for_rows(20)
    return writer


@pytest.fixture
def writer(world, sandbox):
    return write(world, sandbox)


def verdict(world, writer, region, since=0, client=1):
    """The client ends, and is judged."""
    writer.stop()
    return judge(writer.rows_log(), present(world.at(region), client=client), since=since)


def switch(world, writer, target):
    """A switchover, and the time before it."""
    since = time.monotonic_ns()
    world.switchover(target)
    world.wait_writer(target)
    writer.wait_for_rows(20, after=time.monotonic_ns())
    return since


def faults(told, *more):
    return {name: told[name] for name in ("duplicated", "refused_there", "foreign", *more) if told[name]}


def losses(world):
    """What the command line tells that failovers lost, newest last."""
    daemon = next(daemon for daemon in world.daemons if daemon.running())
    [database] = json.loads(daemon.leeward("db", "lost-writes", "--json").stdout)["Databases"]
    return database["Losses"]


def assert_recorded(world, told):
    """What is recorded as lost, and what is kept of it: each row that was lost, and else only rows that no client was told of."""
    def exact():
        found = losses(world)
        assert found and found[-1]["Exact"], found
        return found[-1]
    loss = wait_for(exact, 90, "the old writer has said what it had alone")
    kept = json.loads((Path(loss["Aside"]) / "lost-writes.json").read_text()) if loss["Aside"] else {"Total": 0, "Transactions": []}
    rows = sum(table["Inserted"] for transaction in kept["Transactions"] for table in transaction["Tables"])
    assert kept["Total"] == loss["Transactions"], (loss, kept)
    assert told["lost"] <= rows <= told["lost"] + told["unknown"], (told, loss, kept)


def test_a_region_is_switched_killed_and_comes_back(world, writer, sandbox):
    since = switch(world, writer, "west")
    world.wait_streaming("east")
    told = verdict(world, writer, "west", since)
    assert not faults(told, "lost"), told

    second = write(world, sandbox, client=2)
    since = time.monotonic_ns()
    world.kill_region("west")
    world.wait_writer("east")
    second.wait_for_rows(20, after=time.monotonic_ns())
    told = verdict(world, second, "east", since, client=2)
    assert not faults(told), told  # what was on its way is lost: the record of it says how much

    world.start_region("west")
    world.wait_streaming("west")
    assert_recorded(world, told)

    third = write(world, sandbox, client=3)
    since = switch(world, third, "west")
    world.wait_streaming("east")
    told = verdict(world, third, "west", since, client=3)
    assert not faults(told, "lost"), told


def assert_readers_run_without_the_store_and_writers_do_not(world, sandbox):
    """All of etcd is gone, and both regions start anew: the reader is there again, on what it has; nobody may write."""
    world.wait_noted("west")
    for member in world.etcd.members:
        member.kill()
    for name in world.regions:
        world.kill_region(name)
    for name in world.regions:
        world.start_region(name)
    wait_for(lambda: world.query("west", "SELECT pg_is_in_recovery()") == [["t"]], 90, "the reader runs")
    assert world.regions["east"].servers() == {}
    world.etcd.start()
    world.wait_steady(90)
    told = verdict(world, write(world, sandbox, client=2), world.writer(), client=2)
    assert not faults(told, "lost"), told


def test_an_agent_that_is_killed_adopts_its_servers(world, writer, sandbox):
    region = world.regions["east"]
    before = region.servers()
    agent = world.agent("east")
    since = time.monotonic_ns()
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: world.agent("east") not in (None, agent), 60, "another agent runs")
    writer.wait_for_rows(50, after=time.monotonic_ns())
    time.sleep(LEASE_MS / 1000)  # the lease of before would be over
    writer.wait_for_rows(20, after=time.monotonic_ns())
    unknown = writer.rows_log().numbers("unknown")  # the end of the client leaves one
    told = verdict(world, writer, "east", since)
    assert region.servers() == before
    assert not unknown and not faults(told, "lost", "refused"), (unknown, told)
    assert_readers_run_without_the_store_and_writers_do_not(world, sandbox)


def test_a_daemon_that_ends_stops_its_servers_and_gives_its_leases_back(world, writer):
    east = world.regions["east"]
    since = time.monotonic_ns()
    east.daemon.stop()
    assert east.servers() == {}
    world.wait_writer("west")
    writer.wait_for_rows(20, after=since)
    told = verdict(world, writer, "west", since)
    assert not faults(told, "lost"), told


def test_one_daemon_with_sqlite_serves_both_regions(sandbox):
    world = Databases(sandbox, store="sqlite").start().create(lease_ms=LEASE_MS)
    writer = write(world, sandbox)
    since = switch(world, writer, "west")
    world.wait_streaming("east")
    told = verdict(world, writer, "west", since)
    assert not faults(told, "lost"), told
