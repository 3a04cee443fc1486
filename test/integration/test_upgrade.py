"""Daemons of two versions on one store. Values that a later version wrote, with members that this one does not know, go through a
change by this one; and, where LEEWARD_PREVIOUS names a build of the previous version (`make test-upgrade`), sites of both work
together, upgraded one by one and set back."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from controls import Arc
from leeward import record
from process import BUILD, wait_for
from sites import SharedSites
from traffic import document

PREVIOUS = Path(os.environ.get("LEEWARD_PREVIOUS") or "/nonexistent")
LATER = {"deep": [1, {"er": "text"}]}
VERSION = 9

# Kinds of values that a change reads and writes again: what is not known stays.
KEPT = ["arc/control", "arc/panel", "arc/rule", "arc/state", "r53/check", "r53/cidr", "r53/dnssec", "r53/ksk", "r53/tags",
        "r53/traffic/head", "r53/traffic/instance", "r53/traffic/version", "r53/zone", "site/member"]
# Kinds that are written whole: docs/sites.md, "Upgrading". Everything else is made once and deleted.
WHOLE = ["arc/guard", "node", "r53/guard", "r53/rrset", "r53/traffic/place", "r53/traffic/rrset", "r53/traffic/use", "site/live"]


def kind_of(key):
    return next((kind for kind in KEPT + WHOLE if key.startswith(kind + "/")), key.rpartition("/")[0])


def entries(daemon):
    with sqlite3.connect(daemon.data / "leeward.db") as file:
        return {bytes(key).decode(): (changed, json.loads(value)) for key, value, changed in
                file.execute("SELECT CAST(key AS BLOB), value, changed FROM entry")}


def age(daemon):
    """What is stored becomes a later version's."""
    for key, (_, value) in entries(daemon).items():
        text = json.dumps({**value, "v": VERSION, "FromLater": LATER}, separators=(",", ":"))
        with sqlite3.connect(daemon.data / "leeward.db") as file:
            file.execute("UPDATE entry SET value = CAST(? AS BLOB) WHERE CAST(key AS TEXT) = ?", (text, key))


def policy_text(address):
    return document("end", {"end": address})


class World:
    """One of everything that clients can make and change."""

    def __init__(self, daemon):
        self.daemon = daemon
        route53 = daemon.client("route53")
        self.zone = daemon.create_zone("example.com")
        daemon.change(self.zone, record("www.example.com", "A", "192.0.2.1"),
                      record("old.example.com", "A", "192.0.2.2"))
        self.check = route53.create_health_check(CallerReference="1", HealthCheckConfig={
            "Type": "TCP", "IPAddress": "192.0.2.9", "Port": 9, "Disabled": True})["HealthCheck"]["Id"]
        self.tag(route53, "one")
        self.collection = route53.create_cidr_collection(Name="isps", CallerReference="1")["Collection"]["Id"]
        self.block(route53, "192.0.2.0/24")
        self.policy = route53.create_traffic_policy(Name="p", Document=policy_text("192.0.2.3"))["TrafficPolicy"]["Id"]
        self.instance = route53.create_traffic_policy_instance(
            HostedZoneId=self.zone, Name="traffic.example.com", TTL=30, TrafficPolicyId=self.policy,
            TrafficPolicyVersion=1)["TrafficPolicyInstance"]["Id"]
        for name in ("one", "two"):
            route53.create_key_signing_key(HostedZoneId=self.zone, CallerReference=name, Name=name, Status="ACTIVE",
                                           KeyManagementServiceArn=f"arn:aws:kms:us-east-1:123456789012:key/{name}")
        route53.enable_hosted_zone_dnssec(HostedZoneId=self.zone)
        daemon.leeward("key", "create", "--role", "viewer")
        self.arc = Arc(daemon)
        self.panel = self.arc.new_panel("panel")
        self.control = self.arc.control("control", self.panel)
        other = self.arc.control("other", self.panel)
        self.arc.set_all({self.control: "On", other: "On"})
        self.rule = self.arc.rule("rule", [self.control, other], "ATLEAST", 1, panel=self.panel)

    def tag(self, route53, value):
        for kind, resource in (("hostedzone", self.zone), ("healthcheck", self.check)):
            route53.change_tags_for_resource(ResourceType=kind, ResourceId=resource, AddTags=[{"Key": "a", "Value": value}])

    def block(self, route53, block):
        route53.change_cidr_collection(Id=self.collection, Changes=[{"LocationName": "x", "Action": "PUT", "CidrList": [block]}])

    def change_everything(self):
        route53 = self.daemon.client("route53")
        route53.update_hosted_zone_comment(Id=self.zone, Comment="changed")
        self.daemon.change(self.zone, record("new.example.com", "A", "192.0.2.4"))
        self.daemon.change(self.zone, record("www.example.com", "A", "192.0.2.5"), action="UPSERT")
        route53.update_health_check(HealthCheckId=self.check, Port=10)
        self.tag(route53, "two")
        self.block(route53, "198.51.100.0/24")
        route53.update_traffic_policy_comment(Id=self.policy, Version=1, Comment="changed")
        route53.create_traffic_policy_version(Id=self.policy, Document=policy_text("192.0.2.6"))
        route53.update_traffic_policy_instance(Id=self.instance, TTL=30, TrafficPolicyId=self.policy, TrafficPolicyVersion=2)
        route53.deactivate_key_signing_key(HostedZoneId=self.zone, Name="two")
        arc = Arc.__new__(Arc)
        arc.daemon, arc.config = self.daemon, self.daemon.client("route53-recovery-control-config", region="us-west-2")
        arc.cluster_client = self.daemon.client("route53-recovery-cluster")
        arc.config.update_control_panel(ControlPanelArn=self.panel, ControlPanelName="changed")
        arc.config.update_routing_control(RoutingControlArn=self.control, RoutingControlName="changed")
        arc.config.update_safety_rule(AssertionRuleUpdate={"Name": "changed", "SafetyRuleArn": self.rule, "WaitPeriodMs": 0})
        arc.set(self.control, "Off")
        arc.set(self.control, "On")  # by what the daemon keeps in memory of the first


def test_what_a_later_version_stored_survives_changes_by_this_one(sandbox):
    address = sandbox.address()
    daemon = sandbox.daemon("--site", "here", "--peer", f"{address}:0").start()
    daemon.leeward("site", "init")
    world = World(daemon)
    wait_for(lambda: any(key.startswith("site/live/") for key in entries(daemon)), 5, "the site says that it lives")
    daemon.stop()
    age(daemon)
    before = entries(daemon)
    daemon.options += ["--api-advertise", "https://api.example.net"]
    daemon.start()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])
    world.change_everything()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.5"])
    daemon.wait_for_answer("traffic.example.com", "A", ["192.0.2.6"])
    assert daemon.dig("old.example.com", "A").data == ["192.0.2.2"]
    wait_for(lambda: "api.example.net" in str(entries(daemon)["site/member/here"]), 5, "the member's record is true again")
    daemon.stop()
    kept = set()
    for key, (changed, value) in entries(daemon).items():
        if key not in before or (changed == before[key][0] and value == before[key][1]):
            continue
        if kind_of(key) in WHOLE:
            continue
        assert (value.get("v"), value.get("FromLater")) == (VERSION, LATER), (key, before[key], value)
        kept.add(kind_of(key))
    assert sorted(kept) == KEPT


# Mixed clusters

previous = pytest.mark.skipif(not (PREVIOUS / "leewardd").exists(), reason="no build of the previous version: make test-upgrade")


class Mixed:
    """Three sites, each of which changes something that all of them then serve."""

    def __init__(self, sandbox, build):
        self.sites = SharedSites(sandbox, 3, build=build).start()
        first = self.sites["site-0"]
        self.zone = first.create_zone("example.com")
        self.arc = Arc(first)
        self.control, spare = self.arc.control("control"), self.arc.control("spare")
        self.arc.set(spare, "On")
        self.arc.failover(self.zone, "arc.example.com", ("192.0.2.101", self.control), ("192.0.2.102", spare))
        self.rounds = 0

    def move(self, name, build):
        daemon = self.sites[name]
        daemon.stop()
        daemon.build = build
        daemon.start()

    def exercise(self):
        """A record and a routing control through every site; every site answers, is in sync, and hears the others."""
        self.rounds += 1
        for number, daemon in enumerate(self.sites):
            name, address = f"r{self.rounds}-{number}.example.com", f"192.0.2.{10 * self.rounds % 90 + number}"
            change = daemon.change(self.zone, record(name, "A", address))
            state = "On" if (number + self.rounds) % 2 else "Off"
            daemon.client("route53-recovery-cluster").update_routing_control_state(
                RoutingControlArn=self.control, RoutingControlState=state)
            for other in self.sites:
                other.wait_for_answer(name, "A", [address])
                other.wait_for_answer("arc.example.com", "A", ["192.0.2.101" if state == "On" else "192.0.2.102"])
                client = other.client("route53")
                wait_for(lambda: client.get_change(Id=change["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC", 10, "INSYNC")
        for daemon in self.sites:
            self.sites.wait_for_sites(daemon, 3)


@previous
def test_sites_are_upgraded_one_by_one_and_one_is_set_back(sandbox):
    mixed = Mixed(sandbox, PREVIOUS)
    mixed.exercise()
    for name in ("site-0", "site-1"):
        mixed.move(name, BUILD)
        mixed.exercise()
    mixed.move("site-1", PREVIOUS)
    mixed.exercise()
    for name in ("site-1", "site-2"):
        mixed.move(name, BUILD)
    mixed.exercise()


@previous
def test_a_site_of_this_version_joins_one_of_the_previous_and_the_other_way_round(sandbox):
    sites = SharedSites(sandbox, 3)
    for name, build in (("site-0", PREVIOUS), ("site-1", BUILD), ("site-2", PREVIOUS)):
        sites[name].build = build
    sites.etcd.start()
    first, second, third = sites
    first.start().leeward("site", "init")
    sites.add(second, by="site-0")
    sites.add(third, by="site-1")
    for daemon in sites:
        sites.wait_for_sites(daemon, 3)


@previous
def test_the_data_of_a_single_daemon_goes_to_this_version_and_back(sandbox):
    daemon = sandbox.daemon("--site", "here", "--peer", f"{sandbox.address()}:0", build=PREVIOUS).start()
    daemon.leeward("site", "init")
    world = World(daemon)
    for build in (BUILD, PREVIOUS):
        daemon.stop()
        daemon.build = build
        daemon.start()
        daemon.wait_for_answer("old.example.com", "A", ["192.0.2.2"])
    daemon.stop()
    daemon.build = BUILD
    daemon.start()
    world.change_everything()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.5"])
