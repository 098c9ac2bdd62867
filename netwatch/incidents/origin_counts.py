"""What an incident counts of its contacts: by origin, because two may show the same contact.

An origin is what was captured, or the program whose log was read (`netwatch.core.log_info`). What
one origin shows is added up. Of several origins nobody knows which of their contacts are the same,
so of each count the largest is reported, and nothing is counted twice. Sums and maxima do not
depend on the order of arrival.
"""

import hashlib
from collections.abc import Mapping, Sequence

from netwatch.core.log_info import PACKETS
from netwatch.core.message import HANDSHAKES, LOOKUPS
from netwatch.core.verdict import RESET, Contact
from netwatch.incidents.activity import CLASSES, FILTERED, class_of, is_filtered
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.contacts import first_tally
from netwatch.incidents.lookup_answers import LookupAnswers
from netwatch.incidents.outcomes import ORDER, settled, strongest
from netwatch.incidents.progress import ContactProgress
from netwatch.incidents.totals import Totals

FLOW_LIMIT = 1024
"""Flows of one incident that are counted exactly; more are estimated."""

PARTIAL_LIMIT = 64
"""Sets of bans for which an incident stores what became of contacts under them alone."""

_HASHES = 1 << 64


class OriginCounts:
    """What one origin shows of an incident. `partial` is what became of contacts under some bans
    only, by their ids; `partial_dropped` counts what exceeded `PARTIAL_LIMIT`."""

    __slots__ = (
        "flows",
        "handshakes",
        "lookup_answers",
        "partial",
        "partial_dropped",
        "totals",
    )

    def __init__(self) -> None:
        self.handshakes = 0
        self.flows = BoundedTable(FLOW_LIMIT)
        self.lookup_answers = LookupAnswers()
        self.totals = Totals()
        self.partial: dict[frozenset[str], Totals] = {}
        self.partial_dropped = 0

    def add(self, contact: Contact) -> None:
        """Count a contact."""
        observation, repeats = contact.observation, contact.repeats
        count = 1 if repeats is None else repeats.count
        if observation.evidence in LOOKUPS:
            self.lookup_answers.add(contact)
        else:
            self.totals.tallies[first_tally(contact)] += count
        if contact.blocked_by == RESET:
            self.totals.refusals[RESET] += count
        self.totals.activity.add(contact)
        if observation.evidence in HANDSHAKES:
            self.handshakes += count
            for number in (observation.flow_id,) if repeats is None else repeats.flows:
                flow = f"{observation.source}\0{number}".encode(errors="surrogatepass")
                self.flows.add(int.from_bytes(hashlib.blake2b(flow, digest_size=8).digest()))

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None
    ) -> None:
        """Add what became of contacts that were added before; `contact` is one of them. It concerns
        the bans with these ids, None for all bans of the incident."""
        totals = self.totals if bans is None else self.partial_of(bans)
        if totals is None:
            self.partial_dropped += 1
        else:
            kind = class_of(contact.match)
            if contact.outcome == "blocked" and is_filtered(contact):
                kind = FILTERED
            totals.add_progress(kind, progress)

    def partial_of(self, bans: frozenset[str]) -> Totals | None:
        """What became of contacts under these bans only; None where the limit is reached."""
        totals = self.partial.get(bans)
        if totals is None and len(self.partial) < PARTIAL_LIMIT:
            totals = self.partial[bans] = Totals()
        return totals

    def merge(self, other: "OriginCounts") -> None:
        """Add everything that was counted elsewhere of the same origin."""
        self.handshakes += other.handshakes
        self.flows.merge(other.flows)
        self.lookup_answers.merge(other.lookup_answers)
        self.totals.merge(other.totals)
        for bans, theirs in other.partial.items():
            ours = self.partial_of(bans)
            if ours is None:
                self.partial_dropped += 1
            else:
                ours.merge(theirs)
        self.partial_dropped += other.partial_dropped

    @property
    def lookups(self) -> int:
        """How often names of the app were asked for. A query and its answer are one question."""
        return self.lookup_answers.questions

    @property
    def flow_count(self) -> int:
        """The number of distinct flows: exact up to `FLOW_LIMIT`, beyond it estimated to within
        a few percent from the density of the smallest hashes (k minimum values)."""
        return distinct(self.flows)


def distinct(hashes: BoundedTable) -> int:
    """How many distinct hashes of 64 bits a table was given: exact up to its limit, beyond it
    estimated from the density of the smallest ones (k minimum values)."""
    stored = hashes.items
    if not hashes.left_out:
        return len(stored)
    largest: int = max(stored)
    return max(len(stored), (len(stored) - 1) * _HASHES // largest)


def joined(origins: Mapping[str, OriginCounts]) -> OriginCounts:
    """What several origins show of the same incident: of each count the largest."""
    # The packets first: of origins that show as much as another, the first one counts.
    names = sorted(origins, key=lambda name: (name != PACKETS, name))
    parts = [origins[name] for name in names]
    if len(parts) == 1:
        return parts[0]
    made = OriginCounts()
    made.handshakes = max(part.handshakes for part in parts)
    made.flows = max(parts, key=lambda part: part.flow_count).flows
    made.lookup_answers = LookupAnswers.largest([part.lookup_answers for part in parts])
    made.totals = _joined_totals([part.totals for part in parts])
    made.partial_dropped = max(part.partial_dropped for part in parts)
    return made


def _joined_totals(parts: Sequence[Totals]) -> Totals:
    """The largest volumes. Outcomes come from the origin that shows the strongest one, most often:
    others did not see what came of the same contacts. Of each class of hosts the activity is that
    of the origin with the most bytes, then the most contacts."""
    made = Totals()
    made.bytes_out = max(part.bytes_out for part in parts)
    made.bytes_in = max(part.bytes_in for part in parts)
    for part in parts:
        made.refusals |= part.refusals
    made.tallies = min(parts, key=_weakness).tallies.copy()
    for kind in range(len(CLASSES)):
        tables = [part.activity for part in parts if kind in part.activity.totals]
        if tables:
            of_class = [table.totals[kind] for table in tables]
            best = max(
                range(len(tables)),
                key=lambda at: (
                    of_class[at].bytes_out + of_class[at].bytes_in,
                    of_class[at].contacts,
                    -at,
                ),
            )
            made.activity.merge_class(tables[best], kind)
    for part in parts:
        made.activity.hosts.merge(part.activity.hosts)
        made.activity.stacks.merge(part.activity.stacks)
    return made


def _weakness(part: Totals) -> tuple[int, int]:
    """Smaller where the outcomes of contacts other than lookups say more."""
    counts = settled(part.tallies, ())
    outcome = strongest(counts)
    if not any(counts.values()):
        return len(ORDER), 0
    return ORDER.index(outcome), -counts[outcome]
