"""A global database whose regions are machines of their own: three network namespaces, each with an etcd member, a daemon with its
agent, a server (one has two), and a disk that can be full. All of it can be killed, stopped, cut off and healed while clients write.

    sites = DatabaseSites(folder, lease_ms=1500)   needs root: network.missing() and postgres.missing() say what else
    with sites.entered():                          this thread stands in the hub, whence all sites are reached
        sites.start()
        sites.set_mode("synchronous")
        sites.group(); sites.losses()              records as the store has them
        sites.writer().ask("SELECT 1")             a Server; sites.servers has all
        sites.signal(1, "agent", signal.SIGSTOP); sites.kill(2, "region"); sites.fill_disk(0)
        sites.heal()                               everything undone, everything that is dead started
        sites.wait_settled()                       one writer, readers that have all, nothing under way
    sites.close()
"""

import base64
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time

import psycopg2

import postgres
from global_database import CLASS, DATABASE, ENGINE, GLOBAL, PASSWORD, USER, GlobalDatabase, Region
from keepers import Place
from mishaps import end_trouble
from network import Network
from process import SLOWER, clean_environment, wait_for

DISK = 600 << 20
FILLER = "filler"  # the file that makes a disk full
STORE_PORTS = "2379, 2380"
AGENT = "leeward-db"
OF_STORE = "leeward/db/"
SETTLED_SECONDS = 90
REPEATED = 4
TWINS = 0  # the region that has two servers
RPO_MS = 500  # in bounded mode
LOG_BYTES, LOG_TIMES = 1 << 20, 64  # what a server with a full disk is asked to write


class Server:
    """A server: a member of the group, by its id, and where clients reach it."""

    def __init__(self, member, node, record):
        self.member, self.node, self.instance = member, node, record["Instance"]
        self.address, self.port = record["Address"], record["Port"]
        self.session = None

    def __str__(self):
        return f"the server {self.address}"

    @property
    def conninfo(self):
        return f"host={self.address} port={self.port} user={USER} password={PASSWORD} dbname={DATABASE}"

    @property
    def data(self):
        return self.node.servers / self.member / "data"

    def ask(self, sql):
        """The rows, on a kept session of the master user; AssertionError when it does not answer."""
        try:
            if self.session is None or self.session.closed:
                self.session = psycopg2.connect(self.conninfo, connect_timeout=3, options="-c statement_timeout=20000",
                                                tcp_user_timeout=4000)
                self.session.autocommit = True
            with self.session.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        except psycopg2.Error as problem:
            self.leave()
            raise AssertionError(f"{self}: {sql}: {problem}") from None

    def leave(self):
        session, self.session = self.session, None
        if session is not None:
            session.close()


class SiteRegion(Region):
    """A region on a site of its own, with a disk for its servers alone."""

    def __init__(self, number, place, folder, etcd):
        super().__init__(number, place, folder, etcd)
        self.site, self.member = place.site, etcd.members[number]
        place.site.small_disk(self.servers, DISK)
        place.site.run("chown", postgres.ROLE, str(self.servers))
        self.servers = place.site.seen_here(self.servers)

    def agent(self):
        """Its process id, or None."""
        if not self.keeper.running():
            return None
        for pid in postgres.family([self.keeper.pid]):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                    if comm.read().strip() == AGENT:
                        return pid
        return None

    def processes(self, of, server=None):
        """The process ids of: agent, daemon (with its agent), postmaster, server (the postmaster and all its children), both (agent
        and server), member (of etcd), startup (what replays), region (all). Of one server, or of all that are here."""
        daemon = postgres.family([self.keeper.pid]) if self.keeper.running() else []
        agent = [self.agent()] if self.agent() else []
        postmasters = self.postmasters() if server is None else [pid for pid in [postgres.postmaster_pid(server.data)] if pid]
        family = postgres.family(postmasters)
        member = [self.member.pid] if self.member.running() else []
        if of == "startup":
            return [pid for pid in family if b"startup" in self.command_line(pid)]
        return {"agent": agent, "daemon": daemon, "postmaster": postmasters, "server": family, "both": agent + family,
                "member": member, "region": daemon + family + member}[of]

    @staticmethod
    def command_line(pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read()
        except OSError:
            return b""

    def log_lines(self):
        """What its daemon and agent wrote, over all their runs."""
        for run in range(1, self.keeper.runs + 1):
            path = self.keeper.folder / f"{self.keeper.name}.{run}.err"
            yield from path.read_text(errors="replace").splitlines()


class DatabaseSites(GlobalDatabase):
    """twins: one region has two servers."""

    def __init__(self, folder, lease_ms, count=3, twins=True):
        self.network = Network(3, folder / "network")
        self.twins = twins
        if twins:
            self.network.sites[TWINS].add_address()
        places = [Place(site.address, tuple(site.prefix), site) for site in self.network.sites]
        super().__init__(folder, places, lease_ms=lease_ms, count=count, make=SiteRegion)
        self.stopped = set()  # process ids
        self.dark = set()
        self.full = set()
        self.without_store = set()
        self.starved = False
        self.troubled = set()  # (site, "loss" or "slow")
        self.mode = "asynchronous"
        self.known_servers = []
        self.expected = count

    def entered(self):
        return self.network.entered()

    # What the store has

    def records(self, kind):
        """{key behind the kind: record} of db/<kind>/, asked from a member that answers."""
        key = f"{OF_STORE}{kind}/".encode()
        question = {"key": base64.b64encode(key).decode(),
                    "range_end": base64.b64encode(key[:-1] + bytes([key[-1] + 1])).decode()}
        for node in self.nodes:
            answer = node.member.ask("/v3/kv/range", question, timeout=3) if node.member.running() else None
            if answer is not None:
                return {base64.b64decode(pair["key"])[len(key):].decode(): json.loads(base64.b64decode(pair["value"]))
                        for pair in answer.get("kvs", [])}
        raise AssertionError("no member of etcd answers")

    def group(self):
        (record,) = self.records("group").values()
        return record

    def losses(self):
        return self.records("loss")

    @property
    def servers(self):
        """All of them, those of the first region first."""
        if len(self.known_servers) < self.expected:
            known = {one.member for one in self.known_servers}
            for key, record in sorted(self.records("member").items(), key=lambda item: item[1]["Instance"]):
                member, node = key.rpartition("/")[2], next(node for node in self.nodes if node.region == record["Region"])
                if member not in known and record.get("Address"):
                    self.known_servers.append(Server(member, node, record))
            self.known_servers.sort(key=lambda one: one.node.number)
        return self.known_servers

    def server_of(self, member):
        return next(server for server in self.servers if server.member == member)

    def writer(self):
        """The writer's server by the group's record, or None."""
        try:
            return self.server_of(self.group()["Writer"])
        except (AssertionError, StopIteration):
            return None

    def timeline(self):
        """The writer's."""
        lease, = self.records("lease").values()
        return lease["Timeline"]

    # What an operator does

    def alive(self):
        return [node.number for node in self.nodes if node.keeper.running() and node.number not in self.dark]

    def set_mode(self, mode):
        tags = {"leeward:mode": mode, "leeward:rpo-ms": str(RPO_MS)}
        self.patient(self.alive()[0]).add_tags_to_resource(ResourceName=self.arn,
                                                           Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
        self.mode = mode
        self.wait_settled()

    def ask_for_switchover(self, by, target, loss=False):
        """Of a server, in a region. What the API says: "asked", or the refusal."""
        writer = self.writer()
        within = not loss and writer is not None and writer.node is target.node
        rds = self.rds(target.node.number if within else by)
        if loss:  # clients of this age do not know the member
            rds.meta.events.register("before-call.rds.FailoverGlobalCluster",
                                     lambda params, **_: params["body"].update(AllowDataLoss="true"))
        try:
            if within:
                rds.failover_db_cluster(DBClusterIdentifier=target.node.cluster, TargetDBInstanceIdentifier=target.instance)
            else:
                rds.failover_global_cluster(GlobalClusterIdentifier=GLOBAL,
                                            TargetDbClusterIdentifier=self.clusters[target.node.number])
            return "asked"
        except Exception as problem:  # noqa: BLE001  whatever boto3 makes of a region that is in trouble
            return f"{type(problem).__name__}: {str(problem)[:160]}"

    def start(self):
        super().start()
        self.arn = self.describe()["GlobalClusterArn"]
        self.clusters = {node.number: self.patient(node.number).describe_db_clusters(DBClusterIdentifier=node.cluster)
                         ["DBClusters"][0]["DBClusterArn"] for node in self.nodes}
        if self.twins:
            node = self.nodes[TWINS]
            self.expected += 1
            self.make(self.patient(TWINS).create_db_instance, DBInstanceIdentifier=f"{node.instance}-twin",
                      DBClusterIdentifier=node.cluster, Engine=ENGINE, DBInstanceClass=CLASS)
            self.wait_settled()
        return self

    def healthy(self):
        return self.unsettled() is None

    # What befalls it

    def signal(self, number, of, what, server=None):
        for pid in self.nodes[number].processes(of, server):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)
            if what == signal.SIGSTOP:
                self.stopped.add(pid)

    def kill(self, number, of, server=None):
        node = self.nodes[number]
        victims = node.processes(of, server)
        if of in ("daemon", "region"):
            node.keeper.wanted_dead = True
        if of in ("member", "region"):
            node.member.wanted_dead = True
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop_cleanly(self, number):
        """The daemon ends, as it does before an upgrade, with its servers."""
        if self.nodes[number].keeper.running():
            self.nodes[number].keeper.stop(60)

    def fill_disk(self, number):
        """Not a byte is left for its servers."""
        self.full.add(number)
        with open(self.nodes[number].servers / FILLER, "wb", buffering=0) as file:
            block = bytes(1 << 20)
            with contextlib.suppress(OSError):
                while True:
                    block = block[:file.write(block)]

    def write_log(self, server):
        """So much that a full disk has no room for it. Who asks does not wait for the answer."""
        sql = f"SELECT pg_logical_emit_message(false, 'filler', repeat('x', {LOG_BYTES})) FROM generate_series(1, {LOG_TIMES})"
        subprocess.Popen(["timeout", "10", "psql", "-XAtq", "-d", server.conninfo, "-c", sql], env=clean_environment(PGCONNECT_TIMEOUT="2"),
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def starve(self):
        """No server hears of what its readers have: nothing leaves a server's user for where a server listens."""
        if not self.starved:
            self.starved = True
            ports = ", ".join(str(node.port) for node in self.nodes)
            for site in self.network.sites:
                site.run("nft", "-f", "-", text="table ip starved {\n chain output {\n"
                         "  type filter hook output priority 3; policy accept;\n"
                         f"  meta skuid {postgres.ROLE} tcp dport {{ {ports} }} drop\n }}\n}}\n")

    def cut_from_store(self, number):
        """Neither the members elsewhere nor its own clients elsewhere are heard; replication goes on."""
        self.without_store.add(number)
        self.network.sites[number].run("nft", "-f", "-", text="table ip store {\n chain input {\n"
                                       "  type filter hook input priority 2; policy accept;\n"
                                       f"  iifname \"eth0\" tcp sport {{ {STORE_PORTS} }} drop\n"
                                       f"  iifname \"eth0\" tcp dport {{ {STORE_PORTS} }} drop\n }}\n}}\n")

    def darken(self, number):
        if number not in self.dark:
            self.dark.add(number)
            self.network.darken(number)

    def heal(self):
        """Everything is undone, and what is dead starts again."""
        self.network.heal()
        for number in self.dark:
            self.network.lighten(number)
        for number in self.without_store:
            self.network.sites[number].run("nft", "delete", "table", "ip", "store")
        if self.starved:
            for site in self.network.sites:
                site.run("nft", "delete", "table", "ip", "starved")
        for number in self.full:
            (self.nodes[number].servers / FILLER).unlink()
        for number, kind in self.troubled:
            end_trouble(self.network.sites[number], kind)
        self.dark, self.without_store, self.full, self.troubled, self.starved = set(), set(), set(), set(), False
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped = set()
        for node in self.nodes:
            if not node.member.running():
                node.member.start()
        problems = []

        def start(daemon):
            try:
                daemon.start(60)
            except (AssertionError, RuntimeError) as problem:
                problems.append(problem)
        starts = [threading.Thread(target=start, args=(node.keeper,)) for node in self.nodes if not node.keeper.running()]
        for thread in starts:
            thread.start()
        for thread in starts:
            thread.join()
        if problems:
            raise problems[0]

    # Whether it is well

    def unsettled(self):
        """Why it is not one writer with readers that have all, or None."""
        try:
            group = self.group()
            seen = {key.rpartition("/")[2]: record for key, record in self.records("seen").items()}
            lease, = self.records("lease").values()
        except (AssertionError, ValueError) as problem:
            return str(problem)
        if group["Phase"] != "STEADY" or group.get("Operation", "NONE") != "NONE":
            return f"the group is {group['Phase']}, {group.get('Operation')}: {group.get('Reason')}"
        if lease["State"] != "HELD" or lease["Holder"] != group["Writer"]:
            return f"the lease is {lease}"
        if len(self.servers) < self.expected:
            return "a server has no record yet"
        for server in self.servers:
            sight = seen.get(server.member, {"Condition": "unknown"})
            wanted = "WRITER" if server.member == group["Writer"] else "STREAMING"
            if sight["Condition"] != wanted:
                return f"{server} is {sight['Condition']}, not {wanted}: {sight.get('Message')}"
        wanted = self.mode.upper()
        if group.get("Mode", "ASYNCHRONOUS") != wanted or (wanted == "SYNCHRONOUS") != bool(group.get("Synchronous")):
            return f"the mode is {group.get('Mode')} with {group.get('Synchronous')}"
        commits = seen[group["Writer"]].get("Commits", "")
        if wanted == "BOUNDED" and (f"one is within {RPO_MS} ms" not in commits or commits.count(" or ") + 2 < len(self.servers)):
            return f"of commits it says: {commits}"
        return self.unsettled_servers(self.server_of(group["Writer"]))

    def unsettled_servers(self, writer):
        try:
            for server in self.servers:
                (recovers,), = server.ask("SELECT pg_is_in_recovery()")
                if recovers != (server is not writer):
                    return f"{server} {'is a reader' if recovers else 'takes writes'}"
            (lsn,), = writer.ask("SELECT pg_logical_emit_message(true, 'probe', '')")
            deadline = time.monotonic() + 2 * SLOWER
            for server in self.servers:
                while server is not writer and not server.ask(f"SELECT 1 WHERE pg_last_wal_replay_lsn() >= '{lsn}'"):
                    if time.monotonic() > deadline:
                        return f"{server} does not replay what is written"
                    time.sleep(0.01)
        except AssertionError as problem:
            return str(problem)
        return None

    def wait_settled(self, seconds=SETTLED_SECONDS):
        def settled():
            why = self.unsettled()
            assert why is None, why
            return True
        wait_for(settled, seconds, "one writer and its readers", every=0.1)

    def explain(self):
        """As an operator asks it."""
        said = "no daemon runs"
        for node in self.nodes:
            if node.keeper.running():
                run = node.keeper.leeward("db", "explain", check=False)
                said = run.stdout or run.stderr
                if run.returncode == 0:
                    break
        return said

    def conninfo_from(self, number):
        """A client's in that region: its own server first."""
        order = sorted(self.servers, key=lambda server: (server.node.number - number) % len(self.nodes))
        return (f"host={','.join(server.address for server in order)} port={','.join(str(server.port) for server in order)} "
                f"user={USER} password={PASSWORD} dbname={DATABASE}")

    def story(self, since):
        """What agents logged since that line count of each, and the servers' logs of that time, in the order of time. Of a line that
        comes again and again, the first few."""
        lines = []
        for node in self.nodes:
            own = [f"{line[:24]} [{node.number}] {line[24:500]}" for line in list(node.log_lines())[since.get(node.number, 0):]
                   if "event=database" in line or "level=info" not in line]
            lines += own
            begin = min((line[:23] for line in own), default="")
            for path in node.servers.glob("*/log/*"):
                lines += [f"{line[:10]}T{line[11:23]}Z [{node.number}] {line[24:300]}" for line in
                          path.read_text(errors="replace").splitlines() if line[:10] + "T" + line[11:23] >= begin and line[4:5] == "-"]
        counted = collections.Counter()
        told = []
        for line in sorted(lines):
            what = re.sub(r"[0-9A-F/]*[0-9][0-9A-F/]*", "#", line[24:])
            counted[what] += 1
            told += [line] if counted[what] <= REPEATED else []
        return "\n".join(told)

    def log_lengths(self):
        return {node.number: len(list(node.log_lines())) for node in self.nodes}

    def close(self):
        for server in self.known_servers:
            server.leave()
        for node in self.nodes:
            for pid in self.stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            if node.keeper.popen is not None:
                node.kill()
        self.etcd.close()
        self.network.end()
