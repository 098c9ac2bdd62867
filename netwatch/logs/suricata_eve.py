"""EVE, the JSON log of Suricata: its events of DNS, TLS, QUIC, HTTP, DHCP and flows.

The fields are described in "EVE JSON Format" in the user guide of Suricata 3 to 8; `suricata_event`
explains how versions write lookups. An ``alert`` repeats the names of its transaction, which has an
event of its own, so these are not read; nor are ``netflow`` events, which repeat ``flow``. The
source of an event is the client, except for answers in some versions.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from netwatch.core.errors import RecordError
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import QuicInfo
from netwatch.core.names import normalise_name, raw_name
from netwatch.logs.fields import (
    Object,
    Target,
    authority,
    certificate_names,
    json_object,
    object_of,
    objects_of,
    packed_ip,
    packed_mac,
    port_of,
    target,
    text_of,
    texts_of,
    tls_info,
)
from netwatch.logs.layout import (
    ROLE_CLIENT_IP,
    ROLE_CLIENT_PORT,
    ROLE_DATA,
    ROLE_DNS,
    ROLE_EVENT,
    ROLE_GROUPED,
    ROLE_MESSAGE,
    ROLE_NAME,
    ROLE_OPCODE,
    ROLE_OWNER,
    ROLE_QUESTIONS,
    ROLE_RCODE,
    ROLE_RECORD_TYPE,
    ROLE_RECORDS,
    ROLE_REFUSED,
    ROLE_SERVER_IP,
    ROLE_SERVER_PORT,
    ROLE_TIME,
    ROLE_TRANSPORT,
    ROLE_TTL,
    ROLE_TYPE,
    ROLE_VERSION,
    Layout,
)
from netwatch.logs.records import (
    Carried,
    Endpoint,
    LogEntry,
    LogName,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.suricata_event import DnsEvents, Event, claims, flow
from netwatch.logs.times import MinuteTimes

MAX_HELLOS = 4096
"""Maximum number of hellos of QUIC to remember; one that comes again counts once."""
MAX_HEADERS = 256
"""Maximum number of HTTP/2 header fields of a request to check."""

_TYPE = re.compile(rb'"event_type"\s*:\s*"([a-z0-9_]*)"')
_READ = frozenset({b"dns", b"tls", b"quic", b"http", b"http2", b"flow", b"dhcp"})
_TRANSPORTS: dict[str, Literal["tcp", "udp"]] = {"TCP": "tcp", "UDP": "udp"}
_PLAIN = {
    "timestamp": ROLE_TIME,
    "event_type": ROLE_EVENT,
    "src_ip": ROLE_CLIENT_IP,
    "src_port": ROLE_CLIENT_PORT,
    "dest_ip": ROLE_SERVER_IP,
    "dest_port": ROLE_SERVER_PORT,
    "proto": ROLE_TRANSPORT,
    "vlan": ROLE_REFUSED,
    "ether": ROLE_REFUSED,
    "dns": ROLE_DNS,
    "dns.type": ROLE_MESSAGE,
    "dns.version": ROLE_VERSION,
    "dns.opcode": ROLE_OPCODE,
    "dns.rcode": ROLE_RCODE,
    "dns.rrname": ROLE_NAME,
    "dns.rrtype": ROLE_TYPE,
    "dns.queries[]": ROLE_QUESTIONS,
    "dns.queries[].rrname": ROLE_NAME,
    "dns.queries[].rrtype": ROLE_TYPE,
    "dns.answers[]": ROLE_RECORDS,
    "dns.answers[].rrname": ROLE_OWNER,
    "dns.answers[].rrtype": ROLE_RECORD_TYPE,
    "dns.answers[].ttl": ROLE_TTL,
    "dns.answers[].rdata": ROLE_DATA,
    "dns.grouped": ROLE_GROUPED,
}
_WORDS = {
    ROLE_EVENT: {"dns": 0},
    ROLE_TRANSPORT: {"TCP": 6, "UDP": 17},
    ROLE_MESSAGE: {"query": 0, "request": 0, "answer": 1, "response": 1},
    ROLE_VERSION: {"2": 2, "3": 3},
    ROLE_OPCODE: {"0": 0},
}
_REQUIRED = (
    ROLE_TIME,
    ROLE_EVENT,
    ROLE_CLIENT_IP,
    ROLE_SERVER_IP,
    ROLE_TRANSPORT,
    ROLE_MESSAGE,
    ROLE_VERSION,
    ROLE_NAME,
    ROLE_TYPE,
)
"""The fields of plain lines: lookups as versions 2 and 3 write them."""
_QUIC_VERSION = re.compile(r"[0-9a-f]{7,8}|v?[0-9]{1,2}|Q0[0-9]{2}|T0[0-9]{2}")


def recognise(sample: Sample) -> int:
    """Every event has its type next to its time, and all but the statistics a source address."""
    return sum(
        1
        for found in sample.objects
        if found is not None
        and isinstance(found.get("event_type"), str)
        and isinstance(found.get("timestamp"), str)
        and ("src_ip" in found or "flow_id" in found or found["event_type"] in ("stats", "arp"))
    )


class EveReader(RecordReader):
    """Reads one EVE log."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        self._minutes = MinuteTimes(context.times)
        self._dns = DnsEvents(context.current)
        self.layout = Layout(
            "json",
            _PLAIN,
            _REQUIRED,
            _WORDS,
            minute=self._minutes.start_of,
            kind="event_type",
            by_port=True,
        )
        self._hellos: LimitedDict[tuple[str, str], None] = LimitedDict(MAX_HELLOS)

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read an event (see `netwatch.logs.records.RecordReader`)."""
        found = _TYPE.search(record)
        if found is None:
            if record.strip():
                raise RecordError("event-type-missing")
            return ()
        if found[1] not in _READ:
            return ()
        values = json_object(record)
        return self._event(values, text_of(values, "event_type"))

    def flush(self) -> Iterable[LogEntry]:
        """The answers for which more records could have come."""
        return self._dns.flush()

    def _event(self, values: Object, kind: str) -> Iterable[LogEntry]:
        event = _common(values, self._minutes)
        if event is None:
            return ()
        if self._dns.has_pending:
            self.layout = None  # Each event may complete an answer.
            return self._with_complete(event, values, kind)
        return self._names(event, values, kind)

    def _first_hello(self, event: Event, quic: Object) -> Iterable[LogEntry]:
        """A QUIC hello, which comes again after a Retry or when it is lost, and is logged again."""
        key = (event.flow, text_of(quic, "sni"))
        if not key[1] or key in self._hellos:
            return ()
        if event.flow:
            self._hellos[key] = None
        return _quic(event, quic)

    def _with_complete(self, event: Event, values: Object, kind: str) -> Iterator[LogEntry]:
        yield from self._dns.complete(event.time)
        yield from self._names(event, values, kind)

    def _names(self, event: Event, values: Object, kind: str) -> Iterable[LogEntry]:
        if kind == "dns":
            return self._dns.read(event, object_of(values, "dns"))
        if kind == "tls":
            return _tls(event, object_of(values, "tls"))
        if kind == "quic":
            return self._first_hello(event, object_of(values, "quic"))
        if kind in ("http", "http2"):
            return _http(event, object_of(values, "http") or object_of(values, "http2"))
        if kind == "flow":
            return flow(event, values, self._minutes)
        if kind == "dhcp":
            return claims(event, object_of(values, "dhcp"))
        return ()


def _common(values: Object, times: MinuteTimes) -> Event | None:
    """The fields that all events have; None for a protocol without ports. Raises `RecordError`."""
    protocol = text_of(values, "proto")
    transport = _TRANSPORTS.get(protocol)
    if transport is None:
        if not protocol:
            raise RecordError("protocol-missing")
        return None
    source, destination = (
        packed_ip(text_of(values, "src_ip")),
        packed_ip(text_of(values, "dest_ip")),
    )
    if source is None or destination is None:
        raise RecordError("address-invalid")
    time, digits = times.read(text_of(values, "timestamp"))
    vlans, ether = values.get("vlan"), values.get("ether")
    # The innermost VLAN is the packet's, as in observations of packets.
    vlan = vlans[-1] if isinstance(vlans, list) and vlans else vlans
    return Event(
        time,
        digits,
        Endpoint(source, port_of(values, "src_port")),
        Endpoint(destination, port_of(values, "dest_port")),
        transport,
        str(values.get("flow_id") or ""),
        vlan if isinstance(vlan, int) and 0 <= vlan < 4096 else None,
        _mac(ether, "src_mac") if isinstance(ether, dict) else None,
        _mac(ether, "dest_mac") if isinstance(ether, dict) else None,
    )


def _mac(ether: Object, key: str) -> bytes | None:
    """The MAC address of one side. Flows list all that they have seen: one of several is not
    evidence of a device."""
    written = text_of(ether, key)
    if not written:
        several = texts_of(ether, key + "s", 2)
        written = several[0] if len(several) == 1 else ""
    return packed_mac(written) if written else None


def _tls(event: Event, tls: Object) -> Iterator[LogName]:
    """A TLS session: the names in the client's hello and in the certificate."""
    version = text_of(tls, "version")
    # The server's version, fingerprint and certificate are only known once it has answered.
    answered = version not in ("", "UNDETERMINED") or "ja3s" in tls or "subject" in tls
    info = tls_info(
        version,
        texts_of(tls, "client_alpns", 16),
        text_of(tls, "ja4"),
    )
    sni = text_of(tls, "sni").encode()
    name = normalise_name(sni)
    if name:
        yield event.shown(
            "tls-sni",
            name,
            tls=info,
            raw=raw_name(sni, name),
            outcome="reached" if answered else None,
        )
    for name, raw in certificate_names(
        text_of(tls, "subject"), texts_of(tls, "subjectaltname", 256)
    ):
        yield event.shown(
            "tls-cert",
            name,
            tls=info,
            raw=raw,
            outcome="reached",
        )


def _quic(event: Event, quic: Object) -> Iterator[LogName]:
    """A QUIC packet with a ClientHello. Other long headers are events without a name, including
    those of datagrams that only look like QUIC."""
    sni = text_of(quic, "sni").encode()
    name = normalise_name(sni)
    if not name:
        return
    version = text_of(quic, "version")
    alpn = [
        value
        for extension in objects_of(quic, "extensions", 64)
        if extension.get("type") == 16
        for value in texts_of(extension, "values", 16)
    ]
    yield event._replace(transport="udp").shown(
        "quic-sni",
        name,
        tls=tls_info("", alpn, text_of(quic, "ja4")),
        quic=QuicInfo(version.lstrip("v")) if _QUIC_VERSION.fullmatch(version) else None,
        raw=raw_name(sni, name),
    )


def _http(event: Event, http: Object) -> Iterator[LogName]:
    """A request: its Host or ``:authority``, and the host of its target if this is a URL or for
    CONNECT; each once."""
    method, url = text_of(http, "http_method"), text_of(http, "url")
    hosts: dict[str, str] = {}
    written = [text_of(http, "hostname")]
    written += [
        text_of(field, "value")
        for field in objects_of(http, "request_headers", MAX_HEADERS)
        if text_of(field, "name").lower() in ("host", ":authority")
    ]
    found: list[Target | None] = [authority(each.encode()) for each in written]
    found.append(target(method.encode(), url.encode()))
    for host in found:
        if host is not None:
            hosts.setdefault(host.name, host.raw)
    status = http.get("status")
    answered = isinstance(status, int) and status > 0
    denied = method == "CONNECT" and status in (403, 407)
    for name, raw in hosts.items():
        yield event._replace(transport="tcp").shown(
            "http-host",
            name,
            raw=raw,
            outcome="blocked" if denied else "reached" if answered else None,
            blocked_by=f"HTTP {status}" if denied else "",
        )
