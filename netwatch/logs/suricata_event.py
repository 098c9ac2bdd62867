"""The common fields of all EVE events (time, sides, flow, VLAN and MAC addresses), and the events
of flows, of DHCP, and of lookups in their three versions.

Flows count bytes with all headers, from Ethernet on. DHCP makes claims of addresses. The meaning is
the same as in `netwatch.protocols.dhcp`; the server identifier is not logged.

Version 1 of lookups (to Suricata 4) has an event for each record of an answer; events of one answer
have the same flow, identifier and time, and are put together here. Version 2 (``"version": 2``) has
one event with all records (``answers``), or only their data by type (``grouped``). Version 3
(Suricata 8) lists the questions (``queries``). The source of an answer is the server in Suricata 4
and 8, and the client in those between; the port of DNS tells which.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple, TypedDict, Unpack

from netwatch.core.errors import RecordError
from netwatch.core.flow import NameStatus, Sent
from netwatch.core.message import (
    AddressClaim,
    AddressClaimKind,
    DnsInfo,
    Evidence,
    QuicInfo,
    TlsInfo,
)
from netwatch.core.names import escape_bytes, normalise_name, raw_name
from netwatch.core.protocol_numbers import RCODES, TYPES
from netwatch.core.verdict import Outcome
from netwatch.dissect.loop.dns_messages import MAX_QUESTIONS
from netwatch.logs.dns_values import MAX_RECORDS, MAX_TTL, TextRecord, answer
from netwatch.logs.fields import (
    NO_OBJECT,
    Object,
    number_of,
    object_of,
    objects_of,
    packed_ip,
    packed_mac,
    text_of,
    texts_of,
)
from netwatch.logs.records import (
    MAX_PARTS,
    CurrentRecord,
    Endpoint,
    LogClaim,
    LogEntry,
    LogFlow,
    LogName,
    Place,
)
from netwatch.logs.times import SECOND, MinuteTimes

LOOKUP_PORTS = frozenset({53, 5353, 5355})
"""Ports of lookups, whose packets are not flows here."""

HEADERS = 118
"""Bytes of the headers of a packet without payload, at most: Ethernet with a VLAN, IPv6 without
extensions, and TCP with all its options. A packet with more on average has payload."""

_RST, _PSH = 4, 8

_UNSPECIFIED = bytes(4)
_KINDS: dict[str, AddressClaimKind] = {
    "discover": "request",
    "request": "request",
    "ack": "lease",
    "nak": "nak",
    "release": "release",
    "decline": "release",
    "inform": "announcement",
}


class Details(TypedDict, total=False):
    """The parts of a name's record besides what all events have (see `LogName`)."""

    dns: DnsInfo | None
    tls: TlsInfo | None
    quic: QuicInfo | None
    raw: str
    asked: str
    outcome: Outcome | None
    blocked_by: str
    shown_at: Place | None
    parts: tuple[Place, ...]


class Event(NamedTuple):
    """The common part of an event: its time in ns since the epoch, its digits after the second,
    source and destination, the flow, the VLAN, and the MAC addresses of the frame."""

    time: int
    digits: int
    source: Endpoint
    destination: Endpoint
    transport: Literal["tcp", "udp"]
    flow: str
    vlan: int | None
    source_mac: bytes | None
    destination_mac: bytes | None

    def reversed(self) -> "Event":
        """The same with source and destination exchanged."""
        return self._replace(
            source=self.destination,
            destination=self.source,
            source_mac=self.destination_mac,
            destination_mac=self.source_mac,
        )

    def shown(self, evidence: Evidence, name: str, **details: Unpack[Details]) -> LogName:
        """A name that the source showed the destination."""
        return LogName(
            self.time,
            self.digits,
            evidence,
            name,
            self.source,
            self.destination,
            self.transport,
            client_mac=self.source_mac,
            vlan=self.vlan,
            flow=self.flow,
            **details,
        )


def flow(event: Event, values: Object, times: MinuteTimes) -> Iterator[LogFlow]:
    """An ended flow. Its source is the client as Suricata saw it."""
    found = object_of(values, "flow")
    if found is NO_OBJECT:
        raise RecordError("flow-missing")
    protocol = text_of(values, "app_proto")
    if protocol == "dns" or not LOOKUP_PORTS.isdisjoint(
        (event.source.port, event.destination.port)
    ):
        return
    first, _ = times.read(text_of(found, "start"))
    last, _ = times.read(text_of(found, "end"))
    bytes_out, bytes_in = number_of(found, "bytes_toserver"), number_of(found, "bytes_toclient")
    packets_out, packets_in = number_of(found, "pkts_toserver"), number_of(found, "pkts_toclient")
    tcp = object_of(values, "tcp")
    is_tcp = event.transport == "tcp"
    yield LogFlow(
        first,
        max(first, last),
        event.transport,
        event.source,
        event.destination,
        bytes_out,
        bytes_in,
        event.flow,
        _name_status(protocol),
        _sent(is_tcp, text_of(tcp, "tcp_flags_ts"), bytes_out, packets_out),
        _sent(is_tcp, text_of(tcp, "tcp_flags_tc"), bytes_in, packets_in),
        not is_tcp or not tcp or tcp.get("syn") is True,
        event.source_mac,
        event.vlan,
    )


def _name_status(protocol: str) -> NameStatus:
    """Flows of these protocols have a name, or would have one: the engine knows whether it was in
    the log."""
    return "no-sni" if protocol in ("tls", "quic") else "none"


def _sent(is_tcp: bool, flags: str, size: int, packets: int) -> Sent:
    """What one side sent, from the flags of all its packets together and their size."""
    if not packets:
        return "nothing"
    if not is_tcp:
        return "payload"
    try:
        seen = int(flags[:8] or "0", 16)
    except ValueError:
        seen = 0
    if seen & _PSH or size > packets * HEADERS:
        return "payload"
    return "refusal" if seen & _RST else "headers"


def claims(event: Event, dhcp: Object) -> Iterator[LogClaim]:
    """The claim of one message; none of an OFFER, and of an ACK for an INFORM."""
    message = text_of(dhcp, "dhcp_type")
    kind = _KINDS.get(message)
    if kind is None:
        return
    mac = packed_mac(text_of(dhcp, "client_mac"))
    if mac is None:
        raise RecordError("mac-invalid")
    own = packed_ip(text_of(dhcp, "client_ip")) or _UNSPECIFIED
    requested = packed_ip(text_of(dhcp, "requested_ip")) or own
    if kind == "lease":
        address = packed_ip(text_of(dhcp, "assigned_ip")) or _UNSPECIFIED
        if address == _UNSPECIFIED:
            return
    elif kind == "nak":
        address = _UNSPECIFIED
    else:
        address = own if message in ("release", "inform") else requested
    lifetime = number_of(dhcp, "lease_time")
    host = text_of(dhcp, "hostname").encode()[:255]
    yield LogClaim(
        event.time,
        event.digits,
        AddressClaim(
            kind,
            (address,) if address != _UNSPECIFIED else (),
            mac,
            hostname=normalise_name(host),
            lifetime=lifetime if kind == "lease" and lifetime else None,
            transaction_id=mac + (number_of(dhcp, "id") & 0xFFFFFFFF).to_bytes(4),
            client_id=mac,
            renewal=message == "request" and own != _UNSPECIFIED,
        ),
        event.source.ip,
    )


MAX_PENDING = 64
"""Maximum number of version 1 answers for which more records may come; the oldest one is then taken
as complete."""

_QUERIES = frozenset({"query", "request"})
_ANSWERS = frozenset({"answer", "response"})
_PORTS = frozenset({53, 5353, 5355})
_TYPES = frozenset(TYPES.values())
_RCODES = frozenset(RCODES.values())
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})")

_Key = tuple[str, int, int]


class _Answer(NamedTuple):
    """A version 1 answer whose records come in separate events: what they have in common, the
    records, and where the first ones are."""

    event: Event
    records: list[Object]
    places: list[Place | None]


class DnsEvents:
    """Reads the ``dns`` events of one log, the current one at `current`."""

    def __init__(self, current: CurrentRecord) -> None:
        self.has_pending = False
        self._current = current
        self._pending: OrderedDict[_Key, _Answer] = OrderedDict()

    def read(self, event: Event, dns: Object) -> Iterable[LogEntry]:
        """The names of one event; for a record of version 1 they come when it is `complete`."""
        kind, version = text_of(dns, "type"), number_of(dns, "version")
        if kind not in _QUERIES and kind not in _ANSWERS:
            raise RecordError("dns-type-missing")
        if number_of(dns, "opcode"):
            return ()  # an update of a zone is not a lookup
        if kind in _QUERIES:
            return _query(event, dns)
        if version < 2 and "answers" not in dns and "grouped" not in dns:
            self._record(event, dns)
            return ()
        return _answer(event, dns, version)

    def complete(self, time: int) -> Iterator[LogEntry]:
        """The answers that are complete, now that there is an event of this time."""
        for key in list(self._pending):
            if len(self._pending) > MAX_PENDING or key[2] + SECOND <= time:
                yield from _joined(self._pending.pop(key))

    def flush(self) -> Iterator[LogEntry]:
        """The answers for which more records could have come."""
        while self._pending:
            yield from _joined(self._pending.popitem(last=False)[1])

    def _record(self, event: Event, dns: Object) -> None:
        """One record of an answer of version 1."""
        key = (event.flow, number_of(dns, "id"), event.time)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Answer(event, [], [])
            self.has_pending = True
        if len(pending.records) < MAX_RECORDS:
            pending.records.append(dns)
        if len(pending.places) < MAX_PARTS:
            pending.places.append(self._current.place(event.time, event.digits))


def _query(event: Event, dns: Object) -> Iterator[LogName]:
    for question in objects_of(dns, "queries", MAX_QUESTIONS) or [dns]:
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
    questions = objects_of(dns, "queries", MAX_QUESTIONS) or [dns]
    records = [_record(each) for each in objects_of(dns, "answers", MAX_RECORDS)]
    asked = [_name(question, "rrname") for question in questions]
    if not asked[0] and records and records[0].type == "CNAME":
        asked = [records[0].owner.encode()]  # as in packets without a question
    if not records:
        records = _grouped(normalise_name(asked[0]), object_of(dns, "grouped"))
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
    rcode = text_of(dns, "rcode") or "NOERROR"
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
    changed back and forth; if both sides have that port, the version does."""
    source, destination = event.source.port in _PORTS, event.destination.port in _PORTS
    return source if source != destination else version >= 3


def _record(values: Object) -> TextRecord:
    return TextRecord(
        normalise_name(_name(values, "rrname")),
        text_of(values, "rrtype"),
        min(number_of(values, "ttl"), MAX_TTL),
        _name(values, "rdata").decode("utf-8", "replace"),
    )


def _grouped(asked: str, grouped: Object) -> list[TextRecord]:
    """The records of an answer of which only the data by type are known: aliases follow each other,
    and the last one has the addresses."""
    records: list[TextRecord] = []
    owner = asked
    for alias in texts_of(grouped, "CNAME", MAX_RECORDS):
        records.append(TextRecord(owner, "CNAME", 0, alias))
        owner = normalise_name(alias.encode())
    for kind in ("A", "AAAA"):
        addresses = texts_of(grouped, kind, MAX_RECORDS)
        records += [TextRecord(owner, kind, 0, address) for address in addresses]
    return records


def _type(question: Object) -> str:
    kind = text_of(question, "rrtype")
    return kind if kind in _TYPES else escape_bytes(kind.encode())[:32]


def _name(values: Object, key: str) -> bytes:
    """A name as it was on the wire: bytes that are not text are written ``\\xff``."""
    written = text_of(values, key).encode()
    if b"\\x" in written:
        return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), written)
    return written
