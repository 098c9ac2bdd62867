"""What contacts came to in sum: what they are counted as, their payload, and when they were.

An incident has one of these. Where something became of a contact under some bans only, because
another contact of its flow came first under the others, the incident has a further one with the
differences for these bans.
"""

from collections import Counter

from netwatch.incidents.activity import ActivityTable
from netwatch.incidents.progress import ContactProgress, Tally


class Totals:
    """The payload of flows, sent and received, the connections that were reset, what contacts other
    than lookups are counted as (of lookups, the answers tell), and the activity."""

    __slots__ = ("activity", "bytes_in", "bytes_out", "resets", "tallies")

    def __init__(self) -> None:
        self.bytes_out = self.bytes_in = self.resets = 0
        self.tallies: Counter[Tally] = Counter()
        self.activity = ActivityTable()

    def add_progress(self, kind: int, progress: ContactProgress) -> None:
        """Add what became of contacts with hosts of a class (`netwatch.incidents.activity`)."""
        self.bytes_out += progress.bytes_out
        self.bytes_in += progress.bytes_in
        if progress.contacts:
            self.tallies[progress.was] -= progress.contacts
            self.tallies[progress.now] += progress.contacts
            self.resets += progress.contacts * (
                (progress.now == "blocked") - (progress.was == "blocked")
            )
        self.activity.add_progress(kind, progress)

    def merge(self, other: "Totals") -> None:
        """Add everything that another part counted."""
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in
        self.resets += other.resets
        for tally, contacts in other.tallies.items():
            self.tallies[tally] += contacts
        self.activity.merge(other.activity)
