"""Live sources, which capture from network interfaces until they are stopped: their interface, and
the table of them.
"""

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, cast

from netwatch.capture.block import Block
from netwatch.core.errors import CaptureError

IDLE_INTERVAL = 100
"""Milliseconds without packets after which a live source yields an empty block, so that the caller
can attend to other things."""

MAX_NOTES = 256
"""Notes that a live source stores. The oldest are evicted if the caller does not remove them."""


class LiveSource(Protocol):
    """A `netwatch.capture.block.Source` for network interfaces.

    Each block is of one interface, whose name is ``block.interfaces[0].name``, and may be without
    packets. `notes` are sentences about changes of the interfaces, newest last, which the caller
    may remove (``pop(0)``); `events` counts the same changes by name. `down` are the interfaces
    that cannot receive packets at present. `received` counts the packets that arrived, `dropped`
    those for which there was no space, `freezes` how often the ring became full. The counters
    may be read from any thread, and after `close`.
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

SOURCES: dict[str, OpenSource] = {"ring": _ring, "scapy": _scapy, "sflow": _sflow}
"""The live sources by the name that users give them. Their modules are imported on first use: one
works on Linux only, the import of the other takes long."""


def default_source() -> str:
    """The name of the source that is used unless the user names another."""
    return "ring" if sys.platform == "linux" else "scapy"
