"""The same zones in Leeward and in Knot DNS and NSD, the same questions to all: the answers must be the same.

Compared are the RCODE, AA, and the answer and authority sections as sets of records; the additional section is each
server's own courtesy. Where we differ on purpose a rule below says so, and why; a rule that no question needs any more
fails the test. LEEWARD_SEED replays or varies the questions, LEEWARD_ROUNDS multiplies them.
"""

import os
import random

import dns.exception
import dns.rdatatype
import pytest

from leeward import record
from peers import Knot, Nsd, zone_file
from process import wait_for
from questions import ask, question, rcode, records

SEED = int(os.environ.get("LEEWARD_SEED", "20261121"))
QUESTIONS = 70 * int(os.environ.get("LEEWARD_ROUNDS", "30"))
ZONES = ("diff.example", "other.example")
LABELS = ["a", "b", "c", "www", "mail", "_tcp", "x-y", "1", "0", "very-long-label-" + "z" * 40]
TYPES = ["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "SRV", "PTR", "CAA", "DS", "NAPTR", "TYPE1234", "SPF"]


def _zone_of(name):
    return next((apex for apex in ZONES if name == f"{apex}." or name.endswith(f".{apex}.")), None)


def _ends_where_the_zone_ends(ours, theirs):
    """Their answer is the beginning of ours, up to a CNAME into our other zone; beyond it they say nothing."""
    if not theirs.answer or theirs.authority or rcode(theirs) != "NOERROR" or theirs.answer[-1].rdtype != dns.rdatatype.CNAME:
        return False
    last = theirs.answer[-1]
    owner, target = _zone_of(last.name.to_text().lower()), _zone_of(last[0].target.to_text().lower())
    return target not in (None, owner) and records(ours.answer[:len(theirs.answer)]) == records(theirs.answer)


def _gives_up_a_long_chain(ours, theirs):
    """Their answer is the beginning of ours, five CNAMEs of a longer chain."""
    return len(theirs.answer) == 5 and all(rrset.rdtype == dns.rdatatype.CNAME for rrset in theirs.answer) \
        and not theirs.authority and records(ours.answer[:5]) == records(theirs.answer) \
        and len(ours.answer) > 5


# What we do otherwise: peer, name of the rule, why, whether it covers our answer and theirs.
ALLOWED = [
    (Knot, "chains across zones", "RFC 1034 section 4.3.2 step 3a starts again at step 2 with the new name, in whichever "
     "zone of this server holds it; Knot stays in the zone that it found first. NSD and Route 53 go on as we do.",
     _ends_where_the_zone_ends),
    (Knot, "long chains", "Knot answers no more than five CNAMEs of a chain and leaves the rest to the resolver; NSD "
     "goes on as we do.", _gives_up_a_long_chain),
]


def make_zones(chance):
    """{apex: its record sets}, with everything that plain records can do to one another."""
    values = {
        "A": lambda: f"192.0.2.{chance.randint(1, 254)}", "AAAA": lambda: f"2001:db8::{chance.randint(1, 0xffff):x}",
        "TXT": lambda: f'"text {chance.randint(0, 999)}"', "MX": lambda: f"{chance.randint(0, 50)} {target()}",
        "SRV": lambda: f"{chance.randint(0, 9)} {chance.randint(0, 9)} {chance.randint(1, 65535)} {target()}",
        "PTR": lambda: target(), "CAA": lambda: f'0 issue "ca{chance.randint(0, 9)}.example.net"'}
    names = {apex: set() for apex in ZONES}

    def target():
        apex = chance.choice([*ZONES, "elsewhere.test"])
        known = sorted(names.get(apex, ()))
        return chance.choice(known) if known and chance.random() < 0.8 else f"{chance.choice(LABELS)}.{apex}"

    made = {}
    for apex in ZONES:
        sets = {}
        cuts = [f"cut{n}.{apex}" for n in range(4)] + [f"cut.deep.{chance.choice(LABELS)}.{apex}"]
        while len(names[apex]) < 150:
            depth = chance.choice((1, 1, 1, 2, 2, 3, 4))
            labels = [chance.choice(LABELS) if chance.random() < 0.5 else f"n{chance.randint(0, 99)}" for _ in range(depth)]
            if depth > 1 and chance.random() < 0.2:
                labels[0] = "*"
            name = ".".join(labels + [apex])
            if name in names[apex] or any(name == cut or name.endswith(f".{cut}") for cut in cuts):
                continue
            names[apex].add(name)
            if chance.random() < 0.25:
                sets[name, "CNAME"] = [target()]
                continue
            for kind in chance.sample(sorted(values), chance.randint(1, 3)):
                sets[name, kind] = sorted({values[kind]() for _ in range(chance.randint(1, 4))})
        for kind in ("TXT", "MX", "A"):
            sets[apex, kind] = [values[kind]()]
        for number, cut in enumerate(cuts):
            sets[cut, "NS"] = [f"ns.{cut}", "ns.elsewhere.test"] if number % 2 else [f"ns.{cut}", f"ns2.{cuts[0]}"]
            sets[f"ns.{cut}", "A"] = [values["A"]()]
        sets[f"ns2.{cuts[0]}", "AAAA"] = [values["AAAA"]()]
        sets[f"loop1.{apex}", "CNAME"] = [f"loop2.{apex}"]
        sets[f"loop2.{apex}", "CNAME"] = [f"loop1.{apex}"]
        sets[f"across.{apex}", "CNAME"] = [f"chain3.{ZONES[apex == ZONES[0]]}"]
        for number in range(6):
            sets[f"chain{number}.{apex}", "CNAME"] = [f"chain{number + 1}.{apex}"]
        sets[f"chain6.{apex}", "A"] = [values["A"]()]
        made[apex] = [record(name, kind, *data, ttl=chance.choice((0, 1, 60, 300, 86400)))
                      for (name, kind), data in sorted(sets.items())]
    return made


def make_questions(chance, zones, count):
    """Names of the zones, their ends, their parents, and names near them; types that are there and that are not."""
    owners = sorted({(apex, one["Name"], one["Type"]) for apex, sets in zones.items() for one in sets})
    asked = {(f"{name}.{ZONES[0]}", "A") for name in ("chain0", "across", "loop1")}
    for _ in range(100 * count):
        if len(asked) == count:
            break
        apex, name, kind = chance.choice(owners)
        labels = name[:-len(apex)].rstrip(".").split(".") if name != apex else []
        for _ in range(chance.choice((0, 0, 0, 1, 1, 2))):
            what = chance.randrange(4)
            if what == 0 and labels:
                labels = labels[1:]
            elif what == 1:
                labels = [chance.choice([*LABELS, "*", "nope"]), *labels]
            elif what == 2 and labels:
                labels = [chance.choice([*LABELS, "*", "nope"]), *labels[1:]]
            elif labels:
                labels = [chance.choice(LABELS), chance.choice(LABELS), *labels]
        full = ".".join([*labels, apex])
        if len(full) < 250:
            asked.add((full, kind if chance.random() < 0.6 else chance.choice(TYPES)))
    return sorted(asked)


def view(answer):
    return {"rcode": rcode(answer), "aa": bool(answer.flags & dns.flags.AA), "answer": records(answer.answer),
            "authority": records(answer.authority)}


@pytest.fixture
def zones(daemon):
    """The zones in the daemon; {apex: master file} with the very SOA and NS that the daemon made."""
    client = daemon.client("route53")
    files = {}
    changes = []
    for apex, sets in make_zones(random.Random(SEED)).items():
        zone = daemon.create_zone(apex)
        made = client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        changes.append(daemon.change(zone, *sets)["ChangeInfo"]["Id"])
        files[apex] = zone_file(made + sets)
    for change in changes:
        wait_for(lambda: client.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC", 10, "INSYNC")
    return files


@pytest.mark.parametrize("peer", [Knot, Nsd])
def test_answers_are_those_of_other_servers(sandbox, daemon, zones, peer):
    other = sandbox.add(peer(sandbox.folder / "peer", sandbox.address(), zones)).start()
    sets = make_zones(random.Random(SEED))
    asked = make_questions(random.Random(SEED + 1), sets, QUESTIONS)
    print(f"seed {SEED}, {len(asked)} questions")
    used, wrong, positive = set(), [], 0
    for name, kind in asked:
        ours, theirs = (ask(server, query=question(name, kind, payload=4096), name=None) for server in (daemon.dns, other.server))
        positive += bool(ours.answer)
        seen, expected = view(ours), view(theirs)
        if seen == expected:
            continue
        rule = next((rule for which, rule, _, covers in ALLOWED if which is peer and covers(ours, theirs)), None)
        if rule:
            used.add(rule)
        else:
            differ = [key for key in seen if seen[key] != expected[key]]
            wrong.append(f"{name} {kind}: " + "; ".join(f"{key}: {seen[key]} not {expected[key]}" for key in differ))
    assert not wrong, f"{len(wrong)} of {len(asked)}:\n" + "\n".join(wrong[:40])
    assert used == {rule for which, rule, _, _ in ALLOWED if which is peer}, "a rule that nothing needs any more"
    assert positive > len(asked) / 8, "the questions miss the zones"
