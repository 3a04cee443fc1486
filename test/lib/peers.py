"""Other people's authoritative servers, with the same zone as the daemon: what ours is compared with."""

import dns.exception

from process import Process, free_port
from questions import ask

KNOTD = "/usr/sbin/knotd"
NSD = "/usr/sbin/nsd"


def zone_file(record_sets):
    """A master file of record sets as Route 53's API gives and takes them."""
    lines = ["$ORIGIN ."]
    for one in record_sets:
        name = one["Name"].replace("\\052", "*").rstrip(".")
        lines += [f"{name}. {one['TTL']} IN {one['Type']} {value['Value']}" for value in one["ResourceRecords"]]
    return "\n".join(lines) + "\n"


class Peer(Process):
    """One server on a loopback address of its own; `write` makes its configuration."""

    seconds = 10  # in which it answers after its start

    def __init__(self, name, folder, address, zones, command, key=None):
        """zones: {apex: text of its master file, or None}; key: {"name", "algorithm", "secret"} of a TSIG key."""
        folder.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.port = free_port(address)
        self.zones = dict(zones)
        self.key = key
        self.configuration = folder / f"{name}.conf"
        super().__init__(name, [*command, "-c", self.configuration], folder)

    @property
    def server(self):
        return self.address, self.port

    def start(self):
        for apex, text in self.zones.items():
            if text is not None:
                (self.folder / f"{apex}.zone").write_text(text)
        self.configuration.write_text(self.write())
        self.spawn()
        self.wait_until(self.answers, self.seconds, f"{self.name} answers")
        return self

    def answers(self):
        try:
            return all(ask(self.server, apex, "SOA", seconds=0.1, tries=1).answer for apex in self.zones)
        except (OSError, dns.exception.DNSException):
            return False


class Knot(Peer):
    """What others add: sections before the template, and lines of the template."""

    sections = ""
    template = "    journal-content: none\n"

    def __init__(self, folder, address, zones, key=None):
        super().__init__("knotd", folder, address, zones, [KNOTD], key)

    @property
    def signed(self):
        """The line of a remote or a rule that says by which key."""
        return f"    key: {self.key['name']}\n" if self.key else ""

    def write(self):
        zones = "".join(f"  - domain: {apex}\n    file: {apex}.zone\n" for apex in self.zones)
        key = (f"key:\n  - id: {self.key['name']}\n    algorithm: {self.key['algorithm']}\n"
               f"    secret: {self.key['secret']}\n") if self.key else ""
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
{key}{self.sections}template:
  - id: default
    storage: {self.folder}
    zonefile-sync: -1
    semantic-checks: off
{self.template}zone:
{zones}"""


class Nsd(Peer):
    """What others add: lines of the server, and of each zone."""

    options = ""
    zone_lines = ""

    def __init__(self, folder, address, zones, key=None):
        super().__init__("nsd", folder, address, zones, [NSD, "-d"], key)

    @property
    def key_name(self):
        return self.key["name"] if self.key else "NOKEY"

    def write(self):
        zones = "".join(f"zone:\n    name: {apex}\n    zonefile: {apex}.zone\n{self.zone_lines}" for apex in self.zones)
        key = (f"key:\n    name: {self.key['name']}\n    algorithm: {self.key['algorithm']}\n"
               f"    secret: \"{self.key['secret']}\"\n") if self.key else ""
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
{self.options}remote-control:
    control-enable: no
{key}{zones}"""
