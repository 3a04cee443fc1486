"""Global databases with real PostgreSQL: regions that are daemons with their agents and servers, on one etcd or in one SQLite store.

    world = Databases(sandbox).start()                two regions, "east" and "west", each a leewardd; three etcd members
    world = Databases(sandbox, store="sqlite").start()        one leewardd that serves both
    world.create(lease_ms=5000)                       global cluster "orders" with a cluster and an instance in each region
    world.wait_writer("east"); world.wait_streaming("west")
    world.switchover("west")
    world.kill_region("east")                         SIGKILL: daemon, agent, and all servers at once
    world.start_region("east")
    world.conninfo()                                  a multi-host string for who follows the writer

The servers are of the user `postgres` where the tests are root's, in a short folder of their own (sockets have short paths), and end
with the world.
"""

import base64
import os
import shutil
import tempfile
from pathlib import Path

import etcd
import postgres
from leeward import Daemon
from process import free_port, wait_for

MASTER, PASSWORD, DATABASE = "app", "app-secret-1234", "orders"
GLOBAL = "orders"
ENGINE = "aurora-postgresql"
THEIRS = {"HOME": "/root", "PGSERVICE": "theirs", "PGSSLMODE": "verify-full"}  # of whoever starts the daemon: not for its connections


class Region:
    """Its daemon (that other regions may share), its servers' folder and addresses."""

    def __init__(self, name, daemon, folder, addresses, port):
        self.name, self.daemon, self.folder = name, daemon, folder
        self.addresses, self.port = addresses, port

    def rds(self):
        return self.daemon.client("rds", region=self.name)

    def servers(self):
        """The postmasters that run on its addresses: {data folder: process id}."""
        found = {}
        for data in self.folder.glob("*/data"):
            pid = postgres.postmaster_pid(data)
            try:
                address = (data / "postmaster.pid").read_text().splitlines()[5]
            except (OSError, IndexError):
                continue
            if pid and address.strip() in self.addresses:
                found[data] = pid
        return found


class Databases:
    def __init__(self, sandbox, regions=("east", "west"), store="etcd", members=3, servers=3, options=()):
        self.sandbox = sandbox
        self.folder = Path(tempfile.mkdtemp(prefix="lwdb", dir="/tmp"))
        self.folder.chmod(0o755)
        self.etcd = None
        self.regions = {}
        self.clients = {}
        self.key = base64.b64encode(os.urandom(32)).decode()
        if store == "etcd":
            self.etcd = etcd.Cluster(sandbox.folder / "etcd", members)
            for member in self.etcd.members:
                sandbox.add(member)
        groups = [[name] for name in regions] if self.etcd else [list(regions)]
        for names in groups:
            self.add(names, servers, list(options))
        sandbox.add(self)  # stopped before all of them

    def add(self, names, servers, options):
        addresses = {name: [self.sandbox.address() for _ in range(servers)] for name in names}
        port = free_port(addresses[names[0]][0])
        words = ["--database-directory", str(self.folder / names[0]), "--node", names[0], *options]
        for name in names:
            for address in addresses[name]:
                words += ["--database-addresses", f"{name}={address}"]
        if self.etcd:
            words += ["--store", "etcd", *(word for url in self.etcd.endpoints for word in ("--etcd", url))]
        at = self.sandbox.address()  # of its own: nobody's connection takes a port of it while the daemon is dead
        daemon = self.sandbox.add(Daemon(self.sandbox.folder / f"daemon-{names[0]}", *words, regions=names, name=f"leewardd-{names[0]}",
                                         api=f"{at}:0", dns=[f"{at}:0"],
                                         environment={"LEEWARD_SEAL_KEY": self.key, **THEIRS}))
        for name in names:
            self.regions[name] = Region(name, daemon, self.folder / names[0], addresses[name], port)

    @property
    def daemons(self):
        return list({id(region.daemon): region.daemon for region in self.regions.values()}.values())

    def start(self):
        if self.etcd:
            self.etcd.start()
        for daemon in self.daemons:
            daemon.start()
        return self

    # What the sandbox does at the end.

    def stop(self):
        problems = []
        for daemon in self.daemons:
            try:
                daemon.stop()
            except AssertionError as problem:
                problems.append(str(problem))
        self.end()
        assert not problems, "\n\n".join(problems)

    def end(self):
        for region in self.regions.values():
            postgres.kill_family(region.servers().values())
        shutil.rmtree(self.folder, ignore_errors=True)

    # The API.

    def rds(self, region=None):
        region = region or next(name for name in self.regions if self.regions[name].daemon.running())
        if region not in self.clients:
            self.clients[region] = self.regions[region].rds()
        return self.clients[region]

    def create(self, lease_ms=5000, tags=None):
        """One global cluster, with a cluster and an instance of the same name in each region; the first is the writer."""
        first, *others = self.regions
        tags = {"leeward:lease-ms": str(lease_ms), **(tags or {})}
        made = self.rds(first).create_global_cluster(GlobalClusterIdentifier=GLOBAL, Engine=ENGINE, DatabaseName=DATABASE)
        self.rds(first).add_tags_to_resource(ResourceName=made["GlobalCluster"]["GlobalClusterArn"],
                                             Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
        self.create_cluster(first, MasterUsername=MASTER, MasterUserPassword=PASSWORD, DatabaseName=DATABASE)
        self.wait_writer(first)
        for name in others:
            self.create_cluster(name)
        for name in others:
            self.wait_streaming(name)
        return self

    def create_cluster(self, name, **more):
        client = self.rds(name)
        client.create_db_cluster(DBClusterIdentifier=name, Engine=ENGINE, GlobalClusterIdentifier=GLOBAL,
                                 Port=self.regions[name].port, **more)
        client.create_db_instance(DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name, Engine=ENGINE,
                                  DBInstanceClass="db.r6g.large")

    def arn(self, name):
        found = self.rds(name if self.regions[name].daemon.running() else None)
        [cluster] = found.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
        return cluster["DBClusterArn"]

    def switchover(self, target, by=None):
        """As clients ask that do not know SwitchoverGlobalCluster yet. That the target streams, the API hears a moment later."""
        client, arn = self.rds(by or target), self.arn(target)

        def asked():
            try:
                return client.failover_global_cluster(GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=arn)
            except client.exceptions.InvalidGlobalClusterStateFault as refusal:
                raise AssertionError(str(refusal)) from None
        wait_for(asked, 15, f"{target} may take over")

    # The servers, as a client sees them.

    def at(self, region, number=0, user=MASTER, password=PASSWORD, database=DATABASE):
        where = self.regions[region]
        return (f"host={where.addresses[number]} port={where.port} user={user} password={password} dbname={database} "
                "sslmode=require connect_timeout=2")

    def conninfo(self):
        """All regions' first servers, for who wants the one that accepts writes."""
        hosts = ",".join(region.addresses[0] for region in self.regions.values())
        ports = ",".join(str(region.port) for region in self.regions.values())
        return (f"host={hosts} port={ports} user={MASTER} password={PASSWORD} dbname={DATABASE} sslmode=require "
                "target_session_attrs=read-write connect_timeout=2")

    def query(self, region, sql, number=0):
        return postgres.query(self.at(region, number), sql)

    def is_writer(self, region, number=0):
        return self.query(region, "SELECT pg_is_in_recovery()", number) == [["f"]]

    def wait_writer(self, region, seconds=60):
        wait_for(lambda: self.is_writer(region), seconds, f"{region} accepts writes: {self.tail()}")

    def wait_streaming(self, region, seconds=60):
        def streams():
            return self.query(region, "SELECT status FROM pg_stat_wal_receiver") == [["streaming"]]
        wait_for(streams, seconds, f"{region} streams")

    def writer(self):
        """The region that accepts writes, or None."""
        for name in self.regions:
            try:
                if self.is_writer(name):
                    return name
            except AssertionError:
                continue
        return None

    def wait_steady(self, seconds=60):
        """Somebody writes, and the others stream from there."""
        wait_for(self.writer, seconds, f"somebody accepts writes: {self.tail()}")
        writer = self.writer()
        for name in self.regions:
            if name != writer:
                self.wait_streaming(name, seconds)

    def wait_noted(self, region):
        """Until its agent may start its reader without the store."""
        folder = self.regions[region].folder
        wait_for(lambda: any("reader yes" in note.read_text() for note in folder.glob("*/run/notes")), 60, f"{region} has noted its reader")

    def tail(self):
        return "see the daemons' logs in " + ", ".join(str(daemon.folder) for daemon in self.daemons)

    # What befalls a region.

    def agent(self, region):
        """The process id of its agent, or None."""
        for pid in postgres.family([self.regions[region].daemon.pid]):
            try:
                if Path(f"/proc/{pid}/comm").read_text().strip() == "leeward-db":
                    return pid
            except OSError:
                continue
        return None

    def kill_region(self, name):
        """Daemon, agent and servers, all at once."""
        region = self.regions[name]
        servers = list(region.servers().values())
        region.daemon.kill()
        postgres.kill_family(servers)

    def start_region(self, name):
        self.regions[name].daemon.start()
