"""The same generated zones in Leeward and in Knot DNS and NSD, the same questions to all: the answers must be the same.

Compared are RCODE, the flags AA, TC, RD, RA and AD, whether there is an OPT record, the question byte by byte, and the
three sections as sets of records with their TTLs. Where we differ on purpose, a rule below says so and why (docs/dns.md,
"Differences"); everything else fails, and so does a rule that a long run no longer needs. LEEWARD_SEED replays or varies
the questions; LEEWARD_QUESTIONS says how many (`make differential`: 100,000), new zones for each 5,000 of them.
"""

import os
import time

import pytest

from generator import APEXES, NUMBERS, Maker, questions, wire
from messages import Asker, Response
from peers import Knot, Nsd, zone_file
from process import wait_for

SEED = int(os.environ.get("LEEWARD_SEED", "20261121"))
QUESTIONS = int(os.environ.get("LEEWARD_QUESTIONS", "5000"))
ROUND = 5000
FLAGS = 0x0400 | 0x0200 | 0x0100 | 0x0080 | 0x0020  # AA TC RD RA AD
CNAME, NS, HINFO, DS, SVCB, HTTPS, ANY = 5, 2, 13, 43, 64, 65, 255
UNDELEGATED = wire((b"under", b"other", b"example"))  # deep.under.other.example has no NS in other.example
ZONES = sorted((wire(apex) for apex in APEXES.values()), key=len, reverse=True)


def zone_of(name, kind=None):
    """The apex of the zone that answers: for DS the one above."""
    return next((apex for apex in ZONES if name.endswith(apex) and not (kind == DS and name == apex)), None)


def same(ours, theirs, *sections):
    return all(sorted(getattr(ours, section)) == sorted(getattr(theirs, section)) for section in sections)


def _courtesy(question, ours, theirs):
    """All is the same but for addresses and services in the additional section; no referral, whose glue is no courtesy."""
    referral = not ours.flags & 0x0400 and any(kind == NS for _, kind, _, _ in ours.authority)
    return (ours.rcode, ours.flags & FLAGS) == (theirs.rcode, theirs.flags & FLAGS) and not referral and \
        same(ours, theirs, "answer", "authority") and \
        all(kind in (1, 28, SVCB, HTTPS) for _, kind, _, _ in ours.additional + theirs.additional) and \
        all((zone_of(owner), owner, kind) in question.known or owner == ours.answer[-1][0] for owner, kind, _, _ in ours.additional)


def _no_wildcard_glue(question, ours, theirs):
    """A referral, the same but for addresses of name servers that only a wildcard at or below a cut has."""
    more = [one for one in theirs.additional if one not in ours.additional]
    return ours.rcode == theirs.rcode == 0 and ours.flags & FLAGS == theirs.flags & FLAGS and not ours.flags & 0x0400 and \
        same(ours, theirs, "answer", "authority") and more and \
        all(one in theirs.additional for one in ours.additional) and \
        all(kind in (1, 28) and (zone_of(ours.authority[0][0]), owner, kind) not in question.known for owner, kind, _, _ in more)


def _types_of_dnssec(question, ours, theirs):
    """At a CNAME: one of us follows it, the other says that there is nothing of that type."""
    return question.kind in (46, 47, 50) and bool(ours.answer) != bool(theirs.answer) and \
        (ours.answer or theirs.answer)[0][1] == CNAME


def _names_above_other_zones(question, ours, theirs):
    """Something was asked, or led, to a name above a zone that its parent does not delegate."""
    led = [question.name_wire, *(target for _, kind, _, target in ours.answer if kind == CNAME)]
    return theirs.rcode in (0, 3) and any(
        name.lower().endswith(UNDELEGATED) and (zone_of(name.lower()) == zone_of(UNDELEGATED) or question.kind == DS)
        for name in led)


def _the_same_twice(question, ours, theirs):
    """A circle of CNAMEs, where they write the record with which it closes once more."""
    return ours.rcode == theirs.rcode == 0 and len(ours.answer) == len(set(ours.answer)) < len(theirs.answer) and \
        set(ours.answer) == set(theirs.answer) and same(ours, theirs, "authority", "additional")


def _minimal_any(question, ours, theirs):
    """One RRset of the name, where they give them all or some."""
    return question.kind == ANY and ours.rcode == theirs.rcode == 0 and ours.flags & 0x0400 == theirs.flags & 0x0400 and \
        len({(owner, kind) for owner, kind, _, _ in ours.answer}) == 1 and ours.answer[0][1] in (HINFO, CNAME) and \
        (theirs.answer or theirs.truncated)


def _stays_in_its_zone(question, ours, theirs):
    """The same up to a CNAME whose target is in another zone of ours; what they make of the rest is that zone's without it."""
    leaves = next((number for number, (owner, kind, _, target) in enumerate(ours.answer, 1)
                   if kind == CNAME and zone_of(target) not in (None, zone_of(owner, question.kind))), None)
    return leaves is not None and ours.answer[:leaves] == theirs.answer[:leaves]


def _gives_up_a_long_chain(question, ours, theirs):
    """Their answer is the beginning of ours, some CNAMEs of a longer chain."""
    return len(theirs.answer) >= 5 and all(kind == CNAME for _, kind, _, _ in theirs.answer) and not theirs.authority and \
        ours.answer[:len(theirs.answer)] == theirs.answer and len(ours.answer) > len(theirs.answer)


def _our_longest_chain(question, ours, theirs):
    """Our answer is the beginning of theirs, twelve CNAMEs of a longer chain."""
    return len(ours.answer) == 12 and all(kind == CNAME for _, kind, _, _ in ours.answer) and not ours.authority and \
        not ours.additional and ours.rcode == 0 and theirs.answer[:12] == ours.answer


# What we do otherwise: peer, name of the rule, why, whether it covers the question, our answer and theirs. The same table
# is in docs/dns.md.
ALLOWED = [
    (Knot, "courtesy addresses", "RFC 1034 section 4.3.2 step 6 leaves to the server which addresses it adds.", _courtesy),
    (Nsd, "courtesy addresses", "as for Knot", _courtesy),
    (Knot, "wildcards are no glue", "What a wildcard below a cut would make is not in the zone (RFC 4592 section 2.1.1 "
     "with RFC 1034 section 4.2.1), and RFC 9471 asks for the addresses that the zone has.", _no_wildcard_glue),
    (Nsd, "wildcards are no glue", "as for Knot", _no_wildcard_glue),
    (Nsd, "DNSSEC types at a CNAME", "NSEC and RRSIG stand beside a CNAME (RFC 4034 section 4), so that we, as Knot, "
     "answer that there are none; NSD follows it for NSEC, and does not for NSEC3.", _types_of_dnssec),
    (Nsd, "names above undelegated zones", "NSD keeps one tree of names for all its zones: what lies between a zone and "
     "its child exists for it, though the zone has no delegation there, and hides its wildcards. A zone's names are "
     "its own (RFC 1034 section 4.2); Knot answers as we do.", _names_above_other_zones),
    (Knot, "circles through a wildcard", "They give the CNAME twice; an RRset has no record twice (RFC 2181 section 5).",
     _the_same_twice),
    (Nsd, "circles through a wildcard", "as for Knot", _the_same_twice),
    (Knot, "minimal ANY", "RFC 8482 section 4: one RRset is enough.", _minimal_any),
    (Nsd, "minimal ANY", "as for Knot", _minimal_any),
    (Knot, "chains across zones", "RFC 1034 section 4.3.2 step 3a starts again at step 2 with the new name, in whichever "
     "zone of this server holds it; Knot stays in the zone that it found first. NSD and Route 53 go on as we do.",
     _stays_in_its_zone),
    (Knot, "long chains", "Knot answers no more than five CNAMEs of a chain and leaves the rest to the resolver; NSD "
     "goes on as we do.", _gives_up_a_long_chain),
    (Nsd, "longest chains", "We answer no more than twelve CNAMEs of a chain.", _our_longest_chain),
]


def view(response):
    return (response.rcode, response.flags & FLAGS, response.edns is None, sorted(response.answer),
            sorted(response.authority), sorted(response.additional))


class Comparison:
    """What three servers said to the same questions."""

    def __init__(self, ours, peers):
        self.ours = Asker(ours)
        self.peers = [(type(peer), Asker(peer.server)) for peer in peers]
        self.used, self.wrong, self.positive, self.asked, self.truncated = {}, [], 0, 0, 0

    def close(self):
        self.ours.close()
        for _, asker in self.peers:
            asker.close()

    def run(self, asked):
        self.asked += len(asked)
        ours = [Response(one) for one in self.ours.all(asked)]
        self.positive += sum(bool(one.answer) for one in ours)
        for question, response in zip(asked, ours):
            limit = 512 if question.payload is None else max(512, min(1232, question.payload))
            if response.question != question.question or len(response.wire) > limit or \
                    (response.edns is None) != (question.payload is None):
                self.wrong.append(f"{question}: question, size or OPT of our own answer: {response.wire.hex()}")
        for peer, asker in self.peers:
            for question, mine, one in zip(asked, ours, asker.all(asked)):
                self.compare(peer, asker, question, mine, Response(one))

    def compare(self, peer, asker, question, ours, theirs):
        if view(ours) == view(theirs) and not ours.truncated:
            return
        if ours.truncated or theirs.truncated or view(ours)[:-1] == view(theirs)[:-1]:
            # Whose names are compressed further fits more; what a truncated answer holds counts for nothing (RFC 2181
            # section 9), and addresses that are no in-domain glue may be left out without TC. Over TCP both are whole.
            self.truncated += 1
            ours, theirs = Response(self.ours.tcp(question)), Response(asker.tcp(question))
            if view(ours) == view(theirs):
                return
        rule = next((rule for which, rule, _, covers in ALLOWED if which is peer and covers(question, ours, theirs)), None)
        if rule:
            self.used[peer, rule] = self.used.get((peer, rule), 0) + 1
        else:
            self.wrong.append(f"{question}, {peer.__name__}:\n{differences(ours, theirs)}")


def differences(ours, theirs):
    lines = [f"    {what}: {getattr(ours, what):04x} {getattr(theirs, what):04x}" for what in ("rcode", "flags")]
    for what in ("answer", "authority", "additional"):
        mine, other = getattr(ours, what), getattr(theirs, what)
        if sorted(mine) != sorted(other):
            lines.append(f"    {what}, {len(mine)} and {len(other)}")
            lines += [f"        - {one}" for one in mine if one not in other][:8]
            lines += [f"        + {one}" for one in other if one not in mine][:8]
    return "\n".join(lines)


def load(daemon, zones):
    """The zones in the daemon; {apex: master file} with the very SOA and NS that the daemon made."""
    client = daemon.client("route53")
    files, change = {}, None
    for apex, zone in zones.items():
        made = daemon.create_zone(apex)
        head = zone_file(client.list_resource_record_sets(HostedZoneId=made)["ResourceRecordSets"]).splitlines()[1:]
        files[apex] = zone.master_file(head)
        batch, size = [], 0
        for one in [*zone.record_sets(), None]:
            length = sum(len(value["Value"]) for value in one["ResourceRecords"]) if one else 0
            if batch and (one is None or size + length > 30_000 or len(batch) == 200):
                change = daemon.change(made, *batch)["ChangeInfo"]["Id"]
                batch, size = [], 0
            if one:
                batch.append(one)
                size += length
    wait_for(lambda: client.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC", 10, "INSYNC")
    return files


def test_answers_are_those_of_other_servers(sandbox):
    used, wrong, positive, asked, truncated, begun = {}, [], 0, 0, 0, time.monotonic()
    print(f"seed {SEED}, {QUESTIONS} questions")
    for number in range((QUESTIONS + ROUND - 1) // ROUND):
        seed, count = SEED + number, min(ROUND, QUESTIONS - number * ROUND)
        zones = Maker(seed).make()
        daemon = sandbox.daemon().start()
        files = load(daemon, zones)
        peers = [sandbox.add(kind(sandbox.folder / f"{kind.__name__}{number}", sandbox.address(), files)).start()
                 for kind in (Knot, Nsd)]
        comparison = Comparison(daemon.dns, peers)
        known = {(wire(zone.apex), wire(name), NUMBERS[kind]) for zone in zones.values() for name, kind in zone.sets}
        asked_now = list(questions(seed, zones, count))
        for question in asked_now:
            question.known = known
        comparison.run(asked_now)
        comparison.close()
        for one in (daemon, *peers):
            one.stop()
        for rule, times in comparison.used.items():
            used[rule] = used.get(rule, 0) + times
        wrong += [f"seed {seed}: {one}" for one in comparison.wrong]
        positive, asked, truncated = (positive + comparison.positive, asked + comparison.asked,
                                      truncated + comparison.truncated)
    print(f"{asked} questions, {positive} with an answer, {truncated} compared over TCP, {time.monotonic() - begun:.0f} s")
    for (peer, rule), times in sorted(used.items(), key=lambda one: (one[0][0].__name__, one[0][1])):
        print(f"    {peer.__name__}: {rule}: {times}")
    assert not wrong, f"{len(wrong)} differences in {asked} questions:\n" + "\n".join(wrong[:40])
    assert positive > asked / 4, "the questions miss the zones"
    if QUESTIONS >= 20 * ROUND:
        unused = [(peer.__name__, rule) for peer, rule, _, _ in ALLOWED if (peer, rule) not in used]
        assert not unused, f"rules that nothing needs any more: {unused}"
