"""Faults by lot on a global database of three regions, while a client in each of them writes: what must hold all the same.

Each round draws an operator's wish or none, and one or two mishaps (test/lib/database_mishaps.py), holds them for a time that is
mostly longer than the lease, undoes them, waits for one writer and readers that have all, and asks (test/lib/database_history.py): were
there ever two writers, was an acknowledged row lost by anything but a failover, or in synchronous mode, are the lost rows those that
are reported, and did a bounded writer acknowledge more than its bound allows? In some rounds the faults are undone in between, and whoever
writes by then is struck while the others return. No hand touches anything: what does not come back by itself within a minute and a
half is a fault.

Each round has a table of its own, and one of the three modes. In a campaign of several rounds one region has two servers.
LEEWARD_SEED and LEEWARD_ROUNDS say which and how many (`make chaos-db`), LEEWARD_ROUND some of them alone (3,17). LEEWARD_MISTAKE names the mistake
that is in what is tested (tools/build-mistake): then a round must show it.
"""

import collections
import contextlib
import json
import os
import random
import shutil
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pytest

import network
import postgres
import rows
from database_history import History, Listed, Loss, Turn, Written, judge
from database_mishaps import HEAL, draw, holding
from database_sites import RPO_MS, SETTLED_SECONDS, DatabaseSites
from mishaps import wait_until
from process import wait_for

SEED = int(os.environ.get("LEEWARD_SEED") or 20261235)
ROUNDS = int(os.environ.get("LEEWARD_ROUNDS") or 1)
ONLY = os.environ.get("LEEWARD_ROUND")
MISTAKE = os.environ.get("LEEWARD_MISTAKE")
LEASE_MS = 1500
MODES = {"asynchronous": 4, "synchronous": 3, "bounded": 3}  # how often each is drawn
WRITING_SECONDS = 60

MISSING = network.missing() or postgres.missing()

pytestmark = [pytest.mark.serial, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]


class Found(Exception):
    """The mistake that was made on purpose."""


class Round:
    def __init__(self, campaign, number):
        self.campaign, self.number = campaign, number
        self.sites, self.totals = campaign.sites, campaign.totals
        self.source = random.Random(f"{SEED}/{number}")
        self.mode, = self.source.choices(list(MODES), list(MODES.values()))
        self.plan = draw(self.source, LEASE_MS / 1000, self.mode)
        self.hold = holding(self.source, self.plan, LEASE_MS / 1000)
        self.table = f"round_{number}"
        self.problems = []
        self.writers = []
        self.logged = self.sites.log_lengths()
        self.known_losses = set()
        self.starved = []  # [from, to]

    def __str__(self):
        return f"{self.mode}, " + "; ".join(map(str, self.plan))

    def run(self):
        sites = self.sites
        began = time.monotonic()
        try:
            self.prepare()
            ready = time.monotonic()
            self.befall(ready)
            healed = time.monotonic()
            sites.heal()
            sites.wait_settled()
            settled = time.monotonic()
            self.wait_for_rows()
            self.end_writers()
            self.judge()
        except (AssertionError, RuntimeError, OSError) as problem:
            self.problems.append(str(problem))
            self.fail()
        if self.problems and MISTAKE:
            raise Found(f"round {self.number}: {self}\n" + "\n".join(self.problems))
        if self.problems:
            self.fail()
        print(f"round {self.number}: {self}: {ready - began:.1f} s to begin, healed after {healed - ready:.1f} s, well "
              f"{settled - healed:.1f} s later, {self.counted}, judged after {time.monotonic() - settled:.1f} s", flush=True)

    def prepare(self):
        sites = self.sites
        if sites.mode != self.mode:
            sites.set_mode(self.mode)
        else:
            sites.wait_settled()
        wait_for(self.make_table, SETTLED_SECONDS, f"{self.table} is everywhere", every=0.1)
        self.known_losses = set(sites.losses())
        self.writer, self.timeline = sites.writer(), sites.timeline()
        self.writers = [rows.Writer(self.campaign.folder / self.table, sites.conninfo_from(node.number), name=f"client-{node.number}",
                                    prefix=node.site.prefix, client=node.number, table=self.table, pause_us=2000, answer_ms=1500,
                                    connect_ms=500, transactions=True).start() for node in sites.nodes]
        for writer in self.writers:
            writer.wait_for_rows(5, seconds=WRITING_SECONDS)

    def make_table(self):
        sites = self.sites
        writer = sites.writer()
        for table in self.campaign.tables[:-1]:
            writer.ask(f"DROP TABLE IF EXISTS {table}")
        writer.ask(f"CREATE TABLE IF NOT EXISTS {self.table} "
                   "(client integer, number bigint, at timestamptz DEFAULT clock_timestamp(), filler text)")
        self.campaign.tables = [*self.campaign.tables[-1:], self.table]
        assert sites.unsettled() is None
        return [server.ask(f"SELECT count(*) FROM {self.table}") for server in sites.servers]

    def befall(self, began):
        for mishap in self.plan:
            wait_until(began + mishap.at)
            if mishap.kind == HEAL:
                self.end_starving()
            mishap.begin(self.sites)
            if mishap.kind == HEAL:
                began = time.monotonic()
            elif mishap.starves(self.writer):
                self.starved.append([time.monotonic_ns(), None])
        time.sleep(self.hold)
        self.end_starving()

    def end_starving(self):
        for window in self.starved:
            window[1] = window[1] or time.monotonic_ns()

    def wait_for_rows(self):
        moment = time.monotonic_ns()
        for writer in self.writers:
            writer.wait_for_rows(5, after=moment, seconds=WRITING_SECONDS)

    def end_writers(self):
        for writer in self.writers:
            writer.stop()

    # What became of it

    def written(self):
        found = []
        for writer in self.writers:
            log = writer.rows_log()
            sessions = iter([*log.sessions, None])
            server, coming = "", next(sessions)
            for row in log.rows:
                while coming is not None and coming.moment <= row.sent:
                    server, coming = coming.server, next(sessions)
                timeline, _, transaction = row.why.partition(".") if row.outcome == "acknowledged" else ("0", "", "0")
                found.append(Written(log.client, row.number, row.sent, row.ended, row.outcome, int(timeline, 16), int(transaction),
                                     server))
        return found

    def judge(self):
        sites = self.sites
        present = wait_for(self.present, SETTLED_SECONDS, "all servers have the same rows", every=0.1)
        group = sites.group()
        written = self.written()
        losses = [self.loss(record) for key, record in sites.losses().items() if key not in self.known_losses]
        turns = [Turn(turn["Epoch"], turn["Timeline"], turn["Parent"], turn["Operation"]) for turn in group["History"]]
        new = [turn for turn in turns if turn.timeline not in self.campaign.timelines]
        self.problems += judge(History(
            written, present, turns, losses, sites.timeline(), self.mode == "synchronous",
            bound_ns=RPO_MS * 1_000_000 if self.mode == "bounded" else 0, bounded_timeline=self.timeline, starved=self.starved,
            readers_lived=len(new) == 1 and all(mishap.spares_readers(self.writer) for mishap in self.plan)))
        self.problems += [fault for node in sites.nodes for process in (node.keeper, node.member) for fault in process.faults]
        outcomes = collections.Counter(row.outcome for row in written)
        lost = sum(row.outcome == "acknowledged" and row.key not in present for row in written)
        self.campaign.timelines |= {turn.timeline for turn in turns}
        self.totals.update(outcomes)
        self.totals.update(turn.operation for turn in new)
        self.totals["lost and reported"] += lost
        self.counted = (f"{', '.join(f'{count} {what}' for what, count in sorted(outcomes.items()))}, {lost} lost, "
                        f"{', '.join(turn.operation for turn in new) or 'no turn'}")

    def present(self):
        """What the writer has, when its readers have the same. A server may yet end for what befell it before the faults ended."""
        sites = self.sites
        why = sites.unsettled()
        assert why is None, why
        found = {(client, number): count for client, number, count in sites.writer().ask(
            f"SELECT client, number, count(*) FROM {self.table} GROUP BY 1, 2")}
        for server in sites.servers:
            (there,), = server.ask(f"SELECT count(*) FROM {self.table}")
            assert there == sum(found.values()), f"{server} has {there} of {sum(found.values())} rows"
        return found

    def loss(self, record):
        """A loss record with its list. Times of commits are turned into those of rows."""
        loss = Loss(record["Epoch"], record.get("Exact", False), record.get("Transactions", 0))
        if not record.get("Aside"):
            return loss
        node = self.sites.server_of(record["Writer"]).node
        listed = node.site.seen_here(record["Aside"]) / "lost-writes.json"
        if not listed.exists():
            loss.total = -1  # which no record says
            return loss
        kept = json.loads(listed.read_text())
        wall_minus_monotonic = time.time_ns() - time.monotonic_ns()
        loss.total = kept["Total"]
        for one in kept["Transactions"]:
            # An old list may name a table by its number: the new writer, asked for the name, did not answer in time.
            if any(table["Table"].endswith(self.table) or table["Table"].startswith("relation ") for table in one["Tables"]):
                committed = datetime.fromisoformat(one["Committed"].replace("Z", "+00:00"))
                loss.listed.append(Listed(one["Transaction"], int(committed.timestamp() * 1e9) - wall_minus_monotonic))
        return loss

    def fail(self):
        story = "(no story)"
        with contextlib.suppress(OSError):
            story = self.sites.story(self.logged)
        pytest.fail(f"seed {SEED}, round {self.number}: {self}\n" + "\n".join(self.problems) +
                    f"\n\nleeward db explain:\n{self.sites.explain()}\n\nlogs:\n{story}\n\n"
                    f"again: make chaos-db SEED={SEED} ROUND={self.number}", pytrace=False)


class Campaign:
    def __init__(self, sites, folder):
        self.sites, self.folder = sites, folder
        self.totals = collections.Counter()
        self.tables = []
        self.timelines = {turn["Timeline"] for turn in sites.group()["History"]}

    def run(self):
        numbers = [int(number) for number in ONLY.split(",")] if ONLY else range(ROUNDS)
        for number in numbers:
            Round(self, number).run()
        print(f"{len(numbers)} rounds: {', '.join(f'{count} {what}' for what, count in sorted(self.totals.items()))}", flush=True)
        assert not MISTAKE, f"the mistake {MISTAKE} was not found"


def test_a_database_survives_whatever_befalls_it(tmp_path):
    print(f"\nLEEWARD_SEED={SEED} LEEWARD_ROUNDS={ROUNDS}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="lwc", dir="/tmp"))  # sockets have short paths
    folder.chmod(0o755)
    sites = None
    try:
        sites = DatabaseSites(folder, LEASE_MS, twins=ROUNDS > 1 or bool(ONLY))
        with sites.entered():
            began = time.monotonic()
            sites.start()
            print(f"the database is there after {time.monotonic() - began:.1f} s", flush=True)
            Campaign(sites, tmp_path).run()
    except Found as found:
        print(f"the mistake {MISTAKE} was found in {found}", flush=True)
    finally:
        if sites is not None:
            sites.close()
        shutil.rmtree(folder, ignore_errors=True)
