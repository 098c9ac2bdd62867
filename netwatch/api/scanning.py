"""`scan`: captures and logs in, incidents out.

Its summary lists what a run read, and what it could not read.
"""

import contextlib
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Self

from netwatch import config as configuration
from netwatch.api.values import (
    AnyPath,
    Coverage,
    Period,
    load_apart,
    read_options,
    readable_errors,
    source_list,
)
from netwatch.config.layers import Replacements
from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics, limit_ether_types
from netwatch.core.text import escaped
from netwatch.coverage.counts import Coverage as FlowCoverage
from netwatch.engine import jobs as engine
from netwatch.formats.alert_record import Incident
from netwatch.formats.coverage import report_record
from netwatch.formats.jsonl import alert_record
from netwatch.logs import Only


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The counts of a run.

    `captures`, `packets` and `wire_bytes` (their length on the wire) are counts of captures; `logs`
    are the log files by format, `records` the records in them, `unread_records` the records that
    could not be read, by reason. `observations` are by kind of evidence, `anomalies` by name.

    `unread` has a sentence for each file or path that could not be read, or not completely because
    its storage failed; `notes` for those read in part because they are damaged or truncated, with
    the bytes that were not read, by file, in `damaged`. `skipped` are files in folders that are
    neither captures nor logs, or evidence that netwatch wrote. The sentences have no control
    characters.

    A scan also has the number of its `incidents` by verdict, and of its `contacts` without a
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
    """The summary of the counts so far, which may still change."""
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


class ScanResult:
    """The result of a scan. Iterating gives the incidents in the order of their first contact, any
    number of times and with one in memory at a time.

    `summary` says what was read and what was not. `coverage` is None unless requested. `notes` are
    sentences on the configuration that a user may not expect.

    If there are more incidents than fit into memory, they are in temporary files until the result
    is closed (it is a context) or garbage.
    """

    def __init__(
        self,
        alerts: Iterable[Alert],
        summary: Summary,
        coverage: Coverage | None,
        notes: tuple[str, ...],
        files: contextlib.ExitStack,
    ) -> None:
        self._alerts = alerts
        self._files = weakref.finalize(self, files.close)
        self.summary = summary
        self.coverage = coverage
        self.notes = notes

    def __iter__(self) -> Iterator[Incident]:
        for alert in self._alerts:
            if not self._files.alive:
                raise NetwatchError("the result of the scan was closed")
            yield Incident.of(alert_record(alert))

    def __len__(self) -> int:
        return sum(self.summary.incidents.values())

    @cached_property
    def incidents(self) -> tuple[Incident, ...]:
        """All incidents, in memory."""
        return tuple(self)

    def close(self) -> None:
        """Delete the temporary files. Afterwards `incidents` can be read only if it was read
        before."""
        self._files()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        found = ", ".join(f"{count} {name}" for name, count in self.summary.incidents.items())
        return f"<netwatch.ScanResult: {found or 'no incidents'}>"


def scan(
    paths: AnyPath | Iterable[AnyPath],
    config: AnyPath | None = None,
    *,
    jobs: int = 1,
    continuous: bool = False,
    by_day: bool = False,
    only: Only | None = None,
    as_: str | None = None,
    year: int | None = None,
    timezone: tzinfo | str | None = None,
    signatures: AnyPath | Iterable[AnyPath] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    coverage: bool = False,
) -> ScanResult:
    """Read captures and logs, and judge them, as ``netwatch scan`` does.

    `paths` are files, folders, globs or URLs. `config` is a configuration; if not given, it is
    searched for as by the command (./netwatch.yaml, /etc/netwatch/netwatch.yaml, built-in
    defaults). `jobs` is the number of reader processes; `continuous`, `by_day`, `only`, `as_` (a
    log format), `year` and `timezone` are the options of the command. `signatures` replace those of
    the configuration: files, folders, or ``builtin``.

    `since` and `until`, which need a time zone, limit the incidents to those that overlap this
    period; everything is read and counted in the summary nevertheless. With `coverage`, the flows
    in which no name could be read are counted, too.

    A file that cannot be read is not an error: `Summary.unread` names it. Raises
    `netwatch.ConfigError` if the configuration or an argument is wrong, and `netwatch.Error` if
    netwatch cannot go on.
    """
    with readable_errors(), contextlib.ExitStack() as files:
        reading = read_options(
            paths,
            jobs=jobs,
            continuous=continuous,
            by_day=by_day,
            only=only,
            as_=as_,
            year=year,
            timezone=timezone,
            since=since,
            until=until,
            counts_flows=coverage,
        )
        loaded = load_apart(
            configuration.load, config, replacements=Replacements(source_list(signatures))
        )
        statistics, counted = RunStatistics(), FlowCoverage() if coverage else None
        found = files.enter_context(
            engine.scanned(
                reading.captures,
                loaded,
                statistics,
                logs=reading.logs,
                workers=reading.workers,
                coverage=counted,
            )
        )
        alerts = _Overlapping(found.alerts, reading.period)
        verdicts: Counter[str] = Counter(alert.verdict for alert in alerts)
        loaded.geo.note_damaged(statistics.anomalies)
        summary = summary_of(
            statistics, incidents=verdicts, recorded=found.recorded, left_out=found.limits
        )
        return ScanResult(
            alerts,
            summary,
            None if counted is None else _coverage(counted, statistics),
            loaded.notes,
            files.pop_all(),
        )


class _Overlapping:
    """The alerts that overlap a period, any number of times."""

    def __init__(self, alerts: Iterable[Alert], period: Period) -> None:
        self._alerts = alerts
        self._period = period

    def __iter__(self) -> Iterator[Alert]:
        for alert in self._alerts:
            if self._period.overlaps(alert.first_seen, alert.last_seen):
                yield alert


def _coverage(counted: FlowCoverage, statistics: RunStatistics) -> Coverage:
    report = counted.report(statistics.packets, statistics.anomalies, statistics.without_verdict)
    return Coverage.of(report_record(report))
