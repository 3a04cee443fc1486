"""A PostgreSQL server that the test runs and Leeward does not, attached to a global database by its commands (dist/attach-pg_ctl.sh).

    site = Site("west", "127.0.0.9", module=True)     makes NAME.conf in site.attachments; no data yet
    world = Databases(sandbox, options=("--database-attach", site.attachments))
    site.kill()                                                     SIGKILL of all its processes
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import postgres
from process import BUILD, ROOT

NAME = "site"
COMMANDS = ROOT / "dist" / "attach-pg_ctl.sh"


class Site:
    def __init__(self, region, address, port=5432, module=True, fence=False):
        # Not among pytest's folders, which are closed to other users again whenever another run begins.
        self.folder = postgres.own_folder(tempfile.mkdtemp(prefix="lwsite", dir="/tmp"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.address, self.port = address, port
        self.attachments = self.folder / "attach.d"
        self.attachments.mkdir(mode=0o755)
        postgres.own_folder(self.data).chmod(0o700)
        self.make_certificate()
        self.configure(module)
        self.describe(region, fence)

    @property
    def conninfo(self):
        return f"host={self.folder} port={self.port} user=rdsadmin dbname=rdsadmin"

    @property
    def lease_file(self):
        return self.folder / "lease"

    def own(self, path, mode):
        path.chmod(mode)
        if os.getuid() == 0:
            user = postgres._passwd(postgres.ROLE)
            os.chown(path, user.pw_uid, user.pw_gid)

    def make_certificate(self):
        subprocess.run(["openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=site", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-keyout", self.folder / "key", "-out", self.folder / "crt"],
                       check=True, capture_output=True, timeout=60)
        self.own(self.folder / "key", 0o600)
        self.own(self.folder / "crt", 0o644)

    def configure(self, module):
        settings = {"listen_addresses": self.address, "port": self.port, "unix_socket_directories": self.folder, "ssl": "on",
                    "ssl_cert_file": self.folder / "crt", "ssl_key_file": self.folder / "key", "max_connections": 200,
                    "max_wal_senders": 24, "max_replication_slots": 24, "wal_keep_size": "256MB", "wal_retrieve_retry_interval": "20ms",
                    "wal_receiver_status_interval": "1s", "wal_receiver_timeout": "5s", "wal_sender_timeout": "5s",
                    "shared_buffers": "64MB", "log_line_prefix": "%m [%p] "}
        if module:
            settings |= {"shared_preload_libraries": "leeward_fence", "dynamic_library_path": f"{BUILD}:$libdir",
                         "leeward.lease_file": self.lease_file}
        (self.data / "postgresql.conf").write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()))
        (self.data / "pg_hba.conf").write_text("local all all trust\nhostssl replication rdsrepladmin all scram-sha-256\n"
                                               "hostssl all all all scram-sha-256\n")
        (self.data / "pg_ident.conf").write_text("")
        for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
            self.own(self.data / name, 0o600)

    def describe(self, region, fence):
        words = f"{COMMANDS} {shlex.quote(str(self.data))}"
        verbs = ["status", "start", "stop", "follow", "rewind", "rebuild"]
        lines = [f"region = {region}", f"address = {self.address}", f"port = {self.port}", f"connection = {self.conninfo}",
                 f"lease-file = {self.lease_file}", *(f"{verb} = {words}" for verb in verbs)]
        if fence:
            lines.append(f"fence = shell test -e {self.permit} && exec {words}")
        path = self.attachments / f"{NAME}.conf"
        path.write_text("\n".join(["# An attached server.", *lines, ""]))
        path.chmod(0o644)

    @property
    def permit(self):
        """Without it, the fence command fails."""
        return self.folder / "may-fence"

    def allow_fence(self):
        self.permit.touch()

    def pid(self):
        return postgres.postmaster_pid(self.data)

    def running(self):
        """One that was killed may wait for somebody to reap it."""
        try:
            return Path(f"/proc/{self.pid()}/stat").read_text().rpartition(") ")[2][0] != "Z"
        except OSError:
            return False

    def kill(self):
        postgres.kill_family([self.pid()])

    # What a sandbox does at the end.

    def stop(self):
        self.end()

    def end(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
