"""Every operation of Route 53's first part, and STS: through the AWS CLI once, through boto3 with its documented errors.

What change batches may hold is in test_route53_changes.py; who may call what in test_access.py.
"""

import ipaddress
import json
import re
import time

import botocore.handlers
import pytest

from leeward import KEY_ID, SECRET, AwsError, record
from process import wait_for
from refusals import refused

NO_ZONE = "Z0000000000000000000"
NO_CHECK = "00000000-0000-4000-8000-000000000000"
NO_SET = "N0000000000000000000"
NAME_SERVERS = {f"ns-{number}.leeward.internal" for number in (1, 2, 3, 4)}


@pytest.fixture
def api(shared):
    return shared.client("route53")


@pytest.fixture
def unchecked(shared):
    """A client that sends what botocore's own validation would stop."""
    return shared.client("route53", parameter_validation=False)


def make_zone(api, name, **more):
    return api.create_hosted_zone(Name=name, CallerReference=f"{name} {time.monotonic_ns()}", **more)


def make_check(api, reference=None, **config):
    config = {"Type": "TCP", "IPAddress": "127.0.0.1", "Port": 1, "Disabled": True, **config}
    return api.create_health_check(CallerReference=reference or str(time.monotonic_ns()), HealthCheckConfig=config)


# ---- the AWS CLI: every operation once ----


def test_the_aws_cli_works_on_zones(daemon):
    def cli(*words):
        return daemon.aws("route53", *words)

    assert daemon.aws("sts", "get-caller-identity") == {
        "UserId": KEY_ID, "Account": "123456789012", "Arn": f"arn:aws:iam::123456789012:user/{KEY_ID}"}
    made = cli("create-reusable-delegation-set", "--caller-reference", "set")
    delegation = made["DelegationSet"]
    assert set(delegation["NameServers"]) == NAME_SERVERS
    assert made["Location"].endswith("/2013-04-01" + delegation["Id"])
    assert cli("get-reusable-delegation-set", "--id", delegation["Id"])["DelegationSet"] == delegation
    assert cli("list-reusable-delegation-sets")["DelegationSets"] == [delegation]

    made = cli("create-hosted-zone", "--name", "Example.COM", "--caller-reference", "zone", "--hosted-zone-config",
               "Comment=first", "--delegation-set-id", delegation["Id"])
    zone = made["HostedZone"]
    assert (zone["Name"], zone["ResourceRecordSetCount"], zone["Config"]) == (
        "example.com.", 2, {"Comment": "first", "PrivateZone": False})
    assert made["DelegationSet"]["Id"] == delegation["Id"]
    assert made["ChangeInfo"]["Status"] == "PENDING"
    got = cli("get-hosted-zone", "--id", zone["Id"])
    assert (got["HostedZone"], got["DelegationSet"]["Id"]) == (zone, delegation["Id"])
    assert cli("list-hosted-zones", "--delegation-set-id", delegation["Id"])["HostedZones"] == [zone]
    assert cli("list-hosted-zones-by-name", "--dns-name", "example.com")["HostedZones"] == [zone]
    assert cli("get-hosted-zone-count") == {"HostedZoneCount": 1}
    changed = cli("update-hosted-zone-comment", "--id", zone["Id"], "--comment", "second")
    assert changed["HostedZone"]["Config"]["Comment"] == "second"
    deleted = cli("delete-hosted-zone", "--id", zone["Id"])
    cli("wait", "resource-record-sets-changed", "--id", deleted["ChangeInfo"]["Id"])
    assert cli("delete-reusable-delegation-set", "--id", delegation["Id"]) is None
    with pytest.raises(AwsError) as error:
        cli("get-hosted-zone", "--id", zone["Id"])
    assert error.value.code == "NoSuchHostedZone"


def test_the_aws_cli_works_on_records(daemon):
    def cli(*words):
        return daemon.aws("route53", *words)

    zone = daemon.create_zone("example.com")
    batch = {"Comment": "a record", "Changes": [
        {"Action": "CREATE", "ResourceRecordSet": record("www.example.com", "A", "192.0.2.1", ttl=30)}]}
    (daemon.folder / "batch.json").write_text(json.dumps(batch))
    change = cli("change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", "file://batch.json")
    assert change["ChangeInfo"]["Comment"] == "a record"
    cli("wait", "resource-record-sets-changed", "--id", change["ChangeInfo"]["Id"])
    got = cli("get-change", "--id", change["ChangeInfo"]["Id"])["ChangeInfo"]
    assert got == {**change["ChangeInfo"], "Status": "INSYNC"}
    assert daemon.dig("www.example.com").data == ["192.0.2.1"]
    records = cli("list-resource-record-sets", "--hosted-zone-id", zone)["ResourceRecordSets"]
    assert [(r["Name"], r["Type"]) for r in records] == [
        ("example.com.", "NS"), ("example.com.", "SOA"), ("www.example.com.", "A")]
    assert records[2] == record("www.example.com.", "A", "192.0.2.1", ttl=30)
    assert cli("test-dns-answer", "--hosted-zone-id", zone, "--record-name", "www.example.com", "--record-type", "A") == {
        "Nameserver": "ns-1.leeward.internal", "RecordName": "www.example.com.", "RecordType": "A",
        "RecordData": ["192.0.2.1"], "ResponseCode": "NOERROR", "Protocol": "UDP"}
    assert cli("get-dnssec", "--hosted-zone-id", zone) == {
        "Status": {"ServeSignature": "NOT_SIGNING"}, "KeySigningKeys": []}
    assert cli("get-hosted-zone-limit", "--hosted-zone-id", zone, "--type", "MAX_RRSETS_BY_ZONE") == {
        "Limit": {"Type": "MAX_RRSETS_BY_ZONE", "Value": 10000}, "Count": 3}
    assert cli("list-query-logging-configs") == {"QueryLoggingConfigs": []}


def test_the_aws_cli_works_on_health_checks(daemon):
    def cli(*words):
        return daemon.aws("route53", *words)

    made = cli("create-health-check", "--caller-reference", "check", "--health-check-config",
               "Type=TCP,IPAddress=127.0.0.1,Port=1,RequestInterval=10,FailureThreshold=1")
    check = made["HealthCheck"]
    assert made["Location"].endswith(f"/2013-04-01/healthcheck/{check['Id']}")
    assert check["HealthCheckVersion"] == 1
    assert cli("get-health-check", "--health-check-id", check["Id"])["HealthCheck"] == check
    assert cli("list-health-checks")["HealthChecks"] == [check]
    assert cli("get-health-check-count") == {"HealthCheckCount": 1}
    updated = cli("update-health-check", "--health-check-id", check["Id"], "--health-check-version", 1,
                  "--failure-threshold", 2)["HealthCheck"]
    assert (updated["HealthCheckVersion"], updated["HealthCheckConfig"]["FailureThreshold"]) == (2, 2)
    cli("change-tags-for-resource", "--resource-type", "healthcheck", "--resource-id", check["Id"], "--add-tags",
        "Key=leeward:interval-ms,Value=100", "Key=Name,Value=nobody listens")
    tagged = {"ResourceType": "healthcheck", "ResourceId": check["Id"], "Tags": [
        {"Key": "leeward:interval-ms", "Value": "100"}, {"Key": "Name", "Value": "nobody listens"}]}
    assert cli("list-tags-for-resource", "--resource-type", "healthcheck", "--resource-id", check["Id"]) == {
        "ResourceTagSet": tagged}
    assert cli("list-tags-for-resources", "--resource-type", "healthcheck", "--resource-ids", check["Id"]) == {
        "ResourceTagSets": [tagged]}
    seen = cli("get-health-check-status", "--health-check-id", check["Id"])["HealthCheckObservations"]
    assert [view["Region"] for view in seen] == ["us-east-1"]
    failures = cli("get-health-check-last-failure-reason", "--health-check-id", check["Id"])["HealthCheckObservations"]
    assert failures[0]["StatusReport"]["Status"].startswith("Failure")
    assert "127.0.0.1/32" in cli("get-checker-ip-ranges")["CheckerIpRanges"]
    limit = cli("get-account-limit", "--type", "MAX_HEALTH_CHECKS_BY_OWNER")
    assert limit == {"Limit": {"Type": "MAX_HEALTH_CHECKS_BY_OWNER", "Value": 10000}, "Count": 1}
    assert cli("delete-health-check", "--health-check-id", check["Id"]) is None


# ---- zones ----


@pytest.mark.sanitized
def test_a_new_zone_has_four_name_servers_and_its_apex(shared, api):
    made = make_zone(api, "Apex.Example")
    zone = made["HostedZone"]
    assert re.fullmatch(r"/hostedzone/Z[A-Z0-9]{19}", zone["Id"])
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["Location"].endswith("/2013-04-01" + zone["Id"])
    assert made["ResponseMetadata"]["HTTPHeaders"]["location"] == made["Location"]
    assert re.fullmatch(r"/change/C[A-Z0-9]{20}", made["ChangeInfo"]["Id"])
    assert set(made["DelegationSet"]["NameServers"]) == NAME_SERVERS
    assert "Id" not in made["DelegationSet"]
    records = api.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    servers = [value["Value"] for value in records[0]["ResourceRecords"]]
    assert [(r["Name"], r["Type"], r["TTL"]) for r in records] == [
        ("apex.example.", "NS", 172800), ("apex.example.", "SOA", 900)]
    assert servers == [f"{server}." for server in made["DelegationSet"]["NameServers"]]
    soa = records[1]["ResourceRecords"][0]["Value"].split()
    assert soa[0] == servers[0]
    assert soa[2:] == ["1", "7200", "900", "1209600", "86400"]
    answer = shared.wait_for_answer("apex.example", "NS", servers)
    assert {r.ttl for r in answer.answer} == {172800}
    assert shared.dig("apex.example", "SOA").data == [" ".join(soa)]


def test_names_are_lower_cased_and_escaped(shared, api):
    zone = make_zone(api, "Mixed_Case-1.Example")["HostedZone"]
    assert zone["Name"] == "mixed_case-1.example."
    shared.change(zone["Id"], record("*.WWW.mixed_case-1.example", "A", "192.0.2.1"),
                  record("a\\100b.mixed_case-1.example.", "A", "192.0.2.2"),
                  record("sp\\040ace.mixed_case-1.example.", "A", "192.0.2.3"))
    names = [r["Name"] for r in api.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"][2:]]
    assert sorted(names) == ["\\052.www.mixed_case-1.example.", "a\\100b.mixed_case-1.example.",
                             "sp\\040ace.mixed_case-1.example."]
    shared.wait_for_answer("any.WWW.mixed_case-1.example", "A", ["192.0.2.1"])
    shared.wait_for_answer("a\\064b.mixed_case-1.example", "A", ["192.0.2.2"])  # kdig escapes in decimal
    shared.wait_for_answer("sp\\032ace.mixed_case-1.example", "A", ["192.0.2.3"])


def test_two_zones_may_have_one_name(api):
    one, other = (make_zone(api, "twice.example")["HostedZone"] for _ in range(2))
    assert one["Id"] != other["Id"]
    listed = api.list_hosted_zones_by_name(DNSName="twice.example", MaxItems="2")["HostedZones"]
    assert {zone["Id"] for zone in listed} == {one["Id"], other["Id"]}


def test_a_caller_reference_makes_one_zone(daemon, route53):
    made = route53.create_hosted_zone(Name="example.com", CallerReference="once")
    sentence = "A hosted zone has already been created with the specified caller reference."
    for name in ("example.com", "example.net"):
        with refused(route53, "HostedZoneAlreadyExists", 409, sentence):
            route53.create_hosted_zone(Name=name, CallerReference="once")
    assert route53.get_hosted_zone_count()["HostedZoneCount"] == 1
    route53.delete_hosted_zone(Id=made["HostedZone"]["Id"])
    assert route53.create_hosted_zone(Name="example.com", CallerReference="once")["HostedZone"]["CallerReference"] == "once"


def test_ids_come_with_and_without_their_prefix(shared, api):
    made = make_zone(api, "prefix.example")
    bare = made["HostedZone"]["Id"].rpartition("/")[2]
    plain = shared.client("route53")  # botocore itself takes prefixes off; this one sends them
    plain.meta.events.unregister("before-parameter-build.route53", botocore.handlers.fix_route53_ids)
    for zone in (bare, f"/hostedzone/{bare}", f"hostedzone/{bare}"):
        for client in (api, plain):
            assert client.get_hosted_zone(Id=zone)["HostedZone"]["Id"] == f"/hostedzone/{bare}"
            assert client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    change = made["ChangeInfo"]["Id"].rpartition("/")[2]
    for name in (change, f"/change/{change}"):
        assert api.get_change(Id=name)["ChangeInfo"]["Id"] == f"/change/{change}"


def test_a_comment_can_be_changed_and_emptied(api):
    zone = make_zone(api, "comment.example", HostedZoneConfig={"Comment": "a <b> & \"c\" ü"})["HostedZone"]
    assert zone["Config"]["Comment"] == "a <b> & \"c\" ü"
    assert api.get_hosted_zone(Id=zone["Id"])["HostedZone"] == zone
    assert api.update_hosted_zone_comment(Id=zone["Id"], Comment="new")["HostedZone"]["Config"]["Comment"] == "new"
    assert "Comment" not in api.update_hosted_zone_comment(Id=zone["Id"])["HostedZone"]["Config"]
    assert "Comment" not in api.get_hosted_zone(Id=zone["Id"])["HostedZone"]["Config"]


def test_only_an_empty_zone_is_deleted(shared, api):
    zone = make_zone(api, "full.example")["HostedZone"]["Id"]
    www = record("www.full.example", "A", "192.0.2.1")
    shared.change(zone, www)
    shared.wait_for_answer("www.full.example", "A", ["192.0.2.1"])
    with refused(api, "HostedZoneNotEmpty", 400, "The specified hosted zone contains non-required resource record sets "
                                                 "and so cannot be deleted."):
        api.delete_hosted_zone(Id=zone)
    shared.change(zone, www, action="DELETE")
    change = api.delete_hosted_zone(Id=zone)["ChangeInfo"]
    wait_for(lambda: api.get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "INSYNC", 5, "INSYNC")
    assert shared.dig("full.example", "SOA").rcode == "REFUSED"
    with refused(api, "NoSuchHostedZone", 404):
        api.delete_hosted_zone(Id=zone)


def test_a_change_is_insync_once_dns_serves_it(shared, api):
    """The point of waiting: what INSYNC says is there to be asked for, each time."""
    zone = make_zone(api, "insync.example")["HostedZone"]["Id"]
    for number in range(1, 21):
        change = shared.change(zone, record("www.insync.example", "A", f"192.0.2.{number}"), action="UPSERT")["ChangeInfo"]
        assert change["Status"] == "PENDING"
        wait_for(lambda: api.get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "INSYNC", 5, "INSYNC", every=0)
        assert shared.dig("www.insync.example").data == [f"192.0.2.{number}"]
    got = api.get_change(Id=change["Id"])["ChangeInfo"]
    assert got["SubmittedAt"] == change["SubmittedAt"]
    assert abs(got["SubmittedAt"].timestamp() - time.time()) < 60


# ---- reusable delegation sets ----


def test_a_delegation_set_is_made_from_a_zone(api):
    zone = make_zone(api, "reuse.example")["HostedZone"]["Id"]
    made = api.create_reusable_delegation_set(CallerReference="from a zone", HostedZoneId=zone)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    delegation = made["DelegationSet"]
    assert re.fullmatch(r"/delegationset/N[A-Z0-9]{16}", delegation["Id"])
    assert api.get_hosted_zone(Id=zone)["DelegationSet"]["Id"] == delegation["Id"]
    with refused(api, "DelegationSetAlreadyReusable", 400, re.compile(r"^The delegation set of hosted zone .* reusable\.$")):
        api.create_reusable_delegation_set(CallerReference="again", HostedZoneId=zone)
    with refused(api, "DelegationSetInUse", 400, re.compile(f"is in use by the hosted zone {zone.rpartition('/')[2]}")):
        api.delete_reusable_delegation_set(Id=delegation["Id"])
    api.delete_hosted_zone(Id=zone)
    api.delete_reusable_delegation_set(Id=delegation["Id"])
    with refused(api, "NoSuchDelegationSet"):
        api.get_reusable_delegation_set(Id=delegation["Id"])


def test_zones_that_overlap_cannot_share_a_delegation_set(api):
    delegation = api.create_reusable_delegation_set(CallerReference="overlap")["DelegationSet"]["Id"]
    make_zone(api, "overlap.example", DelegationSetId=delegation)
    for name in ("overlap.example", "below.overlap.example", "example"):
        with refused(api, "ConflictingDomainExists", 400, re.compile(r"conflicts with existing ones sharing the delegation")):
            make_zone(api, name, DelegationSetId=delegation)
    make_zone(api, "beside.example", DelegationSetId=delegation)
    names = [z["Name"] for z in api.list_hosted_zones(DelegationSetId=delegation)["HostedZones"]]
    assert sorted(names) == ["beside.example.", "overlap.example."]


# ---- paging ----


def pages(call, key, *tokens, **parameters):
    """Every page of a listing, following the tokens by hand: pairs of (what a page says is next, where it goes)."""
    found, sizes = [], []
    while True:
        page = call(**parameters)
        found += page[key]
        sizes.append(len(page[key]))
        assert len(sizes) < 100
        following = {token: page.get(next_token) for token, next_token in tokens}
        if not page["IsTruncated"]:
            assert not any(following.values())
            return found, sizes
        parameters.update({token: value for token, value in following.items() if value is not None})
        for token, value in following.items():
            if value is None:
                parameters.pop(token, None)


@pytest.mark.sanitized
def test_lists_of_zones_checks_and_sets_are_paged(daemon, route53):
    names = ["b.example.", "a.b.example.", "c.example.", "a.example.", "example.", "a.b.example.", "z.org."]
    zones = {make_zone(route53, name)["HostedZone"]["Id"] for name in names}
    checks = {make_check(route53)["HealthCheck"]["Id"] for _ in range(5)}
    sets = {route53.create_reusable_delegation_set(CallerReference=str(n))["DelegationSet"]["Id"] for n in range(4)}
    marker = ("Marker", "NextMarker")
    for call, key, expected in ((route53.list_hosted_zones, "HostedZones", zones),
                                (route53.list_health_checks, "HealthChecks", checks),
                                (route53.list_reusable_delegation_sets, "DelegationSets", sets)):
        for size in (1, 2, 3):
            found, sizes = pages(call, key, marker, MaxItems=str(size))
            assert [len(expected), expected] == [len(found), {one["Id"] for one in found}]
            assert set(sizes[:-1]) <= {size}
        assert len(call(MaxItems="1000")[key]) == len(expected)  # more than a page may hold is cut, not refused
    by_name, sizes = pages(route53.list_hosted_zones_by_name, "HostedZones", ("DNSName", "NextDNSName"),
                           ("HostedZoneId", "NextHostedZoneId"), MaxItems="1")
    assert [zone["Name"] for zone in by_name] == ["example.", "a.example.", "b.example.", "a.b.example.", "a.b.example.",
                                                  "c.example.", "z.org."]
    assert {zone["Id"] for zone in by_name} == zones
    assert [z["Name"] for z in route53.list_hosted_zones_by_name(DNSName="a.b.example")["HostedZones"]] == [
        "a.b.example.", "a.b.example.", "c.example.", "z.org."]
    for operation, key, expected in (("list_hosted_zones", "HostedZones", zones),
                                     ("list_health_checks", "HealthChecks", checks)):
        found = [one["Id"] for page in route53.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2})
                 for one in page[key]]
        assert [len(found), set(found)] == [len(expected), expected]
    logging = route53.get_paginator("list_query_logging_configs").paginate().build_full_result()
    assert logging == {"QueryLoggingConfigs": []}


RECORDS = [  # in the order of the list: reversed labels, type, set identifier
    ("paging.example.", "MX", None), ("paging.example.", "NS", None), ("paging.example.", "SOA", None),
    ("\\052.paging.example.", "TXT", None), ("a.paging.example.", "A", "1"), ("a.paging.example.", "A", "2"),
    ("a.paging.example.", "A", "3 &/%?#=+ü"), ("a.paging.example.", "AAAA", None), ("z.a.paging.example.", "A", None),
    ("aa.paging.example.", "A", None), ("b.paging.example.", "CNAME", None), ("a.b.paging.example.", "A", None)]
VALUES = {"A": "192.0.2.1", "AAAA": "2001:db8::1", "CNAME": "a.paging.example", "MX": "10 a.paging.example",
          "TXT": '"text"'}


@pytest.mark.sanitized
def test_records_are_listed_in_order_and_paged_by_three_tokens(shared, api):
    zone = make_zone(api, "paging.example")["HostedZone"]["Id"]
    shared.change(zone, *[
        record(name, kind, VALUES[kind], **({"SetIdentifier": identifier, "Weight": 1} if identifier else {}))
        for name, kind, identifier in reversed(RECORDS) if kind not in ("NS", "SOA")])
    tokens = [("StartRecordName", "NextRecordName"), ("StartRecordType", "NextRecordType"),
              ("StartRecordIdentifier", "NextRecordIdentifier")]

    def identity(records):
        return [(r["Name"], r["Type"], r.get("SetIdentifier")) for r in records]

    whole = api.list_resource_record_sets(HostedZoneId=zone)
    assert identity(whole["ResourceRecordSets"]) == RECORDS
    assert (whole["IsTruncated"], whole["MaxItems"]) == (False, "300")
    for size in range(1, len(RECORDS) + 1):
        found, sizes = pages(api.list_resource_record_sets, "ResourceRecordSets", *tokens, HostedZoneId=zone,
                             MaxItems=str(size))
        assert identity(found) == RECORDS
        assert set(sizes[:-1]) <= {size}
    for size in (1, 4, None):
        paginator = api.get_paginator("list_resource_record_sets")
        every = paginator.paginate(HostedZoneId=zone, PaginationConfig={"PageSize": size}).build_full_result()
        assert identity(every["ResourceRecordSets"]) == RECORDS

    def starting(**start):
        return identity(api.list_resource_record_sets(HostedZoneId=zone, **start)["ResourceRecordSets"])

    assert starting(StartRecordName="A.paging.example", StartRecordType="AAAA") == RECORDS[7:]
    assert starting(StartRecordName="a.paging.example", StartRecordType="A", StartRecordIdentifier="11") == RECORDS[5:]
    assert starting(StartRecordName="nothing.a.paging.example") == RECORDS[8:]
    assert starting(StartRecordName="*.paging.example") == RECORDS[3:]
    assert starting(StartRecordName="zzz.paging.example") == []


# ---- TestDNSAnswer ----


def test_test_dns_answer_agrees_with_dns(shared, api):
    zone = make_zone(api, "answer.example")["HostedZone"]["Id"]
    shared.change(zone, record("www.answer.example", "A", "192.0.2.1", "192.0.2.2"),
                  record("alias.answer.example", "CNAME", "www.answer.example"),
                  record("text.answer.example", "TXT", '"one" "two"'), record("*.wild.answer.example", "A", "192.0.2.9"))
    shared.wait_for_answer("any.wild.answer.example", "A", ["192.0.2.9"])
    for name, kind in (("www", "A"), ("www", "AAAA"), ("alias", "CNAME"), ("text", "TXT"), ("any.wild", "A"),
                       ("nothing", "A")):
        name = f"{name}.answer.example"
        said = api.test_dns_answer(HostedZoneId=zone, RecordName=name, RecordType=kind, ResolverIP="192.0.2.53",
                                   EDNS0ClientSubnetIP="198.51.100.7", EDNS0ClientSubnetMask="24")
        answer = shared.dig(name, kind)
        assert (sorted(said["RecordData"]), said["ResponseCode"]) == (answer.data, answer.rcode), name
        assert (said["RecordName"], said["RecordType"], said["Protocol"]) == (f"{name}.", kind, "UDP")


# ---- health checks ----


@pytest.mark.sanitized
def test_a_health_check_shows_what_checkers_see(sandbox, daemon, route53):
    web = sandbox.nginx("us-east-1")
    made = route53.create_health_check(CallerReference="1", HealthCheckConfig={
        "Type": "HTTP", "IPAddress": web.address, "Port": web.http_port, "ResourcePath": "/health"})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    check = made["HealthCheck"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", check["Id"])
    assert check["HealthCheckConfig"] == {
        "Type": "HTTP", "IPAddress": web.address, "Port": web.http_port, "ResourcePath": "/health", "RequestInterval": 30,
        "FailureThreshold": 3, "MeasureLatency": False, "Inverted": False, "Disabled": False, "EnableSNI": False}
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=check["Id"], AddTags=[
        {"Key": "leeward:interval-ms", "Value": "100"}])

    def report(call):
        views = call(HealthCheckId=check["Id"])["HealthCheckObservations"]
        return views[0]["StatusReport"]["Status"] if views else ""

    wait_for(lambda: report(route53.get_health_check_status).startswith("Success: HTTP Status Code 200"), 5, "a success")
    assert report(route53.get_health_check_last_failure_reason) == ""
    web.kill()
    wait_for(lambda: report(route53.get_health_check_status).startswith("Failure: "), 5, "a failure")
    assert report(route53.get_health_check_last_failure_reason).startswith("Failure: ")
    web.start()
    wait_for(lambda: report(route53.get_health_check_status).startswith("Success: "), 5, "a success again")
    assert report(route53.get_health_check_last_failure_reason).startswith("Failure: ")
    view = route53.get_health_check_status(HealthCheckId=check["Id"])["HealthCheckObservations"][0]
    assert view["Region"] == "us-east-1"
    assert abs(view["StatusReport"]["CheckedTime"].timestamp() - time.time()) < 60
    for network in route53.get_checker_ip_ranges()["CheckerIpRanges"]:
        ipaddress.ip_network(network)


def test_a_caller_reference_makes_one_check(api):
    check = make_check(api, "once")["HealthCheck"]
    assert make_check(api, "once")["HealthCheck"] == check
    sentence = ("A health check with the caller reference once has already been created with different settings or has "
                "been deleted.")
    with refused(api, "HealthCheckAlreadyExists", 409, sentence):
        make_check(api, "once", Port=2)
    api.delete_health_check(HealthCheckId=check["Id"])
    with refused(api, "HealthCheckAlreadyExists", 409, sentence):
        make_check(api, "once")


def test_an_update_counts_the_version_up(api):
    check = make_check(api)["HealthCheck"]["Id"]
    assert api.update_health_check(HealthCheckId=check, Port=2)["HealthCheck"]["HealthCheckVersion"] == 2
    assert api.update_health_check(HealthCheckId=check, HealthCheckVersion=2, Inverted=True)["HealthCheck"] == {
        **api.get_health_check(HealthCheckId=check)["HealthCheck"], "HealthCheckVersion": 3}
    with refused(api, "HealthCheckVersionMismatch", 409, "The health check version in the request (2) does not match that "
                                                         "of the health check (3)."):
        api.update_health_check(HealthCheckId=check, HealthCheckVersion=2, Port=3)
    config = api.get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    assert (config["Port"], config["Inverted"]) == (2, True)


def test_elements_of_a_check_are_reset(api):
    check = make_check(api, Type="HTTP", FullyQualifiedDomainName="www.example.com", ResourcePath="/a",
                       Regions=["us-east-1", "us-west-2", "eu-west-1"])["HealthCheck"]["Id"]
    config = api.update_health_check(HealthCheckId=check, ResetElements=["ResourcePath", "Regions"],
                                     FullyQualifiedDomainName="www.example.net")["HealthCheck"]["HealthCheckConfig"]
    assert not {"ResourcePath", "Regions"} & set(config)
    assert config["FullyQualifiedDomainName"] == "www.example.net"


def test_a_child_of_a_calculated_check_stays(api):
    children = [make_check(api)["HealthCheck"]["Id"] for _ in range(2)]
    parent = api.create_health_check(CallerReference="calculated", HealthCheckConfig={
        "Type": "CALCULATED", "ChildHealthChecks": children, "HealthThreshold": 1})["HealthCheck"]
    assert parent["HealthCheckConfig"] == {"Type": "CALCULATED", "ChildHealthChecks": children, "HealthThreshold": 1,
                                           "Inverted": False, "Disabled": False}
    with refused(api, "HealthCheckInUse", 400, f"The health check {children[0]} is in use by the calculated health check "
                                               f"{parent['Id']}."):
        api.delete_health_check(HealthCheckId=children[0])
    with refused(api, "InvalidInput", 400, f"Invalid parameter : The child health check {parent['Id']} is a calculated "
                                           "health check."):
        api.create_health_check(CallerReference="nested", HealthCheckConfig={
            "Type": "CALCULATED", "ChildHealthChecks": [parent["Id"]], "HealthThreshold": 1})
    api.update_health_check(HealthCheckId=parent["Id"], ChildHealthChecks=children[1:])
    api.delete_health_check(HealthCheckId=children[0])
    api.delete_health_check(HealthCheckId=parent["Id"])
    api.delete_health_check(HealthCheckId=children[1])


CONFIGS = {  # a bad one: (what it holds, what is said after "Invalid parameter : ")
    "no address": ({"Type": "HTTP"},
                   "Basic health checks must have an IP address or a fully qualified domain name specified."),
    "TCP without port": ({"Type": "TCP", "IPAddress": "192.0.2.1"}, "TCP health checks must have a port specified."),
    "TCP with path": ({"Type": "TCP", "IPAddress": "192.0.2.1", "Port": 1, "ResourcePath": "/"},
                      "TCP health checks must not have a resource path specified."),
    "no search string": ({"Type": "HTTP_STR_MATCH", "IPAddress": "192.0.2.1"},
                         "String matching health checks must have a search string specified."),
    "search string": ({"Type": "HTTPS", "IPAddress": "192.0.2.1", "SearchString": "x"},
                      "Only string matching health checks can have a search string specified."),
    "interval": ({"Type": "HTTP", "IPAddress": "192.0.2.1", "RequestInterval": 11}, "RequestInterval must be 10 or 30."),
    "no threshold": ({"Type": "CALCULATED", "ChildHealthChecks": [NO_CHECK]},
                     "Calculated health checks must have a health threshold specified."),
    "no such child": ({"Type": "CALCULATED", "ChildHealthChecks": [NO_CHECK], "HealthThreshold": 1},
                      f"The child health check {NO_CHECK} does not exist."),
    "calculated with address": ({"Type": "CALCULATED", "HealthThreshold": 0, "IPAddress": "192.0.2.1"},
                                "Calculated health checks must not have IPAddress specified."),
    "name": ({"Type": "HTTP", "FullyQualifiedDomainName": "a..b"},
             "FullyQualifiedDomainName is not a valid domain name."),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_bad_configuration_is_named(api, case):
    config, sentence = CONFIGS[case]
    with refused(api, "InvalidInput", 400, f"Invalid parameter : {sentence}"):
        api.create_health_check(CallerReference=case, HealthCheckConfig=config)
    assert not [c for page in api.get_paginator("list_health_checks").paginate() for c in page["HealthChecks"]
                if c["CallerReference"] == case]


def test_types_of_later_parts_are_refused_by_name(api):
    with refused(api, "InvalidInput", 400, "Health checks of type CLOUDWATCH_METRIC are not offered yet by Leeward"):
        api.create_health_check(CallerReference="metric", HealthCheckConfig={
            "Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": "us-east-1", "Name": "alarm"}})


def test_a_check_cannot_follow_a_routing_control_that_is_not_there(api):
    arn = "arn:aws:route53-recovery-control::123456789012:control/1"
    with refused(api, "InvalidInput", 400, f"Invalid parameter : The routing control {arn} does not exist."):
        api.create_health_check(CallerReference="control", HealthCheckConfig={
            "Type": "RECOVERY_CONTROL", "RoutingControlArn": arn})


def test_an_address_is_neither_added_nor_removed(api):
    named = api.create_health_check(CallerReference="named", HealthCheckConfig={
        "Type": "HTTP", "FullyQualifiedDomainName": "www.example.com", "Disabled": True})["HealthCheck"]["Id"]
    with refused(api, "InvalidInput", 400,
                 "Invalid parameter : IPAddress can be neither added to nor removed from a health check."):
        api.update_health_check(HealthCheckId=named, IPAddress="192.0.2.1")


# ---- tags ----


@pytest.mark.parametrize("kind", ["healthcheck", "hostedzone"])
def test_tags_are_added_changed_and_removed(api, kind):
    ids = [make_check(api)["HealthCheck"]["Id"] if kind == "healthcheck" else
           make_zone(api, "tags.example")["HostedZone"]["Id"].rpartition("/")[2] for _ in range(2)]

    def change(add=None, remove=None):
        api.change_tags_for_resource(ResourceType=kind, ResourceId=ids[0], **({"AddTags": add} if add else {}),
                                     **({"RemoveTagKeys": remove} if remove else {}))

    def tags():
        listed = api.list_tags_for_resource(ResourceType=kind, ResourceId=ids[0])["ResourceTagSet"]
        assert (listed["ResourceType"], listed["ResourceId"]) == (kind, ids[0])
        return {tag["Key"]: tag["Value"] for tag in listed["Tags"]}

    assert tags() == {}
    change([{"Key": "Name", "Value": "one"}, {"Key": "empty", "Value": ""}])
    assert tags() == {"Name": "one", "empty": ""}
    change([{"Key": "Name", "Value": "two"}, {"Key": "ü", "Value": "ö"}], ["empty", "never there"])
    assert tags() == {"Name": "two", "ü": "ö"}
    both = api.list_tags_for_resources(ResourceType=kind, ResourceIds=ids)["ResourceTagSets"]
    assert [(one["ResourceId"], len(one["Tags"])) for one in both] == [(ids[0], 2), (ids[1], 0)]
    with refused(api, "InvalidInput", 400, "A resource can have at most 10 tags"):
        change([{"Key": f"k{number}", "Value": "v"} for number in range(9)])
    with refused(api, "InvalidInput", 400, "The request must contain at least one of AddTags and RemoveTagKeys"):
        change()
    assert tags() == {"Name": "two", "ü": "ö"}
    change(remove=["Name", "ü"])
    assert tags() == {}


def test_a_bad_option_of_a_check_is_named(api):
    check = make_check(api)["HealthCheck"]["Id"]
    for key, value in (("leeward:interval-ms", "99"), ("leeward:interval-ms", "fast"), ("leeward:latch", "perhaps"),
                       ("leeward:no-such-option", "1")):
        with refused(api, "InvalidInput", 400, re.compile(re.escape(key))):
            api.change_tags_for_resource(ResourceType="healthcheck", ResourceId=check, AddTags=[
                {"Key": "Name", "Value": "not kept"}, {"Key": key, "Value": value}])
    assert api.list_tags_for_resource(ResourceType="healthcheck", ResourceId=check)["ResourceTagSet"]["Tags"] == []


# ---- limits ----


def test_limits_count_what_is_there(daemon, route53):
    zone = daemon.create_zone("example.com")
    make_check(route53)
    route53.create_reusable_delegation_set(CallerReference="1")
    counted = {kind: route53.get_account_limit(Type=f"MAX_{kind}_BY_OWNER") for kind in (
        "HEALTH_CHECKS", "HOSTED_ZONES", "REUSABLE_DELEGATION_SETS", "TRAFFIC_POLICIES", "TRAFFIC_POLICY_INSTANCES")}
    assert [counted[kind]["Count"] for kind in counted] == [1, 1, 1, 0, 0]
    assert all(counted[kind]["Limit"]["Value"] > 0 for kind in counted)
    assert route53.get_hosted_zone_limit(HostedZoneId=zone, Type="MAX_RRSETS_BY_ZONE")["Count"] == 2
    assert route53.get_health_check_count()["HealthCheckCount"] == 1
    with refused(route53, "HostedZoneNotPrivate", 400):
        route53.get_hosted_zone_limit(HostedZoneId=zone, Type="MAX_VPCS_ASSOCIATED_BY_ZONE")


# ---- errors that need nothing but one request ----


def missing_zone(operation, **parameters):
    return operation, parameters, "NoSuchHostedZone", 404, f"No hosted zone found with ID: {NO_ZONE}"


def missing_check(operation, **parameters):
    return (operation, {"HealthCheckId": NO_CHECK, **parameters}, "NoSuchHealthCheck", 404,
            f"A health check with id {NO_CHECK} does not exist.")


def invalid(operation, message, **parameters):
    return operation, parameters, "InvalidInput", 400, message


def violation(operation, value, member, constraint, **parameters):
    value = "Value null" if value is None else f"Value '{value}'"
    return invalid(operation, f"1 validation error detected: {value} at '{member}' failed to satisfy constraint: "
                              f"{constraint}", **parameters)


NO_DELEGATION = f"A reusable delegation set with the ID {NO_SET} does not exist."
CHANGES = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record("www.example.com", "A", "192.0.2.1")}]}
ERRORS = [
    missing_zone("get_hosted_zone", Id=NO_ZONE), missing_zone("delete_hosted_zone", Id=NO_ZONE),
    missing_zone("update_hosted_zone_comment", Id=NO_ZONE), missing_zone("list_resource_record_sets", HostedZoneId=NO_ZONE),
    missing_zone("change_resource_record_sets", HostedZoneId=NO_ZONE, ChangeBatch=CHANGES),
    missing_zone("test_dns_answer", HostedZoneId=NO_ZONE, RecordName="www.example.com", RecordType="A"),
    missing_zone("get_dnssec", HostedZoneId=NO_ZONE),
    missing_zone("get_hosted_zone_limit", HostedZoneId=NO_ZONE, Type="MAX_RRSETS_BY_ZONE"),
    missing_zone("list_query_logging_configs", HostedZoneId=NO_ZONE),
    missing_zone("list_tags_for_resource", ResourceType="hostedzone", ResourceId=NO_ZONE),
    missing_zone("list_tags_for_resources", ResourceType="hostedzone", ResourceIds=[NO_ZONE]),
    missing_zone("change_tags_for_resource", ResourceType="hostedzone", ResourceId=NO_ZONE, RemoveTagKeys=["a"]),
    missing_check("get_health_check"), missing_check("delete_health_check"), missing_check("update_health_check"),
    missing_check("get_health_check_status"), missing_check("get_health_check_last_failure_reason"),
    ("list_tags_for_resource", {"ResourceType": "healthcheck", "ResourceId": NO_CHECK}, "NoSuchHealthCheck", 404, None),
    ("get_change", {"Id": "C0000000000000000000"}, "NoSuchChange", 404,
     "Could not find resource with ID: C0000000000000000000"),
    ("get_reusable_delegation_set", {"Id": NO_SET}, "NoSuchDelegationSet", 400, NO_DELEGATION),
    ("delete_reusable_delegation_set", {"Id": NO_SET}, "NoSuchDelegationSet", 400, NO_DELEGATION),
    ("list_hosted_zones", {"DelegationSetId": NO_SET}, "NoSuchDelegationSet", 400, NO_DELEGATION),
    ("create_hosted_zone", {"Name": "example.com", "CallerReference": "e1", "DelegationSetId": NO_SET},
     "NoSuchDelegationSet", 400, NO_DELEGATION),
    ("create_reusable_delegation_set", {"CallerReference": "e2", "HostedZoneId": NO_ZONE}, "HostedZoneNotFound", 400,
     f"No hosted zone found with ID: {NO_ZONE}"),
    ("create_hosted_zone", {"Name": "a..b", "CallerReference": "e3"}, "InvalidDomainName", 400,
     "a..b is not a valid domain name"),
    ("create_hosted_zone", {"Name": "a" * 64 + ".example", "CallerReference": "e4"}, "InvalidDomainName", 400,
     f"{'a' * 64}.example is not a valid domain name"),
    ("create_hosted_zone", {"Name": ".", "CallerReference": "e5"}, "InvalidDomainName", 400, ". is not a valid domain name"),
    ("list_hosted_zones_by_name", {"DNSName": "a..b"}, "InvalidDomainName", 400, "a..b is not a valid domain name"),
    ("list_query_logging_configs", {"NextToken": "made up"}, "InvalidPaginationToken", 400, None),
    invalid("create_hosted_zone", "Private hosted zones are not offered: Leeward serves public zones only",
            Name="example.com", CallerReference="e6", VPC={"VPCRegion": "us-east-1", "VPCId": "vpc-1"}),
    invalid("list_hosted_zones_by_name", "HostedZoneId cannot be specified without DNSName", HostedZoneId=NO_ZONE),
    *[invalid(operation, f"MaxItems must be a positive number, not '{size}'", MaxItems=size)
      for operation in ("list_hosted_zones", "list_health_checks", "list_hosted_zones_by_name",
                        "list_reusable_delegation_sets") for size in ("0", "-1", "ten", "1e3")],
    violation("get_hosted_zone", "Z" * 33, "id", "Member must have length less than or equal to 32", Id="Z" * 33),
    violation("create_hosted_zone", "", "callerReference", "Member must have length greater than or equal to 1",
              Name="example.com", CallerReference=""),
    violation("create_hosted_zone", "r" * 129, "callerReference", "Member must have length less than or equal to 128",
              Name="example.com", CallerReference="r" * 129),
    violation("create_hosted_zone", None, "callerReference", "Member must not be null", Name="example.com"),
    violation("create_health_check", "PING", "healthCheckConfig.type", "Member must satisfy enum value set: [HTTP, HTTPS, "
              "HTTP_STR_MATCH, HTTPS_STR_MATCH, TCP, CALCULATED, CLOUDWATCH_METRIC, RECOVERY_CONTROL]",
              CallerReference="e7", HealthCheckConfig={"Type": "PING"}),
    violation("create_health_check", "0", "healthCheckConfig.port", "Member must have value greater than or equal to 1",
              CallerReference="e8", HealthCheckConfig={"Type": "TCP", "IPAddress": "192.0.2.1", "Port": 0}),
    violation("list_tags_for_resource", "zone", "resourceType",
              "Member must satisfy enum value set: [healthcheck, hostedzone]", ResourceType="zone", ResourceId="x"),
    violation("get_account_limit", "MAX", "type", "Member must satisfy enum value set: [MAX_HEALTH_CHECKS_BY_OWNER, "
              "MAX_HOSTED_ZONES_BY_OWNER, MAX_TRAFFIC_POLICY_INSTANCES_BY_OWNER, MAX_REUSABLE_DELEGATION_SETS_BY_OWNER, "
              "MAX_TRAFFIC_POLICIES_BY_OWNER]", Type="MAX"),
]


@pytest.mark.parametrize("number", range(len(ERRORS)), ids=lambda number: f"{number}-{ERRORS[number][0]}")
def test_an_error_is_aws_own(unchecked, number):
    operation, parameters, code, status, message = ERRORS[number]
    with refused(unchecked, code, status, message):
        getattr(unchecked, operation)(**parameters)


BAD_QUESTIONS = [
    ({"StartRecordType": "A"}, "StartRecordType and StartRecordIdentifier cannot be specified without StartRecordName"),
    ({"StartRecordName": "a.questions.example", "StartRecordIdentifier": "1"},
     "StartRecordIdentifier cannot be specified without StartRecordType"),
    ({"StartRecordName": "a..b"}, "a..b is not a valid domain name"),
    ({"MaxItems": "0"}, "MaxItems must be a positive number, not '0'"),
]
BAD_ANSWERS = [
    ({"RecordName": "www.example.net"}, "www.example.net. is not within the hosted zone questions.example."),
    ({"RecordName": "a..b"}, "a..b is not a valid domain name"),
    ({"EDNS0ClientSubnetMask": "24"}, "EDNS0ClientSubnetMask cannot be specified without EDNS0ClientSubnetIP"),
    ({"EDNS0ClientSubnetIP": "192.0.2.1", "EDNS0ClientSubnetMask": "33"},
     "EDNS0ClientSubnetMask must be a number from 0 to 32"),
    ({"ResolverIP": "resolver"}, re.compile("^1 validation error detected: Value 'resolver' at 'resolverIP'")),
]


def test_bad_questions_about_a_zone_are_named(api, unchecked):
    zone = make_zone(api, "questions.example")["HostedZone"]["Id"]
    for parameters, message in BAD_QUESTIONS:
        with refused(unchecked, "InvalidInput", 400, message):
            unchecked.list_resource_record_sets(HostedZoneId=zone, **parameters)
    for parameters, message in BAD_ANSWERS:
        with refused(unchecked, "InvalidInput", 400, message):
            unchecked.test_dns_answer(**{"HostedZoneId": zone, "RecordName": "questions.example", "RecordType": "A",
                                         **parameters})


def test_sts_names_the_caller(shared):
    identity = shared.client("sts").get_caller_identity()
    assert (identity["Account"], identity["UserId"], identity["Arn"]) == (
        "123456789012", KEY_ID, f"arn:aws:iam::123456789012:user/{KEY_ID}")
    assert SECRET not in json.dumps(identity, default=str)
