"""Where packets come from: sources that are open before anything else is done.

Interfaces are opened while the rights are there; a file is opened by the worker that
reads it. Of interfaces there are as many sources as workers, of a file one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from netwatch.capture import live
from netwatch.capture.block import Source
from netwatch.capture.files import open_source
from netwatch.errors import CaptureError

FILE = "file"
"""The source that reads captures and pipes instead of interfaces."""

NAMES = (*live.SOURCES, FILE)


class Opener(Protocol):
    """Where a worker's packets come from, made before the worker is."""

    def open(self) -> Source:
        """The source, opened before or now; raises `CaptureError`."""
        ...

    def release(self) -> None:
        """Let go of it in a process that does not read it."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """A source that is open."""

    source: live.LiveSource

    def open(self) -> Source:
        """It."""
        return cast(Source, self.source)

    def release(self) -> None:
        """Another process has it."""
        self.source.release()


@dataclass(frozen=True, slots=True)
class Later:
    """A capture or pipe that is opened by who reads it."""

    path: str

    def open(self) -> Source:
        """It, open now."""
        return open_source(self.path)

    def release(self) -> None:
        """There is nothing open yet."""


def openers(
    source: str, interfaces: Sequence[str], fanout: int, options: Mapping[str, Any]
) -> list[Opener]:
    """One opener for each worker; interfaces are open when this returns. `options` are those
    of the source. Raises `CaptureError`."""
    if source == FILE:
        if fanout > 1 or len(interfaces) > 1:
            raise CaptureError("a file is read by one worker, and one at a time")
        return [Later(interfaces[0])]
    if fanout > 1:
        if source != "ring":
            raise CaptureError(f"--source {source} has no --fanout, ring has")
        from netwatch.capture.ring import workers

        return [
            Given(cast(live.LiveSource, each)) for each in workers(interfaces, fanout, **options)
        ]
    return [Given(live.SOURCES[source](interfaces, **options))]
