"""What all EVE events have in common: time, sides, flow, VLAN and MAC addresses."""

from typing import Literal, NamedTuple

from netwatch.logs.records import Endpoint


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
