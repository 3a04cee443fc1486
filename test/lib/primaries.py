"""Primaries that the daemon transfers zones from: real Knot and NSD, and one that answers whatever a test wants."""

import socket
import struct
import subprocess
import threading

import dns.message
import dns.rdatatype
import dns.rrset

from peers import Knot, Nsd
from process import clean_environment

KNOTC = "/usr/sbin/knotc"


def zone_text(zone, serial, *lines, refresh=3600, retry=3600, expire=86400):
    """A master file: SOA, NS, and lines that are relative to the zone."""
    return "\n".join([f"$ORIGIN {zone}.", "$TTL 300",
                      f"@ IN SOA ns1 hostmaster {serial} {refresh} {retry} {expire} 60",
                      "@ IN NS ns1", "ns1 IN A 192.0.2.53", *lines]) + "\n"


class KnotPrimary(Knot):
    """Keeps a journal made of differences between zone files, so it answers IXFR; sends NOTIFY to `told`.

    address@port of told may be set before start; key: {"name", "algorithm", "secret"} signs both ways.
    """

    def __init__(self, folder, address, zones, told=None, key=None):
        self.told = told
        super().__init__(folder, address, zones, key)

    @property
    def sections(self):
        remote = (f"remote:\n  - id: told\n    address: {self.told[0]}@{self.told[1]}\n    via: {self.address}\n"
                  f"{self.signed}") if self.told else ""
        return f"""\
control:
    listen: {self.folder}/knot.sock
{remote}acl:
  - id: transfers
    address: 127.0.0.0/8
{self.signed}    action: transfer
"""

    @property
    def template(self):
        notify = "    notify: told\n" if self.told else ""
        return f"    zonefile-load: difference\n    journal-content: changes\n    acl: transfers\n{notify}"

    def put(self, apex, text):
        """The zone file changes, and Knot takes it."""
        self.zones[apex] = text
        (self.folder / f"{apex}.zone").write_text(text)
        run = subprocess.run([KNOTC, "-s", self.folder / "knot.sock", "-b", "zone-reload", apex], capture_output=True,
                             text=True, env=clean_environment(), timeout=60, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


class NsdPrimary(Nsd):
    """Answers AXFR; with another zone file it is started again."""

    @property
    def zone_lines(self):
        return f"    provide-xfr: 127.0.0.0/8 {self.key_name}\n"

    def put(self, apex, text):
        self.stop()
        self.zones[apex] = text
        self.start()


def soa(zone, serial, refresh=3600, retry=3600, expire=86400, primary="ns1"):
    return f"{zone}. 300 IN SOA {primary}.{zone}. h.{zone}. {serial} {refresh} {retry} {expire} 60"


def ns(zone):
    return f"{zone}. 300 IN NS ns1.{zone}."


class FakePrimary:
    """A TCP server whose answers a test makes: handler(query) yields messages, each a list of records (text), bytes as
    they are, or a number of seconds to wait. When it ends, the connection is closed; `queries` is what came. Signed
    queries need a keyring."""

    def __init__(self, address, handler, keyring=None):
        self.handler = handler
        self.keyring = keyring
        self.queries = []
        self.socket = socket.create_server((address, 0))
        self.address, self.port = self.socket.getsockname()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()

    def serve(self):
        while not self.over.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection:
            try:
                wire = connection.recv(65535)
                size = struct.unpack("!H", wire[:2])[0]
                while len(wire) < size + 2:
                    wire += connection.recv(65535)
                query = dns.message.from_wire(wire[2:], keyring=self.keyring)
                self.queries.append(query)
                for part in self.handler(query):
                    if self.over.is_set():
                        return
                    if isinstance(part, (int, float)):
                        self.over.wait(part)
                        continue
                    message = part if isinstance(part, bytes) else reply(query, part)
                    connection.sendall(message)
            except OSError:
                pass  # the daemon has gone

    @property
    def kinds(self):
        """Of the questions so far."""
        return [dns.rdatatype.to_text(query.question[0].rdtype) for query in self.queries]


def reply(query, records, rcode=0, framed=True):
    """One message of a response, with its length in front."""
    message = dns.message.make_response(query)
    message.flags |= 0x0400
    message.tsig = None  # which a signed query gives it
    message.set_rcode(rcode)
    for text in records:
        name, ttl, kind, rest = text.split(None, 3)
        kind, rest = rest.split(None, 1)
        message.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, rest))
    wire = message.to_wire(max_size=65535)
    return struct.pack("!H", len(wire)) + wire if framed else wire
