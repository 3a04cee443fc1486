"""Sites on one etcd, made as operators make them: where routing controls can be changed, what each site has applied, when a
change is in sync, and what a site does that was removed."""

import base64
import json
import shutil
import time

import pytest

from controls import ACCOUNT_REGION
from endpoints import FAST, page_check, Site
from leeward import AwsError, record
from process import wait_for
from sites import SharedSites

CONFIG = "route53-recovery-control-config"


@pytest.fixture
def three(sandbox):
    return SharedSites(sandbox, 3).start()


def endpoints(daemon, cluster):
    shown = daemon.aws(CONFIG, "describe-cluster", "--cluster-arn", cluster, region=ACCOUNT_REGION)["Cluster"]
    return {(one["Endpoint"], one["Region"]) for one in shown["ClusterEndpoints"]}


def test_every_endpoint_of_a_cluster_changes_and_reads_its_controls(three):
    first = three["site-0"]

    def config(*arguments):
        return first.aws(CONFIG, *arguments, region=ACCOUNT_REGION)
    cluster = config("create-cluster", "--cluster-name", "shop")["Cluster"]
    arn, identity = cluster["ClusterArn"], cluster["ClusterArn"].rpartition("/")[2]
    wanted = {(f"{daemon.endpoint}/cluster/{identity}", daemon.regions[0]) for daemon in three}
    assert {(one["Endpoint"], one["Region"]) for one in cluster["ClusterEndpoints"]} == wanted
    assert {one["Region"] for one in config("list-clusters")["Clusters"][0]["ClusterEndpoints"]} == {r for _, r in wanted}
    assert all(endpoints(daemon, arn) == wanted for daemon in three)
    control = config("create-routing-control", "--cluster-arn", arn, "--routing-control-name", "east")[
        "RoutingControl"]["RoutingControlArn"]
    for state, (url, region) in zip(("On", "Off", "On"), sorted(wanted)):
        daemon = next(each for each in three if url.startswith(each.endpoint))
        call = ["route53-recovery-cluster", "--endpoint-url", url]
        daemon.aws(*call, "update-routing-control-states", "--update-routing-control-state-entries",
                   f"RoutingControlArn={control},RoutingControlState={state}", region=region)
        shown = daemon.aws(*call, "list-routing-controls", region=region)["RoutingControls"]
        assert [one["RoutingControlState"] for one in shown] == [state]


def test_a_dead_site_stays_an_endpoint_and_one_that_others_cannot_reach_is_none(sandbox):
    sites = SharedSites(sandbox, 3)
    away, wild = sites["site-1"], sites["site-2"]
    away.options += ["--api-advertise", "https://api.example.net"]
    wild.listen["api"] = ["0.0.0.0:0"]
    wild.options += ["--api-plaintext", "yes"]
    sites.start()
    first = sites["site-0"]
    cluster = first.client(CONFIG, region=ACCOUNT_REGION).create_cluster(ClusterName="shop")["Cluster"]["ClusterArn"]
    identity = cluster.rpartition("/")[2]
    port = wild.api.rpartition(":")[2]
    wanted = {(f"{url}/cluster/{identity}", region) for url, region in (
        (first.endpoint, "region-0"), ("https://api.example.net", "region-1"), (f"http://{wild.address}:{port}", "region-2"))}
    assert endpoints(first, cluster) == wanted
    away.stop()
    wild.kill()
    assert endpoints(first, cluster) == wanted


def applied(shown):
    return {site["Name"]: site.get("Applied", -1) for site in shown["Sites"]}


def status_of(daemon, change):
    return daemon.client("route53").get_change(Id=change["ChangeInfo"]["Id"])["ChangeInfo"]["Status"]


def test_each_site_shows_what_every_site_has_applied(three):
    first = three["site-0"]
    zone = first.create_zone("example.com")
    change = first.change(zone, record("www.example.com", "A", "192.0.2.1"))
    wait_for(lambda: all(status_of(daemon, change) == "INSYNC" for daemon in three), 10, "INSYNC at every site")
    assert all(daemon.dig("www.example.com", "A").data == ["192.0.2.1"] for daemon in three)
    reached = min(applied(three.sites(first)).values())
    change = three["site-2"].change(zone, record("www.example.com", "A", "192.0.2.2"), action="UPSERT")
    wait_for(lambda: status_of(first, change) == "INSYNC", 10, "INSYNC")
    for daemon in three:
        def told(daemon=daemon):
            seen = applied(three.sites(daemon))
            assert set(seen) == {"site-0", "site-1", "site-2"} and min(seen.values()) > reached, seen
            return True
        wait_for(told, 5, "every site has applied the change, by each site's word")
    table = first.leeward("sites").stdout
    assert all(name in table for name in ("site-0", "site-1", "site-2", "APPLIED", "3 of 3 sites heard")), table


def test_a_change_is_in_sync_once_every_living_site_serves_it(three):
    first, second, third = three
    zone = first.create_zone("example.com")
    change = first.change(zone, record("a.example.com", "A", "192.0.2.1"))
    wait_for(lambda: status_of(first, change) == "INSYNC", 10, "INSYNC with all three")
    third.pause()
    change = first.change(zone, record("b.example.com", "A", "192.0.2.2"))
    second.wait_for_answer("b.example.com", "A", ["192.0.2.2"])
    first.wait_for_answer("b.example.com", "A", ["192.0.2.2"])
    assert {status_of(daemon, change) for daemon in (first, second)} == {"PENDING"}
    third.resume()
    wait_for(lambda: status_of(first, change) == "INSYNC", 10, "INSYNC again")
    assert third.dig("b.example.com", "A").data == ["192.0.2.2"]
    third.pause()  # it never comes back: its lease runs out, and it is no living site
    change = first.change(zone, record("c.example.com", "A", "192.0.2.3"))
    wait_for(lambda: status_of(second, change) == "INSYNC", 30, "INSYNC without the dead site")
    shown = {site["Name"]: site for site in three.sites(first)["Sites"]}
    assert shown["site-2"]["State"] == "silent" and "Applied" not in shown["site-2"]
    third.resume()
    third.wait_for_answer("c.example.com", "A", ["192.0.2.3"])


def live(three):
    """The sites that say in the store that they live."""
    member = three.etcd.members[0]
    prefix = base64.b64encode(b"leeward/site/live/").decode()
    end = base64.b64encode(b"leeward/site/live0").decode()
    found = member.ask("/v3/kv/range", {"key": prefix, "range_end": end, "keys_only": True}).get("kvs", [])
    return {base64.b64decode(one["key"]).decode().rpartition("/")[2] for one in found}


def test_a_removed_site_says_so_once_and_is_no_member_until_it_joins_again(three):
    first, _, third = three
    zone = first.create_zone("example.com")
    wait_for(lambda: live(three) == {"site-0", "site-1", "site-2"}, 5, "three sites say that they live")
    first.leeward("site", "remove", "site-2")
    wait_for(lambda: three.sites(third)["Removed"], 5, "the site notices")
    wait_for(lambda: three.sites(first)["HeardSites"] == 2, 10, "two sites are left")
    assert "none of these: it was removed" in third.leeward("sites").stdout
    wait_for(lambda: three.sites(third)["VotesHeld"], 10, "it hears nobody and keeps its verdicts")
    assert not three.sites(first)["VotesHeld"]
    assert "was removed from the cluster" in third.leeward("site", "token", check=False).stderr
    time.sleep(4)  # longer than between two signs of life
    assert live(three) == {"site-0", "site-1"}
    assert third.log.read_text().count("event=site.removed") == 1
    first.change(zone, record("a.example.com", "A", "192.0.2.1"))
    third.wait_for_answer("a.example.com", "A", ["192.0.2.1"])  # it goes on serving what the store says
    third.restart()
    assert wait_for(lambda: three.sites(third)["Removed"], 5, "it knows after a restart")
    assert live(three) == {"site-0", "site-1"}
    third.stop()
    shutil.rmtree(third.data / "site")
    three.add(third)
    three.wait_for_sites(third, 3)
    wait_for(lambda: live(three) == {"site-0", "site-1", "site-2"}, 5, "it lives again")


def test_a_machine_whose_name_another_one_took_is_no_member(sandbox):
    two = SharedSites(sandbox, 2).start()
    first, second = two
    first.leeward("site", "remove", "site-1")
    kept = sandbox.folder / "kept"
    second.stop()
    shutil.copytree(second.data / "site", kept)
    shutil.rmtree(second.data / "site")
    two.add(second)
    two.wait_for_sites(first, 2)
    second.stop()
    shutil.rmtree(second.data / "site")
    shutil.copytree(kept, second.data / "site")
    second.start()
    wait_for(lambda: two.sites(second)["Removed"], 5, "the old certificate makes no member")
    assert "site-1" not in live(two)


def test_certificates_are_good_whatever_the_date(sandbox):
    sites = SharedSites(sandbox, 3)
    first, second, late = sites
    sites.set_clock(late, 11 * 365 * 86400)  # ten years are written on certificates
    sites.etcd.start()
    first.start().leeward("site", "init")
    sites.add(second)
    sites.add(late)  # it takes the CA for what it is, too
    for daemon in (first, second):
        sites.wait_for_sites(daemon, 3)
    shown = {site["Name"]: site for site in sites.sites(first)["Sites"]}
    assert shown["site-2"]["ClockMilliseconds"] > 10 * 365 * 86400 * 1000, "its clock is not ahead"
    assert sorted(shown["site-2"]["Hears"]) == ["site-0", "site-1"] and shown["site-2"]["State"] == "heard"


def test_an_operator_resets_a_latch_while_the_store_is_away_and_nothing_else_changes(sandbox):
    sites = SharedSites(sandbox, 1).start()
    only = sites["site-0"]
    endpoint = sandbox.add(Site(sandbox.folder / "endpoint", sandbox.address())).start()
    endpoint.up("page")
    check = page_check(only, endpoint, "page", {**FAST, "leeward:latch": "true"})
    made = json.loads(only.leeward("key", "create", "--role", "viewer", "--json").stdout)
    viewer = made["Id"], made["Secret"]

    def healthy():
        status = json.loads(only.leeward("status", "--json").stdout)
        return next(one["Status"]["Healthy"] for one in status["HealthChecks"] if one["Id"] == check)
    wait_for(healthy, 10, "the check is healthy")
    endpoint.down("page")
    wait_for(lambda: not healthy(), 10, "the check is unhealthy")
    endpoint.up("page")
    for member in sites.etcd.members:
        member.stop()
    wait_for(lambda: not json.loads(only.leeward("status", "--json").stdout)["Node"]["Replica"]["InStep"], 15, "the store is away")
    assert not healthy(), "it is latched"
    assert only.leeward("check", "reset", check, key=viewer, check=False).returncode != 0
    with pytest.raises(AwsError):
        only.aws("route53", "update-health-check", "--health-check-id", check, "--port", "1")
    only.leeward("check", "reset", check)
    wait_for(healthy, 10, "the check is healthy again")
    assert "api.key_not_confirmed" in only.log.read_text()
