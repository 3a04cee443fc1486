"""Secrets at rest: nowhere in plain in the data directory, refused without their key, carried over to a new one."""

import base64
import json
import sqlite3
import stat

import pytest

from process import wait_for

OTHER_KEY = "other " + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def make(sandbox):
    return lambda **settings: sandbox.daemon(**settings).start()


def create_key(daemon, role="viewer"):
    made = json.loads(daemon.leeward("key", "create", "--role", role, "--json").stdout)
    return made["Id"], made["Secret"]


def in_files(daemon, text):
    return [path.name for path in daemon.data.iterdir() if text.encode() in path.read_bytes()]


def refused_start(daemon):
    """What a daemon says that does not start."""
    if daemon.running():
        daemon.stop()
    daemon.spawn()
    daemon.wanted_dead = True
    wait_for(lambda: not daemon.running(), 20, "the daemon gave up")
    return daemon.log.read_text()


def test_a_secret_is_nowhere_in_the_data_directory(make):
    daemon = make()
    keys = [create_key(daemon, role) for role in ("viewer", "admin")] + [daemon.key]
    for running in (True, False):
        if not running:
            daemon.stop()
        for key_id, secret in keys:
            assert in_files(daemon, key_id), "the search itself works"
            assert in_files(daemon, secret) == []
    daemon.start()
    for key in keys:
        daemon.client("route53", key=key).list_hosted_zones()
    shown = daemon.leeward("key", "list", "--json").stdout
    assert all(key_id in shown and secret not in shown for key_id, secret in keys)
    daemon.leeward("key", "delete", keys[0][0])
    assert keys[0][0] not in daemon.leeward("key", "list").stdout


def test_the_key_file_is_its_owners_alone(make):
    daemon = make()
    path = daemon.data / "seal.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    assert "chmod 600" in refused_start(daemon)
    path.chmod(0o600)
    daemon.restart()


def test_the_wrong_key_is_refused_with_what_to_do(make):
    daemon = make()
    path = daemon.data / "seal.key"
    right = path.read_text()
    daemon.stop()
    path.write_text(OTHER_KEY + "\n")
    assert "put the seal key file that holds it back" in refused_start(daemon)
    path.unlink()
    assert "seal.key is missing" in refused_start(daemon)
    assert not path.exists()
    path.write_text(right)
    path.chmod(0o600)
    daemon.restart()
    daemon.client("route53").list_hosted_zones()


def passwords_of_groups(daemon):
    """As the store has them: sealed."""
    with sqlite3.connect(daemon.data / "leeward.db") as database:
        rows = database.execute("SELECT value FROM entry WHERE key >= ? AND key < ?", (b"db/group/", b"db/group0")).fetchall()
    database.close()
    return [json.loads(row[0])["Replication"] for row in rows]


def test_a_new_key_takes_over_and_the_old_one_can_go(make):
    daemon = make()
    key = create_key(daemon)
    daemon.client("rds").create_db_cluster(DBClusterIdentifier="c", Engine="aurora-postgresql", MasterUsername="keeper",
                                           MasterUserPassword="not-looked-at")
    path = daemon.data / "seal.key"
    old = [line for line in path.read_text().splitlines() if not line.startswith("#")][0]
    daemon.stop()
    path.write_text(f"{OTHER_KEY}\n{old}\n")
    daemon.start()
    daemon.stop()
    path.write_text(OTHER_KEY + "\n")
    daemon.start()
    daemon.client("route53", key=key).list_hosted_zones()
    sealed = passwords_of_groups(daemon)
    assert len(sealed) == 1 and sealed[0].startswith("v1:other:")


def test_the_key_may_come_from_the_environment(make):
    daemon = make(environment={"LEEWARD_SEAL_KEY": OTHER_KEY})
    assert not (daemon.data / "seal.key").exists()
    key = create_key(daemon)
    daemon.restart()
    daemon.client("route53", key=key).list_hosted_zones()


def test_secrets_of_an_older_version_are_sealed_and_leave_no_trace(make):
    daemon = make()
    secret = "plain-secret-of-the-version-before-00000"
    daemon.stop()
    value = {"v": 1, "Id": "LWAKPLAINPLAINPLAIN0", "Secret": secret, "Role": "admin", "Comment": "", "Created": 1}
    text = json.dumps(value).encode()
    with sqlite3.connect(daemon.data / "leeward.db") as database:
        revision = database.execute("SELECT revision FROM meta").fetchone()[0] + 1
        database.execute("INSERT INTO entry VALUES (?, ?, ?, ?, 1, 0)",
                         (b"auth/key/LWAKPLAINPLAINPLAIN0", text, revision, revision))
        database.execute("INSERT INTO history VALUES (?, 0, 0, ?, ?, ?, 1, 0)",
                         (revision, b"auth/key/LWAKPLAINPLAINPLAIN0", text, revision))
        database.execute("UPDATE meta SET revision = ?", (revision,))
    database.close()
    assert in_files(daemon, secret)
    daemon.start()
    assert in_files(daemon, secret) == []
    daemon.client("route53", key=(value["Id"], secret)).list_hosted_zones()
    daemon.restart()
    assert in_files(daemon, secret) == []
