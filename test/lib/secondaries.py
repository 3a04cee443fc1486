"""NSD, Knot and BIND as secondaries of the daemon: they are told by NOTIFY, and transfer its zones.

key: {"name", "algorithm", "secret"} of a TSIG key that signs everything between the two, or None.
"""

import json

import dns.name
import dns.query
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.xfr
import dns.zone

from leeward import dig
from peers import Knot, Nsd, Peer
from process import wait_for
from questions import ask

NAMED = "/usr/sbin/named"
ZONE = "example.com"


class Secondary:
    """What all kinds have beside a Peer: the primary, and what they hold."""

    def __init__(self, folder, address, primary, zones, key=None):
        self.primary = primary
        super().__init__(folder, address, dict.fromkeys(zones), key)

    @property
    def dns(self):
        return self.server

    def serial(self, zone):
        """The serial it serves now; None while it serves nothing."""
        answer = ask(self.server, zone, "SOA", tries=1)
        return answer.answer[0][0].serial if answer.answer else None

    def wait_for_serial(self, zone, serial, seconds=10):
        return wait_for(lambda: self.serial(zone) == serial, seconds, f"{self.name} serves {zone} with serial {serial}")

    def wait_for_data(self, name, kind, data, seconds=10):
        def answered():
            answer = dig(self.server, name, kind)
            assert answer.data == sorted(data), (answer.rcode, answer.data)
            return True
        return wait_for(answered, seconds, f"{self.name} answers {name} {kind} with {data}")

    def answers(self):
        """It runs; it may hold no zone yet."""
        try:
            ask(self.server, "a-name-that-nobody-has.test", "SOA", seconds=0.2, tries=1)
            return True
        except Exception:  # noqa: BLE001 - whatever it is, it does not answer yet
            return False


class KnotSecondary(Secondary, Knot):
    @property
    def sections(self):
        return f"""\
remote:
  - id: primary
    address: {self.primary[0]}@{self.primary[1]}
{self.signed}acl:
  - id: notified
    address: {self.primary[0]}
{self.signed}    action: notify
"""

    template = """\
    master: primary
    acl: notified
    zonefile-load: none
    journal-content: none
    refresh-min-interval: 2
"""


class NsdSecondary(Secondary, Nsd):
    options = "    verbosity: 2\n    xfrd-reload-timeout: 1\n"

    @property
    def zone_lines(self):
        address, port = self.primary
        return f"    allow-notify: {address} {self.key_name}\n    request-xfr: {address}@{port} {self.key_name}\n"


class Bind(Peer):
    seconds = 20

    def __init__(self, folder, _, zones, key=None):
        # It listens on addresses that an interface has, and lo has but one.
        super().__init__("named", folder, "127.0.0.1", zones, [NAMED, "-g", "-n", "1"], key)


class BindSecondary(Secondary, Bind):

    def write(self):
        key = use = ""
        if self.key:
            key = (f'key "{self.key["name"]}" {{ algorithm {self.key["algorithm"]}; '
                   f'secret "{self.key["secret"]}"; }};\n')
            use = f' key "{self.key["name"]}"'
        zones = "".join(f"""\
zone "{zone}" {{
    type secondary;
    primaries {{ {self.primary[0]} port {self.primary[1]}{use}; }};
    allow-notify {{ {self.primary[0]}; }};
    min-refresh-time 1;
    min-retry-time 1;
}};
""" for zone in self.zones)
        return f"""\
options {{
    directory "{self.folder}";
    pid-file none;
    session-keyfile none;
    listen-on port {self.port} {{ {self.address}; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    notify no;
    request-expire no;
    minimal-responses no-auth;
}};
controls {{ }};
{key}{zones}"""


# Working with them


def tag_zone(daemon, zone, **tags):
    """Sets tags on the zone; transfer_to=... becomes leeward:transfer-to."""
    daemon.client("route53").change_tags_for_resource(
        ResourceType="hostedzone", ResourceId=zone,
        AddTags=[{"Key": "leeward:" + key.replace("_", "-"), "Value": value} for key, value in tags.items()])


def untag_zone(daemon, zone, *keys):
    daemon.client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, RemoveTagKeys=list(keys))


def make_key(daemon, name, *options):
    return {key.lower(): value for key, value in
            json.loads(daemon.leeward("tsig", "create", name, "--json", *options).stdout).items()}


def keyring(*keys):
    return dns.tsigkeyring.from_text({key["name"]: (key["algorithm"], key["secret"]) for key in keys})


def serial_of(server, zone=ZONE):
    return int(dig(server, zone, "SOA").data[0].split()[2])


def transfer(server, zone=ZONE, have=None, key=None):
    """The zone after AXFR, or, with `have` (a zone), after IXFR from it; its serial. And how many messages it took."""
    copy = have if have is not None else dns.zone.Zone(zone)
    query, serial = dns.xfr.make_query(copy, keyring=keyring(key) if key else None,
                                       keyname=dns.name.from_text(key["name"]) if key else None,
                                       keyalgorithm=key["algorithm"] if key else None)
    kind = "AXFR" if have is None else "IXFR"
    assert dns.rdatatype.to_text(query.question[0].rdtype) == kind
    dns.query.inbound_xfr(server[0], copy, query, port=server[1], timeout=60, lifetime=300)
    return copy


def serial_in(copy):
    return copy.get_soa().serial


def contents(copy, without=("SOA",)):
    return {(name.to_text(), dns.rdatatype.to_text(rdataset.rdtype), rdataset.ttl, rdata.to_text())
            for name, rdataset in copy.iterate_rdatasets() for rdata in rdataset
            if dns.rdatatype.to_text(rdataset.rdtype) not in without}


def secondaries(sandbox, daemon, zones=(ZONE,), key=None, start=True):
    """One of each kind. BIND waits long after it was refused, so the zone is open first."""
    others = [sandbox.add(kind(sandbox.folder / kind.__name__, sandbox.address(), daemon.dns, zones, key))
              for kind in (NsdSecondary, KnotSecondary, BindSecondary)]
    for one in others if start else []:
        one.start()
    return others


def told(servers, key=None):
    return " ".join(f"{one.address}:{one.port}" + (f"#{key['name']}" if key else "") for one in servers)


def wait_until_follows(servers, daemon, zone=ZONE, seconds=10):
    serial = serial_of(daemon.dns, zone)
    for one in servers:
        one.wait_for_serial(zone, serial, seconds)
    return serial


def wait_until_open(daemon, key=None):
    """Waits until the zone may be transferred, with the key where one is given."""
    def answered():
        try:
            return transfer(daemon.dns, key=key)
        except (dns.xfr.TransferError, dns.tsig.PeerError):
            return None
    return wait_for(answered, what="the zone may be transferred")


def create_open_zone(daemon):
    """A zone that loopback may transfer; its id."""
    zone = daemon.create_zone(ZONE)
    tag_zone(daemon, zone, transfer_to="127.0.0.0/8")
    wait_until_open(daemon)
    return zone
