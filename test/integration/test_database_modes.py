"""Modes of replication on real servers, while a client writes numbered rows: what commits wait for, what becomes of acknowledged rows
when a region is killed, and what the writer does without its reader. Modes are switched by tags on the living database.

Times in here are bounds that hold whatever the machine does: a row that was acknowledged was sent before, so one that was sent after the
last moment at which anything may be acknowledged must not be acknowledged.
"""

import os
import signal
import time

import postgres
import pytest
from databases import GLOBAL, Databases
from process import wait_for
from rows import Writer, judge, present

pytestmark = [pytest.mark.waiting, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

LEASE_MS = 5000  # a machine that stands still for so long changes the writer by itself
BOUND_MS = 2000


def tags(world, **values):
    client = world.rds()
    [database] = client.describe_global_clusters(GlobalClusterIdentifier=GLOBAL)["GlobalClusters"]
    client.add_tags_to_resource(ResourceName=database["GlobalClusterArn"],
                                Tags=[{"Key": f"leeward:{key.replace('_', '-')}", "Value": value} for key, value in values.items()])


def explain(world):
    daemon = next(daemon for daemon in world.daemons if daemon.running())
    return daemon.leeward("db", "explain").stdout


def wait_explained(world, *words, seconds=90):
    def explained():
        text = explain(world)
        assert all(word in text for word in words), f"{words} in:\n{text}"
        return text
    return wait_for(explained, seconds, f"explain says {words}", every=0.2)


def both_have(world, reader):
    """Until the group's record says so: then the reader may take over without a loss."""
    wait_explained(world, f"every one is on {reader}-1 ({reader}) too", f"every commit is on {reader}-1 ({reader})")


def send(world, region, number):
    for pid in postgres.family(world.regions[region].servers().values()):
        os.kill(pid, number)


def flows(writer, count=20):
    writer.wait_for_rows(count, after=time.monotonic_ns(), seconds=90)


def sent_after(writer, moment):
    return writer.rows_log().acknowledged(after=moment)


def stands_still(writer, moment, seconds=LEASE_MS / 1000 + 1):
    """Nothing that is sent after the moment is acknowledged, for a while."""
    time.sleep(seconds)
    assert not sent_after(writer, moment)


@pytest.fixture
def start(sandbox):
    def started(**settings):
        settings = {key.replace("_", "-"): value for key, value in settings.items()}
        world = Databases(sandbox, members=1).start().create(lease_ms=LEASE_MS, tags={f"leeward:{key}": settings[key] for key in settings})
        writer = sandbox.add(Writer(sandbox.folder / "writer", world.conninfo(), answer_ms=20000)).start()
        writer.wait_for_rows(20, seconds=60)
        return world, writer
    return started


def verdict(world, writer, region):
    writer.stop()
    told = judge(writer.rows_log(), present(world.at(region)))
    return {name: told[name] for name in ("lost", "duplicated", "refused_there", "foreign") if told[name]}, told


def test_synchronous_a_killed_region_loses_nothing_and_the_writer_goes_on_without_its_reader(start):
    world, writer = start(mode="synchronous")
    killed, left = "east", "west"
    for _ in range(2):
        both_have(world, left)
        flows(writer)
        world.kill_region(killed)
        world.wait_writer(left)
        flows(writer)
        world.start_region(killed)
        world.wait_streaming(killed)
        killed, left = left, killed
    both_have(world, left)  # `killed` writes now

    send(world, left, signal.SIGSTOP)
    wait_explained(world, "nobody may take over", "commits do not wait: no other member streams")
    flows(writer)
    send(world, left, signal.SIGCONT)
    both_have(world, left)
    flows(writer)
    faults, told = verdict(world, writer, killed)
    assert not faults, told


def test_modes_of_a_living_database_are_switched_and_kept(start):
    world, writer = start()
    wait_explained(world, "Commits do not wait for other members", "commits do not wait.")

    tags(world, mode="synchronous", alone="wait")
    both_have(world, "west")
    flows(writer)
    world.kill_region("west")
    wait_explained(world, "commits wait for west-1 (west), which does not stream", "for as long as it takes")
    stands_still(writer, time.monotonic_ns())
    tags(world, alone="continue")
    wait_explained(world, "nobody may take over", "commits do not wait: no other member streams")
    flows(writer)
    tags(world, alone="wait")
    wait_explained(world, "commits wait for west-1 (west), which does not stream")
    stands_still(writer, time.monotonic_ns(), 1)
    world.start_region("west")
    flows(writer)
    both_have(world, "west")

    tags(world, mode="bounded", alone="continue", rpo_ms=str(BOUND_MS))
    wait_explained(world, f"commits do not wait: of west-1 (west) one is within {BOUND_MS} ms")
    flows(writer)
    send(world, "west", signal.SIGSTOP)
    stopped = time.monotonic_ns()
    wait_explained(world, f"commits wait for west-1 (west): none is within {BOUND_MS} ms")
    stands_still(writer, stopped + BOUND_MS * 10**6)
    send(world, "west", signal.SIGCONT)
    flows(writer)
    wait_explained(world, f"commits do not wait: of west-1 (west) one is within {BOUND_MS} ms")
    world.kill_region("west")
    killed = time.monotonic_ns()
    wait_explained(world, f"commits wait for west-1 (west): none is within {BOUND_MS} ms")
    stands_still(writer, killed + BOUND_MS * 10**6)
    world.start_region("west")
    flows(writer)
    faults, told = verdict(world, writer, "east")
    assert not faults, told


def test_bounded_a_failover_loses_no_more_than_the_bound(start):
    world, writer = start(mode="bounded", rpo_ms=str(BOUND_MS))
    wait_explained(world, f"commits do not wait: of west-1 (west) one is within {BOUND_MS} ms")
    flows(writer)
    send(world, "west", signal.SIGSTOP)
    stopped = time.monotonic_ns()
    wait_explained(world, f"commits wait for west-1 (west): none is within {BOUND_MS} ms")
    world.kill_region("east")
    end = time.monotonic_ns()
    send(world, "west", signal.SIGCONT)
    world.wait_writer("west")
    flows(writer)  # although the only other member is gone: it has not followed this writer
    wait_explained(world, "no other member has followed this writer")
    writer.stop()
    told = judge(writer.rows_log(), present(world.at("west")))
    rows = [row for row in writer.rows_log().rows if row.outcome == "acknowledged" and row.sent < end]
    there = present(world.at("west"))
    lost = [row for row in rows if row.number not in there]
    assert told["lost"] == len(lost)
    if lost:
        span = max(row.sent for row in rows) - min(row.ended for row in lost)
        assert span <= BOUND_MS * 10**6, (span, told)
    assert max(row.sent for row in rows) <= stopped + BOUND_MS * 10**6
    world.start_region("east")
    world.wait_streaming("east")
    wait_explained(world, f"commits do not wait: of east-1 (east) one is within {BOUND_MS} ms")
