"""What strangers do to a DNS port: noise, floods of idle or slow connections, clients that never read.

Good questions are asked meanwhile, and every one of them has to be answered; the daemon has to be there afterwards with
no descriptor more than before.
"""

import os
import random
import resource
import socket
import struct

import dns.message
import pytest

from leeward import record
from process import wait_for
from questions import Stream, ask, data, question

SEED = int(os.environ.get("LEEWARD_SEED", "20261121"))
NAME = "www.example.com"
LONG = " ".join('"' + "l" * 250 + '"' for _ in range(12))


@pytest.fixture
def served(sandbox):
    """Idle connections stay, however slow the machine is."""
    daemon = sandbox.daemon("--dns-tcp-idle-ms", "600000").start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1"), record("long.example.com", "TXT", LONG))
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    return daemon


def good(daemon, tcp=False):
    assert data(ask(daemon.dns, NAME, tcp=tcp)) == ["192.0.2.1"]


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def accepted(daemon):
    """How many DNS connections the daemon has taken from the kernel's queue: those have an inode."""
    address, port = daemon.dns
    here = f"{struct.unpack('<I', socket.inet_aton(address))[0]:08X}:{port:04X}"
    with open(f"/proc/{daemon.pid}/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(row[1] == here and row[3] == "01" and row[9] != "0" for row in rows)


def mangle(chance, wire):
    """A good query with some bytes changed, cut, repeated or moved."""
    wire = bytearray(wire)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(wire))
        what = chance.randrange(4)
        if what == 0:
            wire[at] = chance.randrange(256)
        elif what == 1:
            wire[at] ^= 1 << chance.randrange(8)
        elif what == 2 and len(wire) > 12:
            del wire[at:at + chance.randint(1, 8)]
        else:
            wire[at:at] = chance.randbytes(chance.randint(1, 8))
    return bytes(wire)


def noise(chance, count):
    """Half of it random bytes of any length, half of it queries that were damaged."""
    names = (NAME, "x.y.z.example.com", "long.example.com", ".", "*.example.com")
    queries = [question(name, kind, edns=edns).to_wire() for name in names for kind in ("A", "TXT", "ANY", "NS")
               for edns in (False, True)]
    for number in range(count):
        if number % 2:
            yield mangle(chance, chance.choice(queries))
        else:
            yield chance.randbytes(chance.choice((chance.randint(0, 40), chance.randint(12, 512), 1400)))


@pytest.mark.sanitized
def test_10000_packets_of_noise_do_not_keep_a_good_query_from_its_answer(served):
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(served.dns)
        udp.setblocking(False)
        for number, packet in enumerate(noise(chance, 10_000)):
            udp.send(packet)
            if number % 100 == 0:
                good(served)
            try:
                while True:
                    answer = udp.recv(65535)
                    assert answer[2] & 0x80, "whatever comes back is a response"
                    assert len(answer) <= 4096
            except BlockingIOError:
                pass
    good(served)
    good(served, tcp=True)


@pytest.mark.sanitized
def test_noise_over_tcp_ends_connections_and_nothing_else(served):
    """Framed noise is answered or ignored; a length that never comes true holds nobody up."""
    chance = random.Random(SEED + 1)
    print(f"seed {SEED + 1}")
    for packet in noise(chance, 200):
        with Stream(served.dns) as stream:
            try:
                stream.send(packet, question(NAME))
                wire = stream.read(struct.unpack("!H", stream.read(2))[0])
                assert wire[2] & 0x80
            except (EOFError, ConnectionError):
                pass  # closed on a message that is no query
    for _ in range(50):
        with Stream(served.dns) as stream:
            stream.socket.sendall(chance.randbytes(chance.randint(1, 3000)))
    good(served, tcp=True)
    good(served)


@pytest.mark.sanitized
def test_hundreds_of_idle_and_slow_connections_hold_nobody_up(served):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2048 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    before = descriptors(served)
    wire = question(NAME).to_wire()
    framed = struct.pack("!H", len(wire)) + wire
    kinds = {"silent": b"", "half a length": framed[:1], "half a query": framed[:20], "huge and absent": b"\xff\xff"}
    held = []
    try:
        for number in range(600):
            kind = list(kinds)[number % len(kinds)]
            held.append(socket.create_connection(served.dns, timeout=60))
            held[-1].sendall(kinds[kind])
            if number % 100 == 0:
                good(served)
        wait_for(lambda: accepted(served) >= 600, 60, "the connections are accepted")
        for tcp in (False, True):
            good(served, tcp)
        # Who goes on after a long silence is served.
        held[2].sendall(framed[20:])
        answer = held[2].recv(65535)
        assert data(dns.message.from_wire(answer[2:])) == ["192.0.2.1"]
    finally:
        for one in held:
            one.close()
    wait_for(lambda: descriptors(served) <= before, 60, "their descriptors are closed")


def test_idle_connections_are_closed_in_time(sandbox):
    daemon = sandbox.daemon("--dns-tcp-idle-ms", "300").start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1"))
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    with Stream(daemon.dns) as silent, Stream(daemon.dns) as half:
        half.socket.sendall(b"\0\x20half")
        assert silent.closed()
        assert half.closed()
    good(daemon, tcp=True)


def test_more_connections_than_allowed_make_room_for_new_ones(sandbox):
    daemon = sandbox.daemon("--dns-tcp-connections", "20").start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1"))
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    held = [socket.create_connection(daemon.dns, timeout=60) for _ in range(100)]

    def served_again():
        try:
            good(daemon, tcp=True)
        except (OSError, EOFError) as problem:
            raise AssertionError("refused") from problem
        return True
    wait_for(served_again, 5, "an old connection made room")
    good(daemon)
    for one in held:
        one.close()


@pytest.mark.sanitized
def test_a_client_that_never_reads_costs_nobody_else_anything(served):
    """Fifty clients ask for far more than sockets hold, and read nothing."""
    before = descriptors(served)
    wire = question("long.example.com", "TXT").to_wire()
    framed = (struct.pack("!H", len(wire)) + wire) * 400
    held = []
    for _ in range(50):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(served.dns)
        one.setblocking(False)
        try:
            one.send(framed)
        except BlockingIOError:
            pass
        held.append(one)
    for tcp in (False, True) * 10:
        good(served, tcp)
    # One of them reads after all: the answers are there, each whole.
    held[0].setblocking(True)
    with Stream(served.dns) as stream:
        stream.socket.close()
        stream.socket = held[0]
        stream.socket.settimeout(60)
        for _ in range(20):
            assert data(stream.receive(), "TXT") == [LONG]
    for one in held:
        one.close()
    wait_for(lambda: descriptors(served) <= before, 60, "their descriptors are closed")
