"""Compressed captures as a stream of bytes: gzip, bzip2, xz, zstd, lz4.

What a decompressor is given and what it may return at once are both small, so a file
that unpacks to terabytes costs time and not memory. Several members one after another
are one stream, as the tools that write them have it; zeros and skippable frames between
them are passed over. Data that are damaged or cut yield what could be read before.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from netwatch.capture.stream import Stream

INPUT = 1 << 20
"""Compressed bytes read at once."""

OUTPUT = 1 << 18
"""Bytes that a decompressor may return at once."""

MEMORY = 1 << 28
"""Bytes that an xz decompressor may take for its dictionary (``xz -9`` takes 64 MiB)."""

_DAMAGE = (OSError, RuntimeError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
_SKIPPABLE = bytes.fromhex("2a4d18")


class Decoder(Protocol):
    """One member on its way, as `bz2.BZ2Decompressor` has it."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether more can come only from more input."""
        ...

    @property
    def unused_data(self) -> bytes | None:
        """What stood behind the member in the input."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Up to `max_length` bytes more."""
        ...


class _Gzip:
    """zlib's decompressor in the manner of bz2's."""

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
        made = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(made) < max_length
        return made


class _Zstd:
    """zstandard's decompressor in the manner of bz2's. It knows no largest output; a block
    of 4 bytes unpacks to at most 128 KiB (RFC 8878 section 3.1.1.2), so little input is
    what bounds it."""

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


def _xz() -> Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)


COMPRESSIONS: dict[str, tuple[bytes, Callable[[], Decoder], int]] = {
    "gzip": (bytes.fromhex("1f8b08"), _Gzip, 4096),
    "bzip2": (b"BZh", bz2.BZ2Decompressor, 4096),
    "xz": (bytes.fromhex("fd377a585a00"), _xz, 4096),
    "zstd": (bytes.fromhex("28b52ffd"), _Zstd, 256),
    "lz4": (bytes.fromhex("04224d18"), lz4.frame.LZ4FrameDecompressor, 4096),
}
"""By name: how a member starts, what unpacks it, and the bytes it is given at most."""


def recognise(head: bytes) -> str | None:
    """The compression that the first bytes of a file show, None if they show none."""
    if _is_skippable(head):  # pzstd starts with one; lz4 has the same but no tool writes it
        return "zstd"
    for name, (magic, _, _) in COMPRESSIONS.items():
        if head.startswith(magic):
            return name
    return None


class DecompressedStream(Stream):
    """What is inside a compressed stream; its `position` is that of the file below."""

    def __init__(self, below: Stream, compression: str) -> None:
        super().__init__(below.notes)
        self._below = below
        self._name = compression
        self._magic, self._make, self._piece = COMPRESSIONS[compression]
        self._decoder: Decoder | None = None
        self._input = b""
        self._at = 0
        self._fed = 0
        self._made = memoryview(b"")
        self._members = 0
        self._over = False

    @property
    def position(self) -> int:
        """Bytes read of the compressed file."""
        return self._below.position

    def close(self) -> None:
        """Give back the file."""
        self._below.close()

    def _read(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            while not self._made and not self._over:
                if filled and self._at == len(self._input):
                    return filled  # the file below may be a pipe that makes wait
                try:
                    self._advance()
                except _DAMAGE as error:
                    self._stop(f"are damaged ({error})")
            size = min(len(self._made), len(buffer) - filled)
            if not size:
                break
            buffer[filled : filled + size] = self._made[:size]
            self._made = self._made[size:]
            filled += size
        return filled

    def _stop(self, what: str) -> None:
        self._over = True
        self.notes.append(f"{self._name} data {what} at about byte {self._fed} of the file")

    def _advance(self) -> None:
        """One step: begin a member, or give the present one a piece of input."""
        decoder = self._decoder
        if decoder is None:
            self._begin()
            return
        piece = b""
        if decoder.needs_input:
            piece = self._next()
            if not piece:
                self._stop("are cut short")
                return
        self._made = memoryview(decoder.decompress(piece, OUTPUT))
        if decoder.eof:
            unused = decoder.unused_data or b""  # lz4 has None for none
            self._input = unused + self._input[self._at :]
            self._fed -= len(unused)
            self._at = 0
            self._decoder = None
            self._members += 1

    def _begin(self) -> None:
        """Find the start of the next member, or the end."""
        while self._more(8):
            head = self._input[self._at : self._at + 8]
            padding = len(head) - len(head.lstrip(b"\0"))
            if padding:
                self._take(padding)
            elif _is_skippable(head) and self._name in ("zstd", "lz4"):
                size = 8 + int.from_bytes(head[4:], "little")
                while size and self._more(1):
                    size -= len(self._take(size))
            else:
                break
        rest = self._input[self._at : self._at + 8]
        if rest.startswith(self._magic):
            self._decoder = self._make()
        elif not rest.strip(b"\0"):
            self._over = True
        elif self._members:
            self._stop("are followed by something else")
        else:
            self._stop("are cut short")

    def _more(self, size: int) -> bool:
        """Have `size` bytes of input at hand; false if there are not so many."""
        while len(self._input) - self._at < size:
            buffer = bytearray(INPUT)
            got = self._below.readinto(memoryview(buffer))
            if not got:
                return False
            self._input = self._input[self._at :] + buffer[:got]
            self._at = 0
        return True

    def _take(self, size: int) -> bytes:
        """The next bytes of input, up to `size` of those at hand."""
        piece = self._input[self._at : self._at + size]
        self._at += len(piece)
        self._fed += len(piece)
        return piece

    def _next(self) -> bytes:
        """The next piece for the decompressor, empty at the end.

        One that meets damage keeps what it had unpacked in that call. So the pieces are
        small near both ends of what was read, where checksums stand and where a small
        file is all there is, and never more than a part of what went before.
        """
        if not self._more(1):
            return b""
        left = len(self._input) - self._at
        return self._take(max(1, min(self._piece, self._fed // 64, left - 64)))


def _is_skippable(head: bytes) -> bool:
    """Whether a skippable frame stands here (RFC 8878 section 3.1.2)."""
    return head[1:4] == _SKIPPABLE and head[0] & 0xF0 == 0x50
