"""Classic pcap files (draft-ietf-opsawg-pcap).

Both byte orders are read, times in µs and ns, and the variant with larger record headers that
A. Kuznetzov's patch of libpcap wrote. A record has no magic number by which it could be found
again, so reading stops at a length that is not plausible.
"""

import struct
from array import array
from collections.abc import Iterator

from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.framing import ARRAY_FULL, BAD_LENGTH, walk_pcap
from netwatch.capture.stream import MAX_BUFFER_SIZE, Stream, StreamBuffer
from netwatch.core.errors import CaptureError

RECORDS = 8192
"""Maximum number of packets per block: the array of their records then fits into the cache."""

SNAPLEN = 262144
"""The largest plausible captured length of a packet in bytes, unless the file header has a larger
snap length (MAXIMUM_SNAPLEN of libpcap)."""

MAGICS: dict[bytes, tuple[str, int, int]] = {
    bytes.fromhex("a1b2c3d4"): (">", 6, 16),
    bytes.fromhex("d4c3b2a1"): ("<", 6, 16),
    bytes.fromhex("a1b23c4d"): (">", 9, 16),
    bytes.fromhex("4d3cb2a1"): ("<", 9, 16),
    bytes.fromhex("a1b2cd34"): (">", 6, 24),
    bytes.fromhex("34cdb2a1"): ("<", 6, 24),
}
"""By the first four bytes: byte order, digits after the second, bytes of a record header."""


class PcapSource:
    """A pcap file as a `netwatch.capture.block.Source`."""

    def __init__(self, name: str, stream: Stream, size: int | None) -> None:
        self.name = name
        self.size = size
        self.notes = stream.notes
        self.unread: int | None = None
        self.dropped = 0
        self._stream = stream

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def blocks(self) -> Iterator[Block]:
        """The packets, at most RECORDS per block. Raises `CaptureError` for an invalid header."""
        try:
            yield from self._blocks()
        finally:
            self.close()

    def _blocks(self) -> Iterator[Block]:
        buffer = StreamBuffer(self._stream)
        order, digits, header, limit, link_type = self._read_header(buffer)
        interfaces = (Interface(link_type, digits),)
        records = array("q", bytes(8 * FIELDS * RECORDS))
        first = 1
        while True:
            count, at, status, value = walk_pcap(
                buffer.buffer,
                buffer.start,
                buffer.end,
                records,  # type: ignore[arg-type]
                order == ">",
                digits == 9,
                header,
                limit,
            )
            buffer.start = at
            if count:
                yield Block(buffer.buffer, records, count, interfaces, first, self._stream.position)
                first += count
            where = f"packet {first} at byte {buffer.stream_offset(at)}"
            if status == BAD_LENGTH:
                self.notes.append(
                    f"{where}: the length {value} is not plausible, the rest is not read"
                )
                self.unread = buffer.left(self.size)
                return
            if status != ARRAY_FULL and not buffer.read_more(value):
                if buffer.available:
                    self.notes.append(
                        f"{where} is truncated: {buffer.available} of {value} bytes are in the file"
                    )
                if buffer.available or self._stream.damaged:
                    self.unread = buffer.left(self.size)
                return

    def _read_header(self, buffer: StreamBuffer) -> tuple[str, int, int, int, int]:
        """Read the file header. Returns byte order, digits after the second, size of a record
        header, largest plausible length of a packet, and link type."""
        if not buffer.ensure(24):
            raise CaptureError(f"{self.name}: is truncated within its pcap header")
        magic = bytes(buffer.buffer[:4])
        if magic not in MAGICS:
            raise CaptureError(f"{self.name}: expected a pcap file (starts with {magic.hex(' ')})")
        order, digits, header = MAGICS[magic]
        major, minor, _, _, snaplen, network = struct.unpack_from(
            order + "HHIIII", buffer.buffer, 4
        )
        if major != 2 or minor not in (3, 4):
            raise CaptureError(f"{self.name}: expected pcap version 2.4, found {major}.{minor}")
        buffer.start = 24
        # The upper half of the last field describes frame check sequences.
        limit = min(max(snaplen, SNAPLEN), MAX_BUFFER_SIZE - header)
        return order, digits, header, limit, network & 0xFFFF
