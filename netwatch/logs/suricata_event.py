"""What all EVE events have in common (time, sides, flow, VLAN and MAC addresses), and the events of
flows and of DHCP.

Flows count bytes with all headers, from Ethernet on. DHCP makes claims of addresses. The meaning is
that of `netwatch.protocols.dhcp`; the identifier of the server is not logged.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypedDict, Unpack

from netwatch.core.flow import NameStatus, Sent
from netwatch.core.message import (
    AddressClaim,
    AddressClaimKind,
    DnsInfo,
    Evidence,
    QuicInfo,
    TlsInfo,
)
from netwatch.core.names import normalise_name
from netwatch.core.verdict import Outcome
from netwatch.logs.json_values import NO_OBJECT, Object, inner, number, packed_ip, packed_mac, text
from netwatch.logs.reading import RecordError
from netwatch.logs.records import Endpoint, LogClaim, LogFlow, LogName, Place
from netwatch.logs.timestamps import MinuteTimes

LOOKUP_PORTS = frozenset({53, 5353, 5355})
"""Ports of lookups, whose packets are no flows here."""

HEADERS = 118
"""Bytes of the headers of a packet without payload at most: Ethernet with a VLAN, IPv6 without
extensions, and TCP with all its options. A packet with more on average has payload."""

_FIN, _SYN, _RST, _PSH = 1, 2, 4, 8

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
    """What the record of a name has beside what all events have (see `LogName`)."""

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
    """The common part of an event: its time in ns since the epoch, the digits of it after the
    second, source and destination, the flow, the VLAN, and the MAC addresses of the frame."""

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
    """A flow that has ended. Its source is the client as Suricata saw it."""
    found = inner(values, "flow")
    if found is NO_OBJECT:
        raise RecordError("flow-missing")
    protocol = text(values, "app_proto")
    if protocol == "dns" or not LOOKUP_PORTS.isdisjoint(
        (event.source.port, event.destination.port)
    ):
        return
    first, _ = times.read(text(found, "start"))
    last, _ = times.read(text(found, "end"))
    bytes_out, bytes_in = number(found, "bytes_toserver"), number(found, "bytes_toclient")
    packets_out, packets_in = number(found, "pkts_toserver"), number(found, "pkts_toclient")
    tcp = inner(values, "tcp")
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
        _sent(is_tcp, text(tcp, "tcp_flags_ts"), bytes_out, packets_out),
        _sent(is_tcp, text(tcp, "tcp_flags_tc"), bytes_in, packets_in),
        not is_tcp or not tcp or tcp.get("syn") is True,
        event.source_mac,
        event.vlan,
    )


def _name_status(protocol: str) -> NameStatus:
    """Flows of these protocols have a name, or would have one: the engine knows whether it was
    in the log."""
    return "no-sni" if protocol in ("tls", "quic") else "none"


def _sent(is_tcp: bool, flags: str, size: int, packets: int) -> Sent:
    """What one side sent, by the flags that all its packets had together and by their size."""
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
    message = text(dhcp, "dhcp_type")
    kind = _KINDS.get(message)
    if kind is None:
        return
    mac = packed_mac(text(dhcp, "client_mac"))
    if mac is None:
        raise RecordError("mac-invalid")
    own = packed_ip(text(dhcp, "client_ip")) or _UNSPECIFIED
    requested = packed_ip(text(dhcp, "requested_ip")) or own
    if kind == "lease":
        address = packed_ip(text(dhcp, "assigned_ip")) or _UNSPECIFIED
        if address == _UNSPECIFIED:
            return
    elif kind == "nak":
        address = _UNSPECIFIED
    else:
        address = own if message in ("release", "inform") else requested
    lifetime = number(dhcp, "lease_time")
    host = text(dhcp, "hostname").encode()[:255]
    yield LogClaim(
        event.time,
        event.digits,
        AddressClaim(
            kind,
            (address,) if address != _UNSPECIFIED else (),
            mac,
            hostname=normalise_name(host),
            lifetime=lifetime if kind == "lease" and lifetime else None,
            transaction_id=mac + (number(dhcp, "id") & 0xFFFFFFFF).to_bytes(4),
            client_id=mac,
            renewal=message == "request" and own != _UNSPECIFIED,
        ),
        event.source.ip,
    )
