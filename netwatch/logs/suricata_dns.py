"""Lookups in EVE logs, in the three versions of their events.

Version 1 (to Suricata 4) has an event for each record of an answer; events of one answer have the
same flow, identifier and time, and are put together here. Version 2 (``"version": 2``) has one
event with all records (``answers``), or only their data by type (``grouped``). Version 3 (Suricata
8) lists the questions (``queries``). The source of an answer is the server in Suricata 4 and 8, and
the client in those between; the port of DNS tells which.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from netwatch.core.message import DnsInfo
from netwatch.core.names import escape_bytes, normalise_name, raw_name
from netwatch.core.protocol_numbers import RCODES, TYPES
from netwatch.dissect.loop.dns_messages import MAX_QUESTIONS
from netwatch.logs.dns_values import MAX_RECORDS, MAX_TTL, TextRecord, answer
from netwatch.logs.json_values import Object, inner, number, objects, text, texts
from netwatch.logs.reading import MAX_PARTS, CurrentRecord, RecordError
from netwatch.logs.records import LogEntry, LogName, Place
from netwatch.logs.suricata_event import Event
from netwatch.logs.times import SECOND

MAX_PENDING = 64
"""Maximum number of answers of version 1 of which more records may come; the oldest one is then
taken as complete."""

_QUERIES = frozenset({"query", "request"})
_ANSWERS = frozenset({"answer", "response"})
_PORTS = frozenset({53, 5353, 5355})
_TYPES = frozenset(TYPES.values())
_RCODES = frozenset(RCODES.values())
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})")

_Key = tuple[str, int, int]


class _Answer(NamedTuple):
    """An answer of version 1 whose records come in events of their own: what they have in common,
    the records, and where the first ones are."""

    event: Event
    records: list[Object]
    places: list[Place | None]


class DnsEvents:
    """Reads the ``dns`` events of one log, the one at `current` now."""

    def __init__(self, current: CurrentRecord) -> None:
        self.has_pending = False
        self._current = current
        self._pending: OrderedDict[_Key, _Answer] = OrderedDict()

    def read(self, event: Event, dns: Object) -> Iterable[LogEntry]:
        """The names of one event; of a record of version 1 they come when `complete`."""
        kind, version = text(dns, "type"), number(dns, "version")
        if kind not in _QUERIES and kind not in _ANSWERS:
            raise RecordError("dns-type-missing")
        if number(dns, "opcode"):
            return ()  # an update of a zone is not a lookup
        if kind in _QUERIES:
            return _query(event, dns)
        if version < 2 and "answers" not in dns and "grouped" not in dns:
            self._record(event, dns)
            return ()
        return _answer(event, dns, version)

    def complete(self, time: int) -> Iterator[LogEntry]:
        """The answers of which no more records come, now that there is an event of this time."""
        for key in list(self._pending):
            if len(self._pending) > MAX_PENDING or key[2] + SECOND <= time:
                yield from _joined(self._pending.pop(key))

    def flush(self) -> Iterator[LogEntry]:
        """The answers of which more records could have come."""
        while self._pending:
            yield from _joined(self._pending.popitem(last=False)[1])

    def _record(self, event: Event, dns: Object) -> None:
        """One record of an answer of version 1."""
        key = (event.flow, number(dns, "id"), event.time)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Answer(event, [], [])
            self.has_pending = True
        if len(pending.records) < MAX_RECORDS:
            pending.records.append(dns)
        if len(pending.places) < MAX_PARTS:
            pending.places.append(self._current.place(event.time, event.digits))


def _query(event: Event, dns: Object) -> Iterator[LogName]:
    for question in objects(dns, "queries", MAX_QUESTIONS) or [dns]:
        info = DnsInfo(_type(question))
        raw = _name(question, "rrname")
        name = normalise_name(raw)
        if name:
            yield event.shown(
                "dns-query",
                name,
                dns=info,
                raw=raw_name(raw, name),
            )


def _answer(event: Event, dns: Object, version: int) -> Iterator[LogName]:
    questions = objects(dns, "queries", MAX_QUESTIONS) or [dns]
    records = [_record(each) for each in objects(dns, "answers", MAX_RECORDS)]
    asked = [_name(question, "rrname") for question in questions]
    if not asked[0] and records and records[0].type == "CNAME":
        asked = [records[0].owner.encode()]  # as in packets without a question
    if not records:
        records = _grouped(normalise_name(asked[0]), inner(dns, "grouped"))
    yield from _shown(event, dns, version, _type(questions[0]), asked, records)


def _joined(found: _Answer) -> Iterator[LogName]:
    """The names of an answer of version 1. The first record has the name asked for, because
    aliases come before what they lead to."""
    first = found.records[0]
    records = [_record(each) for each in found.records]
    addresses = [record.type for record in records if record.type in ("A", "AAAA")]
    kind = addresses[0] if addresses else records[0].type
    aliases: dict[str, Place | None] = {}
    for record, place in zip(records, found.places, strict=False):
        if record.type == "CNAME":
            aliases.setdefault(normalise_name(record.data.encode()), place)
    parts = tuple(place for place in found.places if place is not None)
    for name in _shown(found.event, first, 1, kind, [_name(first, "rrname")], records):
        at = aliases.get(name.name) if name.evidence == "dns-cname" else found.places[0]
        yield replace(name, shown_at=at, parts=parts)


def _shown(
    event: Event,
    dns: Object,
    version: int,
    kind: str,
    asked: list[bytes],
    records: list[TextRecord],
) -> Iterator[LogName]:
    """The names that an answer shows: those asked for, and the aliases."""
    if _is_from_server(event, version):
        event = event.reversed()
    rcode = text(dns, "rcode") or "NOERROR"
    if rcode not in _RCODES:
        rcode = escape_bytes(rcode.encode())[:32]
    names = {name: raw for raw in asked if (name := normalise_name(raw))}
    if not names:
        return
    first = next(iter(names))
    info = answer(first, kind, rcode, records)
    for name, raw in names.items():
        yield event.shown(
            "dns-answer",
            name,
            dns=info,
            raw=raw_name(raw, name),
        )
    for alias in info.chain:
        yield event.shown(
            "dns-cname",
            alias,
            dns=info,
            asked=first,
        )


def _is_from_server(event: Event, version: int) -> bool:
    """Whether the source of an answer is the server. The port of DNS tells it, because this has
    changed back and forth; where both sides have it, the version does."""
    source, destination = event.source.port in _PORTS, event.destination.port in _PORTS
    return source if source != destination else version >= 3


def _record(values: Object) -> TextRecord:
    return TextRecord(
        normalise_name(_name(values, "rrname")),
        text(values, "rrtype"),
        min(number(values, "ttl"), MAX_TTL),
        _name(values, "rdata").decode("utf-8", "replace"),
    )


def _grouped(asked: str, grouped: Object) -> list[TextRecord]:
    """The records of an answer of which only the data by type are known: aliases follow each other,
    and the last one has the addresses."""
    records: list[TextRecord] = []
    owner = asked
    for alias in texts(grouped, "CNAME", MAX_RECORDS):
        records.append(TextRecord(owner, "CNAME", 0, alias))
        owner = normalise_name(alias.encode())
    for kind in ("A", "AAAA"):
        addresses = texts(grouped, kind, MAX_RECORDS)
        records += [TextRecord(owner, kind, 0, address) for address in addresses]
    return records


def _type(question: Object) -> str:
    kind = text(question, "rrtype")
    return kind if kind in _TYPES else escape_bytes(kind.encode())[:32]


def _name(values: Object, key: str) -> bytes:
    """A name as it was on the wire: bytes that are no text are written ``\\xff``."""
    written = text(values, key).encode()
    if b"\\x" in written:
        return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), written)
    return written
