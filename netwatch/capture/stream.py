"""Bytes from a file or a pipe, buffered in memory of bounded size.

A `Stream` yields bytes in order and can be peeked into, so that a format is recognised by its
content even if seeking is impossible. A `StreamBuffer` is the part of a stream that is in
memory: records are found and read in place, and only an incomplete record at the end is moved.
Memory does not depend on the size of the file.
"""

import select
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import BinaryIO, Protocol

from netwatch.core.buffers import zeroed

BUFFER_SIZE = 1 << 20
"""Initial size of a stream buffer in bytes: it fits into the second-level cache of a CPU."""

MAX_BUFFER_SIZE = 1 << 24
"""Maximum size of a stream buffer in bytes, and so of the largest record that is read."""


class ReadFailure(str):
    """A note that bytes of a capture could not be read from its storage; other notes are only about
    its content."""

    __slots__ = ()


class Windows(Protocol):
    """Memory that a stream is read into, piece by piece, if others read it as well."""

    def take(self, size: int) -> memoryview:
        """A window of at least `size` bytes, at most `MAX_BUFFER_SIZE`, that is not being read any
        more."""
        ...


class Stream(ABC):
    """Bytes in order. A read error ends the stream early and is described in `notes`, a list that
    all layers of a capture share; the stream is then `damaged`. What a `StreamBuffer` reads goes to
    `windows`, if given."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.windows: Windows | None = None
        self.damaged = False
        self._peeked = b""

    @property
    @abstractmethod
    def position(self) -> int:
        """Bytes read from the file itself, compressed if the file is."""

    @abstractmethod
    def left(self, size: int | None) -> int:
        """Bytes left to read in a file of `size` bytes. For a pipe (None), bytes that it has not
        delivered yet are not counted; compressed bytes count as they are in the file."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def _read(self, buffer: memoryview) -> int: ...

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes into `buffer`; returns their number, 0 only at the end."""
        if self._peeked:
            size = min(len(self._peeked), len(buffer))
            buffer[:size] = self._peeked[:size]
            self._peeked = self._peeked[size:]
            return size
        return self._read(buffer)

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, which stay unread; fewer only at the end of the stream."""
        piece = bytearray(size)
        while len(self._peeked) < size:
            got = self._read(memoryview(piece)[: size - len(self._peeked)])
            if not got:
                break
            self._peeked += piece[:got]
        return self._peeked[:size]


class FileStream(Stream):
    """A file, pipe or device that was opened for unbuffered reading."""

    def __init__(self, file: BinaryIO, notes: list[str], close: bool = True) -> None:
        super().__init__(notes)
        self._file = file
        self._close = close
        self._position = 0

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._position

    def left(self, size: int | None) -> int:
        """The unread bytes of the file."""
        return len(self._peeked) + max(0, (size or 0) - self._position)

    def close(self) -> None:
        """Close the file, unless it belongs to somebody else."""
        if self._close:
            self._file.close()

    def _read(self, buffer: memoryview) -> int:
        readinto: Callable[[memoryview], int | None] = self._file.readinto  # type: ignore[attr-defined]
        try:
            while (got := readinto(buffer)) is None:  # an empty pipe in non-blocking mode
                select.select([self._file], [], [])
        except OSError as error:
            self.damaged = True
            failure = f"reading stopped at byte {self._position}: {error.strerror}"
            self.notes.append(ReadFailure(failure))
            return 0
        self._position += got
        return got


class StreamBuffer:
    """The part of a stream that is in memory: ``buffer[start:end]``.

    A caller moves `start` after the bytes that it has processed. The buffer is never resized, only
    replaced, so that views of it stay valid. It grows to at most `max_size` bytes. If the stream
    has windows, each piece that is read is in a window of its own.
    """

    def __init__(
        self, stream: Stream, size: int = BUFFER_SIZE, max_size: int = MAX_BUFFER_SIZE
    ) -> None:
        self.stream = stream
        self._windows = stream.windows
        self.buffer = zeroed("B", size) if self._windows is None else self._windows.take(size)
        self.start = 0
        self.end = 0
        self._stream_position = 0
        self._max_size = max(size, max_size)

    def stream_offset(self, at: int) -> int:
        """The offset of ``buffer[at]`` in the (decompressed) stream, in bytes."""
        return self._stream_position + at

    @property
    def available(self) -> int:
        """Bytes in memory that are not processed yet."""
        return self.end - self.start

    def left(self, size: int | None) -> int:
        """Unprocessed bytes, in memory or in a file of `size` bytes (see `Stream.left`)."""
        return self.available + self.stream.left(size)

    def read_more(self, needed: int) -> bool:
        """Read once, with space for `needed` bytes from `start`; false at the end of the stream.

        Processed bytes are discarded, so offsets in the buffer change. The buffer grows gradually,
        with the bytes that arrive and not with the length that a record claims.
        """
        size = len(self.buffer)
        available = self.available
        if available == size:
            size = min(2 * size, max(size, needed), self._max_size)
            if available == size:
                return False
        if len(self.buffer) < size or self._windows is not None:
            larger = zeroed("B", size) if self._windows is None else self._windows.take(size)
            larger[:available] = self.buffer[self.start : self.end]
            self.buffer = larger
        elif self.start:
            self.buffer[:available] = self.buffer[self.start : self.end]
        self._stream_position += self.start
        self.start, self.end = 0, available
        got = self.stream.readinto(self.buffer[available:])
        self.end += got
        return got > 0

    def ensure(self, needed: int) -> bool:
        """Read until `needed` bytes from `start` are in memory; false if the stream ends before."""
        while self.available < needed:
            if not self.read_more(needed):
                return False
        return True

    def skip(self, size: int) -> bool:
        """Discard `size` bytes, in memory or not; false if the stream ends before."""
        while size > self.available:
            size -= self.available
            self.start = self.end
            if not self.read_more(1):
                return False
        self.start += size
        return True
