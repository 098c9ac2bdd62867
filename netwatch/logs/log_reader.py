"""One log from its records to what they say, whatever source they come from: files that are read to
their end, files that are followed, and senders.

A reader takes off what carried a record, lets the reader of the format read it, and counts what was
read and what could not be. The source says where the records are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netwatch.core.errors import RecordError
from netwatch.logs.carriers import Carriers
from netwatch.logs.records import (
    Carried,
    CurrentRecord,
    Lack,
    LogEntry,
    LogFlow,
    LogName,
    ReaderContext,
    time_of,
)
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LAST, SECOND, LocalTimes, LogOptions

FUTURE = 86_400 * SECOND
"""How far the time of a record that is written now may be ahead of the clock, ns; such records are
not read."""

UNREAD_SHARE = 20
"""Where more than one of so many records that were looked at cannot be read, the format of the log
may not be what it seems to be."""


@dataclass(frozen=True, slots=True)
class LogItem:
    """One thing that a record says. `source` is the path of the file, `line` the number of the
    record in it from 1, `record` the record as it is in the file, with what carried it. `assumed`
    is what its time lacks, where the log has not said it."""

    source: str
    format: str
    line: int
    record: bytes
    entry: LogEntry
    assumed: tuple[Lack, ...] = ()


class LogReader:
    """Reads the records of one log of the format `name`, the first of which come from `source`.

    `written_by` is the time by which its records were written, None for one that is not written
    any more: the year that times lack is no assumption in one that is written now, and no record
    is of the future. Such a log has the same `times` for its records and for what carried them.
    `said` counts what was said, `taken` the records that had an end, `unread` why records could
    not be read. The last two may be reset.
    """

    def __init__(
        self, source: str, name: str, options: LogOptions, *, times: LocalTimes | None = None
    ) -> None:
        self.name = name
        self.format = LOG_FORMATS[name]
        self.said = self.taken = 0
        self.unread: Counter[str] = Counter()
        self.written_by: int | None = None
        self.times = times or LocalTimes(options.zone, options.year)
        carried = LocalTimes(options.zone, options.year) if times is None else times
        self._carried_times = carried
        self._carriers = Carriers(carried)
        self._takes_carried_time = False
        self._current = CurrentRecord()
        self._current.source = source
        self._reader = self.format.reader(ReaderContext(self.times, source, self._current))

    @property
    def has_pieces(self) -> bool:
        """Whether a record came in pieces."""
        return self._carriers.has_pieces

    @property
    def assumed(self) -> tuple[Lack, ...]:
        """What the log lacks so that its times rest on an assumption: those of its records, and
        those of what carried them only if a record has none of its own."""
        used = [self.times, self._carried_times] if self._takes_carried_time else [self.times]
        found: list[Lack] = []
        if self.written_by is None and any(each.assumed_year for each in used):
            found.append("year")
        if any(each.assumed_zone for each in used):
            found.append("time-zone")
        return tuple(found)

    def begin_file(self, source: str, written: int) -> None:
        """The records that follow are of a file that was last written then (ns)."""
        self._current.source = source
        self.times.file_written(written)
        self._carried_times.file_written(written)

    def read(self, number: int, record: bytes) -> Iterable[LogItem]:
        """What the record with a number says. One that cannot be read is counted."""
        self._current.line, self._current.record = number, record
        try:
            taken = self._carriers.take_off(record)
        except RecordError as error:
            self.unread[str(error)] += 1
            return ()
        if taken is None:
            self._current.keep_piece()
            return ()
        return self.read_inner(number, record, *taken)

    def read_inner(
        self, number: int, record: bytes, inner: bytes, carried: Carried
    ) -> Iterator[LogItem]:
        """What a record says, from which `inner` and `carried` were taken."""
        self._current.line, self._current.record = number, record
        self.taken += 1
        try:
            for entry in self._current.with_pieces(self._reader.read(inner, carried)):
                self._check_time(entry)
                # A reader that takes the time of the carrier takes this very number; one that
                # reads a time of the record may have an equal one.
                if isinstance(entry, LogName) and entry.time is carried.time:
                    self._takes_carried_time = True
                self.said += 1
                yield self.item(entry)
        except RecordError as error:
            self.unread[str(error)] += 1

    def item(self, entry: LogEntry) -> LogItem:
        """An entry of the record that was read last."""
        at = self._current
        return LogItem(at.source, self.name, at.line, at.record, entry, self.assumed)

    def flush(self) -> Iterable[LogEntry]:
        """What waits for a later record: nothing more will come."""
        return self._reader.flush()

    def take_anomalies(self) -> Counter[str]:
        """What was wrong since this was asked, beside records that cannot be read."""
        found, self._reader.anomalies = self._reader.anomalies, Counter()
        return found

    @property
    def waits_briefly(self) -> bool:
        """Whether what waits for a later record does so only for `records.BRIEFLY`."""
        return self._reader.waits_briefly

    def _check_time(self, entry: LogEntry) -> None:
        if self.written_by is not None:
            if time_of(entry) > self.written_by + FUTURE:
                raise RecordError("time-in-future")
        elif not 0 <= _earliest(entry) <= time_of(entry) < LAST:
            raise RecordError("time-invalid")


def _earliest(entry: LogEntry) -> int:
    return entry.first if isinstance(entry, LogFlow) else entry.time
