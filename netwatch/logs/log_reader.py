"""One log from its records to what they report, whatever source they come from: files that are read
to their end, followed files, and senders.

A reader strips what carried a record (syslog, the systemd journal, Docker, Kubernetes, log
shippers), lets the reader of the format read it, and counts what was read and what could not be.
The source tells where the records are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netwatch.core.errors import RecordError
from netwatch.flow_export.conversations import Conversation, ended_by, lasts_until, note_place
from netwatch.flow_export.conversations import Place as FlowPlace
from netwatch.logs import LogOptions
from netwatch.logs.carriers import Carriers
from netwatch.logs.ordering import Rows
from netwatch.logs.plain_lines import IS_COMPILED, PlainLines
from netwatch.logs.records import (
    PLAIN,
    Carried,
    CurrentRecord,
    Lack,
    LogClaim,
    LogEntry,
    LogFlow,
    LogFlows,
    LogLoss,
    LogName,
    ReaderContext,
    time_of,
)
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LAST, SECOND, LocalTimes

if TYPE_CHECKING:
    from netwatch.flow_export.known_exporters import KnownExporter

FUTURE = 86_400 * SECOND
"""How far the time of a record that is written now may be ahead of the clock, ns; other such
records are not read."""

UNREAD_SHARE = 20
"""If more than one in so many records cannot be read, the format of the log may not be what it
seems to be."""


@dataclass(frozen=True, slots=True)
class LogItem:
    """One thing that a record reports. `source` is the path of the file, `line` the number of the
    record in it from 1, `record` the record as it is in the file, with its carrier. `assumed` is
    what its time lacks, if the log has not stated it."""

    source: str
    format: str
    line: int
    record: bytes
    entry: LogEntry
    assumed: tuple[Lack, ...] = ()


class LogReader:
    """Reads the records of one log of the format `name`, the first of which come from `source`.

    `written_by` is the time by which its records were written, None for one that is no longer
    written: in a log that is being written, the year that times lack is not an assumption, and no
    record is in the future. Such a log has the same `times` for its records and for their carriers.
    `said` counts entries, `taken` the complete records, `unread` why records could not be read. The
    last two may be reset.
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
        self._reader = self.format.reader(
            ReaderContext(self.times, source, self._current, options.exporters)
        )

    @property
    def has_pieces(self) -> bool:
        """Whether a record came in pieces."""
        return self._carriers.has_pieces

    @property
    def is_alone(self) -> bool:
        """Whether no record so far belongs to another, or claims an address."""
        return self._reader.is_alone

    def plain_lines(self, last: PlainLines | None) -> PlainLines | None:
        """What reads the next lines if they are plain: `last` while they look as before."""
        layout, source = self._reader.layout, self._current.source
        if layout is None or not IS_COMPILED:
            return None
        lacks = tuple(dict.fromkeys((*self.format.lacks, *self.assumed)))
        looks = layout, source, lacks
        if last is not None and (last.layout, last.source, last.lacks) == looks:
            return last
        return PlainLines(layout, self.name, source, lacks)

    def count_plain(self, lines: int, rows: Rows) -> None:
        """Count plain lines, which have given these rows."""
        self.taken += lines
        self.said += rows.last - rows.first

    @property
    def assumed(self) -> tuple[Lack, ...]:
        """What the log lacks so that its times rest on an assumption: for its records, and for
        their carriers only if a record has no time of its own."""
        times, carried, both = self.times, self._carried_times, self._takes_carried_time
        zone = times.assumed_zone or (both and carried.assumed_zone)
        year = times.assumed_year or (both and carried.assumed_year)
        if year and self.written_by is None:
            return ("year", "time-zone") if zone else ("year",)
        return ("time-zone",) if zone else ()

    def begin_file(self, source: str, written: int) -> None:
        """The following records are from a file that was last written then (ns)."""
        self._current.source = source
        self.times.file_written(written)
        self._carried_times.file_written(written)

    def read(self, number: int, record: bytes) -> Iterable[LogItem]:
        """What the record with a number reports. Unreadable records are counted."""
        self._current.line, self._current.record = number, record
        if self.format.container == "ipfix":
            return self.read_inner(number, record, record, PLAIN)
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
        """What a record reports, from which `inner` and `carried` were taken."""
        current = self._current
        current.line, current.record = number, record
        self.taken += 1
        wrong = ""
        try:
            for entry in current.with_pieces(self._reader.read(inner, carried)):
                wrong_time = self._wrong_time(entry)
                if wrong_time:
                    # The record may say other things as well.
                    wrong = wrong_time
                    continue
                # A reader that takes the carrier's time takes this very number; one that reads a
                # time of the record may have an equal one.
                if isinstance(entry, LogName) and entry.time is carried.time:
                    self._takes_carried_time = True
                self.said += 1
                yield LogItem(current.source, self.name, number, record, entry, self.assumed)
        except RecordError as error:
            wrong = str(error)
        if wrong:
            self.unread[wrong] += 1

    def read_flows(
        self, records: Iterable[tuple[int, bytes]], carried: Carried
    ) -> Iterator[LogItem]:
        """What messages of flow records report, which are numbered. All flows up to something else
        come together, as what the last of their messages reports; their times were compared with
        that of their arrival."""
        current = self._current
        together: list[Conversation] = []
        for number, record in records:
            current.line, current.record = number, record
            self.taken += 1
            try:
                entries = self._reader.read(record, carried)
            except RecordError as error:
                self.unread[str(error)] += 1
                continue
            for entry in entries:
                if isinstance(entry, LogFlows):
                    note_place(entry.conversations, self._place(number, record))
                    self.said += 1
                    together += entry.conversations
                    continue
                if wrong := self._wrong_time(entry):
                    self.unread[wrong] += 1
                    continue
                self.said += 1
                if together:
                    yield self._item(LogFlows(together))
                    together = []
                yield self._item(entry)
        if together:
            yield self._item(LogFlows(together))

    def item(self, entry: LogEntry) -> LogItem:
        """An entry of the last record."""
        at = self._current
        if isinstance(entry, LogFlows):
            note_place(entry.conversations, self._place(at.line, at.record))
        return self._item(entry)

    def _place(self, line: int, record: bytes) -> FlowPlace:
        return FlowPlace(self._current.source, line, record, self.is_doubted)

    def _item(self, entry: LogEntry) -> LogItem:
        at = self._current
        return LogItem(at.source, self.name, at.line, at.record, entry, self.assumed)

    def flush(self) -> Iterable[LogEntry]:
        """What waits for a later record: nothing more will come."""
        return self._reader.flush()

    @property
    def exporter(self) -> "KnownExporter | None":
        """What the configuration says of who sends flow records, None if it says nothing."""
        return self._reader.exporter

    @exporter.setter
    def exporter(self, exporter: "KnownExporter | None") -> None:
        self._reader.exporter = exporter

    @property
    def is_doubted(self) -> bool:
        """Whether the exporter of the flows of the last record had sent what cannot be."""
        return self._reader.is_doubted

    def take_notes(self) -> list[str]:
        """What is to be said since this was asked, as sentences."""
        found, self._reader.notes = self._reader.notes, []
        return found

    def take_anomalies(self) -> Counter[str]:
        """Anomalies since the last call, besides unreadable records."""
        found, self._reader.anomalies = self._reader.anomalies, Counter()
        return found

    @property
    def waits_briefly(self) -> bool:
        """Whether what waits for a later record only does so for `records.BRIEFLY`."""
        return self._reader.waits_briefly

    def _wrong_flows(self, flows: LogFlows) -> str:
        """Note in which record flows are. Their times were compared with that of the export, which
        is before `LAST`; those of the future are left out."""
        at, found = self._current, flows.conversations
        note_place(found, self._place(at.line, at.record))
        if self.written_by is None or lasts_until(found) <= self.written_by + FUTURE:
            return ""
        kept = ended_by(found, self.written_by + FUTURE)
        self._reader.anomalies["flow-time-impossible"] += len(found) - len(kept)
        found[:] = kept
        return "" if kept else "time-in-future"

    def _wrong_time(self, entry: LogEntry) -> str:
        """Why the time of an entry cannot be, empty where it can."""
        if isinstance(entry, LogFlows):
            return self._wrong_flows(entry)
        if self.written_by is not None:
            return "time-in-future" if time_of(entry) > self.written_by + FUTURE else ""
        return "" if 0 <= _earliest(entry) <= time_of(entry) < LAST else "time-invalid"


def _earliest(entry: LogName | LogFlow | LogClaim | LogLoss) -> int:
    return entry.first if isinstance(entry, LogFlow | LogLoss) else entry.time
