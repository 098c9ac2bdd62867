"""What a run has read, and what it could not read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from netwatch.core.anomalies import limit_ether_types
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The counts of a run.

    `captures`, `packets` and `wire_bytes` (their length on the wire) are of captures; `logs` are
    the files of logs by format, `records` the records in them, `unread_records` those that could
    not be read, by reason. `observations` are by kind of evidence, `anomalies` by name.

    `unread` has a sentence for each file or path that could not be read, or not to its end because
    its storage failed; `notes` for those read in part because they are damaged or cut off, of which
    `damaged` has the bytes that were not read, by file. `skipped` are files in folders that are
    neither captures nor logs, or evidence that netwatch wrote. No sentence has a control character
    in it.

    A scan has also the number of its `incidents` by verdict, and of its `contacts` without a
    verdict by reason; `recorded` incidents are below the confidence that their ban requires, and
    `left_out` counts what did not fit into the tables of an incident.
    """

    captures: int = 0
    packets: int = 0
    wire_bytes: int = 0
    logs: Mapping[str, int] = field(default_factory=dict)
    records: int = 0
    unread_records: Mapping[str, int] = field(default_factory=dict)
    observations: Mapping[str, int] = field(default_factory=dict)
    anomalies: Mapping[str, int] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    damaged: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    incidents: Mapping[str, int] = field(default_factory=dict)
    without_verdict: Mapping[str, int] = field(default_factory=dict)
    recorded: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)


def summary_of(
    statistics: RunStatistics,
    *,
    incidents: Mapping[str, int] | None = None,
    recorded: int = 0,
    left_out: Mapping[str, int] | None = None,
) -> Summary:
    """The summary of the counts so far, which may go on to change."""
    unread_records: Counter[str] = Counter()
    for (_, reason), count in statistics.unread_records.items():
        unread_records[reason] += count
    return Summary(
        captures=statistics.files,
        packets=statistics.packets,
        wire_bytes=statistics.wire_bytes,
        logs=_ordered(statistics.logs),
        records=statistics.records,
        unread_records=_ordered(unread_records),
        observations=_ordered(statistics.observations),
        anomalies=_ordered(limit_ether_types(statistics.anomalies)),
        unread=tuple(map(escaped, statistics.unread)),
        notes=tuple(map(escaped, statistics.notes)),
        damaged=dict(statistics.damaged),
        skipped=(*statistics.skipped, *statistics.own_evidence),
        incidents=_ordered(incidents or {}),
        without_verdict=_ordered(statistics.without_verdict),
        recorded=recorded,
        left_out=_ordered(left_out or {}),
    )


def _ordered(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Counts that are not 0, in the order of their names."""
    return {name: counts[name] for name in sorted(counts) if counts[name]}
