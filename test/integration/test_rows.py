"""The judge of databases under fault, and the client whose rows it judges, must themselves be right: the judge is shown logs with
every fault, the client real servers that fail in every way.
"""

import json
import os
import signal
import subprocess
import sys
import time

import postgres
import pytest
import rows
from process import ROOT, wait_for
from rows import Log, Writer, judge, outage, present

MS = 10**6


def log_of(*lines, begin=0, end=None):
    text = [f"begin {begin} 1 rows", *lines] + ([f"end {end}"] if end is not None else [])
    return Log("\n".join(text) + "\n")


def row(number, outcome="acknowledged", sent=None, ended=None, why="-"):
    sent = number * MS if sent is None else sent
    return f"row {number} {sent} {ended if ended is not None else sent + 1} {outcome} {why}"


# The judge


def test_rows_that_are_all_there_are_no_fault():
    verdict = judge(log_of(row(1), row(2), end=3 * MS), {1: 1, 2: 1})
    assert verdict["acknowledged"] == 2
    assert not any(verdict[name] for name in ("lost", "duplicated", "unknown_there", "refused_there", "foreign", "unknown"))


def test_an_acknowledged_row_that_is_not_there_is_lost():
    verdict = judge(log_of(row(1), row(2), row(3)), {1: 1, 3: 1})
    assert (verdict["lost"], verdict["lost_rows"]) == (1, [2])


def test_a_row_that_is_there_twice_is_a_duplicate():
    assert judge(log_of(row(1)), {1: 2})["duplicated_rows"] == [1]


def test_an_unknown_row_may_be_there_or_not():
    verdict = judge(log_of(row(1, "unknown"), row(2, "unknown")), {2: 1})
    assert (verdict["unknown"], verdict["unknown_there"], verdict["lost"], verdict["foreign"]) == (2, 1, 0, 0)


def test_a_refused_row_that_is_there_is_a_fault():
    verdict = judge(log_of(row(1, "refused", why="25006")), {1: 1})
    assert (verdict["refused"], verdict["refused_there_rows"]) == (1, [1])


def test_a_row_that_nobody_sent_is_a_fault_but_for_the_last_of_a_client_that_was_killed():
    assert judge(log_of(row(1)), {1: 1, 2: 1, 7: 1})["foreign_rows"] == [7]
    assert judge(log_of(row(1), end=9), {1: 1, 2: 1})["foreign_rows"] == [2]


def test_the_outage_is_the_longest_time_between_two_acknowledgements():
    log = log_of(row(1), row(2), row(3, "unknown"), row(90), row(91), end=92 * MS)
    assert (outage(log).start, outage(log).end, outage(log).ended) == (2 * MS + 1, 90 * MS + 1, True)


def test_an_outage_that_was_over_before_is_not_told():
    log = log_of(row(1), row(50), row(51), row(60), end=61 * MS)
    assert outage(log).start == 1 * MS + 1
    assert outage(log, since=52 * MS).start == 51 * MS + 1
    assert outage(log, until=40 * MS).start == 1 * MS + 1


def test_a_time_without_acknowledgements_up_to_the_end_counts_and_has_not_ended():
    gap = outage(log_of(row(1), row(2), row(3, "unknown", ended=80 * MS), end=95 * MS))
    assert (gap.start, gap.end, gap.ended) == (2 * MS + 1, 95 * MS, False)
    assert outage(log_of(row(1), begin=1)).start == 1 and outage(Log("")) is None


def test_a_line_that_is_not_whole_is_left_out_and_a_broken_one_is_named():
    log = Log("begin 0 1 rows\n" + row(1) + "\nrow 2 20")
    assert [one.number for one in log.rows] == [1]
    log.feed("00 2001 acknowledged -\n")
    assert [one.number for one in log.rows] == [1, 2]
    with pytest.raises(ValueError, match="line 2"):
        Log("begin 0 1 rows\nrow 1 1 1 perhaps -\n")


# The client, with real servers

TABLE = "CREATE TABLE rows (client integer, number bigint, at timestamptz DEFAULT now(), filler text); "
needs_servers = pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data directory to copy: initdb takes the best part of a second."""
    return postgres.Server(tmp_path_factory.mktemp("made"), "127.0.0.1").make()


@pytest.fixture
def servers(sandbox, made):
    """Starts servers that know nothing of each other."""
    def make(count):
        found = []
        for number in range(count):
            server = sandbox.add(postgres.Server(sandbox.folder / f"server{number}", sandbox.address()))
            subprocess.run(["cp", "-a", str(made.data), str(server.data)], check=True)
            server.configure()
            found.append(server.start())
        for server in found[1:]:  # the client makes it where it comes first
            server.query(TABLE)
        return found
    return make


def both(servers, key):
    return ",".join(str(getattr(server, key)) for server in servers)


def writer_of(sandbox, *servers, **options):
    conninfo = f"host={both(servers, 'address')} port={both(servers, 'port')} user=postgres dbname=postgres"
    return sandbox.add(Writer(sandbox.folder / "writer", conninfo, **options))


@needs_servers
def test_every_acknowledged_row_is_there(sandbox, servers):
    server, = servers(1)
    writer = writer_of(sandbox, server).start()
    writer.wait_for_rows(50)
    assert writer.stop() == 0
    log = writer.rows_log()
    verdict = judge(log, present(server.conninfo))
    assert verdict["acknowledged"] >= 50 and log.end is not None and verdict["sessions"] == 1
    assert not any(verdict[name] for name in ("lost", "duplicated", "foreign", "refused", "refused_there"))
    server.query("DELETE FROM rows WHERE number = 7; INSERT INTO rows (client, number) VALUES (1, 8)")
    run = subprocess.run([sys.executable, ROOT / "test" / "lib" / "rows.py", writer.output, server.conninfo],
                         capture_output=True, text=True)
    told = json.loads(run.stdout)
    assert (run.returncode, told["lost_rows"], told["duplicated_rows"]) == (1, [7], [8])


@needs_servers
def test_a_row_whose_commit_fails_is_refused_although_its_command_was_complete(sandbox, servers):
    server, = servers(1)
    server.query(TABLE + "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = '25006'; END $$; "
                 "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON rows DEFERRABLE INITIALLY DEFERRED "
                 "FOR EACH ROW WHEN (NEW.number % 2 = 0) EXECUTE FUNCTION fail()")
    writer = writer_of(sandbox, server, rows=10).start()
    wait_for(lambda: not writer.running(), 20, "ten rows")
    log = writer.rows_log()
    verdict = judge(log, present(server.conninfo))
    assert (verdict["acknowledged"], verdict["refused"], verdict["unknown"]) == (5, 5, 0)
    assert (verdict["lost"], verdict["refused_there"]) == (0, 0)
    assert {one.why for one in log.rows if one.outcome == "refused"} == {"25006"}


@needs_servers
def test_the_first_host_that_accepts_writes_is_taken_and_another_one_when_it_dies(sandbox, servers):
    first, second, third = servers(3)
    first.query("ALTER SYSTEM SET default_transaction_read_only = on")
    first.query("SELECT pg_reload_conf()")
    wait_for(lambda: first.query("SHOW default_transaction_read_only") == [["on"]], 10)
    writer = writer_of(sandbox, first, second, third).start()
    writer.wait_for_rows(20)
    moment = time.monotonic_ns()
    second.kill_all()
    writer.wait_for_rows(20, after=moment)
    writer.stop()
    log = writer.rows_log()
    servers_taken = [session.server for session in log.sessions]
    assert servers_taken == [f"{one.address}:{one.port}" for one in (second, third)]
    gap = outage(log, since=moment)
    assert gap.end > moment and gap.ended
    # What the dead server had is not there: the judge says so.
    verdict = judge(log, present(third.conninfo), since=moment)
    assert verdict["lost"] >= 20 and verdict["unknown"] <= 2


@needs_servers
def test_a_server_that_hangs_is_left_after_the_bound_and_its_row_is_unknown(sandbox, servers):
    first, second = servers(2)
    writer = writer_of(sandbox, first, second, answer_ms=300, connect_ms=300).start()
    writer.wait_for_rows(20)
    stopped = postgres.family([first.pid])
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    moment = time.monotonic_ns()
    try:
        writer.wait_for_rows(20, after=moment)
        writer.stop()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    log = writer.rows_log()
    assert [one.why for one in log.rows if one.outcome == "unknown"] in (["timeout"], ["timeout", "stopped"])
    assert judge(log, present(second.conninfo), since=moment)["outage_ms"] >= 300


def test_the_client_says_what_it_takes(sandbox):
    def run(*words):
        return subprocess.run([rows.CLIENT, *words], capture_output=True, text=True)
    assert "target_session_attrs" in run("--help").stdout or "CONNINFO" in run("--help").stdout
    assert run().returncode == 2 and "usage" in run().stderr
    for wrong in (["--rows=x", "host=a"], ["--table=a b", "host=a"], ["--nothing", "host=a"], ["nonsense=1"]):
        assert run(*wrong).returncode == 2, wrong
