"""The Windows DNS server: its debug log (``dns.log``), and its analytical events
(``Microsoft-Windows-DNSServer/Analytical``).

In the debug log a packet is one line: date, time, thread, ``PACKET``, an identifier, protocol,
``Rcv`` or ``Snd``, the other side, the id of the message, ``R`` for a response, the operation,
``[FLAGS CHARACTERS RCODE]``, type and name, which has its labels with their lengths
(``(3)www(6)tiktok(3)com(0)``). The lines of details that may follow are ignored. Received queries
and sent responses belong to clients; the other two are between this server and others. Dates are in
the format of the server's locale, in local time. If a day could be a month, the order is taken from
an unambiguous date in this log, otherwise it is the one that is not later than the file, otherwise
the month comes first if the time has AM or PM.

Of the events, 256 is a received query, 257 a sent response, 258 one with an error, 259 an ignored
query, possibly because of a policy. Their data have the other side, the question, and in
``PacketData`` the DNS message itself. The other events are between this server and others. They
come as JSON from exporters, each with its own envelope: Winlogbeat (``winlog.event_data``), NXLog
(flat), ``Event.EventData`` as written by ``evtx_dump`` and as records of EVTX files here, and
``Get-WinEvent | ConvertTo-Json``, which may have only the text of the message.
"""

import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from netwatch.core.errors import RecordError
from netwatch.core.message import DnsInfo
from netwatch.core.protocol_numbers import rcode_text, type_text
from netwatch.logs.dns_values import (
    MAX_MESSAGE,
    Others,
    address,
    answer_info,
    carried_time,
    message_names,
    port,
    query_info,
    shown,
)
from netwatch.logs.fields import is_cut_object, json_object
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    LogEntry,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import SECOND, LocalTimes, rfc3339
from netwatch.logs.windows_events import WindowsEvent, windows_event

_LINE = re.compile(
    rb"(\d{1,8})(?:([-./])\s?(\d{1,2})[-./]\s?(\d{1,4})\.?)? (\d{1,2})[:.](\d\d)[:.](\d\d)"
    rb"(?: ?([AaPp])\.?\s?[Mm]\.?)? +[0-9A-Fa-f]{1,8} PACKET +[0-9A-Fa-f]{4,16} (UDP|TCP) "
    rb"(Rcv|Snd) ([0-9a-fA-F.:]+(?:%\S{1,32})?) +[0-9a-fA-F]{4} (R| ) ?([QNU?]) "
    rb"\[[0-9a-fA-F]{4} +[ATDR ]*([A-Z0-9]{3,16})\] ([A-Z0-9]{1,16}) +(\S.*?)\s*"
)
_LABEL = re.compile(rb"\((\d{1,2})\)")
_POINTER = re.compile(rb"\[[0-9A-Fa-f]{4}\]")


def recognise_debug_log(sample: Sample) -> int:
    """The number of lines of the sample that only this server writes."""
    return sum(b" PACKET " in line and _LINE.fullmatch(line) is not None for line in sample.lines)


class DebugLogReader(RecordReader):
    """Reads the records of one debug log."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        self._day_first: bool | None = None
        self._second: tuple[bytes | None, ...] = ()
        self._time = 0

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line."""
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
    """A name whose labels are written with their lengths, or with dots, converted to dots. Raises
    `RecordError`."""
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


QUERY, ANSWER, FAILURE, IGNORED = "256", "257", "258", "259"

_PROVIDERS = ("Microsoft-Windows-DNSServer", "Microsoft-Windows-DNS-Server")
_MESSAGES = {
    "QUERY_RECEIVED": QUERY,
    "RESPONSE_SUCCESS": ANSWER,
    "RESPONSE_FAILURE": FAILURE,
    "IGNORED_QUERY": IGNORED,
}
_TEXT = re.compile(
    r"(QUERY_RECEIVED|RESPONSE_SUCCESS|RESPONSE_FAILURE|IGNORED_QUERY): (.*)", re.DOTALL
)
_FIELD = re.compile(r"\s*([A-Za-z ]{2,24}?)\s*=\s*([^;]*)")
_DATE = re.compile(r"/Date\((\d{1,15})\)/")


def recognise_events(sample: Sample) -> int:
    """The number of records of the sample that are such events."""
    found = 0
    for line, json in zip(sample.lines, sample.objects, strict=True):
        if json is not None:
            found += _event(json) is not None
        else:
            found += b"QNAME=" in line and _TEXT.search(line.decode("latin-1")) is not None
    return found


class DnsEventReader(RecordReader):
    """Reads the events of one log."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read an event."""
        record = record.strip()
        if not record.startswith(b"{"):
            text = _TEXT.search(record.decode("utf-8", "replace"))
            if text is None:
                if is_cut_object(record):
                    raise RecordError("json-cut")
                return ()
            event = WindowsEvent("", _MESSAGES[text[1]], "", "", _fields(text[2]))
        else:
            read = _event(json_object(record))
            if read is None:
                return ()
            event = read
        return self._shown(event, carried)

    def _shown(self, event: WindowsEvent, carried: Carried) -> Iterable[LogEntry]:
        data = {key: str(value) for key, value in event.data.items()}
        is_answer = event.number in (ANSWER, FAILURE)
        side = data.get("destination" if is_answer else "source")
        client = NOWHERE if side is None else _endpoint(side, data.get("port", ""))
        interface = data.get("interfaceip")
        server = _endpoint(interface, "") if interface else NOWHERE
        if server.ip is not None and not any(server.ip):
            server = NOWHERE
        transport: Literal["tcp", "udp"] = "tcp" if data.get("tcp") in ("1", "true") else "udp"
        others: Others = {"lacks": ("client",)} if client.ip is None else {}
        if event.number == IGNORED:
            policy = data.get("policyname", "NULL")
            reason = policy if policy != "NULL" else data.get("reason", "")
            others |= {"outcome": "blocked", "blocked_by": f"ignored-query:{reason[:64]}"}
        when = _time(event.time, self._times, carried)
        message = _packet(data.get("packetdata", ""))
        names = message_names(message, when, client, server, transport, **others)
        if names is not None:
            return names
        name = data.get("qname")
        if name is None:
            raise RecordError("field-missing")
        if is_answer:
            others["lacks"] = (*others.get("lacks", ()), "answer")
        info = DnsInfo(
            type_text(_number(data.get("qtype"))),
            rcode_text(_number(data.get("rcode", "0"))) if is_answer else None,
        )
        return shown(
            name.encode("utf-8", "surrogatepass"), info, when, client, server, transport, **others
        )


def _event(found: Mapping[str, Any]) -> WindowsEvent | None:
    """The event in an object, its data with their names in lower case; None if it is another
    one."""
    event = windows_event(found)
    number = event.number
    fields = {
        key.lower(): str(value)
        for key, value in event.data.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    }
    text = found.get("Message") or found.get("message")
    if "qname" not in fields and isinstance(text, str) and (read := _TEXT.search(text)):
        number, fields = _MESSAGES[read[1]], fields | _fields(read[2])
    if event.provider not in ("", *_PROVIDERS) or number not in _MESSAGES.values():
        return None
    if not {"qname", "packetdata"} & fields.keys():
        return None
    return event._replace(number=number, data=fields)


def _fields(text: str) -> dict[str, str]:
    """The data in the text of a message: ``TCP=0; InterfaceIP=192.0.2.53; …``."""
    return {
        found[1].lower(): found[2].strip()
        for part in text.split(";", 64)[:64]
        if (found := _FIELD.fullmatch(part))
    }


def _time(written: str, times: LocalTimes, carried: Carried) -> tuple[int, int]:
    if not written:
        return carried_time(carried)
    if found := _DATE.fullmatch(written):
        return int(found[1]) * (SECOND // 1000), 3
    return rfc3339(written, times)


def _packet(text: str) -> bytes:
    """A message in hexadecimal digits, empty if it is not valid."""
    text = text.removeprefix("0x")
    if len(text) > MAX_MESSAGE * 2 or not text.isascii():
        return b""
    try:
        return binascii.unhexlify(text)
    except binascii.Error:
        return b""


def _endpoint(text: str, number: str) -> Endpoint:
    return Endpoint(
        address(text.strip("[] ").encode("utf-8", "surrogatepass")),
        port(number.encode("utf-8", "surrogatepass")) if number else 0,
    )


def _number(text: str | None) -> int:
    """The number of a type or a response code."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 5:
        raise RecordError("number-invalid")
    return int(text)
