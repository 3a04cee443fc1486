"""What befalls a global database in a campaign: faults and an operator's wishes, drawn, done, and undone (test/lib/database_sites.py).

    plan = draw(random, lease, mode)     a wish or none, and one or two mishaps, in order of time; some are healed in between
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
    "cut": 3, "one way": 3, "isolate": 3, "silence": 2, "deafen": 2, "store": 4, "starve": 3, "dark": 2, "loss": 1, "slow": 2,
    "disk": 4, "replay": 2, "restart": 1, "force": 4,
}
BOUNDED = {**KINDS, "starve": 12, "isolate": 6, "silence": 4, "deafen": 4, "dark": 4, "kill region": 6}
WHOLE_SITE = ("writer", "writer", "writer", "reader", "any")
OF_SERVERS = ("postmaster", "server", "both", "startup")
HEAL = "heal"
SEPARATED = ("isolate", "silence", "deafen", "dark")  # by these a writer does not hear what readers elsewhere have


@dataclasses.dataclass
class Mishap:
    kind: str
    who: str     # writer, reader, any
    drawn: tuple  # two numbers: whom of those that are meant, and the other end of a cut or who asks
    at: float    # seconds after the beginning, or after the last healing
    done: str = ""
    hit: object = None   # the server, once it is chosen
    alone: bool = False  # in its region

    def __str__(self):
        return f"{self.at:.2f} s: {self.kind} {self.who}{f' ({self.done})' if self.done else ''}".replace(f"{HEAL} any", HEAL)

    def choose(self, sites):
        """The server, and the number of another region than its."""
        writer = sites.writer()
        meant = {"writer": [server for server in sites.servers if server is writer],
                 "reader": [server for server in sites.servers if server is not writer]}.get(self.who) or sites.servers
        if self.who == "reader" and writer is not None and not self.is_of_servers():
            meant = [server for server in meant if server.node is not writer.node]
        server = meant[self.drawn[0] % len(meant)]
        others = [node.number for node in sites.nodes if node is not server.node]
        return server, others[self.drawn[1] % len(others)]

    def is_of_servers(self):
        return self.kind in ("switchover", "replay") or self.kind.partition(" ")[2] in OF_SERVERS

    def starves(self, writer):
        """Whether the writer does not hear any more what its readers have."""
        return self.kind == "starve" or (self.alone and self.kind in SEPARATED and self.hit is writer)

    def spares_readers(self, writer):
        """Whether it befell that writer alone, and nothing by which its readers are elected."""
        if self.hit is not writer or self.kind in ("switchover", "disk", "loss", "slow", "replay", "restart", "starve", "cut", "one way"):
            return False
        return self.is_of_servers() and "both" not in self.kind or self.alone

    def begin(self, sites):
        server, other = self.choose(sites)
        one = server.node.number
        self.hit, self.alone = server, not any(peer is not server and peer.node is server.node for peer in sites.servers)
        self.done = f"{one}"
        network = sites.network
        deed, _, of = self.kind.partition(" ")
        if self.kind in ("switchover", "force"):
            self.done = f"to {server.instance} by {other}: {sites.ask_for_switchover(other, server, self.kind == 'force')}"
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
        elif deed in ("kill", "stop"):
            self.done = server.instance if of in OF_SERVERS else self.done
            self.end_processes(sites, server if of in OF_SERVERS else None, one, deed, of)
        elif deed == "store":
            if one not in sites.without_store:
                sites.cut_from_store(one)
        elif deed == "starve":
            sites.starve()
        elif deed == "dark":
            sites.darken(one)
        elif deed in ("loss", "slow"):
            if (one, deed) not in sites.troubled:
                sites.troubled.add((one, deed))
                trouble(network.sites[one], deed)
        elif deed == "disk":
            sites.fill_disk(one)
            if self.drawn[1] % 2 and server is sites.writer():
                self.done += ", with much to write"
                sites.write_log(server)
        elif deed == "replay":
            self.done = server.instance
            sites.signal(one, "startup", signal.SIGSTOP, server)
        elif deed == "restart":
            sites.stop_cleanly(one)
        else:
            sites.heal()

    @staticmethod
    def end_processes(sites, server, number, deed, of):
        if deed == "kill":
            sites.kill(number, of, server)
        else:
            sites.signal(number, of, signal.SIGSTOP, server)


def draw(source, lease, mode):
    """lease: in seconds. Faults come before, within and after the time that a failover or switchover takes."""
    def numbers():
        return source.randrange(60), source.randrange(60)

    kinds = BOUNDED if mode == "bounded" else KINDS

    def one_of(at):
        kind = source.choices(list(kinds), list(kinds.values()))[0]
        who = "reader" if kind in ("replay", "slow") and source.random() < 0.8 else source.choice(WHOLE_SITE)
        return Mishap(kind, "reader" if kind == "force" else who, numbers(), at)

    begin = source.uniform(0.1, 0.6)
    plan = []
    if source.random() < 0.4:
        plan.append(Mishap("switchover", "reader", numbers(), begin))
        begin += source.uniform(-0.02, 0.2)
        if source.random() < 0.1:
            return plan
    plan.append(one_of(begin))
    if source.random() < 0.4:
        plan.append(one_of(begin + source.choice([source.uniform(0, 0.3), source.uniform(0, 2 * lease)])))
    plan.sort(key=lambda mishap: mishap.at)
    if source.random() < 0.2:  # two in turn: who has just taken over is struck while the first one returns
        plan.append(Mishap(HEAL, "any", (0, 0), plan[-1].at + source.uniform(lease, 2 * lease)))
        plan.append(one_of(source.uniform(0, 1.5)))
        plan[-1].who = "writer" if plan[-1].kind != "force" else "reader"
    return plan


def holding(source, plan, lease):
    """How long all of it lasts, once the last one has begun: mostly long enough for a failover."""
    if any(mishap.kind in ("disk", "starve") for mishap in plan):
        return source.uniform(lease, 4 * lease)
    return source.uniform(0.3, lease) if source.random() < 0.35 else source.uniform(lease + 0.2, 1.8 * lease + 0.5)
