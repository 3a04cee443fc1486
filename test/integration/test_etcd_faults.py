"""The etcd store when things break: members die, hang and come back, endpoints are silent or talk nonsense.

Driven through build/src/store/store_etcd_shell: one line in, one line out, and each watch's lines in between.
"""

import base64
import http.server
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import etcd
from process import BUILD, PATIENCE, SLOWER, clean_environment, wait_for

SHELL = BUILD / "src/store/store_etcd_shell"


class Shell:
    """A process with one store. say() waits for the answer; events and batches of its watches gather meanwhile."""

    def __init__(self, endpoints, **options):
        words = [f"endpoint={url}" for url in endpoints] + [f"{name}={value}" for name, value in options.items()]
        self.popen = subprocess.Popen([SHELL, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                      env=clean_environment())
        self.answers = queue.Queue()
        self.events = []
        self.batches = []
        self.ended = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.popen.stdout:
            words = line.rstrip("\n").split(" ")
            if words[0] == "event":
                self.events.append((int(words[1]), words[2], words[3], words[4] if len(words) > 4 else ""))
            elif words[0] == "batch":
                self.batches.append(int(words[1]))
            elif words[0] == "ended":
                self.ended.append(words[1])
            else:
                self.answers.put(words)

    def ask(self, *words, seconds=30):
        """["ok", VALUE, MS] or ["error", KIND, MS, ...]."""
        self.popen.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.popen.stdin.flush()
        return self.answers.get(timeout=seconds * PATIENCE)

    def say(self, *words):
        answer = self.ask(*words)
        assert answer[0] == "ok", " ".join(answer)
        return answer[1]

    def close(self):
        self.popen.kill()
        self.popen.wait()


@pytest.fixture
def shells():
    started = []

    def start(endpoints, **options):
        started.append(Shell(endpoints, **options))
        return started[-1]
    yield start
    for shell in started:
        shell.close()


@pytest.fixture
def cluster(tmp_path):
    started = etcd.Cluster(tmp_path / "cluster")
    yield started.start()
    started.close()


def check_history(shell, outcomes):
    """Every write that was confirmed was told once, one with an unknown end at most once, one that failed never."""
    told = [key for _, kind, key, _ in shell.events if kind == "put"]
    assert len(told) == len(set(told)), "an event came twice"
    revisions = [event[0] for event in shell.events]
    assert revisions == sorted(revisions)
    for key, answer in outcomes.items():
        if answer[0] == "ok":
            assert (int(answer[1]), "put", key) in {event[:3] for event in shell.events}, f"{key} was not told"
        elif answer[1] not in ("UNAVAILABLE", "TIMEOUT"):
            assert key not in told, f"{key} failed, and happened"


def write_through(shell, count, act, at=20, pause=0.01):
    outcomes = {}
    for i in range(count):
        if i == at:
            act()
        outcomes[f"w/{i}"] = shell.ask("once", f"w/{i}", i)
        time.sleep(pause)
    return outcomes


def test_nothing_is_lost_or_told_twice_when_the_leader_dies(cluster, shells):
    leader = cluster.leader()
    # The client's own member is the one that dies, then one that it never talks to.
    order = [leader, *(m for m in cluster.members if m is not leader)]
    writer, watcher = shells([m.client for m in order]), shells([m.client for m in order])
    watcher.say("watch", "w/", writer.say("revision"))
    outcomes = write_through(writer, 80, leader.kill)
    assert sum(answer[0] == "ok" for answer in outcomes.values()) >= 60
    last = writer.say("put", "w/last", "x")
    wait_for(lambda: watcher.events and watcher.events[-1][0] == int(last), 10, "the last event")
    check_history(watcher, outcomes)
    leader.start()
    cluster.wait()
    later = int(writer.say("put", "w/later", "x"))
    wait_for(lambda: watcher.batches[-1] >= later, 10, "the watch goes on")


def test_calls_fail_in_time_while_all_members_are_down_and_the_watch_goes_on(cluster, shells):
    shell = shells(cluster.endpoints)
    shell.say("put", "w/before", "1")
    shell.say("watch", "w/", shell.say("revision"))
    shell.say("put", "w/a", "1")
    for member in cluster.members:
        member.kill()
    for words in (("put", "w/b", "1"), ("get", "w/a"), ("revision",), ("grant", "5000"), ("count", "w/")):
        answer = shell.ask(*words)
        assert answer[:2] in (["error", "UNAVAILABLE"], ["error", "TIMEOUT"]), answer
        assert int(answer[2]) <= 6000 * PATIENCE
    for member in cluster.members:
        member.start()
    cluster.wait()
    wait_for(lambda: shell.ask("put", "w/c", "1")[0] == "ok", 10, "a write")
    wait_for(lambda: [event[2] for event in shell.events] == ["w/a", "w/c"], 10, "both events, once")
    assert not shell.ended


def test_a_member_that_hangs_is_left_and_used_again(cluster, shells):
    # A follower: the leader's hanging is the other test's matter.
    leader = cluster.leader()
    order = [*(m for m in cluster.members if m is not leader), leader]
    shell, other = shells([m.client for m in order]), shells([leader.client])
    shell.say("watch", "w/", shell.say("revision"))
    shell.say("put", "w/a", "1")
    wait_for(lambda: len(shell.events) == 1, 5, "the first event")
    order[0].pause()
    first = shell.ask("put", "w/b", "1")  # its end is unknown: it was sent
    assert first[0] == "ok" or (first[1] == "TIMEOUT" and int(first[2]) <= 6000 * PATIENCE), first
    assert int(shell.ask("put", "w/c", "1")[2]) < 4900 * SLOWER
    other.say("put", "w/d", "1")
    wait_for(lambda: {"w/c", "w/d"} <= {event[2] for event in shell.events}, 15, "the watch at another member")
    order[0].resume()
    wait_for(lambda: order[0].ask("/v3/maintenance/status"), 10, "it answers again")
    other.say("put", "w/e", "1")
    wait_for(lambda: shell.ended or "w/e" in {event[2] for event in shell.events}, 10, "the watch goes on")
    assert not shell.ended
    check_history(shell, {})


def test_a_lease_ends_when_its_client_stops(cluster, shells):
    shell, other = shells(cluster.endpoints), shells(cluster.endpoints)
    lease = shell.say("grant", 5000)
    shell.say("lease", "l/a", "alive", lease)
    for _ in range(24):
        shell.say("keep", lease)
        time.sleep(0.25)
        assert other.say("get", "l/a") == "alive"
    os.kill(shell.popen.pid, signal.SIGSTOP)
    wait_for(lambda: other.ask("get", "l/a")[:2] == ["error", "NOT_FOUND"], 10, "the key goes with its lease")
    os.kill(shell.popen.pid, signal.SIGCONT)
    assert shell.ask("keep", lease)[:2] == ["error", "NOT_FOUND"]


def test_a_watch_of_compacted_history_is_told(cluster, shells):
    shell = shells(cluster.endpoints)
    start = int(shell.say("put", "w/a", "1"))
    for i in range(5):
        shell.say("put", "w/a", i)
    others = shells(cluster.endpoints)
    others.say("compact", others.say("revision"))
    shell.say("watch", "w/", start)  # this process has not heard of the compaction
    wait_for(lambda: shell.ended == ["COMPACTED"], 10, "the watch ends")


def test_a_quiet_watch_learns_of_revisions_that_are_not_leewards(cluster, shells):
    shell = shells(cluster.endpoints)
    shell.say("put", "other/a", "1")
    shell.say("watch", "w/", shell.say("revision"))
    mine = int(shell.say("put", "other/a", "2"))
    wait_for(lambda: shell.batches and shell.batches[-1] >= mine, 2, "other keys of the store: at once")
    header = cluster.members[1].ask("/v3/kv/put", {"key": base64.b64encode(b"foreign").decode(), "value": "eA=="})
    foreign = int(header["header"]["revision"])
    wait_for(lambda: shell.batches[-1] >= foreign, 10, "keys of somebody else: a little later")
    assert shell.say("count") == "1"  # what the watch wrote is no key of the store
    count = len(shell.batches)
    wait_for(lambda: len(shell.batches) > count, 5, "an empty batch says that the truth was heard")


# ---- endpoints that are none ----

class Silent:
    """Accepts and never answers."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def close(self):
        self.socket.close()


def test_an_endpoint_that_never_answers_costs_one_call(cluster, shells):
    silent = Silent()
    shell = shells([silent.url, *cluster.endpoints])
    first = shell.ask("get", "a")
    assert first[:2] == ["error", "NOT_FOUND"] and int(first[2]) <= 6000 * PATIENCE, first
    assert min(int(shell.ask("put", "a", "1")[2]) for _ in range(5)) <= 900 * SLOWER  # one of them is not put aside
    shell.say("watch", "-", shell.say("revision"))
    shell.say("put", "b", "1")
    wait_for(lambda: shell.events, 10, "an event")
    silent.close()


class Http(http.server.ThreadingHTTPServer):
    """Hands each POST with its body to post(handler, body) of whoever derives from it."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.server.post(self, self.rfile.read(int(self.headers["Content-Length"])))

            def answer(self, status, text):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Fake(Http):
    """Answers what it is told to; None: closes the connection after it has read the request."""

    def __init__(self, *answers):
        self.replies = list(answers)
        self.requests = []
        super().__init__()

    def post(self, handler, body):
        self.requests.append((handler.path, body))
        reply = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
        if reply is None:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.answer(*reply)


GOOD = (200, b'{"header":{"revision":"7"},"succeeded":true}')


def test_a_commit_is_sent_once_whatever_happens_to_its_connection(shells):
    fake = Fake(GOOD, None, GOOD)
    shell = shells([fake.url])
    assert shell.say("put", "a", "1") == "7"  # a kept connection: curl repeats what fails on one, unless told not to
    answer = shell.ask("put", "a", "2")
    assert answer[:2] == ["error", "UNAVAILABLE"], answer
    assert len(fake.requests) == 2
    fake.shutdown()


@pytest.mark.parametrize("reply", [
    (200, b"hello"), (200, b""), (200, b"[]"), (200, b"{}"), (200, b'{"header":{"revision":"-1"},"succeeded":true}'),
    (200, b'{"header":{"revision":"x"},"kvs":[{"key":"%%%"}]}'), (200, b'{"header":{"revision":"5"},"kvs":[{"key":'),
    (200, b'{"header":{"revision":"5"},"kvs":[1,2,"x",null]}'), (500, b"<html>oops</html>"), (404, b""),
    (200, b"[" * 100000), (200, b'{"result":{"created":true,"events":[{"kv":{"mod_revision":"3"}}]}}\n' * 3),
    (503, json.dumps({"error": "etcdserver: request timed out", "code": 14}).encode()),
    (200, b'{"header":{"revision":"5"},"kvs":[{"key":"' + b"A" * 9000000 + b'"}]}'),
])
def test_nonsense_is_an_error_and_no_more(shells, reply):
    fake = Fake(reply)
    shell = shells([fake.url], timeout=500)
    shell.say("watch", "-", 1)
    for words in (("put", "a", "1"), ("get", "a"), ("count", ""), ("revision",), ("grant", "1000"), ("keep", "5")):
        answer = shell.ask(*words)
        assert answer[0] == "error" or words[0] in ("count", "keep", "revision"), (words, answer)
        assert int(answer[2]) <= 10000 * PATIENCE  # bounded: 500 ms are allowed, a busy machine takes longer
    time.sleep(0.3)
    assert shell.popen.poll() is None
    assert sum(path == "/v3/kv/txn" for path, _ in fake.requests) == 1
    fake.shutdown()


class Gateway(Http):
    """Of etcd: a watch's stream that tells what `tell` is given, and ranges that are answered with what `answer` is given.

    `asked` is set by each range, before it waits for its answer.
    """

    def __init__(self):
        self.answers, self.lines, self.asked = queue.Queue(), queue.Queue(), threading.Event()
        super().__init__()

    def post(self, handler, _):
        if handler.path != "/v3/watch":
            self.asked.set()
            handler.answer(200, b'{"header":{"revision":"%d"}}' % self.answers.get())
            return
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while (line := self.lines.get()) is not None:
            handler.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

    def tell(self, revision, **result):
        self.lines.put(json.dumps({"result": {"header": {"cluster_id": "1", "revision": str(revision)}, **result}}).encode() + b"\n")

    def put(self, key, revision):
        pair = {"key": base64.b64encode(b"leeward/" + key.encode()).decode(), "mod_revision": str(revision), "value": "eA=="}
        self.tell(revision, events=[{"kv": pair}])

    def answer(self, revision):
        """Waits for the question before it answers."""
        assert self.asked.wait(60 * PATIENCE)
        self.asked.clear()
        self.answers.put(revision)

    def close(self):
        self.lines.put(None)
        self.shutdown()


def test_an_answer_that_an_event_has_overtaken_is_not_taken_for_another_history(shells):
    gateway = Gateway()
    shell = shells([gateway.url], timeout=60000)
    gateway.tell(5, created=True)
    shell.say("watch", "w/", 5)
    assert gateway.asked.wait(60 * PATIENCE)  # after a silence: at which revision is the cluster?
    gateway.put("w/a", 6)
    wait_for(lambda: [event[:3] for event in shell.events] == [(6, "put", "w/a")], 60, "the event")
    gateway.answer(5)  # as it was when the question came
    gateway.answer(6)
    gateway.put("w/b", 7)
    wait_for(lambda: [event[:3] for event in shell.events[1:]] == [(7, "put", "w/b")] or shell.ended, 60, "the next one")
    assert not shell.ended
    gateway.answer(6)  # asked when 7 had been told: restored from a backup
    wait_for(lambda: shell.ended == ["COMPACTED"], 60, "the watch ends")
    gateway.close()


# ---- TLS and passwords ----

def make_certificates(folder):
    """A CA, and certificates that it signed: of the members, of a client, and of one with a common name."""
    folder.mkdir()

    def openssl(*words):
        subprocess.run(["/usr/bin/openssl", *words], cwd=folder, check=True, capture_output=True,
                       env=clean_environment(HOME=str(folder)))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=test CA")
    for name, subject, usage in (("member", "/CN=member", "serverAuth,clientAuth"), ("client", "/O=Leeward", "clientAuth"),
                                 ("named", "/CN=leeward", "clientAuth")):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        (folder / f"{name}.ext").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", f"{name}.ext", "-out", f"{name}.crt")
    return folder


def test_tls_with_client_certificates_and_a_password_whose_token_ends(tmp_path, shells):
    keys = make_certificates(tmp_path / "keys")
    context = ssl.create_default_context(cafile=keys / "ca.crt")
    context.load_cert_chain(keys / "client.crt", keys / "client.key")
    cluster = etcd.Cluster(tmp_path / "cluster", scheme="https", context=context, flags=[
        f"--cert-file={keys / 'member.crt'}", f"--key-file={keys / 'member.key'}", f"--trusted-ca-file={keys / 'ca.crt'}",
        "--client-cert-auth=true", "--auth-token-ttl=2", "--bcrypt-cost=4"])
    try:
        cluster.start()
        member = cluster.members[0]
        for name, role in (("root", "root"), ("leeward", "leeward")):
            assert member.ask("/v3/auth/role/add", {"name": role})
            assert member.ask("/v3/auth/user/add", {"name": name, "password": f"{name}-secret"})
            assert member.ask("/v3/auth/user/grant", {"user": name, "role": role})
        assert member.ask("/v3/auth/role/grant", {"name": "leeward", "perm": {
            "permType": "READWRITE", "key": "bGVld2FyZC8=", "range_end": "bGVld2FyZDA="}})
        assert member.ask("/v3/auth/enable")
        tls = {"ca": keys / "ca.crt", "certificate": keys / "client.crt", "key": keys / "client.key"}
        shell = shells(cluster.endpoints, **tls, user="leeward", password="leeward-secret", timeout=10000)
        shell.say("watch", "w/", shell.say("revision"))
        shell.say("put", "w/a", "1")
        time.sleep(4)  # the token is forgotten meanwhile: nothing but time ends it
        shell.say("put", "w/b", "1")
        for member in cluster.members:  # and with each restart, and the watch with it
            member.kill()
            member.start()
            cluster.wait()
        wait_for(lambda: shell.ask("put", "w/c", "1")[0] == "ok", 15, "a write")
        wait_for(lambda: {event[2] for event in shell.events} >= {"w/a", "w/b", "w/c"}, 15, "all events")
        check_history(shell, {})
        # The wrong password, no user, keys of somebody else, no certificate.
        wrong = shells(cluster.endpoints, **tls, user="leeward", password="guess", timeout=10000)
        assert wrong.ask("get", "a")[:2] == ["error", "DENIED"]
        nobody = shells(cluster.endpoints, **tls, timeout=10000)
        assert nobody.ask("get", "a")[:2] == ["error", "DENIED"]
        nobody.say("watch", "-", 1)
        wait_for(lambda: nobody.ended == ["DENIED"], 10, "the watch is refused")
        elsewhere = shells(cluster.endpoints, **tls, user="leeward", password="leeward-secret", prefix="else/", timeout=10000)
        assert elsewhere.ask("put", "a", "1")[:2] == ["error", "DENIED"]
        named = shells(cluster.endpoints, ca=keys / "ca.crt", certificate=keys / "named.crt", key=keys / "named.key",
                       user="leeward", password="leeward-secret", timeout=10000)
        refused = named.ask("get", "a")
        assert refused[:2] == ["error", "DENIED"] and "common name" in " ".join(refused), refused
        bare = shells(cluster.endpoints, ca=keys / "ca.crt", timeout=10000)
        assert bare.ask("get", "a")[:2] == ["error", "UNAVAILABLE"]
    finally:
        cluster.close()
