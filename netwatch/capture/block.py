"""Blocks of packets: a buffer and the positions of the packets in it. Every source yields them.

The records are one flat array, so that the packet loop can walk them without creating an object
per packet. A block is only valid until the source is asked for the next one, because its buffer and
records are reused: who wants to keep bytes copies (slices) them first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from netwatch.core.buffers import Words

FIELDS = 6
"""Integers per record: time (ns since the epoch), offset of the packet in the buffer, captured
length, length on the wire, index of its interface, and the VLAN tag that the NIC removed (the TCI
in the lower 16 bits and the TPID, if known, above them; -1 for none)."""

TIME, OFFSET, CAPTURED, WIRE, INTERFACE, VLAN = range(FIELDS)


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were captured.

    `link_type` is a LINKTYPE_ number of tcpdump.org, `time_digits` the number of significant
    digits after the second in its times (0 to 9), `name` the name in the capture, if it has one.
    """

    link_type: int
    time_digits: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """`count` packets in `data`; `records` has at least ``count * FIELDS`` integers.

    `first` is the number of its first packet in the source, from 1. `position` is the number of
    bytes of the source that were read so far (compressed bytes, if it is compressed). If several
    workers read one capture, `owners` has two bytes for each packet that say whose it is
    (`netwatch.dissect.loop.division`).
    """

    data: bytes | bytearray | memoryview
    records: Words
    count: int
    interfaces: tuple[Interface, ...]
    first: int
    position: int
    owners: bytes | memoryview = b""


class Named(Protocol):
    """What is read has a name."""

    name: str


class Source(Protocol):
    """A capture: iterate over its blocks once, then look at `notes` and `dropped`.

    `size` is the number of bytes that `position` runs up to, None if unknown (a pipe). `notes`
    are sentences about what could not be read, added while iterating: a truncated file yields all
    complete packets and a note. A capture that cannot be read at all raises `CaptureError` at the
    first block. `unread` is how many bytes of a damaged or truncated file were not read (see
    `netwatch.capture.stream.Stream.left`), known at the end; None if all were. The end of the
    iteration closes the source; `close` is for a caller that never
    starts it, and may be called twice.
    """

    name: str
    size: int | None
    notes: list[str]
    unread: int | None

    @property
    def dropped(self) -> int:
        """How many packets were lost while capturing, so far, according to the capture."""
        ...

    def blocks(self) -> Iterator[Block]:
        """The packets of the capture, block by block, in the order of the capture."""
        ...

    def close(self) -> None:
        """Close the file or device."""
        ...
