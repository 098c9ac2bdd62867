"""Classic pcap files (draft-ietf-opsawg-pcap), and their variants (`pcap_variants`).

A record has no magic number by which it could be found again, so reading stops at a length that is
not plausible.
"""

from collections.abc import Iterator

from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.framing import ARRAY_FULL, BAD_LENGTH, walk_pcap
from netwatch.capture.pcap_variants import SNAPLEN, read_header
from netwatch.capture.stream import MAX_BUFFER_SIZE, Stream, StreamBuffer
from netwatch.core.buffers import zeroed

RECORDS = 8192
"""Maximum number of packets per block: the array of their records then fits into the cache."""


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
        variant = read_header(buffer, self.name, whole=self.size is not None)
        interfaces = (Interface(variant.link_type, variant.digits),)
        limit = min(max(variant.snaplen, SNAPLEN), MAX_BUFFER_SIZE - variant.header)
        records = zeroed("q", FIELDS * RECORDS)
        first = 1
        while True:
            count, at, status, value = walk_pcap(
                buffer.buffer,
                buffer.start,
                buffer.end,
                records,  # type: ignore[arg-type]
                variant.order == ">",
                variant.digits == 9,
                variant.header,
                limit,
                variant.lengths,
                variant.padding,
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
