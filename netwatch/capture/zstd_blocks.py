"""Where the blocks of a zstd frame begin (RFC 8878 section 3.1.1).

A block of four bytes may expand to 128 KiB, so the input of a decompressor without a limit for its
output is limited to a few blocks. Their headers are read for that, and nothing else is.
"""

BLOCKS_AT_ONCE = 4
"""Blocks that are taken at once; what they contain is at most 128 KiB each."""

_DESCRIPTOR = 5  # the magic number of a frame and its descriptor
_BLOCK_HEADER = 3
_RLE = 1
_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_CONTENT_SIZE_SIZES = (0, 2, 4, 8)


class ZstdBlocks:
    """Walks through the blocks of one frame. Damaged headers lead anywhere, but never make it take
    more blocks, and the decompressor finds them."""

    def __init__(self) -> None:
        self._header = b""
        self._wanted = _DESCRIPTOR
        self._rest = 0  # bytes until the next header
        self._trailer = 0
        self._is_last = False

    def take(self, data: bytes, at: int, size: int) -> int:
        """How many of the `size` bytes from ``data[at]`` on are the rest of the block that has
        begun and those of `BLOCKS_AT_ONCE` more at most; at least 1. They count as taken. Nothing
        behind the frame is among them."""
        taken = blocks = 0
        while taken < size:
            if self._rest:
                step = min(self._rest, size - taken)
                self._rest -= step
                taken += step
                continue
            if blocks == BLOCKS_AT_ONCE or self._is_last:
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
