"""Several DNS threads: every one answers and no query is lost, whether they stay on processors or not."""

import os
import pathlib
import socket
import struct

import pytest

from leeward import record

pytestmark = pytest.mark.sanitized

QUERY = b"\3www\7example\3com\0" + struct.pack(">HH", 1, 1)
SOCKETS = 64  # that one of two workers gets none of so many ports does not happen


def worker_switches(daemon):
    """How often each DNS thread has waited for something: what it did since shows that it served."""
    found = {}
    for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "dns-worker":
            lines = (task / "status").read_text().splitlines()
            found[task.name] = next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return found


def ask(server, kind, number):
    message = struct.pack(">HHHHHH", number, 0, 1, 0, 0, 0) + QUERY
    with socket.socket(socket.AF_INET, kind) as asking:
        asking.settimeout(10)
        asking.connect(server)
        asking.sendall(message if kind == socket.SOCK_DGRAM else struct.pack(">H", len(message)) + message)
        answer = asking.recv(4096)
    return answer if kind == socket.SOCK_DGRAM else answer[2:]


def ask_from_each_processor(server):
    """Over loopback a packet is received by the processor that sends it."""
    usable = sorted(os.sched_getaffinity(0))
    try:
        for processor in usable[:2]:
            os.sched_setaffinity(0, {processor})
            for number in range(SOCKETS):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    answer = ask(server, kind, number)
                    assert answer[:2] == struct.pack(">H", number)
                    assert answer[7] == 1, "an answer of one record"
    finally:
        os.sched_setaffinity(0, usable)


@pytest.mark.parametrize("options", [[], ["--dns-pin-workers", "yes"]])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_worker_answers_and_no_query_is_lost(sandbox, options, count):
    daemon = sandbox.daemon(*options, workers=count).start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record("www.example.com", "A", "192.0.2.1"))
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])
    before = worker_switches(daemon)
    assert len(before) == count
    ask_from_each_processor(daemon.dns)
    after = worker_switches(daemon)
    if count <= 2 and (len(os.sched_getaffinity(0)) >= 2 or not options):
        assert all(after[worker] > before[worker] + 10 for worker in before)
