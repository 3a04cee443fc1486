"""Fixtures: `daemon` is a running leewardd, `sandbox` starts more of anything; both clean up after the test.

Marks: `serial` for tests that measure time (run alone, after the others), `waiting` for those that mostly wait, whose servers must not be
starved meanwhile (a few at a time), `sanitized` for those that also run against the address and thread sanitizer builds.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
for name in [n for n in os.environ if n.startswith("AWS_") or n.lower().endswith("_proxy")]:
    del os.environ[name]
os.environ.update(AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true")

import leeward  # noqa: E402
import process  # noqa: E402
import servers  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "serial: measures time; runs alone")
    config.addinivalue_line("markers", "waiting: mostly waits; runs beside few others")
    config.addinivalue_line("markers", "idle(milliseconds): when the daemon closes silent connections")
    config.addinivalue_line("markers", "sanitized: runs under the sanitizers too")


class Sandbox:
    """Everything that one test starts. At its end all of it is stopped, and a fault of the daemon fails the test."""

    def __init__(self, folder):
        self.folder = folder
        self.addresses = process.Addresses()
        self.processes = []

    def address(self):
        """A loopback address that no other test uses."""
        return self.addresses.take()

    def add(self, started):
        self.processes.append(started)
        return started

    def daemon(self, *options, **settings):
        """A daemon that was not started yet; each has its own folder."""
        count = sum(isinstance(p, leeward.Daemon) for p in self.processes)
        return self.add(leeward.Daemon(self.folder / f"daemon{count}", *options, **settings))

    def nginx(self, region, **settings):
        """A running web server of that region."""
        address = settings.pop("address", None) or self.address()
        return self.add(servers.Nginx(self.folder / f"nginx-{region}-{address}", address, region, **settings)).start()

    def unbound(self, daemon, *zones):
        """A running resolver that asks the daemon for these zones."""
        address = self.address()
        return self.add(servers.Unbound(self.folder / f"unbound-{address}", address,
                                        {zone: daemon.dns for zone in zones})).start()

    def close(self):
        problems = []
        for one in reversed(self.processes):
            try:
                one.stop()
            except AssertionError as problem:
                problems.append(str(problem))
                continue
            if isinstance(one, leeward.Daemon):
                problems += one.reports()
        self.addresses.release()
        assert not problems, "\n\n".join(problems)


@pytest.fixture
def sandbox(tmp_path):
    box = Sandbox(tmp_path)
    yield box
    box.close()


@pytest.fixture
def daemon(sandbox):
    return sandbox.daemon().start()


@pytest.fixture
def route53(daemon):
    return daemon.client("route53")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One running daemon for all tests of a file, which must use names of their own."""
    box = Sandbox(tmp_path_factory.mktemp("shared"))
    yield box.daemon().start()
    box.close()
