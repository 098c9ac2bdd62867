"""Compressed captures as a stream of bytes, decompressed a little ahead of the reader.

Both the input of one call of a decompressor and its output are limited, so that a small file that
expands to terabytes takes time but no memory. Several members one after another are one stream, as
the compression tools define it; zeros and skippable frames between them are skipped. Padding and
empty members, which give no output, cost next to nothing. Damaged or truncated data yield
everything up to the damage.

Decompressors release the GIL, so on a second CPU they run in a thread while earlier packets are
judged. The reader sees the same as without the thread: it takes the outputs of the decompressor one
by one, each with the position in the file, the notes and the damage at that moment. A thread is
started after the first few MiB of a regular file: for less it is not worth it, and a thread that
waits for a pipe would have to be waited for. At most `BATCHES` batches are ahead.
"""

import re
import threading
from typing import NamedTuple

from netwatch.capture.compression import COMPRESSIONS, Decompressor, Piece, is_skippable
from netwatch.capture.stream import Stream

INPUT_SIZE = 1 << 20
"""Compressed bytes to read at once."""

OUTPUT_SIZE = 1 << 18
"""Bytes that a decompressor may return per call."""

FIRST_PIECE = 1 << 12
"""Compressed bytes of a member to pass to its decompressor first, if they are there."""

MAX_KNOWN = 16
"""Empty members and frames that are recognised if they are repeated."""

MAX_KNOWN_SIZE = 256
"""Bytes of such a member or frame, at most. All compression tools make far smaller ones."""

_ZEROS = re.compile(rb"\0*")

START = 4 << 20
"""Decompressed bytes to read before the thread is started."""

BATCH = 1 << 19
"""Decompressed bytes after which outputs are handed over. An output has some 512 KiB, but up to
4 MiB where zstd suddenly expands to far more than before."""

BATCHES = 4
"""Batches by which the thread may be ahead of the reader."""

_OVERHEAD = 1024
"""Bytes that count for an output in addition to its content: very small ones are handed over
too."""


class DecompressedStream(Stream):
    """The decompressed content of a stream of `size` bytes, None if that is unknown; `position` is
    its position in the compressed file."""

    def __init__(self, compressed: Stream, compression: str, size: int | None = None) -> None:
        super().__init__(compressed.notes)
        self._compressed = compressed
        self._size = size
        self._name = compression
        self._magic, load, self._max_input = COMPRESSIONS[compression]
        self._new_member, self._errors = load()
        self._decompressor: Decompressor | None = None
        self._piece = 0
        self._read_buffer = memoryview(bytearray(INPUT_SIZE))
        self._input = b""
        self._at = 0
        self._discarded = 0  # bytes before those in self._input
        self._empty = -1  # where in self._input a member without output so far began
        self._output = memoryview(b"")
        self._members = 0
        self._known: tuple[bytes, ...] = ()
        self._ended = False
        self.is_stopped = False

    @property
    def position(self) -> int:
        """Bytes read from the compressed file."""
        return self._compressed.position

    def left(self, size: int | None) -> int:
        """The unread decompressed bytes, and the compressed ones after them."""
        return len(self._peeked) + len(self._output) + self.behind(size)

    def behind(self, size: int | None) -> int:
        """The compressed bytes of a file of `size` that were not passed to a decompressor."""
        return len(self._input) - self._at + self._compressed.left(size)

    def close(self) -> None:
        """Close the file."""
        self._compressed.close()

    def stop(self) -> None:
        """Have `advance`, called in another thread, return soon. The stream has ended then."""
        self.is_stopped = True

    def note_in(self, notes: list[str]) -> None:
        """From now on, note in another list."""
        self.notes = self._compressed.notes = notes

    def take_output(self) -> memoryview:
        """The decompressed but unread bytes; they count as read."""
        output, self._output = self._output, memoryview(b"")
        return output

    def advance(self) -> memoryview:
        """The next output of the decompressor, which counts as read; empty at the end."""
        while not self._output and not self._ended and not self.is_stopped:
            self._try_step()
        return self.take_output()

    def _read(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            while not self._output and not self._ended:
                if filled and self._at == len(self._input):
                    return filled  # the file may be a pipe, and reading more would wait
                self._try_step()
            size = min(len(self._output), len(buffer) - filled)
            if not size:
                break
            buffer[filled : filled + size] = self._output[:size]
            self._output = self._output[size:]
            filled += size
        return filled

    def _stop(self, what: str) -> None:
        self._ended = self.damaged = True
        self.notes.append(f"{self._name} data {what} at about byte {self._consumed} of the file")

    @property
    def _consumed(self) -> int:
        """Bytes of the file that were passed to a decompressor or skipped."""
        return self._discarded + self._at

    def _try_step(self) -> None:
        try:
            self._step()
        except self._errors as error:
            self._stop(f"are damaged ({error})")

    def _step(self) -> None:
        """Begin a member, or pass more input to the decompressor of the present one."""
        decompressor = self._decompressor
        if decompressor is None:
            self._begin_member()
            return
        piece: Piece = b""
        if decompressor.needs_input:
            piece = self._next_input()
            if not piece:
                self._stop("are truncated")
                return
        output = decompressor.decompress(piece, OUTPUT_SIZE)
        if output:
            self._output = memoryview(output)
            self._empty = -1
        if decompressor.eof:
            self._at -= len(decompressor.unused_data or b"")  # lz4 has None for none
            self._decompressor = None
            self._members += 1
            if self._empty >= 0:
                self._remember(self._empty)

    def _begin_member(self) -> None:
        """Find the start of the next member, or the end of the file."""
        while self._ensure(8):
            start = self._consumed
            self._skip_known()
            if self._name in ("zstd", "lz4"):
                self._skip_frame()
            if self._consumed == start:
                break
        rest = self._input[self._at : self._at + 8]
        if rest.startswith(self._magic):
            self._decompressor = self._new_member()
            self._piece = FIRST_PIECE
            self._empty = self._at
        elif not rest.strip(b"\0"):
            self._at += len(rest)
            self._ended = True
        elif self._members:
            self._stop("are followed by something else")
        else:
            self._stop("are truncated")

    def _skip_known(self) -> None:
        """Skip zeros, and copies of an earlier empty member or frame. A file of only these would
        otherwise take a new decompressor for every few bytes."""
        data = self._input
        zeros = _ZEROS.match(data, self._at)
        at = zeros.end() if zeros is not None else self._at
        while data.startswith(self._known, at):
            for member in self._known:
                while data.startswith(member, at):
                    at += len(member)
        self._at = at

    def _remember(self, start: int) -> None:
        """Remember what began at `start` without output, to recognise it if it is repeated."""
        if self._at - start <= MAX_KNOWN_SIZE:
            self._known = (*self._known[1 - MAX_KNOWN :], self._input[start : self._at])

    def _skip_frame(self) -> None:
        """Skip the skippable frame that follows, if one does (RFC 8878 section 3.1.2)."""
        if not self._ensure(8) or not is_skippable(self._input[self._at : self._at + 4]):
            return
        size = 8 + int.from_bytes(self._input[self._at + 4 : self._at + 8], "little")
        if size <= len(self._input) - self._at:
            self._at += size
            self._remember(self._at - size)
            return
        while size and self._ensure(1):
            piece = min(size, len(self._input) - self._at)
            self._at += piece
            size -= piece

    def _ensure(self, size: int) -> bool:
        """Have at least `size` bytes of input in memory; false if the file ends before."""
        while len(self._input) - self._at < size:
            got = self._compressed.readinto(self._read_buffer)
            if not got:
                self.damaged = self.damaged or self._compressed.damaged
                return False
            self._input = self._input[self._at :] + self._read_buffer[:got]
            self._discarded += self._at
            self._at = 0
            self._empty = -1
        return True

    def _next_input(self) -> Piece:
        """The next piece of input for the decompressor, empty at the end of the file.

        A decompressor that finds damage does not return what it decompressed in the same call.
        The pieces are therefore small at the start of the file and near its end, where the checksum
        is (near the end of the buffered input if the size of the file is unknown), and never larger
        than a 64th of what was consumed before. In a member they begin small, because what follows
        a short one is passed again.
        """
        if not self._ensure(1):
            return b""
        left = len(self._input) - self._at
        last = max(0, 64 - self._compressed.left(self._size))
        size = max(1, min(self._piece, self._consumed // 64, left - last))
        self._piece = min(2 * self._piece, self._max_input)
        limit = getattr(self._decompressor, "input_limit", None)
        if limit is not None:
            size = limit(self._input, self._at, size)
        piece = memoryview(self._input)[self._at : self._at + size]
        self._at += size
        return piece


class _Output(NamedTuple):
    """An output of the decompressor, empty at the end; where in the file it was made, how many
    bytes were left after it, whether the data are damaged there, and the notes."""

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
        """The unread decompressed bytes, and the compressed ones after them."""
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
        """Move to the next output; false at the end."""
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
    """The thread, and its batches. It does not refer to its reader, so that a dropped reader can be
    freed."""

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
