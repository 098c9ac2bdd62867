"""Classic pcap files (draft-ietf-opsawg-pcap).

Both byte orders, times in µs and ns, and the variant with larger record headers that
A. Kuznetzov's libpcap patch wrote. Nothing in a record says that it is one, so a length
that no capture has ends the file: what follows would be noise.
"""

import struct
from array import array
from collections.abc import Iterator

from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.framing import ARRAY_FULL, BAD_LENGTH, walk_pcap
from netwatch.capture.stream import LARGEST, Stream, Window
from netwatch.core.errors import CaptureError

RECORDS = 8192
"""Packets in a block at most: their array is then small enough for the same cache."""

SNAPLEN = 262144
"""Bytes of a packet that are plausible where the file does not say more (libpcap's
MAXIMUM_SNAPLEN)."""

MAGICS: dict[bytes, tuple[str, int, int]] = {
    bytes.fromhex("a1b2c3d4"): (">", 6, 16),
    bytes.fromhex("d4c3b2a1"): ("<", 6, 16),
    bytes.fromhex("a1b23c4d"): (">", 9, 16),
    bytes.fromhex("4d3cb2a1"): ("<", 9, 16),
    bytes.fromhex("a1b2cd34"): (">", 6, 24),
    bytes.fromhex("34cdb2a1"): ("<", 6, 24),
}
"""First four bytes: byte order, digits of the second's fraction, size of a record header."""


class PcapSource:
    """A pcap file as a `netwatch.capture.block.Source`."""

    def __init__(self, name: str, stream: Stream, size: int | None) -> None:
        self.name = name
        self.size = size
        self.notes = stream.notes
        self.dropped = 0
        self._stream = stream

    def close(self) -> None:
        """Give back the file."""
        self._stream.close()

    def blocks(self) -> Iterator[Block]:
        """The packets, up to RECORDS a block; raises `CaptureError` for a bad header."""
        try:
            yield from self._blocks()
        finally:
            self.close()

    def _blocks(self) -> Iterator[Block]:
        window = Window(self._stream)
        order, digits, header, limit, link_type = self._header(window)
        interfaces = (Interface(link_type, digits),)
        records = array("q", bytes(8 * FIELDS * RECORDS))
        first = 1
        while True:
            count, at, status, value = walk_pcap(
                window.buffer,
                window.start,
                window.end,
                records,  # type: ignore[arg-type]
                order == ">",
                digits == 9,
                header,
                limit,
            )
            window.start = at
            if count:
                yield Block(window.buffer, records, count, interfaces, first, self._stream.position)
                first += count
            where = f"packet {first} at byte {window.offset(at)}"
            if status == BAD_LENGTH:
                self.notes.append(
                    f"{where}: a length of {value} bytes is not plausible, the rest is not read"
                )
                return
            if status != ARRAY_FULL and not window.fill(value):
                if window.left:
                    self.notes.append(
                        f"{where} is cut short: {window.left} of {value} bytes are there"
                    )
                return

    def _header(self, window: Window) -> tuple[str, int, int, int, int]:
        """Byte order, digits, size of a record header, largest length, link type."""
        if not window.want(24):
            raise CaptureError(f"{self.name}: is cut short in its pcap header")
        magic = bytes(window.buffer[:4])
        if magic not in MAGICS:
            raise CaptureError(f"{self.name}: is not a pcap file (starts with {magic.hex(' ')})")
        order, digits, header = MAGICS[magic]
        major, minor, _, _, snaplen, network = struct.unpack_from(
            order + "HHIIII", window.buffer, 4
        )
        if major != 2 or minor not in (3, 4):
            raise CaptureError(f"{self.name}: is pcap version {major}.{minor}, 2.4 is read")
        window.start = 24
        # The upper half of the last field tells of frame check sequences.
        limit = min(max(snaplen, SNAPLEN), LARGEST - header)
        return order, digits, header, limit, network & 0xFFFF
