"""Health checks against real web servers, seen where they matter: in DNS answers, and in what the API reports.

Every check under test has a failover pair of its own, so that one question tells its outcome: the PRIMARY's address
while it is healthy, the SECONDARY's while not. Where nothing may change, the endpoint's own log says how often it was
asked meanwhile.
"""

import datetime
import json
import subprocess

import pytest

import endpoints
from endpoints import FAST, make_check, page_check, reports, tag_check, wait_for_report
from leeward import record
from process import SLOWER, clean_environment, wait_for
from questions import ask, data
from servers import OPENSSL

HEALTHY, UNHEALTHY = "192.0.2.1", "192.0.2.2"
# Route 53's own thresholds, at a probe every 100 ms.
PLAIN = {"leeward:interval-ms": "100"}


class Checks:
    """A daemon, a site, and checks whose outcome DNS tells."""

    def __init__(self, sandbox, daemon=None, **site):
        self.sandbox = sandbox
        self.daemon = daemon or sandbox.daemon().start()
        self.site = self.another_site(**site)
        self.client = self.daemon.client("route53")
        self.zone = self.daemon.create_zone("checks.example")

    def another_site(self, **settings):
        address = self.sandbox.address()
        return self.sandbox.add(endpoints.Site(self.sandbox.folder / f"site-{address}", address, **settings)).start()

    def watch(self, check):
        """Gives the check a name in DNS."""
        name = f"{check}.checks.example"
        self.daemon.change(
            self.zone, record(name, "A", HEALTHY, SetIdentifier="1", Failover="PRIMARY", HealthCheckId=check),
            record(name, "A", UNHEALTHY, SetIdentifier="2", Failover="SECONDARY"))
        wait_for(lambda: self.answer(check), 5, f"{name} is answered")
        return check

    def page(self, page, tags=None, site=None, **config):
        return self.watch(page_check(self.daemon, site or self.site, page, tags, **config))

    def make(self, tags=None, **config):
        return self.watch(make_check(self.daemon, tags, **config))

    def calculated(self, children, threshold, **config):
        return self.make({}, Type="CALCULATED", ChildHealthChecks=children, HealthThreshold=threshold, **config)

    def update(self, check, **changes):
        self.client.update_health_check(HealthCheckId=check, **changes)

    def answer(self, check):
        values = data(ask(self.daemon.dns, f"{check}.checks.example"))
        return values[0] if values else None

    def healthy(self, check):
        return self.answer(check) == HEALTHY

    def becomes(self, check, healthy, seconds=10):
        wait_for(lambda: self.healthy(check) == healthy, seconds, f"{check} is {'' if healthy else 'un'}healthy")

    def stays(self, check, healthy, line, more, site=None):
        """Looks at DNS again and again until the endpoint was asked this often more; the outcome never changes."""
        site = site or self.site
        enough = site.count(line) + more

        def asked():
            if self.healthy(check) != healthy:
                raise RuntimeError(f"{check} became {'un' if healthy else ''}healthy: {site.requests()[-12:]}")
            return site.count(line) >= enough
        wait_for(asked, 15, f"{more} requests more")


@pytest.fixture
def checks(sandbox):
    return Checks(sandbox)


# Types


@pytest.mark.sanitized
@pytest.mark.parametrize("kind", ["HTTP", "HTTPS"])
def test_a_page_that_goes_and_comes_turns_the_check(checks, kind):
    """HTTPS: the certificate is self-signed, and is not looked at."""
    checks.site.up("health")
    check = checks.page("health", Type=kind)
    wait_for_report(checks.daemon, check, "Success: HTTP Status Code 200, OK")
    assert checks.healthy(check)
    checks.site.down("health")
    checks.becomes(check, False)
    wait_for_report(checks.daemon, check, "Failure: HTTP Status Code 404, Not Found")
    checks.site.up("health")
    checks.becomes(check, True)


@pytest.mark.parametrize("kind", ["HTTP", "HTTPS", "TCP"])
def test_an_endpoint_that_dies_and_returns_turns_the_check(checks, kind):
    checks.site.up("health")
    settings = {"Type": kind, "IPAddress": checks.site.address,
                "Port": checks.site.https_port if kind == "HTTPS" else checks.site.http_port}
    check = checks.make(**settings, **({} if kind == "TCP" else {"ResourcePath": "/health"}))
    wait_for_report(checks.daemon, check, "Success")
    checks.site.kill()
    checks.becomes(check, False)
    wait_for_report(checks.daemon, check, "Failure: Connection refused")
    checks.site.start()
    checks.becomes(check, True)


def test_a_tcp_check_only_connects(checks):
    """The kernel goes on accepting for a server that hangs: for TCP that is healthy, for HTTP it is not."""
    checks.site.up("health")
    tcp = checks.make(Type="TCP", IPAddress=checks.site.address, Port=checks.site.http_port)
    http = checks.page("health", {**FAST, "leeward:timeout-ms": "200"})
    for check in (tcp, http):
        wait_for_report(checks.daemon, check, "Success")
    checks.site.pause()
    checks.becomes(http, False)
    wait_for_report(checks.daemon, http, f"Failure: Resolved IP: {checks.site.address}. The endpoint didn't send an HTTP")
    assert checks.healthy(tcp)
    assert reports(checks.daemon, tcp)[0].startswith("Success")
    checks.site.resume()
    checks.becomes(http, True)


STATUSES = {200: True, 204: True, 299: True, 300: True, 301: True, 302: True, 304: True, 399: True,
            400: False, 403: False, 404: False, 418: False, 500: False, 503: False, 599: False}


@pytest.mark.sanitized
def test_2xx_and_3xx_are_healthy_and_others_are_not(sandbox):
    checks = Checks(sandbox, locations="".join(
        f"location = /{status} {{ return {status}; }}\n" for status in STATUSES if status not in (301, 302)) + "".join(
        f"location = /{status} {{ return {status} http://{{address}}:{{http}}/404; }}\n" for status in (301, 302)))
    made = {status: checks.page(status) for status in STATUSES}
    for status, healthy in STATUSES.items():
        wait_for_report(checks.daemon, made[status], f"{'Success' if healthy else 'Failure'}: HTTP Status Code {status}")
        checks.becomes(made[status], healthy)


def test_a_redirect_is_not_followed(sandbox):
    checks = Checks(sandbox, locations="location = /moved { return 302 http://{address}:{http}/elsewhere; }\n")
    check = checks.page("moved")
    wait_for_report(checks.daemon, check, "Success: HTTP Status Code 302")
    checks.stays(check, True, "302 /moved", 3)
    assert checks.site.count(".* /elsewhere") == 0


def test_headers_beyond_16384_bytes_are_unhealthy(sandbox):
    line = f"add_header X-Filler {'x' * 3600};\n"
    checks = Checks(sandbox, locations="".join(
        f"location = /{name} {{ {line * count} return 200 ok; }}\n" for name, count in (("four", 4), ("five", 5))))
    four, five = checks.page("four"), checks.page("five")
    wait_for_report(checks.daemon, four, "Success")
    wait_for_report(checks.daemon, five, f"Failure: Resolved IP: {checks.site.address}. The response headers are larger")
    checks.becomes(five, False)
    assert checks.healthy(four)


# String matching


@pytest.mark.sanitized
@pytest.mark.parametrize("kind", ["HTTP_STR_MATCH", "HTTPS_STR_MATCH"])
def test_a_string_is_found_in_the_first_5120_bytes_only(checks, kind):
    needle = "All is Well"
    pages = {"first": (needle, True), "inside": (f"<p>{needle}</p>", True), "case": (needle.lower(), False),
             "absent": ("nothing", False), "empty": ("", False),
             "last": ("x" * (5120 - len(needle)) + needle + "y" * 900, True),
             "cut": ("x" * (5121 - len(needle)) + needle, False), "beyond": ("x" * 5120 + needle, False),
             "far": ("x" * 300_000 + needle, False)}
    made = {}
    for page, (body, _) in pages.items():
        checks.site.up(page, body=body)
        made[page] = checks.page(page, Type=kind, SearchString=needle)
    for page, (_, healthy) in pages.items():
        if healthy:
            wait_for_report(checks.daemon, made[page], "Success: HTTP Status Code 200")
        else:
            report = wait_for_report(checks.daemon, made[page], "Failure: HTTP Status Code 200")
            assert "5120" in report
        checks.becomes(made[page], healthy)


def test_a_string_of_255_characters_is_matched_whole(checks):
    needle = "".join(chr(33 + n % 90) for n in range(255))
    for page, body in (("whole", needle), ("short", needle[:-1])):
        checks.site.up(page, body=body)
    whole, short = (checks.page(page, Type="HTTP_STR_MATCH", SearchString=needle) for page in ("whole", "short"))
    checks.becomes(short, False)
    wait_for_report(checks.daemon, whole, "Success")
    assert checks.healthy(whole)


def test_the_string_does_not_excuse_a_bad_status(sandbox):
    checks = Checks(sandbox, locations='location = /sick { return 503 "All is Well"; }\n')
    check = checks.page("sick", Type="HTTP_STR_MATCH", SearchString="All is Well")
    wait_for_report(checks.daemon, check, "Failure: HTTP Status Code 503")
    checks.becomes(check, False)


def test_a_page_that_changes_its_text_turns_the_check(checks):
    checks.site.up("page", body="serving")
    check = checks.page("page", Type="HTTP_STR_MATCH", SearchString="serving")
    wait_for_report(checks.daemon, check, "Success")
    checks.site.up("page", body="draining")
    checks.becomes(check, False)
    checks.site.up("page", body="serving")
    checks.becomes(check, True)


# Calculated


@pytest.mark.sanitized
def test_calculated_checks_count_their_healthy_children(checks):
    """Thresholds from 0 to more than there are children, plain and inverted, in every combination of three children."""
    pages = ["a", "b", "c"]
    checks.site.up(*pages)
    children = [checks.page(page) for page in pages]
    made = [(threshold, inverted, checks.calculated(children, threshold, Inverted=inverted))
            for threshold in range(5) for inverted in (False, True)]
    # A Gray code: one page changes from each state to the next.
    for state in (0b111, 0b110, 0b100, 0b101, 0b001, 0b000, 0b010, 0b011, 0b111):
        for bit, page in enumerate(pages):
            (checks.site.up if state >> bit & 1 else checks.site.down)(page)
        for bit, child in enumerate(children):
            checks.becomes(child, bool(state >> bit & 1))
        for threshold, inverted, check in made:
            checks.becomes(check, (state.bit_count() >= threshold) != inverted)


def test_a_calculated_check_counts_inverted_and_disabled_children_as_they_come_out(checks):
    checks.site.up("up")
    children = [checks.page("up"), checks.page("gone", Inverted=True), checks.page("gone2", Disabled=True)]
    check = checks.calculated(children, 3)
    checks.becomes(check, True)
    checks.update(children[1], Inverted=False)
    checks.becomes(check, False)
    checks.update(check, HealthThreshold=2)
    checks.becomes(check, True)
    checks.update(children[2], Disabled=False)
    checks.becomes(check, False)


def test_a_calculated_check_may_be_disabled(checks):
    child = checks.page("gone")
    check = checks.calculated([child], 1)
    checks.becomes(check, False)
    checks.update(check, Disabled=True)
    checks.becomes(check, True)
    checks.update(check, Inverted=True)
    checks.becomes(check, False)
    checks.update(check, Disabled=False)
    checks.becomes(check, True)


# Inverted and disabled


@pytest.mark.sanitized
def test_inverted_and_disabled_in_every_combination(checks):
    """Disabled: healthy whatever the endpoint does, and unhealthy where it is inverted too."""
    checks.site.up("page")
    made = {(inverted, disabled): checks.page("page", Inverted=inverted, Disabled=disabled)
            for inverted in (False, True) for disabled in (False, True)}
    for healthy in (True, False, True):
        (checks.site.up if healthy else checks.site.down)("page")
        checks.becomes(made[False, False], healthy)
        checks.becomes(made[True, False], not healthy)
        assert checks.healthy(made[False, True])
        assert not checks.healthy(made[True, True])


def test_a_check_is_inverted_and_disabled_while_it_runs(checks):
    checks.site.up("page")
    check = checks.page("page")
    wait_for_report(checks.daemon, check, "Success")
    for changes, healthy in (({"Inverted": True}, False), ({"Disabled": True, "Inverted": False}, True),
                             ({"Inverted": True}, False), ({"Disabled": False}, False), ({"Inverted": False}, True)):
        checks.update(check, **changes)
        checks.becomes(check, healthy)


def test_a_disabled_check_does_not_ask_its_endpoint(checks):
    checks.site.up("page", "other")
    check, other = checks.page("page"), checks.page("other")
    checks.stays(check, True, "200 /page", 2)
    checks.update(check, Disabled=True)
    # The other check's requests are the clock: once it has seen the update, no more than one was under way.
    checks.stays(other, True, "200 /other", 3)
    asked = checks.site.count("200 /page")
    checks.stays(other, True, "200 /other", 5)
    assert checks.site.count("200 /page") <= asked + 1


# Thresholds: nginx numbers its connections, and a check makes one for each probe


def flapping(bad):
    """Locations of a site that answers 503 on connections whose number ends so."""
    return {"http": f"map $connection $sick {{ ~[{bad}]$ 1; default 0; }}\n",
            "locations": "location = /flap { if ($sick) { return 503; } return 200 ok; }\n"}


@pytest.mark.sanitized
def test_failure_threshold_counts_consecutive_failures(sandbox):
    """Two failures after every three successes turn a check of threshold 2, and never one of threshold 3."""
    checks = Checks(sandbox)
    turned, kept = (checks.another_site(**flapping("1267")) for _ in range(2))
    two = checks.page("flap", PLAIN, turned, FailureThreshold=2)
    three = checks.page("flap", PLAIN, kept, FailureThreshold=3)
    checks.becomes(two, False)
    checks.becomes(two, True)
    checks.stays(three, True, "503 /flap", 6, site=kept)


def test_the_same_count_of_successes_turns_it_back(sandbox):
    """Three failures turn a check of threshold 3; two successes between them do not turn it back, three would."""
    checks = Checks(sandbox)
    never, again = checks.another_site(**flapping("123678")), checks.another_site(**flapping("1234"))
    stuck = checks.page("flap", PLAIN, never, FailureThreshold=3)
    moving = checks.page("flap", PLAIN, again, FailureThreshold=3)
    checks.becomes(moving, False)
    checks.becomes(moving, True)
    checks.becomes(stuck, False)
    checks.stays(stuck, False, "200 /flap", 4, site=never)


def test_tags_count_each_way_on_their_own(sandbox):
    """leeward:failures-down=2, leeward:successes-up=3 over FailureThreshold=10."""
    checks = Checks(sandbox)
    tags = {**PLAIN, "leeward:failures-down": "2", "leeward:successes-up": "3"}
    never, again = checks.another_site(**flapping("123678")), checks.another_site(**flapping("1267"))
    stuck = checks.page("flap", tags, never, FailureThreshold=10)
    moving = checks.page("flap", tags, again, FailureThreshold=10)
    checks.becomes(moving, False)
    checks.becomes(moving, True)
    checks.becomes(stuck, False)
    checks.stays(stuck, False, "200 /flap", 4, site=never)


def test_before_its_first_result_a_check_is_healthy(checks):
    """The endpoint hangs; until a probe has run into its limit there is no result."""
    checks.site.pause()
    check = checks.page("page", {**FAST, "leeward:timeout-ms": str(3000 * SLOWER)})
    inverted = checks.page("page", {**FAST, "leeward:timeout-ms": str(3000 * SLOWER)}, Inverted=True)
    assert checks.healthy(check)
    assert not checks.healthy(inverted)
    assert not any(text.startswith(("Success", "Failure")) for text in reports(checks.daemon, check))
    reason = checks.client.get_health_check_last_failure_reason(HealthCheckId=check)
    assert reason["HealthCheckObservations"] == []
    checks.becomes(check, False)
    checks.becomes(inverted, True)


def test_a_status_is_due_within_two_seconds_and_the_body_within_two_more(sandbox):
    """Route 53's own limits: a server that hangs, and one that sends its body too slowly."""
    checks = Checks(sandbox, locations="location = /slow { limit_rate 100; }\n")
    checks.site.up("slow", body="x" * 5000 + "needle")
    interval = {"leeward:interval-ms": "500", "leeward:failures-down": "1"}
    slow = checks.page("slow", interval, Type="HTTP_STR_MATCH", SearchString="needle")
    report = wait_for_report(checks.daemon, slow, "Failure: HTTP Status Code 200, OK.")
    assert "complete within the time limit" in report
    hanging = checks.another_site()
    hanging.up("page")
    check = checks.page("page", interval, site=hanging)
    wait_for_report(checks.daemon, check, "Success")
    hanging.pause()
    report = wait_for_report(checks.daemon, check, "Failure: Resolved IP")
    assert "didn't send an HTTP status code within the time limit" in report
    checks.becomes(check, False)


# HTTPS: names and certificates


def test_enable_sni_sends_the_name(sandbox):
    checks = Checks(sandbox, locations="""
        location = /named { if ($ssl_server_name != "shop.example") { return 503; } return 200 ok; }
        location = /nameless { if ($ssl_server_name) { return 503; } return 200 ok; }
    """)
    settings = {"Type": "HTTPS", "FullyQualifiedDomainName": "shop.example"}
    expected = {("named", True): True, ("named", False): False, ("nameless", True): False, ("nameless", False): True}
    made = {(page, sni): checks.page(page, EnableSNI=sni, **settings) for page, sni in expected}
    for key, healthy in expected.items():
        wait_for_report(checks.daemon, made[key], "Success" if healthy else "Failure: HTTP Status Code 503")
        checks.becomes(made[key], healthy)
    default = page_check(checks.daemon, checks.site, "named", **settings)
    assert checks.client.get_health_check(HealthCheckId=default)["HealthCheck"]["HealthCheckConfig"]["EnableSNI"] is True


def test_what_the_endpoint_is_asked(checks):
    """The Host header is the name, with the port as it is not the scheme's own; the agent names the check."""
    checks.site.up("page")
    named = page_check(checks.daemon, checks.site, "page?full=1", FullyQualifiedDomainName="shop.example")
    plain = page_check(checks.daemon, checks.site, "page")
    port, address = checks.site.http_port, checks.site.address
    wait_for(lambda: checks.site.count(f"200 /page[?]full=1 shop.example:{port} Leeward.*{named}"), 5, "the named request")
    wait_for(lambda: checks.site.count(f"200 /page {address}:{port} Leeward.*{plain}"), 5, "the plain request")


def test_certificates_are_verified_only_where_a_tag_says_so(checks):
    checks.site.up("page")
    check = checks.page("page", Type="HTTPS", FullyQualifiedDomainName="localhost")
    wait_for_report(checks.daemon, check, "Success")
    tag_check(checks.daemon, check, {"leeward:verify-tls": "true"})
    checks.becomes(check, False)
    wait_for_report(checks.daemon, check, "Failure: SSL negotiation failed")
    tag_check(checks.daemon, check, {"leeward:verify-tls": "false"})
    checks.becomes(check, True)


@pytest.fixture
def hide():
    options = endpoints.can_hide_files()
    if options is None:
        pytest.skip("needs a mount namespace: root, or user namespaces")
    return options


def daemon_with(sandbox, hide, **files):
    """A daemon that sees our files, by the system's path with / as __."""
    return sandbox.add(endpoints.DaemonWithFiles(
        sandbox.folder / "daemon", hide=hide,
        files={f"/{name.replace('__', '/')}": path for name, path in files.items()})).start()


def make_authority(folder, name):
    """(authority, certificate, key) files: a certificate for the name by an authority of our own."""
    folder.mkdir()

    def openssl(*words):
        subprocess.run([OPENSSL, *words], cwd=folder, check=True, capture_output=True, env=clean_environment(HOME=str(folder)))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3", "-subj",
            "/CN=Authority", "-keyout", "authority.key", "-out", "authority.crt")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", "site.key", "-out", "site.csr")
    (folder / "names").write_text(f"subjectAltName=DNS:{name}\n")
    openssl("x509", "-req", "-in", "site.csr", "-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial",
            "-days", "3", "-extfile", "names", "-out", "site.crt")
    return folder / "authority.crt", folder / "site.crt", folder / "site.key"


def test_a_verified_certificate_has_to_name_the_host(sandbox, hide):
    """The daemon sees an authority of ours in the place of the system's."""
    authority, certificate, key = make_authority(sandbox.folder / "authority", "shop.example")
    daemon = daemon_with(sandbox, hide, **{"etc__ssl__certs__ca-certificates.crt": authority})
    checks = Checks(sandbox, daemon, certificate=(certificate, key))
    checks.site.up("page")
    tags = {**FAST, "leeward:verify-tls": "true"}
    right = checks.page("page", tags, Type="HTTPS", FullyQualifiedDomainName="shop.example")
    wrong = checks.page("page", tags, Type="HTTPS", FullyQualifiedDomainName="other.example")
    wait_for_report(daemon, right, "Success: HTTP Status Code 200")
    wait_for_report(daemon, wrong, "Failure: SSL negotiation failed")
    checks.becomes(right, True)
    checks.becomes(wrong, False)


def test_a_host_name_is_resolved_to_a_records_at_every_check(sandbox, hide):
    """The daemon sees a hosts file of ours; it moves the name from one site to another, and to none."""
    hosts = sandbox.folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    daemon = daemon_with(sandbox, hide, etc__hosts=hosts)
    checks = Checks(sandbox, daemon)
    # The same port on both addresses: a second server on the first one's port.
    first = checks.site
    second = endpoints.Site(sandbox.folder / "second", sandbox.address())
    second.http_port = first.http_port
    sandbox.add(second).start()
    for site in (first, second):
        site.up("page")
    hosts.write_text(f"{first.address} shop.example\n")
    check = checks.make(Type="HTTP", FullyQualifiedDomainName="shop.example", Port=first.http_port, ResourcePath="/page")
    wait_for_report(daemon, check, f"Success: HTTP Status Code 200, OK. Resolved IP: {first.address}")
    hosts.write_text(f"2001:db8::1 shop.example\n{second.address} shop.example\n")
    wait_for_report(daemon, check, f"Success: HTTP Status Code 200, OK. Resolved IP: {second.address}")
    checks.becomes(check, True)
    asked = first.count("200 /page")
    checks.stays(check, True, "200 /page", 3, site=second)
    assert first.count("200 /page") == asked
    hosts.write_text("2001:db8::1 shop.example\n")
    wait_for_report(daemon, check, "Failure: DNS resolution failed")
    checks.becomes(check, False)
    hosts.write_text(f"{first.address} shop.example\n")
    checks.becomes(check, True)


# Reports


@pytest.mark.sanitized
def test_status_and_last_failure_reason_say_what_was_seen(checks):
    checks.site.up("page")
    check = checks.page("page")
    wait_for_report(checks.daemon, check, f"Success: HTTP Status Code 200, OK. Resolved IP: {checks.site.address}")
    assert checks.client.get_health_check_last_failure_reason(HealthCheckId=check)["HealthCheckObservations"] == []
    checks.site.down("page")
    failure = f"Failure: HTTP Status Code 404, Not Found. Resolved IP: {checks.site.address}"
    wait_for_report(checks.daemon, check, failure)
    checks.site.up("page")
    wait_for_report(checks.daemon, check, "Success: HTTP Status Code 200, OK")
    status = checks.daemon.aws("route53", "get-health-check-status", "--health-check-id", check)
    reason = checks.daemon.aws("route53", "get-health-check-last-failure-reason", "--health-check-id", check)
    now = datetime.datetime.now(datetime.timezone.utc)
    for answer, text in ((status, "Success: HTTP Status Code 200, OK"), (reason, failure)):
        (seen,) = answer["HealthCheckObservations"]
        assert seen["Region"] == "us-east-1"
        assert seen["IPAddress"].startswith("127.")
        assert seen["StatusReport"]["Status"].startswith(text)
        checked = datetime.datetime.fromisoformat(seen["StatusReport"]["CheckedTime"].replace("Z", "+00:00"))
        assert datetime.timedelta(seconds=-2) < now - checked < datetime.timedelta(minutes=5)


def test_the_checked_time_goes_on(checks):
    checks.site.up("page")
    check = checks.page("page")
    wait_for_report(checks.daemon, check, "Success")

    def checked():
        seen = checks.client.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        return seen[0]["StatusReport"]["CheckedTime"]
    first = checked()
    wait_for(lambda: checked() > first, 5, "a later time")


def test_the_node_counts_its_probes(checks):
    checks.site.up("page")
    check = checks.page("page")
    wait_for_report(checks.daemon, check, "Success")
    node = json.loads(checks.daemon.leeward("status", "--json").stdout)["Node"]
    counters = {counter["Name"]: counter["Value"] for counter in node["HealthCounters"]}
    assert counters["probes_started"] >= counters["probes_passed"] >= 1
    assert counters["probes_failed"] == 0


# Updates and tags


def test_an_update_takes_effect(checks):
    checks.site.up("page")
    check = checks.page("page")
    wait_for_report(checks.daemon, check, "Success")
    checks.update(check, ResourcePath="/elsewhere")
    checks.becomes(check, False)
    other = checks.another_site()
    other.up("elsewhere")
    checks.update(check, IPAddress=other.address, Port=other.http_port)
    checks.becomes(check, True)


def test_the_interval_tag_is_followed_and_removed(checks):
    checks.site.up("fast", "slow")
    fast, slow = checks.page("fast"), checks.page("slow")
    checks.stays(slow, True, "200 /slow", 3)
    checks.client.change_tags_for_resource(ResourceType="healthcheck", ResourceId=slow,
                                           RemoveTagKeys=["leeward:interval-ms"])
    checks.stays(fast, True, "200 /fast", 3)
    asked = checks.site.count("200 /slow")
    checks.stays(fast, True, "200 /fast", 15)
    assert checks.site.count("200 /slow") <= asked + 2, "every 30 s, not every 100 ms"


def status_of(daemon, check):
    listed = json.loads(daemon.leeward("status", "--json").stdout)["HealthChecks"]
    return next(item for item in listed if item["Id"] == check)["Status"]


@pytest.mark.sanitized
def test_a_latched_check_stays_unhealthy_until_it_is_reset(checks):
    checks.site.up("page")
    check = checks.page("page", {**FAST, "leeward:latch": "true"})
    checks.becomes(check, True)
    wait_for_report(checks.daemon, check, "Success")
    assert status_of(checks.daemon, check)["Healthy"]
    checks.site.down("page")
    checks.becomes(check, False)
    checks.site.up("page")
    wait_for_report(checks.daemon, check, "Success")
    checks.stays(check, False, "200 /page", 4)
    assert not status_of(checks.daemon, check)["Healthy"]
    # Not even a restart of the daemon fails back.
    checks.daemon.kill()
    checks.daemon.restart()
    wait_for_report(checks.daemon, check, "Success")
    checks.stays(check, False, "200 /page", 4)
    checks.daemon.leeward("check", "reset", check)
    checks.becomes(check, True)
    # It latches again.
    checks.site.down("page")
    checks.becomes(check, False)
    checks.site.up("page")
    checks.stays(check, False, "200 /page", 4)
    checks.client.change_tags_for_resource(ResourceType="healthcheck", ResourceId=check, RemoveTagKeys=["leeward:latch"])
    checks.becomes(check, True)


# A probe every 1.5 s, and three failures: a verdict takes far longer than a restart.
SLOW = {"leeward:interval-ms": "1500", "leeward:failures-down": "3", "leeward:successes-up": "1", "leeward:timeout-ms": "1000"}


@pytest.mark.sanitized
@pytest.mark.parametrize("way", ["kill", "stop"])
def test_a_restart_in_an_outage_serves_what_was_served(checks, way):
    """Plain, inverted and calculated: the first answer of the new process is the last of the old one, and so is its time."""
    checks.site.up("page")
    plain, inverted = checks.page("page", SLOW), checks.page("page", SLOW, Inverted=True)
    above = checks.calculated([plain], 1)
    for check in (plain, inverted):
        wait_for_report(checks.daemon, check, "Success")
    assert [checks.healthy(check) for check in (plain, inverted, above)] == [True, False, True]
    checks.site.kill()
    for check, healthy in ((plain, False), (inverted, True), (above, False)):
        checks.becomes(check, healthy, 15)
    before = {check: status_of(checks.daemon, check)["Since"] for check in (plain, inverted, above)}
    getattr(checks.daemon, way)()
    checks.daemon.start()
    first = [checks.answer(check) for check in (plain, inverted, above)]
    assert first == [UNHEALTHY, HEALTHY, UNHEALTHY]
    assert {check: status_of(checks.daemon, check)["Since"] for check in before} == before
    wait_for_report(checks.daemon, plain, "Failure: Connection refused")
    assert [checks.answer(check) for check in (plain, inverted, above)] == first
    checks.site.start()
    for check, healthy in ((plain, True), (inverted, False), (above, True)):
        checks.becomes(check, healthy, 15)


def test_resetting_a_check_that_is_not_there_says_so(checks):
    run = checks.daemon.leeward("check", "reset", "00000000-0000-4000-8000-000000000000", check=False)
    assert run.returncode != 0
    assert "00000000-0000-4000-8000-000000000000" in run.stderr


def test_a_reset_check_whose_endpoint_is_down_stays_unhealthy(checks):
    check = checks.page("gone", {**FAST, "leeward:latch": "true"})
    checks.becomes(check, False)
    checks.daemon.leeward("check", "reset", check)
    checks.stays(check, False, "404 /gone", 4)
    checks.site.up("gone")
    checks.becomes(check, True)
