"""Unencrypted packets of Google QUIC, Q024 to Q046: headers, and the frames of a client hello.

Before Q050, the packets of a handshake are not encrypted but hashed: the header is followed by 12
bytes of hash, then frames. Up to Q043 the header is Google's public header ("QUIC Wire Layout
Specification", Hamilton et al., 2016), in Q044 and Q046 it is a long header of the IETF drafts of
that time. Numbers are little-endian up to Q038. Handshake messages are sent on stream 1.
"""

from dataclasses import dataclass
from typing import Literal

from netwatch.core.errors import ParseError
from netwatch.protocols.reader import Reader

HANDSHAKE_STREAM = 1
"""The stream of handshake messages."""

_HASH = 12
_NUMBER_SIZES = (1, 2, 4, 6)
_VERSION_BIT, _RESET_BIT, _ID_BIT = 0x01, 0x02, 0x08
_FEC_GROUP, _FEC = 0x02, 0x04
_PADDING, _RST_STREAM, _CLOSE, _GOAWAY, _WINDOW_UPDATE, _BLOCKED, _STOP_WAITING, _PING = range(8)
_FIXED = {_PADDING: 0, _RST_STREAM: 16, _WINDOW_UPDATE: 12, _BLOCKED: 4, _PING: 0}
_REASONED = {_CLOSE: 4, _GOAWAY: 8}
_LAST_WITH_ENTROPY, _FIRST_BIG_ENDIAN, _FIRST_LONG = 33, 39, 44
_CLEAR = frozenset({*range(24, 44), 44, 46})


@dataclass(frozen=True, slots=True)
class ClearPacket:
    """An unencrypted packet of a client: the number of its version (46 for Q046), the size of its
    packet number in bytes, and the offset of its frames in the datagram."""

    version: int
    number_size: int
    frames: int


def version_of(datagram: bytes) -> bytes:
    """The four bytes of the version in a datagram of a client, with either header; fewer, or
    arbitrary, bytes if it has no version."""
    if datagram[:1] >= b"\x80":
        return datagram[1:5]
    start = 9 if datagram[:1] and datagram[0] & _ID_BIT else 1
    return datagram[start : start + 4]


def clear_packet(datagram: bytes) -> ClearPacket:
    """The packet in `datagram`, which has a version because a client sent it.

    Raises `ParseError` ``gquic-header`` if it is not of a version with unencrypted packets.
    """
    text = version_of(datagram)
    version = int(text[1:]) if text[:2] == b"Q0" and text[2:].isdigit() and len(text) == 4 else 0
    flags = datagram[0] if datagram else 0
    if version not in _CLEAR or (flags >= 0x80) != (version >= _FIRST_LONG):
        raise ParseError("gquic-header")
    reader = Reader(datagram, "gquic-header", 1)
    if version >= _FIRST_LONG:
        if version == 46 and flags & 0x30:  # 0-RTT and other types, which are encrypted
            raise ParseError("gquic-header")
        reader.read(4)
        sizes = reader.uint(1)
        reader.read(sum([size + 3 for size in (sizes >> 4, sizes & 15) if size]))
        number_size = (flags & 3) + 1
    else:
        if not flags & _VERSION_BIT or flags & _RESET_BIT:
            raise ParseError("gquic-header")
        reader.read(12 if flags & _ID_BIT else 4)
        number_size = _NUMBER_SIZES[flags >> 4 & 3]
    reader.read(number_size + _HASH)
    if version <= _LAST_WITH_ENTROPY:
        private = reader.uint(1)
        if private & _FEC:
            raise ParseError("gquic-header")
        if private & _FEC_GROUP:
            reader.read(1)
    return ClearPacket(version, number_size, reader.pos)


def handshake_pieces(datagram: bytes, packet: ClearPacket) -> list[tuple[int, bytes]]:
    """Offset and content of each STREAM frame of the handshake stream.

    The iteration ends at the first frame that is unknown or exceeds the packet. That is no
    anomaly, because encrypted packets look like this.
    """
    reader = _FrameReader(datagram, packet)
    pieces: list[tuple[int, bytes]] = []
    try:
        while reader.remaining:
            piece = reader.frame()
            if piece is not None:
                pieces.append(piece)
    except ParseError:
        pass
    return pieces


class _FrameReader(Reader):
    """Reads frames; numbers have the byte order of the version of the packet."""

    __slots__ = ("_entropy", "_number_size", "_order")

    def __init__(self, datagram: bytes, packet: ClearPacket) -> None:
        super().__init__(datagram, "gquic-frame", packet.frames)
        self._order: Literal["big", "little"] = (
            "big" if packet.version >= _FIRST_BIG_ENDIAN else "little"
        )
        self._entropy = packet.version <= _LAST_WITH_ENTROPY
        self._number_size = packet.number_size

    def number(self, size: int) -> int:
        return int.from_bytes(self.read(size), self._order)

    def frame(self) -> tuple[int, bytes] | None:
        """Read one frame; returns offset and content if it belongs to the handshake stream."""
        kind = self.uint(1)
        if kind & 0x80:
            return self._stream(kind)
        if kind & 0x40:
            self._skip_ack(kind)
        elif kind in _FIXED:
            self.read(_FIXED[kind])
        elif kind in _REASONED:
            self.read(_REASONED[kind])
            self.read(self.number(2))
        elif kind == _STOP_WAITING:
            self.read(self._number_size + self._entropy)
        else:
            raise ParseError(self.anomaly)
        return None

    def _stream(self, kind: int) -> tuple[int, bytes] | None:
        stream = self.number((kind & 3) + 1)
        size = kind >> 2 & 7
        offset = self.number(size + 1) if size else 0
        data = self.read(self.number(2) if kind & 0x20 else self.remaining)
        return (offset, data) if stream == HANDSHAKE_STREAM else None

    def _skip_ack(self, kind: int) -> None:
        largest, block = _NUMBER_SIZES[kind >> 2 & 3], _NUMBER_SIZES[kind & 3]
        if self._entropy:
            self.read(1 + largest + 2)
            self._skip_times()
            if kind & 0x20:
                self.read(self.uint(1) * (block + 1))
                self.read(self.uint(1) * largest)
        else:
            self.read(largest + 2)
            blocks = self.uint(1) if kind & 0x20 else 0
            self.read(block + blocks * (1 + block))
            self._skip_times()

    def _skip_times(self) -> None:
        times = self.uint(1)
        if times:
            self.read(5 + 3 * (times - 1))
