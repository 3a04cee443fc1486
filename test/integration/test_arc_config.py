"""route53-recovery-control-config with the AWS CLI and boto3: clusters, panels, controls, safety rules, tags; waiters,
pages, idempotency, quotas, and every error."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.exceptions import ClientError

from controls import ACCOUNT_REGION, Arc
from leeward import KEY_ID, SECRET, AwsError

CONFIG = "route53-recovery-control-config"
PREFIX = "arn:aws:route53-recovery-control::\\d{12}:"


@pytest.fixture(name="arc")
def _arc(sandbox):
    return Arc(sandbox.daemon().start())


def refused(code, status, words, call, *arguments, **more):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **more)
    error = caught.value.response
    assert error["Error"]["Code"] == code, error
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    assert words in error["Error"]["Message"], error
    return error


def call(daemon, method, path, body=None):
    """An operation that Debian's botocore does not have yet; (status, answer)."""
    url = daemon.endpoint + path
    request = botocore.awsrequest.AWSRequest(method=method, url=url, data=json.dumps(body) if body else None,
                                             headers={"Content-Type": "application/json"})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(KEY_ID, SECRET), CONFIG, ACCOUNT_REGION).add_auth(request)
    prepared = request.prepare()
    wire = urllib.request.Request(url, data=prepared.body.encode() if isinstance(prepared.body, str) else prepared.body, method=method, headers=dict(prepared.headers))
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(wire, timeout=120) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_aws_cli_makes_what_a_failover_needs_and_deletes_it_again(sandbox):
    daemon = sandbox.daemon().start()

    def aws(*arguments):
        return daemon.aws(CONFIG, *arguments, region=ACCOUNT_REGION)
    cluster = aws("create-cluster", "--cluster-name", "main", "--tags", "team=web")["Cluster"]
    assert cluster["Status"] == "PENDING" and re.fullmatch(PREFIX + "cluster/[0-9a-f-]{36}", cluster["ClusterArn"])
    arn = cluster["ClusterArn"]
    aws("wait", "cluster-created", "--cluster-arn", arn)
    shown = aws("describe-cluster", "--cluster-arn", arn)["Cluster"]
    assert shown["Status"] == "DEPLOYED" and shown["Name"] == "main"
    endpoint = shown["ClusterEndpoints"][0]
    assert endpoint["Region"] == "us-east-1" and len(endpoint["Endpoint"]) <= 128
    default = aws("list-control-panels", "--cluster-arn", arn)["ControlPanels"]
    assert [(panel["Name"], panel["DefaultControlPanel"]) for panel in default] == [("DefaultControlPanel", True)]

    panel = aws("create-control-panel", "--cluster-arn", arn, "--control-panel-name", "shop")["ControlPanel"]["ControlPanelArn"]
    assert re.fullmatch(PREFIX + "controlpanel/[0-9a-f]{32}", panel)
    aws("wait", "control-panel-created", "--control-panel-arn", panel)
    made = [aws("create-routing-control", "--cluster-arn", arn, "--control-panel-arn", panel, "--routing-control-name", name)
            ["RoutingControl"]["RoutingControlArn"] for name in ("east", "west")]
    assert re.fullmatch(PREFIX + "controlpanel/[0-9a-f]{32}/routingcontrol/[0-9a-f]{16}", made[0])
    aws("wait", "routing-control-created", "--routing-control-arn", made[0])
    rule = aws("create-safety-rule", "--assertion-rule", json.dumps({
        "Name": "one-on", "ControlPanelArn": panel, "AssertedControls": made, "WaitPeriodMs": 0,
        "RuleConfig": {"Type": "ATLEAST", "Threshold": 1, "Inverted": False}}))["AssertionRule"]
    assert re.fullmatch(PREFIX + "controlpanel/[0-9a-f]{32}/safetyrule/[0-9a-f]{16}", rule["SafetyRuleArn"])
    assert aws("describe-control-panel", "--control-panel-arn", panel)["ControlPanel"]["RoutingControlCount"] == 2
    states = daemon.aws("route53-recovery-cluster", "list-routing-controls", "--control-panel-arn", panel)["RoutingControls"]
    assert {each["RoutingControlName"]: each["RoutingControlState"] for each in states} == {"east": "Off", "west": "Off"}

    with pytest.raises(AwsError) as error:
        aws("delete-control-panel", "--control-panel-arn", panel)
    assert error.value.code == "ConflictException" and "2 routing controls" in error.value.stderr
    with pytest.raises(AwsError) as error:
        aws("delete-routing-control", "--routing-control-arn", made[0])
    assert error.value.code == "ConflictException" and "one-on" in error.value.stderr
    aws("delete-safety-rule", "--safety-rule-arn", rule["SafetyRuleArn"])
    for control in made:
        aws("delete-routing-control", "--routing-control-arn", control)
        aws("wait", "routing-control-deleted", "--routing-control-arn", control)
    with pytest.raises(AwsError) as error:
        aws("delete-cluster", "--cluster-arn", arn)
    assert error.value.code == "ConflictException" and "shop" in error.value.stderr
    aws("delete-control-panel", "--control-panel-arn", panel)
    aws("wait", "control-panel-deleted", "--control-panel-arn", panel)
    aws("delete-cluster", "--cluster-arn", arn)
    aws("wait", "cluster-deleted", "--cluster-arn", arn)
    assert aws("list-clusters")["Clusters"] == aws("list-control-panels")["ControlPanels"] == []


def test_a_client_token_makes_one_thing(arc):
    config = arc.config
    first = config.create_cluster(ClusterName="second", ClientToken="t")["Cluster"]
    again = config.create_cluster(ClusterName="second", ClientToken="t")["Cluster"]
    assert (again["ClusterArn"], again["Status"]) == (first["ClusterArn"], "DEPLOYED")
    refused("ConflictException", 409, "token t was used", config.create_cluster, ClusterName="third", ClientToken="t")
    refused("ConflictException", 409, "token t was used", config.create_control_panel, ClusterArn=arc.cluster,
            ControlPanelName="p", ClientToken="t")
    more = {"ClusterArn": arc.cluster, "RoutingControlName": "c", "ClientToken": "u"}
    control = config.create_routing_control(**more)["RoutingControl"]["RoutingControlArn"]
    assert config.create_routing_control(**more)["RoutingControl"]["RoutingControlArn"] == control
    rule = {"Name": "r", "ControlPanelArn": arc.panel, "AssertedControls": [control], "WaitPeriodMs": 1,
            "RuleConfig": {"Type": "OR", "Threshold": 0, "Inverted": False}}
    arns = {config.create_safety_rule(AssertionRule=rule, ClientToken="v")["AssertionRule"]["SafetyRuleArn"] for _ in range(2)}
    assert len(arns) == 1
    config.delete_cluster(ClusterArn=first["ClusterArn"])
    assert config.create_cluster(ClusterName="third", ClientToken="t")["Cluster"]["ClusterArn"] != first["ClusterArn"]


def test_names_are_unique_where_they_are_looked_for(arc):
    config = arc.config
    refused("ConflictException", 409, "named cluster already", config.create_cluster, ClusterName="cluster")
    panel = arc.new_panel("p")
    refused("ConflictException", 409, "named p already", arc.new_panel, "p")
    refused("ConflictException", 409, "named p already", config.update_control_panel, ControlPanelArn=arc.panel,
            ControlPanelName="p")
    control, other = arc.control("c"), arc.control("c", panel)
    refused("ConflictException", 409, "named c already", arc.control, "c")
    rule = arc.rule("r", [control], "OR")
    refused("ValidationException", 400, "named r already", arc.rule, "r", [control], "OR")
    arc.rule("r", [other], "OR", panel=panel)
    assert config.update_routing_control(RoutingControlArn=control, RoutingControlName="renamed")["RoutingControl"]["Name"] == "renamed"
    assert arc.states(arc.panel) == {"renamed": "Off"}
    updated = config.update_safety_rule(AssertionRuleUpdate={"SafetyRuleArn": rule, "Name": "q", "WaitPeriodMs": 7})["AssertionRule"]
    assert (updated["Name"], updated["WaitPeriodMs"]) == ("q", 7)
    assert config.update_control_panel(ControlPanelArn=panel, ControlPanelName="q")["ControlPanel"]["Name"] == "q"


def test_rules_are_shown_as_they_were_made(arc):
    gate, target = arc.control("gate"), arc.control("target")
    arn = arc.rule("g", [gate], "EXACTLY", 1, targets=[target], inverted=True, wait=250)
    rule = arc.config.describe_safety_rule(SafetyRuleArn=arn)["GatingRule"]
    assert rule["GatingControls"] == [gate] and rule["TargetControls"] == [target]
    assert rule["RuleConfig"] == {"Type": "EXACTLY", "Threshold": 1, "Inverted": True}
    assert rule["WaitPeriodMs"] == 250 and rule["Status"] == "DEPLOYED" and rule["ControlPanelArn"] == arc.panel
    assertion = arc.rule("a", [gate, target], "AND")
    listed = arc.config.list_safety_rules(ControlPanelArn=arc.panel)["SafetyRules"]
    assert sorted(next(iter(each)) for each in listed) == ["ASSERTION", "GATING"]
    assert {each[kind]["SafetyRuleArn"] for each in listed for kind in each} == {arn, assertion}
    refused("ValidationException", 400, "other kind", arc.config.update_safety_rule,
            AssertionRuleUpdate={"SafetyRuleArn": arn, "Name": "x", "WaitPeriodMs": 0})


RULES = {
    "no controls": ({"controls": []}, "1 to 100 routing controls"),
    "one twice": ({"controls": [0, 0]}, "twice"),
    "threshold too high": ({"kind": "ATLEAST", "threshold": 2}, "Threshold must be 1 to 1"),
    "threshold too low": ({"kind": "ATLEAST", "threshold": 0}, "Threshold must be 1 to 1"),
    "exactly too many": ({"kind": "EXACTLY", "threshold": 2}, "Threshold must be 0 to 1"),
    "threshold negative": ({"kind": "AND", "threshold": -1}, "must not be negative"),
    "negative wait": ({"wait": -1}, "WaitPeriodMs must not be negative"),
    "its own gate": ({"targets": [0]}, "target of its own rule"),
    "another panel's": ({"controls": [1]}, "not of the rule's control panel"),
    "no such type": ({"kind": "NONE"}, ""),
}


@pytest.mark.parametrize("case", RULES)
def test_a_bad_rule_is_refused(arc, case):
    change, words = RULES[case]
    controls = [arc.control("here"), arc.control("there", arc.new_panel("other"))]
    settings = {"controls": [0], "kind": "OR", "threshold": 1, **change}
    picked = {key: [controls[i] for i in settings.pop(key)] for key in ("controls", "targets") if key in settings}
    refused("ValidationException", 400, words, arc.rule, "r", picked["controls"], settings.pop("kind"),
            settings.pop("threshold"), targets=picked.get("targets"), **settings)
    assert arc.config.list_safety_rules(ControlPanelArn=arc.panel)["SafetyRules"] == []


def test_what_is_not_there_is_said_to_be_so(arc):
    config, account = arc.config, arc.cluster.split(":")[4]
    prefix = f"arn:aws:route53-recovery-control::{account}:"
    panel = prefix + "controlpanel/" + "0" * 32
    control, rule = panel + "/routingcontrol/" + "0" * 16, panel + "/safetyrule/" + "0" * 16
    cluster = prefix + "cluster/00000000-0000-0000-0000-000000000000"
    for function, more in [
            (config.describe_cluster, {"ClusterArn": cluster}), (config.delete_cluster, {"ClusterArn": cluster}),
            (config.list_control_panels, {"ClusterArn": cluster}), (config.describe_control_panel, {"ControlPanelArn": panel}),
            (config.delete_control_panel, {"ControlPanelArn": panel}), (config.list_routing_controls, {"ControlPanelArn": panel}),
            (config.list_safety_rules, {"ControlPanelArn": panel}), (config.describe_routing_control, {"RoutingControlArn": control}),
            (config.delete_routing_control, {"RoutingControlArn": control}),
            (config.list_associated_route53_health_checks, {"RoutingControlArn": control}),
            (config.describe_safety_rule, {"SafetyRuleArn": rule}), (config.delete_safety_rule, {"SafetyRuleArn": rule}),
            (config.list_tags_for_resource, {"ResourceArn": rule}),
            (config.describe_cluster, {"ClusterArn": arc.cluster.replace(account, "999999999999")}),
            (config.create_control_panel, {"ClusterArn": cluster, "ControlPanelName": "p"})]:
        refused("ResourceNotFoundException", 404, "There is no", function, **more)
    for function, more in [
            (config.describe_cluster, {"ClusterArn": "nonsense"}), (config.describe_cluster, {"ClusterArn": arc.panel}),
            (config.describe_routing_control, {"RoutingControlArn": arc.panel}), (config.untag_resource, {
                "ResourceArn": "x", "TagKeys": ["a"]})]:
        refused("ValidationException", 400, "ARN of a", function, **more)
    refused("ValidationException", 400, "Either AssertionRule or GatingRule", config.create_safety_rule)


def test_quotas_are_those_of_arc(arc):
    config = arc.config
    config.create_cluster(ClusterName="two")
    refused("ServiceQuotaExceededException", 402, "no more than 2", config.create_cluster, ClusterName="three")
    for number in range(49):
        arc.new_panel(f"p{number}")
    refused("ServiceQuotaExceededException", 402, "no more than 50", arc.new_panel, "one-too-many")
    controls = [arc.control(f"c{number}") for number in range(100)]
    refused("ServiceQuotaExceededException", 402, "no more than 100", arc.control, "one-too-many")
    for number in range(20):
        arc.rule(f"r{number}", controls[:2], "OR")
    refused("ValidationException", 400, "no more than 20", arc.rule, "one-too-many", controls[:2], "OR")
    shown, token, pages = [], {}, 0
    while pages == 0 or token:
        page = config.list_routing_controls(ControlPanelArn=arc.panel, MaxResults=30, **token)
        shown += [each["RoutingControlArn"] for each in page["RoutingControls"]]
        token, pages = ({"NextToken": page["NextToken"]} if "NextToken" in page else {}), pages + 1
    assert pages == 4 and sorted(shown) == sorted(controls)
    pages = list(arc.cluster_client.get_paginator("list_routing_controls").paginate(PaginationConfig={"PageSize": 40}))
    assert [len(page["RoutingControls"]) for page in pages] == [40, 40, 20]
    refused("ValidationException", 400, "NextToken", config.list_clusters, NextToken="no token")


def test_tags_are_kept_with_what_they_are_of(arc):
    config = arc.config
    control = arc.control("c")
    rule = arc.rule("r", [control], "OR")
    for arn in (arc.cluster, arc.panel, control, rule):
        config.tag_resource(ResourceArn=arn, Tags={"team": "web", "stage": "live"})
        config.tag_resource(ResourceArn=arn, Tags={"team": "shop"})
        assert config.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"team": "shop", "stage": "live"}
        config.untag_resource(ResourceArn=arn, TagKeys=["stage", "never-there"])
        assert config.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"team": "shop"}
    refused("ValidationException", 400, "does not begin with aws:", config.tag_resource, ResourceArn=rule, Tags={"aws:x": "y"})
    refused("ValidationException", 400, "at most 50", config.tag_resource, ResourceArn=rule,
            Tags={f"k{number}": "v" for number in range(50)})
    assert config.list_tags_for_resource(ResourceArn=rule)["Tags"] == {"team": "shop"}


def test_operations_that_debians_client_does_not_have_yet(arc):
    status, answer = call(arc.daemon, "PUT", "/cluster", {"ClusterArn": arc.cluster, "NetworkType": "DUALSTACK"})
    assert status == 200 and answer["Cluster"]["NetworkType"] == "DUALSTACK"
    path = "/resourcePolicy/" + urllib.parse.quote(arc.cluster, safe="")
    status, answer = call(arc.daemon, "GET", path)
    assert status == 404 and "it has no policy" in answer["message"]


def test_a_control_stays_while_a_health_check_follows_it(arc):
    control = arc.control("c")
    check = arc.check(control)
    assert arc.config.list_associated_route53_health_checks(RoutingControlArn=control)["HealthCheckIds"] == [check]
    refused("ConflictException", 409, check, arc.config.delete_routing_control, RoutingControlArn=control)
    arc.daemon.client("route53").delete_health_check(HealthCheckId=check)
    arc.config.delete_routing_control(RoutingControlArn=control)
    assert arc.states() == {}


def test_a_cluster_endpoint_lists_its_own_clusters_controls(arc):
    other = Arc(arc.daemon, "other")
    arc.control("ours"), other.control("theirs")
    endpoint = arc.config.describe_cluster(ClusterArn=arc.cluster)["Cluster"]["ClusterEndpoints"][0]
    assert endpoint["Endpoint"].startswith(arc.daemon.endpoint)
    arc.daemon.api = endpoint["Endpoint"].removeprefix("http://")
    client = arc.daemon.client("route53-recovery-cluster", region=endpoint["Region"])
    assert [each["RoutingControlName"] for each in client.list_routing_controls()["RoutingControls"]] == ["ours"]
    assert arc.states() == {"ours": "Off", "theirs": "Off"}


def test_roles_are_kept_apart(arc):
    control = arc.control("c")
    keys = {}
    for role in ("viewer", "operator"):
        made = json.loads(arc.daemon.leeward("key", "create", "--role", role, "--json").stdout)
        keys[role] = (made["Id"], made["Secret"])
    viewer = arc.daemon.client("route53-recovery-cluster", key=keys["viewer"])
    assert viewer.get_routing_control_state(RoutingControlArn=control)["RoutingControlState"] == "Off"
    refused("AccessDeniedException", 400, "", viewer.update_routing_control_state, RoutingControlArn=control,
            RoutingControlState="On")
    arc.daemon.client("route53-recovery-cluster", key=keys["operator"]).update_routing_control_state(
        RoutingControlArn=control, RoutingControlState="On")
    refused("AccessDeniedException", 403, "", arc.daemon.client(CONFIG, key=keys["operator"]).create_cluster, ClusterName="x")
