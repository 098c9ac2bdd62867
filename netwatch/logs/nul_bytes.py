"""NUL bytes in logs of text: what is left of data that a loss of power kept from the disk, and of
a file that was truncated under a program that goes on at its old position.

A run of NUL bytes is skipped and counted as ``log-nul-bytes``; the line behind it is read. What is
before it in the same line was cut off, and is no record.
"""

import re
from collections.abc import Callable

from netwatch.capture.stream import Stream

NUL_BYTES = "log-nul-bytes"
"""The anomaly under which runs of NUL bytes are counted."""

STEP = 1 << 20
"""Bytes that are read at a time where a file begins with NUL bytes."""

LEAST_RUN = 12
"""NUL bytes with which no frame of Frame Streams begins."""

_RUN = re.compile(rb"\0+")
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")


def line_behind(line: bytes) -> bytes:
    """A line without NUL bytes: what is behind those inside of it, if there are any."""
    return line.strip(b"\0").rpartition(b"\0")[2]


def count_runs(data: bytes) -> int:
    """The runs of NUL bytes in some bytes."""
    return len(_RUN.findall(data)) if b"\0" in data else 0


def text_of(head: bytes) -> bytes:
    """The text that the head of a file has beside NUL bytes; empty if it is no text."""
    if b"\0" not in head:
        return head
    text = b"\n".join(map(line_behind, head.split(b"\n")))
    return b"" if _CONTROL.search(text) else text


def is_without_mark(head: bytes) -> str:
    """The encoding of text that looks like UTF-16 without a byte order mark, empty if it does
    not."""
    begin = head[:256]
    if len(begin) < 8:
        return ""
    first, second = begin[::2], begin[1::2]
    if not second.strip(b"\0") and b"\0" not in first:
        return "UTF-16LE"
    return "UTF-16BE" if not first.strip(b"\0") and b"\0" not in second else ""


def read_head(read: Callable[[int, int], bytes], size: int) -> bytes:
    """The first `size` bytes of a file; if it begins with a long run of NUL bytes, or a line that
    is longer than that, those behind it. `read` gives so many bytes from an offset on."""
    head = read(size, 0)
    if len(head) < LEAST_RUN or head[:LEAST_RUN].strip(b"\0"):
        if len(head) < size or b"\n" in head or b"\0" in head:
            return head
        end = read(2 * STEP, 0).find(b"\n") + 1
        return read(size, end) if end else head
    at = 0
    while (data := read(STEP, at)) and not data.strip(b"\0"):
        at += len(data)
    return read(size, at + len(data) - len(data.lstrip(b"\0")))


class TextStream(Stream):
    """The bytes of a stream, with a run of NUL bytes as a single one. `runs` counts them."""

    def __init__(self, inner: Stream) -> None:
        super().__init__(inner.notes)
        self._inner = inner
        self._is_in_run = False
        self.runs = 0

    @property
    def position(self) -> int:
        """Bytes read from the file itself."""
        return self._inner.position

    def left(self, size: int | None) -> int:
        """The bytes of the file that were not read."""
        return len(self._peeked) + self._inner.left(size)

    def close(self) -> None:
        """Close the file."""
        self._inner.close()

    def _read(self, buffer: memoryview) -> int:
        while got := self._inner.readinto(buffer):
            self.damaged = self._inner.damaged
            data = bytes(buffer[:got])
            if b"\0" not in data:
                self._is_in_run = False
                return got
            if self._is_in_run:
                data = data.lstrip(b"\0")
            self.runs += count_runs(data)
            self._is_in_run = data.endswith(b"\0") or (self._is_in_run and not data)
            data = re.sub(_RUN.pattern, b"\0", data)
            if data:
                buffer[: len(data)] = data
                return len(data)
        self.damaged = self._inner.damaged
        return 0
