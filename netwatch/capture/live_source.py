"""What sources have in common that never end by themselves."""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from netwatch.capture.block import Block

IDLE = 100
"""Milliseconds after which a live source yields a block without packets where none came,
so that whoever asks can see to other things."""

MAX_NOTES = 256
"""Notes that a live source holds; who wants all takes them out in time."""


class LiveSource(Protocol):
    """A `netwatch.capture.block.Source` of interfaces.

    Its blocks are of one interface each, whose name is ``block.interfaces[0].name``, and
    may be without packets. `notes` are sentences on what became of the interfaces, newest
    last, which may be taken out (``pop(0)``); `events` counts the same by name. `down` are
    those of the interfaces from which nothing can come now. `received` are packets that
    came in, `dropped` those that came and found no room, `freezes` how often there was
    none. The counters may be read from any thread, and when closed.
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
        """What comes, until `stop`; then what had come before it, and the end."""
        ...

    def stop(self) -> None:
        """End the iteration soon; may be called from a signal handler or another thread."""
        ...

    def close(self) -> None:
        """Give back the interfaces; may be called twice."""
        ...

    def release(self) -> None:
        """Let go of it in this process, and change nothing for the one that was forked and
        goes on with it."""
        ...


class Notes(list[str]):
    """The last `MAX_NOTES` sentences."""

    def append(self, sentence: str) -> None:
        """Add a sentence; the oldest goes where there are too many."""
        super().append(sentence)
        del self[:-MAX_NOTES]
