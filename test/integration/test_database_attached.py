"""Servers that somebody else runs, as members of a global database: here the test makes them and owns their commands; Leeward
attaches them, moves the writer to them and back, and does not promote anybody beside one that may still write."""

import time

import postgres
import pytest
from attached import NAME, Site
from databases import DATABASE, ENGINE, GLOBAL, MASTER, PASSWORD, Databases
from process import wait_for
from rows import Writer, judge, present

pytestmark = [pytest.mark.waiting, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

LEASE_MS = 5000  # a machine that stands still for so long changes the writer by itself


class World(Databases):
    """East has a server of Leeward's, west an attached one."""

    def attach(self, site):
        west = self.regions["west"]
        west.addresses, west.port = [site.address], site.port
        self.site = site
        self.start()
        self.rds("east").create_global_cluster(GlobalClusterIdentifier=GLOBAL, Engine=ENGINE, DatabaseName=DATABASE)
        arn = self.rds("east").describe_global_clusters()["GlobalClusters"][0]["GlobalClusterArn"]
        self.rds("east").add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "leeward:lease-ms", "Value": str(LEASE_MS)}])
        self.create_cluster("east", MasterUsername=MASTER, MasterUserPassword=PASSWORD, DatabaseName=DATABASE)
        self.wait_writer("east")
        client = self.rds("west")
        client.create_db_cluster(DBClusterIdentifier="west", Engine=ENGINE, GlobalClusterIdentifier=GLOBAL, Port=site.port)
        client.create_db_instance(DBInstanceIdentifier="west-1", DBClusterIdentifier="west", Engine=ENGINE,
                                  DBInstanceClass="db.r6g.large", Tags=[{"Key": "leeward:attach", "Value": NAME}])
        self.wait_streaming("west", 60)
        return self

    def explain(self):
        return self.regions["east"].daemon.leeward("db", "explain").stdout

    def failures(self):
        events = self.rds("east").describe_events(SourceType="db-instance", Duration=60)["Events"]
        return [event for event in events if "could not be fenced" in event["Message"]]

    def move(self, writer, target):
        since = time.monotonic_ns()
        self.switchover(target)
        self.wait_writer(target, 60)
        writer.wait_for_rows(20, after=time.monotonic_ns())
        return since


def make(sandbox, module=True, fence=False):
    site = sandbox.add(Site("west", sandbox.address(), module=module, fence=fence))
    world = World(sandbox, members=1, options=("--database-attach", str(site.attachments)))
    return world.attach(site)


def write(world, sandbox, client=1):
    writer = sandbox.add(Writer(sandbox.folder / f"writer{client}", world.conninfo(), client=client)).start()
    writer.wait_for_rows(20)
    return writer


def verdict(world, writer, region, since, client=1):
    writer.stop()
    told = judge(writer.rows_log(), present(world.at(region), client=client), since=since)
    return {name: told[name] for name in ("lost", "duplicated", "refused_there", "foreign") if told[name]}


def test_an_attached_server_becomes_the_writer_hands_back_and_ends_without_its_agent(sandbox):
    world = make(sandbox)
    writer = write(world, sandbox)
    since = world.move(writer, "west")
    world.wait_streaming("east")
    world.move(writer, "east")
    world.wait_streaming("west", 60)
    assert verdict(world, writer, "east", since) == {}

    writer = write(world, sandbox, client=2)
    world.move(writer, "west")
    world.wait_streaming("east")
    since = time.monotonic_ns()
    world.kill_region("west")  # the daemon and its agent: the server is not theirs, and goes on
    wait_for(lambda: not world.site.running(), 60, "the module ends the server")
    world.wait_writer("east")
    writer.wait_for_rows(20, after=time.monotonic_ns())
    world.start_region("west")
    world.wait_streaming("west", 60)
    told = verdict(world, writer, "east", since, client=2)
    assert not told.keys() - {"lost"}, told  # asynchronous: what was not sent yet is lost


def test_nobody_is_promoted_beside_a_writer_that_is_not_fenced(sandbox):
    world = make(sandbox, module=False, fence=True)
    writer = write(world, sandbox)
    world.move(writer, "west")
    world.wait_streaming("east")
    world.kill_region("west")
    wait_for(lambda: world.failures(), 60, "the fence command fails")
    assert world.site.running() and world.is_writer("west")  # nobody stopped it
    assert not world.is_writer("east")
    wait_for(lambda: f"attachment {NAME}" in world.explain(), 60, "it says what hands must do")
    since = time.monotonic_ns()
    writer.wait_for_rows(20, after=since)  # it is the one writer still
    world.site.allow_fence()
    world.wait_writer("east", 60)
    assert not world.site.running()
    writer.wait_for_rows(20, after=time.monotonic_ns())
    world.start_region("west")
    world.wait_streaming("west", 60)
    told = verdict(world, writer, "east", since)
    assert not told.keys() - {"lost"}, told


def test_hands_confirm_that_a_writer_does_not_write(sandbox):
    world = make(sandbox, module=False)
    world.switchover("west")
    world.wait_writer("west", 60)
    world.wait_streaming("east")
    world.kill_region("west")
    world.site.kill()
    wait_for(lambda: "confirm-fenced" in world.explain(), 60, "it says what hands must do")
    assert not world.is_writer("east")
    done = world.regions["east"].daemon.leeward("db", "confirm-fenced", GLOBAL)
    assert done.returncode == 0, done.stderr
    world.wait_writer("east", 60)
