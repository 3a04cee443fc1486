"""A global database of Leeward's: a region's daemon, agent and server at each of two or three places, and etcd of three members for all.

    database = GlobalDatabase(folder, places, lease_ms=2000)
    database.start()                                  by the API, as an operator does
    database.switchover(); database.kill(database.leader()); database.bring_back(0)
    database.rds(0).describe_global_clusters()        boto3, at the first region
    database.close()

What bench/db, and tests of faults, do with it is what test/lib/keepers.py says of a pair.
"""

import base64
import subprocess
import time

import botocore.exceptions

from etcd import Cluster
from keepers import CLERK, CLERK_PASSWORD, Node, Pair
from leeward import Daemon
from postgres import kill_family, own_folder, postmaster_pid, query
from process import wait_for

REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2")
GLOBAL, ENGINE, CLASS = "orders", "aurora-postgresql", "db.r6g.large"
USER, PASSWORD, DATABASE = CLERK, CLERK_PASSWORD, "orders"
SEAL_KEY = base64.b64encode(bytes(range(32))).decode()  # regions share what seals secrets in the store
LEASE_MS = 10000  # where nothing else is asked for


class Region(Node):
    """One region: a Daemon, whose agent keeps the server. Its instance is `east-1` or `west-1`."""

    def __init__(self, number, place, folder, etcd):
        super().__init__(number, place, folder)
        self.region = REGIONS[number]
        self.cluster, self.instance = f"{GLOBAL}-{number}", f"{GLOBAL}-{number}-a"
        self.servers = own_folder(folder / "servers")
        options = ["--store", "etcd", "--node", self.region, "--etcd-timeout-ms", "800", "--database-directory", self.servers]
        for address in place.site.addresses if place.site else [place.address]:
            options += ["--database-addresses", f"{self.region}={address}"]
        for url in etcd.endpoints[number:] + etcd.endpoints[:number]:
            options += ["--etcd", url]
        if place.site:
            options += ["--api-plaintext", "yes", "--user", "root"]  # nothing leaves these namespaces
        at = place.address
        self.keeper = Daemon(self.folder / "daemon", *options, regions=[self.region], api=f"{at}:0", dns=[f"{at}:0"],
                             environment={"LEEWARD_SEAL_KEY": SEAL_KEY}, name=f"leewardd-{number}")
        self.keeper.prefix = list(place.prefix)

    @property
    def conninfo(self):
        return f"host={self.address} port={self.port} user={USER} password={PASSWORD} dbname={DATABASE}"

    def postmasters(self):
        return [pid for pid in (postmaster_pid(data) for data in self.servers.glob("*/data")) if pid]

    def kill(self):
        self.keeper.wanted_dead = True
        kill_family([self.keeper.pid, *self.postmasters()])
        self.keeper.end()

    def state(self):
        """(whether it is the writer, 0): who follows whom is not for the master user to see."""
        try:
            (recovery,), = query(self.conninfo, "SELECT pg_is_in_recovery()", timeout=5)
        except (AssertionError, subprocess.TimeoutExpired, ValueError):
            return None
        return recovery == "f", 0


class GlobalDatabase(Pair):
    """count: of regions, the first of the places."""

    def __init__(self, folder, places, lease_ms=None, name="Leeward", tags=(), count=2, make=Region):
        self.name = name
        self.lease_ms = lease_ms or LEASE_MS
        self.tags = {**({"leeward:lease-ms": str(lease_ms)} if lease_ms else {}), **dict(tags)}
        sites = [place.site for place in places] if places[0].site else None
        self.etcd = Cluster(folder / "etcd", 3, sites=sites)
        self.nodes = [make(number, places[number], folder / f"region-{number}", self.etcd) for number in range(count)]

    def rds(self, number):
        return self.nodes[number].keeper.client("rds", region=self.nodes[number].region)

    def patient(self, number):
        """The same for what has to be: a store that is slow for a moment is asked again."""
        return self.nodes[number].keeper.client("rds", region=self.nodes[number].region,
                                                retries={"total_max_attempts": 8, "mode": "standard"})

    @staticmethod
    def make(create, **arguments):
        """Whose answer did not come was perhaps heard, and asked again."""
        try:
            create(**arguments)
        except botocore.exceptions.ClientError as problem:
            if "AlreadyExists" not in problem.response["Error"]["Code"]:
                raise

    @property
    def conninfo(self):
        return self.both(USER, DATABASE, PASSWORD)

    def start(self):
        self.etcd.start()
        for node in self.nodes:
            node.keeper.start()
        first = self.make_cluster(0, MasterUsername=USER, MasterUserPassword=PASSWORD, DatabaseName=DATABASE)
        self.make(self.patient(0).create_global_cluster, GlobalClusterIdentifier=GLOBAL, SourceDBClusterIdentifier=first)
        if self.tags:
            self.patient(0).add_tags_to_resource(ResourceName=self.describe()["GlobalClusterArn"],
                                                 Tags=[{"Key": key, "Value": value} for key, value in self.tags.items()])
        for number in range(1, len(self.nodes)):
            self.make_cluster(number, GlobalClusterIdentifier=GLOBAL)
        self.wait_healthy()
        length = f" for {self.lease_ms / 1000:.1f} s;"  # from the writer's next renewal on
        wait_for(lambda: length in self.nodes[0].keeper.leeward("db", "explain").stdout, 60, "the lease has its length")

    def make_cluster(self, number, **more):
        """A DB cluster with one instance, once it is available; its ARN."""
        node, rds = self.nodes[number], self.patient(number)
        self.make(rds.create_db_cluster, DBClusterIdentifier=node.cluster, Engine=ENGINE, Port=node.port, **more)
        self.make(rds.create_db_instance, DBInstanceIdentifier=node.instance, DBClusterIdentifier=node.cluster, Engine=ENGINE,
                  DBInstanceClass=CLASS)
        def available():
            instance, = rds.describe_db_instances(DBInstanceIdentifier=node.instance)["DBInstances"]
            assert instance["DBInstanceStatus"] == "available", instance["DBInstanceStatus"]
            return instance
        instance = wait_for(available, 60, f"{node.instance} is available", every=0.1)
        node.address, node.port = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
        return rds.describe_db_clusters(DBClusterIdentifier=node.cluster)["DBClusters"][0]["DBClusterArn"]

    def describe(self):
        """The global cluster as a region that lives shows it."""
        alive = next(number for number, node in enumerate(self.nodes) if node.keeper.running())
        described, = self.patient(alive).describe_global_clusters(GlobalClusterIdentifier=GLOBAL)["GlobalClusters"]
        return described

    def healthy(self):
        """One writer, and what is written there now is replayed by the other."""
        leader = self.leader()
        if leader is None or self.describe()["Status"] != "available":
            return False
        (lsn,), = query(self.nodes[leader].conninfo, "SELECT pg_current_wal_lsn() FROM "
                        "(SELECT pg_logical_emit_message(true, 'probe', '')) AS probe", timeout=5)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            try:
                if query(self.nodes[1 - leader].conninfo, f"SELECT 1 WHERE pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn", timeout=5):
                    return True
            except (AssertionError, subprocess.TimeoutExpired):
                pass
            time.sleep(0.05)
        return False

    def switchover(self):
        leader = self.leader()
        target = self.rds(1 - leader).describe_db_clusters(DBClusterIdentifier=self.nodes[1 - leader].cluster)["DBClusters"][0]
        # Clients of this age have no SwitchoverGlobalCluster: this is one while both sides are well.
        self.rds(leader).failover_global_cluster(GlobalClusterIdentifier=GLOBAL,
                                                 TargetDbClusterIdentifier=target["DBClusterArn"])
        time.sleep(0.5)  # looking takes the processor from who works: the others' tools do not look meanwhile either
        wait_for(lambda: self.leader() == 1 - leader and self.describe()["Status"] == "available", 60, "the switchover is done")

    def bring_back(self, number):
        self.nodes[number].keeper.start()

    def close(self):
        for node in self.nodes:
            if node.keeper.popen is not None:
                node.kill()
        self.etcd.close()
