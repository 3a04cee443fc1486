"""Writes small databases in the MaxMind DB format (https://maxmind.github.io/MaxMind-DB/), version 2.0, for tests.

As a program: maxmind.py FILE writes the database of the unit tests of src/locate.
"""

import ipaddress
import struct
import sys

MARKER = b"\xab\xcd\xefMaxMind.com"
SEPARATOR = bytes(16)
STRING, DOUBLE, UINT16, UINT32, MAP, UINT64, ARRAY = 2, 3, 5, 6, 7, 9, 11


def control(kind, size):
    """The control byte, with the size behind it where it does not fit in."""
    if size < 29:
        low, more = size, b""
    elif size < 285:
        low, more = 29, bytes([size - 29])
    else:
        low, more = 30, struct.pack(">H", size - 285)
    return bytes([kind << 5 | low]) + more if kind <= 7 else bytes([low, kind - 7]) + more


def unsigned(kind, number):
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return control(kind, len(data)) + data


def encode(value):
    if isinstance(value, str):
        data = value.encode()
        return control(STRING, len(data)) + data
    if isinstance(value, float):
        return control(DOUBLE, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        return unsigned(UINT32, value)
    if isinstance(value, list):
        return control(ARRAY, len(value)) + b"".join(map(encode, value))
    return control(MAP, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())


def place(continent=None, country=None, subdivision=None, latitude=None, longitude=None):
    """An entry as GeoLite2-City has it."""
    entry = {}
    if continent:
        entry["continent"] = {"code": continent}
    if country:
        entry["country"] = {"iso_code": country}
    if subdivision:
        entry["subdivisions"] = [{"iso_code": subdivision}]
    if latitude is not None:
        entry["location"] = {"latitude": float(latitude), "longitude": float(longitude)}
    return entry


def database(networks, version=6, record_size=28):
    """The bytes of a database: networks is {"192.0.2.0/24": entry, ...}; larger networks first, smaller ones cut in."""
    root = [None, None]
    ordered = sorted(networks, key=lambda text: ipaddress.ip_network(text).prefixlen)
    for text in ordered:
        network = ipaddress.ip_network(text)
        bits = network.prefixlen
        number = int(network.network_address)
        length = 32 if network.version == 4 else 128
        if network.version == 4 and version == 6:
            bits, length = bits + 96, 128
        node = root
        for depth in range(bits - 1):
            side = number >> (length - 1 - depth) & 1
            if not isinstance(node[side], list):  # a larger network is cut in two
                node[side] = [node[side], node[side]]
            node = node[side]
        node[number >> (length - bits) & 1] = (text,)
    data, offsets = b"", {}
    for text in ordered:
        offsets[text] = len(data)
        data += encode(networks[text])
    nodes, numbers, queue = [], {}, [root]
    while queue:
        node = queue.pop(0)
        numbers[id(node)] = len(nodes)
        nodes.append(node)
        queue += [child for child in node if isinstance(child, list)]
    tree = b""
    for node in nodes:
        records = []
        for child in node:
            if child is None:
                records.append(len(nodes))
            elif isinstance(child, list):
                records.append(numbers[id(child)])
            else:
                records.append(len(nodes) + len(SEPARATOR) + offsets[child[0]])
        left, right = records
        if record_size == 24:
            tree += left.to_bytes(3, "big") + right.to_bytes(3, "big")
        elif record_size == 28:
            middle = left >> 24 << 4 | right >> 24
            tree += (left & 0xFFFFFF).to_bytes(3, "big") + bytes([middle]) + (right & 0xFFFFFF).to_bytes(3, "big")
        else:
            tree += left.to_bytes(4, "big") + right.to_bytes(4, "big")
    pairs = [
        ("binary_format_major_version", unsigned(UINT16, 2)),
        ("binary_format_minor_version", unsigned(UINT16, 0)),
        ("build_epoch", unsigned(UINT64, 1700000000)),
        ("database_type", encode("Leeward-Test-City")),
        ("description", encode({"en": "made by test/lib/maxmind.py"})),
        ("ip_version", unsigned(UINT16, version)),
        ("languages", encode(["en"])),
        ("node_count", unsigned(UINT32, len(nodes))),
        ("record_size", unsigned(UINT16, record_size)),
    ]
    metadata = control(MAP, len(pairs)) + b"".join(encode(name) + value for name, value in pairs)
    return tree + SEPARATOR + data + MARKER + metadata


def write(path, networks, **settings):
    with open(path, "wb") as file:
        file.write(database(networks, **settings))


UNIT = {
    "198.51.100.0/24": place("EU", "DE", "BE", 52.52, 13.40),
    "198.51.100.128/25": place("EU", "DE", "BY", 48.14, 11.58),
    "203.0.113.0/24": place("NA", "US", "CA", 34.05, -118.24),
    "10.0.0.0/8": place("EU"),
    "2001:db8::/32": place("OC", "AU", None, -33.87, 151.21),
    "192.0.2.0/24": {"registered_country": {"iso_code": "JP"}, "location": {"latitude": 95.0, "longitude": 0.0}},
}

if __name__ == "__main__":
    write(sys.argv[1], UNIT)
