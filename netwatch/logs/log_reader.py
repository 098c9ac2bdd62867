"""One log from its records to what they report, whatever source they come from: files that are read
to their end, followed files, and senders.

A reader strips what carried a record (syslog, the systemd journal, Docker, Kubernetes, log
shippers), lets the reader of the format read it, and counts what was read and what could not be.
The source tells where the records are.

The carrier of a line is recognised on its own, so that several senders can share a file. One
carrier may be inside another: a line that Docker wrote and syslog forwarded. Lines without a
carrier stay as they are. Syslog is RFC 5424, and RFC 3164 as programs write it: with or without
priority, year, and host, or with an RFC 3339 time (rsyslog). The journal is ``journalctl -o json``,
Docker's format is its driver ``json-file``, Kubernetes' is CRI. Log shippers (Filebeat, Fluent Bit,
Logstash) write the line as ``message`` next to what they know about its file and host.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from netwatch.core.errors import RecordError
from netwatch.flow_export.conversations import Conversation, ended_by, lasts_until, note_place
from netwatch.flow_export.conversations import Place as FlowPlace
from netwatch.logs.fields import maybe_object
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
from netwatch.logs.times import LAST, MONTHS, SECOND, LocalTimes, LogOptions, rfc3339

if TYPE_CHECKING:
    from netwatch.flow_export.known_exporters import KnownExporter

MAX_CARRIERS = 2
"""Carriers to strip from one line, at most."""

MAX_LINE = 1 << 20
"""Bytes of a line, also if Docker or Kubernetes has written it in pieces."""

MAX_PIECES = 64
"""Streams whose lines are in pieces at the same time."""

_PRIORITY = re.compile(rb"<\d{1,3}>")
_RFC5424 = re.compile(
    rb"\d{1,2} (\S{1,64}) (\S{1,255}) (\S{1,48}) \S{1,128} \S{1,32} "
    rb'(?:-|(?:\[(?:[^"\]\\]|"(?:[^"\\]|\\.)*+")*+\])++)(?: (?:\xef\xbb\xbf)?(.*))?',
    re.DOTALL,
)
_RFC3164 = re.compile(
    rb"(?:\d{1,10}: )?\*?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?"
    rb"(" + "|".join(MONTHS).encode() + rb")  ?(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)"
    rb"(?:\.(\d{1,9}))?(?: (\d{4}))?:? "
)
_RFC3339 = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) ")
_HOST = re.compile(rb"([A-Za-z0-9_.:-]{0,254}[A-Za-z0-9_.-]) ")
_TAG = re.compile(rb"(\(?[A-Za-z0-9_./@-]{1,64}\)?)(?:\[[^\]\s]{0,32}\])?:(?: +|$)")
_TIMES = ("@timestamp", "timestamp", "time", "date")
_SHIPPED_KEYS = """message @timestamp @version @metadata timestamp time date host hostname log agent
ecs input stream kubernetes tags event fileset service container docker cloud offset source
source_type file beat prospector type path data_stream orchestrator fields labels"""
_OF_SHIPPERS = frozenset(_SHIPPED_KEYS.split())
"""Keys that shippers write next to the line; a record with others is one of its own."""
_FRACTION_UTC = re.compile(rb"(?:\.(\d{1,9}))?Z")
_CRI = re.compile(rb"(stdout|stderr) ([PF])(?::\S{1,64})? ?")

FUTURE = 86_400 * SECOND
"""How far the time of a record that is written now may be ahead of the clock, ns; other such
records are not read."""

UNREAD_SHARE = 20
"""If more than one in so many records cannot be read, the format of the log may not be what it
seems to be."""


class Carriers:
    """Strips carriers from the lines of one log. Times of syslog are read by `times`. `has_pieces`
    becomes true if a line came in pieces."""

    def __init__(self, times: LocalTimes) -> None:
        self._times = times
        self._pieces: dict[str, bytes] = {}
        self._second = (b"", 0)
        self.has_pieces = False

    def take_off(self, line: bytes) -> tuple[bytes, Carried] | None:
        """The line without its carriers, and their information: the inner one's, if both have it.
        None for a piece whose end comes later. Raises `RecordError` if the pieces are too long."""
        found = PLAIN
        for _ in range(MAX_CARRIERS):
            inner = self._one(line)
            if inner is None:
                break
            left, carried = inner
            time, digits = (
                (found.time, found.time_digits)
                if carried.time is None
                else (carried.time, carried.time_digits)
            )
            found = Carried(
                time, digits, carried.host or found.host, carried.program or found.program
            )
            if left is None:
                return None
            line = left
        return line, found

    def _one(self, line: bytes) -> tuple[bytes | None, Carried] | None:
        """The line without its outermost carrier, None if it has none."""
        first = line[:1]
        if first == b"{":
            if b'"log"' in line and b'"stream"' in line:
                return self._docker(line)
            if b'"MESSAGE"' in line:
                return self._journal(line)
            return self._shipped(line) if b'"message"' in line else None
        if first == b"<":
            priority = _PRIORITY.match(line)
            return self._syslog(line, priority.end()) if priority else None
        if first.isdigit():
            return self._with_rfc3339(line)
        return self._rfc3164(line, 0) if first.isalpha() else None

    def _syslog(self, line: bytes, at: int) -> tuple[bytes, Carried]:
        """A line after its priority."""
        found = _RFC5424.fullmatch(line, at)
        if found is not None:
            time, host, program, message = found.groups()
            return message or b"", Carried(
                *self._time(time), _text(host), "" if program == b"-" else _text(program)
            )
        inner = self._rfc3164(line, at) or self._with_rfc3339(line[at:])
        if inner is not None and inner[0] is not None:
            return inner[0], inner[1]
        tag = _TAG.match(line, at)
        if tag is not None:
            return line[tag.end() :], Carried(program=_text(tag[1]))
        return line[at:], PLAIN

    def _rfc3164(self, line: bytes, at: int) -> tuple[bytes, Carried] | None:
        found = _RFC3164.match(line, at)
        if found is None:
            return None
        time, digits = self._rfc3164_time(found.groups())
        return _behind_time(line, found.end(), time, digits)

    def _with_rfc3339(self, line: bytes) -> tuple[bytes | None, Carried] | None:
        """A CRI line, or a syslog line with a host and a tag: other logs also begin with such a
        time."""
        found = _RFC3339.match(line)
        if found is None:
            return None
        time, digits = self._time(found[1])
        cri = _CRI.match(line, found.end())
        if cri is not None:
            stream = cri[1].decode()
            text = self._joined(stream, line[cri.end() :], cri[2] == b"F")
            return text, Carried(time, digits)
        host = _HOST.match(line, found.end())
        if host is None or _TAG.match(line, host.end()) is None:
            return None
        return _behind_time(line, found.end(), time, digits)

    def _docker(self, line: bytes) -> tuple[bytes | None, Carried] | None:
        record = maybe_object(line) or {}
        text, stream = record.get("log"), record.get("stream")
        if not isinstance(text, str) or not isinstance(stream, str):
            return None
        moment = record.get("time")
        time = self._time(moment.encode()) if isinstance(moment, str) else (None, 0)
        octets = text.encode("utf-8", "surrogateescape")
        whole = self._joined(stream, octets.rstrip(b"\r\n"), octets.endswith(b"\n"))
        return whole, Carried(*time)

    def _journal(self, line: bytes) -> tuple[bytes, Carried] | None:
        record = maybe_object(line) or {}
        message = record.get("MESSAGE")
        if isinstance(message, list):  # bytes that are not UTF-8 come as numbers
            try:
                text = bytes(message)
            except (TypeError, ValueError):
                return None
        elif isinstance(message, str):
            text = message.encode("utf-8", "surrogateescape")
        else:
            return None
        moment = record.get("_SOURCE_REALTIME_TIMESTAMP") or record.get("__REALTIME_TIMESTAMP")
        if not isinstance(moment, str) or not moment.isascii() or not moment.isdigit():
            return None
        host = record.get("_HOSTNAME")
        program = record.get("SYSLOG_IDENTIFIER") or record.get("_COMM")
        time = int(moment[:17]) * 1000
        return text, Carried(
            time if time < LAST else None,
            6,
            host if isinstance(host, str) else "",
            program if isinstance(program, str) else "",
        )

    def _shipped(self, line: bytes) -> tuple[bytes, Carried] | None:
        record = maybe_object(line) or {}
        text = record.get("message")
        if not isinstance(text, str) or not record.keys() <= _OF_SHIPPERS:
            return None
        moment = next((record[key] for key in _TIMES if key in record), None)
        time = self._time(moment.encode()) if isinstance(moment, str) else (None, 0)
        return text.encode("utf-8", "surrogatepass").rstrip(b"\r\n"), Carried(*time)

    def _joined(self, stream: str, text: bytes, is_whole: bool) -> bytes | None:
        """A line, earlier pieces of which may have come; None if it is not complete."""
        if is_whole and not self._pieces:
            return text
        text = self._pieces.pop(stream, b"") + text
        if len(text) > MAX_LINE:
            raise RecordError("line-too-long")
        if is_whole:
            return text
        self.has_pieces = True
        if len(self._pieces) >= MAX_PIECES:
            self._pieces.pop(next(iter(self._pieces)))
            raise RecordError("pieces-full")
        self._pieces[stream] = text
        return None

    def _rfc3164_time(self, parts: tuple[bytes, ...]) -> tuple[int | None, int]:
        month, day, year, hour, minute, second, fraction, late_year = parts
        digits = fraction or b""
        nanoseconds = int(digits.ljust(9, b"0"))
        key = b" ".join((month, day, hour, minute, second, year or late_year or b""))
        if self._second[0] == key:
            return self._second[1] + nanoseconds, len(digits)
        try:
            moment = (
                MONTHS[month.decode()],
                int(day),
                int(hour),
                int(minute),
                min(int(second), 59),
            )
            if year or late_year:
                time = self._times.local(datetime(int(year or late_year), *moment))
            else:
                time = self._times.without_year(*moment)
        except (ValueError, OverflowError):
            return None, 0
        self._second = key, time
        return time + nanoseconds, len(digits)

    def _time(self, text: bytes) -> tuple[int | None, int]:
        """A time of RFC 3339, None for any other."""
        if self._second[0] == text[:19]:
            found = _FRACTION_UTC.fullmatch(text, 19)
            if found is not None:
                digits = found[1] or b""
                return self._second[1] + int(digits.ljust(9, b"0")), len(digits)
        try:
            time, count = rfc3339(text.decode("ascii", "replace"), self._times)
        except RecordError:
            return None, 0
        if text.endswith(b"Z"):
            self._second = text[:19], time - time % SECOND
        return time, count


def _behind_time(line: bytes, at: int, time: int | None, digits: int) -> tuple[bytes, Carried]:
    """What follows a syslog time: an optional host, an optional tag, the message."""
    host, program = b"", b""
    tag = _TAG.match(line, at)
    if tag is None:
        found = _HOST.match(line, at)
        if found is not None:
            host, at = found[1], found.end()
            tag = _TAG.match(line, at)
    if tag is not None:
        program, at = tag[1], tag.end()
    return line[at:], Carried(time, digits, _text(host), _text(program))


def _text(word: bytes) -> str:
    return "" if word == b"-" else word.decode("ascii", "replace")


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
                    note_place(entry.conversations, FlowPlace(current.source, number, record))
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
            note_place(entry.conversations, FlowPlace(at.source, at.line, at.record))
        return self._item(entry)

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
        note_place(found, FlowPlace(at.source, at.line, at.record))
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
