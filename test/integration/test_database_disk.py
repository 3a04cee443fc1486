"""A writer whose disk is full acknowledges nothing that it cannot keep; another one takes over, and it comes back by itself once there is
room. On a small file system in a mount namespace of the region's own."""

import contextlib
import os
import pwd

import network
import postgres
import pytest
from databases import Databases
from process import Process, wait_for

pytestmark = [pytest.mark.serial, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

MEGABYTE = 1 << 20


class SmallDisk:
    """Below the servers of one region; what is in it is seen from here through the process that holds the namespace."""

    def __init__(self, sandbox, region, size):
        region.folder.mkdir(mode=0o700)
        user = pwd.getpwnam(postgres.ROLE)
        script = (f"mount -t tmpfs -o size={size},mode=700,uid={user.pw_uid},gid={user.pw_gid} none '{region.folder}' && echo mounted && "
                  "exec sleep infinity")
        self.holder = sandbox.add(Process("disk", ["unshare", "--mount", "--propagation", "private", "sh", "-c", script], sandbox.folder))
        self.holder.spawn()
        self.holder.wanted_dead = True  # sleep ends by a signal
        self.holder.wait_until(lambda: "mounted" in self.holder.output.read_text(), 60, "the disk is there")
        region.daemon.prefix = ("nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--wd={sandbox.folder}")
        self.filler = f"/proc/{self.holder.pid}/root{region.folder}/.filler"

    def fill(self):
        with open(self.filler, "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))

    def free(self):
        os.unlink(self.filler)


def test_a_writer_whose_disk_is_full_is_replaced_and_comes_back_when_there_is_room(sandbox):
    if absent := network.no_mounts():
        pytest.skip(absent)
    world = Databases(sandbox, members=1)
    disk = SmallDisk(sandbox, world.regions["east"], 160 * MEGABYTE)
    world.start().create(tags={"leeward:mode": "synchronous"})
    world.query("east", "CREATE TABLE kept AS SELECT 0 AS n")
    wait_for(lambda: world.query("west", "SELECT count(*) FROM kept") == [["1"]], 120, "the reader has the table")
    disk.fill()
    acknowledged = ["0"]
    with contextlib.suppress(AssertionError):  # until there is no room for another file of its log; the rows fit into one page
        for n in range(1, 200):
            world.query("east", f"INSERT INTO kept SELECT {n} WHERE pg_logical_emit_message(true, '', repeat('x', 1000000)) IS NOT NULL")
            acknowledged.append(str(n))
    assert len(acknowledged) < 200
    world.wait_writer("west", 240)
    there = {n for [n] in world.query("west", "SELECT n FROM kept")}
    assert there >= set(acknowledged)
    world.query("west", "INSERT INTO kept VALUES (-1)")
    disk.free()
    world.wait_streaming("east", 240)
    wait_for(lambda: world.query("east", "SELECT count(*) FROM kept WHERE n = -1") == [["1"]], 120, "it follows the new writer")
    world.query("west", "INSERT INTO kept VALUES (-2)")
