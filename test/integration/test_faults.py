"""Faults around the daemon: a full or unwritable disk, a damaged file, no descriptors left, clients that hang, a stopped process.

The daemon under test is the built one. Disks are small tmpfs in a mount namespace of the test's own, which needs root.
"""

import contextlib
import os
import socket
import subprocess
import threading
import time

import botocore.exceptions
import pytest

import leeward
import network
import questions
from endpoints import FAST, make_check
from leeward import record
from process import SLOWER, Process, clean_environment, wait_for

MEGABYTE = 1 << 20


class Elsewhere(leeward.Daemon):
    """A daemon behind a prefix command: in another mount namespace, or under a limit."""

    prefix = ()

    def spawn(self):
        self.command = [*self.prefix, *self.command]
        return super().spawn()

    def ends(self, seconds=20):
        """Starts it and waits until it gives up; its exit code. What it said is in the log."""
        self.spawn_with_options()
        self.wanted_dead = True
        wait_for(lambda: not self.running(), seconds, "the daemon gives up")
        return self.end()

    def spawn_with_options(self):
        self.command = [str(leeward.BUILD / "leewardd"), "--data", str(self.data), "--api", "127.0.0.1:0",
                        "--dns", "127.0.0.1:0", "--region", "us-east-1"]
        self.spawn()


def elsewhere(sandbox, *options, prefix=(), **settings):
    daemon = sandbox.add(Elsewhere(sandbox.folder / f"daemon-{len(sandbox.processes)}", *options, **settings))
    daemon.prefix = prefix
    return daemon


class Disk:
    """A file system of a few megabytes, on the daemon's data directory, in a mount namespace that lives as long as the test."""

    def __init__(self, sandbox, size=4 * MEGABYTE):
        self.daemon = elsewhere(sandbox)
        self.daemon.data.mkdir(mode=0o700)
        script = f"mount -t tmpfs -o size={size},mode=700 none '{self.daemon.data}' && echo mounted && exec sleep infinity"
        self.holder = sandbox.add(Process("disk", ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
                                          sandbox.folder))
        self.holder.spawn()
        self.holder.wanted_dead = True  # sleep ends by a signal
        self.holder.wait_until(lambda: "mounted" in self.holder.output.read_text(), 10, "the disk is there")
        self.daemon.prefix = ("nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--wd={sandbox.folder}")
        self.folder = f"/proc/{self.holder.pid}/root{self.daemon.data}"

    def run(self, *command):
        subprocess.run([*self.daemon.prefix, *command], check=True, capture_output=True, env=clean_environment())

    def fill(self):
        with open(f"{self.folder}/filler", "ab", buffering=0) as filler:
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(4096))

    def free(self):
        os.unlink(f"{self.folder}/filler")


@pytest.fixture
def disk(sandbox):
    if absent := network.no_mounts():
        pytest.skip(absent)
    return Disk(sandbox)


def names_of(daemon, zone):
    client = daemon.client("route53")
    sets = [one for page in client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
            for one in page["ResourceRecordSets"]]
    assert client.get_hosted_zone(Id=zone)["HostedZone"]["ResourceRecordSetCount"] == len(sets)
    return {one["Name"] for one in sets}


def batch(number):
    """Forty names that are there together or not at all, 20 kB of them."""
    return [record(f"part{part}.batch{number}.example.com", "TXT", f'"{"x" * 250}"', f'"{"y" * 250}"') for part in range(40)]


def write_until_refused(daemon, zone, first, limit=400):
    """(numbers that were acknowledged, the error of the first that was not)."""
    done = []
    for number in range(first, first + limit):
        try:
            daemon.change(zone, *batch(number))
            done.append(number)
        except botocore.exceptions.ClientError as problem:
            return done, problem
    raise AssertionError(f"{limit} batches were written to a full disk")


def assert_batches(daemon, zone, expected):
    names = names_of(daemon, zone)
    for number in range(max(expected, default=0) + 3):
        there = {name for name in names if f".batch{number}." in name}
        assert len(there) == (40 if number in expected else 0), f"batch {number}: {len(there)} of 40"
        answer = questions.ask(daemon.dns, f"part7.batch{number}.example.com", "TXT")
        assert questions.rcode(answer) == ("NOERROR" if number in expected else "NXDOMAIN"), number


def test_a_full_disk_refuses_writes_and_nothing_else(sandbox, disk):
    daemon = disk.daemon.start()
    zone = daemon.create_zone("example.com")
    address = sandbox.address()
    web = sandbox.nginx("us-east-1", address=address)
    check = make_check(daemon, Type="HTTP", IPAddress=address, Port=web.http_port, ResourcePath="/health")
    daemon.change(zone,
                  record("www.example.com", "A", "192.0.2.1", SetIdentifier="one", Failover="PRIMARY", HealthCheckId=check),
                  record("www.example.com", "A", "192.0.2.2", SetIdentifier="two", Failover="SECONDARY"))
    done = list(range(3))
    for number in done:
        daemon.change(zone, *batch(number))
    disk.fill()
    more, problem = write_until_refused(daemon, zone, first=3)
    done += more
    assert problem.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    assert "the disk is full" in daemon.log.read_text()
    # Reads and DNS go on; so does a failover.
    assert_batches(daemon, zone, set(done))
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"], 10)
    web.kill()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.2"], 10)
    web.start()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"], 10)
    with pytest.raises(botocore.exceptions.ClientError):
        daemon.client("route53").create_hosted_zone(Name="big.test", CallerReference="x" * 128,
                                                    HostedZoneConfig={"Comment": "x" * 256})
        write_until_refused(daemon, zone, first=100)  # a small write may fit into what a large one left
    disk.free()
    daemon.change(zone, *batch(500))
    assert "part3.batch500.example.com." in names_of(daemon, zone)
    assert questions.rcode(questions.ask(daemon.dns, "part3.batch500.example.com", "TXT")) == "NOERROR"
    before = names_of(daemon, zone)
    daemon.kill()
    daemon.start()
    assert names_of(daemon, zone) == before


def test_a_restart_on_a_full_disk_serves_or_says_why_not(disk):
    daemon = disk.daemon.start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, *batch(0))
    disk.fill()
    done, _ = write_until_refused(daemon, zone, first=1)
    daemon.kill()
    disk.fill()
    try:
        daemon.start()
    except RuntimeError as problem:
        assert "leeward.db" in str(problem) or str(daemon.data) in str(problem), problem
        daemon.wanted_dead = True
        daemon.faults.clear()
        disk.free()
        daemon.start()
    assert_batches(daemon, zone, {0, *done})


def test_a_read_only_directory_is_named(disk):
    daemon = disk.daemon.start()
    zone = daemon.create_zone("example.com")
    assert daemon.stop() == 0
    disk.run("mount", "-o", "remount,ro", str(daemon.data))
    assert daemon.ends() == 1
    said = daemon.log.read_text()
    assert str(daemon.data) in said and "Read-only file system" in said, said
    disk.run("mount", "-o", "remount,rw", str(daemon.data))
    daemon.start()
    assert questions.ask(daemon.dns, "example.com", "SOA").answer
    daemon.client("route53").delete_hosted_zone(Id=zone)


@pytest.mark.parametrize("where", ["header", "middle", "everything"])
def test_a_damaged_file_is_named(sandbox, where):
    daemon = elsewhere(sandbox).start()
    zone = daemon.create_zone("example.com")
    for number in range(10):
        daemon.change(zone, *batch(number))
    assert daemon.stop() == 0
    file = daemon.data / "leeward.db"
    good = file.read_bytes()
    start, end = {"header": (0, 100), "middle": (4096, len(good)), "everything": (0, len(good))}[where]
    file.write_bytes(good[:start] + bytes([0x5a]) * (end - start) + good[end:])
    assert daemon.ends() == 1
    said = daemon.log.read_text()
    assert str(file) in said and "damaged" in said, said
    assert file.read_bytes()[start:end] == bytes([0x5a]) * (end - start), "the evidence was overwritten"
    file.write_bytes(good)  # the backup
    daemon.start()
    assert_batches(daemon, zone, set(range(10)))


def fill_descriptors(server, most):
    """Connections that say nothing, until no more come in."""
    connections = []
    for _ in range(most):
        connection = socket.socket()
        connection.settimeout(2 * SLOWER)
        try:
            connection.connect(server)
        except OSError:
            connection.close()
            break
        connections.append(connection)
    return connections


def api_server(daemon):
    host, _, port = daemon.api.rpartition(":")
    return host, int(port)


@pytest.mark.sanitized
def test_without_descriptors_dns_goes_on_and_the_api_recovers(sandbox):
    """Connections take all the descriptors there are: DNS over UDP is not touched, no answer changes."""
    address = sandbox.address()
    web = sandbox.nginx("us-east-1", address=address)
    daemon = elsewhere(sandbox, "--api-idle-ms", "600000", prefix=("prlimit", "--nofile=96:96")).start()
    zone = daemon.create_zone("example.com")
    checks = [make_check(daemon, tags=FAST, Type=kind, IPAddress=address, Port=port, **more) for kind, port, more in (
        ("HTTP", web.http_port, {"ResourcePath": "/health"}), ("TCP", web.http_port, {}),
        ("HTTPS", web.https_port, {"ResourcePath": "/health"}))]
    for number, check in enumerate(checks):
        daemon.change(
            zone,
            record(f"www{number}.example.com", "A", "192.0.2.1", SetIdentifier="p", Failover="PRIMARY", HealthCheckId=check),
            record(f"www{number}.example.com", "A", "192.0.2.2", SetIdentifier="s", Failover="SECONDARY"))
        daemon.wait_for_answer(f"www{number}.example.com", "A", ["192.0.2.1"], 10)
    connections = fill_descriptors(api_server(daemon), 200)
    try:
        wait_for(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) >= 94, 10, "the descriptors are used up")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for number in range(len(checks)):
                answer = questions.ask(daemon.dns, f"www{number}.example.com")
                assert questions.data(answer) == ["192.0.2.1"], f"check {number}: the endpoint is well, the daemon has no sockets"
    finally:
        for connection in connections:
            connection.close()

    def api_answers():
        try:
            return daemon.client("route53", connect_timeout=2, read_timeout=2).get_hosted_zone_count()["HostedZoneCount"] == 1
        except botocore.exceptions.BotoCoreError:
            return False
    wait_for(api_answers, 20, "the API answers again")
    assert questions.rcode(questions.ask(daemon.dns, "www0.example.com", tcp=True)) == "NOERROR"
    web.kill()
    for number in range(len(checks)):
        daemon.wait_for_answer(f"www{number}.example.com", "A", ["192.0.2.2"], 10)


@pytest.mark.sanitized
def test_hanging_clients_do_not_hold_up_a_stop(daemon):
    """200 connections each to API and DNS in every half-done state, and some that do not read their answers."""
    zone = daemon.create_zone("example.com")
    daemon.change(zone, *(record(f"r{i}.example.com", "TXT", f'"{"x" * 250}"') for i in range(100)))
    api, open_ones = api_server(daemon), []
    halves = [b"", b"GET", b"GET /2013-04-01/hostedzone HTTP/1.1\r\nHost: x\r\n",
              b"POST /2013-04-01/hostedzone HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n<Create",
              b"POST /2013-04-01/hostedzone HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"]
    wire = questions.question("example.com", "SOA").to_wire()
    dns_halves = [b"", b"\0", len(wire).to_bytes(2, "big"), len(wire).to_bytes(2, "big") + wire[:9],
                  (len(wire).to_bytes(2, "big") + wire) * 2000]
    try:
        for number in range(200):
            for server, half in ((api, halves[number % len(halves)]), (daemon.dns, dns_halves[number % len(dns_halves)])):
                connection = socket.create_connection(server, timeout=5 * SLOWER)
                open_ones.append(connection)
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    connection.send(half)
        assert questions.ask(daemon.dns, "example.com", "SOA").answer
        assert daemon.stop(seconds=2) == 0
    finally:
        for connection in open_ones:
            connection.close()


class SlowServer:
    """Answers each HTTP request after 60 ms, so that at most moments a probe is under way."""

    def __init__(self, address):
        self.listener = socket.create_server((address, 0), backlog=64)
        self.address, self.port = self.listener.getsockname()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.answer, args=(connection,)).start()

    @staticmethod
    def answer(connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            connection.recv(4096)
            time.sleep(0.06)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.mark.sanitized
def test_a_stopped_daemon_takes_no_endpoint_for_dead(sandbox, daemon):
    """SIGSTOP and SIGCONT, as when a virtual machine moves: probes that were under way say nothing."""
    zone = daemon.create_zone("example.com")
    slow, web = SlowServer(sandbox.address()), sandbox.nginx("us-east-1")
    names = []
    try:
        for kind, address, port in (("HTTP", slow.address, slow.port), ("HTTP", slow.address, slow.port),
                                    ("TCP", web.address, web.http_port), ("HTTPS", web.address, web.https_port)):
            name = f"n{len(names)}.example.com"
            more = {} if kind == "TCP" else {"ResourcePath": "/health"}
            timeout = 3000 * SLOWER
            check = make_check(daemon, {**FAST, "leeward:timeout-ms": str(timeout)}, Type=kind, IPAddress=address, Port=port,
                               **more)
            daemon.change(zone,
                          record(name, "A", "192.0.2.1", SetIdentifier="p", Failover="PRIMARY", HealthCheckId=check),
                          record(name, "A", "192.0.2.2", SetIdentifier="s", Failover="SECONDARY"))
            daemon.wait_for_answer(name, "A", ["192.0.2.1"], 10)
            names.append(name)
        client = daemon.client("route53")
        checks = [one["Id"] for one in client.list_health_checks()["HealthChecks"]]
        for _ in range(3 if SLOWER == 1 else 1):
            daemon.pause()
            time.sleep(3.9 * SLOWER)
            daemon.resume()
            time.sleep(0.4)
            for name in names:
                assert questions.data(questions.ask(daemon.dns, name)) == ["192.0.2.1"], name
        for check in checks:  # not even for a moment
            failures = client.get_health_check_last_failure_reason(HealthCheckId=check)["HealthCheckObservations"]
            assert not failures, failures
    finally:
        slow.close()
    daemon.wait_for_answer(names[0], "A", ["192.0.2.2"], 10)
    web.kill()
    daemon.wait_for_answer(names[3], "A", ["192.0.2.2"], 10)


def resident(daemon):
    """Kilobytes of memory that the daemon has in use."""
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("RssAnon")).split()[1])


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def threads_of(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/task"))


def churn(daemon, address, port, count, workers=4):
    """Makes that many health checks, lets them probe, and deletes them."""
    made = []

    def make(number):
        client = daemon.client("route53")
        for index in range(number, count, workers):
            kind = ("HTTP", "TCP", "HTTPS")[index % 3]
            more = {} if kind == "TCP" else {"ResourcePath": "/health"}
            made.append(client.create_health_check(CallerReference=f"churn-{time.monotonic_ns()}-{index}", HealthCheckConfig={
                "Type": kind, "IPAddress": address, "Port": port, "RequestInterval": 10, "FailureThreshold": 1,
                **more})["HealthCheck"]["Id"])

    def delete(number):
        client = daemon.client("route53")
        for identifier in made[number::workers]:
            client.delete_health_check(HealthCheckId=identifier)
    for task in (make, delete):
        threads = [threading.Thread(target=task, args=(number,)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if task is make:
            assert len(made) == count
            wait_for(lambda: daemon.client("route53").get_health_check_count()["HealthCheckCount"] == count, 10)
    assert daemon.client("route53").get_health_check_count()["HealthCheckCount"] == 0


def test_two_thousand_checks_come_and_go_without_a_trace(sandbox, daemon):
    """Half of them in a first round, so that pools and caches have their size; the others leave nothing more."""
    web = sandbox.nginx("us-east-1")
    churn(daemon, web.address, web.http_port, 1000)
    wait_for(lambda: descriptors(daemon) < 60, 30, "the probes' descriptors are closed")
    memory, open_before, threads = resident(daemon), descriptors(daemon), threads_of(daemon)
    churn(daemon, web.address, web.http_port, 1000)
    wait_for(lambda: descriptors(daemon) <= open_before + 2, 30, "no descriptor is left")
    assert threads_of(daemon) <= threads
    if SLOWER == 1:  # a sanitizer keeps what was freed
        assert resident(daemon) < memory + 8 * 1024, f"from {memory} to {resident(daemon)} kB"
