"""IP fragments put together again, bounded by number, bytes and age.

A hello or a DNS answer that is larger than the path comes in fragments of which only the
first has ports (RFC 791 section 3.2, RFC 8200 section 4.5). They come in any order,
twice, and from the hostile overlapping; of those the fragment that starts first stands.
What was put together goes through the kernel again as a packet of its own, so that
whatever is in it is read as ever; a datagram that never becomes whole is read as far as
it came.
"""

from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterator

from netwatch.capture.block import Block, Interface
from netwatch.core.packet import Packet
from netwatch.dissect.candidate import Row

MORE = 1 << 16
"""The bit of a row's offset that says that more fragments follow."""

_RAW_IP = 101
_ETHERNET = 1
_COOKED = 113

Datagram = tuple[bytes, bytes, int, int]
"""Source, destination, protocol and identification, which fragments share."""

Whole = tuple[Block, str, Datagram]
"""A block of one packet, the source that its last fragment came from, and what its
fragments shared."""


def datagram(row: Row, packet: Packet) -> Datagram:
    """What the fragment of a row shares with the others of its datagram."""
    return packet.src, packet.dst, row[15], row[13]


class _Pieces:
    """What has come of one datagram: bytes by offset, and the length once it is known."""

    __slots__ = ("kept", "length", "packet", "size", "time")

    def __init__(self, packet: Packet) -> None:
        self.kept: dict[int, bytes] = {}
        self.length: int | None = None
        self.size = 0
        self.time = packet.time
        self.packet = packet

    def whole(self) -> tuple[bytes, bool, bool]:
        """The bytes from the start up to the first gap; whether there is none, and whether
        pieces overlap."""
        data = bytearray()
        overlap = False
        for offset in sorted(self.kept):
            if offset > len(data):
                return bytes(data), False, overlap
            overlap = overlap or offset < len(data)
            data += memoryview(self.kept[offset])[len(data) - offset :]
        return bytes(data), self.length is not None and len(data) >= self.length, overlap


class Fragments:
    """The datagrams of one capture that are not whole yet.

    Limits: datagrams, bytes in all, pieces of one, age in ns of packet time. What was
    dropped is counted in `anomalies`.
    """

    def __init__(
        self,
        *,
        limit: int = 1024,
        limit_bytes: int = 16 << 20,
        limit_pieces: int = 128,
        age: int = 30_000_000_000,
    ) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._limit_pieces = limit_pieces
        self._age = age
        self._table: OrderedDict[Datagram, _Pieces] = OrderedDict()
        self._bytes = 0
        self.anomalies: Counter[str] = Counter()

    def table(self) -> tuple[int, int, int]:
        """Datagrams now, at most, and how many had to go before they were whole."""
        return len(self._table), self._limit, self.anomalies["ip-fragments-incomplete"]

    def feed(self, row: Row, payload: bytes, packet: Packet) -> list[Whole]:
        """Take the fragment of a row; blocks with what became whole or was given up.

        `payload` are its bytes behind the IP header, `packet` has its addresses.
        """
        offset, last = row[12] & 0xFFFF, not row[12] & MORE
        key = datagram(row, packet)
        done: list[Whole] = []
        if offset + len(payload) > 0xFFFF:
            self.anomalies["ip-fragment-too-long"] += 1
            return done
        pieces = self._table.get(key)
        if pieces is None:
            pieces = self._table[key] = _Pieces(packet)
        known = pieces.kept.get(offset)
        if known is None or len(known) < len(payload):
            if known is None and len(pieces.kept) >= self._limit_pieces:
                self.anomalies["ip-fragments-many"] += 1
                return done
            known = known or b""
            pieces.kept[offset] = known + payload[len(known) :]
            grown = len(payload) - len(known)
            pieces.size += grown
            self._bytes += grown
        else:
            self.anomalies["ip-fragment-repeated"] += 1
        if last:
            pieces.length = offset + row[4]
        data, whole, overlap = pieces.whole()
        if whole:
            if overlap:
                self.anomalies["ip-fragment-overlap"] += 1
            self._forget(key)
            done.append(_block(key, data[: pieces.length], pieces.length or 0, packet))
        self._expire(packet.time, done)
        return done

    def aged(self, now: int) -> list[Whole]:
        """Blocks with what came of the datagrams that are too old by now, ns."""
        done: list[Whole] = []
        self._expire(now, done)
        return done

    def flush(self) -> Iterator[Whole]:
        """The capture is over: blocks with what came of the datagrams still open, and of
        those that come up while these are read."""
        while self._table:
            done: list[Whole] = []
            self._drop(done)
            yield from done

    def _expire(self, now: int, done: list[Whole]) -> None:
        while self._table:
            oldest = next(iter(self._table.values()))
            full = len(self._table) > self._limit or self._bytes > self._limit_bytes
            if not full and oldest.time + self._age >= now:
                return
            self._drop(done)

    def _forget(self, key: Datagram) -> _Pieces:
        pieces = self._table.pop(key)
        self._bytes -= pieces.size
        return pieces

    def _drop(self, done: list[Whole]) -> None:
        key = next(iter(self._table))
        pieces = self._forget(key)
        self.anomalies["ip-fragments-incomplete"] += 1
        data, _, _ = pieces.whole()
        if data:
            done.append(_block(key, data, len(data) + 1, pieces.packet))


def _block(key: Datagram, data: bytes, length: int, packet: Packet) -> Whole:
    """A block of one packet, under a header without fragments, with the MACs, VLAN, time
    and number of the packet that made it whole; `length` is that of the data on the wire."""
    src, dst, proto, _ = key
    if len(src) == 4:
        total = min(20 + length, 0xFFFF)
        header = b"\x45\x00" + total.to_bytes(2) + b"\x00\x00\x00\x00\x40"
        header += proto.to_bytes(1) + b"\x00\x00" + src + dst
    else:
        header = b"\x60\x00\x00\x00" + min(length, 0xFFFF).to_bytes(2) + proto.to_bytes(1)
        header += b"\x40" + src + dst
    link = _RAW_IP
    kind = b"\x08\x00" if len(src) == 4 else b"\x86\xdd"
    if packet.src_mac and packet.dst_mac:
        link = _ETHERNET
        header = packet.dst_mac + packet.src_mac + kind + header
    elif packet.src_mac:
        link = _COOKED
        header = b"\x00\x00\x00\x01\x00\x06" + packet.src_mac + b"\x00\x00" + kind + header
    frame = header + data
    vlan = -1 if packet.vlan is None else packet.vlan
    records = array("q", [packet.time, 0, len(frame), len(header) + length, 0, vlan])
    interfaces = (Interface(link, packet.time_digits),)
    return Block(frame, records, 1, interfaces, packet.number, 0), packet.source, key
