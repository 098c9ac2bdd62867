"""The packet sources of a live capture, opened before anything else is started.

Interfaces are opened by the first process, while it still has the privileges to do so, and
are inherited by the workers; a file or pipe is opened by the worker that reads it. There
are as many sources as workers: one, or with ``--fanout`` several rings that share packets.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from netwatch.capture import live_sources
from netwatch.capture.block import Source
from netwatch.capture.files import STDIN, open_source
from netwatch.capture.live_source import LiveSource
from netwatch.core.errors import CaptureError

FILE = "file"
"""The source that reads captures and pipes instead of interfaces."""

LOGS = "logs"
"""The source that reads logs instead of packets."""

SOURCE_NAMES = (*live_sources.SOURCES, FILE, LOGS)
"""The values of ``--source``."""


class SourceOpener(Protocol):
    """Gives a worker its source. It is made before the worker process is forked."""

    def open(self) -> Source:
        """The source, ready to be read; raises `CaptureError`."""
        ...

    def release(self) -> None:
        """Close the source in a process that does not read it."""
        ...


@dataclass(frozen=True, slots=True)
class InterfaceOpener:
    """Interfaces that are open already."""

    source: LiveSource

    def open(self) -> Source:
        """The source, which was opened before."""
        return cast(Source, self.source)

    def release(self) -> None:
        """Close the descriptors of this process; the worker has its own."""
        self.source.detach()


@dataclass(frozen=True, slots=True)
class FileOpener:
    """A capture or pipe that the worker opens. `stdin` is a duplicate of standard input,
    where that is to be read: `multiprocessing` closes the original in a worker."""

    path: str
    stdin: int | None = None

    def open(self) -> Source:
        """Open the file; raises `CaptureError`."""
        if self.stdin is not None:
            sys.stdin = open(self.stdin, encoding="utf-8")  # noqa: PTH123, SIM115 - a descriptor
        return open_source(self.path)

    def release(self) -> None:
        """Nothing has been opened yet."""


def source_openers(
    source: str, interfaces: Sequence[str], fanout: int, options: Mapping[str, Any]
) -> list[SourceOpener]:
    """One opener per worker; interfaces have been opened when this returns.

    `options` are passed to the source. Raises `CaptureError`.
    """
    if source == FILE:
        if fanout > 1:
            raise CaptureError(f"--source {source} does not support --fanout, only ring does")
        if len(interfaces) > 1:
            raise CaptureError("--source file reads one capture or pipe; give a single -i")
        path = interfaces[0]
        return [FileOpener(path, _duplicate_stdin() if path == STDIN else None)]
    if fanout > 1:
        if source != "ring":
            raise CaptureError(f"--source {source} does not support --fanout, only ring does")
        from netwatch.capture.ring_source import open_worker_sources

        sources = open_worker_sources(interfaces, fanout, **options)
        return [InterfaceOpener(cast(LiveSource, ring)) for ring in sources]
    return [InterfaceOpener(live_sources.SOURCES[source](interfaces, **options))]


def _duplicate_stdin() -> int | None:
    """A duplicate of standard input that workers inherit; None where it is closed."""
    try:
        return os.dup(sys.stdin.fileno()) if sys.stdin is not None else None
    except (OSError, ValueError):
        return None
