"""Captured frames that are stored because they may prove an incident.

They are separate from the values that carry them (packets, observations, alerts): a frame is raw
data, and nothing here knows what it contains.
"""

from dataclasses import field

from netwatch.core.dataclass import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Frame:
    """A frame as it was captured.

    `source`, `number`, `time` and `time_digits` are those of its `Packet`. `link_type` is a
    LINKTYPE_ number, `interface` the name of the interface or empty, `wire_length` the length on
    the wire in bytes, and `vlan_tci` the TCI of the VLAN tag that the NIC removed (-1 for none).
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
    frame that the evidence names.
    """

    type: str
    name: str
    time: int
    source: str
    packet: int
    frames: tuple[Frame, ...] = field(repr=False)
