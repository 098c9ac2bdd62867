"""The counts of a run, for the summary at its end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class TableUsage(NamedTuple):
    """How full a table is: its entries, how many it can have, and how many were evicted or
    rejected because it was full."""

    entries: int
    limit: int
    evicted: int


@dataclass()
class RunStatistics:
    """The counts of one run, or of the part that one worker process did.

    `wire_bytes` is the length of all packets on the wire, `candidates` counts packets that could
    carry a name. `observations` is by kind of evidence, `anomalies` by name, and
    `without_verdict` counts contacts that no ban applies to, by reason. `notes` are sentences
    about captures that were read only in part, `unread` about those that could not be read at
    all, or not to their end because their storage failed. `damaged` are captures that are damaged
    or truncated, each with the bytes that were not read. `skipped` are the files in folders that
    are not captures, `own_evidence` those that are evidence which netwatch wrote. `recorded_rows`
    are those that were recorded for a store, `lost_rows` those of them that were not sent there;
    `unrecorded_packets` were not looked at for it, because a live capture was behind. Of logs,
    `logs` are the files read by their format, `records` the records in them, and `unread_records`
    those that could not be read, by file and reason.
    """

    files: int = 0
    packets: int = 0
    wire_bytes: int = 0
    candidates: int = 0
    observations: Counter[str] = field(default_factory=Counter)
    anomalies: Counter[str] = field(default_factory=Counter)
    without_verdict: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    damaged: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    own_evidence: list[str] = field(default_factory=list)
    recorded_rows: int = 0
    lost_rows: int = 0
    unrecorded_packets: int = 0
    logs: Counter[str] = field(default_factory=Counter)
    records: int = 0
    unread_records: Counter[tuple[str, str]] = field(default_factory=Counter)

    def merge(self, other: "RunStatistics") -> None:
        """Add the counts of another part of the run."""
        self.files += other.files
        self.packets += other.packets
        self.wire_bytes += other.wire_bytes
        self.candidates += other.candidates
        self.observations.update(other.observations)
        self.anomalies.update(other.anomalies)
        self.without_verdict.update(other.without_verdict)
        self.notes += other.notes
        self.unread += other.unread
        self.damaged |= other.damaged
        self.skipped += other.skipped
        self.own_evidence += other.own_evidence
        self.recorded_rows += other.recorded_rows
        self.lost_rows += other.lost_rows
        self.unrecorded_packets += other.unrecorded_packets
        self.logs.update(other.logs)
        self.records += other.records
        self.unread_records.update(other.unread_records)
