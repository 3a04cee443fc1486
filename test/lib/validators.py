"""Signed zones under test, and those who judge them: unbound as a validating resolver, and BIND's delv."""

import subprocess

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from process import BUILD, clean_environment
from servers import Unbound

DELV = "/usr/bin/delv"


class ZoneServer:
    """test/lib/zone_server.c: zones, health and keys by lines, as src/dns/answer/test_zones.h describes them."""

    def __init__(self):
        program = next(BUILD.glob("**/dns_zone_server"))
        self.popen = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                      env=clean_environment())
        self.port = int(self.popen.stdout.readline().split()[1])

    @property
    def dns(self):
        return "127.0.0.1", self.port

    def run(self, lines):
        for line in filter(None, (line.strip() for line in lines.splitlines())):
            self.popen.stdin.write(line + "\n")
            answer = self.popen.stdout.readline().strip()
            assert answer == "ok", f"{line}: {answer}"

    def ask(self, name, kind, want_dnssec=True, tcp=False):
        query = dns.message.make_query(name, kind, want_dnssec=want_dnssec, payload=1232)
        return (dns.query.tcp if tcp else dns.query.udp)(query, "127.0.0.1", port=self.port, timeout=60)

    def stop(self):
        self.popen.stdin.close()
        code = self.popen.wait(30)
        assert code == 0, f"the zone server ended with {code}"


def delegation_signer(server, zone):
    """The DS record that the parent would have, from the zone's own key-signing key."""
    answer = server.ask(zone, "DNSKEY").answer
    key = next(k for rrset in answer if rrset.rdtype == dns.rdatatype.DNSKEY for k in rrset if k.flags == 257)
    return dns.dnssec.make_ds(dns.name.from_text(zone), key, "SHA256")


class Validator(Unbound):
    """unbound, with the zone's DS as its trust anchor; it holds nothing of a zone longer than the TTL says."""

    def __init__(self, folder, address, server, anchors, zones, longest=None):
        """longest: seconds that it keeps anything, whatever the TTL."""
        super().__init__(folder, address, {zone: server.dns for zone in zones})
        self.anchors = anchors
        self.longest = longest

    def write(self):
        super().write()
        text = self.configuration.read_text().replace('module-config: "iterator"', 'module-config: "validator iterator"')
        if self.longest is not None:
            text = text.replace("    cache-min-ttl: 0\n", f"    cache-min-ttl: 0\n    cache-max-ttl: {self.longest}\n")
        for zone, signer in self.anchors.items():
            text = text.replace(f'    domain-insecure: "{zone}"\n',
                                f'    trust-anchor: "{zone}. DS {signer.to_text()}"\n')
        self.configuration.write_text(text)

    def ask(self, name, kind):
        """(RCODE, whether it was validated, RDATA of that type)."""
        query = dns.message.make_query(name, kind, want_dnssec=True)
        answer = dns.query.udp(query, self.address, port=self.port, timeout=60)
        if answer.flags & dns.flags.TC:
            answer = dns.query.tcp(query, self.address, port=self.port, timeout=60)
        wanted = dns.rdatatype.from_text(kind)
        values = sorted(r.to_text() for rrset in answer.answer if rrset.rdtype == wanted for r in rrset)
        return dns.rcode.to_text(answer.rcode()), bool(answer.flags & dns.flags.AD), values


def write_anchor(path, zone, signer):
    path.write_text(f'trust-anchors {{ {zone}. static-ds {signer.key_tag} {signer.algorithm} {signer.digest_type} '
                    f'"{signer.digest.hex()}"; }};\n')
    return path


def delv(server, anchor, zone, name, kind):
    """What delv says of the server's answer, for instance "fully validated" or "negative response, fully validated"."""
    address, port = server.dns
    done = subprocess.run([DELV, "-4", f"@{address}", "-p", str(port), "-a", str(anchor), f"+root={zone}",
                           "-q", name, "-t", kind], capture_output=True, text=True, timeout=120,
                          env=clean_environment(), stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr
