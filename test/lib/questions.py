"""DNS questions asked many at a time, or byte by byte: dnspython for what kdig cannot say, or says too slowly.

A server is (address, port). An answer that does not come within the deadline is a dns.exception.Timeout; only `ask` over
UDP asks again, because the kernel may drop a packet of a flood that a test sends beside it.
"""

import collections
import math
import socket
import struct
import time

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from process import PATIENCE


def question(name, kind="A", edns=True, payload=1232, recurse=False, **more):
    """A query as dnspython holds it; names keep their case."""
    query = dns.message.make_query(name, kind, use_edns=0 if edns else False, payload=payload if edns else None, **more)
    if not recurse:
        query.flags &= ~dns.flags.RD
    return query


def ask(server, name, kind="A", tcp=False, query=None, seconds=2, tries=3, **more):
    """The parsed answer to one question. Over TCP once; over UDP up to `tries` times."""
    query = query or question(name, kind, **more)
    if tcp:
        return dns.query.tcp(query, server[0], port=server[1], timeout=seconds * PATIENCE)
    for left in range(tries, 0, -1):
        try:
            return dns.query.udp(query, server[0], port=server[1], timeout=seconds * PATIENCE, ignore_unexpected=True)
        except dns.exception.Timeout:
            if left == 1:
                raise
    return None


def data(answer, kind="A"):
    """The values of that type in the answer section, sorted."""
    return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset
                  if rrset.rdtype == dns.rdatatype.from_text(kind))


def rcode(answer):
    return dns.rcode.to_text(answer.rcode())


def records(section):
    """A section as a sorted list of (owner in lower case, TTL, type, value)."""
    return sorted((rrset.name.to_text().lower(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rdata.to_text().lower())
                  for rrset in section for rdata in rrset)


def exchange(server, packet, seconds=2):
    """Sends these bytes in one datagram and returns the bytes that come back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(seconds * PATIENCE)
        udp.connect(server)
        udp.send(packet)
        return udp.recv(65535)


def tally(server, name, kind="A", count=2000):
    """Asks `count` times over UDP: {tuple of sorted values: how often}."""
    seen = collections.Counter()
    packet = bytearray(question(name, kind).to_wire())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(1.0 * PATIENCE)
        udp.connect(server)
        for number in range(count):
            struct.pack_into("!H", packet, 0, number & 0xffff)
            for left in range(3, 0, -1):
                udp.send(packet)
                try:
                    wire = udp.recv(65535)
                    break
                except TimeoutError:
                    if left == 1:
                        raise
            seen[tuple(data(dns.message.from_wire(wire), kind))] += 1
    return seen


def values_seen(counts):
    """How often each single value was in an answer, out of what tally returned."""
    seen = collections.Counter()
    for values, count in counts.items():
        for value in values:
            seen[value] += count
    return seen


def _log_choose(total, count):
    return math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)


def assert_share(count, total, share, what, doubt=1e-10):
    """`count` of `total` draws came out so: an AssertionError where that is less likely than `doubt` (each tail of the
    exact binomial distribution) if each draw does with probability `share`."""
    def tail(numbers):
        return math.fsum(math.exp(_log_choose(total, k) + k * math.log(share) + (total - k) * math.log1p(-share))
                         for k in numbers)
    below, above = tail(range(0, count + 1)), tail(range(count, total + 1))
    assert min(below, above) > doubt, f"{what}: {count} of {total}, where {share * total:.0f} are expected"


class Stream:
    """One TCP connection to a DNS server, byte by byte."""

    def __init__(self, server, seconds=5):
        self.deadline = time.monotonic() + seconds * PATIENCE
        self.socket = socket.create_connection(server, timeout=seconds * PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *queries):
        """All in one write."""
        wires = [query if isinstance(query, bytes) else query.to_wire() for query in queries]
        self.socket.sendall(b"".join(struct.pack("!H", len(wire)) + wire for wire in wires))

    def read(self, size):
        read = b""
        while len(read) < size:
            part = self.socket.recv(size - len(read))
            if not part:
                raise EOFError(f"closed after {len(read)} of {size} bytes")
            read += part
        return read

    def receive(self):
        """The next message, parsed."""
        return dns.message.from_wire(self.read(struct.unpack("!H", self.read(2))[0]))

    def closed(self):
        """Waits until the server has closed it, whatever it sends before; False when it did not in time."""
        try:
            while self.socket.recv(65535):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
