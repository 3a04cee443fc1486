"""Several daemons that are the sites of one cluster.

    cluster = Cluster(sandbox, 3, hide)          each sees the endpoint of the checks through its own hosts file, and has a
                                                 store of its own; hide: endpoints.can_hide_files()
    cluster.sees(0, False)                       site 0 does not reach the endpoint any more
    cluster.verdict(1, check)                    what site 1 takes the check for

    shared = SharedSites(sandbox, 3).start()     on one etcd, made by `leeward site init|token|join` as operators do
    shared["site-1"]                             a daemon; shared.etcd is etcd
"""

import json
import shutil
import sqlite3
import struct
import subprocess

import endpoints
import etcd
from leeward import aws_environment, Daemon, KEY_ID, REGION, SECRET
from process import BUILD, free_port, wait_for

NAME = "shop.example"


class Cluster:
    """Site 0 makes the cluster and the checks; the others join, and begin with a copy of its store."""

    def __init__(self, sandbox, count, hide):
        self.sandbox = sandbox
        self.endpoint = sandbox.add(endpoints.Site(sandbox.folder, sandbox.address(), "shop")).start()
        self.endpoint.up("health")
        self.nowhere = sandbox.address()
        self.hosts = [sandbox.folder / f"hosts-{number}" for number in range(count)]
        self.daemons = []
        for number in range(count):
            self.sees(number, True)
            address = sandbox.address()
            peer = f"{address}:{free_port(address)}"
            daemon = sandbox.add(endpoints.DaemonWithFiles(
                sandbox.folder / f"site-{number}", "--site", f"site-{number}", "--peer", peer, "--node", f"node-{number}",
                "--user", "root", hide=hide, files={"/etc/hosts": self.hosts[number]}))
            daemon.peer, daemon.clock = peer, {}
            self.daemons.append(daemon)
        first = self.daemons[0].start()
        first.leeward("site", "init")
        config = {"Type": "HTTP", "FullyQualifiedDomainName": NAME, "Port": self.endpoint.http_port, "ResourcePath": "/health"}
        self.check = endpoints.make_check(first, **config)
        self.majority = endpoints.make_check(first, {**endpoints.FAST, "leeward:vote": "majority"}, **config)
        for number in range(1, count):
            run = self.join(self.token(), number)
            assert run.returncode == 0, run.stderr
        for daemon in self.daemons[1:]:
            with sqlite3.connect(first.data / "leeward.db") as source, sqlite3.connect(daemon.data / "leeward.db") as copy:
                source.backup(copy)
            daemon.start()
        self.wait_for_votes(*range(count), heard=count)

    def token(self, *options):
        return self.daemons[0].leeward("site", "token", *options).stdout.strip()

    def join(self, token, number, name=None):
        return join(self.daemons[number], token, name or f"site-{number}")

    def sees(self, number, reachable):
        self.hosts[number].write_text(f"127.0.0.1 localhost\n{self.endpoint.address if reachable else self.nowhere} {NAME}\n")

    def sites(self, number):
        return json.loads(self.daemons[number].leeward("sites", "--json").stdout)

    def verdict(self, number, check):
        status = json.loads(self.daemons[number].leeward("status", "--json").stdout)
        return next(one["Status"]["Healthy"] for one in status["HealthChecks"] if one["Id"] == check)

    def votes(self, number, check):
        """How many sites say to this one that the check is healthy, and how many say anything."""
        status = json.loads(self.daemons[number].leeward("status", "--json").stdout)
        seen = next(one["Status"]["Observations"] for one in status["HealthChecks"] if one["Id"] == check)
        return sum(one["Healthy"] for one in seen), len(seen)

    def wait_for_verdict(self, check, healthy, *numbers, seconds=10):
        for number in numbers:
            wait_for(lambda number=number: self.verdict(number, check) == healthy, seconds,
                     f"site {number} takes {check} for {'healthy' if healthy else 'unhealthy'}")

    def wait_for_votes(self, *numbers, heard, held=False, seconds=15):
        for number in numbers:
            def told(number=number):
                seen = self.sites(number)
                assert (seen["HeardSites"], seen["VotesHeld"]) == (heard, held), seen
                return True
            wait_for(told, seconds, f"site {number} hears {heard} sites")


class SharedSites:
    """Sites on one etcd of `members`. Site n is "site-n" in the region "region-n", on a loopback address of its own."""

    def __init__(self, sandbox, count, members=1, options=(), build=BUILD):
        self.sandbox = sandbox
        self.etcd = etcd.Cluster(sandbox.folder / "etcd", members)
        for member in self.etcd.members:
            sandbox.add(member)
        self.daemons = {}
        for number in range(count):
            name, address = f"site-{number}", sandbox.address()
            peer = f"{address}:{free_port(address)}"
            daemon = sandbox.add(Daemon(
                sandbox.folder / name, "--store", "etcd", *(word for url in self.etcd.endpoints for word in ("--etcd", url)),
                "--site", name, "--node", name, "--peer", peer, *options, regions=(f"region-{number}",),
                api=f"{address}:0", dns=(f"{address}:0",), name=name, build=build))
            daemon.name_of_site, daemon.peer, daemon.address, daemon.clock = name, peer, address, {}
            self.daemons[name] = daemon

    def __getitem__(self, name):
        return self.daemons[name]

    def __iter__(self):
        return iter(self.daemons.values())

    def start(self):
        self.etcd.start()
        first, *others = self
        first.start()
        first.leeward("site", "init")
        for daemon in others:
            self.add(daemon)
        for daemon in self:
            self.wait_for_sites(daemon, len(self.daemons))
        return self

    def set_clock(self, daemon, seconds):
        """Its machine's clock, from its next start on, beside the true one (test/lib/clock.c)."""
        offset = daemon.folder / "clock"
        offset.write_bytes(struct.pack("=q", seconds * 10**9))
        daemon.clock = {"LD_PRELOAD": str(BUILD / "libtest_clock.so"), "LEEWARD_TEST_CLOCK": str(offset)}
        daemon.environment.update(daemon.clock)

    def add(self, daemon, by="site-0"):
        """A token of a member, `leeward site join` on the new machine, then its daemon."""
        run = join(daemon, self[by].leeward("site", "token").stdout.strip(), daemon.name_of_site)
        assert run.returncode == 0, run.stderr
        return daemon.start()

    def sites(self, daemon):
        return json.loads(daemon.leeward("sites", "--json").stdout)

    def wait_for_sites(self, daemon, count, seconds=15):
        def told():
            seen = self.sites(daemon)
            assert (len(seen["Sites"]), seen["HeardSites"]) == (count, count), seen
            return all(len(site["Hears"]) == count - 1 and site["ApiAddress"] for site in seen["Sites"])
        wait_for(told, seconds, f"{daemon.name_of_site} hears {count} sites")


def join(daemon, token, name):
    """`leeward site join` for a daemon that does not run yet; what became of it."""
    return subprocess.run([daemon.build / "leeward", "site", "join", token, name, "--peer", daemon.peer, "--data", daemon.data],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
                          env=aws_environment(KEY_ID, SECRET, REGION, home=str(daemon.folder)) | daemon.clock)


def copy_identity(source, target):
    """The files of another cluster's site, in the place of a daemon's own."""
    shutil.rmtree(target / "site")
    shutil.copytree(source / "site", target / "site")
