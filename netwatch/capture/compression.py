"""How captures are compressed (gzip, bzip2, xz, zstd, lz4), recognised and decompressed.

A library for a compression is imported when the first file has it. The block headers of a zstd
frame are read (RFC 8878 section 3.1.1): a block of four bytes may expand to 128 KiB, so the input
of a decompressor without a limit for its output is limited to a few blocks.
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

FEWEST_BLOCKS, MOST_BLOCKS = 4, 32
"""Blocks taken at once; they contain at most 128 KiB each. More than the fewest are taken while
they give little: with small outputs the threads wait for the GIL most of the time."""

_DESCRIPTOR = 5  # the magic number of a frame and its descriptor
_BLOCK_HEADER = 3
_RLE = 1
_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_CONTENT_SIZE_SIZES = (0, 2, 4, 8)

XZ_MEMORY_LIMIT = 1 << 28
"""Memory that an xz decompressor may use for its dictionary, in bytes (``xz -9`` uses 64 MiB)."""

_SKIPPABLE = bytes.fromhex("2a4d18")


class ZstdBlocks:
    """Walks through the blocks of one frame. Damaged headers lead anywhere, but never make it take
    more blocks, and the decompressor finds them."""

    def __init__(self) -> None:
        self.at_once = FEWEST_BLOCKS
        self._header = b""
        self._wanted = _DESCRIPTOR
        self._rest = 0  # bytes until the next header
        self._trailer = 0
        self._is_last = False

    def take(self, data: bytes, at: int, size: int) -> int:
        """How many of the `size` bytes from ``data[at]`` on are the rest of the current block and
        at most `at_once` more; at least 1. They count as taken. None of them are after the
        frame."""
        taken = blocks = 0
        while taken < size:
            if self._rest:
                step = min(self._rest, size - taken)
                self._rest -= step
                taken += step
                continue
            if blocks >= self.at_once or self._is_last:
                break
            step = min(self._wanted - len(self._header), size - taken)
            self._header += data[at + taken : at + taken + step]
            taken += step
            if len(self._header) == self._wanted:
                blocks += self._wanted == _BLOCK_HEADER
                self._read_header()
        return taken or 1

    def _read_header(self) -> None:
        header, self._header = self._header, b""
        if self._wanted == _DESCRIPTOR:
            descriptor = header[4]
            is_single_segment = bool(descriptor & 0x20)
            content_size = _CONTENT_SIZE_SIZES[descriptor >> 6] or int(is_single_segment)
            dictionary_id = _DICTIONARY_ID_SIZES[descriptor & 3]
            self._rest = (not is_single_segment) + dictionary_id + content_size
            self._trailer = 4 if descriptor & 4 else 0
            self._wanted = _BLOCK_HEADER
            return
        number = int.from_bytes(header, "little")
        self._rest = 1 if number >> 1 & 3 == _RLE else number >> 3
        if number & 1:
            self._rest += self._trailer
            self._is_last = True


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
        """The next bytes, at most `max_length`. A decompressor without such a limit has a method
        `input_limit` instead, with the parameters of `ZstdBlocks.take`."""
        ...


class _Gzip:
    """The zlib decompressor with the interface of bz2's."""

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
    """The zstandard decompressor with the interface of bz2's.

    It has no limit for its output, so its input is limited to a few blocks, each of which expands
    to at most 128 KiB (RFC 8878 section 3.1.1.2).
    """

    needs_input = True

    def __init__(self, member: Any) -> None:
        self._zstd = member
        self._blocks = ZstdBlocks()
        self.input_limit = self._blocks.take

    @property
    def eof(self) -> bool:
        return bool(self._zstd.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._zstd.unused_data)

    def decompress(self, data: Piece, max_length: int) -> bytes:
        output = bytes(self._zstd.decompress(data))
        if len(output) < max_length:
            self._blocks.at_once = min(MOST_BLOCKS, 2 * self._blocks.at_once)
        elif len(output) > 2 * max_length:
            self._blocks.at_once = FEWEST_BLOCKS
        return output


class Library(NamedTuple):
    """The decompression of a format: `new_member` returns a decompressor for the next member,
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

    context = zstandard.ZstdDecompressor()  # reused for all members, which are read one at a time
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
    """The compression of a file with these first bytes, None if there is none."""
    if is_skippable(head):  # pzstd writes one first; lz4 has them too, but no tool does
        return "zstd"
    for name, compression in COMPRESSIONS.items():
        if head.startswith(compression.magic):
            return name
    return None


def is_skippable(head: bytes) -> bool:
    """Whether this is the start of a skippable frame (RFC 8878 section 3.1.2)."""
    return head[1:4] == _SKIPPABLE and head[0] & 0xF0 == 0x50
