"""The two programs as people and supervisors meet them: `leeward`'s output and exit codes, `leewardd` starting and ending."""

import datetime
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from leeward import KEY_ID, REGION, SECRET, record
from process import BUILD, PATIENCE, ROOT, clean_environment, wait_for

FAILED, USAGE, UNREACHABLE = 1, 2, 3


def run(program, *arguments, prefix=(), **environment):
    return subprocess.run([*prefix, BUILD / program, *map(str, arguments)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=30 * PATIENCE, env=clean_environment(**environment))


def leeward(*arguments, **environment):
    return run("leeward", *arguments, **environment)


def of_json(run):
    assert run.stderr == ""
    return json.loads(run.stdout)


def moment(text):
    return datetime.datetime.fromisoformat(text)


# ---- leeward: output ----


@pytest.fixture
def pair(sandbox, daemon, route53):
    """A failover pair whose primary is a real server and its check fast; the daemon, zone, check and server."""
    web = sandbox.nginx("us-east-1")
    zone = daemon.create_zone("example.com")
    check = route53.create_health_check(CallerReference="1", HealthCheckConfig={
        "Type": "HTTP", "IPAddress": web.address, "Port": web.http_port, "ResourcePath": "/health",
        "FailureThreshold": 1})["HealthCheck"]["Id"]
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=check, AddTags=[
        {"Key": "leeward:interval-ms", "Value": "100"}, {"Key": "leeward:latch", "Value": "true"}])
    daemon.change(zone,
                  record("www.example.com", "A", "192.0.2.1", SetIdentifier="first", Failover="PRIMARY",
                         HealthCheckId=check),
                  record("www.example.com", "A", "192.0.2.2", SetIdentifier="second", Failover="SECONDARY"))
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])
    return daemon, zone, check, web


@pytest.mark.sanitized
def test_status_and_dig_tell_a_failover(pair):
    daemon, zone, check, web = pair

    def status():
        return of_json(daemon.leeward("status", "--json"))

    wait_for(lambda: status()["HealthChecks"][0].get("Status", {}).get("Observations"), 5, "a first result")
    seen = status()
    assert set(seen) == {"Node", "Zones", "HealthChecks", "RoutedRecords", "RoutedRecordsTruncated", "SecondaryZones"}
    node = seen["Node"]
    assert (node["Regions"], node["ApiAddress"]) == ([REGION], daemon.api)
    assert node["DnsAddresses"] == ["%s:%d" % daemon.dns]
    assert node["DnsRevision"] > 0 and re.fullmatch(r"\d+\.\d+\.\d+", node["Version"])
    counters = {one["Name"]: one["Value"] for one in node["DnsCounters"]}
    assert counters["queries_udp"] > 0 and counters["responses"] >= counters["queries_udp"]
    assert seen["Zones"] == [{"Id": zone, "Name": "example.com.", "RecordCount": 4}]
    (one,) = seen["HealthChecks"]
    assert (one["Id"], one["Type"], one["Disabled"], one["Inverted"]) == (check, "HTTP", False, False)
    assert one["Target"] == f"http://{web.address}:{web.http_port}/health"
    (view,) = one["Status"]["Observations"]
    assert (view["Region"], view["Healthy"], one["Status"]["Healthy"]) == (REGION, True, True)
    assert moment(one["Status"]["Since"]) <= moment(view["Checked"])
    (routed,) = seen["RoutedRecords"]
    assert seen["RoutedRecordsTruncated"] is False
    assert routed == of_json(daemon.leeward("dig", "www.example.com", "A", "--json"))
    assert (routed["ZoneId"], routed["Policy"]) == (zone, "failover")
    assert [(c["Role"], c["SetIdentifier"], c["Chosen"], c["Values"]) for c in routed["Candidates"]] == [
        ("PRIMARY", "first", True, ["192.0.2.1"]), ("SECONDARY", "second", False, ["192.0.2.2"])]
    assert routed["Candidates"][0]["HealthCheckId"] == check

    web.kill()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.2"])
    dug = of_json(daemon.leeward("dig", "WWW.example.com.", "a", "--json"))
    assert [(c["Healthy"], c["Chosen"]) for c in dug["Candidates"]] == [(False, False), (True, True)]
    failed = status()["HealthChecks"][0]["Status"]
    assert (failed["Healthy"], failed["Latched"]) == (False, True)
    assert failed["Observations"][0]["Status"].startswith("Failure: ")
    words = daemon.leeward("status").stdout
    for word in (zone, check, "unhealthy, latched", "example.com.", daemon.api, "leeward check reset", "not served"):
        assert word in words
    lines = daemon.leeward("dig", "www.example.com", "A").stdout.splitlines()
    assert lines[0] == f"www.example.com. A in zone example.com. ({zone}), policy failover"
    assert [line.split()[:2] for line in lines if "first" in line or "second" in line] == [
        ["not", "served"], ["served", "SECONDARY"]]

    web.start()
    wait_for(lambda: status()["HealthChecks"][0]["Status"]["Observations"][0]["Healthy"], 5, "the server is seen again")
    assert daemon.dig("www.example.com").data == ["192.0.2.2"]  # latched
    reset = daemon.leeward("check", "reset", check)
    assert reset.stdout == f"The health check {check} follows its results again.\n"
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])


def test_a_status_that_is_cut_says_so(daemon):
    zone = daemon.create_zone("example.com")

    def add(first, end):
        daemon.change(zone, *[record(f"n{i}.example.com", "A", "192.0.2.1", SetIdentifier="one", Weight=1)
                              for i in range(first, end)])

    def status():
        seen = of_json(daemon.leeward("status", "--json"))
        return len(seen["RoutedRecords"]), seen["RoutedRecordsTruncated"]

    add(0, 500)
    add(500, 1000)
    wait_for(lambda: status() == (1000, False), 10, "all records are shown")
    add(1000, 1001)
    wait_for(lambda: status() == (1000, True), 10, "one too many is noticed")
    assert "and more: these are 1000 of them" in daemon.leeward("status").stdout


def test_dig_says_why_there_is_no_answer(shared):
    shared.create_zone("dig.example")
    shared.wait_for_answer("dig.example", "MX", [])
    for name, kind, note in (("dig.example", "MX", "the name has no record of this type: NOERROR without an answer"),
                             ("nothing.dig.example", "A", "the name does not exist: NXDOMAIN"),
                             ("dig.example.net", "A", "no hosted zone holds the name: REFUSED")):
        dug = of_json(shared.leeward("dig", name, kind, "--json"))
        assert (dug["Name"], dug["Type"], dug["Note"], dug["Candidates"]) == (f"{name}.", kind, note, [])
        assert note in shared.leeward("dig", name, kind).stdout


def test_key_list_is_complete(daemon):
    made = of_json(daemon.leeward("key", "create", "--role", "operator", "--comment", "on call, \u00fc \u001b[31m", "--json"))
    listed = of_json(daemon.leeward("key", "list", "--json"))["Keys"]
    assert {key["Id"]: (key["Role"], key["Comment"]) for key in listed} == {
        KEY_ID: ("admin", "from the environment"), made["Id"]: ("operator", "on call, \u00fc \u001b[31m")}
    assert all(set(key) == {"Id", "Role", "Created", "Comment"} and moment(key["Created"]) for key in listed)
    table = daemon.leeward("key", "list").stdout
    assert table.splitlines()[0].split() == ["ID", "ROLE", "CREATED", "COMMENT"]
    assert made["Id"] in table and made["Secret"] not in table
    assert "\u001b" not in table  # nothing of what others wrote steers the terminal
    words = daemon.leeward("key", "create").stdout
    assert "A new key with the role viewer. The secret is shown only now." in words
    key = re.findall(r"export LEEWARD_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY)=(\S+)", words)
    assert daemon.client("route53", key=key).get_hosted_zone_count()["HostedZoneCount"] == 0


# ---- leeward: errors ----


@pytest.mark.parametrize("words, sentence", [
    ([], "what should it do? (`leeward help` lists it)"),
    (["frobnicate"], "unknown command 'frobnicate': there are status, dig, key, tsig, check, controls, arc, db, sites, site, zone and help"),
    (["key"], "`leeward key` needs one of: create, list, delete"),
    (["key", "steal"], "unknown command 'key steal': `leeward key` knows create, list, delete"),
    (["key", "delete"], "`leeward key delete` needs ID: the access key's id, as `leeward key list` shows it"),
    (["dig", "www.example.com"], "`leeward dig` needs TYPE: the record type, such as A, AAAA, MX or TXT"),
    (["status", "now"], "`leeward status` does not take 'now'"),
    (["status", "--role", "admin"], "`leeward status` has no option --role"),
    (["status", "--colour"], "unknown option --colour (`leeward help` lists them)"),
    (["key", "create", "--role"], "--role needs a value: --role ROLE"),
    (["status", "--json=yes"], "--json takes no value"),
    (["dig", "www.example.com", "AXFR"], "TYPE cannot be 'AXFR': it is one of SOA, A, TXT, NS, CNAME, MX, NAPTR, PTR, SRV, "
                                         "SPF, AAAA, CAA, DS, TLSA, SSHFP, SVCB, HTTPS"),
    (["key", "create", "--role", "boss"], "--role cannot be 'boss': it is one of viewer, operator, admin"),
])
def test_a_wrong_command_line_is_named(words, sentence):
    wrong = leeward(*words)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (USAGE, "", f"leeward: {sentence}\n")


def test_a_wrong_setting_is_named(shared):
    key = {"LEEWARD_ACCESS_KEY_ID": KEY_ID, "LEEWARD_SECRET_ACCESS_KEY": SECRET}
    none = leeward("status", "--endpoint", shared.endpoint)
    assert (none.returncode, none.stderr) == (
        USAGE, "leeward: no access key: set LEEWARD_ACCESS_KEY_ID and LEEWARD_SECRET_ACCESS_KEY (leewardd printed the first "
               "one when it was started the first time)\n")
    half = leeward("status", "--endpoint", shared.endpoint, LEEWARD_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET)
    assert (half.returncode, half.stderr) == (
        USAGE, "leeward: LEEWARD_ACCESS_KEY_ID is set, but LEEWARD_SECRET_ACCESS_KEY is not: they go together\n")
    assert leeward("status", LEEWARD_ENDPOINT=shared.endpoint, **key).returncode == 0
    assert leeward("status", "--endpoint", shared.endpoint, AWS_ACCESS_KEY_ID=KEY_ID,
                   AWS_SECRET_ACCESS_KEY=SECRET).returncode == 0
    wrong = leeward("status", "--endpoint", "127.0.0.1", **key)
    assert wrong.returncode == USAGE and "127.0.0.1" in wrong.stderr
    nobody = leeward("status", "--endpoint", "http://127.0.0.1:1", **key)
    assert nobody.returncode == UNREACHABLE and "127.0.0.1:1" in nobody.stderr
    unknown = leeward("status", "--endpoint", shared.endpoint, LEEWARD_ACCESS_KEY_ID="AKIAUNKNOWN000000000",
                      LEEWARD_SECRET_ACCESS_KEY=SECRET)
    assert unknown.returncode == FAILED and "does not know the access key" in unknown.stderr
    secret = leeward("status", "--endpoint", shared.endpoint, LEEWARD_ACCESS_KEY_ID=KEY_ID,
                     LEEWARD_SECRET_ACCESS_KEY="another secret")
    assert secret.returncode == FAILED and "the secret does not belong to the access key" in secret.stderr
    for output in (none, half, wrong, nobody, unknown, secret):
        assert output.stdout == "" and SECRET not in output.stderr and "another secret" not in output.stderr


def test_the_types_and_roles_of_the_command_line_are_those_of_the_api(shared):
    """Each word of the model is sent, and a word that the command line lists is one of the model's."""
    shapes = json.loads((ROOT / "src/aws/overlay/leeward/service-2.json").read_text())["shapes"]
    for name, words in (("RecordType", ["dig", "www.example.com"]), ("Role", ["key", "create", "--role"])):
        said = leeward(*words, "nonsense").stderr
        assert re.search(r"it is one of (.*)", said).group(1).split(", ") == shapes[name]["enum"]
        for word in shapes[name]["enum"]:
            assert shared.leeward(*words, word).returncode == 0


def test_what_the_api_refuses_is_told(shared):
    for words, pattern in (
            (["dig", "a..b", "A"], r"^leeward: a\.\.b is no domain name$"),
            (["check", "reset", "nothing"], r"there is no health check nothing \(`leeward status` lists them\)")):
        refusal = shared.leeward(*words, check=False)
        assert (refusal.returncode, refusal.stdout) == (FAILED, "")
        assert re.search(pattern, refusal.stderr, re.MULTILINE), refusal.stderr


def test_another_server_is_not_mistaken_for_leewardd(sandbox):
    web = sandbox.nginx("us-east-1")
    other = leeward("status", "--endpoint", f"http://{web.address}:{web.http_port}", AWS_ACCESS_KEY_ID=KEY_ID,
                    AWS_SECRET_ACCESS_KEY=SECRET)
    assert other.returncode == FAILED and "is it leewardd?" in other.stderr


def test_help_and_version_need_no_daemon():
    everything = leeward("help")
    assert everything.returncode == 0
    for word in ("status", "dig NAME TYPE", "key create", "key list", "key delete", "check reset", "LEEWARD_ENDPOINT"):
        assert word in everything.stdout
    for words in (["help", "key"], ["key", "--help"], ["key", "create", "-h"]):
        page = leeward(*words)
        assert page.returncode == 0 and "usage: leeward key create" in page.stdout
    assert re.fullmatch(r"leeward \d+\.\d+\.\d+\n", leeward("--version").stdout)
    assert re.fullmatch(r"leewardd \d+\.\d+\.\d+\n", run("leewardd", "--version").stdout)
    assert "--log-level LEVEL" in run("leewardd", "--help").stdout
    with open("/dev/full", "wb") as full:
        failed = subprocess.run([BUILD / "leeward", "help"], stdout=full, stderr=subprocess.PIPE, text=True,
                                env=clean_environment())
    assert failed.returncode == FAILED and "cannot write the output" in failed.stderr


# ---- leewardd: starting, reloading, stopping ----


@pytest.mark.sanitized
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(sandbox, number):
    daemon = sandbox.daemon().start()
    daemon.create_zone("example.com")
    os.kill(daemon.pid, number)
    wait_for(lambda: not daemon.running(), 10, "it ended")
    assert daemon.end() == 0
    log = daemon.log.read_text()
    assert f"event=daemon.stopping signal={int(number)}" in log
    complaints = [line for line in log.splitlines() if "level=error" in line or "level=warn" in line]
    assert all("event=daemon.stays_root" in line for line in complaints)  # where there is no user leeward
    daemon.start()
    assert len(daemon.client("route53").list_hosted_zones()["HostedZones"]) == 1


@pytest.mark.sanitized
def test_the_log_level_is_reloaded(sandbox):
    sandbox.folder.joinpath("leeward.yaml").write_text("log-level: info\n")
    daemon = sandbox.daemon("--config", sandbox.folder / "leeward.yaml").start()
    api = daemon.client("route53")

    def lines(word):
        return [line for line in daemon.log.read_text().splitlines() if word in line]

    api.get_hosted_zone_count()
    assert lines("operation=GetHostedZoneCount") == []
    (sandbox.folder / "leeward.yaml").write_text("log-level: debug\napi:\n  threads: 5\n")
    daemon.reload()
    (line,) = wait_for(lambda: lines("event=config.reloaded"), 5, "reloaded")
    assert "log_level=debug" in line and "needs_restart=api.threads" in line
    api.get_hosted_zone_count()
    wait_for(lambda: len(lines("operation=GetHostedZoneCount")) == 1, 5, "reads are logged now")
    (sandbox.folder / "leeward.yaml").write_text("log-level: loud\n")
    daemon.reload()
    (line,) = wait_for(lambda: lines("event=config.rejected"), 5, "refused")
    assert "leeward.yaml: line 1: log-level: 'loud' is none of debug, info, warn, error" in line
    api.get_hosted_zone_count()
    wait_for(lambda: len(lines("operation=GetHostedZoneCount")) == 2, 5, "the old level stays")
    assert lines("level=error") == lines("event=config.rejected")


def refused(*options, prefix=(), **environment):
    """leewardd does not start with these; its exit code and what it says."""
    key = {"LEEWARD_ACCESS_KEY_ID": KEY_ID, "LEEWARD_SECRET_ACCESS_KEY": SECRET}
    ended = run("leewardd", *options, prefix=prefix, **{**key, **environment})
    assert "ready" not in ended.stdout
    return ended.returncode, ended.stderr


def listening(*options):
    return [*options, *([] if "--api" in options else ["--api", "127.0.0.1:0"]),
            *([] if "--dns" in options else ["--dns", "127.0.0.1:0"])]


@pytest.mark.sanitized
def test_what_another_daemon_has_is_not_taken(sandbox, daemon):
    taken = "%s:%d" % daemon.dns
    code, said = refused(*listening("--data", daemon.data))
    assert code == FAILED
    assert f"another leewardd uses this data directory ({daemon.data}/leeward.lock is locked by process" in said
    code, said = refused(*listening("--data", sandbox.folder / "second", "--api", daemon.api))
    assert code == FAILED and f"cannot listen on {daemon.api}: Address already in use" in said
    code, said = refused(*listening("--data", sandbox.folder / "second", "--dns", taken))
    assert code == FAILED and f"listening on {taken} (UDP): Address already in use" in said
    assert daemon.create_zone("example.com")  # the first is none the worse
    daemon.kill()
    daemon.restart()  # a lock does not outlive its process


def test_a_data_directory_that_cannot_be_used_is_named(sandbox):
    closed = sandbox.folder / "closed"
    closed.mkdir(mode=0o500)
    # Root may write everywhere: without that right it is as everybody else.
    prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    assert shutil.which("setpriv")
    code, said = refused(*listening("--data", closed), prefix=prefix)
    assert code == FAILED and str(closed) in said and "Permission denied" in said
    code, said = refused(*listening("--data", closed / "inside"), prefix=prefix)
    assert code == FAILED and f"data directory {closed}/inside (choose one with --data): Permission denied" in said
    code, said = refused(*listening("--data", sandbox.folder / "no" / "such"))
    assert code == FAILED and f"data directory {sandbox.folder}/no/such" in said and "No such file or directory" in said
    (sandbox.folder / "file").write_text("")
    code, said = refused(*listening("--data", sandbox.folder / "file"))
    assert code == FAILED and f"{sandbox.folder}/file" in said and "Not a directory" in said


@pytest.mark.parametrize("text, line, reason", [
    ("api:\n  threads: many\n", 2, "api.threads: 'many' is not a number from 1 to 64"),
    ("api:\n  adress: 127.0.0.1:1\n", 2, "unknown option 'api.adress' (leewardd --help lists them)"),
    ("# a comment\ndata: [\n", 3, "not well-formed YAML: flow sequence without a closing bracket"),
    ("api:\n\tthreads: 1\n", 2, "not well-formed YAML: tab character may not be used as indentation"),
    ("api:\n  threads: 1\n  threads: 2\n", 3, "not well-formed YAML: duplicate key"),
    ("data: x\nlog-level: loud\n", 2, "log-level: 'loud' is none of debug, info, warn, error"),
    ("regions:\n  - Europe\n", 1, "regions: 'Europe' is not a region name (a-z, 0-9 and '-', at most 64)"),
    ("dns:\n  addresses: [nonsense]\n", 2, "dns.addresses: 'nonsense' is not ADDR:PORT, such as 127.0.0.1:53 or [::1]:53"),
    ("api:\n  address: 0.0.0.0:0\n", 2, "api.address 0.0.0.0:0 is not loopback and there is no TLS: set api.certificate and "
                                        "api.key, or api.plaintext: yes"),
])
def test_a_bad_config_file_is_refused_with_its_line(tmp_path, text, line, reason):
    path = tmp_path / "leeward.yaml"
    path.write_text(text)
    assert refused("--config", path, "--data", tmp_path / "data") == (
        USAGE, f"leewardd: config file {path}: line {line}: {reason}\n")
    assert not (tmp_path / "data").exists()


def test_a_second_document_in_the_config_file_is_refused(tmp_path):
    path = tmp_path / "leeward.yaml"
    path.write_text("log-level: debug\n---\nlog-level: error\n")
    assert refused("--config", path, "--data", tmp_path / "data") == (
        USAGE, f"leewardd: config file {path}: a second YAML document begins behind '---': there can be one only\n")


@pytest.mark.parametrize("options, reason", [
    (["--config", "/nonexistent/leeward.yaml"], "config file /nonexistent/leeward.yaml: No such file or directory"),
    (["--frobnicate", "1"], "unknown option --frobnicate (see leewardd --help)"), (["--api"], "--api needs a value"),
    (["--api", "nonsense"], "api.address: 'nonsense' is not ADDR:PORT, such as 127.0.0.1:53 or [::1]:53"),
    (["--store", "etcd://127.0.0.1:1"], "store: 'etcd://127.0.0.1:1' is none of sqlite, etcd"),
    (["serve"], "unexpected argument 'serve' (see leewardd --help)"),
])
def test_a_wrong_flag_is_refused_by_name(options, reason):
    assert refused(*options) == (USAGE, f"leewardd: {reason}\n")


def test_flags_override_the_file(sandbox):
    path = sandbox.folder / "leeward.yaml"
    path.write_text("account: '210987654321'\ndata: /nonexistent/data\nlog-level: loud\n")
    daemon = sandbox.daemon("--config", path, "--log-level", "info").start()
    assert daemon.client("sts").get_caller_identity()["Account"] == "210987654321"
