"""Where packets come from: sources that are open before anything else is done.

Interfaces are opened while the rights are there; a file is opened by the worker that
reads it. Of interfaces there are as many sources as workers, of a file one.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from netwatch.capture import live_sources as live
from netwatch.capture.block import Source
from netwatch.capture.files import STDIN, open_source
from netwatch.capture.live_source import LiveSource
from netwatch.core.errors import CaptureError

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

    source: LiveSource

    def open(self) -> Source:
        """It."""
        return cast(Source, self.source)

    def release(self) -> None:
        """Another process has it."""
        self.source.release()


@dataclass(frozen=True, slots=True)
class Later:
    """A capture or pipe that is opened by who reads it. `stdin` is standard input under
    another number, where that is read: `multiprocessing` closes it in a worker."""

    path: str
    stdin: int | None = None

    def open(self) -> Source:
        """It, open now."""
        if self.stdin is not None:
            sys.stdin = open(self.stdin, encoding="utf-8")  # noqa: PTH123, SIM115 - a number
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
        path = interfaces[0]
        return [Later(path, _stdin() if path == STDIN else None)]
    if fanout > 1:
        if source != "ring":
            raise CaptureError(f"--source {source} has no --fanout, ring has")
        from netwatch.capture.ring_source import workers

        return [Given(cast(LiveSource, each)) for each in workers(interfaces, fanout, **options)]
    return [Given(live.SOURCES[source](interfaces, **options))]


def _stdin() -> int | None:
    """Standard input, under a number that workers have too; None where there is none."""
    try:
        return os.dup(sys.stdin.fileno()) if sys.stdin is not None else None
    except (OSError, ValueError):
        return None
