"""The debug log of the DNS server of Windows (``dns.log``).

A packet is one line: date, time, thread, ``PACKET``, an identifier, protocol, ``Rcv`` or ``Snd``,
the other side, the id of the message, ``R`` for a response, the operation, ``[FLAGS CHARACTERS
RCODE]``, type and name, which has its labels with their lengths (``(3)www(6)tiktok(3)com(0)``). The
lines of details that may follow are left out. Queries that were received and responses that were
sent are those of clients; the other two are between this server and others.

Dates are those of the locale of the server, in local time. If a day could be a month, the order
is that of a date in this log which decides it, else the one that is not later than the file, else
the month first where the time has AM or PM.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from netwatch.logs.dns_values import address, answer_info, query_info, shown
from netwatch.logs.reading import Carried, ReaderContext, RecordError, Sample
from netwatch.logs.records import NOWHERE, Endpoint, LogEntry

_LINE = re.compile(
    rb"(\d{1,8})(?:([-./])\s?(\d{1,2})[-./]\s?(\d{1,4})\.?)? (\d{1,2})[:.](\d\d)[:.](\d\d)"
    rb"(?: ?([AaPp])\.?\s?[Mm]\.?)? +[0-9A-Fa-f]{1,8} PACKET +[0-9A-Fa-f]{4,16} (UDP|TCP) "
    rb"(Rcv|Snd) ([0-9a-fA-F.:]+(?:%\S{1,32})?) +[0-9a-fA-F]{4} (R| ) ?([QNU?]) "
    rb"\[[0-9a-fA-F]{4} +[ATDR ]*([A-Z0-9]{3,16})\] ([A-Z0-9]{1,16}) +(\S.*?)\s*"
)
_LABEL = re.compile(rb"\((\d{1,2})\)")
_POINTER = re.compile(rb"\[[0-9A-Fa-f]{4}\]")


def recognise(sample: Sample) -> int:
    """The number of lines of the sample that only this server writes."""
    return sum(b" PACKET " in line and _LINE.fullmatch(line) is not None for line in sample.lines)


class Reader:
    """Reads the records of one debug log."""

    def __init__(self, context: ReaderContext) -> None:
        self._times = context.times
        self._day_first: bool | None = None
        self._second: tuple[bytes | None, ...] = ()
        self._time = 0

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a line says."""
        if b" PACKET " not in record:
            return ()
        found = _LINE.fullmatch(record)
        if found is None:
            raise RecordError("line-invalid")
        protocol, direction, source, response, operation, rcode, kind, name = found.groups()[8:]
        if operation != b"Q" or (direction == b"Snd") != (response == b"R"):
            return ()
        client = Endpoint(address(source))
        transport: Literal["tcp", "udp"] = "tcp" if protocol == b"TCP" else "udp"
        info = answer_info(kind, rcode) if response == b"R" else query_info(kind)
        return shown(labels(name), info, self._when(found), client, NOWHERE, transport)

    def flush(self) -> Iterable[LogEntry]:
        """Nothing waits."""
        return ()

    def _when(self, found: re.Match[bytes]) -> tuple[int, int]:
        parts = found.groups()[:8]
        if parts != self._second:
            first, separator, second, third, hour, minute, seconds, half = parts
            hours = int(hour)
            if half:
                hours = hours % 12 + (12 if half in b"Pp" else 0)
            clock = hours, int(minute), min(int(seconds), 59)
            try:
                if separator is None:
                    date = int(first[:4]), int(first[4:6]), int(first[6:])
                    moment = datetime(*date, *clock)
                elif len(first) == 4:
                    moment = datetime(int(first), int(second), int(third), *clock)
                else:
                    moment = self._ordered((int(first), int(second)), third, clock, separator, half)
                self._time = self._times.local(moment)
            except (ValueError, OverflowError):
                raise RecordError("time-invalid") from None
            self._second = parts
        return self._time, 0

    def _ordered(
        self,
        numbers: tuple[int, int],
        year_text: bytes,
        clock: tuple[int, int, int],
        separator: bytes,
        half: bytes | None,
    ) -> datetime:
        """The time of a date whose day or month comes first. Raises `ValueError`."""
        year = int(year_text) + (2000 if len(year_text) == 2 else 0)
        first, second = numbers
        if first > 12 or second > 12:
            self._day_first = first > 12
        day_first = self._day_first
        if day_first is None:
            candidates = (
                datetime(year, second, first, *clock),
                datetime(year, first, second, *clock),
            )
            past = [self._times.is_past(candidate) for candidate in candidates]
            day_first = past[0] if past[0] != past[1] else separator != b"/" or half is None
        day, month = (first, second) if day_first else (second, first)
        return datetime(year, month, day, *clock)


def labels(name: bytes) -> bytes:
    """A name whose labels are written with their lengths, or with dots, with dots between them.
    Raises `RecordError`."""
    if not name.startswith((b"(", b"[")):
        return name.strip(b".")
    parts: list[bytes] = []
    name = _POINTER.sub(b"", name)
    at = 0
    while found := _LABEL.match(name, at):
        size = int(found[1])
        at = found.end() + size
        if size == 0:
            return b".".join(parts)
        label = name[found.end() : at]
        if len(label) < size:
            break
        parts.append(label)
    raise RecordError("name-invalid")
