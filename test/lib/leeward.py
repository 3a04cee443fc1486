"""The daemon under test, and its clients: boto3, the AWS CLI, kdig.

    daemon = Daemon(folder).start()
    zone = daemon.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    daemon.aws("route53", "list-hosted-zones")["HostedZones"]
    daemon.dig("www.example.com", "A").data

Fixtures around these are in test/integration/conftest.py. LEEWARD_BUILD names the build folder (default: build).
"""

import json
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

import boto3
import botocore.config

from process import BUILD, PATIENCE, Port, Process, clean_environment, wait_for

AWS = "/usr/bin/aws"
KDIG = "/usr/bin/kdig"
KEY_ID = "AKIALEEWARDTESTADMIN"
SECRET = "leeward/test+admin/secret+0123456789abcd"
REGION = "us-east-1"

_session = boto3.session.Session(region_name=REGION)
_session_lock = threading.Lock()  # clients may be used by any thread, but botocore makes them in one


class AwsError(Exception):
    """The AWS CLI failed: `code` is the service's error code, None when it did not get as far as the service."""

    def __init__(self, arguments, returncode, stderr):
        match = re.search(r"An error occurred \(([^)]+)\)", stderr)
        self.code = match.group(1) if match else None
        self.returncode = returncode
        self.stderr = stderr
        super().__init__(f"aws {' '.join(arguments)}: exit code {returncode}: {stderr.strip()}")


@dataclass
class Record:
    name: str
    ttl: int
    type: str
    data: str


@dataclass
class Answer:
    """What kdig printed, taken apart."""

    rcode: str
    flags: list
    answer: list = field(default_factory=list)
    authority: list = field(default_factory=list)
    additional: list = field(default_factory=list)
    text: str = ""

    @property
    def data(self):
        """The answer section's values, sorted."""
        return sorted(record.data for record in self.answer)


class DigError(AssertionError):
    """kdig got no answer; an AssertionError, so that wait_for tries again."""


def parse_dig(text):
    status = re.search(r"status: ([A-Z]\w*)", text)  # of HTTP there may be a number
    flags = re.search(r"^;; Flags: ([a-z ]*);", text, re.MULTILINE)
    if not status:
        raise DigError(f"no answer:\n{text}")
    answer = Answer(status.group(1), flags.group(1).split() if flags else [], text=text)
    section = None
    for line in text.splitlines():
        if line.startswith(";;") and line.endswith("SECTION:"):
            section = {"ANSWER": answer.answer, "AUTHORITY": answer.authority,
                       "ADDITIONAL": answer.additional}.get(line[3:].split()[0])
        elif line and not line.startswith(";") and section is not None:
            name, ttl, _, kind, data = (line.split(None, 4) + [""])[:5]
            section.append(Record(name, int(ttl), kind, data))
    return answer


def dig(server, name, kind="A", *options, seconds=2):
    """Asks `server` (address, port) through kdig, once: no retry hides a lost answer. DigError when there is none."""
    command = [KDIG, f"@{server[0]}", "-p", str(server[1]), "+norec", "+retry=0", f"+timeout={seconds * PATIENCE}", *options,
               "-q", name, "-t", kind]
    run = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), stdin=subprocess.DEVNULL)
    if run.returncode != 0 or "status:" not in run.stdout:
        raise DigError(f"{' '.join(command)}: {run.stdout}{run.stderr}")
    return parse_dig(run.stdout)


class Daemon(Process):
    """leewardd in a folder of its own, with ports of its own and a known admin key."""

    prefix = ()  # what stands before its command (test/lib/network.py)

    def __init__(self, folder, *options, regions=(REGION,), api="127.0.0.1:0", dns=("127.0.0.1:0",), workers=1,
                 environment=None, name="leewardd", build=BUILD):
        folder.mkdir(parents=True, exist_ok=True)
        self.build = build  # of another version, where a test wants one
        self.data = folder / "data"
        self.options = list(options)
        self.regions = list(regions)
        self.listen = {"api": [api], "dns": list(dns)}
        self.ports = []  # kept until the test is over: a restart uses the same
        self.workers = workers
        self.key = (KEY_ID, SECRET)
        self.api = None
        self.dns_servers = []
        super().__init__(name, [], folder, clean_environment(
            LEEWARD_ACCESS_KEY_ID=KEY_ID, LEEWARD_SECRET_ACCESS_KEY=SECRET, **(environment or {})))

    def start(self, seconds=20):
        """Starts it and waits until it says that API and DNS answer."""
        self.command = [*self.prefix, str(self.build / "leewardd"), "--data", str(self.data), "--dns-workers", str(self.workers)]
        for region in self.regions:
            self.command += ["--region", region]
        for kind, addresses in self.listen.items():
            for address in map(self.with_port, addresses):
                self.command += [f"--{kind}", address]
        self.command += [str(option) for option in self.options]
        self.spawn()
        self.wait_until(lambda: "ready" in self.output.read_text().splitlines(), seconds, "the daemon is ready")
        heard = {"api": [], "dns": []}
        for line in self.output.read_text().splitlines():
            kind, _, address = line.partition(" ")
            if kind in heard:
                heard[kind].append(address)
        self.listen = heard  # a restart uses the same ports
        self.api = heard["api"][0]
        self.dns_servers = [(a.rpartition(":")[0].strip("[]"), int(a.rpartition(":")[2])) for a in heard["dns"]]
        return self

    def with_port(self, address):
        """A kernel's choice would be anybody's again while the daemon is restarted."""
        host, _, port = address.rpartition(":")
        if port != "0":
            return address
        try:
            self.ports.append(Port(host.strip("[]")))
        except OSError:  # an address of another network
            return address
        return f"{host}:{self.ports[-1].number}"

    def restart(self, seconds=20):
        """Starts it again on the same data and ports, whether it was stopped or killed."""
        if self.running():
            self.stop()
        return self.start(seconds)

    def reload(self):
        self.hang_up()

    @property
    def endpoint(self):
        return f"http://{self.api}"

    @property
    def dns(self):
        return self.dns_servers[0]

    # Clients

    def client(self, service, key=None, region=REGION, **settings):
        """A boto3 client. It does not retry, so that a test sees every error; settings go to botocore's Config."""
        access, secret = key or self.key
        settings = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10 * PATIENCE, "read_timeout": 30 * PATIENCE,
                    "proxies": {}, **settings}
        with _session_lock:
            return _session.client(service, region_name=region, endpoint_url=self.endpoint, aws_access_key_id=access,
                                   aws_secret_access_key=secret, config=botocore.config.Config(**settings))

    def aws(self, *arguments, key=None, region=REGION):
        """Runs the AWS CLI; its JSON output taken apart, None when it printed nothing. AwsError when it failed."""
        access, secret = key or self.key
        arguments = [str(argument) for argument in arguments]
        run = subprocess.run([AWS, "--endpoint-url", self.endpoint, "--output", "json", *arguments], text=True,
                             capture_output=True, stdin=subprocess.DEVNULL, cwd=self.folder,
                             env=aws_environment(access, secret, region, home=str(self.folder)))
        if run.returncode != 0:
            raise AwsError(arguments, run.returncode, run.stderr)
        return json.loads(run.stdout) if run.stdout.strip() else None

    def leeward(self, *arguments, key=None, check=True):
        """Runs the project's own command line against this daemon."""
        access, secret = key or self.key
        environment = aws_environment(access, secret, REGION, home=str(self.folder))
        run = subprocess.run([self.build / "leeward", *[str(a) for a in arguments], "--endpoint", self.endpoint], text=True,
                             capture_output=True, stdin=subprocess.DEVNULL, cwd=self.folder, env=environment)
        assert not check or run.returncode == 0, f"leeward {arguments}: {run.returncode}: {run.stderr}"
        return run

    def dig(self, name, kind="A", *options, **settings):
        """Asks this daemon through kdig."""
        return dig(self.dns, name, kind, *options, **settings)

    def wait_for_answer(self, name, kind, data, seconds=5):
        """Waits until the answer's values are exactly these; the answer."""
        data = sorted(data)

        def answered():
            answer = self.dig(name, kind)
            assert answer.data == data, f"{name} {kind}: {answer.rcode} {answer.data}"
            return answer
        return wait_for(answered, seconds, f"{name} {kind} is {data}")

    # Route 53, as tests use it over and over

    def create_zone(self, name, **more):
        """The id of a new hosted zone, without /hostedzone/."""
        zone = self.client("route53").create_hosted_zone(Name=name, CallerReference=f"{name}-{time.monotonic_ns()}", **more)
        return zone["HostedZone"]["Id"].rpartition("/")[2]

    def change(self, zone, *changes, action="CREATE"):
        """One batch: each change is a record set, or (action, record set)."""
        batch = [change if isinstance(change, tuple) else (action, change) for change in changes]
        return self.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={
            "Changes": [{"Action": verb, "ResourceRecordSet": record} for verb, record in batch]})


def record(name, kind, *values, ttl=60, **more):
    """A record set as Route 53's API takes it: record("www.example.com", "A", "192.0.2.1", SetIdentifier="one")."""
    return {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value} for value in values], **more}


def aws_environment(access, secret, region, home):
    return clean_environment(AWS_ACCESS_KEY_ID=access, AWS_SECRET_ACCESS_KEY=secret, AWS_DEFAULT_REGION=region,
                             AWS_REGION=region, AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null",
                             AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_PAGER="", AWS_MAX_ATTEMPTS="1", HOME=home,
                             PYTHONNOUSERSITE="1")
