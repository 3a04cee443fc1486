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
    def __init__(self, folder, address, primary, zones, key=None):
        self.primary = primary
        self.key = key
        super().__init__(folder, address, {zone: "" for zone in zones})

    def write(self):
        key = remote = ""
        if self.key:
            key = (f"key:\n  - id: {self.key['name']}\n    algorithm: {self.key['algorithm']}\n"
                   f"    secret: {self.key['secret']}\n")
            remote = f"    key: {self.key['name']}\n"
        zones = "".join(f"  - domain: {zone}\n    file: {zone}.zone\n" for zone in self.zones)
        return f"""\
server:
    rundir: {self.folder}
    pidfile: {self.folder}/knotd.pid
    listen: {self.address}@{self.port}
    background-workers: 1
    udp-workers: 1
    tcp-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {self.folder}
{key}remote:
  - id: primary
    address: {self.primary[0]}@{self.primary[1]}
{remote}acl:
  - id: notified
    address: {self.primary[0]}
{remote}    action: notify
template:
  - id: default
    storage: {self.folder}
    master: primary
    acl: notified
    zonefile-sync: -1
    zonefile-load: none
    journal-content: none
    semantic-checks: off
    refresh-min-interval: 2
zone:
{zones}"""

    def start(self):
        self.configuration.write_text(self.write())
        self.spawn()
        self.wait_until(self.answers, 10, f"{self.name} answers")
        return self


class NsdSecondary(Secondary, Nsd):
    def __init__(self, folder, address, primary, zones, key=None):
        self.primary = primary
        self.key = key
        super().__init__(folder, address, {zone: "" for zone in zones})

    def write(self):
        key, name = "", "NOKEY"
        if self.key:
            name = self.key["name"]
            key = (f"key:\n    name: {name}\n    algorithm: {self.key['algorithm']}\n"
                   f"    secret: \"{self.key['secret']}\"\n")
        zones = "".join(f"""\
zone:
    name: {zone}
    zonefile: {zone}.zone
    allow-notify: {self.primary[0]} {name}
    request-xfr: {self.primary[0]}@{self.primary[1]} {name}
""" for zone in self.zones)
        return f"""\
server:
    ip-address: {self.address}@{self.port}
    username: ""
    chroot: ""
    zonesdir: "{self.folder}"
    pidfile: ""
    logfile: ""
    database: ""
    xfrdfile: "{self.folder}/xfrd.state"
    xfrdir: "{self.folder}"
    zonelistfile: "{self.folder}/zone.list"
    server-count: 1
    minimal-responses: yes
    round-robin: no
    hide-version: yes
    verbosity: 2
    xfrd-reload-timeout: 1
remote-control:
    control-enable: no
{key}{zones}"""

    def start(self):
        self.configuration.write_text(self.write())
        self.spawn()
        self.wait_until(self.answers, 10, f"{self.name} answers")
        return self


class BindSecondary(Secondary, Peer):
    def __init__(self, folder, address, primary, zones, key=None):
        self.primary = primary
        self.key = key
        # It listens on addresses that an interface has, and lo has but one.
        super().__init__("named", folder, "127.0.0.1", {zone: "" for zone in zones}, [NAMED, "-g", "-n", "1"])

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

    def start(self):
        self.configuration.write_text(self.write())
        self.spawn()
        self.wait_until(self.answers, 20, f"{self.name} answers")
        return self


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
    dns.query.inbound_xfr(server[0], copy, query, port=server[1], timeout=10, lifetime=60)
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
