"""Google QUIC with QUIC Crypto, Q024 to Q050: the CHLO in the first packets of a client.

Up to Q046 these packets are unencrypted. In Q050 they are protected as in IETF QUIC, and
`netwatch.protocols.quic` decrypts them. T050 and T051 carry TLS and are read only by that module.
Q047 to Q049 were never deployed and are not read.

Before Q050, the packets of a handshake are not encrypted but hashed: the header is followed by 12
bytes of hash, then frames. Up to Q043 the header is Google's public header ("QUIC Wire Layout
Specification", Hamilton et al., 2016), in Q044 and Q046 it is a long header of the IETF drafts of
that time. Numbers are little-endian up to Q038. Handshake messages are sent on stream 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, QuicInfo
from netwatch.protocols import quic
from netwatch.protocols.chlo import TAG, chlo
from netwatch.protocols.crypto_stream import MAX_CRYPTO, CryptoStream
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

MAX_PIECES = 16
"""Maximum number of pieces of the handshake to store before the start of the hello."""

_PROTECTED = b"Q050"


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

    Raises `ParseError` ``gquic-header`` if its version does not have unencrypted packets.
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

    The iteration ends at the first frame that is unknown or exceeds the packet. That is not an
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
    """Reads frames; numbers have the byte order of the packet's version."""

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


class ClientHandshake:
    """The handshake of one client, read from the datagrams that it sends.

    It has no clock and no socket. It stores at most 64 KiB of handshake bytes in order and 64 KiB
    out of order, and for Q050 the same as a `quic.ClientHandshake`.
    """

    __slots__ = ("_anomalies", "_base", "_done", "_early", "_protected", "_stream", "_version")

    def __init__(self, is_uninteresting: Callable[[bytes], bool] | None = None) -> None:
        """`is_uninteresting` is as in `quic.ClientHandshake`, and is not used here."""
        self._protected: quic.ClientHandshake | None = None
        self._stream = CryptoStream("gquic-stream-limit", "gquic-stream-overlap")
        self._early: list[tuple[int, bytes]] = []
        self._base = -1
        self._version = ""
        self._anomalies: dict[str, None] = {}
        self._done = False

    @property
    def done(self) -> bool:
        """Whether its CHLO was returned or rejected, so that no message will follow."""
        return self._done

    @property
    def unread(self) -> bool:
        """Whether another hello than the returned one could not be read: not known."""
        return False

    def remember(self, hello: bytes) -> None:
        """Does nothing: hellos are not read elsewhere."""

    def answered(self) -> None:
        """The server has answered; the client may then send its hello again."""

    def feed(self, datagram: bytes) -> Message | None:
        """Read the packet in one UDP payload of the client.

        Returns the message once, when the CHLO is complete, otherwise None. It shows ``quic-sni``
        for the server's name; `size` is the size of the datagram. A client sends another CHLO after
        each rejection; all have the same name, and the first one in the capture is returned.

        Raises `ParseError` if nothing in the datagram can be read: ``gquic-header``,
        ``gquic-no-handshake`` (most often because it is encrypted), an error of
        `quic.ClientHandshake` for Q050, or an error of `chlo`, which ends the handshake.
        """
        if self._done:
            return None
        if version_of(datagram) == _PROTECTED:
            self._protected = self._protected or quic.ClientHandshake()
            found = self._protected.feed(datagram)
            self._done = self._protected.done
            return found
        packet = clear_packet(datagram)
        pieces = handshake_pieces(datagram, packet)
        if not pieces:
            raise ParseError("gquic-no-handshake")
        self._version = f"Q{packet.version:03}"
        for offset, data in pieces:
            self._add(offset, data)
        return self._hello(len(datagram), last=False) if self._base >= 0 else None

    def finish(self) -> Message | None:
        """The message of a CHLO that never became complete, of size 0 and with the anomaly
        ``gquic-hello-cut``; None if its name is missing."""
        found = None
        if not self._done and self._protected is not None:
            found = self._protected.finish()
        if not self._done and found is None and self._base >= 0:
            try:
                found = self._hello(0, last=True)
            except ParseError:
                found = None
        self._done = True
        return found

    def _add(self, offset: int, data: bytes) -> None:
        """Add bytes of the handshake. The capture may have started after the first CHLO, so the
        hello starts at the first CHLO in the capture and not necessarily at offset 0."""
        if self._base < 0:
            start = data[: len(TAG)]
            if start != TAG and (offset or not TAG.startswith(start)):
                if len(self._early) < MAX_PIECES:
                    self._early.append((offset, data))
                else:
                    self._anomalies["gquic-stream-limit"] = None
                return
            self._base = offset
            early, self._early = self._early, []
            for piece in early:
                self._add(*piece)
        if self._base <= offset < self._base + MAX_CRYPTO:
            anomaly = self._stream.add(offset - self._base, data)
            if anomaly:
                self._anomalies[anomaly] = None

    def _hello(self, size: int, last: bool) -> Message | None:
        try:
            found = chlo(
                bytes(self._stream.contiguous),
                last,
                size,
                QuicInfo(self._version),
                tuple(self._anomalies),
            )
        except Incomplete:
            return None
        except ParseError:
            self._done = True
            raise
        self._done = True
        return found
