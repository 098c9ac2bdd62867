"""Fast generation of frames, and the pcap that they are written to.

The headers of each `Direction` of a flow are built once, together with the constant part of each
checksum. A packet then costs a few stores and two small sums. The checksums of IP, TCP and UDP are
valid and include the payload, whose sum a `Payload` contains, so readers can verify them.
"""

import struct
from typing import BinaryIO, NamedTuple

_RECORD = struct.Struct("<4I")
_TCP = struct.Struct(">IIHHH")
_UDP = struct.Struct(">HH")
_V4 = struct.Struct(">HHHBBH")
_V6 = struct.Struct(">H")

FIN_ACK, SYN, PSH_ACK, ACK, SYN_ACK = 0x5011, 0x8002, 0x5018, 0x5010, 0x8012
"""Data offset and flags (RFC 9293 section 3.1); SYNs have three words of options."""
SYN_OPTIONS = bytes.fromhex("020405b4 0402 01 030307 0101")
"""MSS 1460, SACK permitted, window scale 7."""

WINDOW = 64240
"""Also in SYNs, where it is not scaled: readers that track windows drop segments beyond it."""


class Payload(NamedTuple):
    """A payload and the sum of its 16-bit words modulo 65535 (RFC 1071)."""

    data: bytes
    sum: int


def payload_of(data: bytes) -> Payload:
    """Bytes with their sum; an odd last byte is the high half of a word (RFC 1071)."""
    padded = data + b"\0" if len(data) & 1 else data
    # 65536 is 1 modulo 65535, so the whole number is congruent to the sum of its words.
    return Payload(data, int.from_bytes(padded, "big") % 65535)


EMPTY = payload_of(b"")
OPTIONS = payload_of(SYN_OPTIONS)


class Direction:
    """One direction of a flow, whose headers are patched for each packet."""

    __slots__ = ("flow_sum", "head", "ipv6", "network", "network_sum", "seq", "transport")

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
        self.ipv6 = len(src) == 16
        self.seq = seq
        link = macs + (struct.pack(">HH", 0x8100, vlan) if vlan is not None else b"")
        link += b"\x86\xdd" if self.ipv6 else b"\x08\x00"
        self.network = 16 + len(link)
        if self.ipv6:
            network = struct.pack(">IHBB", 0x60000000, 0, protocol, 64) + src + dst
        else:
            network = struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0x4000, 64, protocol, 0) + src + dst
        self.transport = self.network + len(network)
        transport = struct.pack(">HH", *ports) + bytes(16 if protocol == 6 else 4)
        if protocol == 6:
            transport = transport[:14] + struct.pack(">H", WINDOW) + transport[16:]
        self.head = bytearray(bytes(16) + link + network + transport)
        self.network_sum = payload_of(network).sum
        self.flow_sum = payload_of(src + dst + transport).sum + protocol


class Writer:
    """A pcap with microseconds (LINKTYPE_ETHERNET), written in chunks of about 1 MB."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.packets = 0
        self.bytes = 0
        self.ident = 0
        self.out = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))

    def _emit(self, direction: Direction, time: int, length: int, payload: bytes) -> None:
        head, network = direction.head, direction.network
        if direction.ipv6:
            _V6.pack_into(head, network + 4, length)
        else:
            self.ident = ident = (self.ident + 1) & 0xFFFF
            total = length + 20
            check = -(direction.network_sum + total + ident) % 65535
            _V4.pack_into(head, network + 2, total, ident, 0x4000, 64, head[network + 9], check)
        size = direction.transport - 16 + length
        _RECORD.pack_into(head, 0, time // 1000000, time % 1000000, size, size)
        out = self.out
        out += head
        out += payload
        self.packets += 1
        self.bytes += size
        if len(out) > 1 << 20:
            self.flush()

    def tcp(
        self, direction: Direction, time: int, flags: int, payload: Payload, seq: int, ack: int
    ) -> None:
        """One segment at `time` (microseconds since the epoch); `seq`, `ack` below 2^32."""
        length = 20 + len(payload.data)
        total = (
            direction.flow_sum + length + flags + payload.sum
            + (seq >> 16) + (seq & 0xFFFF) + (ack >> 16) + (ack & 0xFFFF)
        )  # fmt: skip
        _TCP.pack_into(
            direction.head, direction.transport + 4, seq, ack, flags, WINDOW, -total % 65535
        )
        self._emit(direction, time, length, payload.data)

    def udp(self, direction: Direction, time: int, payload: Payload, extra: bytes = b"") -> None:
        """One datagram: `extra`, whose length is even, followed by the payload."""
        length = 8 + len(extra) + len(payload.data)
        total = direction.flow_sum + 2 * length + payload.sum
        if extra:
            total += int.from_bytes(extra, "big")
        # A checksum of zero is transmitted as all ones (RFC 768).
        _UDP.pack_into(direction.head, direction.transport + 4, length, -total % 65535 or 65535)
        self._emit(direction, time, length, extra + payload.data if extra else payload.data)

    def flush(self) -> None:
        """Write the buffered packets to the file."""
        self.file.write(self.out)
        self.out.clear()
