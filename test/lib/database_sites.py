"""A global database whose regions are machines of their own: three network namespaces, each with an etcd member, a daemon with its
agent, a server, and a disk that can be full. All of it can be killed, stopped, cut off and healed while clients write.

    sites = DatabaseSites(folder, lease_ms=1500)   needs root: network.missing() and postgres.missing() say what else
    with sites.entered():                          this thread stands in the hub, whence all sites are reached
        sites.start()
        sites.set_mode("synchronous")
        sites.group(); sites.losses()              records as the store has them
        sites.signal(1, "agent", signal.SIGSTOP); sites.kill_all(2); sites.fill_disk(0)
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
import threading
import time

import psycopg2

import postgres
from global_database import DATABASE, GLOBAL, PASSWORD, USER, GlobalDatabase, Region
from keepers import Place
from mishaps import end_trouble
from network import Network
from process import SLOWER, wait_for

DISK = 400 << 20
FILLER = "filler"  # the file that makes a disk full
STORE_PORTS = "2379, 2380"
AGENT = "leeward-db"
OF_STORE = "leeward/db/"
SETTLED_SECONDS = 90
REPEATED = 4


class SiteRegion(Region):
    """A region on a site of its own, with a disk for its servers alone."""

    def __init__(self, number, place, folder, etcd):
        super().__init__(number, place, folder, etcd)
        self.site, self.member = place.site, etcd.members[number]
        place.site.small_disk(self.servers, DISK)
        place.site.run("chown", postgres.ROLE, str(self.servers))
        self.servers = place.site.seen_here(self.servers)
        self.sessions = {}

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

    def processes(self, of):
        """The process ids of: agent, daemon (with its agent), postmaster, server (the postmaster and all its children), both (agent
        and server), member (of etcd), startup (what replays), region (all)."""
        daemon = postgres.family([self.keeper.pid]) if self.keeper.running() else []
        agent = [self.agent()] if self.agent() else []
        postmasters = self.postmasters()
        server = postgres.family(postmasters)
        member = [self.member.pid] if self.member.running() else []
        if of == "startup":
            return [pid for pid in server if b"startup" in self.command_line(pid)]
        return {"agent": agent, "daemon": daemon, "postmaster": postmasters, "server": server, "both": agent + server,
                "member": member, "region": daemon + server + member}[of]

    @staticmethod
    def command_line(pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read()
        except OSError:
            return b""

    def ask(self, sql):
        """The rows, on a kept session of the master user; AssertionError when it does not answer."""
        try:
            session = self.sessions.get("kept")
            if session is None or session.closed:
                session = psycopg2.connect(self.conninfo, connect_timeout=3, options="-c statement_timeout=20000",
                                           tcp_user_timeout=4000)
                session.autocommit = True
                self.sessions["kept"] = session
            with session.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        except psycopg2.Error as problem:
            self.leave()
            raise AssertionError(f"{self.region}: {sql}: {problem}") from None

    def leave(self):
        session = self.sessions.pop("kept", None)
        if session is not None:
            session.close()

    def log_lines(self):
        """What its daemon and agent wrote, over all their runs."""
        for run in range(1, self.keeper.runs + 1):
            path = self.keeper.folder / f"{self.keeper.name}.{run}.err"
            yield from path.read_text(errors="replace").splitlines()


class DatabaseSites(GlobalDatabase):
    def __init__(self, folder, lease_ms, count=3):
        self.network = Network(3, folder / "network")
        places = [Place(site.address, tuple(site.prefix), site) for site in self.network.sites]
        super().__init__(folder, places, lease_ms=lease_ms, count=count, make=SiteRegion)
        self.stopped = set()  # process ids
        self.dark = set()
        self.full = set()
        self.without_store = set()
        self.troubled = set()  # (site, "loss" or "slow")
        self.mode = "asynchronous"

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

    def number_of(self, member):
        """Of the region whose server it is."""
        return next(node.number for node in self.nodes if node.region == self.members[member])

    @property
    def members(self):
        """{member: region}: they do not change."""
        if not hasattr(self, "known_members"):
            self.known_members = {key.rpartition("/")[2]: record["Region"] for key, record in self.records("member").items()}
        return self.known_members

    def writer(self):
        """The number of the region that has the writer by the group's record, or None."""
        try:
            return self.number_of(self.group()["Writer"])
        except (AssertionError, StopIteration):
            return None

    # What an operator does

    def alive(self):
        return [node.number for node in self.nodes if node.keeper.running() and node.number not in self.dark]

    def set_mode(self, mode):
        self.rds(self.alive()[0]).add_tags_to_resource(ResourceName=self.arn, Tags=[{"Key": "leeward:mode", "Value": mode}])
        self.mode = mode
        self.wait_settled()

    def ask_for_switchover(self, by, target):
        """What the API says: "asked", or the refusal."""
        rds = self.rds(by)
        try:
            rds.failover_global_cluster(GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=self.clusters[target])
            return "asked"
        except Exception as problem:  # noqa: BLE001  whatever boto3 makes of a region that is in trouble
            return f"{type(problem).__name__}: {str(problem)[:160]}"

    def start(self):
        super().start()
        self.arn = self.describe()["GlobalClusterArn"]
        self.clusters = {node.number: self.rds(node.number).describe_db_clusters(DBClusterIdentifier=node.cluster)
                         ["DBClusters"][0]["DBClusterArn"] for node in self.nodes}
        return self

    def healthy(self):
        return self.unsettled() is None

    # What befalls it

    def signal(self, number, of, what):
        for pid in self.nodes[number].processes(of):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)
            if what == signal.SIGSTOP:
                self.stopped.add(pid)

    def kill(self, number, of):
        node = self.nodes[number]
        victims = node.processes(of)
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
        for number in self.full:
            (self.nodes[number].servers / FILLER).unlink()
        for number, kind in self.troubled:
            end_trouble(self.network.sites[number], kind)
        self.dark, self.without_store, self.full, self.troubled = set(), set(), set(), set()
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
        for member, region in self.members.items():
            wanted = "WRITER" if member == group["Writer"] else "STREAMING"
            if seen[member]["Condition"] != wanted:
                return f"{region} is {seen[member]['Condition']}, not {wanted}: {seen[member].get('Message')}"
        wanted_mode = {"asynchronous": "ASYNCHRONOUS", "synchronous": "SYNCHRONOUS"}[self.mode]
        if group.get("Mode", "ASYNCHRONOUS") != wanted_mode or (wanted_mode == "SYNCHRONOUS") != bool(group.get("Synchronous")):
            return f"the mode is {group.get('Mode')} with {group.get('Synchronous')}"
        return self.unsettled_servers(self.number_of(group["Writer"]))

    def unsettled_servers(self, writer):
        try:
            for node in self.nodes:
                (recovers,), = node.ask("SELECT pg_is_in_recovery()")
                if recovers != (node.number != writer):
                    return f"the server of {node.region} {'is a reader' if recovers else 'takes writes'}"
            (lsn,), = self.nodes[writer].ask("SELECT pg_logical_emit_message(true, 'probe', '')")
            deadline = time.monotonic() + 2 * SLOWER
            for node in self.nodes:
                while node.number != writer and not node.ask(f"SELECT 1 WHERE pg_last_wal_replay_lsn() >= '{lsn}'"):
                    if time.monotonic() > deadline:
                        return f"{node.region} does not replay what is written"
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
        order = [*self.nodes[number:], *self.nodes[:number]]
        return (f"host={','.join(node.address for node in order)} port={','.join(str(node.port) for node in order)} "
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
        for node in self.nodes:
            node.leave()
            for pid in self.stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            if node.keeper.popen is not None:
                node.kill()
        self.etcd.close()
        self.network.end()
