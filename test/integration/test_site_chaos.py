"""Faults by lot on five sites, while clients at all of them change and read routing controls: what must hold all the same.

Each round draws one to three mishaps (test/lib/mishaps.py), holds them for a second or two, undoes them, waits for quiet, and asks:
could what the clients saw have been one operation after the other, with every safety rule kept (test/lib/switches.py)? Did any
DNS answer change without a reason, or was one missing? Did health fail over wherever a majority of sites heard each other, and
nowhere else? Do all sites agree again, is everybody heard, did no daemon die, grow or get stuck?

A round ends with a change, of both panels, that is done. It moves the guards that every change compares, so nothing that was asked
before and not answered can happen later: rounds are independent, and one can be repeated alone.
LEEWARD_SEED and LEEWARD_ROUNDS say which and how many (`make chaos`), LEEWARD_ROUND one of them alone.
"""

import collections
import os
import random
import resource
import threading
import time
from pathlib import Path

import pytest

import endpoints
import linearize
import mishaps
import network
import questions
from fleet import TAGS, WEB_PORT, ZONE, Fleet
from leeward import record
from process import PATIENCE, SLOWER, wait_for
from switches import Board, Hand, show

SEED = int(os.environ.get("LEEWARD_SEED") or 20261121)
ROUNDS = int(os.environ.get("LEEWARD_ROUNDS") or 3)
ONLY = os.environ.get("LEEWARD_ROUND")
WWW, PAIR, STILL, SHOP = (f"{name}.{ZONE}" for name in ("www", "pair", "still", "shop"))
A, B, X, Y, OPEN, CLOSED = (f"192.0.2.{number}" for number in (11, 12, 13, 14, 15, 16))
FAILOVER_SECONDS = 10.0 * SLOWER  # from the death of an endpoint to the answers of sites that hear a majority
QUIET_SECONDS = 20
LONG = 0.08  # of the rounds last longer than a vote counts
RSS_LIMIT = 120 << 20
PAGE = resource.getpagesize()

pytestmark = [pytest.mark.serial, pytest.mark.skipif(network.missing() is not None, reason=str(network.missing()))]


class Campaign:
    def __init__(self, folder):
        self.fleet = Fleet(folder, regions=2, period=0.03, clocks=(4,))
        self.totals = collections.Counter()
        self.threads = {}
        try:
            with self.fleet.entered():
                self.make_board()
                self.make_names()
                self.clients = [self.fleet.client(number, timeout=15) for number in range(5)]
                self.first = Hand(self.board, "the campaign", random.Random(SEED), self.clients)
                self.state = 0
                self.settle(random.Random(SEED))
                self.watch()
        except BaseException:
            self.fleet.end()
            raise

    # What it plays with

    def make_board(self):
        """Two panels. Between x and y exactly one is On, whatever happens; the other rules may be passed over."""
        arc = self.fleet.arc
        board = self.board = Board(arc)
        one, two = arc.new_panel("one"), arc.new_panel("two")
        self.a, self.b, self.c, self.d, self.gate, self.still, mark_one = (
            board.control(name, one) for name in ("a", "b", "c", "d", "gate", "still", "mark-one"))
        self.x, self.y, mark_two = (board.control(name, two) for name in ("x", "y", "mark-two"))
        self.marks = mark_one | mark_two  # who compares a panel's guard, compares these
        arc.set_all({board.arn(bit): "On" for bit in (self.still, self.x)})
        self.overridable = [
            board.rule("one-on", [self.a, self.b, self.c], "ATLEAST", 1, panel=one),
            board.rule("gate", [self.gate], "AND", targets=[self.c, self.d], panel=one),
            board.rule("not-all", [self.a, self.b, self.d], "AND", inverted=True, panel=one)]
        board.rule("x-or-y", [self.x, self.y], "EXACTLY", 1, panel=two)
        self.free = board.all & ~self.still & ~self.marks

    def make_names(self):
        fleet, arc, arn = self.fleet, self.fleet.arc, self.board.arn
        arc.failover(fleet.zone, WWW, (A, arn(self.a)), (B, arn(self.b)))
        arc.failover(fleet.zone, STILL, (A, arn(self.still)), (B, arn(self.d)))
        shop = endpoints.make_check(fleet.daemons[0], {**TAGS, "leeward:vote": "majority"}, Type="HTTP", ResourcePath="/health",
                                    IPAddress=fleet.web.addresses[0], Port=WEB_PORT)
        fleet.daemons[0].change(
            fleet.zone,
            *[record(PAIR, "A", address, SetIdentifier=address, MultiValueAnswer=True, HealthCheckId=arc.check(arn(bit)))
              for address, bit in ((X, self.x), (Y, self.y))],
            record(SHOP, "A", OPEN, SetIdentifier="open", Failover="PRIMARY", HealthCheckId=shop),
            record(SHOP, "A", CLOSED, SetIdentifier="closed", Failover="SECONDARY"))

    def answers(self, state):
        """What DNS says of the controls in that state."""
        return {WWW: A if state & self.a or not state & self.b else B, PAIR: X if state & self.x else Y, STILL: A}

    def watch(self):
        observer = self.fleet.observer
        wanted = {**self.answers(self.state), SHOP: OPEN}
        for daemon in self.fleet.daemons:
            for name, answer in wanted.items():
                wait_for(lambda d=daemon, n=name, a=answer: questions.data(questions.ask(d.dns, n)) == [a], QUIET_SECONDS,
                         f"{daemon.name} answers {answer} for {name}")
        observer.watch(wanted)
        for name, answer in ((WWW, A), (WWW, B), (PAIR, X), (PAIR, Y)):
            observer.allow(name, answer, "clients change the controls", often=True)

    # Rounds

    def settle(self, source):
        """A change of both panels that is done, to a state that is drawn; the operations that it took."""
        free = self.free & ~self.x & ~self.y
        wanted = (source.getrandbits(16) & free | source.choice([self.x, self.y]) | self.still | self.marks & ~self.state)
        mask = self.board.all & ~self.still
        site = source.randrange(5)
        self.first.operations = []

        def done():
            nonlocal site
            site = (site + 1) % 5
            return self.first.change(site, mask, wanted, self.overridable)
        wait_for(done, QUIET_SECONDS, "a change is done", every=0.05)
        for number in range(5):
            wait_for(lambda n=number: self.first.list(n), QUIET_SECONDS, f"site {number} reads", every=0.05)
        self.state = wanted
        return self.first.operations

    def round(self, number):
        source = random.Random(f"{SEED}/{number}")
        plan = mishaps.draw(source, 5)
        hold = source.uniform(0.6, 1.4) + (4.5 if source.random() < LONG else 0)
        initial = self.state
        hands = [Hand(self.board, f"hand {at}", random.Random(f"{SEED}/{number}/{at}"),
                      [self.fleet.client(site, timeout=15) for site in range(5)], at % 5, free=self.free,
                      flips=(self.x, self.y), overridable=self.overridable) for at in range(source.randint(5, 8))]
        threads = [threading.Thread(target=hand.run, name=hand.name) for hand in hands]
        began = time.monotonic()
        problems = []
        for thread in threads:
            thread.start()
        try:
            problems += self.befall(plan, began, hold)
            healed = time.monotonic()
            self.allow_failover(plan, range(5))  # those who heard nobody may learn of it before it is over
            self.allow_lost_verdicts(plan)
            mishaps.recover(self.fleet, plan)
        finally:
            for hand in hands:
                hand.stop.set()
            for thread in threads:
                thread.join(30 * PATIENCE)
        problems += [f"{thread.name} is stuck" for thread in threads if thread.is_alive()]
        problems += [problem for hand in [*hands, self.first] for problem in hand.unexpected
                     if not ("InvalidSignature" in problem and any(one.kind == "clock" for one in plan))]
        recovered = time.monotonic()
        last = self.settle(source)
        settled = time.monotonic()
        operations = [operation for hand in hands for operation in hand.operations] + last
        problems += self.wait_for_quiet(plan)
        quiet = time.monotonic()
        problems += self.judge(operations, initial)
        problems += self.fleet.observer.judge() + self.sizes()
        problems += [fault for process in self.fleet.processes for fault in process.faults]
        for hand in hands:
            self.totals.update(hand.counts)
        self.totals["operations"] += len(operations)
        story = "; ".join(map(str, plan))
        print(f"round {number}: {healed - began:.1f} s of {story}; all run {recovered - healed:.1f} s later, a change is done "
              f"{settled - recovered:.1f} s later, all is quiet {quiet - settled:.1f} s later; {len(operations)} operations, judged in "
              f"{time.monotonic() - quiet:.1f} s", flush=True)
        if problems:
            pytest.fail(f"seed {SEED}, round {number}: {story}\n" + "\n".join(problems) + "\nfrom the state "
                        f"{self.board.text(self.board.all, initial)}:\n{show(operations, began)}\n"
                        f"again: LEEWARD_SEED={SEED} LEEWARD_ROUND={number} make chaos", pytrace=False)

    def befall(self, plan, began, hold):
        """The mishaps, one after the other; what health did not do about them."""
        problems = []
        whole = mishaps.connected(plan, 5)
        for mishap in plan:
            mishaps.wait_until(began + mishap.at)
            if mishap.kind != "endpoint":
                mishap.begin(self.fleet)
                continue
            alone = {site for site, since in mishaps.alone(plan, 5).items() if since < mishap.at}
            self.allow_failover(plan, set(range(5)) - alone)
            down = time.monotonic()
            mishap.begin(self.fleet)
        if any(mishap.kind == "endpoint" for mishap in plan) and len(whole) > 2:
            try:
                self.fleet.observer.wait(SHOP, CLOSED, whole, max(0.0, down + FAILOVER_SECONDS - time.monotonic()) / PATIENCE)
                self.totals["failovers"] += len(whole)
            except AssertionError as problem:
                problems.append(f"sites {sorted(whole)} hear each other, and do not fail over: {problem}")
        mishaps.wait_until(began + hold)
        return problems

    def allow_failover(self, plan, sites):
        """Each of the sites may answer, once, as if the endpoint was down; unless it may already."""
        observer = self.fleet.observer
        if not any(mishap.kind == "endpoint" for mishap in plan):
            return
        allowed = {site for reason in observer.reasons if reason.name == SHOP and reason.until is None for site in reason.sites}
        for name, answer in ((SHOP, CLOSED), (self.fleet.name(0), self.fleet.standby(0))):
            observer.allow(name, answer, "its endpoint is down", set(sites) - allowed)

    def allow_lost_verdicts(self, plan):
        """A daemon that is killed within 100 ms of a verdict begins with the one before."""
        killed = set().union(*(mishap.stops() for mishap in plan if mishap.kind == "kill"))
        if killed and any(mishap.kind == "endpoint" for mishap in plan):
            for name, up, down in ((SHOP, OPEN, CLOSED), (self.fleet.name(0), self.fleet.main(0), self.fleet.standby(0))):
                self.fleet.observer.allow(name, up, "it did not know better at its start", killed)
                self.fleet.observer.allow(name, down, "it hears of it from the others", killed)

    def judge(self, operations, initial):
        try:
            problem = linearize.check(operations, initial)
        except linearize.TooWide as wide:
            problem = str(wide)
        return [problem] if problem else []

    def wait_for_quiet(self, plan):
        fleet, observer = self.fleet, self.fleet.observer
        wanted = {**self.answers(self.state), SHOP: OPEN, fleet.name(0): fleet.main(0)}
        reasons = []
        if any(mishap.kind == "endpoint" for mishap in plan):
            reasons = [observer.allow(name, wanted[name], "its endpoint is up again") for name in (SHOP, fleet.name(0))]
            fleet.endpoint_up(0)
        problems = []
        try:
            for name, answer in wanted.items():
                observer.wait(name, answer, seconds=QUIET_SECONDS)
            fleet.each(lambda daemon: fleet.hear(daemon.number, 5, seconds=QUIET_SECONDS), fleet.daemons)
            for daemon in fleet.daemons:
                daemon.assert_running()
        except (AssertionError, RuntimeError) as problem:
            problems.append(f"no quiet: {problem}")
        with observer.lock:
            for reason in observer.reasons:
                if not reason.often:
                    reason.end()
        return problems

    def sizes(self):
        """Memory and threads of the daemons, which must not grow."""
        problems = []
        for daemon in self.fleet.daemons:
            folder = Path(f"/proc/{daemon.pid}")
            pages = int((folder / "statm").read_text().split()[1])
            threads = len(list((folder / "task").iterdir()))
            self.totals["largest RSS, KiB"] = max(self.totals["largest RSS, KiB"], pages * PAGE >> 10)
            first = self.threads.setdefault(daemon.pid, threads)
            if pages * PAGE > RSS_LIMIT and SLOWER == 1:
                problems.append(f"{daemon.name} has {pages * PAGE >> 20} MiB")
            if threads > first + 4:
                problems.append(f"{daemon.name} had {first} threads, and has {threads}")
        return problems

    def run(self):
        for number in [int(ONLY)] if ONLY else range(ROUNDS):
            self.round(number)
        assert not self.fleet.problems(), "\n".join(self.fleet.problems())
        print(f"{ROUNDS} rounds: {', '.join(f'{count} {what}' for what, count in sorted(self.totals.items()))}", flush=True)


def test_sites_agree_whatever_befalls_them(tmp_path):
    print(f"\nLEEWARD_SEED={SEED} LEEWARD_ROUNDS={ROUNDS}", flush=True)
    campaign = Campaign(tmp_path)
    try:
        with campaign.fleet.entered():
            campaign.run()
    finally:
        campaign.fleet.end()
