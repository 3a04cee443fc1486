"""Five sites under faults: what must still work, what must be refused, and no DNS answer without a reason (docs/guarantees.md).

Each site is a network namespace with an etcd member and a leewardd (test/lib/fleet.py). One fleet for all tests of this file, which
leave it whole; an observer asks every site's DNS every 20 ms from the first test to the last, and after each test what it saw is
judged: every change of an answer was expected at that site, and no question went without an answer while the site's daemon ran.
"""

import base64
import contextlib
import itertools
import json
import os
import sqlite3
import subprocess
import time

import botocore.exceptions
import pytest

import endpoints
import network
from fleet import ARC, CLOCK, CONSTANT, EAST, PLAIN, TAGS, WEST, ZONE, Fleet, NotSent, Refused, Unknown
from leeward import record
from process import PATIENCE, wait_for

pytestmark = pytest.mark.serial

ETCDCTL = "/usr/bin/etcdctl"
ALL = range(5)
SMALL, SMALL_ETCD, MOVED = 3, 4, 2  # whose daemon, whose etcd member has a small disk; whose clock is moved
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    if network.missing():
        pytest.skip(network.missing())
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), disks={SMALL: 24 * MEGABYTE}, member_disks={SMALL_ETCD: 200 * MEGABYTE},
                  clocks={MOVED} if CLOCK.exists() else ())
    yield fleet
    problems = fleet.problems()
    fleet.end()
    assert not problems, "\n\n".join(problems)


@pytest.fixture
def fleet(whole):
    with whole.entered():
        yield whole
        make_whole(whole)
        whole.observer.check()


def make_whole(fleet):
    """As it was at first, with the reasons that this takes; a test that left it so costs nothing here."""
    fleet.network.heal()
    for number in ALL:
        for process in (fleet.members[number], fleet.daemons[number]):
            if process.paused:
                process.resume()
            elif not process.running():
                process.start()
    fleet.etcd.wait()
    answers = {PLAIN: CONSTANT, ARC: EAST, **{fleet.name(region): fleet.main(region) for region in range(3)}}
    with fleet.observer.expecting(answers, "the end of a test", seconds=20):
        for region in range(3):
            fleet.endpoint_up(region)
        move(fleet, 0, EAST)
    fleet.hear_all()


def move(fleet, number, target, seconds=10):
    """What a client does: the same call again while its outcome is unknown. How long it took."""
    began = time.monotonic()
    client = fleet.client(number)
    while True:
        try:
            fleet.flip(number, target, client)
            client.close()
            return time.monotonic() - began
        except (Unknown, NotSent):
            assert time.monotonic() < began + seconds * PATIENCE, f"site {number} still cannot change a routing control"
            time.sleep(0.02)


def change(fleet, number, *records):
    """As a client makes them: again while the store has no leader, whatever became of the call."""
    daemon = fleet.daemons[number]

    def made():
        try:
            return daemon.change(fleet.zone, *records, action="UPSERT")
        except botocore.exceptions.ClientError as problem:
            assert problem.response["ResponseMetadata"]["HTTPStatusCode"] != 503, problem  # an AssertionError: not yet
            raise
    return wait_for(made, 20, f"records can be changed at site {number}")


def refuses(fleet, number, work):
    """The work at a site ends with an error within the bound that docs/sites.md names; the error."""
    began = time.monotonic()
    with pytest.raises((Unknown, Refused)) as caught:
        work()
    took = time.monotonic() - began
    assert took < 2.5 * PATIENCE, f"site {number} took {took:.1f} s to say that it cannot"
    return caught.value


def cannot_change(fleet, number):
    error = refuses(fleet, number, lambda: fleet.flip(number, WEST))
    assert isinstance(error, Unknown) and "EndpointTemporarilyUnavailableException" in str(error), error


def leader(fleet):
    return fleet.members.index(wait_for(fleet.etcd.leader, 10, "etcd has a leader"))


def raft_term(fleet, number):
    return fleet.members[number].ask("/v3/maintenance/status")["raftTerm"]


def answers_by_udp_and_tcp(fleet, numbers):
    for number in numbers:
        for tcp in (False, True):
            assert fleet.ask(number, PLAIN, tcp=tcp) == [CONSTANT], f"site {number}, {'TCP' if tcp else 'UDP'}"


def seen_at(fleet, number):
    return {name: answer for (site, name), answer in fleet.observer.now.items() if site == number}


@contextlib.contextmanager
def catching_up(fleet, like, *numbers):
    """These sites come to answer as that one does."""
    with fleet.observer.expecting(seen_at(fleet, like), f"it takes up what site {like} has", numbers, seconds=20):
        yield


def kept_verdict(fleet, number, region, healthy):
    """Until the site has the verdict on its disk: what it begins with when it is killed now."""
    def kept():
        with contextlib.closing(sqlite3.connect(f"file:{fleet.daemons[number].data}/local.db?mode=ro", uri=True)) as local:
            values = [json.loads(row[0]) for row in local.execute(
                "SELECT value FROM entry WHERE CAST(key AS TEXT) LIKE ?", (f"%/verdict/{fleet.checks[region]}",))]
        assert [value["Verdict"] for value in values] == [healthy], values
        return True
    wait_for(kept, 5, f"site {number} keeps its verdict")


# ---- sites lost ----

def test_any_two_sites_may_be_lost_and_routing_controls_change_at_the_others(fleet):
    """All ten pairs: one site is killed, the other hangs."""
    for turn, (killed, stopped) in enumerate(itertools.combinations(ALL, 2)):
        target = WEST if turn % 2 == 0 else EAST
        alive = [number for number in ALL if number not in (killed, stopped)]
        fleet.kill_site(killed)
        fleet.pause_site(stopped)
        with fleet.observer.expecting({ARC: target}, f"changed while {killed} and {stopped} are lost", alive, seconds=15):
            move(fleet, alive[turn % 3], target)
        answers_by_udp_and_tcp(fleet, alive)
        with catching_up(fleet, alive[0], killed, stopped):
            fleet.resume_site(stopped)
            fleet.start_site(killed)
        fleet.etcd.wait()


def test_health_fails_over_and_back_while_two_sites_are_lost(fleet):
    fleet.kill_site(0)
    fleet.pause_site(3)
    for number in (1, 2, 4):
        fleet.hear(number, 3)
    with fleet.observer.expecting({fleet.name(0): fleet.standby(0)}, "its endpoint is down", {1, 2, 4}):
        fleet.endpoint_down(0)
    with catching_up(fleet, 1, 0, 3):
        fleet.resume_site(3)
        fleet.start_site(0)
    fleet.kill_site(1)
    fleet.pause_site(2)
    with fleet.observer.expecting({fleet.name(0): fleet.main(0)}, "its endpoint is up", {0, 3, 4}):
        fleet.endpoint_up(0)
    with catching_up(fleet, 4, 1, 2):
        fleet.resume_site(2)
        fleet.start_site(1)


def test_a_daemon_that_was_stopped_does_not_bring_back_what_died_meanwhile(fleet):
    """By its last results the endpoint is there, and one vote of five would do: it abstains until it has looked again."""
    name, others = fleet.name(1), {0, 1, 2, 4}
    endpoints.tag_check(fleet.daemons[0], fleet.checks[1], {"leeward:interval-ms": "1500"})
    fleet.daemons[3].pause()
    with fleet.observer.expecting({name: fleet.standby(1)}, "its endpoint is down", others):
        fleet.endpoint_down(1)
    with fleet.observer.expecting({name: fleet.standby(1)}, "it goes on, and hears of it", {3}):
        fleet.daemons[3].resume()
    with fleet.observer.expecting({name: fleet.main(1)}, "its endpoint is up"):
        fleet.endpoint_up(1)
    endpoints.tag_check(fleet.daemons[0], fleet.checks[1], TAGS)


def test_with_three_of_five_lost_the_others_answer_and_change_nothing(fleet):
    for number in (0, 1, 2):
        fleet.kill_site(number)
    for number in (3, 4):
        fleet.hear(number, 2, held=True)
    fleet.endpoint_down(0)
    fleet.each(lambda number: cannot_change(fleet, number), [3, 4])
    answers_by_udp_and_tcp(fleet, [3, 4])
    fleet.endpoint_up(0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(catching_up(fleet, 3, 0, 1, 2))
        for number in (0, 1, 2):
            fleet.members[number].start()
        fleet.each(lambda number: fleet.daemons[number].start(), [0, 1, 2])


# ---- cuts ----

def check_cut_off(fleet, number, others):
    """One site is out of the others' company: they go on without it, it holds what it has and says so; then it is healed."""
    began = time.monotonic()
    fleet.hear(number, 1, held=True)
    for other in others:
        fleet.hear(other, 4)
    assert "too few" in fleet.daemons[number].leeward("sites").stdout
    cannot_change(fleet, number)
    made = change(fleet, others[0], record(f"cut{number}.{ZONE}", "A", "192.0.2.9"))["ChangeInfo"]["Id"]
    with fleet.observer.expecting({fleet.name(1): fleet.standby(1), ARC: WEST}, f"site {number} is cut off", others):
        fleet.endpoint_down(1)
        move(fleet, others[0], WEST)
    answers_by_udp_and_tcp(fleet, ALL)
    assert seen_at(fleet, number)[ARC] == EAST and seen_at(fleet, number)[fleet.name(1)] == fleet.main(1)
    status = fleet.daemons[others[1]].client("route53")
    seen = changed(status, made)
    assert seen == "PENDING" or time.monotonic() - began > 8, seen  # for 15 s from what it said last a silent site counts as alive
    with catching_up(fleet, others[0], number):
        fleet.network.heal()
    wait_for(lambda: changed(status, made) == "INSYNC", 15, "the change is served everywhere")
    assert fleet.ask(number, f"cut{number}.{ZONE}") == ["192.0.2.9"]
    fleet.hear_all()
    with fleet.observer.expecting({fleet.name(1): fleet.main(1), ARC: EAST}, "all is well again"):
        fleet.endpoint_up(1)
        move(fleet, number, EAST)


def changed(client, change):
    """PENDING or INSYNC; None while the store cannot be asked."""
    try:
        return client.get_change(Id=change)["ChangeInfo"]["Status"]
    except client.exceptions.ClientError as problem:
        assert problem.response["ResponseMetadata"]["HTTPStatusCode"] == 503, problem
        return None


def test_a_site_that_is_cut_off_holds_and_says_so_and_the_others_go_on(fleet):
    """Nor does its member call an election when it comes back, in which nobody could change anything. (A machine that stands
    still for half a second has one all the same, but not each time.)"""
    for _ in range(3):
        led = leader(fleet)
        number, term = (led + 1) % 5, raft_term(fleet, led)
        fleet.network.isolate(number)
        check_cut_off(fleet, number, [other for other in ALL if other != number])
        if raft_term(fleet, led) == term:
            return
    pytest.fail("there was an election each time the member came back")


def test_a_site_that_hears_but_cannot_speak_holds_too_even_if_it_led_etcd(fleet):
    number = leader(fleet)
    fleet.network.silence(number)
    check_cut_off(fleet, number, [other for other in ALL if other != number])


def test_a_cut_between_two_groups_leaves_the_larger_one_working(fleet):
    larger, smaller = [0, 2, 4], [1, 3]
    for one, other in itertools.product(larger, smaller):
        fleet.network.cut(one, other)
    for number in larger:
        fleet.hear(number, 3)
    for number in smaller:
        fleet.hear(number, 2, held=True)
    fleet.each(lambda number: cannot_change(fleet, number), smaller)
    with fleet.observer.expecting({fleet.name(2): fleet.standby(2), ARC: WEST}, "three of five hear each other", larger):
        fleet.endpoint_down(2)
        move(fleet, 2, WEST)
    answers_by_udp_and_tcp(fleet, ALL)
    with catching_up(fleet, 0, *smaller):
        fleet.network.heal()


# ---- the store ----

def test_without_a_quorum_of_etcd_health_fails_over_and_changes_are_refused(fleet):
    led = leader(fleet)
    gone = sorted([led, *[number for number in ALL if number != led][:2]])
    for number in gone:
        fleet.members[number].kill()
    fleet.each(lambda number: cannot_change(fleet, number), ALL)
    client = fleet.client(gone[0])
    refuses(fleet, gone[0], lambda: client.state(fleet.east))
    for number in (gone[0], 4):
        with pytest.raises(Exception) as caught:
            fleet.daemons[number].create_zone("refused.example")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503, caught.value
    with fleet.observer.expecting({fleet.name(0): fleet.standby(0)}, "its endpoint is down"):
        fleet.endpoint_down(0)
    # A daemon that starts meanwhile serves from its replica, with the verdicts of before.
    kept_verdict(fleet, 1, 0, False)
    fleet.daemons[1].kill()
    fleet.daemons[1].start()
    answers_by_udp_and_tcp(fleet, ALL)
    for daemon in fleet.daemons:
        daemon.wait_for_metrics(votes_held=0, replica_in_step=0)
    # What was asked meanwhile was done whole or not at all: here not at all, since no member could accept it.
    for number in gone:
        fleet.members[number].start()
    fleet.etcd.wait()
    states = wait_for(lambda: listed(fleet, 0), 10, "the states can be read")
    assert states == {fleet.east: "On", fleet.west: "Off"}
    with fleet.observer.expecting({ARC: WEST, fleet.name(0): fleet.main(0)}, "etcd has a quorum again"):
        move(fleet, gone[0], WEST)
        fleet.endpoint_up(0)


def listed(fleet, number):
    client = fleet.client(number)
    try:
        return client.listed(fleet.arc.panel)
    except (Unknown, Refused, NotSent):
        return None
    finally:
        client.close()


def test_members_that_hang_are_an_error_within_the_timeout(fleet):
    """SIGSTOP: connections stay open and nobody answers."""
    hung = [0, 1, 2]
    for number in hung:
        fleet.members[number].pause()
    fleet.each(lambda number: cannot_change(fleet, number), ALL)
    with fleet.observer.expecting({fleet.name(0): fleet.standby(0)}, "its endpoint is down"):
        fleet.endpoint_down(0)
    # A change may have reached a member that hangs, and be done when it goes on: whole, or not at all.
    late = fleet.observer.allow(ARC, WEST, "asked for while members hung")
    for number in hung:
        fleet.members[number].resume()
    states = wait_for(lambda: listed(fleet, 0), 10, "the states can be read")
    assert states in ({fleet.east: "On", fleet.west: "Off"}, {fleet.east: "Off", fleet.west: "On"})
    with fleet.observer.expecting({ARC: WEST}, "asked for again"):
        move(fleet, 0, WEST)
    late.end()


# ---- clocks ----

@pytest.mark.skipif(not CLOCK.exists(), reason="the clock of a program can be moved on x86-64 only")
@pytest.mark.parametrize("seconds", [600, -600])
def test_a_clock_ten_minutes_off_changes_nothing_but_who_may_call(fleet, seconds):
    fleet.set_clock(MOVED, seconds)
    try:
        seen = wait_for(lambda: clock_seen(fleet, seconds), 10, "the others see how far its clock is off")
        assert not seen["VotesHeld"]
        # Whoever's clock is right is refused there, with the reason; nothing happens. By its own clock calls go through.
        error = refuses(fleet, MOVED, lambda: fleet.flip(MOVED, WEST))
        assert isinstance(error, Refused) and error.code == "InvalidSignatureException" and "5 min" in str(error), error
        assert not fleet.daemons[MOVED].sites()["VotesHeld"]
        with fleet.observer.expecting({fleet.name(0): fleet.standby(0), ARC: WEST}, "changed at another site"):
            fleet.endpoint_down(0)
            move(fleet, 0, WEST)
        answers_by_udp_and_tcp(fleet, ALL)
        kept_verdict(fleet, MOVED, 0, False)
        fleet.daemons[MOVED].kill()
        fleet.daemons[MOVED].start()
        fleet.hear_all()
    finally:
        fleet.set_clock(MOVED, 0)
    with fleet.observer.expecting({fleet.name(0): fleet.main(0), ARC: EAST}, "the clock is right again"):
        fleet.endpoint_up(0)
        move(fleet, MOVED, EAST)


def clock_seen(fleet, seconds):
    """What site 0 says of the sites, once it has noticed."""
    seen = fleet.daemons[0].sites()
    told = next(site for site in seen["Sites"] if site["Name"] == fleet.network.sites[MOVED].name)
    assert abs(told["ClockMilliseconds"] - seconds * 1000) < 5000, told
    return seen


# ---- disks ----

@contextlib.contextmanager
def full(folder):
    """Nothing more goes there meanwhile."""
    path = folder / "fill"
    try:
        with open(path, "wb", buffering=0) as file:
            for size in (MEGABYTE, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
        yield
    finally:
        path.unlink()


def many_records(fleet, batch):
    """As many as one change can have; the first label of the last."""
    names = [f"b{batch}-{number}" for number in range(500)]  # an UPSERT counts twice
    change(fleet, 0, *[record(f"{name}.{ZONE}", "A", "192.0.2.9") for name in names])
    return names[-1]


def test_a_full_disk_under_a_daemon_stops_neither_its_dns_nor_its_api(fleet):
    daemon = fleet.daemons[SMALL]
    others = [number for number in ALL if number != SMALL]
    with full(fleet.network.sites[SMALL].seen_here(daemon.data)):
        problem, last = None, None
        for batch in range(16):
            last = f"{many_records(fleet, batch)}.{ZONE}"
            problem = wait_for(lambda: replica_problem(fleet) or fleet.ask(SMALL, last), 10, "it takes it or says what is wrong")
            if isinstance(problem, str):
                break
        assert "full" in problem, problem
        daemon.wait_for_metrics(replica_in_step=0)
        with fleet.observer.expecting({fleet.name(0): fleet.standby(0)}, "its endpoint is down"):
            fleet.endpoint_down(0)
        late = fleet.observer.allow(ARC, WEST, "changed through the site with the full disk", {SMALL})
        with fleet.observer.expecting({ARC: WEST}, "changed through the site with the full disk", others):
            move(fleet, SMALL, WEST)
        answers_by_udp_and_tcp(fleet, ALL)
        assert fleet.ask(0, last) and not fleet.ask(SMALL, last)
        # What cannot be kept is lost with the daemon: it begins with the verdict before, until it has heard the others.
        lost = [fleet.observer.allow(fleet.name(0), answer, "it could not keep its verdict", {SMALL})
                for answer in (fleet.main(0), fleet.standby(0))]
        daemon.kill()
        daemon.start()
        answers_by_udp_and_tcp(fleet, ALL)
        fleet.observer.wait(fleet.name(0), fleet.standby(0))
        for reason in lost:
            reason.end()
    fleet.observer.wait(ARC, WEST, {SMALL}, 15)
    late.end()
    wait_for(lambda: fleet.ask(SMALL, last), 15, "nothing was lost")


def replica_problem(fleet):
    replica = fleet.daemons[SMALL].status()["Node"]["Replica"]
    return not replica["InStep"] and replica.get("Problem")


def put_much(member):
    return member.ask("/v3/kv/put", {"key": base64.b64encode(b"much").decode(), "value": base64.b64encode(bytes(MEGABYTE)).decode()})


def test_a_full_disk_under_an_etcd_member_costs_that_member_alone(fleet):
    member = fleet.members[SMALL_ETCD]
    with full(fleet.network.sites[SMALL_ETCD].seen_here(member.data)):
        member.wanted_dead = True
        wait_for(lambda: put_much(fleet.members[0]) and not member.running(), 15, "etcd ends: it could not write")
        with fleet.observer.expecting({ARC: WEST}, "changed at the site whose member is gone"):
            move(fleet, SMALL_ETCD, WEST)
    member.start()
    fleet.etcd.wait()


# ---- backup ----

@pytest.mark.skipif(not os.access(ETCDCTL, os.X_OK), reason="etcdctl is not installed (Debian: etcd-client)")
def test_what_was_changed_after_a_snapshot_is_gone_everywhere_once_it_is_restored(fleet):
    """As docs/sites.md says: the members end, daemons restart without them, each member begins on the snapshot, with a new token."""
    snapshot = fleet.folder / "snapshot.db"
    etcdctl("--endpoints", fleet.members[0].client, "snapshot", "save", snapshot)
    change(fleet, 0, record("late.fleet.example", "A", "192.0.2.250"))
    with fleet.observer.expecting({ARC: WEST}, "changed after the snapshot"):
        move(fleet, 0, WEST)
    for number in ALL:
        wait_for(lambda n=number: fleet.ask(n, "late.fleet.example") == ["192.0.2.250"], 10, f"site {number} has the new record")
    for member in fleet.members:
        member.kill()
    for number in ALL:  # one after the other, and each answers as before: from its replica
        fleet.daemons[number].restart()
        assert fleet.ask(number, "late.fleet.example") == ["192.0.2.250"] and fleet.ask(number, ARC) == [WEST]
    fleet.etcd.token = "fleet-2"
    for member in fleet.members:
        member.data = member.folder / "restored"
        etcdctl("snapshot", "restore", snapshot, "--name", member.label, "--data-dir", member.data,
                "--initial-cluster", ",".join(f"{m.label}={m.peer}" for m in fleet.members),
                "--initial-advertise-peer-urls", member.peer, "--initial-cluster-token", fleet.etcd.token)
    with fleet.observer.expecting({ARC: EAST}, "the snapshot says so", seconds=20):
        for member in fleet.members:
            member.start()
    for number in ALL:
        wait_for(lambda n=number: fleet.ask(n, "late.fleet.example") == [], 10, f"site {number} has no such record any more")
        assert "replica.truth_has_another_past" in fleet.daemons[number].log.read_text()
    assert wait_for(lambda: listed(fleet, 3), 10, "the states can be read") == {fleet.east: "On", fleet.west: "Off"}
    with fleet.observer.expecting({ARC: WEST}, "changed after the restore"):
        move(fleet, 2, WEST)


def etcdctl(*words):
    subprocess.run([ETCDCTL, *[str(word) for word in words]], check=True, capture_output=True, env={"ETCDCTL_API": "3"})
