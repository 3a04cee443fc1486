"""Programs under test: started in a temporary folder, watched, ended by their own process id and no other.

Used by leeward.py and servers.py. Each runs in a process group of its own, so that a server with children (nginx) dies,
stops and continues as a whole. Where the test run itself is killed, a keeper kills the groups that it started.
"""

import atexit
import contextlib
import errno
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LEEWARD_BUILD") or ROOT / "build").resolve()
# With a sanitizer everything is slower.
SLOWER = 5 if BUILD.name.startswith("build-") else 1
# Deadlines are for machines that are slow or busy: what has to happen is waited for this many times as long as it may take on an
# idle one. That costs nothing where it happens.
PATIENCE = 6 * SLOWER

# A sanitizer's report, or a failed assertion, in what a program wrote on standard error.
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
           "Assertion `", "AddressSanitizer:DEADLYSIGNAL", "ERROR: ThreadSanitizer", "out of memory:")


def clean_environment(**more):
    """What a client or server under test sees: nothing of the settings of the person who runs the tests."""
    kept = {name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS") if name in os.environ}
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **kept, **more}


def wait_for(condition, seconds=10.0, what=None, every=0.02):
    """Calls condition until it gives something true, and returns that; an AssertionError after the deadline.

    An AssertionError of the condition itself counts as "not yet"; the last one is shown.
    """
    deadline = time.monotonic() + seconds * PATIENCE
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except AssertionError as problem:
            last = problem
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"not within {seconds * PATIENCE:g} s: {name}; last: {last!r}")
        time.sleep(every)


class Addresses:
    """Loopback addresses that nobody else on this machine uses: each is held by an abstract socket of that name."""

    def __init__(self):
        self.locks = []

    def take(self):
        while True:
            address = f"127.{random.randint(16, 250)}.{random.randint(0, 255)}.{random.randint(2, 254)}"
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                lock.bind(f"\0leeward-test-{address}")
            except OSError:
                lock.close()
                continue
            self.locks.append(lock)
            return address

    def release(self):
        for lock in self.locks:
            lock.close()
        self.locks = []


class Port:
    """A port that is free for TCP and UDP at the address, and that no other test takes while this object is there: not even
    while the program that uses it is being restarted. The kernel gives it to nobody's connection either, as it would one of
    those that it chooses from itself (net.ipv4.ip_local_port_range)."""

    def __init__(self, address="127.0.0.1"):
        while True:
            self.number = random.randint(10000, 32000)
            self.lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                self.lock.bind(f"\0leeward-test-port-{self.number}")
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as one:
                        one.bind((address, self.number))
                return
            except OSError as problem:
                self.lock.close()
                if problem.errno != errno.EADDRINUSE:  # no address of this network
                    raise


_given = {}


def free_port(address="127.0.0.1"):
    """The number of a port that is free at the address. Port 0 is better where a program says what it got and keeps it. An
    address of Addresses.take() is nobody else's; for others the port is kept until the end of the test run."""
    while True:
        port = Port(address)
        if (address, port.number) not in _given:
            _given[address, port.number] = port if address == "127.0.0.1" else port.lock.close()
            return port.number


_started = []


@atexit.register
def _end_what_is_left():
    for process in list(_started):
        process.end()


# Hears of every group's start and end; when the test run is gone, however it went, what is left goes as well.
KEEPER = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Keeper:
    """Started with the first program; in a session of its own, so that what kills the run does not kill it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.popen = None

    def tell(self, line):
        with self.lock:
            if self.popen is None:
                self.popen = subprocess.Popen([sys.executable, "-I", "-S", "-c", KEEPER], stdin=subprocess.PIPE, text=True,
                                              bufsize=1, start_new_session=True, stdout=subprocess.DEVNULL)
            with contextlib.suppress(OSError):  # somebody ended it: tests go on without
                self.popen.stdin.write(line + "\n")


_keeper = Keeper()


class Process:
    """One program in a process group of its own; standard output and error go to files in its folder."""

    def __init__(self, name, command, folder, environment=None):
        self.name = name
        self.folder = Path(folder)
        self.command = [str(word) for word in command]
        self.environment = environment or clean_environment()
        self.popen = None
        self.runs = 0
        self.wanted_dead = False  # set it where a program is meant to fail
        self.paused = False
        self.faults = []  # of every run: ends that nobody asked for

    @property
    def pid(self):
        return self.popen.pid

    @property
    def output(self):
        """The file with the standard output of the current run."""
        return self.folder / f"{self.name}.{self.runs}.out"

    @property
    def log(self):
        """The file with the standard error of the current run."""
        return self.folder / f"{self.name}.{self.runs}.err"

    def spawn(self):
        assert not self.running(), f"{self.name} runs already"
        if self.popen is not None:
            self.end()
        self.runs += 1
        self.wanted_dead = False
        with open(self.output, "wb") as out, open(self.log, "wb") as err:
            self.popen = subprocess.Popen(self.command, cwd=self.folder, env=self.environment,
                                          stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        _keeper.tell(f"+{self.popen.pid}")
        _started.append(self)
        return self

    def running(self):
        """Looks without reaping: until end() the id, and so the group, cannot belong to anybody else."""
        if self.popen is None or self.popen.returncode is not None:
            return False
        return os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def end(self):
        """Kills what is left of the group and reaps the program; its exit code."""
        self.signal(signal.SIGKILL)
        first = self.popen.returncode is None
        code = self.popen.wait()
        if self in _started:
            _started.remove(self)
            _keeper.tell(f"-{self.popen.pid}")
        if first and code != 0 and not self.wanted_dead:
            self.faults.append(f"{self.name} ended with {code}:\n{self.tail()}")
        return code

    def assert_running(self):
        if not self.running():
            raise RuntimeError(f"{self.name} ended with {self.end()}:\n{self.tail()}")

    def wait_until(self, condition, seconds, what):
        """wait_for, but a program that ended is noticed at once."""
        def check():
            self.assert_running()
            return condition()
        return wait_for(check, seconds, what)

    def tail(self, size=6000):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text[-size:]

    def signal(self, number):
        """To the whole group, unless it was reaped already."""
        if self.popen is not None and self.popen.returncode is None:
            try:
                os.killpg(self.popen.pid, number)
            except ProcessLookupError:
                pass

    def hang_up(self):
        """SIGHUP to the program alone. (Popen's own way would reap one that has died, and lose its group.)"""
        if self.running():
            os.kill(self.popen.pid, signal.SIGHUP)

    def kill(self):
        """SIGKILL to all of it, as when the machine's power goes. Returns the monotonic time just before."""
        self.wanted_dead = True
        self.paused = False
        moment = time.monotonic()
        self.end()
        return moment

    def pause(self):
        """SIGSTOP to all of it: it hangs, with its connections open. Returns the monotonic time just before."""
        moment = time.monotonic()
        self.signal(signal.SIGSTOP)
        self.paused = True
        wait_for(self.stands_still, 5, f"{self.name} stands still", every=0.0005)
        return moment

    def stands_still(self):
        """Each thread stops when it next looks for signals, a moment after the call."""
        try:
            return all(stat.read_text().rpartition(") ")[2][0] in "TtZX" for stat in Path(f"/proc/{self.pid}/task").glob("*/stat"))
        except OSError:  # a thread ended meanwhile
            return False

    def resume(self):
        self.signal(signal.SIGCONT)
        self.paused = False

    def stop(self, seconds=15):
        """SIGTERM; the exit code. One that does not end in time is killed, and that is an error."""
        if self.popen is None:
            return 0
        if self.paused:
            self.resume()
        if self.running():
            os.kill(self.popen.pid, signal.SIGTERM)
            deadline = time.monotonic() + seconds * PATIENCE
            while self.running():
                if time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"{self.name} did not end within {seconds * PATIENCE} s of SIGTERM:\n{self.tail()}")
                time.sleep(0.005)
        return self.end()

    def reports(self):
        """What every run's end and log say about a fault in the program itself."""
        found = list(self.faults)
        for run in range(1, self.runs + 1):
            log = self.folder / f"{self.name}.{run}.err"
            text = log.read_text(errors="replace") if log.exists() else ""
            if any(report in text for report in REPORTS):
                found.append(f"{log}:\n{text[-12000:]}")
        return found
