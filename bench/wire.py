"""Frames at speed: headers written once a flow, then patched, and a pcap to hold them.

`Way` is one direction of a flow: its link, network and transport headers as bytes, with
the part of each checksum that never changes summed up front. A packet then costs a few
stores and two small sums. Checksums of IP, TCP and UDP are right, payload included, so
that no reader needs to be told to overlook them; sums of payloads are computed once with
the `Piece` that holds the payload.
"""

import struct
from typing import BinaryIO, NamedTuple

_RECORD = struct.Struct("<4I")
_TCP = struct.Struct(">IIHHH")
_UDP = struct.Struct(">HH")
_V4 = struct.Struct(">HHHBBH")
_V6 = struct.Struct(">H")

FIN_ACK, SYN, PSH_ACK, ACK, SYN_ACK = 0x5011, 0x8002, 0x5018, 0x5010, 0x8012
"""Data offset and flags; SYNs carry three words of options (RFC 9293 section 3.1)."""
SYN_OPTIONS = bytes.fromhex("020405b4 0402 01 030307 0101")
"""MSS 1460, SACK permitted, window scale 7."""

WINDOW = 64240
"""Also of SYNs, where it is not scaled: readers that track windows drop what exceeds it."""


class Piece(NamedTuple):
    """A payload and the sum of its 16-bit words, modulo 65535 (RFC 1071)."""

    data: bytes
    sum: int


def piece(data: bytes) -> Piece:
    """The payload with its sum; an odd last byte counts as the high half of a word."""
    padded = data + b"\0" if len(data) & 1 else data
    # 65536 is 1 modulo 65535, so the number as a whole has the sum of its words.
    return Piece(data, int.from_bytes(padded, "big") % 65535)


EMPTY = piece(b"")
OPTIONS = piece(SYN_OPTIONS)


class Way:
    """One direction of a flow, ready to be patched for each packet."""

    __slots__ = ("flow_sum", "head", "network", "network_sum", "seq", "six", "transport")

    def __init__(
        self,
        macs: bytes,
        vlan: int | None,
        src: bytes,
        dst: bytes,
        ports: tuple[int, int],
        protocol: int,
        seq: int = 0,
    ) -> None:
        self.six = len(src) == 16
        self.seq = seq
        link = macs + (struct.pack(">HH", 0x8100, vlan) if vlan is not None else b"")
        link += b"\x86\xdd" if self.six else b"\x08\x00"
        self.network = 16 + len(link)
        if self.six:
            network = struct.pack(">IHBB", 0x60000000, 0, protocol, 64) + src + dst
        else:
            network = struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0x4000, 64, protocol, 0) + src + dst
        self.transport = self.network + len(network)
        transport = struct.pack(">HH", *ports) + bytes(16 if protocol == 6 else 4)
        if protocol == 6:
            transport = transport[:14] + struct.pack(">H", WINDOW) + transport[16:]
        self.head = bytearray(bytes(16) + link + network + transport)
        self.network_sum = piece(network).sum
        self.flow_sum = piece(src + dst + transport).sum + protocol


class Writer:
    """A pcap with microseconds (LINKTYPE_ETHERNET), written in chunks of about 1 MB."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.packets = 0
        self.bytes = 0
        self.ident = 0
        self.out = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))

    def _emit(self, way: Way, time: int, length: int, payload: bytes) -> None:
        head, network = way.head, way.network
        if way.six:
            _V6.pack_into(head, network + 4, length)
        else:
            self.ident = ident = (self.ident + 1) & 0xFFFF
            total = length + 20
            check = -(way.network_sum + total + ident) % 65535
            _V4.pack_into(head, network + 2, total, ident, 0x4000, 64, head[network + 9], check)
        size = way.transport - 16 + length
        _RECORD.pack_into(head, 0, time // 1000000, time % 1000000, size, size)
        out = self.out
        out += head
        out += payload
        self.packets += 1
        self.bytes += size
        if len(out) > 1 << 20:
            self.flush()

    def tcp(self, way: Way, time: int, flags: int, payload: Piece, seq: int, ack: int) -> None:
        """One segment at `time` (microseconds since the epoch); `seq`, `ack` below 2^32."""
        length = 20 + len(payload.data)
        total = (
            way.flow_sum + length + flags + payload.sum
            + (seq >> 16) + (seq & 0xFFFF) + (ack >> 16) + (ack & 0xFFFF)
        )  # fmt: skip
        _TCP.pack_into(way.head, way.transport + 4, seq, ack, flags, WINDOW, -total % 65535)
        self._emit(way, time, length, payload.data)

    def udp(self, way: Way, time: int, payload: Piece, extra: bytes = b"") -> None:
        """One datagram: `extra`, of an even length, and the payload behind it."""
        length = 8 + len(extra) + len(payload.data)
        total = way.flow_sum + 2 * length + payload.sum
        if extra:
            total += int.from_bytes(extra, "big")
        # A sum of zero is written as all ones (RFC 768).
        _UDP.pack_into(way.head, way.transport + 4, length, -total % 65535 or 65535)
        self._emit(way, time, length, extra + payload.data if extra else payload.data)

    def flush(self) -> None:
        """Hand over what is buffered."""
        self.file.write(self.out)
        self.out.clear()
