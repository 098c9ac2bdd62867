"""Where packets come from: sources that are open before anything else is done.

Interfaces are opened while the rights are there; a file is opened by the worker that
reads it. Of interfaces there are as many sources as workers, of a file one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from netwatch.capture import live
from netwatch.capture.block import Source
from netwatch.capture.files import open_source
from netwatch.errors import CaptureError

FILE = "file"
"""The source that reads captures and pipes instead of interfaces."""

NAMES = (*live.SOURCES, FILE)

Opener = Callable[[], Source]


def openers(
    source: str, interfaces: Sequence[str], fanout: int, options: Mapping[str, Any]
) -> list[Opener]:
    """One opener for each worker; interfaces are open when this returns. `options` are those
    of the source. Raises `CaptureError`."""
    if source == FILE:
        if fanout > 1 or len(interfaces) > 1:
            raise CaptureError("a file is read by one worker, and one at a time")
        return [lambda: open_source(interfaces[0])]
    if fanout > 1:
        if source != "ring":
            raise CaptureError(f"--source {source} has no --fanout, ring has")
        from netwatch.capture.ring import workers

        return [_given(cast(Source, each)) for each in workers(interfaces, fanout, **options)]
    return [_given(live.SOURCES[source](interfaces, **options))]


def _given(source: Source) -> Opener:
    return lambda: source
