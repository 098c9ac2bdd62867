"""Logs of Zeek: ``dns``, ``ssl``, ``quic``, ``http``, ``conn`` and ``dhcp``, as TSV or JSON.

TSV logs list their columns in the header ("Zeek Log Formats and Inspection" in the Book of Zeek); a
file may have several headers, if rotated logs were concatenated. JSON records have the name of the
log as ``_path`` if the package json-streaming-logs or the option of Zeek adds it; otherwise the log
is recognised by the keys. Records of other logs are not read here.

Each log has a row in `_LOGS`: ``dns``, ``ssl``, ``quic`` and ``http`` have names, ``conn`` flows,
and ``dhcp`` leases. Since Zeek 2.6 a record of ``dhcp`` is a whole conversation, with its messages
in order (``msg_types``); before, it is one acknowledged lease.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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
from netwatch.core.protocol_numbers import RCODES, TYPES, rcode_text, type_text
from netwatch.core.verdict import Outcome
from netwatch.logs.dns_values import MAX_TTL, listed
from netwatch.logs.fields import (
    authority,
    certificate_names,
    json_object,
    packed_ip,
    target,
    tls_info,
)
from netwatch.logs.records import (
    Carried,
    LogClaim,
    LogEntry,
    LogFlow,
    LogName,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import SECOND, MinuteTimes
from netwatch.logs.zeek_row import Header, Row, json_row, seconds, unescaped

_NETBIOS = 137
_TYPES = frozenset(TYPES.values())
_RCODES = frozenset(RCODES.values())
_QUIC_VERSIONS = {"quicv2": "2", "1": "1"}
_INITIAL_ONLY = re.compile(r"[Cj]+C?s")

LOOKUP_PORTS = frozenset({53, 5353, 5355})
"""Ports of lookups, whose packets are not flows here."""

_NO_START = frozenset({"OTH", "SHR", "RSTRH"})
"""States without a SYN from the side that opened the connection."""
_REFUSED = frozenset({"REJ"})

_UNSPECIFIED = bytes(4)
_KINDS: dict[str, AddressClaimKind] = {
    "ACK": "lease",
    "NAK": "nak",
    "RELEASE": "release",
    "DECLINE": "release",
    "INFORM": "announcement",
}


def dns(row: Row) -> Iterator[LogName]:
    """A lookup: the query and its answer are one record, which is an answer if there was one."""
    client, server = row.sides()
    if server.port == _NETBIOS or row.number("opcode"):
        return  # NetBIOS names are not host names, and a zone update is not a lookup
    raw = _bytes(row.text("query"))
    name = normalise_name(raw)
    if not name:
        return
    time, digits = row.time()
    kind = _type(row)
    rcode = _rcode(row)
    info = DnsInfo(kind)
    if rcode is not None:
        values = row.texts("answers")
        ttls = row.values.get("TTLs")
        times = ttls if isinstance(ttls, list) else []
        info = listed(
            kind,
            rcode,
            [
                (value, min(seconds(times[at]) // SECOND, MAX_TTL) if at < len(times) else 0)
                for at, value in enumerate(values)
            ],
        )
    transport = row.transport() or "udp"
    vlan, uid, mac = row.vlan(), row.text("uid"), row.mac("orig_l2_addr")
    evidence: Evidence = "dns-query" if rcode is None else "dns-answer"
    yield LogName(
        time, digits, evidence, name, client, server, transport,
        client_mac=mac, vlan=vlan, flow=uid, dns=info, raw=raw_name(raw, name),
    )  # fmt: skip
    for alias in info.chain:
        if alias != name:
            yield LogName(
                time, digits, "dns-cname", alias, client, server, transport,
                client_mac=mac, vlan=vlan, flow=uid, dns=info, asked=name,
            )  # fmt: skip


def _type(row: Row) -> str:
    kind = row.text("qtype_name")
    if kind in _TYPES:
        return kind
    if "qtype" in row.values:
        # Zeek has its own words for some types, such as ``*`` for ANY.
        return type_text(row.number("qtype") & 0xFFFF)
    return escape_bytes(_bytes(kind))[:32]


def _rcode(row: Row) -> str | None:
    """The response code, None if there was no answer."""
    if "rcode" in row.values:
        return rcode_text(row.number("rcode") & 0xFFFF)
    code = row.text("rcode_name")
    if code in _RCODES:
        return code
    if row.values.get("answers"):
        return "NOERROR"
    return None


def ssl(row: Row) -> Iterator[LogName]:
    """A TLS or DTLS handshake: the names in the client's hello and in the certificate.

    Zeek also writes QUIC handshakes into this log, and their names into ``quic`` as well: one that
    comes twice is counted once (`netwatch.engine.log_events`). Here they are the TLS 1.3 handshakes
    without anything seen after the ServerHello; over TCP the following records establish the
    connection.
    """
    version = row.text("version")
    established = row.flag("established")
    is_quic = (
        version == "TLSv13"
        and not established
        and _INITIAL_ONLY.fullmatch(row.text("ssl_history")) is not None
        and not row.text("last_alert")
    )
    protocol = row.text("next_protocol")
    info = tls_info(version, [protocol] if protocol else [], row.text("ja4"))
    if is_quic:
        yield from _handshake(row, "quic-sni", info, None, "reached")
        return
    is_dtls = version.startswith("DTLS")
    # A version is negotiated once the server has answered with its hello.
    outcome: Outcome | None = "reached" if established or version or row.text("cipher") else None
    yield from _handshake(row, "dtls-sni" if is_dtls else "tls-sni", info, None, outcome)
    for name, raw in certificate_names(row.text("subject"), row.texts("san.dns")):
        client, server = row.sides()
        time, digits = row.time()
        yield LogName(
            time, digits, "tls-cert", name, client, server, "udp" if is_dtls else "tcp",
            client_mac=row.mac("orig_l2_addr"), vlan=row.vlan(), flow=row.text("uid"),
            tls=info, raw=raw, outcome="reached",
        )  # fmt: skip


def quic(row: Row) -> Iterator[LogName]:
    """A QUIC connection: the name in the ClientHello of its Initial packets."""
    protocol = row.text("client_protocol")
    version = row.text("version")
    info = QuicInfo(_QUIC_VERSIONS.get(version) or escape_bytes(_bytes(version))[:32])
    # The server has chosen its connection identifier in an Initial packet of its own.
    outcome: Outcome | None = "reached" if row.text("server_scid") else None
    tls = tls_info("", [protocol] if protocol else [], "")
    yield from _handshake(row, "quic-sni", tls, info, outcome)


def _handshake(
    row: Row,
    evidence: Evidence,
    tls: TlsInfo | None,
    quic_info: QuicInfo | None,
    outcome: Outcome | None,
) -> Iterator[LogName]:
    """The name in a ClientHello, if it has one."""
    raw = _bytes(row.text("server_name"))
    name = normalise_name(raw)
    if name:
        client, server = row.sides()
        time, digits = row.time()
        yield LogName(
            time, digits, evidence, name, client, server, "tcp" if evidence == "tls-sni" else "udp",
            client_mac=row.mac("orig_l2_addr"), vlan=row.vlan(), flow=row.text("uid"),
            tls=tls, quic=quic_info, raw=raw_name(raw, name), outcome=outcome,
        )  # fmt: skip


def http(row: Row) -> Iterator[LogName]:
    """A request: its Host, and the host of a target that is a URL, or for CONNECT; each once."""
    client, server = row.sides()
    time, digits = row.time()
    method = row.text("method")
    status = row.number("status_code")
    denied = method == "CONNECT" and status in (403, 407)
    hosts: dict[str, str] = {}
    for found in (
        authority(_bytes(row.text("host"))),
        target(_bytes(method), _bytes(row.text("uri"))),
    ):
        if found is not None:
            hosts.setdefault(found.name, found.raw)
    for name, raw in hosts.items():
        yield LogName(
            time, digits, "http-host", name, client, server, "tcp",
            client_mac=row.mac("orig_l2_addr"), vlan=row.vlan(), flow=row.text("uid"), raw=raw,
            outcome="blocked" if denied else "reached" if status else None,
            blocked_by=f"HTTP {status}" if denied else "",
        )  # fmt: skip


def _bytes(written: str) -> bytes:
    """A name as bytes. Raises `RecordError` for text that does not stand for bytes."""
    try:
        return written.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RecordError("name-invalid") from None


def conn(row: Row) -> Iterator[LogFlow]:
    """An ended connection, with the payload of both sides."""
    transport = row.transport()
    if transport is None:
        return
    client, server = row.sides()
    service = row.text("service")
    if service == "dns" or not LOOKUP_PORTS.isdisjoint((client.port, server.port)):
        return
    time, _ = row.time()
    sent, received = row.number("orig_bytes"), row.number("resp_bytes")
    history, state = row.text("history"), row.text("conn_state")
    is_tcp = transport == "tcp"
    yield LogFlow(
        time,
        time + row.seconds("duration"),
        transport,
        client,
        server,
        sent,
        received,
        row.text("uid"),
        _name_status(service),
        _sent(history, "DRSHAF", sent, row.number("orig_pkts"), False),
        _sent(history, "drshaf", received, row.number("resp_pkts"), state in _REFUSED),
        not is_tcp or ("S" in history if history else state not in _NO_START),
        row.mac("orig_l2_addr"),
        row.vlan(),
    )


def _name_status(service: str) -> NameStatus:
    """Connections of these protocols have a name, or would have one: the engine knows whether it
    was in the log. A protocol with a minus was dropped."""
    return "no-sni" if not {"ssl", "quic"}.isdisjoint(service.split(",")) else "none"


def _sent(history: str, letters: str, size: int, packets: int, refused: bool) -> Sent:
    """What a side sent, by its letters in the history: data, a reset, or anything else."""
    if letters[0] in history or size:
        return "payload"
    if letters[1] in history or refused:
        return "refusal"
    return "headers" if packets or not set(letters).isdisjoint(history) else "nothing"


def dhcp(row: Row) -> Iterator[LogClaim]:
    """The claim at the end of a conversation, and a lease that was granted before that. Records
    without a MAC address claim nothing."""
    mac = row.mac("mac")
    if mac is None:
        return
    time, digits = row.time()
    granted = packed_ip(row.text("assigned_addr") or row.text("assigned_ip")) or _UNSPECIFIED
    own = packed_ip(row.text("client_addr")) or _UNSPECIFIED
    messages = row.texts("msg_types") if "msg_types" in row.values else ["ACK"]
    # An ACK without an address answers an INFORM.
    relevant = [
        _KINDS[message]
        for message in messages
        if message in _KINDS and (message != "ACK" or granted != _UNSPECIFIED)
    ]
    last = relevant[-1] if relevant else None
    server = packed_ip(row.text("server_addr"))
    host = row.text("client_fqdn") or row.text("host_name")
    name = normalise_name(host.encode("utf-8", "surrogateescape")[:255])
    if "lease" in relevant:
        lifetime = row.seconds("lease_time") // SECOND
        yield LogClaim(
            time, digits,
            AddressClaim("lease", (granted,), mac, False, name, lifetime or None, mac, mac,
                         server or b""),
            server,
        )  # fmt: skip
    if last in ("release", "announcement", "nak"):
        address = own if own != _UNSPECIFIED or last != "release" else granted
        known = address != _UNSPECIFIED and last != "nak"
        if known or last == "nak":
            yield LogClaim(
                time + row.seconds("duration"), digits,
                AddressClaim(last, (address,) if known else (), mac, False, name, None, mac, mac,
                             server or b""),
                own if own != _UNSPECIFIED else None,
            )  # fmt: skip


_LOGS: Mapping[str, tuple[Callable[[Row], Iterable[LogEntry]], frozenset[str]]] = {
    "dns": (dns, frozenset({"query", "qtype", "qtype_name", "rcode", "rcode_name"})),
    "quic": (quic, frozenset({"client_initial_dcid", "client_scid", "server_scid"})),
    "ssl": (ssl, frozenset({"established", "ssl_history", "curve"})),
    "http": (http, frozenset({"request_body_len", "status_code"})),
    "conn": (conn, frozenset({"conn_state", "local_orig", "missed_bytes"})),
    "dhcp": (dhcp, frozenset({"assigned_addr", "msg_types", "assigned_ip"})),
}
"""How to read the records of a log, and keys that no other log has."""


def recognise(sample: Sample) -> int:
    """The header of TSV logs begins with the separator. JSON records have the identifier of the
    connection, or name the log."""
    if sample.lines and sample.lines[0].startswith((b"#separator ", b"#fields\tts\t")):
        return len(sample.lines)
    return sum(1 for found in sample.objects if found is not None and _is_record(found))


def _is_record(found: Mapping[str, object]) -> bool:
    if "ts" not in found:
        return False
    identifier = found.get("id")
    has_sides = (
        "id.orig_h" in found
        or "id_orig_h" in found
        or (isinstance(identifier, dict) and "orig_h" in identifier)
    )
    return has_sides or isinstance(found.get("_path"), str) or not _DHCP.isdisjoint(found)


_DHCP = _LOGS["dhcp"][1]
_UID = re.compile(rb"\bC[A-Za-z0-9]{12,17}\b")


class ZeekReader(RecordReader):
    """Reads one log of Zeek."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        self._minutes = MinuteTimes(context.times)
        self._header = Header(self._minutes)
        self._paths: set[str] = set()

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a record (see `netwatch.logs.records.RecordReader`)."""
        if record.startswith(b"#"):
            self._header.read(record)
            if self._header.path:
                self._paths.add(self._header.path)
                self.is_alone = self._paths == {"dns"}
            self.layout = self._header.layout(_NETBIOS) if self._header.path == "dns" else None
            return ()
        if record.startswith(b"{"):
            return self._json(record)
        if not record.strip():
            return ()
        known = _LOGS.get(self._header.path)
        if known is None:
            if not self._header.path:
                raise RecordError("header-missing")
            return ()
        return known[0](self._header.row(record))

    def _json(self, record: bytes) -> Iterable[LogEntry]:
        found = json_object(record)
        self._paths.add("")
        self.is_alone = False
        path = found.get("_path")
        if not isinstance(path, str):
            path = log_of(found)
        known = _LOGS.get(path)
        if known is None:
            return ()
        if b"\\\\x" in record:
            found = {key: unescaped(value) for key, value in found.items()}
        return known[0](json_row(found, self._minutes))


def connection(record: bytes) -> bytes | None:
    """The identifier of the connection of a record (``uid``), None if it has none."""
    found = _UID.search(record)
    return found[0] if found is not None else None


def log_of(keys: Iterable[str] | Sequence[str]) -> str:
    """The log whose records have these keys, empty if it is not read here."""
    present = frozenset(keys)
    for name, (_, known) in _LOGS.items():
        if not known.isdisjoint(present):
            return name
    return ""
