"""What was met on the way, for the summary at the end."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class RunStatistics:
    """Counts of one run, or of one worker's share; they add up.

    `octets` are bytes on the wire, `observations` count by evidence, `anomalies` by name,
    `without_verdict` the contacts that no ban says anything of, by the reason. `notes` are
    sentences on captures that were read in part, `unread` on those that were not read at
    all, `skipped` the files in folders that are no captures.
    """

    files: int = 0
    packets: int = 0
    octets: int = 0
    candidates: int = 0
    observations: Counter[str] = field(default_factory=Counter)
    anomalies: Counter[str] = field(default_factory=Counter)
    without_verdict: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, other: "RunStatistics") -> None:
        """Take in the counts of another."""
        self.files += other.files
        self.packets += other.packets
        self.octets += other.octets
        self.candidates += other.candidates
        self.observations.update(other.observations)
        self.anomalies.update(other.anomalies)
        self.without_verdict.update(other.without_verdict)
        self.notes += other.notes
        self.unread += other.unread
        self.skipped += other.skipped
