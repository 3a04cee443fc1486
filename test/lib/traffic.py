"""What tests of traffic policies share: documents, and a daemon with a zone and pages that are checked."""

import itertools
import json

import botocore.exceptions
import pytest

import endpoints
from process import wait_for
from questions import ask, data, tally

ZONE = "example.com"
NAME = "www.example.com"

_serial = itertools.count(1)


def document(start, endpoints, rules=None, kind="A", version="2015-10-01"):
    """A document: endpoints by id (a value, or the whole definition), and rules by id."""
    return json.dumps({
        "AWSPolicyFormatVersion": version, "RecordType": kind,
        ("StartRule" if start in (rules or {}) else "StartEndpoint"): start,
        "Endpoints": {key: value if isinstance(value, dict) else {"Type": "value", "Value": value}
                      for key, value in endpoints.items()},
        "Rules": rules or {}})


class World:
    """A daemon, one hosted zone, and one site whose pages are checked."""

    def __init__(self, sandbox, *options):
        self.daemon = sandbox.daemon(*options).start()
        self.site = sandbox.add(endpoints.Site(sandbox.folder / "site", sandbox.address())).start()
        self.zone = self.daemon.create_zone(ZONE)
        self.route53 = self.daemon.client("route53")

    def check(self, page):
        self.site.up(page)
        return endpoints.page_check(self.daemon, self.site, page)

    def policy(self, text):
        return self.route53.create_traffic_policy(Name=f"policy-{next(_serial)}", Document=text)["TrafficPolicy"]

    def version(self, policy, text):
        return self.route53.create_traffic_policy_version(Id=policy["Id"], Document=text)["TrafficPolicy"]

    def instance(self, policy, name=NAME, ttl=1, zone=None):
        made = self.route53.create_traffic_policy_instance(
            HostedZoneId=zone or self.zone, Name=name, TTL=ttl, TrafficPolicyId=policy["Id"],
            TrafficPolicyVersion=policy["Version"])["TrafficPolicyInstance"]
        self.applied(made)
        return made

    def update(self, instance, policy, ttl=1):
        self.route53.update_traffic_policy_instance(Id=instance["Id"], TTL=ttl, TrafficPolicyId=policy["Id"],
                                                    TrafficPolicyVersion=policy["Version"])
        self.applied(instance)

    def applied(self, instance):
        def there():
            got = self.route53.get_traffic_policy_instance(Id=instance["Id"])["TrafficPolicyInstance"]
            assert got["State"] == "Applied", got
            return got
        return wait_for(there, 10, "Applied")

    def data(self, name=NAME, kind="A"):
        return data(ask(self.daemon.dns, name, kind), kind)

    def wait_for(self, *values, name=NAME):
        def answered():
            seen = self.data(name)
            assert seen == sorted(values), seen
            return True
        wait_for(answered, 10, f"{name} is {values}")

    def tally(self, count=2000, name=NAME):
        return {values: number for values, number in tally(self.daemon.dns, name, "A", count).items()}

    def wait_for_answers(self, *values):
        """Waits until these single values, and no others, are answered."""
        def answered():
            seen = set(self.tally(200))
            assert seen == {(value,) for value in values}, seen
            return True
        wait_for(answered, 10, f"answers of {values}")

    def listed(self):
        return self.route53.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]

    def refused(self, code, call, **request):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            getattr(self.route53, call)(**request)
        assert caught.value.response["Error"]["Code"] == code, caught.value
        return caught.value.response["Error"]["Message"]
