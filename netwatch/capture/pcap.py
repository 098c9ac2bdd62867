"""Classic pcap files (draft-ietf-opsawg-pcap), and their variants.

A record has no magic number by which it could be found again, so reading stops at an implausible
length. Before the format was specified, versions had their lengths in another order, and systems
added fields to records, some without another magic number: the file header, and whether the first
records make sense, tell those apart, as in libpcap and Wireshark.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.framing import ARRAY_FULL, BAD_LENGTH, walk_pcap
from netwatch.capture.stream import MAX_BUFFER_SIZE, Stream, StreamBuffer
from netwatch.core.buffers import zeroed
from netwatch.core.errors import CaptureError

SNAPLEN = 262144
"""The largest plausible captured length of a packet in bytes, unless the file header has a larger
snap length (MAXIMUM_SNAPLEN of libpcap)."""

MAX_RECORDS_TRIED = 3
"""Records by which to recognise a variant."""

IN_ORDER, SWAPPED, MAYBE_SWAPPED = range(3)
"""Whether the length on the wire comes before the captured length in a record: never, always, or if
the first of the two is greater."""

_LENGTH_LIMIT = 1 << 27
_INTERFACE_LIMIT = 10_000
_KUZNETZOV, _SUSE, _NOKIA = 24, 28, 20

RECORDS = 8192
"""Maximum number of packets per block: the array of their records then fits into the cache."""


@dataclass(frozen=True, slots=True)
class Variant:
    """How the records of a file are written.

    `order` is the byte order in the notation of `struct`, `digits` the digits after the second,
    `first` is the offset of the first record and `header` the size of its header (bytes), `lengths`
    is IN_ORDER, SWAPPED or MAYBE_SWAPPED, and `padding` the number of bytes before each packet that
    its captured length includes. `link_type` is a LINKTYPE_ number.
    """

    order: str
    digits: int
    link_type: int
    snaplen: int
    first: int = 24
    header: int = 16
    lengths: int = IN_ORDER
    padding: int = 0


_STANDARD, _MODIFIED = (16, _KUZNETZOV, _NOKIA), (_KUZNETZOV, _SUSE)

MAGICS: dict[bytes, tuple[str, int, int, tuple[int, ...]]] = {
    bytes.fromhex("a1b2c3d4"): (">", 6, 24, _STANDARD),
    bytes.fromhex("d4c3b2a1"): ("<", 6, 24, _STANDARD),
    bytes.fromhex("a1b23c4d"): (">", 9, 24, (16,)),
    bytes.fromhex("4d3cb2a1"): ("<", 9, 24, (16,)),
    bytes.fromhex("a1b2cd34"): (">", 6, 24, _MODIFIED),
    bytes.fromhex("34cdb2a1"): ("<", 6, 24, _MODIFIED),
    bytes.fromhex("1c0001ab"): (">", 6, 28, (16,)),
    bytes.fromhex("ab01001c"): ("<", 6, 28, (16,)),
    bytes.fromhex("1c0001ac"): (">", 9, 28, (16,)),
    bytes.fromhex("ac01001c"): ("<", 9, 28, (16,)),
}
"""By the first four bytes: byte order, digits after the second, size of the file header (Ixia's
have the size of the file in four more bytes), and the possible sizes of a record header: the
standard's, A. Kuznetzov's patches of libpcap (24 bytes, and 28 in SuSE 6.3), and Nokia's
routers."""

AIX_LINK_TYPES = {6: 1, 9: 6, 15: 10, 24: 0}
"""Interface numbers (ifType) that AIX's tcpdump writes instead of link types, with the link types:
Ethernet, token ring, FDDI, loopback."""


def read_header(buffer: StreamBuffer, name: str, *, whole: bool) -> Variant:
    """Read the file header at the start of the buffer, and move `buffer.start` after it.

    `name` is the name of the file. More than the header may only be read if the file is there as a
    `whole` and is not a pipe, so that a record is not waited for. Raises `CaptureError` for a
    header that is truncated, belongs to another format, or has a version that is not read.
    """
    if not buffer.ensure(24):
        raise CaptureError(f"{name}: is truncated within its pcap header")
    magic = bytes(buffer.buffer[:4])
    if magic not in MAGICS:
        raise CaptureError(f"{name}: expected a pcap file (starts with {magic.hex(' ')})")
    order, digits, first, headers = MAGICS[magic]
    if not buffer.ensure(first):
        raise CaptureError(f"{name}: is truncated within its pcap header")
    major, minor, _, _, snaplen, network = struct.unpack_from(order + "HHIIII", buffer.buffer, 4)
    if (major, minor) != (543, 0) and not (major == 2 and minor <= 4):
        raise CaptureError(
            f"{name}: expected pcap version 2.0 to 2.4, or 543.0, found {major}.{minor}"
        )
    # The upper half of the last field describes frame check sequences.
    variant = Variant(order, digits, network & 0xFFFF, snaplen, first, headers[0])
    buffer.start = first
    if (major, minor) == (2, 4):
        return _by_records(variant, headers, buffer) if whole else variant
    return _of_old_version(variant, minor, network)


def _of_old_version(variant: Variant, minor: int, network: int) -> Variant:
    """A file of a version before 2.4, or of DG/UX's tcpdump (543.0). Until 2.2 the length on the
    wire came first; some programs wrote 2.3 in files with that order."""
    lengths = MAYBE_SWAPPED if minor == 3 else SWAPPED
    if minor == 2 and variant.header == 16 and variant.digits == 6 and network in AIX_LINK_TYPES:
        link_type = AIX_LINK_TYPES[network]
        # FDDI frames have three bytes before them there.
        return replace(
            variant, digits=9, link_type=link_type, lengths=lengths, padding=3 * (link_type == 10)
        )
    return replace(variant, lengths=lengths)


def _by_records(variant: Variant, headers: tuple[int, ...], buffer: StreamBuffer) -> Variant:
    """The variant whose first records have the fewest faults, the first of several."""
    best, fewest = variant, -1
    for header in headers:
        tried = replace(variant, header=header)
        faults = 0 if len(headers) == 1 else _faults(tried, buffer)
        if fewest < 0 or faults < fewest:
            best, fewest = tried, faults
        if not faults:
            break
    return best


def _faults(variant: Variant, buffer: StreamBuffer) -> int:
    """How many fields of the first records are impossible in this variant."""
    faults: int = 0
    at: int = 0
    captured: int
    for _ in range(MAX_RECORDS_TRIED):
        if not buffer.ensure(at + variant.header):
            return faults + (buffer.available > at)
        header = bytes(buffer.buffer[buffer.start + at : buffer.start + at + variant.header])
        _, fraction, captured, wire = struct.unpack_from(variant.order + "IIII", header)
        faults += fraction >= 1_000_000
        faults += captured > variant.snaplen
        faults += wire > _LENGTH_LIMIT
        faults += captured > wire
        faults += _extra_faults(variant, header)
        if captured > SNAPLEN:
            return faults + 1
        at += variant.header + captured
        if not buffer.ensure(at):
            return faults + 1
    return faults


def _extra_faults(variant: Variant, header: bytes) -> int:
    """How many of the fields that a variant adds to the record header are impossible."""
    if variant.header == _NOKIA:
        word: int = struct.unpack_from(variant.order + "I", header, 16)[0]
        known = word & 0x0FFF00F0 == 0x0FBF0000
        known &= word >> 28 in (9, 11) and word >> 12 & 15 in (11, 13)
        return not (known and word >> 8 & 15 in (6, 9) and word & 15 in (1, 2))
    if variant.header in (_KUZNETZOV, _SUSE):
        # Index of the interface, EtherType or number of Linux, direction (linux/if_packet.h).
        interface: int
        protocol: int
        kind: int
        interface, protocol, kind = struct.unpack_from(variant.order + "IHB", header, 16)
        linux = protocol <= 0x17 or protocol in (0x60, 0x200, 0x400) or protocol >= 0x600
        return (interface > _INTERFACE_LIMIT) + (not linux) + (kind > 4)
    return 0


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
