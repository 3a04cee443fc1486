"""Routing controls in many hands at once: what clients asked and saw, and whether that could have been.

    board = Board(arc)                                   arc: controls.Arc, on any site
    a, b = board.control("a"), board.control("b")        bits of a state, which is a number: the controls that are On
    board.rule("one-on", [a, b], "ATLEAST", 1)
    hand = Hand(board, "hand 0", random, clients)        clients: fleet.Client, one a site; run() until stop is set
    linearize.check(hand.operations, state)              None, or what was impossible

The rules are modelled here once more, as docs/arc.md has them and not as the daemon does, so that the two are held against each
other: a change that was done must be allowed in the state it met, a refusal must name the rules that block it there, all of them
and no other.
"""

import threading
import time

from fleet import NotSent, Refused, Unknown
from linearize import Operation

UNKNOWN = 2  # changes without an answer; who has had so many only reads: a history with more takes long to judge


class Rule:
    def __init__(self, name, arn, controls, kind, threshold, inverted, targets):
        self.name, self.arn = name, arn
        self.controls, self.targets = sum(controls), sum(targets or controls)
        self.gating = targets is not None
        self.kind, self.threshold, self.inverted = kind, threshold, inverted

    def blocks(self, before, after):
        if not (before ^ after) & self.targets:
            return False
        on = ((before if self.gating else after) & self.controls).bit_count()
        holds = {"ATLEAST": on >= self.threshold, "EXACTLY": on == self.threshold, "OR": on > 0,
                 "AND": on == self.controls.bit_count()}[self.kind]
        return holds == self.inverted


class Board:
    """The controls and rules of a cluster, by name, and what is possible with them."""

    def __init__(self, arc):
        self.arc = arc
        self.arns = []  # by bit
        self.names = []
        self.panels = {}  # ARN: the bits of its controls
        self.rules = {}

    def control(self, name, panel=None):
        panel = panel or self.arc.panel
        self.arns.append(self.arc.control(name, panel))
        self.names.append(name)
        bit = 1 << len(self.names) - 1
        self.panels[panel] = self.panels.get(panel, 0) | bit
        return bit

    def rule(self, name, controls, kind, threshold=0, *, targets=None, inverted=False, panel=None):
        arns = [self.arn(bit) for bit in controls]
        arn = self.arc.rule(name, arns, kind, threshold, inverted=inverted, panel=panel,
                            targets=[self.arn(bit) for bit in targets] if targets else None)
        self.rules[arn] = Rule(name, arn, controls, kind, threshold, inverted, targets)
        return arn

    def arn(self, bit):
        return self.arns[bit.bit_length() - 1]

    @property
    def all(self):
        return (1 << len(self.arns)) - 1

    def text(self, mask, state):
        return " ".join(f"{name}={'On' if state >> at & 1 else 'Off'}" for at, name in enumerate(self.names) if mask >> at & 1)

    def state(self, listed):
        """The number that {ARN: "On" or "Off"} says."""
        return sum(1 << at for at, arn in enumerate(self.arns) if listed.get(arn) == "On")

    # What is possible

    def blocking(self, before, after, overrides):
        return {arn for arn, rule in self.rules.items() if arn not in overrides and rule.blocks(before, after)}

    def changed(self, mask, values, overrides):
        def step(state):
            after = state & ~mask | values
            return None if self.blocking(state, after, overrides) else after
        return step

    def refused(self, mask, values, overrides, named):
        def step(state):
            return state if self.blocking(state, state & ~mask | values, overrides) == named else None
        return step

    @staticmethod
    def seen(mask, values):
        return lambda state: state if state & mask == values else None


class Hand:
    """One that reads and changes, mostly at one site, and writes down what it saw.

    free: the controls that it changes. flips: two of which it turns one On and the other Off. overridable: ARNs of the rules
    that it passes over now and then.
    """

    def __init__(self, board, name, random, clients, mostly=0, pause=0.01, free=None, flips=(), overridable=()):
        self.board, self.name, self.random, self.clients = board, name, random, clients
        self.mostly = mostly
        self.pause = pause
        self.free = board.all if free is None else free
        self.flips = flips
        self.overridable = list(overridable)
        self.operations = []
        self.counts = {}
        self.unexpected = []
        self.unknown = 0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            if not self.step():
                self.stop.wait(0.05)  # a site that is away is not asked all the time
            self.stop.wait(self.random.uniform(0, 2 * self.pause))
        for client in self.clients:
            client.close()

    def step(self):
        site = self.mostly if self.random.random() < 0.8 else self.random.randrange(len(self.clients))
        kind = self.random.random()
        if kind < 0.25:
            return self.get(site, self.some(1))
        if kind < 0.45 or self.unknown >= UNKNOWN:
            return self.list(site, self.random.choice([None, *self.board.panels]))
        wanted = self.some(self.random.choice([1, 1, 2, 2, 3, 4]))
        values = self.random.getrandbits(len(self.board.arns)) & wanted
        if self.flips and self.random.random() < 0.3:
            wanted, values = (wanted, values) if self.random.random() < 0.5 else (0, 0)
            one, other = self.random.sample(self.flips, 2)
            wanted, values = wanted | one | other, values & ~other | one
        overrides = [arn for arn in self.overridable if self.random.random() < 0.1]
        return self.change(site, wanted, values, overrides)

    def some(self, count):
        bits = [1 << at for at in range(len(self.board.arns)) if self.free >> at & 1]
        return sum(self.random.sample(bits, min(count, len(bits))))

    # Each operation says whether the site answered.

    def get(self, site, bit):
        def read(client):
            return bit, bit if client.state(self.board.arn(bit)) == "On" else 0
        return self.look(site, read)

    def list(self, site, panel=None):
        def read(client):
            return self.board.panels[panel] if panel else self.board.all, self.board.state(client.listed(panel))
        return self.look(site, read)

    def look(self, site, read):
        start = time.monotonic()
        try:
            mask, values = read(self.clients[site])
        except (NotSent, Unknown):
            self.count("reads without an answer")
            return False
        except Refused as refusal:
            self.refused(refusal)
            return False
        self.count("reads")
        self.note(start, time.monotonic(), self.board.seen(mask, values), site, f"reads {self.board.text(mask, values)}", pure=True)
        return True

    def change(self, site, mask, values, overrides=()):
        """Sets the controls of the mask to values, in one update."""
        board = self.board
        states = {board.arns[at]: "On" if values >> at & 1 else "Off" for at in range(len(board.arns)) if mask >> at & 1}
        more = {"SafetyRulesToOverride": list(overrides)} if overrides else {}
        what = f"sets {board.text(mask, values)}" + "".join(f" overriding {board.rules[arn].name}" for arn in overrides)
        step = board.changed(mask, values, set(overrides))
        start = time.monotonic()
        try:
            self.clients[site].update(states, **more)
        except NotSent:
            self.count("changes not sent")
            return False
        except Unknown as problem:
            self.count("changes without an answer")
            self.unknown += 1
            self.note(start, None, step, site, f"{what}, after {time.monotonic() - start:.3f} s: {problem}")
            return False
        except Refused as refusal:
            if "blockingRules" not in refusal.body:
                self.refused(refusal)
                return False
            named = {rule["safetyRuleArn"] for rule in refusal.body["blockingRules"]}
            self.count("changes forbidden")
            self.note(start, time.monotonic(), board.refused(mask, values, set(overrides), named), site,
                      f"{what}: forbidden by {', '.join(sorted(board.rules[arn].name for arn in named))}", pure=True)
            return True
        self.count("changes")
        self.note(start, time.monotonic(), step, site, what)
        return True

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def refused(self, refusal):
        """An answer that nothing happened, and not because of a rule."""
        self.count(f"refused: {refusal.code}")
        if refusal.code != "ConflictException":  # that: too many changes at once
            self.unexpected.append(f"{self.name}: {refusal}")

    def note(self, start, end, step, site, what, pure=False):
        self.operations.append(Operation(start, end, step, f"{self.name} at site {site} {what}", pure))


def show(operations, since=0.0):
    """A history, one line an operation, times in seconds from `since`."""
    return "\n".join(f"{one.start - since:9.4f} {f'{one.end - since:9.4f}' if one.end is not None else '        ?'} {one.what}"
                     for one in sorted(operations, key=lambda one: one.start))
