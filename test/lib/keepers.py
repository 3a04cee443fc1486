"""Pairs of PostgreSQL servers in two regions, and who keeps them: a hand, Patroni, pg_auto_failover. For bench/db, which runs them
beside Leeward (test/lib/global_database.py).

    pair = Patroni(folder, places, settings={"ttl": 5, "loop_wait": 1, "retry_timeout": 2})
    pair.start()
    pair.switchover()                    planned, to the other region; returns when the keeper says that it is done
    victim = pair.leader(); pair.kill(victim); ... ; pair.bring_back(victim)
    pair.close()

`places` are where regions stand (Place): the two of the servers, and a third one for what needs a place of its own. All that a
region runs is killed together. Everything runs as `postgres` when the run is root's (test/lib/postgres.py).
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import urllib.request
from collections import namedtuple

import psycopg2

from etcd import Cluster
from postgres import (ROLE, SETTINGS, Control, Server, as_user, binaries, environment, family, kill_family, own_folder,
                      postmaster_pid, query)
from process import Process, free_port, wait_for

# Where a region is: what stands before its programs (test/lib/network.py), and sites of that module where there are some.
Place = namedtuple("Place", "address prefix site", defaults=((), None))
PASSWORD = "asked-for-and-never-used"  # everybody is trusted here, but Patroni wants one
CLERK, CLERK_PASSWORD = "clerk", "written-down-nowhere-else"  # a client who is not trusted
PATRONI, PATRONICTL = "/usr/bin/patroni", "/usr/bin/patronictl"
PG_AUTOCTL = "/usr/bin/pg_autoctl"


class Node:
    """One region of a pair: its server's address, and the program that keeps it."""

    def __init__(self, number, place, folder):
        self.number, self.place = number, place
        self.folder = own_folder(folder)
        self.data = self.folder / "data"
        self.address, self.port = place.address, free_port(place.address) if not place.prefix else 5432 + number
        self.keeper = None  # a Process
        self.front = [*place.prefix, *as_user()]

    @property
    def conninfo(self):
        return f"host={self.address} port={self.port} user={ROLE} dbname=postgres"

    def keep(self, name, command):
        self.keeper = Process(name, [*self.front, *command], self.folder, self.environment)

    @property
    def environment(self):
        return {**environment(self.folder), "XDG_RUNTIME_DIR": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config"),
                "XDG_DATA_HOME": str(self.folder / "share")}

    def kill(self):
        """Keeper, server and all that they started, at once."""
        self.keeper.wanted_dead = True
        kill_family([self.keeper.pid, postmaster_pid(self.data)])
        self.keeper.end()

    def state(self):
        """(whether it is the writer, standbys that stream and have all) or None when it does not answer."""
        try:
            (recovery, standbys), = query(self.conninfo, """
                SELECT pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'
                AND replay_lsn >= CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() END
                AND application_name NOT LIKE '%basebackup%')""", timeout=5)
        except (AssertionError, subprocess.TimeoutExpired, ValueError):
            return None
        return recovery == "f", int(standbys)


class Pair:
    """What all pairs do alike. self.nodes: two."""

    nodes = ()

    @property
    def conninfo(self):
        """For a client: both hosts."""
        return self.both(ROLE, "postgres", PASSWORD)

    def both(self, user, database, password):
        """Without TLS, which only Leeward's servers offer: a client would do more work there than elsewhere."""
        return (f"host={','.join(node.address for node in self.nodes)} port={','.join(str(node.port) for node in self.nodes)} "
                f"user={user} password={password} dbname={database} sslmode=disable")

    def leader(self):
        """The number of the one writer that answers, or None."""
        writers = [node.number for node in self.nodes if (node.state() or (False, 0))[0]]
        return writers[0] if len(writers) == 1 else None

    def healthy(self):
        """Whether there is one writer, and the other server follows it and has all."""
        leader = self.leader()
        return leader is not None and self.nodes[leader].state() in [(True, 1)]

    def wait_healthy(self, seconds=120):
        wait_for(self.healthy, seconds, f"{self.name} has a writer and a standby that has all", every=0.1)

    def kill(self, number):
        self.nodes[number].kill()

    def bring_back(self, number):
        self.nodes[number].keeper.spawn()

    def close(self):
        for node in self.nodes:
            if node.keeper is not None and node.keeper.popen is not None:
                node.kill()


class ByHand(Pair):
    """What can be reached at best: a hand that knows each step, and waits for each at once.

    A checkpoint first, so that the shutdown's has little to write; the fast shutdown sends the standby all that there is; the
    standby is promoted by its file and signal once it has replayed the end of the log. The servers are as Leeward's in what
    counts: files of the log have 4 MB, since a promotion copies and syncs one, and the client has a password to show.
    """

    name = "by hand"

    def __init__(self, folder, places):
        first = Server(folder / "hand-0", places[0].address, prefix=places[0].prefix, doubted=(CLERK,))
        second = Server(folder / "hand-1", places[1].address, prefix=places[1].prefix, peer=first, doubted=(CLERK,))
        self.servers = [first, second]
        self.nodes = [Node(number, places[number], folder / f"hand-{number}") for number in (0, 1)]
        for node, server in zip(self.nodes, self.servers):
            node.port, node.keeper = server.port, server

    def start(self):
        first, second = self.servers
        first.make("--wal-segsize=4").start()
        first.query(f"CREATE ROLE {CLERK} SUPERUSER LOGIN PASSWORD '{CLERK_PASSWORD}'")
        second.copy().start()
        first.peer = second
        first.configure()
        self.wait_healthy()

    @property
    def conninfo(self):
        return self.both(CLERK, "postgres", CLERK_PASSWORD)

    def switchover(self):
        old = self.servers[self.leader()]
        new = old.peer
        with contextlib.closing(psycopg2.connect(old.conninfo)) as session:
            session.autocommit = True
            session.cursor().execute("CHECKPOINT")
        with contextlib.closing(psycopg2.connect(new.conninfo)) as session:
            session.autocommit = True
            cursor = session.cursor()
            watched = os.pidfd_open(old.pid)
            os.kill(old.pid, signal.SIGINT)
            select.select([watched], [], [])
            os.close(watched)
            end = Control(old.data).checkpoint
            end = f"{end >> 32:X}/{end & 0xFFFFFFFF:X}"
            while True:
                cursor.execute("SELECT pg_last_wal_replay_lsn() > %s::pg_lsn", (end,))
                if cursor.fetchone()[0]:
                    break
            new.promote()
        # By its file: a client that asks takes the processor from who works.
        wait_for(lambda: Control(new.data).state == "in production", 10, "the promotion", every=0.01)
        old.end()
        old.be_standby()
        old.start()


class Patroni(Pair):
    """With etcd, three members: as many as Leeward has."""

    def __init__(self, folder, places, settings=None, name="Patroni"):
        self.name = name
        sites = [place.site for place in places] if places[0].site else None
        self.settings = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10, **(settings or {})}
        self.etcd = Cluster(folder / "etcd", 3, sites=sites)
        self.nodes = [Node(number, places[number], folder / f"patroni-{number}") for number in (0, 1)]
        for node in self.nodes:
            self.configure(node)

    def configure(self, node):
        node.api = f"{node.address}:{free_port(node.address) if not node.place.prefix else 8008}"
        trust = [f"host {which} all {net} trust" for which in ("all", "replication") for net in ("127.0.0.0/8", "10.0.0.0/8")]
        parameters = {name: value.strip("'") for name, value in SETTINGS.items()}
        (node.folder / "patroni.yml").write_text(json.dumps({  # which is YAML too
            "scope": "bench", "name": f"node{node.number}", "restapi": {"listen": node.api, "connect_address": node.api},
            "etcd3": {"hosts": [url.rpartition("/")[2] for url in self.etcd.endpoints]},
            "bootstrap": {"dcs": {**self.settings, "postgresql": {"use_pg_rewind": True, "parameters": parameters}},
                          "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"], "pg_hba": trust},
            "postgresql": {
                "listen": f"{node.address}:{node.port}", "connect_address": f"{node.address}:{node.port}",
                "data_dir": str(node.data), "bin_dir": str(binaries()), "pgpass": str(node.folder / "pgpass"), "pg_hba": trust,
                "authentication": {kind: {"username": name, "password": PASSWORD} for kind, name in
                                   {"superuser": ROLE, "replication": "replicator", "rewind": "rewinder"}.items()}},
        }))
        node.keep("patroni", [PATRONI, str(node.folder / "patroni.yml")])

    def start(self):
        self.etcd.start()
        first, second = self.nodes
        first.keeper.spawn()
        first.keeper.wait_until(lambda: (first.state() or (False, 0))[0], 90, "Patroni's first server")
        second.keeper.spawn()
        self.wait_healthy()

    def members(self):
        for node in self.nodes:
            try:
                with urllib.request.urlopen(f"http://{node.api}/cluster", timeout=2) as answer:
                    return json.load(answer)["members"]
            except (OSError, ValueError):
                continue
        return []

    def healthy(self):
        known = sorted((member["role"], member["state"]) for member in self.members())
        return known in ([("leader", "running"), ("replica", state)] for state in ("running", "streaming")) and super().healthy()

    def switchover(self):
        leader = self.leader()
        done = subprocess.run([PATRONICTL, "-c", str(self.nodes[0].folder / "patroni.yml"), "switchover", "bench", "--force",
                               "--leader", f"node{leader}", "--candidate", f"node{1 - leader}"],
                              capture_output=True, text=True, env=self.nodes[0].environment, stdin=subprocess.DEVNULL)
        assert done.returncode == 0 and "Successfully switched over" in done.stdout, done.stdout + done.stderr

    def close(self):
        super().close()
        self.etcd.close()


class PgAutoFailover(Pair):
    """With its monitor in the third place. Its standby is synchronous, as is its default with two nodes."""

    def __init__(self, folder, places, settings=None, name="pg_auto_failover"):
        self.name = name
        self.settings = settings or {}
        self.monitor = Node(2, places[2], folder / "monitor")
        self.nodes = [Node(number, places[number], folder / f"autoctl-{number}") for number in (0, 1)]

    @property
    def monitor_uri(self):
        return f"postgres://autoctl_node@{self.monitor.address}:{self.monitor.port}/pg_auto_failover"

    def create(self, node, kind, *words):
        """What `pg_autoctl create` makes; then its service."""
        if node is self.nodes[0] and node.place.prefix:  # it asks its own server through an address that initdb does not trust
            made = subprocess.run([*node.front, str(binaries() / "initdb"), "-D", str(node.data), "-U", ROLE, "-A", "trust"],
                                  capture_output=True, text=True, cwd=node.folder, env=node.environment, stdin=subprocess.DEVNULL)
            assert made.returncode == 0, f"initdb: {made.stderr[-2000:]}"
            with open(node.data / "pg_hba.conf", "a") as file:
                file.write("host all all 10.0.0.0/8 trust\nhost replication all 10.0.0.0/8 trust\n")
        done = subprocess.run([*node.front, PG_AUTOCTL, "create", kind, "--pgdata", str(node.data), "--pgport", str(node.port),
                               "--pgctl", str(binaries() / "pg_ctl"), "--hostname", node.address, "--no-ssl", "--skip-pg-hba",
                               *words], capture_output=True, text=True, cwd=node.folder, env=node.environment,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"pg_autoctl create {kind}: {done.stderr[-2000:]}"
        with open(node.data / "pg_hba.conf", "a") as file:
            file.write("".join(f"host {which} all {net} trust\n" for which in ("all", "replication")
                               for net in ("127.0.0.0/8", "10.0.0.0/8")))
        node.keep("pg_autoctl", [PG_AUTOCTL, "run", "--pgdata", str(node.data)])

    def start(self):
        self.create(self.monitor, "monitor")
        with open(self.monitor.data / "postgresql.conf", "a") as file:
            file.write("".join(f"pgautofailover.{name} = {value}\n" for name, value in self.settings.items()))
        self.monitor.keeper.spawn()
        self.monitor.keeper.wait_until(lambda: self.monitor.state() is not None, 30, "the monitor")
        for node in self.nodes:
            self.create(node, "postgres", "--monitor", self.monitor_uri, "--name", f"node{node.number}", "--username", ROLE,
                        "--dbname", "postgres", "--pghost", node.address, "--listen", node.address)
            settings = {**SETTINGS, "unix_socket_directories": f"'{node.folder}'"}  # for its recovery without a network
            with open(node.data / "postgresql.conf", "a") as file:
                file.write("".join(f"{name} = {value}\n" for name, value in settings.items()))
            node.keeper.spawn()
            node.keeper.wait_until(lambda one=node: one.state() is not None, 90, f"node{node.number} of pg_auto_failover")
        self.wait_healthy()

    def states(self):
        with contextlib.suppress(AssertionError):
            return sorted(row[0] for row in query(
                f"host={self.monitor.address} port={self.monitor.port} user={ROLE} dbname=pg_auto_failover",
                "SELECT reportedstate FROM pgautofailover.node WHERE reportedstate = goalstate AND health = 1"))
        return []

    def healthy(self):
        return self.states() == ["primary", "secondary"] and super().healthy()

    def switchover(self):
        done = subprocess.run([*as_user(), PG_AUTOCTL, "perform", "switchover", "--monitor", self.monitor_uri], text=True,
                              capture_output=True, cwd=self.monitor.folder, env=self.monitor.environment,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr[-2000:]

    def close(self):
        super().close()
        if self.monitor.keeper is not None and self.monitor.keeper.popen is not None:
            self.monitor.kill()
