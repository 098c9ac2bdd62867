# cython: language_level=3
"""Packets that can carry a name."""

from dataclasses import dataclass, field
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.frame import Frame


@cython.cclass
@dataclass(frozen=True)
class Packet:
    """A packet that can carry a name: its position, time and endpoints.

    `source` is the file or interface, and `number` counts its packets from 1. `time` is in ns with
    `time_digits` significant digits after the second. Addresses are packed (4 or 16 bytes), MAC
    addresses are 6 bytes, or None if the link type has none. `vlan` is the innermost VLAN id, or
    None. `flow_id` identifies the flow within one run and has no meaning outside of it. `frames`
    are the frames that contain the message, if frames are stored. `mark` says how the packet was
    seen (`netwatch.core.seen`).
    """

    source: str
    number: int
    time: int
    time_digits: int
    transport: Literal["tcp", "udp"]
    src: bytes
    sport: int
    dst: bytes
    dport: int
    src_mac: bytes | None
    dst_mac: bytes | None
    vlan: int | None
    flow_id: int
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
    mark: int = 0
