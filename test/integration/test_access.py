"""Who may call: roles of access keys, signatures that are not right, presigned URLs, keys that are deleted."""

import datetime
import importlib
import json
import re
import types
import urllib.error
import urllib.request

import botocore.auth
import botocore.compat
import pytest

from leeward import KEY_ID, SECRET, record
from process import ROOT, wait_for
from refusals import refused

ROLES = ["viewer", "operator", "admin"]
NO_ZONE = "Z0000000000000000000"
NO_CHECK = "00000000-0000-4000-8000-000000000000"
NO_SET = "N0000000000000000000"
SENTENCE = ("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
            "and signing method. Consult the service documentation for details.")
# What each operation is called with: it reaches its handler, and then mostly finds nothing.
PARAMETERS = {
    "CreateHostedZone": {"Name": "a..b", "CallerReference": "1"}, "ListHostedZones": {}, "ListHostedZonesByName": {},
    "GetHostedZoneCount": {}, "GetAccountLimit": {"Type": "MAX_HOSTED_ZONES_BY_OWNER"}, "ListQueryLoggingConfigs": {},
    "GetHostedZoneLimit": {"HostedZoneId": NO_ZONE, "Type": "MAX_RRSETS_BY_ZONE"},
    "ChangeResourceRecordSets": {"HostedZoneId": NO_ZONE, "ChangeBatch": {"Changes": [
        {"Action": "CREATE", "ResourceRecordSet": record("www.example.com", "A", "192.0.2.1")}]}},
    "CreateKeySigningKey": {"HostedZoneId": NO_ZONE, "CallerReference": "1", "Name": "main", "Status": "ACTIVE",
                            "KeyManagementServiceArn": "arn:aws:kms:us-east-1:123456789012:key/1"},
    "GetChange": {"Id": "C0000000000000000000"},
    "TestDNSAnswer": {"HostedZoneId": NO_ZONE, "RecordName": "example.com", "RecordType": "A"},
    "CreateHealthCheck": {"CallerReference": "1", "HealthCheckConfig": {"Type": "HTTP"}}, "ListHealthChecks": {},
    "GetHealthCheckCount": {}, "GetCheckerIpRanges": {},
    "ChangeTagsForResource": {"ResourceType": "hostedzone", "ResourceId": NO_ZONE, "RemoveTagKeys": ["a"]},
    "ListTagsForResource": {"ResourceType": "hostedzone", "ResourceId": NO_ZONE},
    "ListTagsForResources": {"ResourceType": "hostedzone", "ResourceIds": [NO_ZONE]},
    "CreateReusableDelegationSet": {"CallerReference": "1", "HostedZoneId": NO_ZONE},
    "GetReusableDelegationSet": {"Id": NO_SET}, "DeleteReusableDelegationSet": {"Id": NO_SET},
    "ListReusableDelegationSets": {}, "ListTrafficPolicies": {}, "ListTrafficPolicyInstances": {},
    "GetTrafficPolicyInstanceCount": {}, "CreateTrafficPolicy": {"Name": "x", "Document": "x"},
    "CreateTrafficPolicyVersion": {"Id": NO_CHECK, "Document": "x"}, "ListTrafficPolicyVersions": {"Id": NO_CHECK},
    "UpdateTrafficPolicyComment": {"Id": NO_CHECK, "Version": 1, "Comment": "x"},
    "CreateTrafficPolicyInstance": {"HostedZoneId": NO_ZONE, "Name": "www.example.com", "TTL": 1,
                                    "TrafficPolicyId": NO_CHECK, "TrafficPolicyVersion": 1},
    "UpdateTrafficPolicyInstance": {"Id": NO_CHECK, "TTL": 1, "TrafficPolicyId": NO_CHECK, "TrafficPolicyVersion": 1},
    "ListTrafficPolicyInstancesByHostedZone": {"HostedZoneId": NO_ZONE},
    "ListTrafficPolicyInstancesByPolicy": {"TrafficPolicyId": NO_CHECK, "TrafficPolicyVersion": 1},
    "CreateCidrCollection": {"Name": "*", "CallerReference": "1"}, "ListCidrCollections": {}, "ListGeoLocations": {},
    "GetGeoLocation": {"CountryCode": "DE"},
    "ChangeCidrCollection": {"Id": NO_CHECK, "Changes": [
        {"LocationName": "x", "Action": "PUT", "CidrList": ["192.0.2.0/24"]}]},
    "DeleteCidrCollection": {"Id": NO_CHECK},
    **{name: {"CollectionId": NO_CHECK} for name in ("ListCidrLocations", "ListCidrBlocks")},
    **{name: {"Id": NO_CHECK, "Version": 1} for name in ("GetTrafficPolicy", "DeleteTrafficPolicy")},
    **{name: {"Id": NO_CHECK} for name in ("GetTrafficPolicyInstance", "DeleteTrafficPolicyInstance")},
    **{name: {"Id": NO_ZONE} for name in ("GetHostedZone", "UpdateHostedZoneComment", "DeleteHostedZone")},
    **{name: {"HostedZoneId": NO_ZONE} for name in (
        "GetDNSSEC", "EnableHostedZoneDNSSEC", "DisableHostedZoneDNSSEC", "ListResourceRecordSets")},
    **{f"{verb}KeySigningKey": {"HostedZoneId": NO_ZONE, "Name": "main"} for verb in ("Activate", "Deactivate", "Delete")},
    **{name: {"HealthCheckId": NO_CHECK} for name in ("GetHealthCheck", "UpdateHealthCheck", "DeleteHealthCheck",
                                                      "GetHealthCheckStatus", "GetHealthCheckLastFailureReason")},
}


def make_key(daemon, role):
    made = json.loads(daemon.leeward("key", "create", "--role", role, "--comment", f"a {role}", "--json").stdout)
    assert (made["Role"], made["Comment"]) == (role, f"a {role}")
    return made["Id"], made["Secret"]


@pytest.fixture(scope="module")
def keys(shared):
    return {role: make_key(shared, role) for role in ROLES}


def least_roles():
    lines = (ROOT / "src/aws/operations.list").read_text().splitlines()
    return {words[1]: words[2] for words in map(str.split, lines) if len(words) == 3 and words[0] == "route53"}


def method_of(client, operation):
    return next(getattr(client, method) for method, name in client.meta.method_to_api_mapping.items() if name == operation)


# ---- roles ----


@pytest.mark.sanitized
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_list_says(shared, keys, role):
    client = shared.client("route53", key=keys[role])
    least = least_roles()
    assert set(least) == set(PARAMETERS)
    denied = set()
    for operation, parameters in PARAMETERS.items():
        try:
            method_of(client, operation)(**parameters)
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "AccessDenied":
                denied.add(operation)
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
                assert error.response["Error"]["Message"] == (
                    f"User: arn:aws:iam::123456789012:user/{keys[role][0]} is not authorized to perform: "
                    f"route53:{operation} because no identity-based policy allows the route53:{operation} action")
    assert denied == {name for name, needed in least.items() if ROLES.index(needed) > ROLES.index(role)}
    assert shared.client("sts", key=keys[role]).get_caller_identity()["UserId"] == keys[role][0]


def test_an_operator_fails_over_and_a_viewer_looks(shared, keys):
    """The list itself, where it matters: by name, so that a slip in it is seen."""
    zone = shared.create_zone("roles.example")
    www = record("www.roles.example", "A", "192.0.2.1")
    check = shared.client("route53").create_health_check(CallerReference="roles", HealthCheckConfig={
        "Type": "TCP", "IPAddress": "192.0.2.1", "Port": 1, "Disabled": True})["HealthCheck"]["Id"]
    batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": www}]}
    viewer, operator = (shared.client("route53", key=keys[role]) for role in ("viewer", "operator"))
    with refused(viewer, "AccessDenied", 403):
        viewer.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    with refused(viewer, "AccessDenied", 403):
        viewer.update_health_check(HealthCheckId=check, Inverted=True)
    assert len(viewer.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]) == 2
    operator.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    assert operator.update_health_check(HealthCheckId=check, Inverted=True)["HealthCheck"]["HealthCheckVersion"] == 2
    for refuse in (lambda: operator.delete_health_check(HealthCheckId=check),
                   lambda: operator.create_hosted_zone(Name="roles.example", CallerReference="operator"),
                   lambda: operator.delete_hosted_zone(Id=zone)):
        with refused(operator, "AccessDenied", 403):
            refuse()
    assert len(viewer.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]) == 3


def test_only_an_admin_handles_keys(shared, keys):
    for role in ("viewer", "operator"):
        for words in (("key", "list"), ("key", "create"), ("key", "delete", keys["viewer"][0])):
            run = shared.leeward(*words, key=keys[role], check=False)
            assert run.returncode == 1
            assert "is not authorized to perform: leeward:" in run.stderr
            assert "use a key with a higher role" in run.stderr
        assert shared.leeward("status", key=keys[role]).returncode == 0
    missing = shared.leeward("check", "reset", NO_CHECK, key=keys["operator"], check=False)
    assert "there is no health check" in missing.stderr
    assert "is not authorized" in shared.leeward("check", "reset", NO_CHECK, key=keys["viewer"], check=False).stderr


# ---- keys come and go ----


def works(daemon, key):
    client = daemon.client("route53", key=key)
    try:
        client.get_hosted_zone_count()
    except client.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidClientTokenId"
        return False
    return True


@pytest.mark.sanitized
def test_a_deleted_key_stops_working_at_once(daemon):
    viewer, admin = make_key(daemon, "viewer"), make_key(daemon, "admin")
    for key in (viewer, admin):
        assert works(daemon, key)
        assert f"Deleted the access key {key[0]}." in daemon.leeward("key", "delete", key[0]).stdout
        assert not works(daemon, key)
    assert works(daemon, daemon.key)
    again = daemon.leeward("key", "delete", viewer[0], check=False)
    assert (again.returncode, again.stderr) == (
        1, f"leeward: there is no access key {viewer[0]} (`leeward key list` shows them)\n")


def test_the_last_admin_key_stays(daemon):
    make_key(daemon, "operator")
    last = daemon.leeward("key", "delete", KEY_ID, check=False)
    assert (last.returncode, last.stderr) == (1, f"leeward: {KEY_ID} is the last admin key: make another one first "
                                                 "(`leeward key create --role admin`)\n")
    assert works(daemon, daemon.key)
    other = make_key(daemon, "admin")
    daemon.leeward("key", "delete", KEY_ID, key=other)
    assert not works(daemon, daemon.key)
    assert daemon.leeward("key", "delete", other[0], key=other, check=False).returncode == 1


def test_keys_survive_a_restart(daemon):
    viewer, gone = make_key(daemon, "viewer"), make_key(daemon, "viewer")
    daemon.leeward("key", "delete", gone[0])
    daemon.restart()
    assert works(daemon, viewer)
    assert not works(daemon, gone)


# ---- signatures ----


def test_a_wrong_secret_or_key_is_refused(shared):
    wrong = shared.client("route53", key=(KEY_ID, SECRET[:-1] + "x"))
    with refused(wrong, "SignatureDoesNotMatch", 403, SENTENCE):
        wrong.list_hosted_zones()
    unknown = shared.client("route53", key=("AKIAUNKNOWN000000000", SECRET))
    with refused(unknown, "InvalidClientTokenId", 403, "The security token included in the request is invalid."):
        unknown.list_hosted_zones()
    sts = shared.client("sts", key=(KEY_ID, "wrong"))
    with refused(sts, "SignatureDoesNotMatch", 403, SENTENCE):
        sts.get_caller_identity()


@pytest.mark.parametrize("minutes, pattern", [(-16, r"^Signature expired: \d{8}T\d{6}Z is now earlier than "),
                                              (16, r"^Signature not yet current: \d{8}T\d{6}Z is still later than ")])
def test_an_old_or_future_date_is_refused(shared, monkeypatch, minutes, pattern):
    client = shared.client("route53")
    set_clock(monkeypatch, minutes)
    with refused(client, "SignatureDoesNotMatch", 403, re.compile(pattern)):
        client.list_hosted_zones()


def set_clock(monkeypatch, minutes):
    """What botocore signs with, with its own code or with Amazon's C library."""
    class Clock(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return datetime.datetime.utcnow() + datetime.timedelta(minutes=minutes)
    for module in (botocore.auth, *([importlib.import_module("botocore.crt.auth")] if botocore.compat.HAS_CRT else [])):
        monkeypatch.setattr(module, "datetime", types.SimpleNamespace(**{**vars(datetime), "datetime": Clock}))


@pytest.mark.sanitized
def test_a_tampered_request_is_refused(shared):
    zones = shared.client("route53").get_hosted_zone_count()["HostedZoneCount"]

    def body(request):
        request.body = request.body.replace(b"tampered-one", b"tampered-two")

    def path(request):
        request.url = request.url.replace("/hostedzone", "/healthcheck")

    def header(request):
        request.headers["X-Amz-Date"] = "20200101T000000Z"

    def region(request):
        request.headers["Authorization"] = request.headers["Authorization"].replace(b"us-east-1", b"us-west-1")

    for tamper in (body, path, header, region):
        client = shared.client("route53")
        client.meta.events.register("before-send.route53.CreateHostedZone", lambda request, **_: tamper(request))
        with refused(client, "SignatureDoesNotMatch", 403):
            client.create_hosted_zone(Name="tampered-one.example", CallerReference=tamper.__name__)
    assert shared.client("route53").get_hosted_zone_count()["HostedZoneCount"] == zones


def test_only_the_regions_that_are_served_are_answered(sandbox):
    """us-east-1 is the region of global services, whatever the daemon serves."""
    daemon = sandbox.daemon(regions=("eu-west-1", "eu-west-2")).start()
    for region in ("eu-west-1", "eu-west-2", "us-east-1"):
        assert daemon.client("route53", region=region).get_hosted_zone_count()["HostedZoneCount"] == 0
        assert daemon.client("sts", region=region).get_caller_identity()["Account"] == "123456789012"
        assert daemon.leeward("status", "--region", region).returncode == 0
    elsewhere = ("Credential should be scoped to a valid region, not 'eu-central-1'. "
                 "Served here: eu-west-1, eu-west-2.")
    sts = daemon.client("sts", region="eu-central-1")
    with refused(sts, "SignatureDoesNotMatch", 403, elsewhere):
        sts.get_caller_identity()
    status = daemon.leeward("status", "--region", "eu-central-1", check=False)
    assert (status.returncode, status.stderr) == (1, f"leeward: {elsewhere}\n")
    wrong = daemon.client("sts", region="eu-central-1", key=(KEY_ID, "wrong"))
    with refused(wrong, "SignatureDoesNotMatch", 403, SENTENCE):  # strangers do not learn the list
        wrong.get_caller_identity()


def test_a_request_without_signature_is_refused(shared):
    client = shared.client("route53", signature_version=botocore.UNSIGNED)
    with refused(client, "MissingAuthenticationToken", 403, "Missing Authentication Token"):
        client.list_hosted_zones()


# ---- presigned URLs ----


def fetch(url):
    """Status and body, as a browser or curl would see them."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.sanitized
def test_a_presigned_url_works_until_it_is_changed_or_expires(shared, keys, monkeypatch):
    zone = shared.create_zone("presigned.example")
    client = shared.client("route53", key=keys["viewer"])
    url = client.generate_presigned_url("list_resource_record_sets", {
        "HostedZoneId": zone, "StartRecordName": "a\\040b+c.presigned.example", "MaxItems": "1"}, ExpiresIn=60)
    status, text = fetch(url)
    assert status == 200 and "<ListResourceRecordSetsResponse" in text, text
    status, text = fetch(url.replace("maxitems=1", "maxitems=2"))
    assert status == 403 and "<Code>SignatureDoesNotMatch</Code>" in text, text
    status, text = fetch(client.generate_presigned_url("delete_hosted_zone", {"Id": zone}, HttpMethod="GET"))
    assert status == 200 and "<GetHostedZoneResponse" in text, text  # GET is another operation
    identity = shared.client("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    status, text = fetch(identity)
    assert status == 200 and f"user/{KEY_ID}</Arn>" in text, text
    set_clock(monkeypatch, -2)
    expired = client.generate_presigned_url("list_hosted_zones", ExpiresIn=60)
    status, text = fetch(expired)
    assert status == 400 and "<Code>RequestExpired</Code>" in text, text


def test_a_presigned_url_has_the_role_of_its_key(daemon):
    key = make_key(daemon, "viewer")
    client = daemon.client("route53", key=key)
    url = client.generate_presigned_url("list_hosted_zones")
    assert fetch(url)[0] == 200
    daemon.leeward("key", "delete", key[0])
    status, text = fetch(url)
    assert status == 403 and "<Code>InvalidClientTokenId</Code>" in text, text


# ---- the first key ----


def keys_of(daemon):
    return re.findall(r"^admin key \(shown only now\): (\S+) (\S+)$", daemon.output.read_text(), re.MULTILINE)


@pytest.mark.sanitized
def test_the_first_start_prints_an_admin_key_once(sandbox):
    daemon = sandbox.daemon()
    for name in ("LEEWARD_ACCESS_KEY_ID", "LEEWARD_SECRET_ACCESS_KEY"):
        del daemon.environment[name]
    daemon.start()
    (key,) = keys_of(daemon)
    assert re.fullmatch(r"LWAK[A-Z2-7]{16}", key[0]) and re.fullmatch(r"[A-Za-z0-9+/]{40}", key[1])
    assert key[1] not in daemon.log.read_text()
    daemon.key = key
    assert daemon.create_zone("example.com")
    daemon.restart()
    assert keys_of(daemon) == []
    assert works(daemon, key)
    listed = json.loads(daemon.leeward("key", "list", "--json").stdout)["Keys"]
    assert [(one["Id"], one["Role"], one["Comment"]) for one in listed] == [(key[0], "admin", "made at the first start")]


def test_a_key_from_the_environment_is_added(sandbox):
    daemon = sandbox.daemon().start()
    assert keys_of(daemon) == []
    viewer = make_key(daemon, "viewer")
    other = ("AKIAANOTHERADMIN0000", "another/secret")
    daemon.environment.update(LEEWARD_ACCESS_KEY_ID=other[0], LEEWARD_SECRET_ACCESS_KEY=other[1])
    daemon.restart()
    assert keys_of(daemon) == []
    assert all(works(daemon, key) for key in (viewer, other, daemon.key))
    daemon.environment.update(LEEWARD_SECRET_ACCESS_KEY="a new secret")
    daemon.restart()
    client = daemon.client("route53", key=other)
    with refused(client, "SignatureDoesNotMatch", 403):
        client.get_hosted_zone_count()
    assert works(daemon, (other[0], "a new secret"))


def test_half_a_key_in_the_environment_is_refused(sandbox):
    daemon = sandbox.daemon()
    del daemon.environment["LEEWARD_SECRET_ACCESS_KEY"]
    with pytest.raises(RuntimeError, match="LEEWARD_ACCESS_KEY_ID and LEEWARD_SECRET_ACCESS_KEY go together"):
        daemon.start()
    daemon.faults.clear()


def test_no_secret_is_in_the_log_or_the_answers(daemon):
    key = make_key(daemon, "admin")
    wrong = daemon.client("route53", key=(key[0], key[1][::-1]))
    with pytest.raises(wrong.exceptions.ClientError):
        wrong.list_hosted_zones()
    assert key[1] not in daemon.leeward("key", "list", "--json").stdout
    daemon.leeward("key", "delete", key[0])
    wait_for(lambda: "operation=DeleteKey" in daemon.log.read_text(), 5, "the log")
    text = daemon.log.read_text() + daemon.output.read_text()
    assert key[1] not in text and SECRET not in text
