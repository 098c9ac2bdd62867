"""Compressed captures as a stream of bytes: gzip, bzip2, xz, zstd, lz4.

Both the input of one call of a decompressor and its output are limited, so that a small file that
expands to terabytes takes time but no memory. Several members one after another are one stream, as
the compression tools define it; zeros and skippable frames between them are skipped. What gives no
output, padding and empty members, costs next to nothing. Damaged or truncated data yield
everything up to the damage.

A library for a compression is imported when the first file has it.
"""

import re
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from netwatch.capture.stream import Stream
from netwatch.capture.zstd_blocks import ZstdBlocks

INPUT_SIZE = 1 << 20
"""Compressed bytes that are read at once."""

OUTPUT_SIZE = 1 << 18
"""Bytes that a decompressor may return per call."""

XZ_MEMORY_LIMIT = 1 << 28
"""Memory that an xz decompressor may use for its dictionary, in bytes (``xz -9`` uses 64 MiB)."""

FIRST_PIECE = 1 << 12
"""Compressed bytes of a member that are passed to its decompressor first, if they are there."""

MAX_KNOWN = 16
"""Empty members and frames that are recognised where they are repeated."""

MAX_KNOWN_SIZE = 256
"""Bytes of such a member or frame. Those of all compression tools are far smaller."""

_SKIPPABLE = bytes.fromhex("2a4d18")
_ZEROS = re.compile(rb"\0*")


Piece = bytes | memoryview
"""Compressed bytes that a decompressor is passed."""


class Decompressor(Protocol):
    """The decompressor of one member, with the interface of `bz2.BZ2Decompressor`. It raises
    OSError, RuntimeError, EOFError or ValueError, or an error of its library, for damaged data."""

    @property
    def eof(self) -> bool:
        """Whether the end of the member was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether more output requires more input."""
        ...

    @property
    def unused_data(self) -> bytes | None:
        """The end of the last input, which follows the member."""
        ...

    def decompress(self, data: Piece, max_length: int) -> bytes:
        """The next bytes, at most `max_length`. One that has no such limit has a method
        `input_limit` instead, with the parameters of `ZstdBlocks.take`."""
        ...


class _Gzip:
    """The decompressor of zlib with the interface of that of bz2."""

    def __init__(self, member: Any) -> None:
        self._zlib = member
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self._zlib.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._zlib.unused_data)

    def decompress(self, data: Piece, max_length: int) -> bytes:
        output = bytes(self._zlib.decompress(self._zlib.unconsumed_tail or data, max_length))
        self.needs_input = not self._zlib.unconsumed_tail and len(output) < max_length
        return output


class _Zstd:
    """The decompressor of zstandard with the interface of that of bz2.

    It has no limit for its output, so its input is limited to a few blocks, each of which expands
    to at most 128 KiB (RFC 8878 section 3.1.1.2).
    """

    needs_input = True

    def __init__(self, member: Any) -> None:
        self._zstd = member
        self.input_limit = ZstdBlocks().take

    @property
    def eof(self) -> bool:
        return bool(self._zstd.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._zstd.unused_data)

    def decompress(self, data: Piece, max_length: int) -> bytes:
        return bytes(self._zstd.decompress(data))


class Library(NamedTuple):
    """What decompresses a format: `new_member` returns a decompressor for the next member,
    `errors` are raised for damaged data."""

    new_member: Callable[[], Decompressor]
    errors: tuple[type[Exception], ...]


def _gzip() -> Library:
    try:
        from isal import igzip_lib
    except ImportError:
        return Library(lambda: _Gzip(zlib.decompressobj(wbits=31)), (zlib.error,))
    error: Any = igzip_lib.IsalError  # a class, which its stubs do not say
    # Unlike its replacement of zlib, this keeps the input that is left instead of copying it.
    return Library(lambda: igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP), (error,))


def _bzip2() -> Library:
    import bz2

    return Library(bz2.BZ2Decompressor, (OSError, ValueError))


def _xz() -> Library:
    import lzma

    def new_member() -> Decompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_LIMIT)

    return Library(new_member, (lzma.LZMAError,))


def _zstd() -> Library:
    import zstandard

    context = zstandard.ZstdDecompressor()  # reused for all members, of which one is read at a time
    return Library(lambda: _Zstd(context.decompressobj()), (zstandard.ZstdError,))


def _lz4() -> Library:
    import lz4.frame  # type: ignore[import-untyped]

    return Library(lz4.frame.LZ4FrameDecompressor, (RuntimeError,))


class Compression(NamedTuple):
    """A format: the first bytes of each member (`magic`), the function that imports its library,
    and the largest input of one call of its decompressor, in bytes."""

    magic: bytes
    load: Callable[[], Library]
    max_input: int


COMPRESSIONS: dict[str, Compression] = {
    "gzip": Compression(bytes.fromhex("1f8b08"), _gzip, 1 << 16),
    "bzip2": Compression(b"BZh", _bzip2, 4096),
    "xz": Compression(bytes.fromhex("fd377a585a00"), _xz, 1 << 14),
    "zstd": Compression(bytes.fromhex("28b52ffd"), _zstd, 1 << 18),
    "lz4": Compression(bytes.fromhex("04224d18"), _lz4, 1 << 16),
}
"""The formats, by name."""


def recognise_compression(head: bytes) -> str | None:
    """The compression of a file with these first bytes, None if they are of none."""
    if _is_skippable(head):  # pzstd writes one first; lz4 has them too, but no tool does
        return "zstd"
    for name, compression in COMPRESSIONS.items():
        if head.startswith(compression.magic):
            return name
    return None


class DecompressedStream(Stream):
    """The decompressed content of a stream; its `position` is that in the compressed file."""

    def __init__(self, compressed: Stream, compression: str) -> None:
        super().__init__(compressed.notes)
        self._compressed = compressed
        self._name = compression
        self._magic, load, self._max_input = COMPRESSIONS[compression]
        self._new_member, self._errors = load()
        self._decompressor: Decompressor | None = None
        self._piece = 0
        self._read_buffer = memoryview(bytearray(INPUT_SIZE))
        self._input = b""
        self._at = 0
        self._discarded = 0  # bytes before those in self._input
        self._empty = -1  # where in self._input a member began that gave no output so far
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
        """The decompressed bytes that were not read, and the compressed ones behind them."""
        return len(self._peeked) + len(self._output) + self.behind(size)

    def behind(self, size: int | None) -> int:
        """The compressed bytes that were not passed to a decompressor, of a file of `size`."""
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
        """What was decompressed and not read; it counts as read."""
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
        """Skip zeros, and what is equal to an empty member or frame before it. A file of nothing
        else would otherwise take a new decompressor for every few bytes."""
        data = self._input
        zeros = _ZEROS.match(data, self._at)
        at = zeros.end() if zeros is not None else self._at
        while data.startswith(self._known, at):
            for member in self._known:
                while data.startswith(member, at):
                    at += len(member)
        self._at = at

    def _remember(self, start: int) -> None:
        """Remember what began at `start` and gave no output, to recognise it where it is
        repeated."""
        if self._at - start <= MAX_KNOWN_SIZE:
            self._known = (*self._known[1 - MAX_KNOWN :], self._input[start : self._at])

    def _skip_frame(self) -> None:
        """Skip the skippable frame that follows, if one does (RFC 8878 section 3.1.2)."""
        if not self._ensure(8) or not _is_skippable(self._input[self._at : self._at + 4]):
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
        The pieces are therefore small near the end of the buffered input, where the checksum is,
        at the start of the file, and never larger than a 64th of what was consumed before. In a
        member they begin small, because what follows a short one is passed again.
        """
        if not self._ensure(1):
            return b""
        left = len(self._input) - self._at
        size = max(1, min(self._piece, self._consumed // 64, left - 64))
        self._piece = min(2 * self._piece, self._max_input)
        limit = getattr(self._decompressor, "input_limit", None)
        if limit is not None:
            size = limit(self._input, self._at, size)
        piece = memoryview(self._input)[self._at : self._at + size]
        self._at += size
        return piece


def _is_skippable(head: bytes) -> bool:
    """Whether this is the start of a skippable frame (RFC 8878 section 3.1.2)."""
    return head[1:4] == _SKIPPABLE and head[0] & 0xF0 == 0x50
