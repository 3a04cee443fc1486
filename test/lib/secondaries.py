"""NSD and Knot as secondaries of the daemon: they are told by NOTIFY, and transfer its zones.

key: {"name", "algorithm", "secret"} of a TSIG key that signs everything between the two, or None.
"""

from leeward import dig
from peers import Knot, Nsd
from process import wait_for
from questions import ask


class Secondary:
    """What both kinds have beside a Peer: the primary, and what they hold."""

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
