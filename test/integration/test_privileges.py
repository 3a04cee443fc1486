"""What the daemon gives up once its ports are bound: root, capabilities, system calls. Needs root to start with."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import dns.query
import dns.xfr
import dns.zone
import maxmind
import pytest

from endpoints import Site, page_check, wait_for_report
from leeward import DigError, dig, record
from process import BUILD, clean_environment, wait_for
from test_dns_tls import make_certificate

USER = "nobody"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def open_folder():
    """A folder that another user reaches: pytest's own are for root alone."""
    folder = Path(tempfile.mkdtemp(prefix="leeward-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def status(pid, thread=None):
    path = f"/proc/{pid}/status" if thread is None else f"/proc/{pid}/task/{thread}/status"
    return dict(line.split(":\t", 1) for line in Path(path).read_text().splitlines() if ":\t" in line)


def serve(daemon):
    zone = daemon.create_zone("example.com")
    daemon.change(zone, record("www.example.com", "A", "192.0.2.1"))
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])


def assert_dropped(daemon):
    entry = pwd.getpwnam(USER)
    for thread in os.listdir(f"/proc/{daemon.pid}/task"):
        said = status(daemon.pid, thread)
        assert said["Uid"].split() == [str(entry.pw_uid)] * 4, said["Name"]
        assert said["Gid"].split() == [str(entry.pw_gid)] * 4
        assert "0" not in said["Groups"].split()
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(said[kind], 16) == 0, f"{said['Name']}: {kind}"
        assert said["NoNewPrivs"].strip() == "1"
        assert said["Seccomp"].strip() == "2"


def test_root_is_given_up_by_every_thread_and_low_ports_serve_again_after_a_restart(sandbox, open_folder):
    address = sandbox.address()
    daemon = sandbox.add(type(sandbox.daemon())(open_folder / "daemon", "--user", USER, dns=(f"{address}:53",)))
    daemon.start()
    assert_dropped(daemon)
    serve(daemon)
    data = daemon.data
    assert data.stat().st_uid == pwd.getpwnam(USER).pw_uid
    assert all(path.stat().st_uid == pwd.getpwnam(USER).pw_uid for path in data.iterdir())
    daemon.restart()
    assert_dropped(daemon)
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])


def own(*paths):
    """Files that only the daemon's user reads from now on."""
    entry = pwd.getpwnam(USER)
    for path in paths:
        os.chown(path, entry.pw_uid, entry.pw_gid)
        path.chmod(0o600)


def located(daemon, subnet):
    return daemon.dig("near.example.com", "A", f"+subnet={subnet}").data


def transferred(address):
    copy = dns.zone.Zone("example.com")
    with contextlib.suppress(dns.xfr.TransferError):  # not allowed yet
        dns.query.inbound_xfr(address, copy, port=53, timeout=60)
        return copy


def test_everything_works_after_root_is_given_up(sandbox, open_folder):
    """On the ports of old: health checks with HTTPS, DNSSEC keys, transfers, TLS, HTTPS, and all that SIGHUP reads."""
    address, tls = sandbox.address(), open_folder / "tls"
    make_certificate(tls, "dns.example.com")
    secrets, places = open_folder / "secrets", open_folder / "places.mmdb"
    secrets.write_text("00112233445566778899aabbccddeeff\n")
    maxmind.write(places, {"198.51.100.0/24": maxmind.place("EU", "DE"), "203.0.113.0/24": maxmind.place("NA", "US")})
    own(secrets, places, tls / "cert.pem", tls / "key.pem")
    daemon = sandbox.add(type(sandbox.daemon())(
        open_folder / "daemon", "--user", USER, "--dns-tls", f"{address}:853", "--dns-https", f"{address}:443",
        "--dns-tls-certificate", tls / "cert.pem", "--dns-tls-key", tls / "key.pem", "--dns-cookie-secrets", secrets,
        "--dns-location-database", places, "--metrics", "127.0.0.1:0", dns=(f"{address}:53",)))
    daemon.start()
    assert_dropped(daemon)

    zone = daemon.create_zone("example.com")
    site = sandbox.add(Site(sandbox.folder / "site", sandbox.address())).start()
    site.up("alive")
    check = page_check(daemon, site, "alive", Type="HTTPS", EnableSNI=True)
    daemon.change(
        zone, record("www.example.com", "A", "192.0.2.1", SetIdentifier="1", Failover="PRIMARY", HealthCheckId=check),
        record("www.example.com", "A", "192.0.2.2", SetIdentifier="2", Failover="SECONDARY"),
        record("near.example.com", "A", "192.0.2.49", SetIdentifier="de", GeoLocation={"CountryCode": "DE"}),
        record("near.example.com", "A", "192.0.2.1", SetIdentifier="other", GeoLocation={"CountryCode": "*"}))
    wait_for_report(daemon, check, "Success")
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])
    site.down("alive")
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.2"])

    client = daemon.client("route53")  # its private key is sealed into the store
    client.create_key_signing_key(CallerReference="1", HostedZoneId=zone, Name="one", Status="ACTIVE",
                                  KeyManagementServiceArn="arn:aws:kms:us-east-1:123456789012:key/one")
    client.enable_hosted_zone_dnssec(HostedZoneId=zone)
    wait_for(lambda: "RRSIG" in daemon.dig("www.example.com", "A", "+dnssec").text)

    daemon.leeward("tsig", "create", "key.example", "--json")
    client.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone,
                                    AddTags=[{"Key": "leeward:transfer-to", "Value": "127.0.0.0/8"}])
    copy = wait_for(lambda: transferred(address))
    assert copy.get_rdataset("www", "A") and copy.get_rdataset("www", "RRSIG", "A")

    def encrypted(option, port):
        return dig((address, port), "www.example.com", "A", option, f"+tls-ca={tls / 'cert.pem'}",
                   "+tls-hostname=dns.example.com").data
    assert encrypted("+tls", 853) == encrypted("+https", 443) == ["192.0.2.2"]
    assert located(daemon, "198.51.100.0/24") == ["192.0.2.49"] and located(daemon, "203.0.113.0/24") == ["192.0.2.1"]

    # What SIGHUP reads, without root.
    maxmind.write(places, {"203.0.113.0/24": maxmind.place("EU", "DE")})
    make_certificate(tls, "dns.example.com")  # the same name, another key
    own(places, tls / "cert.pem", tls / "key.pem")
    with pytest.raises(DigError):
        encrypted("+tls", 853)
    daemon.reload()
    wait_for(lambda: "config.reloaded" in daemon.log.read_text())
    assert encrypted("+tls", 853) == encrypted("+https", 443) == ["192.0.2.2"]
    wait_for(lambda: located(daemon, "203.0.113.0/24") == ["192.0.2.49"])
    assert located(daemon, "198.51.100.0/24") == ["192.0.2.1"]
    for kept in ("dns.certificate_kept", "dns.cookies_kept", "dns.location_database_kept"):
        assert kept not in daemon.log.read_text()

    site.up("alive")
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])
    assert_dropped(daemon)
    daemon.restart()  # the store, the seal and the ports are its own still
    assert_dropped(daemon)
    daemon.wait_for_answer("www.example.com", "A", ["192.0.2.1"])
    wait_for(lambda: "RRSIG" in daemon.dig("www.example.com", "A", "+dnssec").text)
    assert encrypted("+https", 443) == ["192.0.2.1"]


def may_raise_priority():
    code = "import resource; resource.setrlimit(13, (30, 30))"  # RLIMIT_NICE
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.skipif(not may_raise_priority(), reason="this machine's root may not raise priorities")
def test_the_health_loop_still_gets_its_priority(sandbox, open_folder):
    daemon = sandbox.add(type(sandbox.daemon())(open_folder / "daemon", "--user", USER)).start()
    threads = os.listdir(f"/proc/{daemon.pid}/task")
    assert min(os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in threads) < 0


def test_a_reload_works_and_says_what_it_may_not_read(sandbox, open_folder):
    secrets = open_folder / "secrets"
    secrets.write_text("00112233445566778899aabbccddeeff\n")
    secrets.chmod(0o600)
    daemon = sandbox.add(type(sandbox.daemon())(open_folder / "daemon", "--user", USER, "--dns-cookie-secrets", secrets))
    daemon.start()  # read before root is given up
    serve(daemon)
    daemon.reload()
    wait_for(lambda: "not readable for the user" in daemon.log.read_text())
    assert "dns.cookies_kept" in daemon.log.read_text()
    secrets.chmod(0o644)
    before = daemon.log.read_text().count("config.reloaded")
    kept = daemon.log.read_text().count("dns.cookies_kept")
    daemon.reload()
    wait_for(lambda: daemon.log.read_text().count("config.reloaded") > before)
    assert daemon.log.read_text().count("dns.cookies_kept") == kept


def run(*options):
    return subprocess.run([BUILD / "leewardd", "--api", "127.0.0.1:0", "--dns", "127.0.0.1:0", *options], capture_output=True,
                          text=True, timeout=60, env=clean_environment())


def test_a_data_directory_of_somebody_else_is_an_error_with_a_remedy(open_folder):
    (open_folder / "data").mkdir(mode=0o700)
    failed = run("--data", open_folder / "data", "--user", USER)
    assert failed.returncode != 0
    assert f"chown -R {USER}:" in failed.stderr


def test_a_user_that_is_not_there_is_an_error(open_folder):
    failed = run("--data", open_folder / "data", "--user", "no-such-user")
    assert failed.returncode != 0 and "no-such-user" in failed.stderr


def test_the_sandbox_can_be_turned_off(sandbox, open_folder):
    daemon = sandbox.add(type(sandbox.daemon())(open_folder / "daemon", "--user", USER, "--sandbox", "no"))
    daemon.start()
    said = status(daemon.pid)
    assert said["Seccomp"].strip() == "0" and int(said["CapEff"], 16) == 0
    serve(daemon)
