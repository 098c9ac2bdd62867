"""pcapng files (draft-ietf-opsawg-pcapng).

A file has any number of sections, each with a byte order and interfaces of its own. Enhanced,
Simple and obsolete Packet Blocks are read, and the drop counts in Interface Statistics Blocks;
other blocks are skipped. Compiled code walks the packets and returns here for the blocks that
change how they are read. Packets that cannot be read are skipped, but they count in the packet
numbers, and one note per kind of problem describes them.
"""

import math
import struct
from array import array
from collections.abc import Iterator

from netwatch.capture import framing
from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.framing_pcapng import INTERFACE_FIELDS, NO_CLOCK, walk_pcapng
from netwatch.capture.pcap import RECORDS, SNAPLEN
from netwatch.capture.stream import MAX_BUFFER_SIZE, Stream, StreamBuffer
from netwatch.core.buffers import zeroed
from netwatch.core.errors import CaptureError

MAGIC = bytes.fromhex("0a0d0d0a")
"""Block type of a section header, the same in both byte orders (section 4.1)."""

INTERFACES = 4096
"""Maximum number of interfaces of a section; packets of further ones are skipped."""

MAX_OPTIONS = 1 << 20
"""Largest plausible size of the options in a packet block, in bytes."""

MAX_NAME = 256
"""Bytes of an interface's name to read."""

_ORDERS = {bytes.fromhex("1a2b3c4d"): ">", bytes.fromhex("4d3c2b1a"): "<"}
_IF_NAME, _IF_TSRESOL, _IF_TSOFFSET = 2, 9, 14
_ISB_IFDROP, _ISB_OSDROP = 5, 7
_MAX_TIME = (1 << 63) - 1


class PcapngSource:
    """A pcapng file as a `netwatch.capture.block.Source`."""

    def __init__(self, name: str, stream: Stream, size: int | None) -> None:
        self.name = name
        self.size = size
        self.notes = stream.notes
        self.unread: int | None = None
        self._stream = stream
        self._buffer = StreamBuffer(stream)
        self._order = ""
        self._first = 1
        self._interfaces: list[Interface] = []
        self._walker_interfaces = array("q")
        self._max_block = SNAPLEN + MAX_OPTIONS
        self._problems: dict[str, tuple[int, int]] = {}
        self._dropped_by_statistics: dict[int, int] = {}
        self._dropped_in_previous_sections = 0

    @property
    def dropped(self) -> int:
        """How many packets were lost while capturing: from the last Interface Statistics Block of
        each interface, or from its packet blocks, whichever is more."""
        return self._dropped_in_previous_sections + self._dropped_in_section()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def blocks(self) -> Iterator[Block]:
        """The packets, at most RECORDS per block, all of one section. Raises `CaptureError` if the
        first section cannot be read."""
        try:
            yield from self._blocks()
        except _UnreadableRestError as end:
            if not self._order:
                raise CaptureError(f"{self.name}: {end}") from None
            self.notes.append(str(end))
            self._add_unread(self._buffer.left(self.size))
        finally:
            self.close()
            for what, (count, packet) in self._problems.items():
                self.notes.append(f"{what} ({count} of them, from packet {packet} on)")

    def _blocks(self) -> Iterator[Block]:
        buffer = self._buffer
        records = zeroed("q", FIELDS * RECORDS)
        interfaces: tuple[Interface, ...] = ()
        self._read_section_header()
        while True:
            count, at, status, value, timeless = walk_pcapng(
                buffer.buffer,
                buffer.start,
                buffer.end,
                records,  # type: ignore[arg-type]
                self._order == ">",
                self._walker_interfaces,  # type: ignore[arg-type]
                self._max_block,
            )
            buffer.start = at
            if timeless:
                self._add_problem("packets without a time stamp are dated 1970-01-01", timeless)
            if count:
                if len(interfaces) != len(self._interfaces):
                    interfaces = tuple(self._interfaces)
                yield Block(
                    buffer.buffer, records, count, interfaces, self._first, self._stream.position
                )
                self._first += count
            if status == framing.SECTION_HEADER:
                self._read_section_header()
                interfaces = ()
            elif status == framing.INTERFACE_DESCRIPTION:
                self._read_interface()
            elif status == framing.SKIPPED_BLOCK:
                self._skip(value)
            elif status == framing.INTERFACE_STATISTICS:
                self._read_statistics(value)
            elif status in (framing.UNKNOWN_INTERFACE, framing.PACKET_TOO_LONG):
                too_long = status == framing.PACKET_TOO_LONG
                what = "do not fit their block" if too_long else "name no interface"
                self._add_problem(f"packets that {what} are skipped")
                self._first += 1
                buffer.start += value
                self._add_unread(value)
            elif status == framing.BAD_LENGTH:
                raise self._unreadable(f"the length {value} is not plausible, the rest is not read")
            elif status == framing.LENGTH_MISMATCH:
                raise self._length_mismatch(value)
            elif status == framing.NEEDS_MORE and not buffer.read_more(value):
                if not buffer.available:
                    if self._stream.damaged:
                        self._add_unread(buffer.left(self.size))
                    return
                raise self._truncated(value)

    def _read_section_header(self) -> None:
        """Read a Section Header Block: byte order and version (section 4.1)."""
        buffer = self._buffer
        if not buffer.ensure(28):
            raise self._truncated(28)
        order = _ORDERS.get(bytes(buffer.buffer[buffer.start + 8 : buffer.start + 12]))
        if order is None:
            raise self._unreadable("expected a byte-order magic in the section header")
        length, _, major, minor = struct.unpack_from(
            order + "IIHH", buffer.buffer, buffer.start + 4
        )
        self._load_block(order, length, 28)
        if major != 1:
            raise self._unreadable(f"expected pcapng version 1.0, found {major}.{minor}")
        buffer.start += length
        self._dropped_in_previous_sections += self._dropped_in_section()
        self._dropped_by_statistics = {}
        self._order = order
        self._interfaces = []
        self._walker_interfaces = array("q")
        self._max_block = SNAPLEN + MAX_OPTIONS

    def _read_interface(self) -> None:
        """Read an Interface Description Block (section 4.2)."""
        buffer = self._buffer
        at = buffer.start
        length = struct.unpack_from(self._order + "I", buffer.buffer, at + 4)[0]
        self._load_block(self._order, length, 20)
        at = buffer.start
        block = bytes(buffer.buffer[at : at + length])
        buffer.start += length
        if len(self._interfaces) >= INTERFACES:
            self._add_problem(f"interfaces beyond {INTERFACES} in a section are ignored")
            return
        link_type, _, snaplen = struct.unpack_from(self._order + "HHI", block, 8)
        options = self._options(block, 16)
        resolution = options.get(_IF_TSRESOL, b"\x06")[:1] or b"\x06"
        unit, digits = _clock(resolution[0])
        offset = 0
        if len(options.get(_IF_TSOFFSET, b"")) == 8:
            seconds = struct.unpack(self._order + "q", options[_IF_TSOFFSET])[0]
            offset = seconds * 1_000_000_000
            if abs(offset) > _MAX_TIME:
                unit, offset = NO_CLOCK, 0
        name = options.get(_IF_NAME, b"")[:MAX_NAME].rstrip(b"\0").decode("utf-8", "replace")
        largest = min(max(snaplen, SNAPLEN), MAX_BUFFER_SIZE - MAX_OPTIONS)
        self._max_block = max(self._max_block, largest + MAX_OPTIONS)
        self._interfaces.append(Interface(link_type, digits, name or None))
        self._walker_interfaces.extend((largest, snaplen or largest, unit, offset, 0))

    def _read_statistics(self, length: int) -> None:
        """Read an Interface Statistics Block (section 4.6). Its counts include all packets since
        the start of the capture."""
        buffer = self._buffer
        self._load_block(self._order, length, 24)
        block = bytes(buffer.buffer[buffer.start : buffer.start + length])
        buffer.start += length
        interface = struct.unpack_from(self._order + "I", block, 8)[0]
        if interface < len(self._interfaces):
            options = self._options(block, 20)
            counts = [options.get(code, b"") for code in (_ISB_IFDROP, _ISB_OSDROP)]
            counts = [count for count in counts if len(count) == 8]
            if counts:
                self._dropped_by_statistics[interface] = sum(
                    struct.unpack(self._order + "Q", count)[0] for count in counts
                )

    def _dropped_in_section(self) -> int:
        """How many packets of the current section were lost."""
        by_packets = self._walker_interfaces[INTERFACE_FIELDS - 1 :: INTERFACE_FIELDS]
        return sum(
            max(lost, self._dropped_by_statistics.get(each, 0))
            for each, lost in enumerate(by_packets)
        )

    def _options(self, block: bytes, at: int) -> dict[int, bytes]:
        """The options of a block from `at` on, the first of each code (section 3.5)."""
        found: dict[int, bytes] = {}
        end = len(block) - 4
        while end - at >= 4:
            code, size = struct.unpack_from(self._order + "HH", block, at)
            if code == 0:
                break
            if size > end - at - 4:
                self._add_problem("options that exceed their block are ignored")
                break
            found.setdefault(code, block[at + 4 : at + 4 + size])
            at += 4 + (size + 3) // 4 * 4
        return found

    def _load_block(self, order: str, length: int, smallest: int) -> None:
        """Read the block at the start of the buffer into memory as a whole, or raise."""
        buffer = self._buffer
        if length < smallest or length % 4 or length > MAX_BUFFER_SIZE:
            raise self._unreadable(f"the length {length} is not plausible, the rest is not read")
        if not buffer.ensure(length):
            raise self._truncated(length)
        second = struct.unpack_from(order + "I", buffer.buffer, buffer.start + length - 4)[0]
        if second != length:
            raise self._length_mismatch(second)

    def _skip(self, length: int) -> None:
        """Skip a block, which may be larger than any buffer."""
        buffer = self._buffer
        start = buffer.stream_offset(buffer.start)
        end = self._unreadable(f"the file ends within this block of {length} bytes")
        if not buffer.skip(length - 4) or not buffer.ensure(4):
            self._add_unread(buffer.stream_offset(buffer.start) - start)
            raise end
        second = struct.unpack_from(self._order + "I", buffer.buffer, buffer.start)[0]
        if second != length:
            raise self._length_mismatch(second, length - 4)
        buffer.start += 4

    def _add_unread(self, size: int) -> None:
        self.unread = (self.unread or 0) + size

    def _add_problem(self, what: str, times: int = 1) -> None:
        count, first = self._problems.get(what, (0, self._first))
        self._problems[what] = (count + times, first)

    def _unreadable(self, what: str, back: int = 0) -> "_UnreadableRestError":
        at = self._buffer.stream_offset(self._buffer.start) - back
        return _UnreadableRestError(f"block at byte {at} (next packet: {self._first}): {what}")

    def _truncated(self, needed: int) -> "_UnreadableRestError":
        return self._unreadable(
            f"is truncated, {self._buffer.available} of {needed} bytes are in the file"
        )

    def _length_mismatch(self, second: int, back: int = 0) -> "_UnreadableRestError":
        return self._unreadable(
            f"its two lengths differ (the second is {second}), the rest is not read", back
        )


class _UnreadableRestError(Exception):
    """The reason why the rest of the file cannot be read."""


def _clock(resolution: int) -> tuple[int, int]:
    """if_tsresol as a unit of `framing_pcapng`, and as a number of digits after the second."""
    power = resolution & 0x7F
    if resolution & 0x80:
        return -1 - power, min(9, math.ceil(power * math.log10(2)))
    return power, min(9, power)
