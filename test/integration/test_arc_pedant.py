"""The two ARC APIs as somebody asks them who reads every line of the model, or means ill: page tokens that belong elsewhere,
tags at their limits, errors that an operation does not have, requests that are no requests."""

import copy
import itertools
import threading
import urllib.parse

import pytest

from controls import Arc
from test_arc_config import call, refused

_panels = itertools.count()

@pytest.fixture(name="cluster", scope="module")
def _cluster(shared):
    return Arc(shared)


@pytest.fixture(name="arc")
def _arc(cluster):
    """The cluster that the tests of this file share, with a control panel of the test's own."""
    arc = copy.copy(cluster)
    arc.panel = arc.new_panel(f"panel{next(_panels)}")
    return arc


def at_once(functions):
    """Calls all of them together; what each returned, or the code of its error."""
    results = [None] * len(functions)

    def run(index):
        try:
            results[index] = functions[index]()
        except Exception as error:  # noqa: BLE001: a ClientError, or a fault that the caller's assertion shows
            results[index] = getattr(error, "response", {}).get("Error", {}).get("Code", repr(error))
    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_page_token_belongs_to_the_list_that_gave_it(arc):
    config, cluster, other = arc.config, arc.cluster_client, arc.new_panel("other")
    controls = [arc.control(f"c{number}") for number in range(3)]
    for number in range(3):
        arc.control(f"o{number}", other)
    token = config.list_routing_controls(ControlPanelArn=arc.panel, MaxResults=1)["NextToken"]
    for function, more in [(config.list_clusters, {}), (config.list_control_panels, {}),
                           (config.list_routing_controls, {"ControlPanelArn": other}),
                           (config.list_safety_rules, {"ControlPanelArn": arc.panel}),
                           (config.list_associated_route53_health_checks, {"RoutingControlArn": controls[0]}),
                           (cluster.list_routing_controls, {"ControlPanelArn": arc.panel})]:
        refused("ValidationException", 400, "NextToken", function, NextToken=token, **more)
    states = cluster.list_routing_controls(ControlPanelArn=arc.panel, MaxResults=1)
    refused("ValidationException", 400, "NextToken", cluster.list_routing_controls, NextToken=states["NextToken"])
    refused("ValidationException", 400, "NextToken", config.list_clusters, NextToken="a" * 32)
    # where the list stood does not go with the control that the token names
    rest = config.list_routing_controls(ControlPanelArn=arc.panel, NextToken=token, MaxResults=2)["RoutingControls"]
    config.delete_routing_control(RoutingControlArn=(set(controls) - {each["RoutingControlArn"] for each in rest}).pop())
    assert config.list_routing_controls(ControlPanelArn=arc.panel, NextToken=token)["RoutingControls"] == rest


def test_tags_have_characters_not_bytes(arc):
    tags = {"\u65e5" * 128: "\u672c" * 256, "empty": ""}
    arc.config.tag_resource(ResourceArn=arc.panel, Tags=tags)
    assert arc.config.list_tags_for_resource(ResourceArn=arc.panel)["Tags"] == tags
    refused("ValidationException", 400, "length less than or equal to 128", arc.config.tag_resource, ResourceArn=arc.panel, Tags={"\u65e5" * 129: "x"})
    error = refused("ValidationException", 400, "length less than or equal to 256", arc.config.tag_resource, ResourceArn=arc.panel,
                    Tags={"a": "v" * 257})
    assert "Value '{a=vvv" in error["Error"]["Message"] and "Min0Max256" not in error["Error"]["Message"]


def test_rules_have_no_errors_but_those_of_the_model(arc):
    """CreateSafetyRule's are ValidationException and InternalServerException; clients that know them by type know no others."""
    control = arc.control("c")
    rule = {"Name": "r", "ControlPanelArn": arc.panel, "AssertedControls": [control], "WaitPeriodMs": 0,
            "RuleConfig": {"Type": "OR", "Threshold": 0, "Inverted": False}}
    gone = arc.panel[:-4] + "ffff"
    for change, words in [({"AssertedControls": [control[:-4] + "ffff"]}, "There is no routing control"),
                          ({"ControlPanelArn": gone}, "There is no control panel")]:
        refused("ValidationException", 400, words, arc.config.create_safety_rule, AssertionRule={**rule, **change})
    arc.config.create_safety_rule(AssertionRule=rule, ClientToken="t")
    refused("ValidationException", 400, "token t was used", arc.config.create_safety_rule, AssertionRule={**rule, "Name": "q"},
            ClientToken="t")
    for number in range(19):
        arc.rule(f"r{number}", [control], "OR")
    refused("ValidationException", 400, "no more than 20", arc.rule, "one-too-many", [control], "OR")


def test_a_query_string_that_is_none_is_an_error_of_the_service(arc):
    for query in ("NextToken=%00", "MaxResults=%00", "%00=1"):
        status, answer = call(arc.daemon, "GET", "/cluster?" + query)
        assert status == 400 and "query string" in answer["message"], (query, answer)


def test_of_two_who_want_the_same_one_gets_it(arc):
    config = arc.config
    for token in ({}, {"ClientToken": "one"}):
        name = "same" + token.get("ClientToken", "")
        made = at_once([lambda name=name, token=token: config.create_control_panel(
            ClusterArn=arc.cluster, ControlPanelName=name, **token)["ControlPanel"]["ControlPanelArn"]] * 8)
        arns = {each for each in made if each.startswith("arn:")}
        assert len(arns) == 1 and (made.count("ConflictException") == 7 or token and len(set(made)) == 1), made
    made = at_once([lambda number=number: config.create_cluster(ClusterName=f"c{number}")["Cluster"]["ClusterArn"] for number in range(8)])
    assert made.count("ServiceQuotaExceededException") == 7 and len(config.list_clusters()["Clusters"]) == 2
    control = arc.control("tagged")
    assert at_once([lambda number=number: config.tag_resource(ResourceArn=control, Tags={f"k{number}": "v"})["ResponseMetadata"][
        "HTTPStatusCode"] for number in range(20)]) == [200] * 20
    assert len(config.list_tags_for_resource(ResourceArn=control)["Tags"]) == 20


def test_what_is_made_and_what_it_hangs_on_do_not_both_go_and_come(arc):
    """Creations race the deletion of what they need: one of the two happens."""
    config = arc.config
    rule = {"ControlPanelArn": arc.panel, "WaitPeriodMs": 0, "RuleConfig": {"Type": "OR", "Threshold": 0, "Inverted": False}}
    for number in range(8):
        panel, control = arc.new_panel(f"p{number}"), arc.control(f"c{number}")
        deleted, made = at_once([
            lambda panel=panel: config.delete_control_panel(ControlPanelArn=panel),
            lambda panel=panel: config.create_routing_control(ClusterArn=arc.cluster, ControlPanelArn=panel, RoutingControlName="x")])
        assert [deleted, made].count("ResourceNotFoundException") + [deleted, made].count("ConflictException") == 1
        deleted, made = at_once([
            lambda control=control: config.delete_routing_control(RoutingControlArn=control),
            lambda control=control, number=number: config.create_safety_rule(
                AssertionRule={**rule, "Name": f"r{number}", "AssertedControls": [control]})])
        assert (deleted, made).count("ValidationException") + (deleted, made).count("ConflictException") == 1
        control = arc.control(f"h{number}")
        deleted, made = at_once([lambda control=control: config.delete_routing_control(RoutingControlArn=control),
                                 lambda control=control: arc.check(control)])
        assert (deleted, made).count("InvalidInput") + (deleted, made).count("ConflictException") == 1


def test_an_arn_that_is_not_quite_one_is_refused(arc):
    once = urllib.parse.quote(arc.cluster, safe="")
    for arn in (arc.cluster.replace("aws:", "aws-cn:"), arc.cluster.replace("::", ":us-west-2:"), arc.cluster.upper(), once,
                arc.cluster + "/", " " + arc.cluster, arc.cluster.replace("cluster/", "controlpanel/")):
        for method in ("GET", "DELETE"):
            status, answer = call(arc.daemon, method, "/cluster/" + urllib.parse.quote(arn, safe=""))
            assert status == 400 and "not the ARN" in answer["message"], (arn, answer)
    for path in (once, once.lower(), urllib.parse.quote(arc.cluster, safe=":"), once + "/"):
        assert call(arc.daemon, "GET", "/cluster/" + path)[1]["Cluster"]["ClusterArn"] == arc.cluster
