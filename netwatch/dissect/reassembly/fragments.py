"""Fragments reassembled, with limits on number, bytes and age.

A hello or a DNS answer that is larger than the path MTU comes in fragments, of which only the first
has ports (RFC 791 section 3.2, RFC 8200 section 4.5). They come in any order, repeated and, from an
attacker, overlapping. If bytes came twice with different content, only the receiver knows which it
has taken, so there are two datagrams: one with what came first, if fragments begin at the same
place, and otherwise with the fragment of the lower offset; the other with the rest. A reassembled
datagram goes through the packet loop again as a packet, so that its content is read as usual. A
datagram that never becomes complete is read as far as its fragments came.

An access point that sends frames to its controller in CAPWAP makes fragments of its own (RFC 5415
section 3.4), with the same fields; they are reassembled in the same way.
"""

from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from netwatch.capture.block import Block, Interface
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import Packet
from netwatch.core.statistics import TableUsage
from netwatch.dissect.candidate import Row
from netwatch.dissect.loop import layout

MORE_FRAGMENTS = 1 << 16
"""The bit in a row's offset for more fragments (the flag MF)."""

_ICMPV6, _FRAGMENT = 58, 44
_LINKTYPE_RAW = 101
_LINKTYPE_ETHERNET = 1
_LINKTYPE_LINUX_SLL = 113


class DatagramKey(NamedTuple):
    """What the fragments of one datagram share; `proto` is the IP protocol. CAPWAP fragments share
    their UDP `ports`, from 1 on, and in the upper bits of `identification` also the format of the
    frame."""

    src: bytes
    dst: bytes
    proto: int
    identification: int
    ports: tuple[int, int] = (0, 0)


class Reassembled(NamedTuple):
    """A reassembled datagram: a block with the one packet, the source of its last fragment, and
    what its fragments shared."""

    block: Block
    source: str
    key: DatagramKey


def datagram_key(row: Row, packet: Packet) -> DatagramKey:
    """What the fragment of a candidate row shares with the others of its datagram."""
    return DatagramKey(
        packet.src,
        packet.dst,
        row[layout.ROW_PROTOCOL],
        row[layout.ROW_FLOW],
        (row[layout.ROW_SOURCE_PORT], row[layout.ROW_DESTINATION_PORT]),
    )


MAX_COMPLETE = 64
"""Datagrams to remember after they were complete."""

COMPLETE_TIMEOUT = 2_000_000_000
"""For how long, ns: fragments with other bytes come close to those that they replace."""


class _Fragments:
    """The fragments of one datagram so far, by offset; `length` is None until the last came.
    `others` are the newest fragments whose bytes differ from an earlier one at their offset."""

    __slots__ = ("by_offset", "length", "others", "packet", "size", "time")

    def __init__(self, packet: Packet) -> None:
        self.by_offset: dict[int, bytes] = {}
        self.others: dict[int, bytes] = {}
        self.length: int | None = None
        self.size = 0
        self.time = packet.time
        self.packet = packet

    def join(self) -> tuple[bytes, bytes, bool, bool]:
        """The bytes up to the first gap, the same with the other bytes if there are two, whether
        the datagram is complete, and whether fragments overlap."""
        data, other = bytearray(), bytearray()
        overlap = bool(self.others)
        for offset in sorted(self.by_offset):
            if offset > len(data):
                return bytes(data), bytes(other), False, overlap
            overlap = overlap or offset < len(data)
            piece = self.by_offset[offset]
            data += memoryview(piece)[len(data) - offset :]
            newest = self.others.get(offset, b"")
            piece = newest + piece[len(newest) :]
            other[offset : offset + len(piece)] = piece
        is_complete = self.length is not None and len(data) >= self.length
        return bytes(data), bytes(other), is_complete, overlap

    def fill(self, before: "_Fragments") -> None:
        """Take over the fragments of an earlier datagram for offsets that have none."""
        self.by_offset = before.by_offset | self.by_offset
        self.length = before.length if self.length is None else self.length


class Defragmenter:
    """The incomplete datagrams of one capture.

    Limits: datagrams, bytes of all of them, fragments of one, and ns of packet time since the
    first fragment. What was dropped is counted in `anomalies`.
    """

    def __init__(
        self,
        *,
        max_datagrams: int = 1024,
        max_bytes: int = 16 << 20,
        max_fragments: int = 128,
        timeout: int = 30_000_000_000,
    ) -> None:
        self._max_datagrams = max_datagrams
        self._max_bytes = max_bytes
        self._max_fragments = max_fragments
        self._timeout = timeout
        self._table: OrderedDict[DatagramKey, _Fragments] = OrderedDict()
        self._bytes = 0
        self._complete: LimitedDict[DatagramKey, _Fragments] = LimitedDict(MAX_COMPLETE)
        self.anomalies: Counter[str] = Counter()

    def usage(self) -> TableUsage:
        """The number of datagrams; evicted ones were incomplete."""
        evicted = self.anomalies["ip-fragments-incomplete"]
        return TableUsage(len(self._table), self._max_datagrams, evicted)

    def feed(self, row: Row, payload: bytes, packet: Packet) -> list[Reassembled]:
        """The datagrams that became complete, or were dropped, because of a row's fragment.

        `payload` is what follows its IP header; `packet` has its addresses.
        """
        place = row[layout.ROW_SEQUENCE]
        offset, is_last = place & 0xFFFF, not place & MORE_FRAGMENTS
        key = datagram_key(row, packet)
        reassembled: list[Reassembled] = []
        if offset + len(payload) > 0xFFFF:
            self.anomalies["ip-fragment-too-long"] += 1
            return reassembled
        fragments = self._table.get(key)
        if fragments is None:
            fragments = self._table[key] = _Fragments(packet)
        if not self._add(fragments, offset, payload):
            return reassembled
        if is_last:
            fragments.length = offset + row[layout.ROW_WIRE]
        data, other, is_complete, overlap = fragments.join()
        if is_complete:
            if overlap:
                self.anomalies["ip-fragment-overlap"] += 1
            self._complete[key] = self._remove(key)
            length = fragments.length or 0
            reassembled += _readings(key, data[:length], other[:length], length, packet)
        self._expire(packet.time, reassembled)
        return reassembled

    def expire(self, now: int) -> list[Reassembled]:
        """The datagrams that time out at `now`, in ns of packet time, as far as they came."""
        reassembled: list[Reassembled] = []
        self._expire(now, reassembled)
        return reassembled

    def flush(self) -> Iterator[Reassembled]:
        """The datagrams that are incomplete at the end of the capture, and those that begin while
        these are read."""
        while self._table:
            reassembled: list[Reassembled] = []
            self._drop_oldest(reassembled)
            yield from reassembled

    def _add(self, fragments: _Fragments, offset: int, payload: bytes) -> bool:
        """Add a fragment; of two at one offset the longer is used, with the bytes that came first,
        and other bytes are kept as well. False if the datagram has too many fragments."""
        known = fragments.by_offset.get(offset)
        if known is not None and payload[: len(known)] != known[: len(payload)]:
            more = len(payload) - len(fragments.others.get(offset, b""))
            fragments.others[offset] = payload
            fragments.size += more
            self._bytes += more
            if len(payload) <= len(known):
                return True
        if known is not None and len(known) >= len(payload):
            self.anomalies["ip-fragment-repeated"] += 1
            return True
        if known is None and len(fragments.by_offset) >= self._max_fragments:
            self.anomalies["ip-fragments-many"] += 1
            return False
        known = known or b""
        fragments.by_offset[offset] = known + payload[len(known) :]
        fragments.size += len(payload) - len(known)
        self._bytes += len(payload) - len(known)
        return True

    def _expire(self, now: int, reassembled: list[Reassembled]) -> None:
        """Drop datagrams that time out at `now` or exceed the limits."""
        while self._table:
            oldest = next(iter(self._table.values()))
            is_full = len(self._table) > self._max_datagrams or self._bytes > self._max_bytes
            if not is_full and oldest.time + self._timeout >= now:
                return
            self._drop_oldest(reassembled)

    def _remove(self, key: DatagramKey) -> _Fragments:
        fragments = self._table.pop(key)
        self._bytes -= fragments.size
        return fragments

    def _drop_oldest(self, reassembled: list[Reassembled]) -> None:
        key = next(iter(self._table))
        fragments = self._remove(key)
        before = self._complete.get(key)
        if before is not None and fragments.time - before.time <= COMPLETE_TIMEOUT:
            # Some of its fragments may have come only once, for this and for the earlier datagram.
            known, *_ = before.join()
            fragments.fill(before)
            data, other, is_complete, _ = fragments.join()
            length = fragments.length or 0
            if is_complete and data[:length] == other[:length] == known[:length]:
                self.anomalies["ip-fragment-repeated"] += 1
                return
            if is_complete:
                self.anomalies["ip-fragment-overlap"] += 1
                reassembled += _readings(
                    key, data[:length], other[:length], length, fragments.packet
                )
                return
        self.anomalies["ip-fragments-incomplete"] += 1
        data, other, _, _ = fragments.join()
        if data:
            reassembled += _readings(key, data, other, len(data) + 1, fragments.packet)


def _capwap(ports: tuple[int, int], identification: int, length: int) -> bytes:
    """The headers of UDP and CAPWAP (RFC 5415 section 4.3) before a reassembled packet of this
    length; the CAPWAP header is as short as possible, and not of a fragment."""
    udp = b"".join(port.to_bytes(2) for port in ports) + min(16 + length, 0xFFFF).to_bytes(2)
    words = 2 << 19 | (identification >> 8) & 0x3F00
    return udp + b"\x00\x00" + words.to_bytes(4) + bytes(4)


def _readings(
    key: DatagramKey, data: bytes, other: bytes, length: int, packet: Packet
) -> list[Reassembled]:
    """The datagrams that were reassembled: one, or two where bytes came twice with different
    content."""
    readings = [data] if data == other else [data, other]
    return [_rebuild(key, reading, length, packet) for reading in readings]


def _rebuild(key: DatagramKey, data: bytes, length: int, packet: Packet) -> Reassembled:
    """A reassembled datagram with an unfragmented IP header, and the MACs, VLAN, time and number of
    the packet that completed it; `length` is the length of the data on the wire."""
    src, dst, proto, identification, ports = key
    if any(ports):
        data = _capwap(ports, identification, length) + data
        length += 16
    if len(src) == 4:
        total = min(20 + length, 0xFFFF)
        header = b"\x45\x00" + total.to_bytes(2) + b"\x00\x00\x00\x00\x40"
        header += proto.to_bytes(1) + b"\x00\x00" + src + dst
    else:
        if proto == _ICMPV6:
            # The header of a fragment remains: not everything in fragments is accepted.
            data, length, proto = proto.to_bytes(1) + bytes(7) + data, length + 8, _FRAGMENT
        header = b"\x60\x00\x00\x00" + min(length, 0xFFFF).to_bytes(2) + proto.to_bytes(1)
        header += b"\x40" + src + dst
    link_type = _LINKTYPE_RAW
    ethertype = b"\x08\x00" if len(src) == 4 else b"\x86\xdd"
    if packet.src_mac and packet.dst_mac:
        link_type = _LINKTYPE_ETHERNET
        header = packet.dst_mac + packet.src_mac + ethertype + header
    elif packet.src_mac:
        link_type = _LINKTYPE_LINUX_SLL
        header = b"\x00\x00\x00\x01\x00\x06" + packet.src_mac + b"\x00\x00" + ethertype + header
    frame = header + data
    vlan = -1 if packet.vlan is None else packet.vlan
    records = array("q", [packet.time, 0, len(frame), len(header) + length, 0, vlan])
    interfaces = (Interface(link_type, packet.time_digits),)
    block = Block(frame, records, 1, interfaces, packet.number, 0)
    return Reassembled(block, packet.source, key)
