#!/usr/bin/python3
"""etcd as several sites have it: members of one cluster on loopback, their data in a temporary folder, fsync as it is.

    test/lib/etcd.py [--members N] COMMAND [WORD...]

runs the command with LEEWARD_TEST_ETCD set to the members' client URLs (commas between them), then ends the cluster.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from process import Process, free_port

ETCD = "/usr/bin/etcd"
# What docs/sites.md tells operators to set, on one network.
FLAGS = ["--heartbeat-interval=50", "--election-timeout=500", "--pre-vote", "--max-txn-ops=8192", "--max-request-bytes=16777216",
         "--quota-backend-bytes=4294967296", "--logger=zap", "--log-outputs=stderr", "--log-level=warn"]


class Member(Process):
    """One etcd. kill, pause and resume act on it as on any program; start begins it again with its data.

    ports: for peers and for clients. prefix: what stands before the command (test/lib/network.py).
    """

    def __init__(self, cluster, number, folder, address, ports=None, prefix=()):
        folder.mkdir(parents=True, exist_ok=True)
        self.cluster = cluster
        self.address = address
        self.prefix = list(prefix)
        self.label = f"m{number}"
        self.data = folder / "data"
        peer_port, client_port = ports or (free_port(address), free_port(address))
        self.peer = f"{cluster.peer_scheme}://{address}:{peer_port}"
        self.client = f"{cluster.scheme}://{address}:{client_port}"
        super().__init__(f"etcd-{number}", [], folder)

    def start(self):
        self.command = [
            *self.prefix, ETCD, f"--name={self.label}", f"--data-dir={self.data}",
            f"--listen-peer-urls={self.peer}", f"--initial-advertise-peer-urls={self.peer}",
            f"--listen-client-urls={self.client}", f"--advertise-client-urls={self.client}",
            "--initial-cluster=" + ",".join(f"{m.label}={m.peer}" for m in self.cluster.members),
            f"--initial-cluster-token={self.cluster.token}", *FLAGS, *self.cluster.flags]
        return self.spawn()

    def ask(self, path, question=None, timeout=5):
        """The gateway's answer to a POST; None while there is none."""
        request = urllib.request.Request(self.client + path, json.dumps(question or {}).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self.cluster.context) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def leads(self):
        status = self.ask("/v3/maintenance/status", timeout=1)
        return status is not None and status["leader"] == status["header"]["member_id"]


class Cluster:
    """`count` members; nothing runs before start. sites: of test/lib/network.py, a member at each."""

    def __init__(self, folder, count=3, address="127.0.0.1", flags=(), scheme="http", context=None, token="leeward-test",
                 sites=None):
        self.scheme = scheme
        self.peer_scheme = "http"
        self.context = context
        self.flags = list(flags)
        self.token = token
        self.members = []
        for number in range(count if sites is None else len(sites)):
            at = (address,) if sites is None else (sites[number].address, (2380, 2379), sites[number].prefix)
            self.members.append(Member(self, number, Path(folder) / f"etcd{number}", *at))

    @property
    def endpoints(self):
        return [member.client for member in self.members]

    def start(self):
        for member in self.members:
            member.start()
        return self.wait()

    def wait(self):
        """Until every running member answers and has a leader."""
        for member in self.members:
            if member.running():
                member.wait_until(lambda m=member: (m.ask("/v3/maintenance/status", timeout=1) or {}).get("leader"), 30,
                                  f"{member.label} with a leader")
        return self

    def leader(self):
        return next((member for member in self.members if member.running() and not member.paused and member.leads()), None)

    def close(self):
        for member in self.members:
            if member.popen is not None:
                member.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not os.access(ETCD, os.X_OK):
        print("1..0 # SKIP etcd is not installed (Debian: etcd-server)")
        return 0
    with tempfile.TemporaryDirectory(prefix="leeward-etcd-") as folder:
        cluster = Cluster(folder, arguments.members)
        try:
            cluster.start()
            environment = dict(os.environ, LEEWARD_TEST_ETCD=",".join(cluster.endpoints))
            return subprocess.run(arguments.command, env=environment, check=False).returncode
        finally:
            cluster.close()


if __name__ == "__main__":
    sys.exit(main())
