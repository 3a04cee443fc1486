"""`leeward zone import`: zone files into hosted zones, compared with what BIND's own checker makes of the same file."""

import json
import re
import subprocess

import pytest

from leeward import aws_environment, dig
from peers import Knot
from process import BUILD

FILE = """\
$TTL 300
@       IN SOA  ns1 hostmaster ( 7 7200 900 1209600 60 )
        IN NS   ns1
        IN NS   ns2.example.net.
        IN MX   10 mail
@       IN TXT  "v=spf1 -all" "second; part" \\195\\164
ns1     IN A    192.0.2.53
www 60  IN A    192.0.2.1
www 60  IN A    192.0.2.2
        IN AAAA 2001:db8::1
*.wild  IN CNAME www
odd\\046label IN A 192.0.2.7
_sip._tcp IN SRV 1 2 5060 sip
$ORIGIN deep.example.com.
host    IN A    192.0.2.9
sub     IN NS   ns.sub
ns.sub  IN A    192.0.2.10
sub     IN DS   12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        IN CAA  0 issue "ca.example"
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="zone"):
        path = tmp_path / name
        path.write_text(text)
        return path
    return write


def records(daemon, zone):
    """{(name, type): (ttl, values)} of the hosted zone, through Route 53's API."""
    pages = daemon.client("route53").get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
    return {(one["Name"], one["Type"]): (one["TTL"], sorted(r["Value"] for r in one["ResourceRecords"]))
            for page in pages for one in page["ResourceRecordSets"]}


def zone_id(daemon, name):
    zones = daemon.client("route53").list_hosted_zones_by_name(DNSName=name)["HostedZones"]
    return [zone["Id"].rpartition("/")[2] for zone in zones if zone["Name"] == name]


def test_a_file_becomes_a_zone_that_answers(daemon, write):
    run = daemon.leeward("zone", "import", write(FILE), "Example.COM")
    (zone,) = zone_id(daemon, "example.com.")
    assert re.match(rf"Put 13 record sets \(14 records\) into example.com. \({zone}\), made for it\.", run.stdout)
    assert "keeps its own SOA and NS" in run.stdout
    held = records(daemon, zone)
    assert held["www.example.com.", "A"] == (60, ["192.0.2.1", "192.0.2.2"])
    assert held["odd\\056label.example.com.", "A"] == (300, ["192.0.2.7"])
    assert len(held["example.com.", "NS"][1]) == 4  # the zone's own
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1", "192.0.2.2"])
    assert daemon.dig("x.wild.example.com", "A").answer[0].data == "www.example.com."
    assert daemon.dig("example.com", "TXT").data == ['"v=spf1 -all" "second; part" "\\195\\164"']
    assert daemon.dig("sub.deep.example.com", "NS").authority[0].data == "ns.sub.deep.example.com."
    # Again: the same state.
    again = daemon.leeward("zone", "import", write(FILE), zone, "--json")
    assert json.loads(again.stdout)["Created"] is False and records(daemon, zone) == held


def test_answers_are_those_of_a_server_that_reads_the_file(daemon, sandbox, write):
    """Knot serves the same file: every name of it is answered alike."""
    path = write(FILE)
    daemon.leeward("zone", "import", path, "example.com")
    knot = Knot(sandbox.folder / "knot", sandbox.address(), {"example.com": path.read_text()})
    sandbox.add(knot).start()
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1", "192.0.2.2"])
    for name, kind in [("www", "A"), ("www", "AAAA"), ("a.b.wild", "A"), ("odd\\.label", "A"), ("_sip._tcp", "SRV"),
                       ("host.deep", "A"), ("sub.deep", "DS"), ("sub.deep", "CAA"), ("none", "A"), ("deep", "A")]:
        ours, theirs = (dig(server, f"{name}.example.com", kind) for server in (daemon.dns, knot.server))
        assert (ours.rcode, ours.data) == (theirs.rcode, theirs.data), name


def test_a_dry_run_writes_nothing(daemon, write):
    run = daemon.leeward("zone", "import", write(FILE), "example.com", "--dry-run")
    assert "Would put 13 record sets (14 records) into example.com., which would be made." in run.stdout
    assert zone_id(daemon, "example.com.") == []


@pytest.mark.parametrize("text, reason", [
    ("www 60 IN A 192.0.2.300\n", "line 1: "),
    ("a 60 IN A 192.0.2.1\nwww.example.net. 60 IN A 192.0.2.1\n", "line 2: the record's name isn't in the zone"),
    ("$INCLUDE other\n", "line 1: $INCLUDE isn't followed"),
    ("a 60 IN HINFO x y\n", "1 record of type HINFO, first in line 1"),
    ("( unclosed\n", "line 1: "),
])
def test_a_bad_file_changes_nothing(daemon, write, text, reason):
    run = daemon.leeward("zone", "import", write(text), "example.com", check=False)
    assert run.returncode == 2 and reason in run.stderr and "nothing was written" in run.stderr
    assert zone_id(daemon, "example.com.") == []


def test_unsupported_types_may_be_left_out(daemon, write):
    run = daemon.leeward("zone", "import", write("a 60 IN HINFO x y\nb 60 IN A 192.0.2.1\n"), "example.com",
                         "--skip-unsupported")
    assert "Left out: 1 of type HINFO, first in line 1." in run.stdout
    daemon.wait_for_answer("b.example.com", "A", ["192.0.2.1"])


def test_a_refusal_names_the_record_and_keeps_what_was_before(daemon, write):
    """A CNAME beside other records: only Route 53's rules over the whole zone can tell."""
    daemon.create_zone("example.com")
    lines = [f"h{i} 60 IN A 192.0.2.1\n" for i in range(600)] + ["z 60 IN CNAME a\n", "z 60 IN A 192.0.2.1\n"]
    run = daemon.leeward("zone", "import", write("".join(lines)), "example.com", check=False)
    assert run.returncode == 1 and "Importing again is safe" in run.stderr and "CNAME" in run.stderr


def test_a_missing_file_zone_or_key_is_said(daemon, write, tmp_path):
    assert "cannot open" in daemon.leeward("zone", "import", tmp_path / "none", "example.com", check=False).stderr
    run = daemon.leeward("zone", "import", write(FILE), "Z0000000000000000000", check=False)
    assert run.returncode == 1 and "No hosted zone found with ID: Z0000000000000000000" in run.stderr
    run = daemon.leeward("zone", "import", write(FILE), "a..b", check=False)
    assert run.returncode == 2 and "neither a domain name nor the id" in run.stderr
    run = daemon.leeward("zone", "import", write(FILE), "example.com", key=("AKIANOBODYNOBODYNOBO", "x" * 40), check=False)
    assert run.returncode == 1 and "does not know the access key" in run.stderr


def test_of_two_zones_with_one_name_the_id_is_wanted(daemon, write):
    first, _ = daemon.create_zone("example.com"), daemon.create_zone("example.com")
    run = daemon.leeward("zone", "import", write(FILE), "example.com", check=False)
    assert run.returncode == 2 and "give the id of one" in run.stderr
    assert f"({first})" in daemon.leeward("zone", "import", write(FILE), first).stdout


def test_a_large_file_goes_in_many_requests(daemon, write):
    text = "".join(f"h{i:05} 60 IN A 10.0.{i // 250}.{i % 250}\n" for i in range(5000))
    answer = json.loads(daemon.leeward("zone", "import", write(text), "example.com", "--json").stdout)
    assert (answer["RecordSets"], answer["Changes"]) == (5000, 10)
    daemon.wait_for_answer("h04999.example.com", "A", ["10.0.19.249"])


def test_standard_input_is_read(daemon):
    run = subprocess.run([BUILD / "leeward", "--endpoint", daemon.endpoint, "zone", "import", "-", "example.com"],
                         input="a 60 IN A 192.0.2.1\n", text=True, capture_output=True, timeout=60,
                         env=aws_environment(*daemon.key, "us-east-1", home=str(daemon.folder)))
    assert run.returncode == 0, run.stderr
    daemon.wait_for_answer("a.example.com", "A", ["192.0.2.1"])
