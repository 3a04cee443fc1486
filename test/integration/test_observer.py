"""The observer of the fault tests sees what it is there for: an answer that changes without a reason, or that never comes."""

import socket
import threading
import time

import dns.message
import dns.rrset
import pytest

import observer
from process import wait_for

NAME = "www.example"
ONE, TWO = "192.0.2.1", "192.0.2.2"


class Server(threading.Thread):
    """Answers every question with its address, while it has one."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = ONE
        self.start()

    def run(self):
        while True:
            packet, client = self.socket.recvfrom(4096)
            address = self.address  # may change meanwhile
            if address is not None:
                response = dns.message.make_response(dns.message.from_wire(packet))
                response.answer.append(dns.rrset.from_text(NAME + ".", 1, "IN", "A", address))
                self.socket.sendto(response.to_wire(), client)


@pytest.fixture
def servers():
    return [Server(), Server()]


@pytest.fixture
def watching(servers):
    made = observer.Observer(period=0.01)
    made.begin({number: server.socket.getsockname() for number, server in enumerate(servers)}, {NAME: ONE})
    yield made
    made.end()


def shows(watching, site, answer):
    return wait_for(lambda: watching.now[site, NAME] == answer, 5, f"site {site} answers {answer}")


def test_a_change_that_nobody_expected_is_found(watching, servers):
    servers[1].address = TWO
    shows(watching, 1, TWO)
    found = watching.judge()
    assert len(found) == 1 and f"site 1 answers {TWO} for {NAME}, before {ONE}" in found[0]
    watching.check()


def test_a_change_that_was_expected_is_found_at_other_sites_with_other_answers_and_when_it_comes_again(watching, servers):
    reason = watching.allow(NAME, TWO, "a test", {0})
    for server in servers:
        server.address = TWO
    shows(watching, 0, TWO)
    shows(watching, 1, TWO)
    assert [sentence.split("s: ")[1][:6] for sentence in watching.judge()] == ["site 1"]
    for address in (ONE, TWO):
        servers[0].address = address
        shows(watching, 0, address)
    assert len(watching.judge()) == 2  # back, and there again: the reason was used
    reason.end()


def test_a_reason_that_has_ended_explains_nothing(watching, servers):
    with watching.expecting({NAME: TWO}, "a test", {0}):
        servers[0].address = TWO
    watching.check()
    with watching.expecting({NAME: ONE}, "a test", {0}):
        servers[0].address = ONE
    servers[0].address = TWO
    shows(watching, 0, TWO)
    assert len(watching.judge()) == 1


def test_a_question_without_an_answer_is_found_unless_the_site_was_dark(watching, servers):
    servers[0].address = None
    watching.dark(1)
    servers[1].address = None
    wait_for(lambda: watching.lost, 20, "a question is given up")
    found = watching.judge()
    assert found and all("site 0 did not answer" in sentence for sentence in found)
