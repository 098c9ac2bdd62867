"""A scan of an archive: plan, units, fold, report.

1. Each capture and each log becomes a unit with an id (`netwatch.cluster.ledger`). Those whose
   results the ledger has, signed (`netwatch.cluster.signatures`), are done.
2. Workers judge the others. One whose worker dies is tried again on its own, when all others are
   done; if it dies again, the unit is reported as unread. So is any other failure.
3. Results are folded, `FAN_IN` at a time, in a tree: sorted files are merged with one device and
   app of each in memory. A result that differs from what was written is made again, and counted.
4. The reported incidents are selected partition by partition, and merged in the order of their
   alerts.

Only results of units stay. Everything else is below ``runs/`` of this run, and is deleted at its
end. The output does not depend on which worker did what, or when.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from netwatch.capture.files import CaptureFile
from netwatch.cluster import tasks
from netwatch.cluster.ledger import Ledger, Unit, Unread, code_version, judged_by, plan
from netwatch.cluster.result_file import Written, read_head
from netwatch.cluster.signatures import LedgerKey, Signatures
from netwatch.cluster.storage import open_storage
from netwatch.cluster.tasks import Chunk, Report
from netwatch.cluster.workers import Failed, Function, Lost, Workers
from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import PrivateFolder
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine.capture_files import LogUnit
from netwatch.incidents.scan import ScanResult, entry_order
from netwatch.incidents.spill import PARTITIONS
from netwatch.incidents.unproven import SUMMED, Place, UnprovenSums, crowded

FAN_IN = 32
"""Results to fold into one at a time."""

REPORT_INCIDENTS = 20_000
"""Incidents that one task selects from, approximately."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class UnitCounts:
    """The progress of a run: `units` in total with their bytes, those whose result was `there`,
    those `judged` now, and those that `failed`. `damaged` results were made again."""

    units: int = 0
    size: int = 0
    there: int = 0
    judged: int = 0
    failed: int = 0
    damaged: int = 0
    unsigned: int = 0
    size_done: int = 0
    size_judged: int = 0

    @property
    def done(self) -> int:
        """Finished units."""
        return self.there + self.judged + self.failed


Progress = Callable[[UnitCounts], None]
"""Called when a unit is done."""


class Archive:
    """A scan with the ledger at `url`, a temporary one if it is None, whose results are signed with
    `key`. Leave the context when the alerts were read. `counts` has what was done, and `progress`
    is called with it."""

    def __init__(
        self,
        url: str | None,
        workers: Workers,
        config: Config,
        *,
        key: LedgerKey,
        keep_frames: bool = False,
    ) -> None:
        self._temporary = None
        if url is None:
            self._temporary = PrivateFolder()
            url = str(self._temporary.path)
        self._storage = open_storage(url)
        self._workers = workers
        self._config = config
        self._keep_frames = keep_frames
        self.progress: Progress = lambda counts: None
        began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._run_name = f"{began}-{secrets.token_hex(6)}"
        self._run = f"runs/{self._run_name}"
        self._version = code_version()
        self._ledger = Ledger(self._storage, judged_by(config, keep_frames))
        self._signatures = Signatures(self._ledger, key)
        self._key = secrets.token_bytes(32)  # of this run alone, for its workers
        self._made: list[str] = []
        self._made_anew: set[str] = set()
        self.counts = UnitCounts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Delete what only this run needed."""
        if self._temporary is not None:
            self._temporary.remove()
            return
        for name in self._made:
            self._storage.remove(name)

    def scan(
        self,
        captures: Iterable[Sequence[CaptureFile]],
        logs: Iterable[LogUnit],
        statistics: RunStatistics,
        coverage: Coverage | None,
    ) -> ScanResult:
        """Judge all captures and logs. Raises `NetwatchError` and `ConfigError`."""
        planned = list(plan(captures, logs, self._ledger.digest))
        units = [unit for unit in planned if isinstance(unit, Unit)]
        self._ledger.write_plan(units)
        there, signed = self._ledger.results(), self._signatures.read()
        self.counts.units = len(units)
        self.counts.size = sum(unit.size for unit in units)
        parts: dict[str, Written | Unread] = {}
        for unit in units:
            if unit.id in there and unit.id not in signed:
                self.counts.unsigned += 1
            elif unit.id in there:
                parts[unit.id] = Written(self._ledger.result(unit), signed[unit.id])
                self.counts.there += 1
                self.counts.size_done += unit.size
        self.progress(self.counts)
        self._judge([unit for unit in units if unit.id not in parts], parts)
        ordered = [parts[unit.id] if isinstance(unit, Unit) else unit for unit in planned]
        by_name = {self._ledger.result(unit): unit for unit in units}
        folds, entries = self._fold(ordered, by_name)
        for written in folds:
            head = read_head(self._storage, written)
            statistics.merge(head.statistics)
            if coverage is not None:
                coverage.merge(head.coverage)
        found = self._report(folds, entries)
        statistics.anomalies.update(found.contradictions)
        statistics.anomalies.update(found.anomalies)
        statistics.anomalies += Counter(
            {"ledger-altered": self.counts.damaged, "ledger-unsigned": self.counts.unsigned}
        )
        return found

    def _judge(self, units: Sequence[Unit], parts: dict[str, Written | Unread]) -> None:
        """Judge units; `parts` gets the results by their ids."""
        work = [self._unit_task(unit) for unit in units]
        lost: list[tasks.UnitTask] = []
        for task, outcome in self._workers.run(tasks.judge, work):
            if isinstance(outcome, Lost):
                lost.append(task)
            else:
                self._unit_done(task, outcome, parts)
        for alone in lost:
            for task, outcome in self._workers.run(tasks.judge, [alone]):
                self._unit_done(task, outcome, parts)
        self._signatures.write(self._run_name)

    def _unit_task(self, unit: Unit) -> tasks.UnitTask:
        return tasks.UnitTask(
            self._storage,
            self._version,
            unit,
            self._ledger.result(unit),
            f"{self._run}/unit-{unit.id}",
            self._keep_frames,
            self._key,
        )

    def _unit_done(
        self,
        task: tasks.UnitTask,
        outcome: tasks.UnitDone | Lost | Failed,
        parts: dict[str, Written | Unread],
    ) -> None:
        unit = task.unit
        if isinstance(outcome, Lost):
            reason = f"{unit.name}: the process that read it died, twice; it was left out"
        elif isinstance(outcome, Failed):
            reason = f"{unit.name}: could not be read: {outcome.reason}"
        else:
            reason = outcome.error
            if outcome.written is not None and not outcome.is_kept:
                self._made.append(task.unkept)
        if isinstance(outcome, tasks.UnitDone) and outcome.written is not None:
            parts[unit.id] = outcome.written
            if outcome.is_kept:
                self._signatures.add(unit, outcome.written)
                self._signatures.write_in_time(self._run_name)
            self.counts.judged += 1
            self.counts.size_judged += unit.size
            self._ledger.clear_failure(unit)
        else:
            parts[unit.id] = Unread(reason)
            self.counts.failed += 1
            self._ledger.write_failure(unit, reason)
        self.counts.size_done += unit.size
        self.progress(self.counts)

    def _fold(
        self, parts: Sequence[Written | Unread], by_name: dict[str, Unit]
    ) -> tuple[list[Written], int]:
        """At most `FAN_IN` folds of all results, in order, and how many incidents they have."""
        level, entries = 0, 0
        fan_in = max(2, min(FAN_IN, -(-len(parts) // max(1, self._workers.count))))
        current: list[Written | Unread] = [*parts]
        while current and (level == 0 or len(current) > FAN_IN):
            groups = [tuple(current[at : at + fan_in]) for at in range(0, len(current), fan_in)]
            work = [
                tasks.FoldTask(self._storage, self._version, f"{self._run}/fold-{level}-{n}", group)
                for n, group in enumerate(groups)
            ]
            folds, entries = self._run_folds(work, by_name)
            current = [folds[task.name] for task in work]
            level, fan_in = level + 1, FAN_IN
        return [part for part in current if isinstance(part, Written)], entries

    def _run_folds(
        self, work: Sequence[tasks.FoldTask], by_name: dict[str, Unit]
    ) -> tuple[dict[str, Written], int]:
        """Do folds until none meets a damaged result; returns them by their names, and the total
        number of incidents."""
        folds: dict[str, Written] = {}
        entries, left = 0, list(work)
        while left:
            again: list[tasks.FoldTask] = []
            damaged: list[str] = []
            for task, done in self._each(tasks.fold, left):
                if done.damaged:
                    damaged += done.damaged
                    again.append(task)
                elif done.written is not None:
                    self._made.append(task.name)
                    folds[task.name] = done.written
                    entries += done.entries
            left = [self._mended(task, damaged, by_name) for task in again]
        return folds, entries

    def _mended(
        self, task: tasks.FoldTask, damaged: Sequence[str], by_name: dict[str, Unit]
    ) -> tasks.FoldTask:
        """A fold again, after its damaged results were made again."""
        parts: dict[str, Written | Unread] = {}
        mine = [
            part.name for part in task.parts if isinstance(part, Written) and part.name in damaged
        ]
        for name in mine:
            if name not in by_name or name in self._made_anew:
                raise NetwatchError(
                    f"{self._storage.shown}/{name}: is damaged although this run wrote it"
                )
        self._made_anew.update(mine)
        units = [by_name[name] for name in mine]
        self.counts.damaged += len(units)
        self.counts.there -= len(units)
        self.counts.size_done -= sum(unit.size for unit in units)
        # The existing one is sealed with another key, even if this run wrote it.
        self._key = secrets.token_bytes(32)
        self._judge(units, parts)
        made = tuple(
            parts[by_name[part.name].id]
            if isinstance(part, Written) and part.name in mine
            else part
            for part in task.parts
        )
        return tasks.FoldTask(task.storage, task.version, task.name, made)

    def _report(self, folds: Sequence[Written], entries: int) -> ScanResult:
        work = self._report_tasks(folds, entries)
        places: frozenset[Place] = frozenset()
        if entries > self._config.client_limit:
            devices: Counter[Place] = Counter()
            for _, counted in self._each(tasks.count_unproven, work):
                devices.update(counted)
            places = crowded(devices, self._config.client_limit)
        total = tasks.ReportDone()
        chunks: list[tuple[str, Chunk]] = []
        sums = UnprovenSums(self._config.quiet_gap)

        def take(name: str, done: tasks.ReportDone) -> None:
            self._made.append(name)
            total.by_verdict.update(done.by_verdict)
            total.limits.update(done.limits)
            total.contradictions.update(done.contradictions)
            total.recorded += done.recorded
            chunks.extend((name, chunk) for chunk in done.chunks)

        for task, done in self._each(
            tasks.select, [replace(task, crowded=places) for task in work]
        ):
            take(task.name, done)
            if done.sums is not None:
                sums.merge(done.sums)
        if sums.count:
            task = replace(work[0], name=f"{self._run}/report-unproven")
            summed = sorted(sums.incidents, key=entry_order)
            take(task.name, tasks.report_entries(self._config, task, [summed]))
        return ScanResult(
            alerts=Report(
                self._storage, chunks, self._config.quiet_gap, self._config.geo, self._config.sensor
            ),
            by_verdict=dict(sorted(total.by_verdict.items())),
            recorded=total.recorded,
            limits=dict(sorted((+total.limits).items())),
            contradictions=total.contradictions,
            anomalies={SUMMED: sums.count} if sums.count else {},
        )

    def _report_tasks(self, folds: Sequence[Written], entries: int) -> list[tasks.ReportTask]:
        """The tasks that together select from all partitions."""
        count = max(min(self._workers.count, entries // 64 + 1), entries // REPORT_INCIDENTS)
        count = max(1, min(PARTITIONS, count))
        bounds = [PARTITIONS * n // count for n in range(count + 1)]
        return [
            tasks.ReportTask(
                self._storage,
                self._version,
                f"{self._run}/report-{n}",
                tuple(folds),
                range(bounds[n], bounds[n + 1]),
            )
            for n in range(count if folds else 0)
        ]

    def _each(self, function: Function[T, R], work: Sequence[T]) -> Iterable[tuple[T, R]]:
        """Tasks of the run itself, each of which must succeed. Raises `NetwatchError`."""
        lost: list[T] = []
        for task, outcome in self._workers.run(function, work):
            if isinstance(outcome, Lost):
                lost.append(task)
            else:
                yield task, _succeeded(outcome)
        for alone in lost:
            for task, outcome in self._workers.run(function, [alone]):
                if isinstance(outcome, Lost):
                    raise NetwatchError("a worker process died twice when it merged results")
                yield task, _succeeded(outcome)


def _succeeded(outcome: Any) -> Any:
    if isinstance(outcome, Failed):
        raise NetwatchError(f"results could not be merged: {outcome.reason}")
    return outcome
