"""Blocks of packets (a buffer and the positions of the packets in it), and the sources that yield
them: captures, and live sources, which capture from network interfaces until they are stopped.

The records are one flat array, so that the packet loop can walk them without creating an object per
packet. A block is only valid until the next one is requested, because its buffer and records are
reused: to keep bytes, copy (slice) them first.
"""

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from netwatch.core.buffers import Words
from netwatch.core.errors import CaptureError

FIELDS = 6
"""Integers per record: time (ns since the epoch), offset of the packet in the buffer, captured
length, length on the wire, index of its interface, and the VLAN tag that the NIC removed (the TCI
in the lower 16 bits and the TPID, if known, above them; -1 for none)."""

TIME, OFFSET, CAPTURED, WIRE, INTERFACE, VLAN = range(FIELDS)

IDLE_INTERVAL = 100
"""Milliseconds without packets after which a live source yields an empty block, so that the caller
can attend to other things."""

MAX_NOTES = 256
"""Notes that a live source stores. The oldest are evicted if the caller does not remove them."""


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
    bytes of the source read so far (compressed bytes, if it is compressed). If several workers read
    one capture, `owners` has two bytes for each packet, its owners
    (`netwatch.dissect.loop.division`). One packet of `sampling` was looked at.
    """

    data: bytes | bytearray | memoryview
    records: Words
    count: int
    interfaces: tuple[Interface, ...]
    first: int
    position: int
    owners: bytes | memoryview = b""
    sampling: int = 1


class Named(Protocol):
    """Anything that is read has a name."""

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


class LiveSource(Protocol):
    """A `netwatch.capture.block.Source` for network interfaces.

    Each block is of one interface, whose name is ``block.interfaces[0].name``, and may be without
    packets. `notes` are sentences about changes of the interfaces, newest last, which the caller
    may remove (``pop(0)``); `events` counts the same changes by name. `down` are the interfaces
    that cannot receive packets at present. `received` counts the packets that arrived, `dropped`
    those for which there was no space, `freezes` how often the ring became full. The counters may
    be read from any thread, and after `close`.
    """

    name: str
    size: int | None
    notes: list[str]
    events: Counter[str]

    @property
    def down(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def received(self) -> int: ...  # noqa: D102

    @property
    def dropped(self) -> int: ...  # noqa: D102

    @property
    def freezes(self) -> int: ...  # noqa: D102

    def blocks(self) -> Iterator[Block]:
        """Packets as they arrive, until `stop`; then those that arrived before it, and the end."""
        ...

    def stop(self) -> None:
        """End the iteration soon. It may be called from a signal handler or another thread."""
        ...

    def close(self) -> None:
        """Close the interfaces; may be called twice."""
        ...

    def detach(self) -> None:
        """Close the file descriptors of this process only, after a fork: the other process
        continues the capture."""
        ...


class RecentNotes(list[str]):
    """A list of notes that stores the last `MAX_NOTES`."""

    def append(self, sentence: str) -> None:
        """Append a sentence; the oldest is evicted if there are too many."""
        super().append(sentence)
        del self[:-MAX_NOTES]


def _require_capture() -> None:
    if sys.platform == "win32":
        raise CaptureError("to capture on an interface needs Linux, macOS or FreeBSD")


def _ring(interfaces: Sequence[str], **options: object) -> LiveSource:
    _require_capture()
    module = importlib.import_module("netwatch.capture.ring_source")
    return cast(LiveSource, module.RingSource(interfaces, **options))


def _scapy(interfaces: Sequence[str], **options: object) -> LiveSource:
    _require_capture()
    module = importlib.import_module("netwatch.capture.scapy_source")
    return cast(LiveSource, module.ScapySource(interfaces, **options))


def _sflow(interfaces: Sequence[str], **options: object) -> LiveSource:
    module = importlib.import_module("netwatch.capture.sflow_source")
    return cast(LiveSource, module.SflowSource(interfaces, **options))


OpenSource = Callable[..., LiveSource]
"""Opens interfaces, given their names and the options of the source. Raises `CaptureError`."""

LIVE_SOURCES: dict[str, OpenSource] = {"ring": _ring, "scapy": _scapy, "sflow": _sflow}
"""The live sources by the name that users give them. Their modules are imported on first use: one
only works on Linux, the import of the other takes long."""


def default_source() -> str:
    """The default source."""
    return "ring" if sys.platform == "linux" else "scapy"
