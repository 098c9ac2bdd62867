"""The names in the logs ``dns``, ``ssl``, ``quic`` and ``http`` of Zeek."""

import re
from collections.abc import Iterator

from netwatch.core.dns_code import RCODES, TYPES, rcode_text, type_text
from netwatch.core.message import DnsInfo, Evidence, QuicInfo, TlsInfo
from netwatch.core.names import escape_bytes, normalise_name, raw_name
from netwatch.core.verdict import Outcome
from netwatch.logs.dns_records import MAX_TTL, listed
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogName
from netwatch.logs.times import SECOND
from netwatch.logs.tls_names import certificate_names, tls_info
from netwatch.logs.web_targets import authority, target
from netwatch.logs.zeek_row import Row, seconds

_NETBIOS = 137
_TYPES = frozenset(TYPES.values())
_RCODES = frozenset(RCODES.values())
_QUIC_VERSIONS = {"quicv2": "2", "1": "1"}
_INITIAL_ONLY = re.compile(r"[Cj]+C?s")


def dns(row: Row) -> Iterator[LogName]:
    """A lookup: the query and its answer are one record, which is an answer where there was one."""
    client, server = row.sides()
    if server.port == _NETBIOS or row.number("opcode"):
        return  # names of NetBIOS are no host names, and an update of a zone is no lookup
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
    """The response code, None where there was no answer."""
    if "rcode" in row.values:
        return rcode_text(row.number("rcode") & 0xFFFF)
    code = row.text("rcode_name")
    if code in _RCODES:
        return code
    if row.values.get("answers"):
        return "NOERROR"
    return None


def ssl(row: Row) -> Iterator[LogName]:
    """A TLS or DTLS handshake: the name in the hello of the client, and in the certificate.

    Zeek also writes the handshakes of QUIC into this log, and their names into ``quic`` as well:
    one that comes twice is counted once (`netwatch.engine.log_events`). Here they are the ones of
    TLS 1.3 of which nothing was seen behind the ServerHello; over TCP the records that follow
    establish the connection.
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
    # A version was agreed on once the server has answered with its hello.
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
    """A request: its Host, and the host of a target that is a URL, or of CONNECT; each once."""
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
    """A name as bytes. Raises `RecordError` for text that stands for no bytes."""
    try:
        return written.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RecordError("name-invalid") from None
