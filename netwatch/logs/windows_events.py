"""Windows events in any encoding, and Sysmon's: DNS queries of hosts, which are event 22.

An event is a JSON object: ``Event.EventData`` as written by ``evtx_dump`` and as records of EVTX
files here, Winlogbeat's (``winlog.event_data``), or with flat fields as NXLog and ``Get-WinEvent |
ConvertTo-Json`` write it.

Microsoft documents event 22 under "Event ID 22: DNSEvent (DNS query)". It names the program and the
host that asked, but not the address. It may also be XML, from ``wevtutil qe … /f:XML``, an event in
one line or in several. Event 3 (network connection) has neither bytes nor an end, and a name from a
reverse lookup, so it is not read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from netwatch.core.addresses import ip_text
from netwatch.core.errors import RecordError
from netwatch.core.message import DnsInfo
from netwatch.core.names import normalise_name
from netwatch.logs.dns_values import shown
from netwatch.logs.fields import (
    MAX_ANSWERS,
    Object,
    address,
    host_name,
    is_cut_object,
    json_object,
    object_of,
    octets,
    text,
)
from netwatch.logs.records import (
    MAX_PARTS,
    NOWHERE,
    Carried,
    Lack,
    LogEntry,
    LogName,
    Place,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import rfc3339

MAX_EVENT = 65_536
"""Bytes of an event in XML that comes in several lines; Windows limits an event to 64 KiB."""

PROVIDER = "Microsoft-Windows-Sysmon"

_TIMES = ("EventTime", "TimeCreated", "UtcTime", "TimeGenerated", "@timestamp", "timestamp")
_STATUS = {
    "0": "NOERROR",
    "9001": "FORMERR",
    "9002": "SERVFAIL",
    "9003": "NXDOMAIN",
    "9004": "NOTIMP",
    "9005": "REFUSED",
    "9501": "NOERROR",
    "SUCCESS": "NOERROR",
    "DNS_ERROR_RCODE_FORMAT_ERROR": "FORMERR",
    "DNS_ERROR_RCODE_SERVER_FAILURE": "SERVFAIL",
    "DNS_ERROR_RCODE_NAME_ERROR": "NXDOMAIN",
    "DNS_ERROR_RCODE_NOT_IMPLEMENTED": "NOTIMP",
    "DNS_ERROR_RCODE_REFUSED": "REFUSED",
    "DNS_INFO_NO_RECORDS": "NOERROR",
}
"""Response codes by Windows error codes (winerror.h) and, as Winlogbeat writes them, their names.
9501 is an answer without records."""

_DATA = re.compile(rb"<Data\s+Name=['\"](\w+)['\"]\s*(?:/>|>([^<]*)</Data>)")
_EVENT_ID = re.compile(rb"<EventID[^>]*>\s*(\d+)\s*</EventID>")
_COMPUTER = re.compile(rb"<Computer>([^<]*)</Computer>")
_SYSTEM_TIME = re.compile(rb"SystemTime=['\"]([^'\"]*)['\"]")
_ENTITY = re.compile(r"&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_RECORD = re.compile(r"\s*type:\s*(\d+)\s+(\S+)")
"""A record in `QueryResults` that is not an address: its type (5 is an alias) and its name."""


def recognise_sysmon(sample: Sample) -> int:
    """The number of lines that name the provider, as object or as XML."""
    found = 0
    for line, values in zip(sample.lines, sample.objects, strict=True):
        if values is not None:
            event = windows_event(values)
            found += event.provider == PROVIDER and event.number != ""
        else:
            found += b"<Provider" in line and PROVIDER.encode() in line
    return found


class WindowsEvent(NamedTuple):
    """An event: its provider, number, computer and time, each empty if it has none, and its data by
    their names."""

    provider: str
    number: str
    computer: str
    time: str
    data: Mapping[str, object]


def windows_event(values: Object) -> WindowsEvent:
    """The event in an object; one without a number if it is not an event."""
    inner, winlog = values.get("Event"), values.get("winlog")
    time = next((each for key in _TIMES if isinstance(each := values.get(key), str)), "")
    if isinstance(inner, dict):
        system = object_of(inner, "System")
        return WindowsEvent(
            _attribute(system.get("Provider"), "Name"),
            _plain(system.get("EventID")),
            _plain(system.get("Computer")),
            _attribute(system.get("TimeCreated"), "SystemTime"),
            object_of(inner, "EventData"),
        )
    if isinstance(winlog, dict) or "event_data" in values:
        # Winlogbeat before 7 has the same at the top.
        event, ecs = winlog if isinstance(winlog, dict) else values, object_of(values, "event")
        return WindowsEvent(
            _first(event, ("provider_name", "source_name")) or text(ecs.get("provider")),
            _plain(event.get("event_id")) or _plain(ecs.get("code")),
            text(event.get("computer_name")),
            time,
            object_of(event, "event_data"),
        )
    return WindowsEvent(
        _first(values, ("ProviderName", "SourceName", "Provider")),
        _first(values, ("EventID", "EventId", "Id")),
        _first(values, ("Hostname", "Computer")),
        time,
        object_of(values, "EventData") or values,
    )


def _first(values: Object, keys: Iterable[str]) -> str:
    return next(filter(None, (_plain(values.get(key)) for key in keys)), "")


class SysmonReader(RecordReader):
    """Reads the events of one log. An event in XML may come in several records, a line each."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        self._begun: bytearray | None = None
        self._lines: list[Place] = []

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """The lookup in an event 22. Raises `RecordError`."""
        line = record.lstrip(b"\xef\xbb\xbf \t")
        if self._begun is None and line.startswith(b"{"):
            return self._lookup(_event(json_object(line)))
        if self._begun is None and is_cut_object(line.rstrip()):
            raise RecordError("json-cut")
        return self._xml(line)

    def flush(self) -> Iterable[LogEntry]:
        """Nothing: an unfinished event cannot be read."""
        self._begun = None
        return ()

    def _xml(self, line: bytes) -> Iterable[LogEntry]:
        begin = line.find(b"<Event ")
        if begin < 0 and b"<Event>" in line:
            begin = line.index(b"<Event>")
        if begin >= 0:
            self._begun, self._lines = bytearray(), []
        elif self._begun is None:
            return ()  # declarations, the element around all events
        place = self._current.place()
        if place is not None and len(self._lines) < MAX_PARTS:
            self._lines.append(place)
        found: list[LogEntry] = []
        rest = line[max(begin, 0) :]
        while self._begun is not None:
            end = rest.find(b"</Event>")
            self._begun += (rest if end < 0 else rest[:end]) + b"\n"
            if end < 0:
                if len(self._begun) > MAX_EVENT:
                    self._begun = None
                    raise RecordError("event-too-long")
                break
            xml = bytes(self._begun[:MAX_EVENT])
            rest = rest[end + 8 :]
            more = rest.find(b"<Event")
            self._begun = bytearray() if more >= 0 else None
            rest = rest[max(more, 0) :]
            found += _with_lines(self._lookup(_from_xml(xml)), self._lines)
            self._lines = self._lines[-1:]
        return found

    def _lookup(self, event: WindowsEvent) -> Iterable[LogName]:
        if event.number != "22" or event.provider not in (PROVIDER, ""):
            return ()
        name = text(event.data.get("QueryName"))
        if not name:
            raise RecordError("name-missing")
        asked = text(event.data.get("UtcTime"))
        when = rfc3339(asked + "Z" if asked else event.time)
        if not normalise_name(octets(name)):
            raise RecordError("name-missing")
        lacks: tuple[Lack, ...] = () if event.computer else ("client",)
        host, dns = event.computer, _dns(event.data)
        return shown(octets(name), dns, when, NOWHERE, client_host=host, lacks=lacks)


def _with_lines(names: Iterable[LogName], lines: list[Place]) -> Iterator[LogName]:
    """Names in an event in XML with its lines, if these are several."""
    for name in names:
        if len(lines) < 2:
            yield name
            continue
        places = tuple(
            [line._replace(time=name.time, time_digits=name.time_digits) for line in lines]
        )
        written = (name.raw or name.name).encode()
        at = next((place for place in places if written in place.record), None)
        yield replace(name, shown_at=at, parts=places)


def _event(values: Object) -> WindowsEvent:
    event = windows_event(values)
    return event if "QueryName" in event.data else event._replace(data=_from_ecs(values))


def _from_ecs(values: Mapping[str, object]) -> Mapping[str, object]:
    """The values of an event that the Sysmon module of Winlogbeat has renamed to fields of ECS."""
    dns, sysmon = values.get("dns"), values.get("sysmon")
    if not isinstance(dns, dict):
        return {}
    question, answers = dns.get("question"), dns.get("answers")
    status = sysmon.get("dns") if isinstance(sysmon, dict) else None
    results = []
    for each in answers[:MAX_ANSWERS] if isinstance(answers, list) else []:
        if isinstance(each, dict):
            mark = "type: 5 " if each.get("type") == "CNAME" else ""
            results.append(mark + text(each.get("data")))
    return {
        "QueryName": question.get("name") if isinstance(question, dict) else None,
        "QueryResults": ";".join(results),
        "QueryStatus": status.get("status") if isinstance(status, dict) else None,
    }


def _attribute(element: object, name: str) -> str:
    if not isinstance(element, dict):
        return ""
    inner = element.get("#attributes")
    attributes = inner if isinstance(inner, dict) else element
    return text(attributes.get(name, attributes.get("@" + name)))


def _plain(element: object) -> str:
    """The text of an element, which is an object if it has attributes."""
    if isinstance(element, dict):
        element = element.get("#text")
    return str(element) if isinstance(element, int) else text(element)


def _from_xml(xml: bytes) -> WindowsEvent:
    number, computer = _EVENT_ID.search(xml), _COMPUTER.search(xml)
    time = _SYSTEM_TIME.search(xml)
    data = {
        found[1].decode("ascii", "replace"): _unescaped(found[2] or b"")
        for found in _DATA.finditer(xml)
    }
    return WindowsEvent(
        PROVIDER if PROVIDER.encode() in xml else "other",
        number[1].decode() if number else "",
        _unescaped(computer[1]) if computer else "",
        time[1].decode("utf-8", "replace") if time else "",
        data,
    )


def _unescaped(raw: bytes) -> str:
    """Text of XML with its entities replaced. An event can only have the five of XML."""

    def character(found: re.Match[str]) -> str:
        if found[3]:
            return _NAMED[found[3]]
        code = int(found[1]) if found[1] else int(found[2], 16)
        return chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else "\ufffd"

    return _ENTITY.sub(character, raw.decode("utf-8", "surrogateescape"))


def _dns(data: Mapping[str, object]) -> DnsInfo:
    rcode = _STATUS.get(_plain(data.get("QueryStatus")))
    addresses: dict[str, int] = {}
    chain: list[str] = []
    for each in text(data.get("QueryResults")).split(";", MAX_ANSWERS)[:MAX_ANSWERS]:
        found = _RECORD.match(each)
        if found is None:
            packed = address(each)
            if packed is not None:
                addresses[ip_text(packed)] = 0
        elif found[1] == "5":
            chain.append(host_name(found[2]))
    return DnsInfo("", rcode, tuple(addresses.items()), tuple(chain))
