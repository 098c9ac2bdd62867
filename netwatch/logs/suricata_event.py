"""What all EVE events have in common: time, sides, flow, VLAN and MAC addresses."""

from typing import Literal, NamedTuple, TypedDict, Unpack

from netwatch.core.message import DnsInfo, Evidence, QuicInfo, TlsInfo
from netwatch.core.verdict import Outcome
from netwatch.logs.records import Endpoint, LogName, Place


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
