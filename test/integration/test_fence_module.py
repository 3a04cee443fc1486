"""The module that fences a PostgreSQL server (src/database/fence), in a real server, against real clients: whatever a
client does, nothing is acknowledged without a lease, nor, with leeward.strict, without a synchronous standby."""

import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

psycopg2 = pytest.importorskip("psycopg2")

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "build" / "leeward_fence.so"
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
REFUSED = "25006"
NOBODY = 65534

pytestmark = [pytest.mark.skipif(not BINARIES, reason="PostgreSQL is not installed"),
              pytest.mark.skipif(not MODULE.exists(), reason="this build has no module")]


def boottime():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wait_until(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


class Lease:
    """The agent's side of the lease file (src/database/fence/lease_file.h)."""

    def __init__(self, path):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
        with open(path, "wb") as file:
            head = struct.pack("<QIIQQ", 0x31657361656C774C, 1, 4096, int(boot[:16], 16), int(boot[16:], 16))
            file.write(head.ljust(4096, b"\0"))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)

    def hold(self, seconds=3600.0):
        self.map[48:56] = struct.pack("<q", boottime() + int(seconds * 1e9))

    def drop(self):
        self.map[48:56] = bytes(8)

    def read(self, index):
        return struct.unpack_from("<q", self.map, 56 + 8 * index)[0]

    fenced = property(lambda self: self.read(0))
    guard = property(lambda self: self.read(1))
    refused = property(lambda self: self.read(2))
    unacknowledged = property(lambda self: self.read(3))
    strict = property(lambda self: self.read(4))

    def free(self, seconds):
        """Commits need no standby for so long."""
        self.map[96:104] = struct.pack("<q", boottime() + int(seconds * 1e9))


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.process = None
        self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.run("initdb", "-D", folder / "data", "-U", "admin", "-A", "trust", "-N")
        self.lease = Lease(folder / "lease")
        if self.user:
            os.chown(folder / "lease", NOBODY, NOBODY)
        self.configure()

    def run(self, program, *arguments):
        subprocess.run([BINARIES[-1] / program, *arguments], check=True, env={}, cwd="/", timeout=60,
                       stdout=subprocess.DEVNULL, **self.user)

    def configure(self, **settings):
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
                    "shared_preload_libraries": "leeward_fence", "max_prepared_transactions": 10,
                    "dynamic_library_path": f"{MODULE.parent}:$libdir", "leeward.lease_file": self.folder / "lease",
                    "shared_buffers": "16MB", "wal_level": "replica", "max_wal_senders": 4} | settings
        text = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        (self.folder / "data" / "postgresql.conf").write_text(text)

    def reload(self, name, value, **settings):
        self.configure(**settings)
        os.kill(self.process.pid, signal.SIGHUP)
        with self.connect() as conn:
            wait_until(lambda: one(conn, f"show {name}") == value, "the settings are read")

    def start(self, wait=True):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([BINARIES[-1] / "postgres", "-D", self.folder / "data"], env={}, cwd="/",
                                            stdout=log, stderr=log, **self.user)
        if wait:
            wait_until(self.accepts, "the server starts")

    def accepts(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            self.connect("admin").close()
        except psycopg2.OperationalError:
            return False
        return True

    def connect(self, user="clerk"):
        conn = psycopg2.connect(host="127.0.0.1", port=self.port, user=user, dbname="postgres", connect_timeout=60)
        conn.autocommit = True
        return conn

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(timeout=120)

    def pause_guard(self):
        """What the module refuses is to be seen without its background worker, which ends the server."""
        wait_until(lambda: self.lease.guard, "the guard runs")
        os.kill(self.lease.guard, signal.SIGSTOP)

    def let_guard(self):
        os.kill(self.lease.guard, signal.SIGCONT)


def one(conn, statement):
    with conn.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def refused(conn, statement):
    with pytest.raises(psycopg2.Error) as caught:
        one(conn, statement)
    assert caught.value.pgcode == REFUSED, f"{statement}: {caught.value}"


class Call(threading.Thread):
    """A statement in a session of its own; how it ended."""

    def __init__(self, server, statement, *before):
        super().__init__(daemon=True)
        self.conn = server.connect()
        for earlier in before:
            one(self.conn, earlier)
        self.pid = self.conn.info.backend_pid
        self.statement = statement
        self.error = None
        self.start()

    def run(self):
        try:
            one(self.conn, self.statement)
        except psycopg2.Error as error:
            self.error = error

    def ended_unacknowledged(self):
        self.join(10)
        assert not self.is_alive(), self.statement
        assert self.error is not None, f"{self.statement}: was acknowledged"
        assert self.conn.closed, f"{self.statement}: {self.error}"


def waits_for_standby(server, call):
    with server.connect() as conn:
        wait_until(lambda: one(conn, f"select wait_event from pg_stat_activity where pid = {call.pid}") == "SyncRep",
                   f"{call.statement}: waits for a standby")


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="leeward-fence-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    server = Server(folder)
    try:
        server.lease.hold()
        server.start()
        with server.connect("admin") as conn:
            one(conn, "create role clerk superuser login")
        with server.connect() as conn:
            one(conn, "create table t (n int); create sequence s; create table copy as select 1 as n;"
                      "create procedure twice(a int) language plpgsql as "
                      "'begin insert into t values (a); commit; insert into t values (a + 1); commit; end';"
                      "create role master login createdb createrole; create role rdsrepladmin login replication")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(cluster):
    """Runs, has a lease, commits without a standby."""
    if cluster.process.poll() is not None:
        cluster.configure()
        cluster.lease.hold()
        cluster.start()
    cluster.lease.hold()
    with cluster.connect() as conn:
        if one(conn, "show synchronous_standby_names") != "":
            cluster.reload("synchronous_standby_names", "")
    yield cluster
    if cluster.process.poll() is None and cluster.lease.guard:
        cluster.lease.hold()
        cluster.let_guard()


def test_every_kind_of_write_is_refused_without_a_lease_and_reads_are_not(server):
    conn = server.connect()
    one(conn, "begin; insert into t values (1); prepare transaction 'a'")
    one(conn, "begin; insert into t values (1); prepare transaction 'b'")
    large = one(conn, "select lo_create(0)")
    server.pause_guard()
    server.lease.drop()
    before = server.lease.refused
    statements = ["insert into t values (2)", "update copy set n = 2", "delete from copy", "truncate copy",
                  "begin; insert into t values (2); commit", "create table more (n int)", "drop table copy",
                  "select nextval('s')", "select * from copy for update", f"select lo_unlink({large})",
                  "begin; insert into t values (2); prepare transaction 'c'", "commit prepared 'a'",
                  "rollback prepared 'b'", "call twice(10)", "create database other", "create role somebody",
                  "with gone as (delete from copy returning n) select n from gone"]
    for how in ("on", "local", "off", "remote_apply"):
        one(conn, f"set synchronous_commit = {how}")
        for statement in statements[:2]:
            refused(conn, statement)
    for statement in statements:
        refused(conn, statement)
        one(conn, "rollback")
    assert server.lease.refused >= before + len(statements)
    assert one(conn, "select count(*) from t") == 0
    assert one(conn, "select count(*) from pg_prepared_xacts") == 2
    server.lease.hold()
    one(conn, "commit prepared 'a'; ")
    one(conn, "rollback prepared 'b'")
    one(conn, "call twice(20)")
    assert one(conn, "select sum(n) from t") == 1 + 20 + 21


def test_a_transaction_that_outlives_the_lease_is_refused_at_its_commit(server):
    conn = server.connect()
    one(conn, "begin")
    one(conn, "insert into t values (100)")
    server.pause_guard()
    server.lease.hold(0.05)
    wait_until(lambda: boottime() > struct.unpack_from("<q", server.lease.map, 48)[0], "the deadline passes")
    refused(conn, "commit")
    assert one(conn, "select count(*) from t where n = 100") == 0


def test_a_notification_is_not_acknowledged_without_a_lease(server):
    server.pause_guard()
    server.lease.drop()
    Call(server, "notify channel, 'text'").ended_unacknowledged()


def test_a_server_without_a_lease_ends_by_itself_and_its_sessions_with_it(server):
    conn = server.connect()
    server.lease.drop()
    assert server.process.wait(timeout=120) == 0  # a fast shutdown: it is clean
    assert server.lease.fenced
    with pytest.raises(psycopg2.OperationalError):
        one(conn, "select 1")
    assert conn.closed


def test_it_ends_also_when_it_is_started_without_one(server):
    server.stop()
    server.lease.drop()
    server.start(wait=False)
    assert server.process.wait(timeout=120) == 0


def test_a_stopped_postmaster_keeps_no_session_alive(server):
    conn = server.connect()
    os.kill(server.process.pid, signal.SIGSTOP)
    server.lease.drop()
    refused(conn, "insert into t values (200)")
    wait_until(lambda: ended(conn), "the guard ends the sessions")
    os.kill(server.process.pid, signal.SIGCONT)
    server.process.wait(timeout=120)


def ended(conn):
    try:
        one(conn, "select 1")
    except psycopg2.Error:
        return conn.closed
    return False


def test_what_was_stopped_as_a_whole_does_not_commit_when_it_goes_on(server):
    call_conn = server.connect()
    one(call_conn, "begin")
    one(call_conn, "insert into t values (300)")
    wait_until(lambda: server.lease.guard, "the guard runs")
    pids = [server.process.pid, server.lease.guard, call_conn.info.backend_pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    server.lease.hold(0.05)
    commit = Call.__new__(Call)
    threading.Thread.__init__(commit, daemon=True)
    commit.conn, commit.statement, commit.error = call_conn, "commit", None
    commit.start()
    wait_until(lambda: boottime() > struct.unpack_from("<q", server.lease.map, 48)[0], "the deadline passes")
    os.kill(pids[2], signal.SIGCONT)
    commit.join(10)
    assert commit.error is not None and commit.error.pgcode == REFUSED
    for pid in pids[:2]:
        os.kill(pid, signal.SIGCONT)
    server.process.wait(timeout=120)


def test_a_lease_that_runs_out_while_a_commit_waits_for_a_standby_ends_the_session(server):
    server.pause_guard()
    server.reload("synchronous_standby_names", "nobody", synchronous_standby_names="nobody")
    calls = [Call(server, "insert into t values (400)"),
             Call(server, "prepare transaction 'd'", "begin", "insert into t values (401)")]
    for call in calls:
        waits_for_standby(server, call)
    before = server.lease.unacknowledged
    server.lease.drop()
    server.reload("synchronous_standby_names", "")
    for call in calls:
        call.ended_unacknowledged()
    assert server.lease.unacknowledged == before + 2
    server.lease.hold()
    conn = server.connect()
    assert one(conn, "select count(*) from t where n = 400") == 1  # it was committed: the client does not know
    one(conn, "rollback prepared 'd'")


def test_a_wait_for_a_standby_that_is_cancelled_is_never_acknowledged(server):
    conn = server.connect()
    one(conn, "begin; insert into t values (500); prepare transaction 'e'")
    server.reload("synchronous_standby_names", "nobody", synchronous_standby_names="nobody",
                  **{"leeward.strict": "on"})
    calls = [Call(server, "insert into t values (501)"),
             Call(server, "insert into t values (502)", "set synchronous_commit = off"),
             Call(server, "insert into t values (503)", "set synchronous_commit = local"),
             Call(server, "insert into t values (504)", "set synchronous_commit = remote_write"),
             Call(server, "commit prepared 'e'", "set synchronous_commit = off"),
             Call(server, "prepare transaction 'f'", "begin", "insert into t values (505)"),
             Call(server, "call twice(506)"),
             Call(server, "insert into t values (508); select 1; insert into t values (509)")]
    for call in calls:
        waits_for_standby(server, call)
        call.conn.cancel()
    for call in calls:
        if call.is_alive():  # PREPARE and COMMIT PREPARED wait once more
            call.conn.cancel()
        call.ended_unacknowledged()
    ended_by_hand = Call(server, "insert into t values (510)")
    waits_for_standby(server, ended_by_hand)
    os.kill(ended_by_hand.pid, signal.SIGTERM)
    ended_by_hand.ended_unacknowledged()
    server.reload("synchronous_standby_names", "")
    one(server.connect(), "rollback prepared 'f'")


def test_strictness_counts_at_once_also_in_a_session_that_reads_its_settings_late(server):
    gate = server.connect()
    one(gate, "select pg_advisory_lock(1)")
    late = Call(server, "do 'begin perform pg_advisory_lock(1); insert into t values (600); end'",
                "set synchronous_commit = local")
    wait_until(lambda: one(gate, f"select wait_event from pg_stat_activity where pid = {late.pid}") == "advisory", "it waits")
    server.reload("synchronous_standby_names", "nobody", synchronous_standby_names="nobody")
    with server.connect() as conn:
        wait_until(lambda: one(conn, "show leeward.waiting") == "on", "the checkpointer reads the settings")
    assert not server.lease.strict
    server.reload("leeward.strict", "on", synchronous_standby_names="nobody", **{"leeward.strict": "on"})
    assert server.lease.strict == 1
    one(gate, "select pg_advisory_unlock(1)")
    waits_for_standby(server, late)  # although what it read says that it need not
    late.conn.cancel()
    late.ended_unacknowledged()
    server.reload("leeward.strict", "off", synchronous_standby_names="nobody")
    assert server.lease.strict == 0
    one(server.connect(), "set synchronous_commit = local; insert into t values (601)")
    server.reload("synchronous_standby_names", "")


def test_who_is_told_nothing_and_what_no_standby_has_does_not_wait(server):
    conn = server.connect()
    one(conn, "create temp table mine (n int)")
    server.reload("leeward.strict", "on", synchronous_standby_names="nobody", **{"leeward.strict": "on"})
    one(server.connect("admin"), "insert into t values (610)")
    one(conn, "insert into mine values (1)")
    assert one(conn, "select count(*) from mine") == 1
    server.reload("leeward.strict", "off", synchronous_standby_names="nobody")
    server.reload("synchronous_standby_names", "")


def test_commits_do_not_wait_until_the_moment_that_the_agent_wrote_down(server):
    server.lease.free(3600)
    server.reload("leeward.strict", "on", synchronous_standby_names="nobody", **{"leeward.strict": "on"})
    conn = server.connect()
    one(conn, "insert into t values (620)")
    assert one(conn, "show synchronous_commit") == "on"  # of this session still
    one(conn, "begin; insert into t values (621); prepare transaction 'g'")
    one(conn, "commit prepared 'g'")
    server.lease.free(-1)
    call = Call(server, "insert into t values (622)")
    waits_for_standby(server, call)
    server.lease.free(3600)
    call.conn.cancel()  # PostgreSQL says that it is committed here, and it may by now
    call.join(10)
    assert not call.is_alive() and call.error is None
    server.reload("leeward.strict", "off", synchronous_standby_names="nobody")
    server.reload("synchronous_standby_names", "")
    server.lease.free(-1)


def test_a_crashed_backend_does_not_lift_the_fence(server):
    conn = server.connect()
    os.kill(conn.info.backend_pid, signal.SIGKILL)
    wait_until(lambda: ended(conn), "the crash is seen")
    wait_until(server.accepts, "the server recovers")
    conn = server.connect()
    one(conn, "insert into t values (600)")
    server.pause_guard()
    server.lease.drop()
    refused(conn, "insert into t values (601)")


def test_a_master_user_gets_no_more_than_it_was_given(server):
    conn = server.connect("master")
    for statement in ("grant pg_execute_server_program to master", "grant pg_write_server_files to master",
                      "create role mine in role pg_read_server_files", "alter role rdsrepladmin password 'x'",
                      "alter role rdsrepladmin set work_mem = '1MB'", "drop role rdsrepladmin",
                      "alter role rdsrepladmin rename to other", "grant rdsrepladmin to master"):
        with pytest.raises(psycopg2.Error) as caught:
            one(conn, statement)
        assert caught.value.pgcode == "42501", statement
    one(conn, "create role another login")
    one(conn, "grant another to master")


def test_without_a_lease_file_it_does_not_start(server):
    server.stop()
    server.configure(**{"leeward.lease_file": "/nonexistent"})
    run = subprocess.run([BINARIES[-1] / "postgres", "-D", server.folder / "data"], env={}, cwd="/", timeout=120,
                         capture_output=True, text=True, check=False, **server.user)
    assert run.returncode != 0
    assert "lease file" in run.stderr
