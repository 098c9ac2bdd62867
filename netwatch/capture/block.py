"""A buffer of packets and how they lie in it: what every source yields.

The records are one flat array, so that the kernel walks them without an object a
packet. A block is a window: its buffer and records are valid until the source is asked
for the next block, so whoever wants to keep bytes slices (copies) them first.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

FIELDS = 6
"""Integers a record: time (ns since the epoch), offset of the packet in the buffer,
captured length, length on the wire, index of its interface, VLAN tag that the card had
stripped (its TCI, above it from bit 16 on its TPID where that is known; -1 for none)."""

TIME, OFFSET, CAPTURED, WIRE, INTERFACE, VLAN = range(FIELDS)


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were taken: link type (LINKTYPE_ number of tcpdump.org), digits of
    the second's fraction in its times (0 to 9), and name where the capture has one."""

    link_type: int
    time_digits: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """`count` packets in `data`; `records` holds at least ``count * FIELDS`` integers.

    `first` is the number of its first packet in the source, from 1. `position` is how
    many bytes of the source (compressed ones, where it is) were read so far.
    """

    data: bytes | bytearray | memoryview
    records: "array[int]"
    count: int
    interfaces: tuple[Interface, ...]
    first: int
    position: int


class Source(Protocol):
    """A capture: iterate once over its blocks, then look at what went wrong.

    `size` is the bytes that `position` runs up to, None where unknown (a pipe).
    `notes` are sentences on what could not be read, filled while iterating: a file cut
    short yields all whole packets and leaves a note. `dropped` are the packets that the
    capturing side says it lost, so far. A capture that cannot be read at
    all raises `CaptureError` at the first block. The end of the iteration closes the
    source; `close` is for those who never begin it, and may be called twice.
    """

    name: str
    size: int | None
    notes: list[str]

    @property
    def dropped(self) -> int:
        """Packets lost before they came here."""
        ...

    def blocks(self) -> Iterator[Block]:
        """The capture, block by block, in its own order."""
        ...

    def close(self) -> None:
        """Give back the file or device."""
        ...
