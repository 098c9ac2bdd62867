"""What a live capture shows on standard error (a view on a terminal, log lines elsewhere), and the
streams with a reader for it and the records, none of which ever blocks the capture.

A reader that stalls (a pager, a terminal stopped with Ctrl-S, a log shipper that hangs) blocks
every process that writes to it: `select` does not prevent that, because a terminal is writable
before it has room for everything, and because another process may fill a pipe first. So only a
thread of a `StreamWriter` ever waits for the reader. Unwritten data are queued up to a limit.

Messages and the view go through one `StreamWriter`, and so does, within the context of a `Display`,
everything that a thread prints: a warning, a traceback, the summary at the end. Messages are lines;
while the view is shown no line may be written to the terminal, so they are held and written when it
has ended. What does not fit is discarded and counted, and the count is written as soon as there is
room.
"""

import contextlib
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from rich.console import Console

from netwatch.core.text import ESCAPE_UNENCODABLE, quantity
from netwatch.formats.values import LogFormat
from netwatch.live.events import Event, Log
from netwatch.watch.health import Thresholds
from netwatch.watch.screen import View, can_show
from netwatch.watch.snapshot import TakeSnapshot

WRITE_SIZE = 4096
"""Bytes to write at a time (PIPE_BUF, pipe(7))."""

RETRY_INTERVAL = 0.5
"""Seconds after which a failed write is tried again."""

MESSAGE_LIMIT = 1 << 20
"""Bytes of messages to queue while standard error is not read; further ones are discarded and
counted."""

HELD_LINES = 200
"""Messages to hold while the view is shown: the most recent ones."""

LINE_LIMIT = 1 << 16
"""Characters of a line; a longer one is split."""

SCREEN_BACKLOG = 1 << 16
"""Bytes not yet taken by the terminal beyond which the view is not drawn again."""

END_TIMEOUT = 2.0
"""Seconds that the reader of standard error has at the end to accept the next piece."""


class StreamWriter:
    """Writes bytes to `descriptor` in the order of `put`; the descriptor stays open.

    At most `limit` bytes are queued. `error` is the error of the last write, None if it succeeded;
    data that could not be written stays queued. The thread is started with the first data, so that
    a process may fork before.
    """

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._queue = bytearray()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.error: OSError | None = None

    @property
    def queued(self) -> int:
        """Bytes that have not been written yet."""
        return len(self._queue)

    def put(self, data: bytes, *, required: bool = False) -> bool:
        """Queue data as a whole; False if it was discarded, because the queue is full or the writer
        is closed. `required` data is queued even beyond the limit."""
        with self._changed:
            if self._closed or (len(self._queue) + len(data) > self._limit and not required):
                return False
            self._queue += data
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"write-{self._descriptor}", daemon=True
                )
                self._thread.start()
            return True

    def flush(self) -> None:
        """Does nothing: the thread writes as soon as it can."""

    def close(self, timeout: float) -> int:
        """Write the rest, waiting at most `timeout` seconds for a slow reader to accept the next
        piece; returns the bytes that could not be written."""
        with self._changed:
            left, deadline = len(self._queue), time.monotonic() + timeout
            while self._queue and self.error is None:
                if len(self._queue) < left:
                    left, deadline = len(self._queue), time.monotonic() + timeout
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    break
            self._closed = True
            self._changed.notify_all()
            return len(self._queue)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                piece = bytes(self._queue[:WRITE_SIZE])
            written, error = self._write(piece)
            with self._changed:
                del self._queue[:written]
                self.error = error
                self._changed.notify_all()
                if error is not None:
                    self._changed.wait_for(lambda: self._closed, RETRY_INTERVAL)

    def _write(self, piece: bytes) -> tuple[int, OSError | None]:
        """The bytes that were written, and the error if there was one."""
        try:
            return os.write(self._descriptor, piece), None
        except BlockingIOError:
            # Another process with the descriptor open made it non-blocking.
            select.select([], [self._descriptor], [], RETRY_INTERVAL)
            return 0, None
        except OSError as error:
            return 0, error


class MessageStream(io.TextIOBase):
    """A text stream of lines that replaces `sys.stderr`; may be used by any thread.

    `writer` is None if standard error is closed; then all lines are discarded. `discarded` counts
    the lines that did not fit.
    """

    def __init__(self, writer: StreamWriter | None, encoding: str) -> None:
        self._writer = writer
        self._encoding = encoding
        self._lock = threading.RLock()
        self._partial = ""
        self._held: deque[str] | None = None
        self._unreported = 0
        self.discarded = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the lines."""
        return self._encoding

    @property
    def queued(self) -> int:
        """Bytes that have not been written yet."""
        return self._writer.queued if self._writer is not None else 0

    def writable(self) -> bool:
        """Always True."""
        return True

    def write(self, text: str) -> int:
        """Write every line that is complete now."""
        with self._lock:
            *lines, self._partial = (self._partial + text).split("\n")
            while len(self._partial) > LINE_LIMIT:
                lines.append(self._partial[:LINE_LIMIT])
                self._partial = self._partial[LINE_LIMIT:]
            for line in lines:
                self._take(line)
        return len(text)

    def hold(self) -> None:
        """Hold all lines until `release`."""
        with self._lock:
            self._held = deque()

    def release(self) -> None:
        """Write the lines that were held."""
        with self._lock:
            held, self._held = self._held or (), None
            for line in held:
                self._take(line)

    def _take(self, line: str) -> None:
        if self._held is None:
            self._write_line(line)
            return
        self._held.append(line)
        if len(self._held) > HELD_LINES:
            self._held.popleft()
            self._count_discarded()

    def _write_line(self, line: str) -> None:
        if self._unreported:
            lost = f"{quantity(self._unreported, 'message')} could not be shown and"
            verb = "was" if self._unreported == 1 else "were"
            if self._put(f"netwatch: {lost} {verb} discarded"):
                self._unreported = 0
        if not self._put(line):
            self._count_discarded()

    def _count_discarded(self) -> None:
        self.discarded += 1
        self._unreported += 1

    def _put(self, line: str) -> bool:
        data = f"{line}\n".encode(self._encoding, ESCAPE_UNENCODABLE)
        return self._writer is not None and self._writer.put(data)


class ScreenStream(io.TextIOBase):
    """A text stream for the view, each write of which is a whole frame or control sequence.

    A frame is left out while the terminal has not taken earlier ones. After `end` nothing is left
    out, so that the terminal is restored.
    """

    def __init__(self, writer: StreamWriter | None, encoding: str, *, terminal: bool) -> None:
        self._writer = writer
        self._encoding = encoding
        self._terminal = terminal
        self._ending = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the terminal."""
        return self._encoding

    def writable(self) -> bool:
        """Always True."""
        return True

    def isatty(self) -> bool:
        """Whether this is a terminal."""
        return self._terminal

    def write(self, text: str) -> int:
        """Write a frame, unless the terminal stalls."""
        writer = self._writer
        if writer is not None and (self._ending or writer.queued < SCREEN_BACKLOG):
            writer.put(text.encode(self._encoding, ESCAPE_UNENCODABLE), required=self._ending)
        return len(text)

    def end(self) -> None:
        """From now on leave nothing out."""
        self._ending = True


class Display:
    """Logs events on standard error. `has_view` tells whether there is a terminal and `view` was
    requested; then only warnings are logged, when the view has ended. `messages` is the stream of
    all messages."""

    def __init__(self, *, quiet: bool, view: bool, log_format: LogFormat = "text") -> None:
        descriptor, terminal = _standard_error()
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        self._writer = None if descriptor is None else StreamWriter(descriptor, MESSAGE_LIMIT)
        self.messages = MessageStream(self._writer, encoding)
        self._screen = ScreenStream(self._writer, encoding, terminal=terminal)
        self._console = Console(file=cast(IO[str], self._screen))
        self._redirection = contextlib.redirect_stderr(self.messages)
        self.has_view = view and not quiet and can_show(self._console)
        self._log = Log(self._line, quiet or self.has_view, form=log_format)

    def __enter__(self) -> "Display":
        self._redirection.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._redirection.__exit__(None, None, None)
        if self._writer is not None:
            self._writer.close(END_TIMEOUT)

    def log(self, event: Event) -> None:
        """Log an event of the capture; may be called by any thread."""
        self._log(event)

    @contextmanager
    def show(self, snapshot: TakeSnapshot, thresholds: Thresholds) -> Iterator[None]:
        """Show the view within the context."""
        self.messages.hold()
        try:
            with View(snapshot, self._console, thresholds):
                try:
                    yield
                finally:
                    self._screen.end()
        finally:
            self.messages.release()

    def _line(self, text: str) -> None:
        self.messages.write(f"{text}\n")


def _standard_error() -> tuple[int | None, bool]:
    """The descriptor of standard error, None if that is closed, and whether it is a
    terminal."""
    if sys.stderr is None:
        return None, False
    try:
        return sys.stderr.fileno(), sys.stderr.isatty()
    except (OSError, ValueError):
        return None, False
