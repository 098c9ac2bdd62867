"""Captured frames that are stored because they may prove an incident.

They are separate from the values that carry them (packets, observations, alerts): a frame is raw
data, and nothing here knows what it contains.
"""

import hashlib
from dataclasses import dataclass, field

LOG_LINE = -1
"""The link type of what is no frame but a record of a log."""

MAX_RECORD = 65_536
"""Bytes of a record of a log that are kept as evidence."""

DIGEST_DIGITS = 16
"""Hexadecimal digits of a packet's digest."""


@dataclass(frozen=True, slots=True, order=True)
class Frame:
    """A frame as it was captured.

    `source`, `number`, `time` and `time_digits` are those of its `Packet`. `link_type` is a
    LINKTYPE_ number, or `LOG_LINE`; `interface` is the name of the interface or empty,
    `wire_length` the length on the wire in bytes, and `vlan_tci` the TCI of the VLAN tag that the
    NIC removed (-1 for none).
    """

    source: str
    number: int
    time: int
    time_digits: int
    link_type: int
    interface: str
    wire_length: int
    vlan_tci: int
    data: bytes


@dataclass(frozen=True, slots=True)
class EvidenceFrames:
    """The frames that prove one contact of an incident.

    `type` is the kind of evidence, `name` the name shown, and `source` and `packet` identify the
    frame that the evidence names. `client_ip` (4 or 16 bytes, empty where it is not known),
    `client_mac` and `vlan` are those of the contact.
    """

    type: str
    name: str
    time: int
    source: str
    packet: int
    frames: tuple[Frame, ...] = field(repr=False)
    client_ip: bytes = b""
    client_mac: bytes | None = None
    vlan: int | None = None


def record_digest(data: bytes) -> str:
    """The beginning of the SHA-256 of a record of a log."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_DIGITS]


def packet_digest(time: int, data: bytes) -> str:
    """The beginning of the SHA-256 of a packet in an evidence capture: of its time in ns, as 8
    bytes in network order, and its bytes."""
    digest = hashlib.sha256((time & (1 << 64) - 1).to_bytes(8) + data)
    return digest.hexdigest()[:DIGEST_DIGITS]
