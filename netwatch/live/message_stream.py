"""Standard error of a live capture: messages and the view, neither of which ever blocks.

Both go through one `StreamWriter`. Messages are lines; while the view is shown no line may be
written to the terminal, so they are held and written when it has ended. What does not fit is
discarded and counted, and the count is written as soon as there is room.
"""

import io
import threading
from collections import deque

from netwatch.core.text import ESCAPE_UNENCODABLE, quantity
from netwatch.live.stream_writer import StreamWriter

MESSAGE_LIMIT = 1 << 20
"""Bytes of messages that are queued while standard error is not read; further ones are
discarded and counted."""

HELD_LINES = 200
"""Messages that are held while the view is shown: the most recent ones."""

LINE_LIMIT = 1 << 16
"""Characters of a line; a longer one is split."""

SCREEN_BACKLOG = 1 << 16
"""Bytes that the terminal has not taken yet beyond which the view is not drawn again."""


class MessageStream(io.TextIOBase):
    """A text stream of lines that stands in for `sys.stderr`; may be used by any thread.

    `writer` is None where standard error is closed; then all lines are discarded. `discarded`
    counts the lines that did not fit.
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

    A frame is left out while the terminal has not taken earlier ones. After `end` nothing is
    left out, so that the terminal is restored.
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
