"""Reads the records of one log as they come, when its format is known."""

from collections.abc import Iterable, Iterator

from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.logs.carriers import Carriers
from netwatch.logs.log_reader import UNREAD_SHARE, LogItem
from netwatch.logs.options import LogOptions
from netwatch.logs.reading import Carried, CurrentRecord, ReaderContext, RecordError
from netwatch.logs.records import Lack, LogEntry, LogFlow
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import SECOND, LocalTimes

FUTURE = 86_400 * SECOND
"""How far the time of a record may be ahead of the clock, ns; such records are not read."""

JUDGED_RECORDS = 100
"""Records after which it is said that too many cannot be read."""


class RecordReading:
    """Reads records of the format `name` from `source`. Counts go to `statistics`; `notes` are
    sentences, which the caller may remove. `times` read what carries the records, too, where that
    is taken off elsewhere.

    A year that times lack is no assumption here: the records are written now. A zone is one.
    """

    def __init__(
        self,
        source: str,
        name: str,
        options: LogOptions,
        statistics: RunStatistics,
        times: LocalTimes | None = None,
    ) -> None:
        self.source = source
        self.name = name
        self.notes: list[str] = []
        self._statistics = statistics
        self._format = LOG_FORMATS[name]
        self._times = times or LocalTimes(options.zone, options.year)
        self._carriers = Carriers(self._times)
        self._current = CurrentRecord()
        self._current.source = source
        self._reader = self._format.reader(ReaderContext(self._times, source, self._current))
        self._records = self._unread = self._said = 0
        self._is_judged = self._is_assumed = False
        self._last = (0, b"")

    def read(self, records: Iterable[tuple[int, bytes]], wall: int) -> Iterator[LogItem]:
        """What numbered records say, from which nothing was taken off. `wall` is the time now."""
        self._times.file_written(wall)
        for number, record in records:
            if not record:
                continue
            try:
                taken = self._carriers.take_off(record)
            except RecordError as error:
                self._note_unread(str(error))
                continue
            if taken is None:
                self._current.line, self._current.record = number, record
                self._current.keep_piece()
            else:
                yield from self.read_inner(number, record, *taken, wall)
        self._judge()

    def read_inner(
        self, number: int, record: bytes, inner: bytes, carried: Carried, wall: int
    ) -> Iterator[LogItem]:
        """What a record says, from which `inner` and `carried` were taken."""
        self._last = number, record
        self._current.line, self._current.record = number, record
        self._records += 1
        self._statistics.records += 1
        try:
            for entry in self._current.with_pieces(self._reader.read(inner, carried)):
                if time_of(entry) > wall + FUTURE:
                    raise RecordError("time-in-future")
                self._said += 1
                yield LogItem(self.source, self.name, number, record, entry, self._assumed())
        except RecordError as error:
            self._note_unread(str(error))

    def count_in(self, statistics: RunStatistics) -> None:
        """Count in other statistics from now on."""
        self._statistics = statistics
        self._records = self._unread = 0

    def file_written(self, wall: int) -> None:
        """Times without a year that follow are not later than this."""
        self._times.file_written(wall)
        self._judge()

    def flush(self) -> Iterator[LogItem]:
        """What waits for a later record: nothing more will come."""
        number, record = self._last
        for entry in self._reader.flush():
            yield LogItem(self.source, self.name, number, record, entry, self._assumed())

    def _assumed(self) -> tuple[Lack, ...]:
        return ("time-zone",) if self._times.assumed_zone else ()

    def _note_unread(self, reason: str) -> None:
        self._unread += 1
        self._statistics.unread_records[self.source, reason] += 1

    def _judge(self) -> None:
        """Say once where too much cannot be read, and what is assumed."""
        is_bad = self._unread * UNREAD_SHARE > self._records >= JUDGED_RECORDS
        if not self._is_judged and not self._said and not self._unread:
            if self._records >= JUDGED_RECORDS:
                self._is_judged = True
                self.notes.append(
                    f"{self.source}: none of {quantity(self._records, 'record')} so far says"
                    f" anything as {self._format.title}; --as names another format"
                )
        elif is_bad and not self._is_judged:
            self._is_judged = True
            self.notes.append(
                f"{self.source}: {self._unread:,} of {quantity(self._records, 'record')} could"
                f" not be read as {self._format.title}; --as names another format"
            )
        if self._times.assumed_zone and not self._is_assumed:
            self._is_assumed = True
            self.notes.append(
                f"{self.source}: times without a zone are read as UTC; --timezone sets another"
            )


def time_of(entry: LogEntry) -> int:
    """The time of what a record says, of a flow its end, ns since the epoch."""
    return entry.last if isinstance(entry, LogFlow) else entry.time
