"""The summary that a run prints to standard error when it ends."""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, get_args

from netwatch import __version__
from netwatch.cli.printing import print_message, print_value
from netwatch.config import Config
from netwatch.core.alert import IncidentKind, Judgement
from netwatch.core.statistics import RunStatistics, limit_ether_types
from netwatch.core.text import quantity
from netwatch.core.verdict import Outcome
from netwatch.coverage.counts import DEVICE_LIMIT, CoverageReport
from netwatch.dissect.loop.layout import HARMLESS
from netwatch.formats.coverage import k_words, reasons

if TYPE_CHECKING:
    from netwatch.cluster.archive import UnitCounts
    from netwatch.incidents.evidence_folder import EvidenceFolder

SKIPPED_LISTED = 8
"""Skipped files to list without --verbose; the others are only counted."""

NOTES_LISTED = 3
"""Files to list without --verbose if several have the same message."""

_KINDS: Mapping[IncidentKind, str] = {
    "session": "session",
    "background": "background contact",
    "embed": "embed",
    "lookup": "lookup",
}

MISSED_LISTED = 5
"""Reasons to list why flows are outside all networks because of their VLAN tag; all are in the
report of `--coverage`."""


class IncidentCounts(Protocol):
    """The counts of incidents, as in `netwatch.incidents.scan.ScanResult`."""

    @property
    def by_verdict(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def recorded(self) -> int: ...  # noqa: D102

    @property
    def limits(self) -> Mapping[str, int]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run of `seconds` read and found. A part is None if the run did not have it. `judged`
    are the incidents by kind and outcome, `restored` those, by verdict, that an earlier run had
    reported and left open, `units` those of an archive. With `of_logs` only logs were to be read.
    `notes_shown` means that the notes on the configuration were already shown. Without
    `counts_logs` the flows of logs are not in `coverage`."""

    statistics: RunStatistics
    seconds: float
    config: Config | None = None
    incidents: IncidentCounts | None = None
    judged: Mapping[Judgement, int] = field(default_factory=dict)
    restored: Mapping[str, int] = field(default_factory=dict)
    coverage: CoverageReport | None = None
    evidence: "EvidenceFolder | None" = None
    strict: bool = False
    units: "UnitCounts | None" = None
    of_logs: bool = False
    notes_shown: bool = False
    counts_logs: bool = True

    def show(self, args: argparse.Namespace) -> None:
        """Print the errors; without ``--quiet`` also the notes and the summary itself. With
        `strict`, notes on captures that were read only in part are errors."""
        for error in self.statistics.unread:
            print_message(f"netwatch: {error}")
        notes = self.statistics.notes
        if not (self.strict or args.verbose):
            notes = [] if args.quiet else [*_shortened(notes)]
        for note in notes:
            print_message(f"netwatch: {note}")
        if args.quiet:
            return
        for note in self.config.notes if self.config and not self.notes_shown else ():
            print_message(f"netwatch: {note}")
        for label, text in self._lines(args.verbose):
            print_value(f"{label:<13} ", text, is_message=True)

    def _lines(self, verbose: bool) -> Iterator[tuple[str, str]]:
        statistics = self.statistics
        # Nothing is known about what could not be read: "incidents none" would say that it has
        # none.
        is_unread = bool(statistics.unread) and not _has_read(statistics)
        read = "nothing" if is_unread else ", ".join(_read(statistics, self.of_logs))
        yield "read", f"{read} in {self.seconds:.2f} s (netwatch {__version__})"
        if self.config is not None:
            yield "configuration", f"{self.config.path or 'built-in'} ({self.config.version})"
        if self.units is not None:
            yield "units", _units(self.units)
        if not is_unread:
            yield from self._found(verbose)
        if statistics.skipped:
            yield "skipped", f"neither captures nor logs: {_skipped(statistics.skipped, verbose)}"
        if statistics.own_evidence:
            paths = _skipped(statistics.own_evidence, verbose)
            yield "skipped", f"evidence that netwatch wrote, which is read only if named: {paths}"
        if statistics.damaged:
            damaged = quantity(len(statistics.damaged), "file")
            unread = quantity(sum(statistics.damaged.values()), "byte")
            yield "damaged", f"{damaged} (see above), {unread} not read"
        if statistics.unread:
            yield "not read", f"{quantity(len(statistics.unread), 'file')} (listed above)"

    def _found(self, verbose: bool) -> Iterator[tuple[str, str]]:
        """What was found in what was read."""
        statistics = self.statistics
        if statistics.unread_records:
            reasons: Counter[str] = Counter()
            for (_, reason), count in statistics.unread_records.items():
                reasons[reason] += count
            yield "unread", f"{quantity(reasons.total(), 'record')}: {_counts(reasons)}"
        yield "observations", _counts(statistics.observations) or "none"
        if self.incidents is not None:
            yield from _incidents(self.incidents, self.judged, self.restored, statistics)
        if self.evidence is not None:
            files, octets = self.evidence.files, self.evidence.octets
            yield "evidence", f"{quantity(files, 'file')}, {quantity(octets, 'byte')}"
            if self.evidence.left_out:
                yield "left out", _counts(self.evidence.left_out)
        if self.coverage is not None:
            is_partial = bool(statistics.logs) and not self.counts_logs
            if statistics.files or not is_partial:
                for text in _coverage(self.coverage):
                    yield "blind spots", text
            if is_partial:
                yield "blind spots", "flows of logs are counted with --coverage"
        anomalies = limit_ether_types(statistics.anomalies)
        faults = {n: count for n, count in anomalies.items() if n not in HARMLESS}
        yield "anomalies", _counts(faults) or "none"
        if verbose:
            innocent = anomalies - Counter(faults)
            yield "no names in", _counts(innocent) or "no packet"
            yield "candidates", f"{quantity(statistics.candidates, 'packet')} that may carry a name"


def _shortened(notes: Sequence[str]) -> Iterator[str]:
    """Notes on files (``path: text``); if many have the same text, only the first few and how many
    more there are."""
    same: dict[str, list[str]] = {}
    for note in notes:
        same.setdefault(note.partition(": ")[2] or note, []).append(note)
    for text, all_of_them in same.items():
        yield from all_of_them[:NOTES_LISTED]
        if len(all_of_them) > NOTES_LISTED:
            yield f"{quantity(len(all_of_them) - NOTES_LISTED, 'more file')}: {text}"


def _has_read(statistics: RunStatistics) -> bool:
    """Whether anything was read, even only a part of a file."""
    return bool(
        statistics.files or statistics.packets or statistics.logs.total() or statistics.records
    )


def _read(statistics: RunStatistics, of_logs: bool) -> Iterator[str]:
    """What was read: captures, unless there were only logs, and logs with their formats."""
    if of_logs and not statistics.logs:
        yield "no log"
        yield quantity(statistics.records, "record")
        return
    if statistics.files or not statistics.logs:
        yield quantity(statistics.files, "capture")
        yield quantity(statistics.packets, "packet")
        yield quantity(statistics.wire_bytes, "byte")
    if statistics.logs:
        yield f"{quantity(statistics.logs.total(), 'log file')} ({_counts(statistics.logs)})"
        yield quantity(statistics.records, "record")


def _units(counts: "UnitCounts") -> str:
    """How many units of an archive already had a result, and what happened to the others."""
    parts = [f"{counts.there:,} were done before", f"{counts.judged:,} read now"]
    if counts.damaged:
        parts.append(f"{quantity(counts.damaged, 'damaged result')} made again")
    if counts.unsigned:
        parts.append(f"{quantity(counts.unsigned, 'unsigned result')} made again")
    if counts.failed:
        parts.append(f"{counts.failed:,} failed")
    return f"{counts.units:,}: {', '.join(parts)}"


def _incidents(
    incidents: IncidentCounts,
    judged: Mapping[Judgement, int],
    restored: Mapping[str, int],
    statistics: RunStatistics,
) -> Iterator[tuple[str, str]]:
    new = _counts(incidents.by_verdict) or ("none new" if restored else "none")
    earlier = f"; {_counts(restored)} left open by an earlier run" if restored else ""
    yield "incidents", f"{new}{earlier}"
    if judged:
        yield "kinds", _kinds(judged)
    if incidents.recorded:
        yield "recorded", f"{incidents.recorded:,} below the confidence that the ban requires"
    for reason, count in _ordered(statistics.without_verdict):
        yield "no verdict", f"{quantity(count, 'contact')}: {reason}"
    if incidents.limits:
        yield "left out", _counts(incidents.limits)


def _kinds(judged: Mapping[Judgement, int]) -> str:
    """The kinds and outcomes of incidents: ``2 sessions (2 reached), 3 lookups (2 blocked, 1
    unknown)``."""
    parts = []
    for kind, word in _KINDS.items():
        outcomes = [
            f"{judged[kind, outcome]:,} {outcome}"
            for outcome in get_args(Outcome)
            if judged.get((kind, outcome))
        ]
        if outcomes:
            total = sum(judged.get((kind, outcome), 0) for outcome in get_args(Outcome))
            parts.append(f"{quantity(total, word)} ({', '.join(outcomes)})")
    return ", ".join(parts)


def _coverage(report: CoverageReport) -> Iterator[str]:
    """The flows by whether their name could be read, then the packets that are not part of any
    flow. If many could not be read, the share of named flows is included."""
    total = report.total
    share = f"{total.percent} %"
    if report.unreadable_percent:
        share += f", but {report.unreadable_percent} % of the packets could not be read"
    named = f": named {total.named:,} ({share})" if total.flows else ""
    yield ", ".join(filter(None, [f"flows {total.flows:,}{named}", reasons(total)]))
    lost = Counter({"dropped": report.dropped, "cut": report.cut}) + Counter(report.unreadable)
    if lost:
        yield f"packets {report.packets:,}: {_counts(lost)}"
    if report.one_of:
        flows = quantity(sum(report.one_of.values()), "flow")
        yield f"one-of-k, {flows} that may go to a banned app: {k_words(report.one_of)}"
    if found := total.counts.get("vendor-network", 0):
        yield f"vendor-network, {quantity(found, 'flow')}: possible contacts, which raise no alert"
    for reason, count in [*report.missed.items()][:MISSED_LISTED]:
        yield f"outside all networks, {quantity(count, 'flow')}: {reason}"
    further = sum(network.rest.flows for network in report.networks)
    if further:
        flows = quantity(further, "flow")
        yield f"more than {DEVICE_LIMIT:,} devices: {flows} counted only by network"


def _skipped(paths: Sequence[str], verbose: bool) -> str:
    if verbose or len(paths) <= SKIPPED_LISTED:
        return ", ".join(paths)
    listed = ", ".join(paths[:SKIPPED_LISTED])
    return f"{listed} and {len(paths) - SKIPPED_LISTED:,} more"


def _counts(counts: Mapping[str, int]) -> str:
    """Names with their counts, the most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in _ordered(counts))


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names with their counts, the most frequent first and equal counts by name: the order does not
    depend on what was counted first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
