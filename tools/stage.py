"""What the demos share: programs in one temporary folder, all on loopback, and asking them things. Standard library only."""
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("LEEWARD_BUILD", "build")).resolve()
KEEP = os.environ.get("KEEP", "") not in ("", "0")
KEY_ID, SECRET = "LWAKDEMODEMODEMODEMO", "demo-secret-for-loopback-only-0123456789"


def say(text=""):
    print(text, flush=True)


def free_port(addresses, preferred=0):
    """A TCP and UDP port that is free on every one of the addresses."""
    for candidate in [preferred] + [0] * 50:
        try:
            port = candidate
            held = []
            for address in addresses:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    s = socket.socket(socket.AF_INET, kind)
                    held.append(s)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind((address, port))
                    port = s.getsockname()[1]
            return port
        except OSError:
            continue
        finally:
            for s in held:
                s.close()
    raise SystemExit("no free port on " + ", ".join(addresses))


def wait_for(what, condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise SystemExit(f"{what} did not happen within {seconds:.0f} s")


def ask(server, name, timeout=0.5):
    """The addresses `name` has, asked at server (address, port); [] when there is no answer."""
    query = struct.pack(">HHHHHH", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0)
    query += b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        try:
            s.sendto(query, server)
            reply = s.recv(4096)
        except OSError:
            return []
    count = struct.unpack(">H", reply[6:8])[0]
    at, found = len(query), []
    for _ in range(count):
        at += 2 if reply[at] >= 0xC0 else reply.index(b"\0", at) + 1 - at
        kind, _class, _ttl, size = struct.unpack(">HHIH", reply[at:at + 10])
        if kind == 1:
            found.append(socket.inet_ntoa(reply[at + 10:at + 14]))
        at += 10 + size
    return found


class Stage:
    """Everything that runs, and the one folder it lives in."""

    def __init__(self, region):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="leeward-demo-"))
        self.processes = {}
        self.api = None  # the daemon that aws() and leeward() talk to
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "",
            "LEEWARD_ACCESS_KEY_ID": KEY_ID, "LEEWARD_SECRET_ACCESS_KEY": SECRET,
        }

    def start(self, name, *command, **options):
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stderr=log,
                                   start_new_session=True, **{"stdout": log, **options})
        self.processes[name] = process
        return process

    def fail(self, name):
        tail = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
        raise SystemExit(f"{name} did not start:\n  " + "\n  ".join(tail))

    def stop(self):
        for process in reversed(self.processes.values()):
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def leewardd(self, name, *options):
        """Starts a daemon and waits until it is ready; where its API and its DNS listen."""
        process = self.start(name, str(BUILD / "leewardd"), "--data", str(self.folder / f"{name}.data"), *options,
                             stdout=subprocess.PIPE, text=True)
        heard = {}
        for line in process.stdout:
            word, _, address = line.strip().partition(" ")
            heard[word] = address
            if word == "ready":
                host, _, port = heard["dns"].rpartition(":")
                return f"http://{heard['api']}", (host, int(port))
        self.fail(name)

    def talk_to(self, api):
        self.api = self.env["LEEWARD_ENDPOINT"] = api

    def aws(self, *words, region=None):
        command = ["aws", "--endpoint-url", self.api, "--output", "json", *(["--region", region] if region else []), *words]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"aws {words[0]} {words[1]} failed: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def leeward(self, *words):
        done = subprocess.run([str(BUILD / "leeward"), *words], env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"leeward {words[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def stop_script(self):
        """A file that ends everything and removes the folder."""
        script = self.folder / "stop"
        pids = " ".join(f"-{process.pid}" for process in self.processes.values() if process.poll() is None)
        script.write_text(f"#!/bin/sh\nkill -s TERM -- {pids}\nsleep 1\nrm -rf '{self.folder}'\n")
        script.chmod(0o755)
        return script


def run(stage, play, tell_how_to_talk):
    """Plays, and leaves nothing behind, unless KEEP says to."""
    kept = False
    try:
        if not (BUILD / "leewardd").exists():
            raise SystemExit("build first: make build")
        play(stage)
        if KEEP:
            tell_how_to_talk(stage)
            kept = True
    except KeyboardInterrupt:
        raise SystemExit("\ninterrupted")
    finally:
        if not kept:
            stage.stop()
