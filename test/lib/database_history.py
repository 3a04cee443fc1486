"""The judge of a global database: what writing clients were told, beside what is there in the end, who wrote when, and which losses
were reported. Pure: no clock, no I/O.

    problems = judge(History(rows=..., present=..., turns=..., losses=..., timeline=..))      sentences; none when all is well

What must hold, in each history:

 1. Never two writers. Each term of a writer has a timeline of its own, and timelines go up with terms. Once a row of one timeline has
    been acknowledged, no row of an earlier one that is sent after that is acknowledged. (A row that was sent before and whose answer
    was on its way is no fault: nobody can take back what has left. Clients write all the time, so an old writer that acknowledges for
    longer than a moment is seen.) All rows of a timeline are acknowledged by one server.
 2. What is there is what was sent: no row twice, none that was refused, none that nobody sent.
 3. A row that was acknowledged and is not there was lost by a failover by which the database left its timeline, never by a switchover,
    in synchronous mode only by one for which an operator accepted a loss, and the loss record of a failover lists its transaction.
 4. What is listed as lost is not there. Each listed transaction is that of a row that was acknowledged or whose answer did not come; the
    record's number of transactions is that of the list, and the list is there once the old writer is back.
 5. In bounded mode, what a writer acknowledged while it knew of no reader that has it spans less time than the bound: while it was kept
    from hearing of its readers, and when another one took over although all readers lived.

A row's transaction is known by timeline and number: "0000000A.1234" (bench/db_client.c --transactions). A list has numbers and times of
commits; a commit lies between the row's being sent and its acknowledgement.
"""

import collections
from dataclasses import dataclass, field

LATE_NS = 150_000_000  # how far behind the most advanced reader the one may be that is elected without waiting for it any longer
CLOCKS_NS = 50_000_000  # between the clocks of rows and lists: how well their difference is known
ACCEPTED = "FAILOVER"  # an operator asked for it, and accepted a loss
FAILOVERS = (ACCEPTED, "FAILOVER_AUTOMATIC")
LISTED = 8


@dataclass(frozen=True)
class Written:
    """A row as its client tells it. Times in ns of one clock; server: that the client was connected to."""
    client: int
    number: int
    sent: int
    ended: int
    outcome: str
    timeline: int = 0  # of acknowledged ones, as is the next
    transaction: int = 0
    server: str = ""

    @property
    def key(self):
        return self.client, self.number

    def __str__(self):
        return f"row {self.number} of client {self.client} (timeline {self.timeline}, transaction {self.transaction}, {self.server})"


@dataclass(frozen=True)
class Turn:
    epoch: int
    timeline: int
    parent: int
    operation: str


@dataclass(frozen=True)
class Listed:
    """A transaction in a list of lost writes that inserted into the table. committed: by the rows' clock."""
    transaction: int
    committed: int


@dataclass
class Loss:
    epoch: int
    exact: bool
    transactions: int  # as the record says
    total: int = 0     # as its list says
    listed: list = field(default_factory=list)


@dataclass
class History:
    rows: list
    present: dict  # {(client, number): how often}
    turns: list
    losses: list
    timeline: int  # that it is on in the end
    synchronous: bool = False
    bound_ns: int = 0  # of a bounded one
    bounded_timeline: int = 0  # whose writer was bounded from before its first row here
    starved: list = field(default_factory=list)  # (from, to): when that writer did not hear what its readers have
    readers_lived: bool = False  # and no fault touched them or what they need to be elected


def two_writers(rows):
    problems = []
    servers = collections.defaultdict(set)
    acknowledged = sorted((row for row in rows if row.outcome == "acknowledged"), key=lambda row: row.ended)
    for row in acknowledged:
        servers[row.timeline].add(row.server)
    problems += [f"timeline {timeline} was written at {' and '.join(sorted(some))}" for timeline, some in sorted(servers.items())
                 if len(some) > 1]
    first = {}  # of each timeline: the first that was acknowledged
    for row in acknowledged:
        first.setdefault(row.timeline, row)
    for timeline, new in first.items():
        late = [row for row in acknowledged if row.timeline < timeline and row.sent > new.ended]
        if late:
            problems.append(f"two writers: {new} was acknowledged, and then {len(late)} rows of earlier terms, the last "
                            f"{(late[-1].ended - new.ended) / 1e6:.1f} ms later: {late[0]}")
    return problems


def what_is_there(rows, present):
    sent = {row.key: row for row in rows}
    faults = {
        "twice": [key for key, count in present.items() if count > 1],
        "there, though refused": [key for key in present if key in sent and sent[key].outcome == "refused"],
        "there, and never sent": [key for key in present if key not in sent],
    }
    return [f"{len(keys)} rows are {what}: {sorted(keys)[:LISTED]}" for what, keys in faults.items() if keys]


def matches(row, listed):
    return row.transaction == listed.transaction and row.sent - CLOCKS_NS <= listed.committed <= row.ended + CLOCKS_NS


class Lists:
    """All lists of a history, looked up by transaction."""

    def __init__(self, losses):
        self.by_number = collections.defaultdict(list)
        for loss in losses:
            for listed in loss.listed:
                self.by_number[listed.transaction].append(listed)

    def has(self, row):
        return any(matches(row, listed) for listed in self.by_number[row.transaction])


def lost_of(history):
    return [row for row in history.rows if row.outcome == "acknowledged" and row.key not in history.present]


def lost_rows(history):
    problems = []
    lists = Lists(history.losses)
    lost = lost_of(history)
    lineage = line_of(history)
    by = {row: lineage.get(min((timeline for timeline in lineage if timeline > row.timeline), default=None), "nothing changed")
          for row in lost}
    unasked = [row for row in lost if history.synchronous and by[row] != ACCEPTED]
    if unasked:
        problems.append(f"{len(unasked)} acknowledged rows were lost in synchronous mode: {', '.join(map(str, unasked[:LISTED]))}")
    problems += [f"lost without a failover ({by[row]}): {row}" for row in lost if by[row] not in FAILOVERS][:1]
    silent = [row for row in lost if not lists.has(row)]
    if silent:
        problems.append(f"{len(silent)} of {len(lost)} lost rows are in no list: {', '.join(map(str, silent[:LISTED]))}")
    return problems


def line_of(history):
    """{timeline: the operation by which the database came to it} of those that it has gone through; the first ones are forgotten."""
    turns = {turn.timeline: turn for turn in history.turns}
    timeline, line = history.timeline, {}
    while timeline in turns and timeline not in line:
        line[timeline] = turns[timeline].operation
        timeline = turns[timeline].parent
    return line


def reported(history):
    problems = []
    by_number = collections.defaultdict(list)
    for row in history.rows:
        if row.outcome == "acknowledged":
            by_number[row.transaction].append(row)
    unknown = [row for row in history.rows if row.outcome == "unknown" and row.key not in history.present]
    for loss in history.losses:
        if not loss.exact:
            problems.append(f"the loss of epoch {loss.epoch} is not exact though its writer is back")
        elif loss.transactions != loss.total:
            problems.append(f"the loss of epoch {loss.epoch} says {loss.transactions} transactions, its list {loss.total}")
        stray = 0
        for listed in loss.listed:
            known = [row for row in by_number[listed.transaction] if matches(row, listed)]
            there = [row for row in known if row.key in history.present]
            if there and len(there) == len(known):
                problems.append(f"listed as lost in epoch {loss.epoch}, and there: {there[0]}")
                break
            stray += not known
        possible = sum(row.sent - CLOCKS_NS <= max((one.committed for one in loss.listed), default=0) for row in unknown)
        if stray > possible:
            problems.append(f"the loss of epoch {loss.epoch} lists {stray} transactions that no client acknowledged, and "
                            f"{possible} rows have no answer and are not there")
    return problems


def bound(history):
    """No row's commit was acknowledged before it was sent, or after its client heard of it."""
    problems = []

    def check(what, rows, slack):
        rows = [row for row in rows if row.outcome == "acknowledged" and row.timeline == history.bounded_timeline]
        if not rows:
            return
        first, last = min(rows, key=lambda row: row.ended), max(rows, key=lambda row: row.sent)
        if last.sent - first.ended >= history.bound_ns + slack:
            problems.append(f"{what} for {(last.sent - first.ended) / 1e6:.1f} ms at least, and the bound is "
                            f"{history.bound_ns / 1e6:g} ms: {first}, .. {last}")
    for begin, end in history.starved:
        check("commits were acknowledged though the writer did not hear of its readers,",
              [row for row in history.rows if row.sent >= begin and row.ended <= end], 0)
    if history.readers_lived:
        check("rows were lost that had been acknowledged", lost_of(history), LATE_NS)
    return problems


def judge(history):
    return (two_writers(history.rows) + what_is_there(history.rows, history.present) + lost_rows(history) + reported(history) +
            (bound(history) if history.bound_ns else []))
