"""What carries the records of a log: syslog, the systemd journal, Docker, Kubernetes, log shippers.

The carrier of a line is recognised on its own, so that several senders can share a file. One
carrier may be inside another: a line that Docker wrote and syslog forwarded. Lines without a
carrier stay as they are. Syslog is RFC 5424, and RFC 3164 as programs write it: with or without
priority, year, and host, or with an RFC 3339 time (rsyslog). The journal is ``journalctl -o json``,
Docker's format is its driver ``json-file``, Kubernetes' is CRI. Log shippers (Filebeat, Fluent Bit,
Logstash) write the line as ``message`` next to what they know about its file and host.
"""

import re
from datetime import datetime

from netwatch.core.errors import RecordError
from netwatch.logs.fields import maybe_object
from netwatch.logs.records import PLAIN, Carried
from netwatch.logs.times import LAST, MONTHS, SECOND, LocalTimes, rfc3339

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
