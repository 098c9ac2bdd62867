"""A file on a server, read ahead of its reader in ranges.

A range is one request, of `FIRST_RANGE` bytes at first and of twice as many each time, up to
`RANGE`. Threads fetch the next ranges while the packets of this one are judged: one at first, since
most files that are only looked at need no more, then up to `RANGES` at a time, more than a network
needs to keep one CPU busy. Memory is therefore bounded, whatever the size of the file.

Transient errors are retried after a pause: a broken connection, a body that ends too soon, an
overloaded server. Reading continues at the missing byte. Attempts without any progress are limited,
and so are those for a whole file, so that a server which delivers a byte at a time cannot hold the
client for ever. Each request names the expected content (its ETag), so that a file which changes
meanwhile is an error and never a mix of two.
"""

import errno
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue

from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import LEAST_PACE, PACE_SECONDS
from netwatch.core.text import quantity

FIRST_RANGE = 1 << 20
"""Bytes of the first range."""

RANGE = 1 << 23
"""Bytes of the largest range."""

RANGES = 4
"""Ranges fetched or waiting at a time."""

ATTEMPTS = 6
"""Attempts without a single byte after which the rest of a file counts as unreadable."""

MAX_RETRIES = 100
"""Attempts after the first, for all ranges of a file together."""

FIRST_PAUSE = 0.25
"""Seconds before the second attempt. Each pause is up to twice as long as the previous one."""

MAX_PAUSE = 20.0
"""The longest pause in seconds, whatever a server requests."""


class RemoteError(NetwatchError):
    """A file on a server cannot be read, and another attempt would not help. The text is a clause
    without the URL: "access is denied"."""


class TransientError(NetwatchError):
    """An attempt failed but another may succeed later, after `pause` seconds if the server said
    so."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of a file, from `start` up to `end`."""

    start: int
    end: int


Fetch = Callable[[Range], bytes]
"""Requests the bytes of a range once, from any thread. Returns the first of them: at least one, and
never more than the range has. Raises `TransientError` and `RemoteError`."""


class Pace:
    """The minimum pace of a body: one byte before each timeout would otherwise last for ever."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count bytes that have arrived. Raises `TransientError` if they are too few by now."""
        self._bytes += size
        seconds = time.monotonic() - self._begun
        if seconds > PACE_SECONDS and self._bytes < LEAST_PACE * seconds:
            raise TransientError(f"the server sends less than {LEAST_PACE:,} bytes a second")


class Attempts:
    """Counts attempts and waits between them, for all threads that read one file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._retries = 0
        self._stopped = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether the file is no longer needed."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End all pauses, and make no further attempt."""
        self._stopped.set()

    def pause(self, error: TransientError, failed: int) -> None:
        """Wait before the next attempt, after `failed` ones without any progress. Raises
        `RemoteError` if there is none."""
        with self._lock:
            self._retries += 1
            retries = self._retries
        if failed >= ATTEMPTS or retries > MAX_RETRIES:
            count = failed if failed >= ATTEMPTS else retries
            raise RemoteError(f"{error}, given up after {quantity(count, 'attempt')}") from None
        longest = min(FIRST_PAUSE * 2 ** (failed - 1), MAX_PAUSE)
        # Readers that were refused together must not return together.
        seconds = random.uniform(longest / 2, longest)
        if error.pause is not None:
            seconds = min(max(seconds, error.pause), MAX_PAUSE)
        if self._stopped.wait(seconds):
            raise RemoteError("reading was stopped") from None


def fetch_whole(fetch: Fetch, wanted: Range, attempts: Attempts) -> bytes:
    """All bytes of a range, with as many attempts as needed. Raises `RemoteError`."""
    pieces: list[bytes] = []
    at, failed = wanted.start, 0
    while at < wanted.end:
        try:
            piece = fetch(Range(at, wanted.end))
            if not piece:
                raise TransientError("the server sent nothing")
        except TransientError as error:
            failed += 1
            attempts.pause(error, failed)
            continue
        pieces.append(piece)
        at += len(piece)
        # A cut body counts as an attempt too, but not as one without progress.
        if at < wanted.end:
            failed = 0
            attempts.pause(TransientError("the server ends each answer too soon"), 1)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class RemoteFile:
    """A file of `size` bytes whose ranges `fetch` requests; a
    `netwatch.capture.locations.OpenFile`. `first` are its first bytes if they are already there.
    `verify`, if given, is called once everything was read; it raises `RemoteError` if the content
    is not the one that the first byte came from."""

    def __init__(
        self,
        fetch: Fetch,
        size: int,
        first: bytes = b"",
        verify: Callable[[], None] | None = None,
    ) -> None:
        self.size = size
        self._fetch = fetch
        self._verify = verify
        self._attempts = Attempts()
        self._piece = memoryview(first)
        self._planned = len(first)
        self._next_size = FIRST_RANGE
        self._allowed = 1
        self._waiting: deque[Future[bytes]] = deque()
        self._wanted: SimpleQueue[tuple[Range, Future[bytes]] | None] = SimpleQueue()
        self._threads = 0
        if not first:
            self._plan()

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes into `buffer`; 0 only at the end. Raises OSError with a sentence as
        its `strerror`."""
        try:
            if not self._piece and not self._next():
                return 0
        except RemoteError as error:
            self.close()
            raise OSError(errno.EIO, str(error)) from None
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size

    def close(self) -> None:
        """Stop reading ahead. Threads that wait for the server end with its answer. Reads from here
        on return the end, which says nothing about the content."""
        self._attempts.stop()
        self._verify = None
        while self._threads:
            self._wanted.put(None)
            self._threads -= 1
        self._waiting.clear()
        self._planned = self.size

    def _next(self) -> bool:
        """Go on to the next range; false at the end."""
        self._plan()
        if not self._waiting:
            if self._verify is not None:
                verify, self._verify = self._verify, None
                verify()
            return False
        piece = self._waiting.popleft().result()
        self._allowed = min(2 * self._allowed, RANGES)
        self._plan()
        self._piece = memoryview(piece)
        return True

    def _plan(self) -> None:
        """Ask for the next ranges, as many as may be on their way."""
        while self._planned < self.size and len(self._waiting) < self._allowed:
            end = min(self._planned + self._next_size, self.size)
            answer: Future[bytes] = Future()
            self._waiting.append(answer)
            self._wanted.put((Range(self._planned, end), answer))
            self._planned = end
            self._next_size = min(2 * self._next_size, RANGE)
            if self._threads < len(self._waiting):
                self._threads += 1
                threading.Thread(
                    target=_serve,
                    args=(self._wanted, self._fetch, self._attempts),
                    name="netwatch-fetch",
                    daemon=True,
                ).start()


def _serve(
    wanted: "SimpleQueue[tuple[Range, Future[bytes]] | None]", fetch: Fetch, attempts: Attempts
) -> None:
    """The main function of a thread. It does not refer to the file, so that a dropped one can be
    freed."""
    while (job := wanted.get()) is not None:
        part, answer = job
        if attempts.is_stopped:
            answer.set_exception(RemoteError("reading was stopped"))
            continue
        try:
            answer.set_result(fetch_whole(fetch, part, attempts))
        except BaseException as error:
            answer.set_exception(error)
