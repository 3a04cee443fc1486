"""Routing controls as tests use them: a cluster with panels and controls on a daemon, made and changed with boto3 or the
AWS CLI, and the health checks and records that follow them.

    arc = Arc(daemon)
    east, west = arc.control("east"), arc.control("west")
    arc.set(east, "On")
    arc.rule("one stays on", [east, west], "ATLEAST", 1, wait=0)
"""

import itertools

from leeward import record

ACCOUNT_REGION = "us-west-2"  # where AWS has the configuration
_numbers = itertools.count()


class Arc:
    def __init__(self, daemon, name="cluster"):
        self.daemon = daemon
        self.config = daemon.client("route53-recovery-control-config", region=ACCOUNT_REGION)
        self.cluster_client = daemon.client("route53-recovery-cluster")
        self.cluster = self.config.create_cluster(ClusterName=name)["Cluster"]["ClusterArn"]
        self.panel = self.config.list_control_panels(ClusterArn=self.cluster)["ControlPanels"][0]["ControlPanelArn"]

    def new_panel(self, name):
        return self.config.create_control_panel(ClusterArn=self.cluster, ControlPanelName=name)[
            "ControlPanel"]["ControlPanelArn"]

    def control(self, name, panel=None):
        return self.config.create_routing_control(ClusterArn=self.cluster, ControlPanelArn=panel or self.panel,
                                                  RoutingControlName=name)["RoutingControl"]["RoutingControlArn"]

    def rule(self, name, controls, kind, threshold=0, *, targets=None, inverted=False, wait=0, panel=None):
        """An assertion rule, or with targets a gating one; its ARN."""
        rule = {"Name": name, "ControlPanelArn": panel or self.panel, "WaitPeriodMs": wait,
                "RuleConfig": {"Type": kind, "Threshold": threshold, "Inverted": inverted}}
        if targets is None:
            made = self.config.create_safety_rule(AssertionRule={**rule, "AssertedControls": controls})["AssertionRule"]
        else:
            made = self.config.create_safety_rule(
                GatingRule={**rule, "GatingControls": controls, "TargetControls": targets})["GatingRule"]
        return made["SafetyRuleArn"]

    def set(self, control, state, **more):
        self.cluster_client.update_routing_control_state(RoutingControlArn=control, RoutingControlState=state, **more)

    def set_all(self, states, **more):
        self.cluster_client.update_routing_control_states(UpdateRoutingControlStateEntries=[
            {"RoutingControlArn": control, "RoutingControlState": state} for control, state in states.items()], **more)

    def state(self, control):
        return self.cluster_client.get_routing_control_state(RoutingControlArn=control)["RoutingControlState"]

    def states(self, panel=None):
        """name -> state"""
        more = {"ControlPanelArn": panel} if panel else {}
        return {each["RoutingControlName"]: each["RoutingControlState"]
                for each in self.cluster_client.list_routing_controls(**more)["RoutingControls"]}

    def check(self, control):
        """A RECOVERY_CONTROL health check that follows the control; its id."""
        return self.daemon.client("route53").create_health_check(
            CallerReference=f"control-{next(_numbers)}",
            HealthCheckConfig={"Type": "RECOVERY_CONTROL", "RoutingControlArn": control})["HealthCheck"]["Id"]

    def failover(self, zone, name, primary, secondary):
        """A failover pair: (address, control) each."""
        self.daemon.change(zone, *[
            record(name, "A", address, SetIdentifier=role, Failover=role, HealthCheckId=self.check(control))
            for role, (address, control) in (("PRIMARY", primary), ("SECONDARY", secondary))])
