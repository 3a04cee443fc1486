"""The metrics page: what is counted, its form, and that docs/metrics.md names all of it."""

import json
import re
import subprocess
import urllib.error
import urllib.request

import pytest

from leeward import record
from process import BUILD, ROOT, clean_environment, wait_for

NAME = "www.example.com"
SAMPLE = re.compile(r'^([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\.)*"(?:,[a-z]+="(?:[^"\\]|\\.)*")*\})? ([0-9.e+-]+)$')


@pytest.fixture
def served(sandbox):
    daemon = sandbox.daemon("--metrics", "127.0.0.1:0").start()
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record(NAME, "A", "192.0.2.1"))
    daemon.wait_for_answer(NAME, "A", ["192.0.2.1"])
    return daemon


def address(daemon):
    return next(line.split()[1] for line in daemon.output.read_text().splitlines() if line.startswith("metrics "))


def page(daemon):
    with urllib.request.urlopen(f"http://{address(daemon)}/metrics", timeout=120) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


def samples(daemon):
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in page(daemon).splitlines()
            if not line.startswith("#")}


def test_the_page_is_well_formed_and_documented(served):
    described, typed, used = set(), {}, set()
    for line in page(served).splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in described and len(line.split()) > 3
            described.add(name)
        elif line.startswith("# TYPE "):
            typed[line.split()[2]] = line.split()[3]
        else:
            match = SAMPLE.match(line)
            assert match, line
            name = match.group(1)
            base = re.sub("_(bucket|sum|count)$", "", name)
            name = base if typed.get(base) == "histogram" else name
            assert name in typed and name in described, line
            assert (typed[name] == "counter") == name.endswith("_total"), line
            used.add(name)
    assert used == described == set(typed)
    documented = set(re.findall(r"^\| `(leeward_[a-z_]+)", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert documented == used


def test_questions_are_counted_by_all_that_they_are(served):
    other = served.create_zone("example.net")
    wait_for(lambda: served.dig("example.net", "SOA").rcode == "NOERROR")
    before = samples(served)
    for options in ([], ["+edns"], ["+dnssec"], ["+tcp"], ["+cookie"]):
        assert served.dig(NAME, "A", *options).data == ["192.0.2.1"]
    served.dig("absent.example.com", "AAAA")
    served.dig("example.org", "MX")
    served.dig("example.net", "TYPE4711")
    after = samples(served)

    def more(name):
        return after[name] - before[name]
    assert more('leeward_dns_queries_total{transport="udp"}') == 7
    assert more('leeward_dns_queries_total{transport="tcp"}') == 1
    assert more('leeward_dns_responses_total') == 8
    assert more('leeward_dns_queries_by_type_total{type="A"}') == 5
    assert more('leeward_dns_queries_by_type_total{type="AAAA"}') == 1
    assert more('leeward_dns_queries_by_type_total{type="other"}') == 1
    assert more('leeward_dns_responses_by_rcode_total{rcode="NOERROR"}') == 6
    assert more('leeward_dns_responses_by_rcode_total{rcode="NXDOMAIN"}') == 1
    assert more('leeward_dns_responses_by_rcode_total{rcode="REFUSED"}') == 1
    assert more('leeward_dns_queries_by_opcode_total{opcode="QUERY"}') == 8
    assert more('leeward_dns_queries_by_edns_total{edns="edns-do"}') == 1
    assert more('leeward_dns_queries_by_cookie_total{cookie="client"}') == 1
    assert more('leeward_dns_answer_seconds_count') == 8
    assert more('leeward_dns_answer_seconds_bucket{le="+Inf"}') == 8
    assert after['leeward_dns_answer_seconds_sum'] > before['leeward_dns_answer_seconds_sum']
    zones = {name: value for name, value in after.items() if name.startswith("leeward_dns_zone_queries_total")}
    assert next(v - before[n] for n, v in zones.items() if 'zone="example.com."' in n) == 6
    assert next(v - before[n] for n, v in zones.items() if f'id="{other}"' in n) == 1
    counters = {c["Name"]: c["Value"] for c in json.loads(served.leeward("status", "--json").stdout)["Node"]["DnsCounters"]}
    assert counters["queries_by_type.AAAA"] == after['leeward_dns_queries_by_type_total{type="AAAA"}']


def test_a_zone_that_goes_takes_its_counter_along(served):
    for round in range(3):
        zone = served.create_zone("example.net")
        wait_for(lambda: served.dig("example.net", "SOA").rcode == "NOERROR")
        served.dig("example.net", "SOA")
        mine = [value for name, value in samples(served).items() if f'id="{zone}"' in name]
        assert len(mine) == 1 and mine[0] >= 2
        served.client("route53").delete_hosted_zone(Id=zone)
        wait_for(lambda: not any(f'id="{zone}"' in name for name in samples(served)))
        wait_for(lambda: served.dig("example.net", "SOA").rcode == "REFUSED")


def test_only_the_page_itself_is_served(served):
    for method, path, status in (("GET", "/", 404), ("POST", "/metrics", 405), ("GET", "/metrics/x", 404)):
        request = urllib.request.Request(f"http://{address(served)}{path}", method=method, data=b"x" if method == "POST" else None)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=120)
        assert refused.value.code == status


def test_metrics_stay_on_loopback_unless_said_otherwise(tmp_path):

    run = subprocess.run([BUILD / "leewardd", "--data", tmp_path, "--metrics", "0.0.0.0:0"], capture_output=True, text=True,
                         timeout=60, env=clean_environment())
    assert run.returncode == 2 and "metrics.public" in run.stderr
