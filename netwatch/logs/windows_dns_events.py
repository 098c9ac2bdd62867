"""The analytical events of the DNS server of Windows (``Microsoft-Windows-DNSServer/Analytical``).

256 is a query that was received, 257 a response that was sent, 258 one with an error, 259 a query
that was ignored, which a policy may have decided. Their data have the other side, the question, and
in ``PacketData`` the DNS message itself. The other events are between this server and others.

They come as JSON from exporters, each with its own envelope: Winlogbeat (``winlog.event_data``),
NXLog (flat), ``Event.EventData`` as ``evtx_dump`` writes it and as records of EVTX files are here,
and ``Get-WinEvent | ConvertTo-Json``, which may have nothing but the text of the message.
"""

import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from netwatch.core.errors import RecordError
from netwatch.core.message import DnsInfo
from netwatch.core.protocol_numbers import rcode_text, type_text
from netwatch.logs.dns_values import (
    MAX_MESSAGE,
    Others,
    address,
    carried_time,
    message_names,
    port,
    shown,
)
from netwatch.logs.fields import is_cut_object, json_object
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    LogEntry,
    RecordReader,
    Sample,
)
from netwatch.logs.times import SECOND, LocalTimes, rfc3339

QUERY, ANSWER, FAILURE, IGNORED = 256, 257, 258, 259

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
_TIMES = ("EventTime", "TimeCreated", "UtcTime", "TimeGenerated", "@timestamp", "timestamp")


def recognise(sample: Sample) -> int:
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
        """What an event says."""
        record = record.strip()
        if not record.startswith(b"{"):
            text = _TEXT.search(record.decode("utf-8", "replace"))
            if text is None:
                if is_cut_object(record):
                    raise RecordError("json-cut")
                return ()
            event = _Event(_MESSAGES[text[1]], _fields(text[2]), {})
        else:
            read = _event(json_object(record))
            if read is None:
                return ()
            event = read
        return self._shown(event, carried)

    def _shown(self, event: "_Event", carried: Carried) -> Iterable[LogEntry]:
        data = event.data
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
        when = _time(event.envelope, self._times, carried)
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


class _Event:
    """An event by its number, with its data by their names in lower case, and the object that it
    came in."""

    __slots__ = ("data", "envelope", "number")

    def __init__(self, number: int, data: dict[str, str], envelope: Mapping[str, Any]) -> None:
        self.number = number
        self.data = data
        self.envelope = envelope


def _event(found: Mapping[str, Any]) -> _Event | None:
    """The event that an object is; None where it is another one."""
    envelope: Mapping[str, Any] = found
    if isinstance(inner := found.get("Event"), dict):
        system = _object(inner.get("System"))
        data: object = inner.get("EventData")
        number: object = _plain(system.get("EventID"))
        provider = _attribute(system.get("Provider"), "Name")
        envelope = {"TimeCreated": _attribute(system.get("TimeCreated"), "SystemTime")}
    elif isinstance(winlog := found.get("winlog"), dict):
        data = winlog.get("event_data")
        number = winlog.get("event_id") or _object(found.get("event")).get("code")
        provider = winlog.get("provider_name") or _object(found.get("event")).get("provider")
    else:
        data = found.get("EventData") if isinstance(found.get("EventData"), dict) else found
        number = next((found[key] for key in ("EventID", "EventId", "Id") if key in found), None)
        provider = found.get("ProviderName") or found.get("SourceName") or found.get("Provider")
    fields = {
        key.lower(): str(value)
        for key, value in _object(data).items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    }
    text = found.get("Message") or found.get("message")
    if "qname" not in fields and isinstance(text, str) and (read := _TEXT.search(text)):
        number, fields = _MESSAGES[read[1]], fields | _fields(read[2])
    if isinstance(provider, str) and provider not in _PROVIDERS:
        return None
    number = int(number) if isinstance(number, str) and number.isdigit() else number
    if number not in _MESSAGES.values() or not isinstance(number, int):
        return None
    return _Event(number, fields, envelope) if {"qname", "packetdata"} & fields.keys() else None


def _fields(text: str) -> dict[str, str]:
    """The data in the text of a message: ``TCP=0; InterfaceIP=192.0.2.53; …``."""
    return {
        found[1].lower(): found[2].strip()
        for part in text.split(";", 64)[:64]
        if (found := _FIELD.fullmatch(part))
    }


def _time(envelope: Mapping[str, Any], times: LocalTimes, carried: Carried) -> tuple[int, int]:
    for key in _TIMES:
        value = envelope.get(key)
        if not isinstance(value, str):
            continue
        if found := _DATE.fullmatch(value):
            milliseconds = int(found[1])
            return milliseconds * (SECOND // 1000), 3
        return rfc3339(value, times)
    return carried_time(carried)


def _packet(text: str) -> bytes:
    """A message in hexadecimal digits, empty where it is none."""
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
    """A number of a type or a response code."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 5:
        raise RecordError("number-invalid")
    return int(text)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(value: object) -> object:
    """The text of an element, which is an object where the element has attributes."""
    return _object(value).get("#text") if isinstance(value, dict) else value


def _attribute(value: object, name: str) -> object:
    """An attribute of an element."""
    found = _object(value)
    return _object(found.get("#attributes", found)).get(name)
