"""The tasks of workers: judge a unit, fold results into one, and select what is reported.

Each task reads from the ledger and writes to it, and returns next to nothing, so that neither the
scheduler nor the process that began the run holds results. A task that is done twice writes the
same object twice. It returns the digest of its object, so that an object cannot be replaced by
another one in the ledger: each task is told the digests of what it reads.

The report of an archive is its incidents in the order of their alerts, from many objects. Each
consists of *chunks*, zstd frames of lines like those of a result (`netwatch.cluster.result_file`):
``["reported", [ban, ...], state]`` is an incident with the bans under which it is reported. Each
chunk is sorted by the first contact and fits into memory. The chunks of all reports are merged when
their alerts are read, with one incident of each in memory.
"""

import heapq
import shutil
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from netwatch.cluster.ledger import Unit, Unread, changed, check_version
from netwatch.cluster.result_file import (
    WRONG,
    Entry,
    HashedStream,
    Head,
    LineWriter,
    ResultError,
    Written,
    lines,
    read_entries,
    read_head,
    sealed,
    write_entries,
    write_result,
)
from netwatch.cluster.storage import MissingError, Storage
from netwatch.config import Config
from netwatch.core.alert import Alert, Sensor
from netwatch.core.errors import CaptureError
from netwatch.core.statistics import RunStatistics
from netwatch.core.typed_json import loads, read
from netwatch.coverage.counts import Coverage
from netwatch.engine import pipeline
from netwatch.incidents.aggregate import Incidents, alert_order
from netwatch.incidents.alert_parts import GeoLookup
from netwatch.incidents.incident import Incident
from netwatch.incidents.incident_state import SharedValues, incident_state, restored_incident
from netwatch.incidents.scan import ScanIncidents, entry_order
from netwatch.incidents.senders import merged
from netwatch.incidents.spill import PARTITIONS, reported
from netwatch.incidents.unproven import Place, UnprovenSums, began_at, unproven_places

CHUNK_INCIDENTS = 4096
"""Incidents of a chunk, which are sorted in memory."""

CHUNK_BYTES = 64 << 20
"""Bytes of packets in a chunk."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A place in the object of a report, and the SHA-256 of its content."""

    start: int
    end: int
    digest: str


Reported = tuple[tuple[str, ...], Entry]
"""An incident to report: the bans under which it is one, and the incident with one of its keys."""


def write_report(storage: Storage, name: str, found: Iterable[Reported]) -> tuple[Chunk, ...]:
    """Write incidents, in any order, as the object `name`. Raises
    `netwatch.cluster.storage.StorageError`."""
    chunks: list[Chunk] = []
    with tempfile.TemporaryFile(prefix="netwatch-") as body:
        for entries in _chunks(found):
            start, hashed = body.tell(), HashedStream(body)
            writer = LineWriter(hashed)
            shared = SharedValues(lambda kind, value, to=writer: to.line([kind, value]))  # type: ignore[misc]
            for bans, (_, incident) in entries:
                writer.line(["reported", bans, incident_state(incident, shared)])
            writer.close()
            chunks.append(Chunk(start, body.tell(), hashed.digest))
        body.seek(0)
        with storage.writing(name) as stream:
            shutil.copyfileobj(body, stream)
    return tuple(chunks)


class Report:
    """The alerts of reports, in order. They can be read more than once, while the objects exist;
    `quiet_gap` is in ns."""

    def __init__(
        self,
        storage: Storage,
        reports: Sequence[tuple[str, Chunk]],
        quiet_gap: int,
        geo: GeoLookup | None,
        sensor: Sensor,
    ) -> None:
        self._storage = storage
        self._reports = reports
        self._quiet_gap = quiet_gap
        self._geo = geo
        self._sensor = sensor

    def __iter__(self) -> Iterator[Alert]:
        # Before the first alert: later alterations are still noticed, but only at the end.
        for name, chunk in self._reports:
            self._verify(name, chunk)
        streams = [self._read(name, chunk) for name, chunk in self._reports]
        ordered = heapq.merge(*streams, key=_first)
        for _, together in groupby(ordered, key=_first):
            alerts: list[Alert] = []
            for bans, incident in together:
                rulings = [incident.first_contact.decision.ruling_of(ban) for ban in bans]
                alerts += incident.alerts(rulings, self._geo, self._sensor)
            yield from sorted(alerts, key=alert_order)

    def _verify(self, name: str, chunk: Chunk) -> None:
        """Raise `ResultError` if a chunk is not what was written."""
        try:
            deque(lines(self._storage, name, chunk.start, chunk.end, chunk.digest), maxlen=0)
        except WRONG as error:
            raise ResultError(self._storage, name, f"is damaged ({error})") from None

    def _read(self, name: str, chunk: Chunk) -> Iterator[tuple[tuple[str, ...], Incident]]:
        shared = SharedValues()
        try:
            for line in lines(self._storage, name, chunk.start, chunk.end, chunk.digest):
                kind, *rest = loads(line)
                if kind == "reported":
                    bans, state = rest
                    incident = restored_incident(state, self._quiet_gap, shared)
                    yield read(tuple[str, ...], bans), incident
                else:
                    shared.add(kind, *rest)
        except WRONG as error:
            raise ResultError(self._storage, name, f"is damaged ({error})") from None


def _chunks(found: Iterable[Reported]) -> Iterator[list[Reported]]:
    """Incidents that fit into memory at a time, sorted by their first contact. A chunk is valid
    until the next one is requested."""
    chunk: list[Reported] = []
    octets = 0
    for incident in found:
        chunk.append(incident)
        octets += sum(len(frame.data) for frame in incident[1][1].frames.distinct())
        if len(chunk) >= CHUNK_INCIDENTS or octets >= CHUNK_BYTES:
            chunk.sort(key=_first_of)
            yield chunk
            # The caller still has it, and two would be in memory.
            chunk.clear()
            octets = 0
    if chunk:
        chunk.sort(key=_first_of)
        yield chunk


def _first_of(incident: Reported) -> int:
    return incident[1][1].first


def _first(incident: tuple[tuple[str, ...], Incident]) -> int:
    return incident[1].first


@dataclass(frozen=True, slots=True)
class UnitTask:
    """A unit to judge. Its result becomes the object `kept`, or `unkept` if a file could not be
    read: it is tried again by the next run. An existing one is used if it is sealed with `key`,
    which only the workers of this run have, otherwise replaced."""

    storage: Storage
    version: str
    unit: Unit
    kept: str
    unkept: str
    keep_frames: bool
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnitDone:
    """The result of a unit, None for the reason `error`; whether it `is_kept` for later runs."""

    written: Written | None
    error: str = ""
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class FoldTask:
    """Results to fold into the object `name`, in order, or why there is none."""

    storage: Storage
    version: str
    name: str
    parts: tuple[Written | Unread, ...]


@dataclass(frozen=True, slots=True)
class FoldDone:
    """The fold, and its number of incidents. If a result is `damaged`, there is no fold; these are
    the names of such results."""

    written: Written | None = None
    entries: int = 0
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportTask:
    """Some partitions of folds, whose reported incidents become the object `name`. Incidents of
    unproven clients in the `crowded` places are summed up."""

    storage: Storage
    version: str
    name: str
    folds: tuple[Written, ...]
    partitions: range
    crowded: frozenset[Place] = frozenset()


@dataclass(slots=True)
class ReportDone:
    """The content of a report: its chunks, and the counts of `netwatch.incidents.scan.ScanResult`.
    `sums` are the incidents of its partitions that sum up others, which are not in it."""

    chunks: tuple[Chunk, ...] = ()
    by_verdict: Counter[str] = field(default_factory=Counter)
    recorded: int = 0
    limits: Counter[str] = field(default_factory=Counter)
    contradictions: Counter[str] = field(default_factory=Counter)
    sums: UnprovenSums | None = None


def judge(config: Config, task: UnitTask) -> UnitDone:
    """Judge a unit, unless a worker of this run has done so before it died."""
    check_version(task.version)
    there = sealed(task.storage, task.kept, task.key)
    if there is not None:
        return UnitDone(there, is_kept=True)
    statistics, coverage, unit = RunStatistics(), Coverage(), task.unit
    with ScanIncidents(config.quiet_gap) as incidents:
        files = unit.log or [unit_file.file for unit_file in unit.files]
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
        written = write_result(
            task.storage,
            name,
            unit.name,
            statistics,
            coverage,
            incidents.senders,
            found,
            write_entries,
            task.key,
        )
    return UnitDone(written, is_kept=is_kept)


def fold(config: Config, task: FoldTask) -> FoldDone:
    """Fold results into one."""
    check_version(task.version)
    heads: list[Head] = []
    statistics, coverage = RunStatistics(), Coverage()
    damaged: list[str] = []
    for part in task.parts:
        if isinstance(part, Unread):
            statistics.unread.append(part.reason)
            continue
        try:
            head = read_head(task.storage, part)
        except (ResultError, MissingError):
            damaged.append(part.name)
            continue
        statistics.merge(head.statistics)
        coverage.merge(head.coverage)
        heads.append(head)
    if damaged:
        return FoldDone(damaged=tuple(damaged))
    entries = sum(head.entries for head in heads)
    partitions = _merged_partitions(task.storage, heads, config.quiet_gap)
    try:
        written = write_result(
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
    return FoldDone(written, entries)


def count_unproven(config: Config, task: ReportTask) -> Counter[Place]:
    """How many unproven devices there are in which places, in some partitions."""
    check_version(task.version)
    heads = [read_head(task.storage, name) for name in task.folds]
    found: Counter[Place] = Counter()
    for partition in task.partitions:
        for entries in _devices(task.storage, heads, partition, config.quiet_gap):
            found.update(unproven_places(incident for _, incident in entries))
    return found


def select(config: Config, task: ReportTask) -> ReportDone:
    """Write the reported incidents of some partitions, with only one device in memory at a time."""
    check_version(task.version)
    heads = [read_head(task.storage, name) for name in task.folds]
    sums = UnprovenSums(config.quiet_gap)

    def entries() -> Iterator[Sequence[Entry]]:
        for partition in task.partitions:
            for found in _devices(task.storage, heads, partition, config.quiet_gap):
                unproven = unproven_places(incident for _, incident in found)
                left = []
                for key, incident in found:
                    if began_at(incident) in unproven & task.crowded:
                        sums.add(key, incident)
                    else:
                        left.append((key, incident))
                yield left

    done = report_entries(config, task, entries())
    done.sums = sums if sums.count else None
    return done


def report_entries(
    config: Config, task: ReportTask, devices: Iterable[Sequence[Entry]]
) -> ReportDone:
    """Write the reported ones of these incidents of one device after the other."""
    senders = merged(read_head(task.storage, name).senders for name in task.folds)
    done = ReportDone()

    def to_report() -> Iterator[tuple[tuple[str, ...], "Entry"]]:
        for entries in devices:
            for _, subject in groupby(entries, key=lambda entry: entry[0][:2]):
                keys = {
                    key: [incident for _, incident in of]
                    for key, of in groupby(subject, key=lambda entry: entry[0])
                }
                for unsettled, rulings in reported(keys.items(), config.quiet_gap):
                    incident = unsettled.settled(senders)
                    for type_, contacts in incident.contradictions.by_type().items():
                        done.contradictions[type_] += contacts * len(rulings)
                    chosen = incident.reportable(rulings)
                    done.recorded += len(rulings) - len(chosen)
                    for name, contacts in incident.left_out.items():
                        done.limits[f"incident-{name}"] += contacts * len(rulings)
                    done.by_verdict.update(ruling.kind for ruling in chosen)
                    if chosen:
                        bans = tuple(ruling.ban.id for ruling in chosen)
                        yield bans, (next(iter(keys)), incident)

    done.chunks = tuple(write_report(task.storage, task.name, to_report()))
    return done


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


def _devices(
    storage: Storage, heads: Sequence[Head], partition: int, quiet_gap: int
) -> Iterator[Sequence[Entry]]:
    """The merged incidents of one device after the other, in a partition of several results."""
    subjects = _subjects(storage, heads, partition, quiet_gap)
    for _, group in groupby(subjects, key=lambda entries: entries[0][0][0]):
        yield [entry for entries in group for entry in entries]
