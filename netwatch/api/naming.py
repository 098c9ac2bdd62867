"""`names`: every name in captures and logs, one by one or as Arrow columns.

`match`: which rule of the signatures matches a name, and why.
"""

import importlib
from collections.abc import Generator, Iterable, Iterator
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Self

import orjson

from netwatch.api.scanning import Summary, summary_of
from netwatch.api.values import AnyPath, Observation, Period, read_options, readable_errors
from netwatch.core.errors import NetwatchError
from netwatch.core.installing import install_command
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import WORD_TIME
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs as engine
from netwatch.formats.observation_lines import ObservationLines
from netwatch.formats.quoted_texts import JSON
from netwatch.logs import Only

if TYPE_CHECKING:
    import pyarrow
from dataclasses import dataclass
from typing import overload

from netwatch import config as configuration
from netwatch.api.values import host_name, load_apart, source_list
from netwatch.config.layers import Replacements
from netwatch.core.verdict import Confidence, Role
from netwatch.formats.alert_record import App
from netwatch.formats.typed_records import Record
from netwatch.rules.explain import MatchRecords

Batches = Generator[ObservationBatch, None, None]


class Observations(Iterator[Observation]):
    """The observations of captures and logs, in the order of files and packets. They are read once,
    during the iteration, and in bounded memory.

    It is an iterator of objects. `to_arrow` or `arrow_reader`, instead of iterating, give columns
    without making an object for each row. It is also a context; `close` ends the reading.
    """

    def __init__(self, batches: Batches, statistics: RunStatistics, period: Period) -> None:
        self._batches = batches
        self._statistics = statistics
        self._period = period
        self._is_asked = False
        self._rows = self._observations()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Observation:
        self._is_asked = True
        return next(self._rows)

    @property
    def summary(self) -> Summary:
        """The counts so far, complete after the last observation."""
        return summary_of(self._statistics)

    def to_arrow(self) -> "pyarrow.Table":
        """All observations as a table in memory, with the columns of ``netwatch names --format
        parquet``. Raises `netwatch.Error` if the extra ``arrow`` is not installed, or if reading
        has begun."""
        self._ask_for_columns("to_arrow()")
        import pyarrow as pa

        from netwatch.formats.arrow_rows import schema

        layout = schema()
        batches = self._record_batches(layout)
        return pa.Table.from_batches(batches, layout).unify_dictionaries()

    def arrow_reader(self) -> "pyarrow.RecordBatchReader":
        """The same as a reader of record batches, in bounded memory. Each batch has its own
        dictionaries of texts."""
        self._ask_for_columns("arrow_reader()")
        import pyarrow as pa

        from netwatch.formats.arrow_rows import schema

        layout = schema()
        return pa.RecordBatchReader.from_batches(layout, self._record_batches(layout))

    def close(self) -> None:
        """End the reading and the reader processes."""
        self._rows.close()
        self._batches.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        seen = self._statistics.observations.total()
        return f"<netwatch.Observations: {seen:,} read so far>"

    def _observations(self) -> Generator[Observation, None, None]:
        # The compiled writer of lines plus the JSON parser take less time than looking up each
        # value.
        writer = ObservationLines(JSON)
        with readable_errors():
            for batch in self._batches:
                pieces: list[str] = []
                writer.write(batch, pieces.append)
                lines = "".join(pieces).splitlines()
                for line, time in zip(lines, _times(batch), strict=True):
                    if self._period.overlaps(time, time):
                        yield Observation.of(orjson.loads(line))

    def _record_batches(self, layout: "pyarrow.Schema") -> "Iterator[pyarrow.RecordBatch]":
        from netwatch.formats.arrow_rows import record_batch

        with readable_errors():
            for batch in self._batches:
                found = record_batch(batch, layout)
                yield found if self._period.is_open else _within(found, self._period)

    def _ask_for_columns(self, asked: str) -> None:
        """Raise `NetwatchError` if there cannot be columns."""
        try:
            importlib.import_module("pyarrow")
        except ImportError:
            command = install_command("arrow")
            raise NetwatchError(f"{asked} needs an extra: {command}") from None
        if self._is_asked:
            raise NetwatchError(f"{asked} gives all observations; some were read already")
        self._is_asked = True


def _times(batch: ObservationBatch) -> Iterator[int]:
    """The times of all rows, in the order of packets, in ns since the epoch."""
    for start, stop in batch.spans:
        for row in range(start, stop):
            yield batch.word(row, WORD_TIME)


def _within(batch: "pyarrow.RecordBatch", period: Period) -> "pyarrow.RecordBatch":
    """The rows whose time is in the period."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = batch.column("time").cast(pa.int64())
    wanted = pa.array([True] * len(times))
    if period.since is not None:
        wanted = pc.and_(wanted, pc.greater_equal(times, period.since))
    if period.until is not None:
        wanted = pc.and_(wanted, pc.less(times, period.until))
    return batch.filter(wanted)


def names(
    paths: AnyPath | Iterable[AnyPath],
    *,
    jobs: int = 1,
    continuous: bool = False,
    by_day: bool = False,
    only: Only | None = None,
    as_: str | None = None,
    year: int | None = None,
    timezone: tzinfo | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Observations:
    """Every name that devices show in captures and logs, before any rule, as ``netwatch names``
    lists them.

    `paths` are files, folders, globs or URLs. `jobs` is the number of reader processes;
    `continuous`, `by_day`, `only`, `as_` (a log format), `year` and `timezone` are the options of
    the command. `since` and `until`, which need a time zone, limit the observations to this period.

    A file that cannot be read is not an error: `Summary.unread` names it. Raises
    `netwatch.ConfigError` if an argument is wrong, and, while reading, `netwatch.Error` if netwatch
    cannot go on.
    """
    with readable_errors():
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
        )
    statistics = RunStatistics()
    batches = engine.names(reading.captures, statistics, logs=reading.logs, workers=reading.workers)
    return Observations(batches, statistics, reading.period)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Record):
    """The result for a name, as the record of ``netwatch signatures match`` has it. It is true if a
    rule matches; otherwise everything except `name` and `why` is None or empty.

    `name` is normalised, `why` is why the rule matches, or why none does. `grade` is the confidence
    that the rule gives to a name in a handshake, with its reasons.
    """

    __hash__ = Record.__hash__

    name: str
    app: App | None = None
    rule: str | None = None
    role: Role | None = None
    grade: Confidence | None = None
    grade_reasons: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    file: str | None = None
    line: int | None = None
    why: str

    def __bool__(self) -> bool:
        return self.rule is not None


# A string is one name, although it is iterable.
@overload
def match(  # type: ignore[overload-overlap]
    name: str,
    config: AnyPath | None = None,
    *,
    signatures: AnyPath | Iterable[AnyPath] | None = None,
) -> Match: ...


@overload
def match(
    name: Iterable[str],
    config: AnyPath | None = None,
    *,
    signatures: AnyPath | Iterable[AnyPath] | None = None,
) -> Iterator[Match]: ...


def match(
    name: str | Iterable[str],
    config: AnyPath | None = None,
    *,
    signatures: AnyPath | Iterable[AnyPath] | None = None,
) -> Match | Iterator[Match]:
    """Which rule matches a host name, and why; for several names, an iterator of matches, for which
    the signatures are read once.

    The signatures are those of `config`, a configuration, which is searched for as by the command
    if not given. `signatures` replace them: files, folders, or ``builtin``. Raises
    `netwatch.ConfigError` if one of these is wrong.
    """
    with readable_errors():
        catalog = load_apart(
            configuration.load_catalog, config, replacements=Replacements(source_list(signatures))
        )
    records = MatchRecords(catalog)
    if isinstance(name, (str, bytes)) or not isinstance(name, Iterable):
        return _match(records, host_name(name))
    return (_match(records, host_name(host)) for host in name)


def _match(records: MatchRecords, name: str) -> Match:
    return Match.of(records.record(name.encode("utf-8", "surrogateescape")))
