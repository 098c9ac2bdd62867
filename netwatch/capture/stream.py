"""Bytes in, from a file or a pipe, through a window of bounded size.

A `Stream` gives bytes in order and can be peeked into, so that a format is recognised by
its content where nothing can be rewound. A `Window` is the piece of a stream that is
being looked at: records are found and read in place, and only the tail of one that is not
whole is ever moved. Memory stays the same whatever the size of the file.
"""

import select
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import BinaryIO

WINDOW = 1 << 20
"""Bytes of a window at first: small enough for a processor's second-level cache."""

LARGEST = 1 << 24
"""Bytes that no window outgrows, and so the largest record that is read."""


class Stream(ABC):
    """Bytes in order; subclasses fill `_read`. Trouble ends a stream early and is told
    in `notes`, which all layers of one capture share."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self._head = b""

    @property
    @abstractmethod
    def position(self) -> int:
        """Bytes read of the file itself, compressed where it is."""

    @abstractmethod
    def close(self) -> None:
        """Give back the file."""

    @abstractmethod
    def _read(self, buffer: memoryview) -> int: ...

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from its start with what is there; 0 bytes only at the end."""
        if self._head:
            size = min(len(self._head), len(buffer))
            buffer[:size] = self._head[:size]
            self._head = self._head[size:]
            return size
        return self._read(buffer)

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer only where the stream ends; they stay unread."""
        piece = bytearray(size)
        while len(self._head) < size:
            got = self._read(memoryview(piece)[: size - len(self._head)])
            if not got:
                break
            self._head += piece[:got]
        return self._head[:size]


class FileStream(Stream):
    """A file, pipe or device opened for reading without a buffer of its own."""

    def __init__(self, file: BinaryIO, notes: list[str], close: bool = True) -> None:
        super().__init__(notes)
        self._file = file
        self._close = close
        self._position = 0

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._position

    def close(self) -> None:
        """Close the file, unless it is not ours to close."""
        if self._close:
            self._file.close()

    def _read(self, buffer: memoryview) -> int:
        readinto: Callable[[memoryview], int | None] = self._file.readinto  # type: ignore[attr-defined]
        try:
            while (got := readinto(buffer)) is None:  # a pipe that does not block, and is empty
                select.select([self._file], [], [])
        except OSError as error:
            self.notes.append(f"reading stopped at byte {self._position}: {error.strerror}")
            return 0
        self._position += got
        return got


class Window:
    """What of a stream is in memory: ``buffer[start:end]``.

    The buffer is never resized, only replaced, so views into it stay safe. `grow` bounds
    its size in bytes.
    """

    def __init__(self, stream: Stream, size: int = WINDOW, grow: int = LARGEST) -> None:
        self.stream = stream
        self.buffer = bytearray(size)
        self.start = 0
        self.end = 0
        self._base = 0
        self._grow = max(size, grow)

    def offset(self, at: int) -> int:
        """Where ``buffer[at]`` stands in the stream (bytes, decompressed)."""
        return self._base + at

    @property
    def left(self) -> int:
        """Bytes in memory that were not taken."""
        return self.end - self.start

    def fill(self, need: int) -> bool:
        """Read once more, with room for `need` bytes from `start`; false at the end.

        What was taken is dropped, so offsets into the buffer change. The buffer grows
        step by step with the bytes that do come, not with what a record claims.
        """
        size = len(self.buffer)
        left = self.left
        if left == size:
            size = min(2 * size, max(size, need), self._grow)
            if left == size:
                return False
            larger = bytearray(size)
            larger[:left] = self.buffer[self.start : self.end]
            self.buffer = larger
        elif self.start:
            self.buffer[:left] = self.buffer[self.start : self.end]
        self._base += self.start
        self.start, self.end = 0, left
        got = self.stream.readinto(memoryview(self.buffer)[left:])
        self.end += got
        return got > 0

    def want(self, need: int) -> bool:
        """Read until `need` bytes from `start` are in memory; false if they never are."""
        while self.left < need:
            if not self.fill(need):
                return False
        return True

    def skip(self, size: int) -> bool:
        """Drop `size` bytes, however many; false if the stream ends before."""
        while size > self.left:
            size -= self.left
            self.start = self.end
            if not self.fill(1):
                return False
        self.start += size
        return True
