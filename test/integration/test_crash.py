"""kill -9 of the daemon in a loop while clients write: what was acknowledged is there afterwards, and nothing is half there.

Several writers at once: the real AWS CLI, boto3 and `leeward`. Each owns its things, does one change at a time, and knows what
the API promised; a change that was cut off may have happened or not, but wholly. After each kill and restart all of it is
compared with what the API lists and with what DNS answers. Moments and changes come from a seed, which is printed:
LEEWARD_SEED repeats it, LEEWARD_ROUNDS makes the campaign longer (`make crash`).
"""

import json
import os
import random
import subprocess
import threading
import time

import botocore.exceptions
import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from leeward import AWS, aws_environment, record
from process import BUILD, PATIENCE, SLOWER, wait_for

ROUNDS = int(os.environ.get("LEEWARD_ROUNDS") or (15 if SLOWER == 1 else 5))
SEED = int(os.environ.get("LEEWARD_SEED") or random.SystemRandom().randrange(1, 1 << 32))
GROUPS = 6  # of records that change together, each writer
ABSENT = None

pytestmark = pytest.mark.sanitized

CUT_OFF = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError, botocore.exceptions.ResponseStreamingError)
# The daemon says that it did nothing and that the client may try again.
REFUSED = ("PriorRequestNotComplete", "Throttling")


class CutOff(Exception):
    """No answer came: the change may have happened or not."""


class Refused(Exception):
    """The daemon answered that nothing happened."""


class Cell:
    """One thing that the API changes as a whole: what it is now, and what it may be when a change was cut off."""

    def __init__(self, value=ABSENT):
        self.possible = [value]

    @property
    def value(self):
        assert len(self.possible) == 1, "a change that was cut off is judged before the next one"
        return self.possible[0]

    def judge(self, seen, what):
        assert seen in self.possible, f"{what}: {seen!r}, but it must be one of {self.possible!r} (seed {SEED})"
        self.possible = [seen]


class Writer:
    """A client that makes change after change until it is told to stop."""

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.name = name
        self.random = random.Random(f"{SEED}/{name}")
        self.acknowledged = 0
        self.cut_off = 0
        self.version = 0
        self.problem = None

    def begin(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, name=self.name)
        self.thread.start()

    def run(self):
        try:
            while not self.stop.is_set():
                self.step()
        except Exception as problem:  # shown by the test, in its own thread
            self.problem = problem

    def end(self):
        self.stop.set()
        self.thread.join()
        if self.problem is not None:
            raise AssertionError(f"{self.name} (seed {SEED}): {self.problem!r}") from self.problem

    def write(self, cells, call, *arguments, **settings):
        """Does one change that takes each cell of the dictionary to the value beside it, all of them or none."""
        before = {cell: cell.value for cell in cells}
        try:
            answer = call(*arguments, **settings)
        except (CutOff, *CUT_OFF):
            for cell, after in cells.items():
                cell.possible = [before[cell], after]
            self.cut_off += 1
            self.stop.set()
            return None
        except Refused:
            return None
        except botocore.exceptions.ClientError as problem:
            if problem.response["Error"]["Code"] not in REFUSED:
                raise
            return None
        for cell, after in cells.items():
            cell.possible = [after]
        self.acknowledged += 1
        return answer

    @staticmethod
    def forget_absent(things):
        """Drops those that certainly do not exist: the second member is the cell that says so."""
        for name in [name for name, thing in things.items() if thing[1].possible == [ABSENT]]:
            del things[name]

    def next_version(self):
        self.version += 1
        return self.version


class Records(Writer):
    """Writes groups of four record sets; a group's records carry one version, so a half-done batch shows."""

    def __init__(self, daemon, name, zone):
        super().__init__(daemon, name)
        self.zone = zone
        self.groups = {number: Cell() for number in range(GROUPS)}

    def names(self, number):
        return {(f"{part}.g{number}.{self.name}.crash.test", kind)
                for part, kind in (("a", "A"), ("b", "TXT"), ("c", "AAAA"), ("d", "MX"))}

    def record_sets(self, number, version):
        """The group's record sets; their values and their TTL are made of the version."""
        stem = f"g{number}.{self.name}.crash.test"
        ttl = 60 + version % 50
        return [
            record(f"a.{stem}", "A", f"10.{number}.{version >> 8 & 255}.{version & 255}", ttl=ttl),
            record(f"b.{stem}", "TXT", f'"version {version}"', f'"{str(version) * 40}"', ttl=ttl),
            record(f"c.{stem}", "AAAA", f"2001:db8::{number}:{version:x}", ttl=ttl),
            record(f"d.{stem}", "MX", f"{version} mail.{stem}.", ttl=ttl),
        ]

    def one_group(self):
        number = self.random.randrange(GROUPS)
        cell = self.groups[number]
        after = self.next_version()
        if cell.value is ABSENT:
            action = self.random.choice(["CREATE", "UPSERT"])
            return {cell: after}, [(action, one) for one in self.record_sets(number, after)]
        old = self.record_sets(number, cell.value)
        action = self.random.choice(["UPSERT", "UPSERT", "DELETE", "REPLACE"])
        if action == "UPSERT":
            return {cell: after}, [("UPSERT", one) for one in self.record_sets(number, after)]
        if action == "DELETE":
            return {cell: ABSENT}, [("DELETE", one) for one in old]
        return {cell: after}, [("DELETE", one) for one in old] + [("CREATE", one) for one in self.record_sets(number, after)]

    def step(self):
        """One batch about one group, or about two, so that one vanishes where another one appears."""
        cells, changes = self.one_group()
        if self.random.random() < 0.5:
            more_cells, more_changes = self.one_group()
            if not cells.keys() & more_cells.keys():
                cells.update(more_cells)
                changes += more_changes
        self.write(cells, self.send, [{"Action": action, "ResourceRecordSet": one} for action, one in changes])

    def judge(self, listed, ask):
        """Compares with {(name, type): record set} of the API, and with what DNS answers. Returns how many sets are there."""
        count = 0
        possible = {number: list(cell.possible) for number, cell in self.groups.items()}
        for number, cell in self.groups.items():
            there = {key for key in self.names(number) if key in listed}
            assert there in (set(), self.names(number)), f"{self.name}: half of group {number}: {there} (seed {SEED})"
            seen = ABSENT
            if there:
                seen = int(listed[f"d.g{number}.{self.name}.crash.test", "MX"]["ResourceRecords"][0]["Value"].split()[0])
                for expected in self.record_sets(number, seen):
                    got = listed[expected["Name"], expected["Type"]]
                    assert got == {**expected, "Name": got["Name"]}, f"half a change: {got}, not {expected} (seed {SEED})"
                    assert ask(expected["Name"], expected["Type"]) == (expected["TTL"], len(expected["ResourceRecords"])), \
                        f"DNS about {expected} (seed {SEED})"
            cell.judge(seen, f"{self.name}, group {number}")
            for name, kind in self.names(number) - there:
                assert ask(name, kind) is None, f"{name} {kind} is answered after its deletion (seed {SEED})"
            count += len(there)
        # A batch about two groups that was cut off happened for both or for neither.
        undecided = [number for number, values in possible.items() if len(values) == 2]
        happened = {self.groups[number].value == possible[number][1] for number in undecided}
        assert len(happened) <= 1, f"{self.name}: half a batch, groups {undecided} (seed {SEED})"
        return count


class Boto3Records(Records):
    def begin(self):
        self.client = self.daemon.client("route53")
        super().begin()

    def send(self, changes):
        return self.client.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": changes})


class Commands:
    """A mixin: changes by a program, which is killed when its writer ends."""

    child = None

    def command(self, *arguments):
        access, secret = self.daemon.key
        environment = aws_environment(access, secret, "us-east-1", home=str(self.daemon.folder))
        self.child = subprocess.Popen([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        output, errors = self.child.communicate()
        if self.child.returncode == 0:
            return output
        if any(code in errors for code in REFUSED):
            raise Refused(errors)
        if self.child.returncode < 0 or self.unanswered(self.child.returncode, errors):  # or killed by end()
            raise CutOff(errors)
        raise AssertionError(errors)

    def end(self):
        self.stop.set()
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
        super().end()


class AwsCliRecords(Commands, Records):
    def unanswered(self, _, errors):
        return "An error occurred (" not in errors

    def send(self, changes):
        return self.command(AWS, "--endpoint-url", self.daemon.endpoint, "--output", "json", "route53",
                            "change-resource-record-sets", "--hosted-zone-id", self.zone,
                            "--change-batch", json.dumps({"Changes": changes}))


class Checks(Writer):
    """Makes, changes, tags and deletes health checks and zones."""

    def __init__(self, daemon, name):
        super().__init__(daemon, name)
        self.checks = {}  # caller reference: [id or None, cell of the path, cell of the tags]
        self.zones = {}  # name: [id or None, cell of the comment]

    def begin(self):
        self.client = self.daemon.client("route53")
        super().begin()

    def step(self):
        self.random.choice([self.step_check, self.step_check, self.step_zone])()

    def step_check(self):
        if len(self.checks) < 3 or (len(self.checks) < 8 and self.random.random() < 0.3):
            reference = f"check-{self.next_version()}"
            check = self.checks[reference] = [None, Cell(), Cell(ABSENT)]
            made = self.write({check[1]: "/0"}, self.client.create_health_check, CallerReference=reference,
                              HealthCheckConfig={"Type": "HTTP", "IPAddress": "127.0.0.1", "Port": 9, "RequestInterval": 30,
                                                 "FailureThreshold": 3, "ResourcePath": "/0"})
            check[0] = made and made["HealthCheck"]["Id"]
            self.forget_absent(self.checks)
            return
        reference = self.random.choice(list(self.checks))
        identifier, path, tags = self.checks[reference]
        version = str(self.next_version())
        action = self.random.choice(["path", "tags", "tags", "delete"])
        if action == "path":
            self.write({path: f"/{version}"}, self.client.update_health_check, HealthCheckId=identifier,
                       ResourcePath=f"/{version}")
        elif action == "tags":
            self.write({tags: version}, self.client.change_tags_for_resource, ResourceType="healthcheck",
                       ResourceId=identifier, AddTags=[{"Key": "one", "Value": version}, {"Key": "two", "Value": version}])
        else:
            self.write({path: ABSENT, tags: ABSENT}, self.client.delete_health_check, HealthCheckId=identifier)
            self.forget_absent(self.checks)

    def step_zone(self):
        if len(self.zones) < 5:
            name = f"zone{self.next_version()}.test."
            zone = self.zones[name] = [None, Cell()]
            made = self.write({zone[1]: "new"}, self.client.create_hosted_zone, Name=name, CallerReference=name,
                              HostedZoneConfig={"Comment": "new"})
            zone[0] = made and made["HostedZone"]["Id"]
            self.forget_absent(self.zones)
            return
        name = self.random.choice(list(self.zones))
        identifier, comment = self.zones[name]
        if self.random.random() < 0.6:
            version = str(self.next_version())
            self.write({comment: version}, self.client.update_hosted_zone_comment, Id=identifier, Comment=version)
        else:
            self.write({comment: ABSENT}, self.client.delete_hosted_zone, Id=identifier)
            self.forget_absent(self.zones)

    def judge_checks(self, client):
        listed = {check["CallerReference"]: check for page in client.get_paginator("list_health_checks").paginate()
                  for check in page["HealthChecks"]}
        assert client.get_health_check_count()["HealthCheckCount"] == len(listed), f"count of checks (seed {SEED})"
        assert listed.keys() <= self.checks.keys(), f"a deleted check is back (seed {SEED})"
        for reference, (identifier, path, tags) in list(self.checks.items()):
            check = listed.get(reference)
            path.judge(check and check["HealthCheckConfig"]["ResourcePath"], f"check {reference}")
            if check is None:
                del self.checks[reference]
                continue
            assert identifier in (None, check["Id"])
            self.checks[reference][0] = check["Id"]
            found = {tag["Key"]: tag["Value"] for tag in client.list_tags_for_resource(
                ResourceType="healthcheck", ResourceId=check["Id"])["ResourceTagSet"]["Tags"]}
            assert found.get("one") == found.get("two"), f"half the tags: {found} (seed {SEED})"
            tags.judge(found.get("one"), f"tags of {reference}")

    def judge_zones(self, client, ask):
        listed = {zone["Name"]: zone for page in client.get_paginator("list_hosted_zones").paginate()
                  for zone in page["HostedZones"] if zone["Name"] != "crash.test."}
        assert client.get_hosted_zone_count()["HostedZoneCount"] == len(listed) + 1, f"count of zones (seed {SEED})"
        assert listed.keys() <= self.zones.keys(), f"a deleted zone is back (seed {SEED})"
        for name, (identifier, comment) in list(self.zones.items()):
            zone = listed.get(name)
            comment.judge(zone and zone["Config"]["Comment"], f"zone {name}")
            answer = ask(name, "SOA")
            assert (answer is None) == (zone is None), f"SOA of {name}: {answer} (seed {SEED})"
            if zone is None:
                del self.zones[name]
                continue
            assert identifier in (None, zone["Id"])
            self.zones[name][0] = zone["Id"]
            assert zone["ResourceRecordSetCount"] == 2
            assert len(client.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]) == 2


class Keys(Commands, Writer):
    """Makes and deletes access keys with the project's own command line."""

    def __init__(self, daemon, name):
        super().__init__(daemon, name)
        self.keys = {}  # comment: [id or None, cell, secret or None]

    def unanswered(self, code, _):
        return code == 3

    def step(self):
        endpoint = ["--endpoint", self.daemon.endpoint]
        if len(self.keys) < 4:
            comment = f"key {self.next_version()}"
            key = self.keys[comment] = [None, Cell(), None]
            made = self.write({key[1]: True}, self.command, BUILD / "leeward", "key", "create", "--role", "viewer",
                              "--comment", comment, "--json", *endpoint)
            if made:
                key[0], key[2] = json.loads(made)["Id"], json.loads(made)["Secret"]
            self.forget_absent(self.keys)
        else:
            comment = self.random.choice(list(self.keys))
            self.write({self.keys[comment][1]: ABSENT}, self.command, BUILD / "leeward", "key", "delete",
                       self.keys[comment][0], *endpoint)
            self.forget_absent(self.keys)

    def judge(self):
        listed = {key["Comment"]: key for key in json.loads(self.daemon.leeward("key", "list", "--json").stdout)["Keys"]
                  if key["Role"] == "viewer"}
        assert listed.keys() <= self.keys.keys(), f"a deleted key is back (seed {SEED})"
        for comment, (_, cell, secret) in list(self.keys.items()):
            cell.judge(True if comment in listed else ABSENT, comment)
            if comment not in listed:
                del self.keys[comment]
                continue
            identifier = self.keys[comment][0] = listed[comment]["Id"]
            if secret is not None:
                self.daemon.client("sts", key=(identifier, secret)).get_caller_identity()


class Campaign:
    def __init__(self, sandbox):
        self.random = random.Random(SEED)
        self.daemon = sandbox.daemon().start()
        start = time.monotonic()
        zone = self.daemon.aws("route53", "create-hosted-zone", "--name", "crash.test", "--caller-reference", "crash")
        self.cli_seconds = time.monotonic() - start
        self.zone = zone["HostedZone"]["Id"].rpartition("/")[2]
        self.cli = AwsCliRecords(self.daemon, "cli", self.zone)
        self.records = [self.cli, *(Boto3Records(self.daemon, f"boto{i}", self.zone) for i in range(2))]
        self.checks = Checks(self.daemon, "checks")
        self.keys = Keys(self.daemon, "keys")
        self.writers = [*self.records, self.checks, self.keys]

    def ask(self, name, kind):
        """(TTL, number of values) of the answer, None when there is none."""
        query = dns.message.make_query(name, kind)
        address, port = self.daemon.dns

        def answer():
            try:
                return dns.query.udp(query, address, port=port, timeout=2 * PATIENCE)
            except dns.exception.Timeout as problem:
                raise AssertionError(f"no answer about {name}") from problem
        found = [rrset for rrset in wait_for(answer, 10).answer if rrset.rdtype == dns.rdatatype.from_text(kind)]
        return (found[0].ttl, len(found[0])) if found else None

    def write_and_kill(self, number):
        """All writers at work until the daemon dies: after a random time, or just after the AWS CLI was told of a success."""
        before = self.cli.acknowledged
        for writer in self.writers:
            writer.begin()
        try:
            if number % 3 == 0:
                wait_for(lambda: self.cli.acknowledged > before or self.cli.stop.is_set(), 60, "the AWS CLI's change")
                time.sleep(self.random.uniform(0, 0.05))
            else:
                time.sleep(self.random.uniform(0, 2) * min(self.cli_seconds, 1.5))
            self.daemon.assert_running()
        finally:
            self.daemon.kill()
            problems = []
            for writer in self.writers:
                try:
                    writer.end()
                except AssertionError as problem:
                    problems.append(problem)
        assert not problems, problems

    def restart(self):
        """Sometimes it dies again before it is ready."""
        while self.random.random() < 0.3:
            self.daemon.spawn()
            time.sleep(self.random.uniform(0, 0.15) * SLOWER)
            self.daemon.assert_running()
            self.daemon.kill()
        self.daemon.start(seconds=60)

    def judge(self):
        client = self.daemon.client("route53")
        # Loaded before it says "ready": nothing is waited for.
        listed = {(one["Name"].rstrip("."), one["Type"]): {k: v for k, v in one.items() if k != "Name"} | {
            "Name": one["Name"]} for page in client.get_paginator("list_resource_record_sets").paginate(
                HostedZoneId=self.zone) for one in page["ResourceRecordSets"]}
        count = sum(writer.judge(listed, self.ask) for writer in self.records)
        assert len(listed) == count + 2, f"record sets that nobody wrote (seed {SEED}): {sorted(listed)}"
        assert client.get_hosted_zone(Id=self.zone)["HostedZone"]["ResourceRecordSetCount"] == count + 2
        self.checks.judge_checks(client)
        self.checks.judge_zones(client, self.ask)
        self.keys.judge()


def test_acknowledged_changes_survive_kills_and_none_is_half_done(sandbox):
    print(f"LEEWARD_SEED={SEED} LEEWARD_ROUNDS={ROUNDS}")
    campaign = Campaign(sandbox)
    for number in range(ROUNDS):
        campaign.write_and_kill(number)
        campaign.restart()
        campaign.judge()
    for writer in campaign.writers:
        print(f"{writer.name}: {writer.acknowledged} acknowledged, {writer.cut_off} cut off")
        assert writer.acknowledged > 0, f"{writer.name} was never told of a success"
    print(f"{campaign.daemon.runs - 1} kills")


def test_a_stop_loses_nothing_either(sandbox):
    """SIGTERM while everybody writes: answers under way are given, and what was acknowledged is there."""
    campaign = Campaign(sandbox)
    for writer in campaign.writers:
        writer.begin()
    wait_for(lambda: all(writer.acknowledged for writer in campaign.writers), 60, "everybody has written")
    code = campaign.daemon.stop()
    for writer in campaign.writers:
        writer.end()
    assert code == 0
    campaign.daemon.start()
    campaign.judge()
