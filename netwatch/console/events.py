"""Server-sent events: a page learns that what it shows has changed, and loads it again.

A stream asks a page's question, `Events.state`, every few seconds and sends an event when the
answer is another. It says no more than that, so it needs no rights of its own beyond those of the
page. Streams are few, end with the session, after an hour, and when the console ends; browsers
connect again by themselves.
"""

from collections.abc import AsyncIterator

import anyio
import anyio.to_thread

from netwatch.console.answers import Events
from netwatch.core.errors import NetwatchError

MAX_STREAMS = 20
"""Streams at a time; more are refused, and try again later."""

INTERVAL = 3.0
"""Seconds between two questions."""

STREAM_SECONDS = 3600.0
"""Seconds after which a stream ends."""

_BEGIN = b"retry: 10000\n\n"
_CHANGED = b"event: changed\ndata: now\n\n"
_NOTHING = b":\n\n"  # a comment: it finds out whether the client is still there


class EventStreams:
    """The streams of one console, all in one event loop."""

    def __init__(self, threads: anyio.CapacityLimiter) -> None:
        self._threads = threads
        self._open = 0
        self._ended = anyio.Event()

    @property
    def is_full(self) -> bool:
        """Whether a further stream has to be refused."""
        return self._open >= MAX_STREAMS

    def end(self) -> None:
        """End all streams."""
        self._ended.set()

    async def stream(self, events: Events) -> AsyncIterator[bytes]:
        """The bytes of a stream."""
        self._open += 1
        try:
            yield _BEGIN
            known: str | None = events.known
            end = anyio.current_time() + STREAM_SECONDS
            while (found := await self._ask(events, known)) is not None:
                yield _CHANGED if found != known else _NOTHING
                known = found
                with anyio.move_on_after(INTERVAL):
                    await self._ended.wait()
                if self._ended.is_set() or anyio.current_time() >= end:
                    break
        finally:
            self._open -= 1

    async def _ask(self, events: Events, known: str | None) -> str | None:
        """The state; that of before where the store is busy."""
        try:
            return await anyio.to_thread.run_sync(
                events.state, limiter=self._threads, abandon_on_cancel=True
            )
        except NetwatchError:
            return known
