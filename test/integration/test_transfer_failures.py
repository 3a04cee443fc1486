"""Zone transfers when something breaks: restarts, secondaries that are dead or slow, clients that are many."""

import contextlib
import socket
import struct
import subprocess
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import dns.rrset
import dns.xfr
import pytest

from leeward import dig, record
from process import clean_environment, free_port, wait_for
from questions import Stream, ask, question
from secondaries import (ZONE, KnotSecondary, contents, create_open_zone, secondaries, serial_in, serial_of, tag_zone,
                         told, transfer, wait_until_follows)


@pytest.fixture
def open_zone(daemon):
    return create_open_zone(daemon)


class SerialWatch:
    """Asks for the serial all the time, whether the server is there or not; every one it saw, in order."""

    def __init__(self, server):
        self.server = server
        self.seen = []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self.end.is_set():
            with contextlib.suppress(OSError, dns.exception.DNSException):
                answer = ask(self.server, ZONE, "SOA", seconds=0.05, tries=1).answer
                self.seen += [answer[0][0].serial] if answer else []

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()

    def never_back(self):
        return self.seen == sorted(self.seen)


# Restarts


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_serials_go_on_over_a_restart(sandbox, daemon, end):
    zone = create_open_zone(daemon)
    others = secondaries(sandbox, daemon)
    tag_zone(daemon, zone, notify=told(others))
    with SerialWatch(daemon.dns) as watch:
        for i in range(60):  # faster than a change a second: the serial runs ahead of the clock
            daemon.change(zone, record(f"n{i}.{ZONE}", "A", "192.0.2.1"))
        before = wait_until_follows(others, daemon)
        assert before > time.time() + 5
        getattr(daemon, end)()
        daemon.restart()
        after = wait_for(lambda: (now := serial_of(daemon.dns)) > before and now)
        assert after < before + 2000
        daemon.change(zone, record(f"after.{ZONE}", "A", "192.0.2.7"))
        for one in others:
            one.wait_for_data(f"after.{ZONE}", "A", ["192.0.2.7"])
        wait_until_follows(others, daemon)
    assert watch.never_back()


def test_killed_again_and_again_in_the_middle_of_changes(sandbox, daemon):
    zone = create_open_zone(daemon)
    others = secondaries(sandbox, daemon)
    tag_zone(daemon, zone, notify=told(others))
    with SerialWatch(daemon.dns) as watch:
        for i in range(6):
            for k in range(7):
                daemon.change(zone, record(f"n{i}-{k}.{ZONE}", "A", "192.0.2.1"))
            daemon.kill()  # the secondaries may have had the last serial, or be in the middle of it
            daemon.restart()
        daemon.change(zone, record(f"after.{ZONE}", "A", "192.0.2.7"))
        wait_for(lambda: dig(daemon.dns, f"after.{ZONE}").answer)
        wait_for(lambda: wait_until_follows(others, daemon), seconds=20)
        for one in others:
            one.wait_for_data(f"after.{ZONE}", "A", ["192.0.2.7"])
            assert dig(one.server, f"n5-6.{ZONE}").data == ["192.0.2.1"]
    assert watch.never_back()
    assert watch.seen[-1] > watch.seen[0] + 42


def copy_of(daemon, addresses):
    """The zone as it is transferred, once it has so many A records."""

    def try_it():
        with contextlib.suppress(dns.xfr.TransferError):  # for a moment after a restart
            copy = transfer(daemon.dns)
            return copy if sum(kind == "A" for _, kind, *_ in contents(copy)) == addresses else None
        return None

    return wait_for(try_it)


def test_a_lost_journal_means_the_whole_zone(daemon, open_zone):
    daemon.change(open_zone, *[record(f"n{i}.{ZONE}", "A", "192.0.2.1") for i in range(20)])
    have = copy_of(daemon, 20)
    daemon.restart()
    daemon.change(open_zone, record(f"n1.{ZONE}", "A", "192.0.2.1"), action="DELETE")
    copy_of(daemon, 19)  # the serial moves by the restart alone
    query = question(ZONE, "IXFR", edns=False)
    query.authority.append(dns.rrset.from_text(ZONE + ".", 0, "IN", "SOA", f". . {serial_in(have)} 0 0 0 0"))
    with Stream(daemon.dns) as stream:
        stream.send(query)
        first = stream.receive().answer
    assert [rrset.rdtype for rrset in first].count(dns.rdatatype.SOA) == 1  # both ends; dnspython makes them one
    assert sum(rrset.rdtype == dns.rdatatype.A for rrset in first) == 19
    assert contents(transfer(daemon.dns, have=have)) == contents(transfer(daemon.dns))


# Secondaries that are not as they should be


def test_a_secondary_that_was_dead_is_told_once_it_is_back(sandbox, daemon, open_zone):
    dead = sandbox.add(KnotSecondary(sandbox.folder / "dead", sandbox.address(), daemon.dns, [ZONE]))
    alive = sandbox.add(KnotSecondary(sandbox.folder / "alive", sandbox.address(), daemon.dns, [ZONE])).start()
    tag_zone(daemon, open_zone, notify=told([dead, alive]))
    for i in range(3):
        daemon.change(open_zone, record(f"n{i}.{ZONE}", "A", "192.0.2.1"))
        alive.wait_for_data(f"n{i}.{ZONE}", "A", ["192.0.2.1"])
    dead.start()
    dead.wait_for_data(f"n2.{ZONE}", "A", ["192.0.2.1"])
    dead.pause()
    daemon.change(open_zone, record(f"late.{ZONE}", "A", "192.0.2.1"))
    alive.wait_for_data(f"late.{ZONE}", "A", ["192.0.2.1"])
    dead.resume()
    dead.wait_for_data(f"late.{ZONE}", "A", ["192.0.2.1"], seconds=10)


def test_notify_is_repeated_at_growing_intervals_until_it_is_answered(sandbox, daemon, open_zone):
    address = sandbox.address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as secondary:
        secondary.bind((address, free_port(address)))
        secondary.settimeout(120)
        tag_zone(daemon, open_zone, notify=f"{address}:{secondary.getsockname()[1]}")
        times, ids = [], set()
        for _ in range(4):
            packet, source = secondary.recvfrom(4096)
            times.append(time.monotonic())
            ids.add(packet[:2])
            message = dns.message.from_wire(packet)
            assert message.opcode() == dns.opcode.NOTIFY and message.flags & dns.flags.AA
            assert not message.flags & (dns.flags.QR | dns.flags.TC | dns.flags.RD)
            assert [(q.name.to_text(), q.rdtype) for q in message.question] == [(ZONE + ".", dns.rdatatype.SOA)]
            assert [rrset[0].serial for rrset in message.answer] == [serial_of(daemon.dns)]
            assert source[0] == daemon.dns[0]
        gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
        assert len(ids) == 4 and gaps[0] < gaps[2]
        answer = dns.message.make_response(message)
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.sendto(answer.to_wire(), source)  # the right answer, from somebody else
        packet, source = secondary.recvfrom(4096)
        secondary.sendto(dns.message.make_response(dns.message.from_wire(packet)).to_wire(), source)
        stranger.close()
        secondary.settimeout(6)
        with pytest.raises(TimeoutError):
            secondary.recvfrom(4096)


# Clients that are slow, rude or many


def fill(daemon, zone, names=40):
    """About 10 MB that are sent: more than the kernel keeps for a client. The number of its TXT records."""
    for i in range(names):
        daemon.change(zone, *[record(f"m{i}-{k}.{ZONE}", "TXT", *[f'"{j:02d}{"y" * 240}"' for j in range(60)])
                              for k in range(2)])
    for part in range(18):
        daemon.change(zone, *[{"Name": f"a{part}-{i}.{ZONE}", "Type": "TXT", "AliasTarget": {
            "HostedZoneId": zone, "DNSName": f"m0-0.{ZONE}", "EvaluateTargetHealth": False}} for i in range(40)])
    return 60 * (2 * names + 18 * 40)


def lines(daemon, *options):
    """TXT records in an AXFR by kdig."""
    run = subprocess.run(["/usr/bin/kdig", f"@{daemon.dns[0]}", "-p", str(daemon.dns[1]), *options, "+timeout=600",
                          "+retry=0", ZONE, "AXFR"],
                         capture_output=True, text=True, env=clean_environment())
    return run.stdout.count("\tTXT\t")


def asked(daemon):
    """A connection with a small window, on which a transfer was asked for."""
    axfr = question(ZONE, "AXFR").to_wire()
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    one.connect(daemon.dns)
    one.sendall(struct.pack("!H", len(axfr)) + axfr)
    return one


def test_slow_and_aborted_transfers(sandbox):
    daemon = sandbox.daemon("--dns-transfer-timeout-ms", 500, "--dns-transfers", 2).start()
    zone = create_open_zone(daemon)
    whole = fill(daemon, zone)
    wait_for(lambda: lines(daemon) == whole)
    idle = [asked(daemon) for _ in range(4)]  # they ask and never read
    for _ in range(20):  # they ask and go
        with asked(daemon) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert dig(daemon.dns, ZONE, "SOA").answer
    wait_for(lambda: lines(daemon) == whole, seconds=20)
    for one in idle:
        one.close()


def test_one_that_reads_drop_by_drop_is_cut(sandbox):
    daemon = sandbox.daemon("--dns-transfer-timeout-ms", 1000, "--dns-transfers", 1).start()
    zone = create_open_zone(daemon)
    whole = fill(daemon, zone)
    wait_for(lambda: lines(daemon) == whole)
    with asked(daemon) as one:
        start = time.monotonic()
        read = 0
        with contextlib.suppress(ConnectionResetError):
            while part := one.recv(200):
                read += len(part)
                time.sleep(0.05)  # 4 kB/s: the rest would take most of an hour
        assert time.monotonic() - start < 600
    wait_for(lambda: lines(daemon) == whole, seconds=20)


def test_one_that_asks_byte_by_byte_gets_its_zone_or_is_closed(daemon, open_zone):
    axfr = question(ZONE, "AXFR").to_wire()
    with Stream(daemon.dns) as stream:
        for byte in struct.pack("!H", len(axfr)) + axfr:
            stream.socket.sendall(bytes([byte]))
            time.sleep(0.01)
        assert stream.receive().answer[0].rdtype == dns.rdatatype.SOA


def test_a_hundred_transfers_at_once_are_served_in_turns(sandbox):
    daemon = sandbox.daemon("--dns-transfers", 4, "--dns-tcp-connections", 400, "--dns-transfer-timeout-ms", 120000).start()
    zone = create_open_zone(daemon)
    whole = fill(daemon, zone, names=4)
    wait_for(lambda: lines(daemon) == whole)
    results, lock = [], threading.Lock()

    def one_client(source):
        try:
            count = lines(daemon, "-b", source)
        except OSError as problem:
            count = repr(problem)
        with lock:
            results.append(count)
    threads = [threading.Thread(target=one_client, args=(f"127.0.0.{2 + i % 20}",)) for i in range(100)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert dig(daemon.dns, ZONE, "SOA").answer  # queries go on meanwhile
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    # 4 run, 64 wait, the others are refused: whole or nothing.
    assert set(results) <= {whole, 0} and results.count(whole) >= 60, results
    assert lines(daemon) == whole
