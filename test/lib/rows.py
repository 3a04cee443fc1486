#!/usr/bin/python3
"""The judge of numbered rows: what one writing client (bench/db_client.c) was told, beside what the database has in the end.

    test/lib/rows.py LOG CONNINFO [--since NS]        prints the verdict as JSON

    writer = Writer(folder, conninfo).start()         the client, writing all the time
    writer.wait_for_rows(100)
    moment = time.monotonic_ns()
    ...                                               whatever befalls the database
    writer.wait_for_rows(100, after=moment)
    writer.stop()
    verdict = judge(writer.rows_log(), present(conninfo), since=moment)

A verdict is a dictionary:
    acknowledged   rows whose commit the client was told
    refused        rows that the server answered with an error
    unknown        rows whose answer did not come
    lost           acknowledged, and not there
    duplicated     there more than once
    unknown_there  unknown, and there: no fault, the answer was lost
    refused_there  refused, and there nevertheless: a fault
    foreign        there, and never sent by this client: a fault
    outage_ms      the longest time without an acknowledgement that ended at `since` or later, or had not ended
    outage_from_ns, outage_to_ns   when that was; outage_ended says whether anything was acknowledged after it
    sessions       how often the client connected to a server that accepts writes
The rows themselves are in `lost_rows`, `duplicated_rows`, ..: the first LISTED of each.
"""

import argparse
import itertools
import json
import re
import sys
from collections import namedtuple
from pathlib import Path

from postgres import query
from process import BUILD, Process

CLIENT = BUILD / "bench" / "bench_db_client"
LISTED = 20

Row = namedtuple("Row", "number sent ended outcome why")
Session = namedtuple("Session", "moment server")


class Log:
    """What a client wrote down, as far as it was fed. A last line that is not whole, as after SIGKILL, is left out."""

    def __init__(self, text=""):
        self.rest = ""
        self.fed = 0  # lines
        self.client, self.table = 1, "rows"
        self.begin = self.end = None
        self.rows = []
        self.sessions = []
        self.lost = []  # (moment, why): ends of sessions
        self.feed(text)

    def feed(self, text):
        """What the client wrote since."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.fed += 1
            try:
                self.take(line.split(" "))
            except (ValueError, IndexError):
                raise ValueError(f"line {self.fed} of the client's log: {line!r}") from None
        return self

    def take(self, words):
        kind = words[0]
        if kind == "row":
            number, sent, ended, outcome, why = words[1:]
            if outcome not in ("acknowledged", "refused", "unknown"):
                raise ValueError
            self.rows.append(Row(int(number), int(sent), int(ended), outcome, why))
        elif kind == "session":
            self.sessions.append(Session(int(words[1]), words[2]))
        elif kind == "lost":
            self.lost.append((int(words[1]), words[2]))
        elif kind == "begin":
            self.begin, self.client, self.table = int(words[1]), int(words[2]), words[3]
        elif kind == "end":
            self.end = int(words[1])
        else:
            raise ValueError

    @classmethod
    def read(cls, path):
        return cls(Path(path).read_text())

    def numbers(self, outcome):
        return {row.number for row in self.rows if row.outcome == outcome}

    def acknowledged(self, after=0):
        """Rows that were sent and acknowledged after the moment."""
        newer = itertools.takewhile(lambda row: row.sent >= after, reversed(self.rows))
        return [row for row in newer if row.outcome == "acknowledged"][::-1]


Gap = namedtuple("Gap", "start end ended")


def outage(log, since=0, until=None):
    """The longest time without an acknowledgement, of those that end at `since` or later and begin before `until`.

    The time from the last acknowledgement to the log's end counts (it has not ended); that before the first one as well, from
    the client's start. None when the log says nothing of that time.
    """
    moments = [row.ended for row in log.rows if row.outcome == "acknowledged"]
    points = ([log.begin] if log.begin is not None else []) + moments
    if not points:
        return None
    gaps = [Gap(start, end, True) for start, end in zip(points, points[1:])]
    last = max([log.end or 0] + [row.ended for row in log.rows])
    if last > points[-1]:
        gaps.append(Gap(points[-1], last, False))
    gaps = [gap for gap in gaps if gap.end >= since and (until is None or gap.start < until)]
    return max(gaps, key=lambda gap: gap.end - gap.start, default=None)


def present(conninfo, table="rows", client=1):
    """{number: how often it is there}, asked from the server that is the writer in the end."""
    if not re.fullmatch(r"[a-z0-9_.]+", table):
        raise ValueError(f"no table is named {table!r}")
    rows = query(conninfo, f"SELECT number, count(*) FROM {table} WHERE client = {int(client)} GROUP BY number", timeout=120)
    return {int(number): int(count) for number, count in rows}


def judge(log, there, since=0, until=None):
    """log: a Log, finished or not. there: {number: how often}, as present() gives it. since, until: for the outage alone."""
    acknowledged, refused, unknown = (log.numbers(outcome) for outcome in ("acknowledged", "refused", "unknown"))
    sent = acknowledged | refused | unknown
    found = {
        "lost": acknowledged - there.keys(),
        "duplicated": {number for number, count in there.items() if count > 1},
        "unknown_there": unknown & there.keys(),
        "refused_there": refused & there.keys(),
        # A client that was killed had one more row under way than it could write down.
        "foreign": there.keys() - sent - ({max(sent, default=0) + 1} if log.end is None else set()),
    }
    gap = outage(log, since, until)
    verdict = {"acknowledged": len(acknowledged), "refused": len(refused), "unknown": len(unknown),
               **{name: len(numbers) for name, numbers in found.items()},
               "outage_ms": (gap.end - gap.start) / 1e6 if gap else None,
               "outage_from_ns": gap.start if gap else None, "outage_to_ns": gap.end if gap else None,
               "outage_ended": gap.ended if gap else None, "sessions": len(log.sessions)}
    for name, numbers in found.items():
        verdict[f"{name}_rows"] = sorted(numbers)[:LISTED]
    return verdict


class Writer(Process):
    """The client as a program under test. options: of bench_db_client, with "_" for "-": answer_ms=100, transactions=True."""

    def __init__(self, folder, conninfo, name="writer", prefix=(), **options):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        words = [f"--{key.replace('_', '-')}" + ("" if value is True else f"={value}") for key, value in options.items()]
        super().__init__(name, [*prefix, CLIENT, "--create", *words, conninfo], folder)

    def start(self):
        self.spawn()
        self.log_so_far, self.read_so_far = Log(), 0
        return self

    def rows_log(self):
        """The log up to now; what was read before is not read again."""
        with open(self.output, "rb") as file:
            file.seek(self.read_so_far)
            new = file.read()
        self.read_so_far += len(new)
        return self.log_so_far.feed(new.decode())

    def wait_for_rows(self, count, after=0, seconds=30):
        """Until so many rows that were sent after the moment are acknowledged; the rows."""
        def acknowledged():
            rows = self.rows_log().acknowledged(after)
            return rows if len(rows) >= count else None
        return self.wait_until(acknowledged, seconds, f"{count} rows acknowledged")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", help="of bench_db_client")
    parser.add_argument("conninfo", help="of the server that is the writer in the end")
    parser.add_argument("--since", type=int, default=0, help="only times without acknowledgements that end after this moment")
    options = parser.parse_args()
    log = Log.read(options.log)
    verdict = judge(log, present(options.conninfo, log.table, log.client), options.since)
    print(json.dumps(verdict, indent=2))
    faults = ("lost", "duplicated", "refused_there", "foreign")
    return 1 if any(verdict[name] for name in faults) else 0


if __name__ == "__main__":
    sys.exit(main())
