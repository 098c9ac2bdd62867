# cython: language_level=3
"""A packet that can carry a name."""

from dataclasses import dataclass, field
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.core.frame import Frame


@cython.cclass
@dataclass(frozen=True)
class Packet:
    """A packet that can carry a name: who sent it to whom, when, and where it stands.

    `source` is the file or interface, `number` counts its packets from 1, `time` is in
    ns with `digits` meaningful digits of the second's fraction. `vlan` is the innermost
    VLAN id or None. MAC addresses are 6 bytes, or None where the link has none.
    `flow` names the conversation within one run and means nothing outside it. `frames` are
    those that its message came in, where they are kept.
    """

    source: str
    number: int
    time: int
    digits: int
    transport: Literal["tcp", "udp"]
    src: bytes
    sport: int
    dst: bytes
    dport: int
    src_mac: bytes | None
    dst_mac: bytes | None
    vlan: int | None
    flow: int
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
