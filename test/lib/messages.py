"""DNS responses taken apart quickly, and many questions under way at once: for campaigns of a hundred thousand.

dnspython (questions.py) is what tests read answers with; it is too slow for this.
"""

import select
import socket
import struct
import time

from process import PATIENCE

TC = 0x0200
# Names in RDATA, which may be compressed: bytes before the first, and how many.
NAMES = {2: (0, 1), 5: (0, 1), 6: (0, 2), 12: (0, 1), 15: (2, 1), 33: (6, 1), 35: (None, 1)}


class Malformed(AssertionError):
    pass


def _name(wire, at, cache):
    """(lower-case labels with lengths as bytes, where it ends)."""
    known = cache.get(at)
    if known:
        return known
    start, parts, end, limit = at, [], None, len(wire)
    while True:
        if at >= limit:
            raise Malformed("a name runs out of the message")
        size = wire[at]
        if size >= 0xc0:
            end = at + 2 if end is None else end
            pointed = (size & 0x3f) << 8 | wire[at + 1]
            if pointed >= at:
                raise Malformed("a pointer forwards")
            at = pointed
        elif size == 0:
            end = at + 1 if end is None else end
            break
        else:
            parts.append(wire[at:at + 1 + size])
            at += 1 + size
    made = cache[start] = (b"".join(parts).lower() + b"\0", end)
    return made


def _rdata(wire, at, size, kind, cache):
    layout = NAMES.get(kind)
    if layout is None:
        return wire[at:at + size]
    end, (skip, count) = at + size, layout
    if skip is None:  # NAPTR: two numbers and three strings
        skip = 4
        for _ in range(3):
            skip += 1 + wire[at + skip]
    parts, at = [wire[at:at + skip]], at + skip
    for _ in range(count):
        name, at = _name(wire, at, cache)
        parts.append(name)
    if at > end:
        raise Malformed("RDATA is longer than it says")
    parts.append(wire[at:end])
    return b"".join(parts)


class Response:
    """rcode (with EDNS), flags, whether there is an OPT record, and three lists of (owner, type, TTL, RDATA)."""

    __slots__ = ("wire", "flags", "rcode", "edns", "question", "answer", "authority", "additional")

    def __init__(self, wire):
        self.wire = wire
        _, self.flags, questions, *counts = struct.unpack_from("!6H", wire)
        self.rcode = self.flags & 0xf
        cache = {}
        at = 12
        if questions:
            at = _name(wire, at, cache)[1] + 4
        self.question = wire[12:at]
        self.edns = None
        sections = []
        for count in counts:
            records = []
            for _ in range(count):
                owner, at = _name(wire, at, cache)
                kind, _, ttl, size = struct.unpack_from("!HHIH", wire, at)
                at += 10
                if at + size > len(wire):
                    raise Malformed("a record runs out of the message")
                if kind == 41:
                    self.edns = ttl
                    self.rcode |= ttl >> 24 << 4
                else:
                    records.append((owner, kind, ttl, _rdata(wire, at, size, kind, cache)))
                at += size
            sections.append(records)
        if at != len(wire):
            raise Malformed("something behind the last record")
        self.answer, self.authority, self.additional = sections

    @property
    def truncated(self):
        return bool(self.flags & TC)


class Asker:
    """Many questions to one server over UDP, a window of them under way; lost ones are asked again."""

    WINDOW = 24

    def __init__(self, server):
        self.server = server
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.connect(server)
        self.stream = None

    def close(self):
        self.socket.close()
        if self.stream:
            self.stream.close()

    def all(self, questions):
        """The responses as bytes, in the order of the questions; fewer than 65,536 of them."""
        answers = [None] * len(questions)
        waiting, sent = {}, 0
        while sent < len(questions) or waiting:
            while sent < len(questions) and len(waiting) < self.WINDOW:
                self.socket.send(questions[sent].packet(sent))
                waiting[sent] = 0
                sent += 1
            if not select.select([self.socket], [], [], 0.5 * PATIENCE)[0]:
                for number in waiting:
                    waiting[number] += 1
                    assert waiting[number] < 5, f"no answer to {questions[number]}"
                    self.socket.send(questions[number].packet(number))
                continue
            wire = self.socket.recv(65535)
            number = wire[0] << 8 | wire[1]
            if waiting.pop(number, None) is not None:
                answers[number] = wire
        return answers

    def tcp(self, question, seconds=5):
        """One response over a connection that stays open."""
        for last in (False, True):
            try:
                if self.stream is None:
                    self.stream = socket.create_connection(self.server, timeout=seconds * PATIENCE)
                packet = question.packet(1)
                self.stream.sendall(struct.pack("!H", len(packet)) + packet)
                return self._read(struct.unpack("!H", self._read(2, seconds))[0], seconds)
            except (EOFError, ConnectionError):
                self.stream.close()
                self.stream = None
                if last:
                    raise
        return None

    def _read(self, size, seconds):
        read, deadline = b"", time.monotonic() + seconds * PATIENCE
        while len(read) < size:
            part = self.stream.recv(size - len(read))
            if not part or time.monotonic() > deadline:
                raise EOFError("closed early, or too slow")
            read += part
        return read
