"""A compressed file is decompressed by a thread of its own, a little ahead of its reader.

Decompressors release the lock of the interpreter, so on a second CPU they run while the packets
before are judged. What the reader sees is the same as without the thread: it takes the outputs of
the decompressor one by one, and with each the position in the file, the notes and the damage of the
moment at which it was made.

A thread is started for what follows the first few MiB of a regular file: for less it is not worth
it, and nobody has to wait for a thread that waits for a pipe. At most `BATCHES` batches are ahead.
"""

import threading
from typing import NamedTuple

from netwatch.capture.compression import DecompressedStream
from netwatch.capture.stream import Stream

START = 4 << 20
"""Decompressed bytes that are read before the thread is started."""

BATCH = 1 << 19
"""Decompressed bytes after which outputs are handed over. An output has at most 512 KiB."""

BATCHES = 4
"""Batches that the thread is ahead of the reader."""

_OVERHEAD = 1024
"""Bytes that count for an output beside its content: very small ones are handed over too."""


class _Output(NamedTuple):
    """An output of the decompressor, empty at the end; where in the file it was made, how many
    bytes were left behind it, whether the data are damaged there, and what was noted."""

    content: memoryview
    position: int
    behind: int
    damaged: bool
    notes: tuple[str, ...]


class ReadAhead(Stream):
    """The content of a decompressed stream, whose file has `size` bytes."""

    def __init__(self, inner: DecompressedStream, size: int) -> None:
        super().__init__(inner.notes)
        self._inner = inner
        self._size = size
        self._read_directly = 0
        self._thread: _Thread | None = None
        self._batch: list[_Output] = []
        self._current = _Output(memoryview(b""), 0, 0, False, ())

    @property
    def position(self) -> int:
        """Bytes read from the compressed file for what was read of the content."""
        return self._inner.position if self._thread is None else self._current.position

    def left(self, size: int | None) -> int:
        """The decompressed bytes that were not read, and the compressed ones behind them."""
        if self._thread is None:
            return len(self._peeked) + self._inner.left(size)
        return len(self._peeked) + len(self._current.content) + self._current.behind

    def close(self) -> None:
        """End the thread, and close the file."""
        if self._thread is not None:
            self._thread.end()
        self._inner.close()

    def _read(self, buffer: memoryview) -> int:
        if self._thread is None:
            if self._read_directly < START:
                got = self._inner.readinto(buffer)
                self._read_directly += got
                self.damaged = self._inner.damaged
                return got
            self._start()
        filled = 0
        while filled < len(buffer):
            if not self._current.content and not self._next():
                break
            content = self._current.content
            size = min(len(content), len(buffer) - filled)
            buffer[filled : filled + size] = content[:size]
            self._current = self._current._replace(content=content[size:])
            filled += size
        return filled

    def _start(self) -> None:
        inner = self._inner
        self._current = _Output(
            inner.take_output(), inner.position, inner.behind(self._size), inner.damaged, ()
        )
        self._thread = _Thread(inner, self._size)

    def _next(self) -> bool:
        """Go on to the next output; false at the end."""
        assert self._thread is not None
        if not self._batch:
            self._batch = self._thread.take()
            self._batch.reverse()
        if self._batch:
            self._current = self._batch.pop()
            self.notes += self._current.notes
            self.damaged = self._current.damaged
        return bool(self._current.content)


class _Thread:
    """The thread, and the batches that it has made. It knows nothing of its reader, so that a
    reader that is dropped is not kept."""

    def __init__(self, inner: DecompressedStream, size: int) -> None:
        from queue import SimpleQueue  # most captures are not compressed

        self._allowed: SimpleQueue[bool] = SimpleQueue()
        self._made: SimpleQueue[list[_Output] | BaseException] = SimpleQueue()
        self._inner = inner
        self._has_ended = False
        for _ in range(BATCHES):
            self._allowed.put(True)
        self._thread = threading.Thread(
            target=self._run, args=(size,), name="netwatch-decompress", daemon=True
        )
        self._thread.start()

    def take(self) -> list[_Output]:
        """The next batch, none after the end; raises what was raised in the thread."""
        if self._has_ended:
            return []
        batch = self._made.get()
        if isinstance(batch, BaseException):
            self._has_ended = True
            raise batch
        self._has_ended = not batch[-1].content
        self._allowed.put(True)
        return batch

    def end(self) -> None:
        """End the thread, wherever it is, and wait for it."""
        self._has_ended = True
        self._inner.stop()
        self._allowed.put(False)
        self._thread.join()

    def _run(self, size: int) -> None:
        notes: list[str] = []
        try:
            self._inner.note_in(notes)
            while self._allowed.get() and not self._inner.is_stopped:
                batch = self._make(size, notes)
                is_last = not batch[-1].content
                self._made.put(batch)  # from here on it belongs to the reader
                if is_last:
                    return
        except BaseException as error:
            self._made.put(error)

    def _make(self, size: int, notes: list[str]) -> list[_Output]:
        inner, batch, total = self._inner, [], 0
        while total < BATCH:
            content = inner.advance()
            batch.append(
                _Output(content, inner.position, inner.behind(size), inner.damaged, tuple(notes))
            )
            notes.clear()
            total += len(content) + _OVERHEAD
            if not content:
                break
        return batch
