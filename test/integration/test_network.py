"""The cuts of the fault tests are real: what is cut is silent, what is not goes on, and nothing is left behind."""

import os
import socket
import subprocess

import pytest

import network
from process import Process, wait_for

LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], 7000))
print("up", flush=True)
while True:
    connection = server.accept()[0]
    data = connection.recv(10)
    while data:
        connection.sendall(data)
        data = connection.recv(10)
"""
ASK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 7000), timeout=float(sys.argv[2])) as asking:
        asking.sendall(b"x")
        print(asking.recv(1).decode())
except TimeoutError:
    print("silence")
"""


@pytest.fixture
def three(tmp_path):
    if network.missing():
        pytest.skip(network.missing())
    made = network.Network(3, tmp_path)
    listeners = []
    for site in made.sites:
        listener = Process("listener", [*site.prefix, "/usr/bin/python3", "-c", LISTEN, site.address], tmp_path / site.name / "l")
        (tmp_path / site.name / "l").mkdir()
        listener.spawn()
        wait_for(lambda one=listener: "up" in one.output.read_text(), 5, "the listener is up")
        listeners.append(listener)
    yield made
    for listener in listeners:
        listener.wanted_dead = True
        listener.end()
    made.end()


def hears(made, source, target, seconds=60):
    run = subprocess.run([*made.sites[source].prefix, "/usr/bin/python3", "-c", ASK, made.sites[target].address, str(seconds)],
                         capture_output=True, text=True, check=True)
    return run.stdout.strip() == "x"


def test_a_cut_silences_two_sites_and_no_others(three):
    assert all(hears(three, one, other) for one in range(3) for other in range(3))
    three.cut(0, 1)
    assert not hears(three, 0, 1, 0.5) and not hears(three, 1, 0, 0.5)
    assert hears(three, 0, 2) and hears(three, 2, 1)
    three.heal()
    assert hears(three, 0, 1)


def test_a_connection_that_exists_is_cut_as_well_and_goes_on_after(three):
    def ask():
        with socket.create_connection((three.sites[0].address, 7000), timeout=60) as asking:
            asking.sendall(b"a")
            first = asking.recv(1)
            three.sites[0].drop(["10.77.0.254"])
            asking.settimeout(0.3)
            asking.sendall(b"b")
            with pytest.raises(TimeoutError):
                asking.recv(1)
            three.sites[0].drop([])
            asking.settimeout(60)
            return first + asking.recv(1)
    assert three.inside(ask) == b"ab"


def test_an_isolated_site_is_reached_from_the_hub_alone(three):
    three.isolate(2)
    assert not hears(three, 0, 2, 0.5) and not hears(three, 2, 0, 0.5) and hears(three, 0, 1)
    assert three.inside(lambda: socket.create_connection((three.sites[2].address, 7000), timeout=60).close()) is None


def test_a_dark_site_is_heard_by_nobody_and_comes_back(three):
    def hub_hears(target, seconds=60):
        def ask():
            try:
                with socket.create_connection((three.sites[target].address, 7000), timeout=seconds) as asking:
                    asking.sendall(b"x")
                    return asking.recv(1) == b"x"
            except TimeoutError:
                return False
        return three.inside(ask)
    three.darken(1)
    assert not hub_hears(1, 0.5) and hub_hears(0)
    assert not hears(three, 0, 1, 0.5) and not hears(three, 1, 0, 0.5) and hears(three, 0, 2) and hears(three, 1, 1)
    three.lighten(1)
    assert hub_hears(1) and hears(three, 0, 1) and hears(three, 1, 0)


def test_the_test_itself_stays_in_its_own_network(three):
    before = os.readlink("/proc/thread-self/ns/net")
    assert three.inside(lambda: os.readlink("/proc/thread-self/ns/net")) != before
    assert os.readlink("/proc/thread-self/ns/net") == before
