"""pcapng files (draft-ietf-opsawg-pcapng).

Any number of sections, each with its own byte order and interfaces; Enhanced, Simple and
obsolete Packet Blocks; what Interface Statistics Blocks say was dropped; other blocks are
passed over. Compiled code walks the packets and
comes back for the blocks that change how they are read. A packet that cannot be placed is
left out but numbered, and told in the notes, one sentence for all of a kind.
"""

import math
import struct
from array import array
from collections.abc import Iterator

from netwatch.capture import framing
from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.framing_pcapng import INTERFACE_FIELDS, NO_CLOCK, walk_pcapng
from netwatch.capture.pcap import RECORDS, SNAPLEN
from netwatch.capture.stream import LARGEST, Stream, Window
from netwatch.core.errors import CaptureError

MAGIC = bytes.fromhex("0a0d0d0a")
"""Block type of a section header, the same in both byte orders (section 4.1)."""

INTERFACES = 4096
"""Interfaces of a section that are kept; packets of further ones are left out."""

OPTIONS = 1 << 20
"""Bytes of options in a packet block that are plausible."""

NAME = 256
"""Bytes of an interface's name that are kept."""

_ORDERS = {bytes.fromhex("1a2b3c4d"): ">", bytes.fromhex("4d3c2b1a"): "<"}
_IF_NAME, _IF_TSRESOL, _IF_TSOFFSET = 2, 9, 14
_ISB_IFDROP, _ISB_OSDROP = 5, 7
_LAST = (1 << 63) - 1


class PcapngSource:
    """A pcapng file as a `netwatch.capture.block.Source`."""

    def __init__(self, name: str, stream: Stream, size: int | None) -> None:
        self.name = name
        self.size = size
        self.notes = stream.notes
        self._stream = stream
        self._window = Window(stream)
        self._order = ""
        self._first = 1
        self._interfaces: list[Interface] = []
        self._clocks = array("q")
        self._most = SNAPLEN + OPTIONS
        self._odd: dict[str, tuple[int, int]] = {}
        self._losses: dict[int, int] = {}
        self._lost_before = 0

    @property
    def dropped(self) -> int:
        """Packets that who captured says it lost: by the last statistics of each interface,
        or by what its packets say, whichever is more."""
        return self._lost_before + self._lost()

    def close(self) -> None:
        """Give back the file."""
        self._stream.close()

    def blocks(self) -> Iterator[Block]:
        """The packets, up to RECORDS a block and never of two sections in one; raises
        `CaptureError` where the first section cannot be read."""
        try:
            yield from self._blocks()
        except _EndOfSense as end:
            if not self._order:
                raise CaptureError(f"{self.name}: {end}") from None
            self.notes.append(str(end))
        finally:
            self.close()
            for what, (count, packet) in self._odd.items():
                self.notes.append(f"{what} ({count} of them, from packet {packet} on)")

    def _blocks(self) -> Iterator[Block]:
        window = self._window
        records = array("q", bytes(8 * FIELDS * RECORDS))
        interfaces: tuple[Interface, ...] = ()
        self._section()
        while True:
            count, at, status, value, timeless = walk_pcapng(
                window.buffer,
                window.start,
                window.end,
                records,  # type: ignore[arg-type]
                self._order == ">",
                self._clocks,  # type: ignore[arg-type]
                self._most,
            )
            window.start = at
            if timeless:
                self._note("packets without a time stamp count as of 1970-01-01", timeless)
            if count:
                if len(interfaces) != len(self._interfaces):
                    interfaces = tuple(self._interfaces)
                yield Block(
                    window.buffer, records, count, interfaces, self._first, self._stream.position
                )
                self._first += count
            if status == framing.SECTION_HEADER:
                self._section()
                interfaces = ()
            elif status == framing.INTERFACE_DESCRIPTION:
                self._interface()
            elif status == framing.SKIPPED_BLOCK:
                self._pass(value)
            elif status == framing.INTERFACE_STATISTICS:
                self._statistics(value)
            elif status in (framing.UNKNOWN_INTERFACE, framing.PACKET_TOO_LONG):
                too_long = status == framing.PACKET_TOO_LONG
                what = "do not fit their block" if too_long else "name no interface"
                self._note(f"packets that {what} are left out")
                self._first += 1
                window.start += value
            elif status == framing.BAD_LENGTH:
                raise self._end(f"a length of {value} bytes is not plausible, the rest is not read")
            elif status == framing.LENGTH_MISMATCH:
                raise self._disagree(value)
            elif status == framing.NEEDS_MORE and not window.fill(value):
                if not window.left:
                    return
                raise self._cut(value)

    def _section(self) -> None:
        """Read a Section Header Block: byte order and version (section 4.1)."""
        window = self._window
        if not window.want(28):
            raise self._cut(28)
        order = _ORDERS.get(bytes(window.buffer[window.start + 8 : window.start + 12]))
        if order is None:
            raise self._end("a section header without a byte-order magic")
        length, _, major, minor = struct.unpack_from(
            order + "IIHH", window.buffer, window.start + 4
        )
        self._whole(order, length, 28)
        if major != 1:
            raise self._end(f"pcapng version {major}.{minor}, 1.0 is read")
        window.start += length
        self._lost_before += self._lost()
        self._losses = {}
        self._order = order
        self._interfaces = []
        self._clocks = array("q")
        self._most = SNAPLEN + OPTIONS

    def _interface(self) -> None:
        """Read an Interface Description Block (section 4.2)."""
        window = self._window
        at = window.start
        length = struct.unpack_from(self._order + "I", window.buffer, at + 4)[0]
        self._whole(self._order, length, 20)
        at = window.start
        block = bytes(window.buffer[at : at + length])
        window.start += length
        if len(self._interfaces) >= INTERFACES:
            self._note(f"interfaces beyond {INTERFACES} in a section are not kept")
            return
        link_type, _, snaplen = struct.unpack_from(self._order + "HHI", block, 8)
        options = self._options(block, 16)
        resolution = options.get(_IF_TSRESOL, b"\x06")[:1] or b"\x06"
        unit, digits = _clock(resolution[0])
        offset = 0
        if len(options.get(_IF_TSOFFSET, b"")) == 8:
            seconds = struct.unpack(self._order + "q", options[_IF_TSOFFSET])[0]
            offset = seconds * 1_000_000_000
            if abs(offset) > _LAST:
                unit, offset = NO_CLOCK, 0
        name = options.get(_IF_NAME, b"")[:NAME].rstrip(b"\0").decode("utf-8", "replace")
        largest = min(max(snaplen, SNAPLEN), LARGEST - OPTIONS)
        self._most = max(self._most, largest + OPTIONS)
        self._interfaces.append(Interface(link_type, digits, name or None))
        self._clocks.extend((largest, snaplen or largest, unit, offset, 0))

    def _statistics(self, length: int) -> None:
        """Read an Interface Statistics Block (section 4.6), whose counts run from the start
        of the capture."""
        window = self._window
        self._whole(self._order, length, 24)
        block = bytes(window.buffer[window.start : window.start + length])
        window.start += length
        interface = struct.unpack_from(self._order + "I", block, 8)[0]
        if interface < len(self._interfaces):
            options = self._options(block, 20)
            counts = [options.get(code, b"") for code in (_ISB_IFDROP, _ISB_OSDROP)]
            counts = [count for count in counts if len(count) == 8]
            if counts:
                self._losses[interface] = sum(
                    struct.unpack(self._order + "Q", count)[0] for count in counts
                )

    def _lost(self) -> int:
        """How many packets of the present section were lost, as far as is known."""
        told = self._clocks[INTERFACE_FIELDS - 1 :: INTERFACE_FIELDS]
        return sum(max(lost, self._losses.get(each, 0)) for each, lost in enumerate(told))

    def _options(self, block: bytes, at: int) -> dict[int, bytes]:
        """The options of a block from `at` on by code, the first of each (section 3.5)."""
        found: dict[int, bytes] = {}
        end = len(block) - 4
        while end - at >= 4:
            code, size = struct.unpack_from(self._order + "HH", block, at)
            if code == 0:
                break
            if size > end - at - 4:
                self._note("options that run past their block are not read")
                break
            found.setdefault(code, block[at + 4 : at + 4 + size])
            at += 4 + (size + 3) // 4 * 4
        return found

    def _whole(self, order: str, length: int, least: int) -> None:
        """Have the block at the window's start in memory, or raise."""
        window = self._window
        if length < least or length % 4 or length > LARGEST:
            raise self._end(f"a length of {length} bytes is not plausible, the rest is not read")
        if not window.want(length):
            raise self._cut(length)
        again = struct.unpack_from(order + "I", window.buffer, window.start + length - 4)[0]
        if again != length:
            raise self._disagree(again)

    def _pass(self, length: int) -> None:
        """Drop a block that may be larger than any window."""
        window = self._window
        end = self._end(f"the file ends inside this block of {length} bytes")
        if not window.skip(length - 4) or not window.want(4):
            raise end
        again = struct.unpack_from(self._order + "I", window.buffer, window.start)[0]
        if again != length:
            raise self._disagree(again, length - 4)
        window.start += 4

    def _note(self, what: str, times: int = 1) -> None:
        count, first = self._odd.get(what, (0, self._first))
        self._odd[what] = (count + times, first)

    def _end(self, what: str, back: int = 0) -> "_EndOfSense":
        at = self._window.offset(self._window.start) - back
        return _EndOfSense(f"block at byte {at} (next packet: {self._first}): {what}")

    def _cut(self, need: int) -> "_EndOfSense":
        return self._end(f"is cut short, {self._window.left} of {need} bytes are there")

    def _disagree(self, again: int, back: int = 0) -> "_EndOfSense":
        return self._end(
            f"its two lengths differ (the second is {again}), the rest is not read", back
        )


class _EndOfSense(Exception):  # noqa: N818 - the state of a file, told in a note
    """Why no more of the file can be read."""


def _clock(resolution: int) -> tuple[int, int]:
    """if_tsresol as the unit that `framing_pcapng` takes, and digits of the second's fraction."""
    power = resolution & 0x7F
    if resolution & 0x80:
        return -1 - power, min(9, math.ceil(power * math.log10(2)))
    return power, min(9, power)
