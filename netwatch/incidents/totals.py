"""What contacts came to in sum: what they are counted as, their payload, and when they were.

An incident has one of these. Where something became of a contact under some bans only, because
another contact of its flow came first under the others, the incident has a further one with the
differences for these bans.
"""

from collections import Counter

from netwatch.incidents.activity import ActivityTable
from netwatch.incidents.progress import ContactProgress, Tally


class Totals:
    """The payload of flows, sent and received, by what how many connections were blocked before an
    answer, what contacts other than lookups are counted as (of lookups, the answers tell), and the
    activity."""

    __slots__ = ("activity", "bytes_in", "bytes_out", "refusals", "tallies")

    def __init__(self) -> None:
        self.bytes_out = self.bytes_in = 0
        self.refusals: Counter[str] = Counter()
        self.tallies: Counter[Tally] = Counter()
        self.activity = ActivityTable()

    def add_progress(self, kind: int, progress: ContactProgress) -> None:
        """Add what became of contacts with hosts of a class (`netwatch.incidents.activity`)."""
        self.bytes_out += progress.bytes_out
        self.bytes_in += progress.bytes_in
        if progress.contacts:
            self.tallies[progress.was] -= progress.contacts
            self.tallies[progress.now] += progress.contacts
            if progress.was == "blocked" and progress.was_by:
                self.refusals[progress.was_by] -= progress.contacts
            if progress.now == "blocked" and progress.by:
                self.refusals[progress.by] += progress.contacts
        self.activity.add_progress(kind, progress)

    def merge(self, other: "Totals") -> None:
        """Add everything that another part counted."""
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in
        for by, contacts in other.refusals.items():
            self.refusals[by] += contacts
        for tally, contacts in other.tallies.items():
            self.tallies[tally] += contacts
        self.activity.merge(other.activity)
