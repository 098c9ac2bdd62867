"""What workers do: judge a unit, fold results into one, and select what is reported.

Each task reads from the ledger and writes to it, and returns next to nothing, so that neither the
scheduler nor the process that began the run holds results. A task that is done twice writes the
same object twice.
"""

import heapq
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from netwatch.cluster.reports import Chunk, write_report
from netwatch.cluster.result_file import (
    Entry,
    Head,
    ResultError,
    read_entries,
    read_head,
    write_entries,
    write_result,
)
from netwatch.cluster.storage import MissingError, Storage
from netwatch.cluster.units import Unit, Unread, changed, code_version
from netwatch.config import Config
from netwatch.core.errors import CaptureError, NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import pipeline
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.scan import ScanIncidents, entry_order
from netwatch.incidents.senders import merged
from netwatch.incidents.shared import reported
from netwatch.incidents.spill import PARTITIONS


class VersionError(NetwatchError):
    """A worker has another netwatch than the process that began the run."""


@dataclass(frozen=True, slots=True)
class UnitTask:
    """A unit to judge. Its result becomes the object `kept`, or `unkept` where a file could not be
    read: it is tried again by the next run. With `anew` a result that is there is replaced."""

    storage: Storage
    version: str
    unit: Unit
    kept: str
    unkept: str
    keep_frames: bool
    anew: bool = False


@dataclass(frozen=True, slots=True)
class UnitDone:
    """The result of a unit: its object, None where there is none for the reason `error`; whether
    it `is_kept` for later runs, and whether it `was_there` already."""

    name: str | None
    error: str = ""
    is_kept: bool = False
    was_there: bool = False


@dataclass(frozen=True, slots=True)
class FoldTask:
    """Results to fold into the object `name`, in order: names of objects, or why there is none."""

    storage: Storage
    version: str
    name: str
    parts: tuple[str | Unread, ...]


@dataclass(frozen=True, slots=True)
class FoldDone:
    """How many incidents a fold has. Where a result is `damaged`, there is no fold; these are the
    names of such results."""

    entries: int = 0
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportTask:
    """Some partitions of folds, whose reported incidents become the object `name`."""

    storage: Storage
    version: str
    name: str
    folds: tuple[str, ...]
    partitions: range


@dataclass(frozen=True, slots=True)
class ReportDone:
    """What a report has: its chunks, and the counts of `netwatch.incidents.scan.ScanResult`."""

    chunks: tuple[Chunk, ...]
    by_verdict: Counter[str]
    recorded: int
    limits: Counter[str]
    contradictions: Counter[str]


def judge(config: Config, task: UnitTask) -> UnitDone:
    """Judge a unit."""
    _check_version(task.version)
    if not task.anew and _is_there(task.storage, task.kept):
        return UnitDone(task.kept, is_kept=True, was_there=True)
    statistics, coverage, unit = RunStatistics(), Coverage(), task.unit
    with ScanIncidents(config.quiet_gap) as incidents:
        files = unit.log or [each.file for each in unit.files]
        pipeline.scan(
            files, config, statistics, incidents, coverage=coverage, keep_frames=task.keep_frames
        )
        is_kept = not statistics.unread
        if is_kept:
            try:
                error = changed(unit)
            except CaptureError as gone:
                error = str(gone)
            if error is not None:
                return UnitDone(None, error)
        name = task.kept if is_kept else task.unkept
        found = incidents.partitions()
        statistics.anomalies += incidents.senders.anomalies()
        write_result(
            task.storage,
            name,
            unit.name,
            statistics,
            coverage,
            incidents.senders,
            found,
            write_entries,
        )
    return UnitDone(name, is_kept=is_kept)


def fold(config: Config, task: FoldTask) -> FoldDone:
    """Fold results into one."""
    _check_version(task.version)
    heads: list[Head] = []
    statistics, coverage, damaged = RunStatistics(), Coverage(), []
    for part in task.parts:
        if isinstance(part, Unread):
            statistics.unread.append(part.reason)
            continue
        try:
            head = read_head(task.storage, part)
        except (ResultError, MissingError):
            damaged.append(part)
            continue
        statistics.merge(head.statistics)
        coverage.merge(head.coverage)
        heads.append(head)
    if damaged:
        return FoldDone(damaged=tuple(damaged))
    entries = sum(head.entries for head in heads)
    partitions = _merged_partitions(task.storage, heads, config.quiet_gap)
    try:
        write_result(
            task.storage,
            task.name,
            "several captures",
            statistics,
            coverage,
            merged(head.senders for head in heads),
            partitions,
            write_entries,
        )
    except ResultError as error:
        return FoldDone(damaged=(error.name,))
    return FoldDone(entries)


def select(config: Config, task: ReportTask) -> ReportDone:
    """Write what is reported of some partitions, each of whose subjects is in memory alone."""
    _check_version(task.version)
    heads = [read_head(task.storage, name) for name in task.folds]
    senders = merged(head.senders for head in heads)
    found = ReportDone((), Counter(), 0, Counter(), Counter())
    recorded = 0

    def to_report() -> Iterator[tuple[tuple[str, ...], "Entry"]]:
        nonlocal recorded
        for partition in task.partitions:
            for entries in _subjects(task.storage, heads, partition, config.quiet_gap):
                keys = {
                    key: [incident for _, incident in of]
                    for key, of in groupby(entries, key=lambda entry: entry[0])
                }
                for unsettled, rulings in reported(keys.items(), config.quiet_gap):
                    incident = unsettled.settled(senders)
                    for type_, contacts in incident.contradictions.by_type().items():
                        found.contradictions[type_] += contacts * len(rulings)
                    chosen = incident.reportable(rulings)
                    recorded += len(rulings) - len(chosen)
                    for name, contacts in incident.left_out.items():
                        found.limits[f"incident-{name}"] += contacts * len(rulings)
                    found.by_verdict.update(ruling.kind for ruling in chosen)
                    if chosen:
                        yield tuple(each.ban.id for each in chosen), (entries[0][0], incident)

    chunks = write_report(task.storage, task.name, to_report())
    return ReportDone(chunks, found.by_verdict, recorded, found.limits, found.contradictions)


def _merged_partitions(
    storage: Storage, heads: Sequence[Head], quiet_gap: int
) -> Iterator[Iterable[Entry]]:
    for partition in range(PARTITIONS):
        yield (
            entry
            for entries in _subjects(storage, heads, partition, quiet_gap)
            for entry in entries
        )


def _subjects(
    storage: Storage, heads: Sequence[Head], partition: int, quiet_gap: int
) -> Iterator[Sequence[Entry]]:
    """The merged incidents of one device and app after the other, in a partition of several
    results."""
    filled = [head for head in heads if head.parts[partition].entries]
    streams = [read_entries(storage, head, partition, quiet_gap) for head in filled]
    ordered = heapq.merge(*streams, key=entry_order)
    for _, group in groupby(ordered, key=lambda entry: entry[0][:2]):
        merged = Incidents(quiet_gap, limit=sys.maxsize, evidence_bytes=sys.maxsize)
        for key, incident in group:
            merged.insert(key, incident)
        yield sorted(merged, key=entry_order)


def _is_there(storage: Storage, name: str) -> bool:
    try:
        read_head(storage, name)
    except (ResultError, MissingError):
        return False
    return True


def _check_version(expected: str) -> None:
    if expected != code_version():
        raise VersionError(
            f"a worker has netwatch {code_version()}, this process {expected}: install the same"
            " version everywhere"
        )
