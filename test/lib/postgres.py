"""PostgreSQL servers run by hand, in folders of their own: for benchmarks, and for tests that need servers nobody keeps.

    east = Server(folder / "east", "127.16.1.2").make().start()
    west = Server(folder / "west", "127.16.1.3", peer=east).copy().start()
    query(east.conninfo, "SELECT 1")                  rows of columns, all text
    east.kill_all()                                   SIGKILL of the postmaster and each of its children at once

PostgreSQL refuses to run as root: where the run is root's, servers (and whatever else is started with as_user) are `postgres`.
"""

import os
import shutil
import signal
import struct
import subprocess
from pathlib import Path

from process import Process, clean_environment, free_port

ROLE = "postgres"  # superuser of these servers, and the system's user that runs them when the run is root's
CLUSTER_FILE = "global/pg_control"
SETTINGS = {
    "shared_buffers": "64MB", "wal_keep_size": "1GB", "max_wal_senders": "10", "hot_standby": "on", "wal_log_hints": "on",
    "wal_retrieve_retry_interval": "100ms", "unix_socket_directories": "''", "max_connections": "50",
}


def binaries():
    """Where the programs of the newest PostgreSQL of Debian are, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def as_user():
    """What stands before a command that must not run as root."""
    return ["setpriv", f"--reuid={ROLE}", f"--regid={ROLE}", "--init-groups", "--"] if os.getuid() == 0 else []


def missing():
    """What keeps this machine from running servers, or None."""
    if binaries() is None:
        return "PostgreSQL is not installed (Debian: postgresql-15)"
    if as_user() and (shutil.which("setpriv") is None or _passwd(ROLE) is None):
        return f"no user {ROLE} to run servers as"
    return None


def _passwd(name):
    import pwd
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def own_folder(folder):
    """Makes the folder, for the servers' user; it must be able to get there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        user = _passwd(ROLE)
        os.chown(folder, user.pw_uid, user.pw_gid)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)  # to pass through, not to look
    return folder


def environment(folder):
    return clean_environment(HOME=str(folder), PATH=f"{binaries()}:/usr/sbin:/usr/bin:/sbin:/bin", PGCONNECT_TIMEOUT="30",
                             USER=ROLE, LOGNAME=ROLE)


def query(conninfo, sql, timeout=120):
    """The rows of the answer, each a list of text; what psql said is an AssertionError."""
    run = subprocess.run([binaries() / "psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-c", sql],
                         capture_output=True, text=True, timeout=timeout, env=clean_environment(PGCONNECT_TIMEOUT="30"),
                         stdin=subprocess.DEVNULL)
    assert run.returncode == 0, f"{sql}: {run.stderr.strip()}"
    return [line.split("\t") for line in run.stdout.splitlines()]


def family(roots):
    """The process ids of these and of all that descend from them, parents first."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = stat.read_text().partition(" (")
        except OSError:  # it ended meanwhile
            continue
        children.setdefault(int(rest.rpartition(") ")[2].split()[1]), []).append(int(pid))
    found = list(roots)
    for pid in found:
        found += [child for child in children.get(pid, []) if child not in found]
    return found


def kill_family(roots):
    """SIGKILL to all of them, and to what they started meanwhile."""
    roots = [pid for pid in roots if pid]
    for _ in range(2):
        for pid in family(roots):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def postmaster_pid(data):
    """None when there is none, or was killed."""
    try:
        pid = int((Path(data) / "postmaster.pid").read_text().split()[0])
        running = Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except (OSError, ValueError, IndexError):
        return None
    return pid if running else None


class Control:
    """What pg_control says, read without a program: for waits in which milliseconds count (PostgreSQL 13 to 17)."""

    STATES = ("starting", "shut down", "shut down in recovery", "shutting down", "crash recovery", "archive recovery",
              "in production")

    def __init__(self, data):
        raw = (Path(data) / CLUSTER_FILE).read_bytes()
        self.system, _version, _catalog, state = struct.unpack_from("=QIII", raw)
        self.state = self.STATES[state]
        self.checkpoint, self.redo, self.timeline = struct.unpack_from("=QQI", raw, 32)


class Server(Process):
    """One server. `peer`: the Server that it follows when it is a standby, and copies. `doubted`: roles who must know their password."""

    def __init__(self, folder, address, port=None, peer=None, settings=None, prefix=(), nets=("127.0.0.0/8",), doubted=()):
        folder = own_folder(folder)
        self.data = folder / "data"
        self.address, self.port = address, port or free_port(address)
        self.peer = peer
        self.settings = {**SETTINGS, **(settings or {})}
        self.nets = nets
        self.doubted = doubted
        self.front = [*prefix, *as_user()]
        super().__init__("postgres", [*self.front, binaries() / "postgres", "-D", self.data], folder, environment(folder))

    @property
    def conninfo(self):
        return f"host={self.address} port={self.port} user={ROLE} dbname=postgres"

    def run_program(self, program, *words):
        done = subprocess.run([*self.front, str(binaries() / program), *[str(word) for word in words]], capture_output=True,
                              text=True, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{program}: {done.stderr.strip()}"
        return done.stdout

    def write(self, name, text):
        """A file in the data directory, which the server's user owns."""
        path = self.data / name
        path.write_text(text)
        if os.getuid() == 0:
            user = _passwd(ROLE)
            os.chown(path, user.pw_uid, user.pw_gid)

    def make(self, *words):
        """words: more for initdb."""
        self.run_program("initdb", "-D", self.data, "-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                         "--data-checksums", *words)
        self.configure()
        return self

    def copy(self):
        """A standby of the peer, from a base backup."""
        self.run_program("pg_basebackup", "-D", self.data, "-d", self.peer.conninfo, "-c", "fast", "-X", "stream", "--no-sync")
        self.configure()
        self.be_standby()
        return self

    def configure(self):
        """Writes its own settings behind what initdb or the peer had."""
        settings = {**self.settings, "listen_addresses": f"'{self.address}'", "port": str(self.port),
                    "primary_conninfo": f"'{self.peer.conninfo}'" if self.peer else "''"}
        self.write("postgresql.auto.conf", "".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.write("pg_hba.conf", "".join([f"host all {role} {net} scram-sha-256\n" for net in self.nets for role in self.doubted] +
                                          [f"host {which} all {net} trust\n" for net in self.nets
                                           for which in ("all", "replication")]))

    def be_standby(self):
        self.write("standby.signal", "")

    def start(self, seconds=30):
        self.spawn()
        self.wait_until(self.answers, seconds, "the server answers")
        return self

    def answers(self):
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        except (OSError, IndexError):
            return False

    def query(self, sql):
        return query(self.conninfo, sql)

    def promote(self):
        """Not by pg_ctl, which looks only every 100 ms whether it is done."""
        self.write("promote", "")
        os.kill(self.pid, signal.SIGUSR1)

    def kill_all(self):
        self.wanted_dead = True
        if self.running():
            kill_family([self.pid])
            self.end()

    def stop(self, seconds=30):
        """The fast shutdown."""
        if self.running():
            os.kill(self.pid, signal.SIGINT)
        return super().stop(seconds) if self.popen is not None else 0
