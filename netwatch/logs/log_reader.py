"""Reads the files of one format that are one log: what their records say, file by file.

The reader of the format goes on from file to file: what was asked for before a rotation may be
answered behind it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from netwatch.capture.files import CaptureFile
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.logs.carriers import Carriers
from netwatch.logs.log_file import Interest, LogFile, Progress
from netwatch.logs.options import LogOptions
from netwatch.logs.reading import CurrentRecord, ReaderContext, RecordError
from netwatch.logs.recognise import fits
from netwatch.logs.records import Lack, LogClaim, LogEntry, LogFlow, LogName, time_of
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LAST, LocalTimes

UNREAD_SHARE = 20
"""Where more than one of so many records that were looked at cannot be read, the file counts as
unread: its format may not be what it seems to be."""


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
    """Reads files of the format `name`, in order of time. Counts go to `statistics`."""

    def __init__(
        self,
        files: Sequence[CaptureFile],
        name: str,
        options: LogOptions,
        statistics: RunStatistics,
        progress: Progress | None = None,
    ) -> None:
        self._files = files
        self._name = name
        self._format = LOG_FORMATS[name]
        self._statistics = statistics
        self._progress = progress
        self._times = LocalTimes(options.zone, options.year)
        self._carried_times = LocalTimes(options.zone, options.year)
        self._carriers = Carriers(self._carried_times)
        self._takes_carried_time = False
        self._current = CurrentRecord()
        self._reader = self._format.reader(ReaderContext(self._times, files[0].path, self._current))
        self._read = self._said = 0
        self._unread: Counter[str] = Counter()
        # Files none of whose records says anything, and how many records were looked at.
        self._silent: list[tuple[CaptureFile, int]] = []

    def items(
        self, interest: Interest, *, is_first_pass: bool = False, limit: int | None = None
    ) -> Iterator[LogItem]:
        """What the records say, in the order of the records; of each file the first `limit` that
        pass."""
        item, waited = None, False
        for file in self._files:
            for item in self._items_of(file, interest, is_first_pass, limit):
                yield item
        for entry in self._reader.flush():
            # What waited for a later record is shown at the last one.
            waited = True
            source, line, record = self._files[-1].path, 0, b""
            if item is not None:
                source, line, record = item.source, item.line, item.record
            if isinstance(entry, LogName) and (at := entry.shown_at) is not None:
                source, line, record = at.source, at.line, at.record
            yield LogItem(source, self._name, line, record, entry, self._assumed())
        self._note_assumptions()
        if not waited:
            self._note_silent()

    def _items_of(
        self, file: CaptureFile, interest: Interest, is_first_pass: bool, limit: int | None
    ) -> Iterator[LogItem]:
        self._read, self._said, self._unread = 0, 0, Counter()
        lines = interest.lines(self._format, is_first_pass)
        log_file = LogFile(file, self._format, self._statistics, self._progress)
        written = log_file.written()
        self._times.file_written(written)
        self._carried_times.file_written(written)
        with closing(log_file.records(lines)) as records:
            current = self._current
            current.source = file.path
            for line, record in islice(records, limit):
                current.line, current.record = line, record
                for entry in self._entries(record):
                    if interest.wants(entry):
                        yield LogItem(file.path, self._name, line, record, entry, self._assumed())
                    if (
                        not lines.passes_all
                        and not is_first_pass
                        and self._is_for_all(entry, interest)
                    ):
                        lines.pass_all()
                if self._carriers.has_pieces:
                    lines.pass_all()
        if log_file.is_read:
            self._statistics.logs[self._name] += 1
            if self._read and not self._said and not self._unread:
                self._silent.append((file, self._read))
        self._judge_file(file.path)

    def _entries(self, record: bytes) -> Iterator[LogEntry]:
        """What a record says. One that cannot be read is counted."""
        self._read += 1
        try:
            taken = self._carriers.take_off(record)
            if taken is not None:
                for entry in self._current.with_pieces(self._reader.read(*taken)):
                    if not 0 <= _earliest(entry) <= time_of(entry) < LAST:
                        raise RecordError("time-invalid")
                    # A reader that takes the time of the carrier takes this very number; one that
                    # reads a time of the record may have an equal one.
                    if isinstance(entry, LogName) and entry.time is taken[1].time:
                        self._takes_carried_time = True
                    self._said += 1
                    yield entry
            else:
                self._current.keep_piece()
        except RecordError as error:
            self._unread[str(error)] += 1

    def _is_for_all(self, entry: LogEntry, interest: Interest) -> bool:
        """Whether an entry shows that this file has records that are read whatever names they
        have, and no text that says which."""
        if isinstance(entry, LogClaim):
            return not self._format.always
        return isinstance(entry, LogFlow) and interest.all_flows and not self._format.flows

    def _judge_file(self, path: str) -> None:
        """Count what could not be read of a file, and name it where that is too much."""
        for reason, count in self._unread.items():
            self._statistics.unread_records[path, reason] += count
        total = self._unread.total()
        if total * UNREAD_SHARE > self._read:
            reasons = ", ".join(f"{reason} {n:,}" for reason, n in self._unread.most_common())
            self._statistics.unread.append(
                f"{path}: {total:,} of {quantity(self._read, 'record')} that were looked at could"
                f" not be read as {self._format.title} ({reasons}); --as names another format"
            )

    def _note_silent(self) -> None:
        """Name the files whose records say nothing: as what cannot be read where they do not look
        like the format either, which the user has named then."""
        title = self._format.title
        for file, read in self._silent:
            records = f"none of {quantity(read, 'record')} that were looked at"
            if not fits(file, self._name):
                self._statistics.unread_records[file.path, "record-of-another-format"] += read
                self._statistics.unread.append(
                    f"{file.path}: {records} is one of {title}; without --as the format is"
                    " recognised by the content"
                )
            elif file.named_by_user:
                self._statistics.notes.append(
                    f"{file.path}: {records} has a name, a flow or an address"
                )

    def _assumed(self) -> tuple[Lack, ...]:
        """What the log lacks so that its times rest on an assumption: those of its records, and
        those of what carried them only where a record has none of its own."""
        used = [self._times, self._carried_times] if self._takes_carried_time else [self._times]
        found: list[Lack] = []
        if any(each.assumed_year for each in used):
            found.append("year")
        if any(each.assumed_zone for each in used):
            found.append("time-zone")
        return tuple(found)

    def _note_assumptions(self) -> None:
        path, notes = self._files[0].path, self._statistics.notes
        assumed = self._assumed()
        if "time-zone" in assumed:
            notes.append(f"{path}: times without a zone were read as UTC; --timezone sets another")
        if "year" in assumed:
            notes.append(
                f"{path}: the year of times follows from when the file was written; --year sets"
                " another"
            )


def _earliest(entry: LogEntry) -> int:
    return entry.first if isinstance(entry, LogFlow) else entry.time
