"""Names of databases in a hosted zone, and pages for load balancers: with real servers, before and after a switchover."""

import json
import urllib.error
import urllib.request

import postgres
import pytest
from databases import GLOBAL, Databases
from process import free_port, wait_for

pytestmark = [pytest.mark.waiting, pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))]

ZONE = "db.example.com"


def page(address, port, path):
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_names_and_pages_follow_the_writer(sandbox):
    check = free_port("127.0.0.1")
    world = Databases(sandbox, store="sqlite", options=("--database-zone", ZONE, "--database-check", f"0.0.0.0:{check}")).start()
    [daemon] = world.daemons
    daemon.client("route53").create_hosted_zone(Name=ZONE, CallerReference="zone")
    world.create()
    address = {name: world.regions[name].addresses[0] for name in world.regions}

    def name(text):
        return daemon.dig(f"{text}.{ZONE}").data

    def expect(writer, reader):
        wait_for(lambda: name(f"{GLOBAL}.global") == [address[writer]], 10, "the global name follows")
        wait_for(lambda: page(address[writer], check, "/writer")[0] == 200, 10, "the page of the writer says so")
        wait_for(lambda: page(address[reader], check, "/reader")[0] == 200, 20, "the page of the reader says so")
        wait_for(lambda: name(f"{reader}.cluster-ro.{reader}") == [address[reader]], 10, "the reader has its name")
        assert name(f"{writer}.cluster.{writer}") == [address[writer]]
        assert name(f"{writer}.cluster-ro.{writer}") == [address[writer]], "no reader there: the writer"
        assert name(f"{reader}.cluster.{reader}") == []
        assert page(address[reader], check, "/writer")[0] == 503
        assert page(address[writer], check, "/reader")[0] == 503
        assert page("127.0.0.1", check, f"/{writer}-1/writer")[0] == 200
        status, body = page(address[reader], check, "/health")
        assert status == 200 and json.loads(body)["condition"] == "STREAMING", body

    expect("east", "west")
    world.switchover("west")
    world.wait_writer("west")
    world.wait_streaming("east")
    expect("west", "east")
    assert page("127.0.0.1", check, "/nobody/writer")[0] == 404
