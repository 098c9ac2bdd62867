"""Packets as they were captured, kept to prove what is told.

Apart from the other values that cross stages, which carry them along where proof is
wanted; nothing here knows what a packet shows.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Frame:
    """A packet as it was captured, kept because it may prove something.

    `source`, `number`, `time` and `digits` are those of a `Packet`. `link_type` is a
    LINKTYPE_ number, `interface` the name of the interface or empty, `wire` the length on
    the wire, `tag` the VLAN tag that the card had stripped (TCI, or -1 for none).
    """

    source: str
    number: int
    time: int
    digits: int
    link_type: int
    interface: str
    wire: int
    tag: int
    data: bytes


@dataclass(frozen=True, slots=True)
class EvidenceFrames:
    """The packets that one contact of an incident stands on: what they show, when, and which
    of them (`source` and `packet`) the evidence names."""

    type: str
    name: str
    time: int
    source: str
    packet: int
    frames: tuple[Frame, ...] = field(repr=False)
