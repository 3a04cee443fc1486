"""Global databases from end to end: AWS clients ask, agents act on real PostgreSQL servers, and a client that writes all the time says
what it saw. Regions with a daemon each on one etcd, and one daemon with SQLite for both.
"""

import os
import signal
import time

import postgres
import pytest
from databases import Databases
from process import wait_for
from rows import Writer, judge, present

pytestmark = [pytest.mark.serial, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

LEASE_MS = 2000


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


def test_a_region_is_switched_killed_and_comes_back(world, writer, sandbox):
    since = switch(world, writer, "west")
    world.wait_streaming("east")
    told = verdict(world, writer, "west", since)
    assert not faults(told, "lost"), told
    assert told["outage_ms"] < 1500, told

    second = write(world, sandbox, client=2)
    since = time.monotonic_ns()
    world.kill_region("west")
    world.wait_writer("east")
    second.wait_for_rows(20, after=time.monotonic_ns())
    told = verdict(world, second, "east", since, client=2)
    assert not faults(told), told  # what was on its way is lost: db/loss says how much
    assert told["outage_ms"] < LEASE_MS + 1500, told

    world.start_region("west")
    world.wait_streaming("west")


def test_an_agent_that_is_killed_adopts_its_servers(world, writer):
    region = world.regions["east"]
    before = region.servers()
    agent = world.agent("east")
    since = time.monotonic_ns()
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: world.agent("east") not in (None, agent), 10, "another agent runs")
    writer.wait_for_rows(50, after=time.monotonic_ns())
    time.sleep(LEASE_MS / 1000)  # the lease of before would be over
    writer.wait_for_rows(20, after=time.monotonic_ns())
    told = verdict(world, writer, "east", since)
    assert region.servers() == before
    assert not faults(told, "lost", "refused"), told


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
