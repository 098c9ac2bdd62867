"""Compressed captures as a stream of bytes: gzip, bzip2, xz, zstd, lz4.

Both the input of one call of a decompressor and its output are limited, so that a small file that
expands to terabytes takes time but no memory. Several members one after another are one stream, as
the compression tools define it; zeros and skippable frames between them are skipped. Damaged or
truncated data yield everything up to the damage.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from netwatch.capture.stream import Stream

INPUT_SIZE = 1 << 20
"""Compressed bytes that are read at once."""

OUTPUT_SIZE = 1 << 18
"""Bytes that a decompressor may return per call."""

XZ_MEMORY_LIMIT = 1 << 28
"""Memory that an xz decompressor may use for its dictionary, in bytes (``xz -9`` uses 64 MiB)."""

_DECOMPRESSION_ERRORS = (OSError, RuntimeError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
_SKIPPABLE = bytes.fromhex("2a4d18")


class Decompressor(Protocol):
    """The decompressor of one member, with the interface of `bz2.BZ2Decompressor`."""

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
        """The input that follows the member."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The next bytes, at most `max_length`."""
        ...


class _Gzip:
    """The decompressor of zlib with the interface of that of bz2."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        output = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(output) < max_length
        return output


class _Zstd:
    """The decompressor of zstandard with the interface of that of bz2.

    It has no limit for its output, so its input is limited: a block of 4 bytes expands to at most
    128 KiB (RFC 8878 section 3.1.1.2).
    """

    needs_input = True

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return self._zstd.eof

    @property
    def unused_data(self) -> bytes:
        return self._zstd.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zstd.decompress(data)


def _xz() -> Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_LIMIT)


COMPRESSIONS: dict[str, tuple[bytes, Callable[[], Decompressor], int]] = {
    "gzip": (bytes.fromhex("1f8b08"), _Gzip, 4096),
    "bzip2": (b"BZh", bz2.BZ2Decompressor, 4096),
    "xz": (bytes.fromhex("fd377a585a00"), _xz, 4096),
    "zstd": (bytes.fromhex("28b52ffd"), _Zstd, 256),
    "lz4": (bytes.fromhex("04224d18"), lz4.frame.LZ4FrameDecompressor, 4096),
}
"""By name: the first bytes of a member, its decompressor, and the largest input of one call."""


def recognise_compression(head: bytes) -> str | None:
    """The compression of a file with these first bytes, None if they are of none."""
    if _is_skippable(head):  # pzstd writes one first; lz4 has them too, but no tool does
        return "zstd"
    for name, (magic, _, _) in COMPRESSIONS.items():
        if head.startswith(magic):
            return name
    return None


class DecompressedStream(Stream):
    """The decompressed content of a stream; its `position` is that in the compressed file."""

    def __init__(self, compressed: Stream, compression: str) -> None:
        super().__init__(compressed.notes)
        self._compressed = compressed
        self._name = compression
        self._magic, self._new_decompressor, self._max_input = COMPRESSIONS[compression]
        self._decompressor: Decompressor | None = None
        self._input = b""
        self._at = 0
        self._consumed = 0
        self._output = memoryview(b"")
        self._members = 0
        self._ended = False

    @property
    def position(self) -> int:
        """Bytes read from the compressed file."""
        return self._compressed.position

    def close(self) -> None:
        """Close the file."""
        self._compressed.close()

    def _read(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            while not self._output and not self._ended:
                if filled and self._at == len(self._input):
                    return filled  # the file may be a pipe, and reading more would wait
                try:
                    self._step()
                except _DECOMPRESSION_ERRORS as error:
                    self._stop(f"are damaged ({error})")
            size = min(len(self._output), len(buffer) - filled)
            if not size:
                break
            buffer[filled : filled + size] = self._output[:size]
            self._output = self._output[size:]
            filled += size
        return filled

    def _stop(self, what: str) -> None:
        self._ended = True
        self.notes.append(f"{self._name} data {what} at about byte {self._consumed} of the file")

    def _step(self) -> None:
        """Begin a member, or pass more input to the decompressor of the present one."""
        decompressor = self._decompressor
        if decompressor is None:
            self._begin_member()
            return
        piece = b""
        if decompressor.needs_input:
            piece = self._next_input()
            if not piece:
                self._stop("are truncated")
                return
        self._output = memoryview(decompressor.decompress(piece, OUTPUT_SIZE))
        if decompressor.eof:
            unused = decompressor.unused_data or b""  # lz4 has None for none
            self._input = unused + self._input[self._at :]
            self._consumed -= len(unused)
            self._at = 0
            self._decompressor = None
            self._members += 1

    def _begin_member(self) -> None:
        """Find the start of the next member, or the end of the file."""
        while self._ensure(8):
            head = self._input[self._at : self._at + 8]
            padding = len(head) - len(head.lstrip(b"\0"))
            if padding:
                self._consume(padding)
            elif _is_skippable(head) and self._name in ("zstd", "lz4"):
                size = 8 + int.from_bytes(head[4:], "little")
                while size and self._ensure(1):
                    size -= len(self._consume(size))
            else:
                break
        rest = self._input[self._at : self._at + 8]
        if rest.startswith(self._magic):
            self._decompressor = self._new_decompressor()
        elif not rest.strip(b"\0"):
            self._ended = True
        elif self._members:
            self._stop("are followed by something else")
        else:
            self._stop("are truncated")

    def _ensure(self, size: int) -> bool:
        """Have at least `size` bytes of input in memory; false if the file ends before."""
        while len(self._input) - self._at < size:
            buffer = bytearray(INPUT_SIZE)
            got = self._compressed.readinto(memoryview(buffer))
            if not got:
                return False
            self._input = self._input[self._at :] + buffer[:got]
            self._at = 0
        return True

    def _consume(self, size: int) -> bytes:
        """The next bytes of the input in memory, at most `size`."""
        piece = self._input[self._at : self._at + size]
        self._at += len(piece)
        self._consumed += len(piece)
        return piece

    def _next_input(self) -> bytes:
        """The next piece of input for the decompressor, empty at the end of the file.

        A decompressor that finds damage does not return what it decompressed in the same call.
        The pieces are therefore small near the end of the buffered input, where the checksum is,
        at the start of the file, and never larger than a 64th of what was consumed before.
        """
        if not self._ensure(1):
            return b""
        left = len(self._input) - self._at
        return self._consume(max(1, min(self._max_input, self._consumed // 64, left - 64)))


def _is_skippable(head: bytes) -> bool:
    """Whether this is the start of a skippable frame (RFC 8878 section 3.1.2)."""
    return head[1:4] == _SKIPPABLE and head[0] & 0xF0 == 0x50
