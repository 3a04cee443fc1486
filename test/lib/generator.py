"""Zones and questions made by chance, for comparisons with other servers: everything that plain records can do to one another.

A name is a tuple of labels (bytes, lower case). A value is a tuple of words: str as it is, a tuple is a name, bytes are a
character-string. The same value is written for Route 53 (octal escapes) and for a master file (decimal escapes).
"""

import random

ROOM = 255  # of a name's wire form

APEXES = {text: tuple(label.encode() for label in text.split(".")) for text in (
    "diff.example", "other.example", "nested.diff.example", "deep.under.other.example", "wild.example")}
COMMON = [b"a", b"b", b"c", b"www", b"mail", b"_tcp", b"x-y", b"1", b"0"]
ODD = [b"a.b", b"back\\slash", b'quo"te', b"spa ce", b"\0", b"\xff\xfe", b"**", b"*x", b"@", b"$ttl", b"(", b";", b"#", b"'",
       b"\t", b"\x7f", b"z" * 63, bytes(range(1, 63)).lower(), b"\\052", b"-", b"{[~^`|]}", b"xn--caf-dma"]
TYPES = ["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "SRV", "PTR", "CAA", "DS", "NAPTR", "SPF",
         "SSHFP", "TLSA", "SVCB", "HTTPS"]
# Asked for too: what is in no zone here, what DNSSEC added, reserved and private numbers.
NUMBERS = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35, "DS": 43, "SSHFP": 44,
           "TLSA": 52, "SVCB": 64, "HTTPS": 65, "SPF": 99, "CAA": 257, "ANY": 255}
FOREIGN = [3, 7, 10, 11, 13, 14, 17, 18, 24, 25, 29, 37, 39, 46, 47, 48, 50, 51, 53, 59, 60, 61, 62, 99, 108, 256, 1000, 32768,
           32769, 65280, 65534, 65535]
ADDRESSES = [f"192.0.2.{n}" for n in range(1, 255)]


def wire(name):
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def fits(name):
    return len(wire(name)) <= ROOM and all(0 < len(label) < 64 for label in name)


def label_text(label, escape):
    return "".join(chr(c) if chr(c).isalnum() and c < 128 or c in b"-_" else escape(c) for c in label)


def octal(c):
    return f"\\{c:03o}"


def decimal(c):
    return f"\\{c:03d}"


def name_text(name, escape):
    return "".join(label_text(label, escape) + "." for label in name) or "."


def _master_label(label):
    """An asterisk alone is a wildcard only where it is not escaped in some readers."""
    return "*" if label == b"*" else label_text(label, decimal)


def _master_name(name):
    return "".join(_master_label(label) + "." for label in name) or "."


def _string_text(data, escape):
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else escape(c) for c in data) + '"'


def value_text(value, api):
    """A value for the API, or for a master file."""
    words = []
    for word in value:
        if isinstance(word, tuple):
            words.append(name_text(word, octal) if api else _master_name(word))
        elif isinstance(word, bytes):
            words.append(_string_text(word, octal if api else decimal))
        else:
            words.append(word)
    return " ".join(words)


class Zone:
    """sets: {(name, type): (ttl, values)}; cuts: names of its delegations."""

    def __init__(self, apex):
        self.apex = apex
        self.sets = {}
        self.cuts = []

    def put(self, name, kind, ttl, values):
        """Unless Route 53 would refuse it: CNAME beside other types, or another record beside a CNAME."""
        others = {other for owner, other in self.sets if owner == name}
        if not fits(name) or "CNAME" in others or (kind == "CNAME" and (others or name == self.apex)):
            return False
        self.sets[name, kind] = (ttl, list(dict.fromkeys(values)))
        return True

    def covered(self, name):
        return any(name[-len(cut):] == cut for cut in self.cuts)

    def record_sets(self):
        """As Route 53's API takes them."""
        return [{"Name": name_text(name, octal), "Type": kind, "TTL": ttl,
                 "ResourceRecords": [{"Value": value_text(value, api=True)} for value in values]}
                for (name, kind), (ttl, values) in sorted(self.sets.items())]

    def master_file(self, head):
        """head: lines for what the server made by itself, SOA and NS of the apex."""
        lines = ["$ORIGIN .", *head]
        for (name, kind), (ttl, values) in sorted(self.sets.items()):
            lines += [f"{_master_name(name)} {ttl} IN {kind} {value_text(value, api=False)}" for value in values]
        return "\n".join(lines) + "\n"


class Maker:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.zones = {text: Zone(apex) for text, apex in APEXES.items()}
        self.names = []  # targets to point at

    def label(self):
        chance = self.chance
        what = chance.random()
        if what < 0.5:
            return chance.choice(COMMON)
        if what < 0.85:
            return b"n%d" % chance.randint(0, 60)
        return chance.choice(ODD)

    def name(self, apex, depth=None):
        depth = depth or self.chance.choice((1, 1, 1, 2, 2, 3, 4))
        while not fits(made := (*(self.label() for _ in range(depth)), *apex)):
            depth = 1
        return made

    def long_name(self, apex):
        """One whose wire form has 255 bytes, or nearly."""
        room = ROOM - self.chance.choice((0, 0, 1, 2)) - len(wire(apex))
        labels = []
        while room > 1:
            size = min(63, room - 1)
            size -= 1 if room - 1 - size == 1 else 0  # a single byte left is no label
            labels.append(bytes(self.chance.choice(b"abcxyz019") for _ in range(size)))
            room -= size + 1
        return (*labels, *apex)

    def target(self):
        chance = self.chance
        what = chance.random()
        if self.names and what < 0.7:
            return chance.choice(self.names)
        if what < 0.8:
            return (b"elsewhere", b"test")
        return self.name(chance.choice(list(APEXES.values())))

    def value(self, kind):
        chance = self.chance
        number = chance.randint
        return {
            "A": lambda: (chance.choice(ADDRESSES),),
            "AAAA": lambda: (f"2001:db8::{number(1, 0xffff):x}",),
            "TXT": lambda: tuple(chance.choice((b"text %d" % number(0, 99), bytes(number(0, 255) for _ in range(number(0, 40)))))
                                 for _ in range(number(1, 3))),
            "SPF": lambda: (b"v=spf1 -all",),
            "MX": lambda: (str(number(0, 50)), self.target()),
            "SRV": lambda: (str(number(0, 9)), str(number(0, 9)), str(number(1, 65535)), self.target()),
            "PTR": lambda: (self.target(),),
            "CAA": lambda: ("0", "issue", b"ca%d.example.net" % number(0, 9)),
            "NAPTR": lambda: (str(number(0, 9)), str(number(0, 9)), b"u", b"E2U+sip", b"!^.*$!sip:x@y!", ()),
            "SSHFP": lambda: ("4", "2", f"{chance.getrandbits(256):064x}"),
            "TLSA": lambda: ("3", "1", "1", f"{chance.getrandbits(256):064x}"),
            "SVCB": lambda: ("0", self.target()) if chance.random() < 0.3 else self.service(),
            "HTTPS": lambda: self.service(),
            "DS": lambda: (str(number(0, 65535)), "13", "2", f"{chance.getrandbits(256):064x}"),
        }[kind]()

    def service(self):
        """RFC 9460; the keys in the order that every reader keeps."""
        number = self.chance.randint
        words = [str(number(1, 9)), self.target() if self.chance.random() < 0.7 else ()]
        for chosen in ('alpn="h2,h3"', f"port={number(1, 65535)}", f"ipv4hint={self.chance.choice(ADDRESSES)},192.0.2.1",
                       f"ipv6hint=2001:db8::{number(1, 9)}", 'key667="hello"'):
            if self.chance.random() < 0.5:
                words.append(chosen)
        return tuple(words)

    def ttl(self):
        return self.chance.choice((0, 1, 60, 300, 3600, 86400, 2147483647))

    def fill(self, zone):
        chance = self.chance
        kinds = ["A", "AAAA", "TXT", "MX", "SRV", "PTR", "CAA", "NAPTR", "SPF", "SSHFP", "TLSA", "SVCB", "HTTPS"]
        for kind in ("TXT", "MX", "A"):
            zone.put(zone.apex, kind, self.ttl(), [self.value(kind)])
        wanted = len(zone.sets) + 160
        while len(zone.sets) < wanted:
            name = self.long_name(zone.apex) if chance.random() < 0.04 else self.name(zone.apex)
            what = chance.random()
            if what < 0.2:
                name = (b"*", *name[1:])
            elif what < 0.24 and fits((b"sub", b"*", *name[1:])):
                name = (b"sub", b"*", *name[1:])
            if self.hosted(name) is not zone:
                continue
            if chance.random() < 0.25 and name != zone.apex:
                zone.put(name, "CNAME", self.ttl(), [(self.target(),)])
            else:
                for kind in chance.sample(kinds, chance.randint(1, 3)):
                    zone.put(name, kind, self.ttl(), [self.value(kind) for _ in range(chance.choice((1, 1, 2, 4)))])
            self.names.append(name if name[0] != b"*" or chance.random() < 0.2 else (b"under", *name[1:]))

    def hosted(self, name):
        """The zone that a name belongs to."""
        return max((zone for zone in self.zones.values() if name[-len(zone.apex):] == zone.apex),
                   key=lambda zone: len(zone.apex), default=None)

    def delegate(self, zone):
        """Delegations of every kind, with addresses where they help, and where nobody will ever see them."""
        chance = self.chance
        for number in range(10):
            base = zone.apex if number < 7 else self.name(zone.apex, 1)
            cut = (b"cut%d" % number, *base)
            if self.hosted(cut) is not zone or not fits(cut) or zone.covered(base):
                continue
            sibling = zone.cuts[0] if zone.cuts else zone.apex
            inside = [(b"ns%d" % n, *cut) for n in range(chance.choice((1, 2, 2, 12)))]
            deeper = [(b"n", b"deeper", *cut)]
            servers = [inside, inside + [(b"ns", b"elsewhere", b"test")], [(b"ns", *sibling)], [(b"ns", b"elsewhere", b"test")],
                       [(b"host", *zone.apex), *deeper], [(b"lost", *cut)], inside + [(b"ns", *chance.choice(list(APEXES.values())))],
                       [cut], [(b"ns0", *sibling), *inside]][number % 9]
            zone.put(cut, "NS", self.ttl(), [(server,) for server in servers])
            for server in dict.fromkeys([*inside, *deeper, cut]):
                for kind in chance.sample(("A", "AAAA"), chance.choice((1, 1, 2))):
                    if server in servers:
                        zone.put(server, kind, self.ttl(), [self.value(kind) for _ in range(chance.choice((1, 1, 3)))])
            if chance.random() < 0.4:
                zone.put(cut, "DS", self.ttl(), [self.value("DS") for _ in range(chance.choice((1, 2)))])
            if chance.random() < 0.5:  # hidden by the delegation
                zone.put((b"hidden", *cut), "TXT", 60, [self.value("TXT")])
                zone.put((b"*", *cut), "A", 60, [self.value("A")])
                zone.put((b"alias", *cut), "CNAME", 60, [(self.target(),)])
                zone.put((b"inner", *cut), "NS", 60, [((b"ns", b"elsewhere", b"test"),)])
            zone.cuts.append(cut)
            self.names += [cut, (b"host", *cut), (b"ns0", *cut)]
        zone.put((b"ns", *zone.apex), "A", self.ttl(), [self.value("A")])
        zone.put((b"host", *zone.apex), "AAAA", self.ttl(), [self.value("AAAA")])

    def chains(self, zone):
        """CNAMEs: circles, long chains, through wildcards, into every other zone, to names of 255 bytes."""
        apex = zone.apex
        others = [one.apex for one in self.zones.values() if one is not zone]
        zone.put((b"loop", *apex), "CNAME", 5, [((b"loop", *apex),)])
        zone.put((b"loop1", *apex), "CNAME", 5, [((b"loop2", *apex),)])
        zone.put((b"loop2", *apex), "CNAME", 5, [((b"loop1", *apex),)])
        zone.put((b"*", b"loops", *apex), "CNAME", 5, [((b"x", b"loops", *apex),)])
        zone.put((b"entry", *apex), "CNAME", 5, [((b"loop1", *apex),)])
        for number in range(9):
            zone.put((b"chain%d" % number, *apex), "CNAME", number, [((b"chain%d" % (number + 1), *apex),)])
        zone.put((b"chain9", *apex), "A", 60, [self.value("A")])
        for number in range(20):
            zone.put((b"far%d" % number, *apex), "CNAME", 60, [((b"far%d" % (number + 1), *apex),)])
        zone.put((b"*", b"jump", *apex), "CNAME", 7, [((b"y", b"jump", *self.chance.choice(others)),)])
        for number, other in enumerate(others):
            zone.put((b"across%d" % number, *apex), "CNAME", 8, [((b"chain%d" % self.chance.randint(0, 9), *other),)])
        target = self.long_name(apex)
        zone.put(target, "A", 60, [self.value("A")])
        zone.put((b"tolong", *apex), "CNAME", 60, [(target,)])
        self.names += [target] + [(label, *apex) for label in (b"loop", b"entry", b"chain3", b"chain8", b"across0", b"tolong")]

    def big(self, zone):
        """RRsets around the sizes where answers are truncated."""
        for size in (380, 440, 480, 500, 700, 1100, 1150, 1180, 1200, 1300, 3000):
            strings = tuple(b"t" * min(250, size - at) for at in range(0, size, 250))
            zone.put((b"big%d" % size, *zone.apex), "TXT", 60, [strings])
        for count in (20, 28, 40, 74, 90):
            zone.put((b"many%d" % count, *zone.apex), "A", 60, [(address,) for address in ADDRESSES[:count]])
        zone.put((b"*", b"manyx", *zone.apex), "MX", 60, [(str(n), (b"host%d" % n, *zone.apex)) for n in range(60)])

    def make(self):
        zones = self.zones
        for zone in zones.values():
            self.delegate(zone)
        nested = APEXES["nested.diff.example"]
        zones["diff.example"].put(nested, "NS", 77, [((b"ns", *nested),), ((b"ns", b"elsewhere", b"test"),)])
        zones["diff.example"].put((b"ns", *nested), "A", 78, [("192.0.2.99",)])
        zones["diff.example"].put(nested, "DS", 79, [self.value("DS")])
        zones["wild.example"].put((b"*", *APEXES["wild.example"]), "TXT", 60, [(b"everything",)])
        zones["wild.example"].put((b"*", *APEXES["wild.example"]), "A", 60, [("192.0.2.42",)])
        for zone in zones.values():
            self.chains(zone)
            self.big(zone)
        for zone in zones.values():
            self.fill(zone)
        return zones


class Question:
    """One query as bytes, without its id; what it was made of, for the report."""

    def __init__(self, name, kind, payload, flags=0, edns_flags=0):
        """payload: None is without EDNS."""
        self.name, self.kind, self.payload, self.flags, self.edns_flags = name, kind, payload, flags, edns_flags
        head = flags.to_bytes(2, "big") + bytes((0, 1, 0, 0, 0, 0, 0, payload is not None))
        self.name_wire = wire(name)
        self.question = self.name_wire + kind.to_bytes(2, "big") + b"\0\1"
        opt = b"" if payload is None else b"\0\0\x29" + payload.to_bytes(2, "big") + edns_flags.to_bytes(4, "big") + b"\0\0"
        self.rest = head + self.question + opt

    def packet(self, number):
        return number.to_bytes(2, "big") + self.rest

    def __str__(self):
        kind = next((text for text, number in NUMBERS.items() if number == self.kind), f"TYPE{self.kind}")
        edns = "no EDNS" if self.payload is None else f"payload {self.payload}"
        return f"{_master_name(self.name)} {kind} ({edns}, flags {self.flags:04x})"


def mixed_case(chance, name):
    return tuple(bytes(c - 32 if 97 <= c <= 122 and chance.random() < 0.5 else c for c in label) for label in name)


def questions(seed, zones, count):
    """Names of the zones, their ends, their parents, and names near them; types that are there and that are not."""
    chance = random.Random(seed)
    owners = [(zone, name, kind) for zone in zones.values() for name, kind in zone.sets]
    owners += [(zone, zone.apex, kind) for zone in zones.values() for kind in ("SOA", "NS")] * 3
    owners += [(zone, (b"x", b"loops", *zone.apex), "A") for zone in zones.values()]
    near = [*COMMON, b"*", b"nope", b"hidden", b"sub", b"ns0", b"x"]
    made = 0
    while made < count:
        zone, name, kind = chance.choice(owners)
        labels = list(name[:-len(zone.apex)])
        for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 2))):
            what = chance.randrange(4)
            if what == 0:
                labels = labels[1:]
            elif what == 1:
                labels = [chance.choice(near if chance.random() < 0.9 else ODD), *labels]
            elif what == 2 and labels:
                labels = [chance.choice(near), *labels[1:]]
            elif labels:
                labels = [chance.choice(COMMON), chance.choice(near), *labels]
        full = (*labels, *zone.apex)
        if chance.random() < 0.01:
            full = chance.choice(((), (b"example",), (b"no", b"example"), (b"test",), (b"www", b"elsewhere", b"test")))
        if not fits(full):
            continue
        if chance.random() < 0.3:
            full = mixed_case(chance, full)
        what = chance.random()
        number = NUMBERS[kind] if what < 0.6 else NUMBERS[chance.choice(TYPES)] if what < 0.9 else \
            255 if what < 0.93 else chance.choice(FOREIGN) if what < 0.98 else chance.randint(258, 65535)
        payload = chance.choice((None, None, 512, 1232, 1232, 1232, 4096))
        do = 0x8000 if payload is not None and chance.random() < 0.1 else 0
        yield Question(full, number, payload, 0x0100 if chance.random() < 0.2 else 0, do)
        made += 1
