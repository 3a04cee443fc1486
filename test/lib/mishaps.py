"""What befalls sites in a campaign: faults that are drawn, done, and undone, and what they leave connected.

    plan = draw(random, 5)               1 to 3 mishaps, in order of time
    mishap.begin(fleet); ...; recover(fleet)
    whole = connected(plan, 5)           the sites whose daemons hear each other all the time

Everything about a mishap is in its description, so that a plan can be printed and is drawn again from the same seed. Only "leader"
is found out when it begins.
"""

import dataclasses
import itertools
import threading
import time

from network import SUBNET

CLOCK_SITE = 4  # whose clock can be moved


@dataclasses.dataclass
class Mishap:
    kind: str
    sites: tuple
    at: float  # seconds after the beginning
    of: str = ""  # what is stopped or killed
    done: str = ""  # what happened, once it did

    def __str__(self):
        what = f"{self.kind} {self.of}".strip()
        return f"{self.at:.2f} s: {what} {','.join(map(str, self.sites))}{f' ({self.done})' if self.done else ''}"

    def lost(self, count):
        """The directions on which nothing arrives any more: (from, to)."""
        if self.kind == "isolate" or self.kind == "split":
            inside, outside = set(self.sites), set(range(count)) - set(self.sites)
            return {pair for a, b in itertools.product(inside, outside) for pair in ((a, b), (b, a))}
        if self.kind == "silence":
            return {(self.sites[0], other) for other in range(count) if other != self.sites[0]}
        if self.kind == "cut":
            return {self.sites, self.sites[::-1]}
        return {self.sites} if self.kind == "one way" else set()  # the first is not heard by the second

    def stops(self):
        """The sites whose daemon does not run all the time."""
        return set(self.sites) if self.of in ("daemon", "both") else set()

    def begin(self, fleet):
        network = fleet.network
        lost = self.lost(len(fleet.daemons))
        if lost:
            network.change(network.lost | lost)
        elif self.kind in ("loss", "slow"):
            trouble(network.sites[self.sites[0]], self.kind)
            if self.kind == "slow":
                fleet.observer.dark(self.sites[0])  # to the hub there is the same line
        elif self.kind == "endpoint":
            fleet.endpoint_down(0)
        elif self.kind == "clock":
            fleet.set_clock(self.sites[0], float(self.of))
        else:
            for program in self.programs(fleet):
                self.act(program)

    def programs(self, fleet):
        if self.of == "leader":
            leader = fleet.etcd.leader()
            self.done = "none led" if leader is None else leader.name
            return [leader] if leader is not None else []
        return [program for number in self.sites
                for program in ((fleet.daemons[number],) * (self.of != "member") + (fleet.members[number],) * (self.of != "daemon"))]

    def act(self, program):
        if not program.running() or program.paused:
            return  # another mishap was there first
        if self.kind == "pause":
            program.pause()
        elif self.kind == "restart":
            program.stop()
            program.start()
        else:
            program.kill()


def draw_one(random, count):
    kind = random.choice(["kill", "kill", "pause", "pause", "restart", "isolate", "isolate", "silence", "cut", "one way", "split",
                          "loss", "slow", "clock", "endpoint", "endpoint"])
    at = random.uniform(0, 0.5)
    some = random.sample(range(count), 2)
    if kind in ("kill", "pause"):
        of = random.choice(["daemon", "member", "both", "leader"])
        sites = () if of == "leader" else tuple(sorted(some)) if random.random() < 0.3 else (some[0],)
        return Mishap(kind, sites, at, of)
    if kind == "clock":
        return Mishap(kind, (CLOCK_SITE,), at, random.choice(["600", "-600", "240", "-240"]))
    if kind == "restart":
        return Mishap(kind, (some[0],), at, "daemon")
    if kind in ("cut", "one way"):
        return Mishap(kind, tuple(some), at)
    if kind == "split":
        return Mishap(kind, tuple(sorted(some)), at)
    return Mishap(kind, () if kind == "endpoint" else (some[0],), at)


def draw(random, count):
    plan = [draw_one(random, count) for _ in range(random.choice([1, 1, 2, 2, 3]))]
    seen = {}
    for mishap in sorted(plan, key=lambda one: one.at):
        seen.setdefault((mishap.kind, mishap.of, mishap.sites), mishap)
    stopped = set().union(*(mishap.stops() for mishap in plan))
    return [mishap for mishap in seen.values() if mishap.kind != "slow" or not stopped & set(mishap.sites)]


def trouble(site, kind):
    """A line that loses every fifth packet of other sites, or lets little out and keeps it waiting."""
    if kind == "loss":
        site.run("nft", "-f", "-", text="table ip loss {\n chain input {\n  type filter hook input priority 1; policy accept;\n"
                 f"  ip saddr {SUBNET}.1-{SUBNET}.99 numgen random mod 5 == 0 drop\n }}\n}}\n")
    else:
        site.run("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", "300kbit", "burst", "4kb", "latency", "300ms")


def end_trouble(site, kind):
    if kind == "loss":
        site.run("nft", "delete", "table", "ip", "loss")
    else:
        site.run("tc", "qdisc", "delete", "dev", "eth0", "root")


def recover(fleet, plan):
    """Undoes all of it; the programs that were killed start at the same time."""
    fleet.network.heal()
    for mishap in plan:
        if mishap.kind in ("loss", "slow"):
            end_trouble(fleet.network.sites[mishap.sites[0]], mishap.kind)
            if mishap.kind == "slow":
                fleet.observer.light(mishap.sites[0])
        elif mishap.kind == "clock":
            fleet.set_clock(mishap.sites[0], 0)
    for program in [*fleet.members, *fleet.daemons]:
        if program.paused:
            program.resume()
    problems = []

    def start(program):
        try:
            program.start()
        except (AssertionError, RuntimeError) as problem:
            problems.append(problem)
    for programs in (fleet.members, fleet.daemons):
        dead = [threading.Thread(target=start, args=(program,)) for program in programs if not program.running()]
        for thread in dead:
            thread.start()
        for thread in dead:
            thread.join()
    if problems:
        raise problems[0]


def connected(plan, count):
    """The largest set of sites whose daemons ran and heard each other all the time."""
    lost = set().union(*(mishap.lost(count) for mishap in plan))
    troubled = set().union(*(mishap.stops() for mishap in plan),
                           *(mishap.sites for mishap in plan if mishap.kind in ("loss", "slow")))
    whole = [site for site in range(count) if site not in troubled]
    for size in range(len(whole), 0, -1):
        for some in itertools.combinations(whole, size):
            if not any(pair in lost for pair in itertools.permutations(some, 2)):
                return set(some)
    return set()


def alone(plan, count):
    """The sites that, once all has begun, less than a majority hears or is heard by: {site: since when}."""
    found = {}
    for site in range(count):
        lost = set()
        for mishap in plan:
            lost |= mishap.lost(count)
            others = sum(not {(site, other), (other, site)} <= lost for other in range(count) if other != site)
            if site not in found and (others + 1) * 2 <= count:
                found[site] = mishap.at
    return found


def wait_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))
