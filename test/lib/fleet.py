"""Five sites that are machines of their own: each a network namespace with an etcd member and a leewardd, joined to one cluster.

    fleet = Fleet(folder)                          needs root: network.missing() says what else
    with fleet.entered():                          this thread, and what it starts, stands in the hub, whence all sites are reached
        fleet.daemons[2].dig(...), .leeward(...), .client(...)     as tests use any daemon
        fleet.client(2).update({fleet.east: "Off", fleet.west: "On"})    a signed call in a millisecond
        with fleet.observer.expecting({"r0.fleet.example": fleet.standby(0)}, "its endpoint is down"):
            fleet.endpoint_down(0)
        fleet.kill_site(3); fleet.start_site(3); fleet.pause_site(3); fleet.resume_site(3)
        fleet.daemons[1].kill(); fleet.members[1].pause()          one of the two
        fleet.network.isolate(4); fleet.network.heal()
        fleet.observer.check()                     no answer changed without a reason, none is missing
    fleet.end()

The zone fleet.example: rN follows the health of region N's endpoint, which all sites probe over the network (the endpoints stand in
the hub: a cut between sites is none between a site and an endpoint; network.hide makes one); arc follows two routing controls with a
rule that one stays On; plain never changes.
"""

import http.client
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import botocore.auth
import botocore.awsrequest
import botocore.credentials

import endpoints
import etcd
import questions
from controls import Arc
from leeward import KEY_ID, REGION, SECRET, Daemon, aws_environment, record
from network import SUBNET, Network
from observer import Observer
from process import BUILD, SLOWER, Process, wait_for

ZONE = "fleet.example"
ARC, PLAIN = f"arc.{ZONE}", f"plain.{ZONE}"
EAST, WEST, CONSTANT = "192.0.2.101", "192.0.2.102", "192.0.2.200"
# A probe every 200 ms, and one result turns the check either way.
TAGS = {**endpoints.FAST, "leeward:interval-ms": "200"}
HTTPS_HOST = 253  # nginx's own address, which tells that it runs
WEB_PORT, API_PORT, DNS_PORT, PEER_PORT, METRICS_PORT = 8080, 4566, 5300, 7000, 9100
ETCD_TIMEOUT_MS = 1000
CLOCK = BUILD / "libtest_clock.so"


class Refused(Exception):
    """The API answered with an error: nothing has changed."""

    def __init__(self, status, code, body):
        super().__init__(f"{status} {code}: {body.get('message') or body.get('Message') or body}")
        self.status, self.code, self.body = status, code, body


class NotSent(Exception):
    """No connection was there: nothing was asked."""


class Unknown(Exception):
    """Asked, and no answer came, or one that says so: it may have happened, or may yet."""


class Client:
    """Calls to one site's API on one kept connection, for one thread at a time."""

    KEPT_SECONDS = 5  # the daemon closes idle connections later than that
    # A change that the store did not answer may have happened.
    UNKNOWN = ("EndpointTemporarilyUnavailableException", "InternalServerException")

    def __init__(self, daemon, timeout=5.0):
        self.daemon = daemon
        self.timeout = timeout
        self.connection = None
        self.used = 0.0
        self.signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(*daemon.key), "route53-recovery-cluster", REGION)

    def call(self, operation, **body):
        """The answer of an operation of route53-recovery-cluster; Refused, NotSent or Unknown."""
        data = json.dumps(body)
        request = botocore.awsrequest.AWSRequest("POST", self.daemon.endpoint + "/", data=data, headers={
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"ToggleCustomerAPI.{operation}",
            "Host": self.daemon.api})
        self.signer.add_auth(request)
        self.connect()
        try:
            self.connection.request("POST", "/", data, dict(request.headers))
            answer = self.connection.getresponse()
            status, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self.close()
            raise Unknown(f"{operation}: {problem!r}") from problem
        self.used = time.monotonic()
        answered = json.loads(text or b"{}")
        if status == 200:
            return answered
        code = answered.get("__type", "").rpartition("#")[2]
        if code in self.UNKNOWN:
            raise Unknown(f"{operation}: {status} {code}: {text[:300]!r}")
        raise Refused(status, code, answered)

    def connect(self):
        if self.connection is not None and time.monotonic() - self.used > self.KEPT_SECONDS:
            self.close()
        if self.connection is None:
            host, _, port = self.daemon.api.rpartition(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=self.timeout * SLOWER)
            try:
                connection.connect()
            except OSError as problem:
                raise NotSent(repr(problem)) from problem
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection = connection

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def update(self, states, **more):
        """{control's ARN: "On" or "Off"}, all at once."""
        return self.call("UpdateRoutingControlStates", UpdateRoutingControlStateEntries=[
            {"RoutingControlArn": arn, "RoutingControlState": state} for arn, state in states.items()], **more)

    def state(self, control):
        return self.call("GetRoutingControlState", RoutingControlArn=control)["RoutingControlState"]

    def listed(self, panel=None):
        """{control's ARN: its state}, of one read."""
        answer = self.call("ListRoutingControls", **({"ControlPanelArn": panel} if panel else {}))
        return {each["RoutingControlArn"]: each["RoutingControlState"] for each in answer["RoutingControls"]}


class SiteDaemon(Daemon):
    """A site's leewardd. The observer knows when it cannot answer."""

    def __init__(self, fleet, number, prefix=(), environment=None):
        site = fleet.network.sites[number]
        self.fleet, self.number, self.place = fleet, number, site
        self.prefix = [*site.prefix, *prefix]
        self.peer = f"{site.address}:{PEER_PORT}"
        ring = [fleet.etcd.members[(number + step) % len(fleet.network.sites)] for step in range(len(fleet.network.sites))]
        options = ["--store", "etcd", "--etcd-timeout-ms", ETCD_TIMEOUT_MS, "--node", site.name, "--site", site.name, "--peer", self.peer,
                   "--user", "root", "--api-plaintext", "yes", "--metrics", f"{site.address}:{METRICS_PORT}", "--metrics-public", "yes"]
        for member in ring:
            options += ["--etcd", member.client]
        super().__init__(fleet.folder / f"daemon-{number}", *options, api=f"{site.address}:{API_PORT}",
                         dns=(f"{site.address}:{DNS_PORT}",), environment=environment, name=f"leewardd-{number}")

    def start(self, seconds=20):
        super().start(seconds)
        self.fleet.observer.light(self.number)
        return self

    def end(self):
        self.fleet.observer.dark(self.number)
        return super().end()

    def pause(self):
        self.fleet.observer.dark(self.number)
        return super().pause()

    def resume(self):
        super().resume()
        questions.ask(self.dns, PLAIN)  # until then its socket is full of questions that came meanwhile
        self.fleet.observer.light(self.number)

    def stop(self, seconds=15):
        self.fleet.observer.dark(self.number)
        return super().stop(seconds)

    def leeward(self, *arguments, check=True, **_):
        """The command line as the operator of this machine uses it: here, by this machine's clock."""
        run = subprocess.run([*self.prefix, BUILD / "leeward", *[str(a) for a in arguments], "--endpoint", self.endpoint], text=True,
                             capture_output=True, stdin=subprocess.DEVNULL,
                             env=aws_environment(*self.key, REGION, home=str(self.folder)), check=False)
        assert not check or run.returncode == 0, f"leeward {arguments}: {run.returncode}: {run.stderr}"
        return run

    def sites(self):
        """What `leeward sites` says here."""
        return json.loads(self.leeward("sites", "--json").stdout)

    def status(self):
        return json.loads(self.leeward("status", "--json").stdout)

    def metrics(self):
        """The values of those that have no labels."""
        connection = http.client.HTTPConnection(f"{self.place.address}:{METRICS_PORT}", timeout=5 * SLOWER)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        return {line.split()[0]: float(line.split()[1]) for line in lines if line[0] != "#" and "{" not in line}

    def wait_for_metrics(self, seconds=15, **values):
        """leeward_ stands before their names."""
        def told():
            seen = self.metrics()
            seen = {name: seen[f"leeward_{name}"] for name in values}
            assert seen == values, seen
            return True
        wait_for(told, seconds, f"{self.name} says {values}")


class Web(endpoints.Site):
    """One nginx in the hub, with an address a region: /health is there while the region's endpoint is up."""

    def __init__(self, network, folder, count):
        self.addresses = [f"{SUBNET}.{100 + number}" for number in range(count)]
        for address in [f"{SUBNET}.{HTTPS_HOST}", *self.addresses]:
            network.hub.run("ip", "address", "add", f"{address}/24", "dev", "bridge0")
        servers = ""
        for number, address in enumerate(self.addresses):
            (folder / f"region-{number}").mkdir(parents=True)
            servers += f"server {{ listen {address}:{WEB_PORT}; root {folder}/region-{number}; access_log off; }}\n"
        super().__init__(folder, f"{SUBNET}.{HTTPS_HOST}", http=servers)
        self.command = [*network.hub.prefix, *self.command]

    def set(self, region, up):
        page = self.folder / f"region-{region}" / "health"
        if up:
            page.write_text("ok")
        else:
            page.unlink(missing_ok=True)


class Fleet:
    """All of it, running. disks: {number: bytes}, a disk of that size for a site's daemon; member_disks: the same for its etcd.

    clocks: numbers of sites whose daemon and etcd live by a clock that set_clock moves (test/lib/clock.c).
    """

    def __init__(self, folder, count=5, regions=3, disks=None, member_disks=None, clocks=(), period=0.02):
        self.folder = folder
        self.observer = Observer(period)
        self.network = Network(count, folder / "network")
        self.processes = []
        try:
            with self.entered():
                self.begin(regions, disks or {}, member_disks or {}, clocks)
        except BaseException:
            self.end()
            raise

    def begin(self, regions, disks, member_disks, clocks):
        sites = self.network.sites
        self.web = self.add(Web(self.network, self.folder / "web", regions))
        self.etcd = etcd.Cluster(self.folder / "etcd", sites=sites, token="fleet-1")
        self.members = self.etcd.members
        self.clocks = {number: self.folder / f"clock-{number}" for number in clocks}
        self.daemons = []
        for number, site in enumerate(sites):
            self.add(self.members[number])
            self.daemons.append(self.add(SiteDaemon(self, number, self.clock_words(number))))
            if number in disks:
                site.small_disk(self.daemons[number].data, disks[number])
            if number in member_disks:
                site.small_disk(self.members[number].data, member_disks[number])
            self.members[number].prefix += self.clock_words(number)
        for member in self.members:
            member.start()
        self.web.start()
        self.etcd.wait()
        self.make_cluster()
        self.make_zone(regions)
        self.observe(regions)

    def add(self, process):
        self.processes.append(process)
        return process

    def entered(self):
        return self.network.entered()

    def each(self, work, items):
        """work(item) for all items at once; the results in their order."""
        with ThreadPoolExecutor(len(self.network.sites)) as pool:
            return list(pool.map(work, items))

    # How it comes to be

    def make_cluster(self):
        first, *others = self.daemons
        first.start()
        first.leeward("site", "init")
        tokens = [first.leeward("site", "token").stdout.strip() for _ in others]
        self.each(lambda pair: self.join(*pair), list(zip(others, tokens)))
        self.each(lambda daemon: daemon.start(), others)

    def join(self, daemon, token):
        run = subprocess.run([*daemon.place.prefix, BUILD / "leeward", "site", "join", token, daemon.place.name, "--peer", daemon.peer,
                              "--data", daemon.data], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                             env=aws_environment(KEY_ID, SECRET, REGION, home=str(self.folder)), check=False)
        assert run.returncode == 0, run.stderr

    def make_zone(self, regions):
        first = self.daemons[0]
        self.arc = Arc(first)
        self.east, self.west = self.arc.control("east"), self.arc.control("west")
        self.arc.rule("one-stays-on", [self.east, self.west], "ATLEAST", 1)
        self.arc.set(self.east, "On")
        self.zone = first.create_zone(ZONE)
        self.arc.failover(self.zone, ARC, (EAST, self.east), (WEST, self.west))
        self.checks = []
        changes = [record(PLAIN, "A", CONSTANT)]
        for region in range(regions):
            self.web.set(region, True)
            self.checks.append(endpoints.make_check(first, TAGS, Type="HTTP", IPAddress=self.web.addresses[region], Port=WEB_PORT,
                                                    ResourcePath="/health"))
            changes += [record(self.name(region), "A", self.main(region), SetIdentifier="main", Failover="PRIMARY",
                               HealthCheckId=self.checks[region]),
                        record(self.name(region), "A", self.standby(region), SetIdentifier="standby", Failover="SECONDARY")]
        first.change(self.zone, *changes)

    def observe(self, regions):
        """From the moment on at which all sites answer as they should."""
        wanted = {PLAIN: CONSTANT, ARC: EAST, **{self.name(region): self.main(region) for region in range(regions)}}
        for daemon in self.daemons:
            for name, answer in wanted.items():
                wait_for(lambda d=daemon, n=name, a=answer: questions.data(questions.ask(d.dns, n)) == [a], 20,
                         f"{daemon.name} answers {answer} for {name}")
        self.hear_all()
        self.observer.begin({daemon.number: daemon.dns for daemon in self.daemons}, wanted)

    # What the zone says

    @staticmethod
    def name(region):
        return f"r{region}.{ZONE}"

    @staticmethod
    def main(region):
        """The answer for rN while its endpoint is healthy."""
        return f"192.0.2.{region + 1}"

    @staticmethod
    def standby(region):
        return f"198.51.100.{region + 1}"

    # What tests do to it

    def client(self, number, timeout=5.0):
        return Client(self.daemons[number], timeout)

    def endpoint_down(self, region):
        self.web.set(region, False)

    def endpoint_up(self, region):
        self.web.set(region, True)

    def flip(self, number, target, client=None):
        """One call at a site: EAST or WEST is On from then on, the other Off."""
        caller = client or self.client(number)
        try:
            caller.update({self.east: "On" if target == EAST else "Off", self.west: "On" if target == WEST else "Off"})
        finally:
            if client is None:
                caller.close()

    def ask(self, number, name, kind="A", tcp=False, seconds=2):
        """The values that a site's DNS answers."""
        return questions.data(questions.ask(self.daemons[number].dns, name, kind, tcp=tcp, seconds=seconds), kind)

    def kill_site(self, number):
        self.daemons[number].kill()
        self.members[number].kill()

    def start_site(self, number):
        self.members[number].start()
        self.daemons[number].start()

    def pause_site(self, number):
        self.daemons[number].pause()
        self.members[number].pause()

    def resume_site(self, number):
        self.members[number].resume()
        self.daemons[number].resume()

    def hear(self, number, heard, held=False, seconds=15):
        """Until the site hears so many, itself included, and holds its verdicts or does not."""
        self.daemons[number].wait_for_metrics(seconds, sites_heard=heard, votes_held=held)

    def hear_all(self, seconds=20):
        """Until all sites hear each other and have what the store has."""
        for daemon in self.daemons:
            daemon.wait_for_metrics(seconds, sites_heard=len(self.daemons), votes_held=0, replica_in_step=1)

    def clock_words(self, number):
        if number not in self.clocks:
            return []
        self.clocks[number].write_bytes(bytes(8))
        return ["/usr/bin/env", f"LD_PRELOAD={CLOCK}", f"LEEWARD_TEST_CLOCK={self.clocks[number]}"]

    def set_clock(self, number, seconds):
        """The wall clock of the site's daemon and etcd jumps, while they run, to so much beside the true one."""
        with open(self.clocks[number], "r+b") as file:
            file.write(int(seconds * 1e9).to_bytes(8, "little", signed=True))

    def problems(self):
        """What the programs' own logs and ends say about faults in them."""
        return [problem for process in self.processes for problem in process.reports()]

    def end(self):
        """Ends all of it, at once."""
        self.observer.end()
        for process in reversed(self.processes):
            if isinstance(process, Process) and process.popen is not None:
                process.kill()
        self.network.end()
