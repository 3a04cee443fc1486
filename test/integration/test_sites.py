"""Sites that vote: verdicts by the rule, sites that die or hang, and who may join."""

import time

import pytest

import endpoints
from process import wait_for
from sites import Cluster, copy_identity

pytestmark = pytest.mark.waiting


@pytest.fixture(scope="module")
def hide():
    found = endpoints.can_hide_files()
    if found is None:
        pytest.skip("no mount namespaces here")
    return found


@pytest.fixture
def three(sandbox, hide):
    return Cluster(sandbox, 3, hide)


def test_a_check_is_unhealthy_once_the_rule_says_so_at_every_site(three):
    for number in range(3):
        assert three.verdict(number, three.check) and three.verdict(number, three.majority)
    three.sees(0, False)
    time.sleep(1)
    for number in range(3):
        assert three.verdict(number, three.check) and three.verdict(number, three.majority)
    three.sees(1, False)
    three.wait_for_verdict(three.majority, False, 0, 1, 2)
    for number in range(3):
        assert three.verdict(number, three.check)  # one of three is more than 18 %
    three.sees(2, False)
    three.wait_for_verdict(three.check, False, 0, 1, 2)
    three.sees(1, True)
    three.wait_for_verdict(three.check, True, 0, 1, 2)


def test_two_of_three_decide_and_one_alone_holds_and_says_so(three):
    three.daemons[2].kill()
    three.wait_for_votes(0, 1, heard=2)
    three.sees(0, False)
    three.sees(1, False)
    three.wait_for_verdict(three.check, False, 0, 1)
    three.daemons[1].pause()
    three.wait_for_votes(0, heard=1, held=True)
    three.sees(0, True)
    time.sleep(2)
    assert not three.verdict(0, three.check)
    assert "health.votes_held" in three.daemons[0].log.read_text()
    three.sees(1, True)
    three.daemons[1].resume()
    three.wait_for_votes(0, 1, heard=2)
    three.wait_for_verdict(three.check, True, 0, 1)
    assert "health.votes_resumed" in three.daemons[0].log.read_text()
    three.sees(2, True)
    three.daemons[2].start()
    three.wait_for_votes(0, 1, 2, heard=3)


def test_a_restart_keeps_the_verdict_of_the_others(three):
    for number in range(3):
        three.sees(number, False)
    three.wait_for_verdict(three.check, False, 0, 1, 2)
    three.daemons[0].kill()
    three.daemons[0].start()
    assert not three.verdict(0, three.check)
    three.wait_for_votes(0, 1, 2, heard=3)
    assert not three.verdict(0, three.check)


def test_the_sites_are_shown_with_whom_they_hear(three):
    shown = {site["Name"]: site for site in three.sites(0)["Sites"]}
    assert set(shown) == {"site-0", "site-1", "site-2"}
    wait_for(lambda: all(len(site["Hears"]) == 2 for site in three.sites(0)["Sites"]), 5, "all sites hear each other")
    assert shown["site-1"]["Checks"] == 2
    assert shown["site-0"]["Version"] and shown["site-0"]["Regions"] == ["us-east-1"]


def test_only_a_fresh_token_of_this_cluster_lets_one_join(three, sandbox):
    three.daemons[2].stop()
    files = three.daemons[2].data / "site"
    kept = sandbox.folder / "kept"
    files.rename(kept)
    used = three.token()
    short = three.token("--seconds", "1")
    assert "refuses: there is a site site-1 already" in three.join(used, 2, "site-1").stderr
    assert three.join(used, 2, "site-new").returncode == 0
    files.rename(sandbox.folder / "new")
    assert "the token was used already" in three.join(used, 2, "site-newer").stderr
    time.sleep(1.5)
    assert "the token has expired" in three.join(short, 2, "site-newer").stderr
    wrong = three.token()
    parts = wrong.split(".", 4)
    parts[2] = "0" * 64
    assert "the token's secret is wrong" in three.join(".".join(parts), 2, "site-newer").stderr
    parts = wrong.split(".", 4)
    parts[3] = "0" * 64
    assert "is no member of the cluster that made this token" in three.join(".".join(parts), 2, "site-newer").stderr
    assert "this is no token" in three.join(wrong[:100], 2, "site-newer").stderr
    assert not files.exists()
    three.daemons[0].leeward("site", "remove", "site-new")
    kept.rename(files)
    three.daemons[2].start()


def test_a_site_with_certificates_of_another_cluster_is_not_heard(three, sandbox, hide):
    other = sandbox.daemon("--site", "site-2", "--peer", f"{sandbox.address()}:0", "--user", "root").start()
    other.leeward("site", "init")
    other.stop()
    three.daemons[2].stop()
    copy_identity(other.data, three.daemons[2].data)
    three.daemons[2].start()
    three.wait_for_votes(0, 1, heard=2)
    three.wait_for_votes(2, heard=1, held=True)
    assert "its certificate is not the cluster's" in three.daemons[0].log.read_text()


def test_five_sites_outvote_one_that_sees_nothing_and_survive_two_lost(sandbox, hide):
    five = Cluster(sandbox, 5, hide)
    five.sees(0, False)
    time.sleep(1)
    assert five.verdict(0, five.check) and five.verdict(4, five.check)
    five.daemons[3].kill()
    five.daemons[4].pause()
    five.wait_for_votes(0, 1, 2, heard=3)
    five.sees(1, False)
    five.sees(2, False)
    five.wait_for_verdict(five.check, False, 0, 1, 2)
    five.daemons[4].resume()
    five.wait_for_verdict(five.check, True, 0, 1, 2, 4)  # it sees the endpoint: one of four
