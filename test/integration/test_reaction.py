"""A primary dies and comes back, again and again: what DNS answers, in which order, and what a customer sees behind a resolver.

Behaviour, not speed: bench/failover measures the times. Two deaths: SIGKILL, after which connections are refused, and SIGSTOP,
after which they are accepted and nothing more comes.
"""

import datetime
import itertools
import json
import ssl
import threading
import time
import urllib.request

import dns.exception
import pytest

import questions
from endpoints import make_check
from leeward import record
from process import SLOWER, wait_for

ROUNDS = 5
NAME = "www.example.com"

pytestmark = pytest.mark.serial


class Watcher:
    """Asks one server in a steady loop and keeps every answer with the moment it came."""

    def __init__(self, server, recurse):
        self.server = server
        self.recurse = recurse
        self.seen = []  # (wall time, tuple of addresses or what went wrong)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def run(self):
        while not self.stop.is_set():
            try:
                answer = questions.ask(self.server, NAME, recurse=self.recurse, seconds=10)
                found = tuple(questions.data(answer)) or (questions.rcode(answer),)
            except (dns.exception.DNSException, OSError) as problem:
                found = (repr(problem),)
            self.seen.append((time.time(), found))
            time.sleep(0.002)

    def last(self):
        return self.seen[-1][1] if self.seen else None

    def turns(self):
        """The answers without repetitions: [(when it was first seen, addresses)]."""
        return [next(group) for _, group in itertools.groupby(list(self.seen), key=lambda one: one[1])]

    def wait(self, address):
        wait_for(lambda: self.last() == (address,), 15, f"{self.server} says {address}", every=0.005)


class Scene:
    """Two regions, a failover pair, a resolver with customers behind it."""

    def __init__(self, sandbox, timeout_ms):
        self.daemon = sandbox.daemon().start()
        self.primary, self.secondary = sandbox.nginx("us-east-1"), sandbox.nginx("us-west-2")
        zone = self.daemon.create_zone("example.com")
        self.check = make_check(
            self.daemon, {"leeward:interval-ms": "100", "leeward:timeout-ms": str(timeout_ms),
                          "leeward:failures-down": "1", "leeward:successes-up": "1"},
            Type="HTTPS", IPAddress=self.primary.address, Port=self.primary.https_port, ResourcePath="/health")
        self.daemon.change(
            zone,
            record(NAME, "A", self.primary.address, ttl=1, SetIdentifier="p", Failover="PRIMARY", HealthCheckId=self.check),
            record(NAME, "A", self.secondary.address, ttl=1, SetIdentifier="s", Failover="SECONDARY"))
        self.daemon.wait_for_answer(NAME, "A", [self.primary.address], 10)
        self.resolver = sandbox.unbound(self.daemon, "example.com")

    def status(self):
        """(healthy, the wall time since when, the checker's sentence)."""
        listed = json.loads(self.daemon.leeward("status", "--json").stdout)["HealthChecks"]
        status = next(one for one in listed if one["Id"] == self.check)["Status"]
        since = datetime.datetime.fromisoformat(status["Since"].replace("Z", "+00:00")).timestamp()
        return status["Healthy"], since, status["Observations"][0]["Status"]

    def fetch(self, address):
        """What a customer gets over HTTPS from the address that the resolver named."""
        port = {one.address: one.https_port for one in (self.primary, self.secondary)}[address]
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        with opener.open(f"https://{address}:{port}/health", timeout=60 * SLOWER) as page:
            return page.read().decode()


def die(primary, death):
    if death == "SIGKILL":
        primary.kill()
    else:
        primary.pause()


def come_back(primary, death):
    if death == "SIGKILL":
        primary.start()
    else:
        primary.resume()


# What the checker may say; all but the first where the death met a probe that was under way.
SENTENCES = {"SIGKILL": ("Connection refused", "closed by the endpoint", "SSL negotiation failed"),
             "SIGSTOP": ("Connection timed out", "time limit")}


@pytest.mark.parametrize("death", SENTENCES)
def test_a_primary_that_dies_is_replaced_and_comes_back(sandbox, death):
    scene = Scene(sandbox, timeout_ms=3000)
    primary, secondary = scene.primary, scene.secondary
    addresses = {(primary.address,), (secondary.address,)}
    with Watcher(scene.daemon.dns, recurse=False) as direct, Watcher(scene.resolver.server, recurse=True) as customer:
        direct.wait(primary.address)
        customer.wait(primary.address)
        verdicts = []
        for _ in range(ROUNDS):
            died = time.time()
            die(primary, death)
            direct.wait(secondary.address)
            verdicts.append((died, scene.status()))
            customer.wait(secondary.address)
            assert scene.fetch(secondary.address) == "us-west-2 is healthy\n"
            revived = time.time()
            come_back(primary, death)
            direct.wait(primary.address)
            verdicts.append((revived, scene.status()))
            customer.wait(primary.address)
            assert scene.fetch(primary.address) == "us-east-1 is healthy\n"
    for watcher in (direct, customer):
        strange = [(when, found) for when, found in watcher.seen if found not in addresses]
        assert not strange, f"{len(strange)} of {len(watcher.seen)} answers, such as {strange[:3]}"
        turns = [found for _, found in watcher.turns()]
        assert turns == ([(primary.address,), (secondary.address,)] * (ROUNDS + 1))[:2 * ROUNDS + 1], turns
    # What happened, in order: the event, the verdict, then the changed answer here and there (whoever looks first).
    changes = zip(verdicts, direct.turns()[1:], customer.turns()[1:], itertools.cycle([False, True]), strict=False)
    for (event, (healthy, since, said)), (answered, _), (heard, _), expected in changes:
        assert healthy is expected
        said_well = said.startswith("Success: HTTP Status Code 200")
        assert said_well if expected else any(sentence in said for sentence in SENTENCES[death]), said
        assert int(event) <= since <= min(answered, heard), (event, since, answered, heard)


def test_a_failure_that_is_allowed_changes_no_answer(sandbox):
    """A hundred failures turn it: a few are not seen in DNS. Then three do: they are."""
    scene = Scene(sandbox, timeout_ms=3000)
    client = scene.daemon.client("route53")
    client.change_tags_for_resource(ResourceType="healthcheck", ResourceId=scene.check,
                                    AddTags=[{"Key": "leeward:failures-down", "Value": "100"}])

    def bad_lines():
        return sum('" 500 ' in line for line in scene.primary.requests())
    with Watcher(scene.daemon.dns, recurse=False) as direct:
        direct.wait(scene.primary.address)
        scene.primary.respond("/health", 500, "not well")
        wait_for(lambda: bad_lines() >= 3, 15, "the endpoint answered 500 three times")
        scene.primary.respond("/health", 200)
        wait_for(lambda: scene.status()[2].startswith("Success"), 15, "the endpoint is well again")
        assert [found for _, found in direct.turns()] == [(scene.primary.address,)]
        client.change_tags_for_resource(ResourceType="healthcheck", ResourceId=scene.check,
                                        AddTags=[{"Key": "leeward:failures-down", "Value": "3"}])
        scene.primary.respond("/health", 500, "not well")
        direct.wait(scene.secondary.address)
        assert scene.status()[0] is False
