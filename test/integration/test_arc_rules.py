"""Safety rules hold: what they refuse and say, overriding, explaining before doing, and under concurrent clients and kills."""

import json
import random
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from controls import Arc
from process import wait_for


@pytest.fixture(name="arc")
def _arc(sandbox):
    arc = Arc(sandbox.daemon().start())
    arc.a, arc.b, arc.c, arc.gate = (arc.control(name) for name in ("a", "b", "c", "gate"))
    return arc


def refused(call, *arguments, code="ConflictException", **more):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **more)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


def test_an_assertion_rule_keeps_one_on(arc):
    arc.set(arc.a, "On")
    rule = arc.rule("one", [arc.a, arc.b], "ATLEAST", 1)
    error = refused(arc.set, arc.a, "Off")
    assert rule in error["Error"]["Message"] and "(a, b) must be On after the change, and 0 would be" in error["Error"]["Message"]
    assert (error["resourceId"], error["resourceType"]) == (rule, "safetyrule")
    assert arc.state(arc.a) == "On"
    arc.set_all({arc.a: "Off", arc.b: "On"})
    assert (arc.state(arc.a), arc.state(arc.b)) == ("Off", "On")


def test_a_gate_is_opened_first(arc):
    arc.rule("gate", [arc.gate], "OR", targets=[arc.a, arc.b])
    refused(arc.set, arc.a, "On")
    refused(arc.set_all, {arc.gate: "On", arc.a: "On"})
    arc.set(arc.gate, "On")
    arc.set(arc.a, "On")
    arc.set(arc.gate, "Off")
    refused(arc.set, arc.a, "Off")
    arc.set(arc.a, "On")  # what it is already
    arc.set(arc.c, "On")  # no target


def test_all_blocking_rules_are_named_at_once(arc):
    arc.set(arc.a, "On")
    rules = [arc.rule("at-least", [arc.a, arc.b], "ATLEAST", 1), arc.rule("exactly", [arc.a, arc.c], "EXACTLY", 1),
             arc.rule("gate", [arc.gate], "AND", targets=[arc.a]), arc.rule("not-none", [arc.c, arc.a], "AND", inverted=True)]
    message = refused(arc.set, arc.a, "Off")["Error"]["Message"]
    assert "blocked by 3 safety rules" in message
    assert [rule in message for rule in rules] == [True, True, True, False]
    refused(arc.set, arc.a, "Off", SafetyRulesToOverride=rules[:2])
    arc.set(arc.a, "Off", SafetyRulesToOverride=rules[:3])
    assert arc.state(arc.a) == "Off"


def test_a_wait_period_keeps_states_from_flapping(arc):
    rule = arc.rule("calm", [arc.a, arc.b], "ATLEAST", 1, wait=60000)
    arc.set(arc.a, "On")
    message = refused(arc.set, arc.b, "On")["Error"]["Message"]
    assert "wait period of 60000 ms is not over" in message
    arc.set(arc.b, "On", SafetyRulesToOverride=[rule])
    arc.config.update_safety_rule(AssertionRuleUpdate={"SafetyRuleArn": rule, "Name": "calm", "WaitPeriodMs": 300})
    time.sleep(0.35)
    arc.set(arc.a, "Off")


def test_an_update_over_panels_is_one(arc):
    panel = arc.new_panel("other")
    there = arc.control("there", panel)
    arc.rule("never", [there], "OR", inverted=True, panel=panel)
    refused(arc.set_all, {arc.a: "On", there: "On"})
    assert (arc.state(arc.a), arc.state(there)) == ("Off", "Off")


def test_what_cannot_be_asked_for_is_refused(arc):
    rule = arc.rule("one", [arc.a], "OR")
    many = {arc.control(f"m{number}"): "On" for number in range(11)}
    error = refused(arc.set_all, many, code="ServiceLimitExceededException")
    assert error["serviceCode"] == "route53-recovery-cluster" and error["limitCode"]
    refused(arc.set_all, {}, code="ValidationException")
    refused(arc.set, arc.a, "on", code="ValidationException")
    refused(arc.set, "arn", "On", code="ValidationException")
    refused(arc.set, rule, "On", code="ValidationException")
    refused(arc.set, arc.a[:-16] + "0" * 16, "On", code="ResourceNotFoundException")
    refused(arc.set, arc.a.replace("controlpanel/", "controlpanel/" + "0" * 32)[:len(arc.a)], "On", code="ValidationException")
    error = refused(arc.set, arc.a, "On", SafetyRulesToOverride=[rule[:-16] + "0" * 16], code="ResourceNotFoundException")
    assert error["resourceType"] == "safetyrule"
    refused(arc.set, arc.a, "On", SafetyRulesToOverride=[arc.a], code="ValidationException")
    twice = [{"RoutingControlArn": arc.a, "RoutingControlState": state} for state in ("On", "Off")]
    refused(arc.cluster_client.update_routing_control_states, UpdateRoutingControlStateEntries=twice, code="ValidationException")
    assert set(arc.states().values()) == {"Off"}


def test_a_change_is_explained_before_it_is_made(arc):
    daemon = arc.daemon
    arc.set(arc.a, "On")
    arc.rule("one", [arc.a, arc.b], "ATLEAST", 1)
    run = daemon.leeward("arc", "explain", "a=Off")
    assert "The change would be refused." in run.stdout
    assert "one blocks it: at least 1 of its 2 asserted controls (a, b) must be On after the change, and 0 would be" in run.stdout
    run = daemon.leeward("arc", "explain", "a=Off,b=On")
    assert "The change would be made." in run.stdout and "b turns On" in run.stdout and "one allows it" in run.stdout
    run = daemon.leeward("arc", "explain", "a=off", "--override", "one", "--json")
    answer = json.loads(run.stdout)
    assert answer["Allowed"] and answer["SafetyRules"][0]["Verdict"] == "OVERRIDDEN"
    assert arc.state(arc.a) == "On"
    table = daemon.leeward("controls").stdout
    assert "at least 1 of its 2 asserted controls (a, b) must be On" in table and arc.gate in table
    assert daemon.leeward("arc", "explain", "nobody=On", check=False).returncode == 1
    for text in "a=maybe", "a=Off,,b=On", ",a=Off":
        assert daemon.leeward("arc", "explain", text, check=False).returncode == 2
    other = arc.new_panel("other")
    arc.control("a", other)
    run = daemon.leeward("arc", "explain", "a=On", check=False)
    assert run.returncode == 1 and "more than one routing control is named a" in run.stderr
    assert "turns On" in daemon.leeward("arc", "explain", "other/a=On").stdout


def test_sixteen_clients_never_break_only_one_of_three(arc):
    controls = [arc.a, arc.b, arc.c]
    arc.set(arc.a, "On")
    arc.rule("only-one", controls, "EXACTLY", 1)
    stop, broken, counts = threading.Event(), [], {"made": 0, "refused": 0, "looks": 0}
    lock = threading.Lock()

    def change(seed):
        chance = random.Random(seed)
        client = arc.daemon.client("route53-recovery-cluster")
        while not stop.is_set():
            entries = [{"RoutingControlArn": control, "RoutingControlState": chance.choice(["On", "Off"])}
                       for control in chance.sample(controls, chance.randint(1, 3))]
            try:
                client.update_routing_control_states(UpdateRoutingControlStateEntries=entries)
                outcome = "made"
            except ClientError as error:
                outcome = "refused"
                if error.response["Error"]["Code"] != "ConflictException":
                    broken.append(error)
            with lock:
                counts[outcome] += 1

    def look():
        client = arc.daemon.client("route53-recovery-cluster")
        while not stop.is_set():
            states = [each["RoutingControlState"] for each in client.list_routing_controls()["RoutingControls"]
                      if each["RoutingControlName"] != "gate"]
            counts["looks"] += 1
            if states.count("On") != 1:
                broken.append(states)
    threads = [threading.Thread(target=change, args=(seed,)) for seed in range(16)] + [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: counts["made"] > 500 and counts["refused"] > 500 and counts["looks"] > 20, 30, "enough of each")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print(counts)
    assert not broken, broken[:3]


def test_a_killed_daemon_leaves_nothing_half_done(arc):
    """a and b always change together: whenever it was killed, both are what one call asked for."""
    arc.set_all({arc.a: "On", arc.b: "Off"})
    for turn in range(5):
        client = arc.daemon.client("route53-recovery-cluster")
        last = []

        def change():
            states = ["On", "Off"]
            while True:
                states.reverse()
                last.append(("asked", tuple(states)))
                try:
                    client.update_routing_control_states(UpdateRoutingControlStateEntries=[
                        {"RoutingControlArn": control, "RoutingControlState": state}
                        for control, state in zip((arc.a, arc.b), states)])
                except (BotoCoreError, ClientError):
                    return
                last.append(("made", tuple(states)))
        thread = threading.Thread(target=change)
        thread.start()
        time.sleep(0.15 + 0.05 * turn)
        arc.daemon.kill()
        thread.join()
        arc.daemon.start()
        arc.cluster_client = arc.daemon.client("route53-recovery-cluster")
        now = (arc.state(arc.a), arc.state(arc.b))
        assert now in (("On", "Off"), ("Off", "On")), now
        made = [states for what, states in last if what == "made"]
        assert now in (last[-1][1], made[-1] if made else now), "an answered change is lost"
        assert arc.states() == {"a": now[0], "b": now[1], "c": "Off", "gate": "Off"}
