"""Several DNS threads: every one answers and no query is lost, whether they stay on processors or not.

Judged by what each thread counted: how often it slept says nothing, because a thread whose client has the same processor may
be put aside before it gets to wait, and finds the next query when it comes back.
"""

import os
import re
import socket
import struct
import urllib.request

import pytest

from leeward import record

pytestmark = pytest.mark.sanitized

QUERY = b"\3www\7example\3com\0" + struct.pack(">HH", 1, 1)
SOCKETS = 64  # of each kind, from each processor: that one of five workers gets none of so many ports does not happen
KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)


def worker_queries(daemon):
    """How many queries each DNS thread has received."""
    address = next(line.split()[1] for line in daemon.output.read_text().splitlines() if line.startswith("metrics "))
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=120) as answer:
        page = answer.read().decode()
    found = re.findall(r'^leeward_dns_worker_queries_total\{worker="(\d+)"\} (\d+)$', page, re.MULTILINE)
    assert [int(worker) for worker, _ in found] == list(range(len(found)))
    return [int(count) for _, count in found]


def ask(server, kind, number):
    message = struct.pack(">HHHHHH", number, 0, 1, 0, 0, 0) + QUERY
    with socket.socket(socket.AF_INET, kind) as asking:
        asking.settimeout(120)
        asking.connect(server)
        asking.sendall(message if kind == socket.SOCK_DGRAM else struct.pack(">H", len(message)) + message)
        answer = asking.recv(4096)
    return answer if kind == socket.SOCK_DGRAM else answer[2:]


def ask_from_each(processors, server):
    """Over loopback a packet is received by the processor that sends it. Returns how many queries were asked."""
    usable = os.sched_getaffinity(0)
    asked = 0
    try:
        for processor in processors:
            os.sched_setaffinity(0, {processor})
            for number in range(SOCKETS):
                for kind in KINDS:
                    answer = ask(server, kind, number)
                    assert answer[:2] == struct.pack(">H", number)
                    assert answer[7] == 1, "an answer of one record"
                    asked += 1
    finally:
        os.sched_setaffinity(0, usable)
    return asked


@pytest.mark.parametrize("options", [[], ["--dns-pin-workers", "yes"]])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_worker_answers_and_no_query_is_lost(sandbox, options, count):
    daemon = sandbox.daemon("--metrics", "127.0.0.1:0", *options, workers=count).start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record("www.example.com", "A", "192.0.2.1"))
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])
    before = worker_queries(daemon)
    assert len(before) == count
    # Where each worker has a processor of its own, it gets what that one receives: then all of those are asked from.
    asked = ask_from_each(sorted(os.sched_getaffinity(0))[:max(count, 2)], daemon.dns)
    got = [now - then for now, then in zip(worker_queries(daemon), before)]
    assert sum(got) == asked
    assert all(got), got
