"""Asks the DNS of several sites for the same names all the time, and judges the answers: which changed without a reason, and which
never came.

    observer = Observer()
    observer.begin({0: (address, port), ...}, {name: the answer that all sites give now})
    with observer.expecting({name: answer}, "why", sites={0, 1}):      they are to give that answer soon; it is waited for
        ...
    reason = observer.allow(name, answer, "why")                       they may give that answer from now on, each once
    reason.end()                                                       not any more; often=True: any number of times
    observer.watch({name: answer})                                     more names
    observer.dark(3); observer.light(3)                                the site cannot answer meanwhile
    observer.check()                                                   an AssertionError that names what had no reason

An answer is its values as text ("192.0.2.1"; several in order, with commas between them), or its RCODE when there are none. One
thread asks; a question that is not answered within LOST_AFTER was lost, unless its site was dark in that time.
"""

import contextlib
import dataclasses
import os
import select
import socket
import struct
import threading
import time
from typing import Optional

import messages
from process import SLOWER, wait_for
from questions import question

SO_RCVBUFFORCE = 33
RCODES = {0: "EMPTY", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}
LOST_AFTER = 4.0 * SLOWER  # a busy machine may put a daemon aside for longer than a second


@dataclasses.dataclass
class Change:
    site: int
    name: str
    before: str
    after: str
    asked: float  # when the question went out that was answered so first
    seen: float


@dataclasses.dataclass
class Reason:
    name: str
    answer: str
    sites: frozenset
    why: str
    since: float
    until: Optional[float] = None
    often: bool = False  # not once a site, but any number of times
    used: set = dataclasses.field(default_factory=set)

    def end(self):
        if self.until is None:
            self.until = time.monotonic()

    def explains(self, change):
        return (self.name == change.name and self.answer == change.after and change.site in self.sites and
                change.site not in self.used and self.since <= change.seen and
                (self.until is None or change.asked <= self.until))


def answer_of(wire):
    response = messages.Response(wire)
    values = sorted(socket.inet_ntoa(data) for _, kind, _, data in response.answer if kind == 1)
    return ",".join(values) or RCODES.get(response.rcode, f"RCODE{response.rcode}")


class Observer:
    def __init__(self, period=0.02):
        self.period = period
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.thread = None
        self.sockets = {}
        self.dark_times = {}  # site -> [[from, to or None]]
        self.now = {}  # (site, name) -> answer
        self.changes = []
        self.reasons = []
        self.lost = []  # (site, name, when it was asked)
        self.asked = 0
        self.answered = 0
        self.parsed = {}  # what stands behind the id -> answer
        self.outstanding = {}  # (site, id) -> (name, when it was asked)
        self.began = time.monotonic()

    def begin(self, servers, answers):
        """The thread's sockets are made here: in the network of who calls."""
        for site, server in servers.items():
            self.sockets[site] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sockets[site].setblocking(False)
            # A site that was stopped answers hundreds of questions at once. Root may have as much as it wants.
            self.sockets[site].setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE if os.getuid() == 0 else socket.SO_RCVBUF, 8 << 20)
            self.sockets[site].connect(server)
            self.dark_times.setdefault(site, [])
        self.questions = {name: bytes(question(name).to_wire()[2:]) for name in answers}
        self.now = {(site, name): answer for site in servers for name, answer in answers.items()}
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def watch(self, answers):
        """Asks for these names, too, from now on."""
        with self.lock:
            self.now.update({(site, name): answer for site in self.sockets for name, answer in answers.items()})
        self.questions = {**self.questions, **{name: bytes(question(name).to_wire()[2:]) for name in answers}}

    def end(self):
        if self.thread is not None:
            self.done.set()
            self.thread.join()
            self.thread = None
            for one in self.sockets.values():
                one.close()

    # Asking

    def run(self):
        poll = select.poll()
        sites = {}
        for site, one in self.sockets.items():
            poll.register(one, select.POLLIN)
            sites[one.fileno()] = site
        number = 0
        while not self.done.is_set():
            tick = time.monotonic()
            for name, packet in self.questions.items():
                number = (number + 1) & 0xffff
                for site, one in self.sockets.items():
                    self.ask(site, one, name, number, packet)
            left = self.period
            while left > 0:
                for descriptor, _ in poll.poll(max(1, (tick + self.period - time.monotonic()) * 1000)):
                    self.receive(sites[descriptor])
                left = tick + self.period - time.monotonic()
            self.forget(tick)

    def ask(self, site, one, name, number, packet):
        now = time.monotonic()
        with contextlib.suppress(OSError):  # nobody there, as it told of the question before: this one counts as lost
            one.send(struct.pack("!H", number) + packet)
        self.asked += 1
        self.outstanding[site, number] = (name, now)

    def receive(self, site):
        while True:
            try:
                wire = self.sockets[site].recv(4096)
            except BlockingIOError:
                return
            except OSError:  # refused: nobody there
                continue
            known = self.outstanding.pop((site, wire[0] << 8 | wire[1]), None)
            if known is not None:
                self.note(site, *known, wire)

    def note(self, site, name, asked, wire):
        rest = wire[2:]
        if rest not in self.parsed:
            self.parsed[rest] = answer_of(wire)
        answer = self.parsed[rest]
        with self.lock:
            self.answered += 1
            before = self.now[site, name]
            if answer != before:
                self.changes.append(Change(site, name, before, answer, asked, time.monotonic()))
                self.now[site, name] = answer

    def forget(self, now):
        for key, (name, asked) in list(self.outstanding.items()):
            if now - asked < LOST_AFTER:
                break  # in the order in which they were asked
            del self.outstanding[key]
            with self.lock:
                if not self.was_dark(key[0], asked, asked + LOST_AFTER):
                    self.lost.append((key[0], name, asked))

    # What the test knows

    def dark(self, site):
        with self.lock:
            times = self.dark_times.setdefault(site, [])
            if not times or times[-1][1] is not None:
                times.append([time.monotonic(), None])

    def light(self, site):
        with self.lock:
            times = self.dark_times.setdefault(site, [])
            if times and times[-1][1] is None:
                times[-1][1] = time.monotonic()

    def was_dark(self, site, since, until):
        return any(begin <= until and (end is None or end >= since) for begin, end in self.dark_times[site])

    def allow(self, name, answer, why, sites=None, often=False):
        reason = Reason(name, answer, frozenset(self.sockets if sites is None else sites), why, time.monotonic(), often=often)
        with self.lock:
            self.reasons.append(reason)
        return reason

    @contextlib.contextmanager
    def expecting(self, answers, why, sites=None, seconds=10):
        reasons = [self.allow(name, answer, why, sites) for name, answer in answers.items()]
        yield
        for name, answer in answers.items():
            self.wait(name, answer, sites, seconds)
        for reason in reasons:
            reason.end()

    def wait(self, name, answer, sites=None, seconds=10):
        """Until these sites (all of them, if none is named) were seen to answer so."""
        def answered():
            seen = {site: self.now[site, name] for site in (self.sockets if sites is None else sites)}
            assert all(each == answer for each in seen.values()), seen
            return True
        wait_for(answered, seconds, f"{name} is {answer}", every=0.005)

    def first(self, name, answer, site, since):
        """The moment at which the site was first seen to answer so, since then."""
        with self.lock:
            return next(change.seen for change in self.changes
                        if (change.site, change.name, change.after) == (site, name, answer) and change.seen >= since)

    # Judging

    def judge(self):
        """Sentences about what had no reason, since the last judgement: changes, and questions without an answer."""
        found = []
        with self.lock:
            for change in self.changes:
                reason = next((each for each in self.reasons if each.explains(change)), None)
                if reason is not None:
                    reason.used |= set() if reason.often else {change.site}
                    continue
                found.append(f"{change.seen - self.began:.3f} s: site {change.site} answers {change.after} for {change.name}, before "
                             f"{change.before}; reasons at the time: {self.told(change)}")
            for site, name, asked in self.lost:
                found.append(f"{asked - self.began:.3f} s: site {site} did not answer a question for {name}")
            self.changes, self.lost = [], []
            self.reasons = [reason for reason in self.reasons if reason.until is None]
        return found

    def told(self, change):
        near = [f"{reason.name} may be {reason.answer} at {sorted(reason.sites)} ({reason.why}; used at {sorted(reason.used)})"
                for reason in self.reasons if reason.since <= change.seen]
        return "; ".join(near[-4:]) or "none"

    def check(self):
        assert self.thread.is_alive(), "the observer has ended"
        answered = self.answered
        wait_for(lambda: self.answered > answered or len(self.dark_sites()) == len(self.sockets), 5, "somebody answers")
        found = self.judge()
        assert not found, "\n".join(found[:40])

    def dark_sites(self):
        with self.lock:
            return {site for site, times in self.dark_times.items() if times and times[-1][1] is None}
