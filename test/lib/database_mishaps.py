"""What befalls a global database in a campaign: faults and an operator's wishes, drawn, done, and undone (test/lib/database_sites.py).

    plan = draw(random, 3, lease)        a switchover or none, and one or two mishaps, in order of time
    mishap.begin(sites); ...; sites.heal()

Everything about a mishap is in its description, so that a plan can be printed and is drawn again from the same seed. Whom "writer" and
"reader" mean is found out when it begins.
"""

import dataclasses
import signal

from mishaps import trouble

# Kinds, and how often each is drawn.
KINDS = {
    "kill agent": 2, "kill daemon": 1, "kill postmaster": 2, "kill server": 2, "kill both": 2, "kill region": 3, "kill member": 1,
    "stop agent": 3, "stop postmaster": 2, "stop server": 2, "stop both": 3, "stop region": 2, "stop daemon": 1, "stop member": 1,
    "cut": 3, "one way": 3, "isolate": 3, "silence": 2, "deafen": 2, "store": 4, "dark": 2, "loss": 1, "slow": 2, "disk": 3,
    "replay": 2, "restart": 1,
}
WHOLE_SITE = ("writer", "writer", "writer", "reader", "any")


@dataclasses.dataclass
class Mishap:
    kind: str
    who: str     # writer, reader, any
    drawn: tuple  # two numbers of regions, for "any" and for the other end of a cut
    at: float    # seconds after the beginning
    done: str = ""

    def __str__(self):
        return f"{self.at:.2f} s: {self.kind} {self.who}{f' ({self.done})' if self.done else ''}"

    def choose(self, sites):
        """The region, and another one."""
        writer = sites.writer()
        count = len(sites.nodes)
        one, other = (number % count for number in self.drawn)
        if self.who == "writer" and writer is not None:
            one = writer
        elif self.who == "reader" and one == writer:
            one = (one + 1) % count
        return one, other if other != one else (one + 1) % count

    def begin(self, sites):
        one, other = self.choose(sites)
        self.done = f"{one}"
        network = sites.network
        deed, _, of = self.kind.partition(" ")
        if self.kind == "switchover":
            self.done = f"to {one} by {other}: {sites.ask_for_switchover(other, one)}"
        elif self.kind == "one way":
            self.done = f"{one} is not heard by {other}"
            network.change(network.lost | {(one, other)})
        elif deed == "cut":
            self.done = f"{one} and {other}"
            network.change(network.lost | {(one, other), (other, one)})
        elif deed in ("isolate", "silence", "deafen"):
            others = [number for number in range(len(sites.nodes)) if number != one]
            lost = {(one, number) for number in others} if deed != "deafen" else set()
            lost |= {(number, one) for number in others} if deed != "silence" else set()
            network.change(network.lost | lost)
        elif deed == "kill":
            sites.kill(one, of)
        elif deed == "stop":
            sites.signal(one, of, signal.SIGSTOP)
        elif deed == "store":
            if one not in sites.without_store:
                sites.cut_from_store(one)
        elif deed == "dark":
            sites.darken(one)
        elif deed in ("loss", "slow"):
            if (one, deed) not in sites.troubled:
                sites.troubled.add((one, deed))
                trouble(network.sites[one], deed)
        elif deed == "disk":
            sites.fill_disk(one)
        elif deed == "replay":
            sites.signal(one, "startup", signal.SIGSTOP)
        else:
            sites.stop_cleanly(one)


def draw(source, count, lease):
    """lease: in seconds. Faults come before, within and after the time that a failover or switchover takes."""
    def one_of(kinds, at):
        kind = source.choices(list(kinds), list(kinds.values()))[0]
        who = "reader" if kind in ("replay", "slow") and source.random() < 0.8 else source.choice(WHOLE_SITE)
        return Mishap(kind, who, (source.randrange(count), source.randrange(count)), at)

    begin = source.uniform(0.1, 0.6)
    plan = []
    if source.random() < 0.45:
        plan.append(Mishap("switchover", "reader", (source.randrange(count), source.randrange(count)), begin))
        begin += source.uniform(-0.02, 0.2)
        if source.random() < 0.1:
            return plan
    plan.append(one_of(KINDS, begin))
    if source.random() < 0.4:
        plan.append(one_of(KINDS, begin + source.choice([source.uniform(0, 0.3), source.uniform(0, 2 * lease)])))
    return sorted(plan, key=lambda mishap: mishap.at)


def holding(source, plan, lease):
    """How long all of it lasts: mostly long enough for a failover."""
    return plan[-1].at + (source.uniform(0.3, lease) if source.random() < 0.35 else source.uniform(lease + 0.2, 1.8 * lease + 0.5))
