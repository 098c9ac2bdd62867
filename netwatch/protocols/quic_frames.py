# cython: language_level=3
"""What an opened Initial packet holds: frames, and the handshake bytes among them.

An Initial may carry PADDING, PING, ACK, CRYPTO and CONNECTION_CLOSE (RFC 9000 section
17.2.2), and Chromium cuts its ClientHello into CRYPTO frames in shuffled order, over two
or more packets. `CryptoStream` puts them together again, within bounds.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import ParseError

if not cython.compiled:
    from netwatch.protocols.reader import Reader
else:
    from cython.cimports.netwatch.protocols.reader import Reader

MAX_CRYPTO = 65536
"""Bytes of handshake that are kept in order, and as many that wait for some before them."""
MAX_PIECES = 256
"""Pieces that may wait."""

_PING = cython.declare(cython.int, 1)
_ACK = cython.declare(cython.int, 2)
_ACK_ECN = cython.declare(cython.int, 3)
_CLOSE = cython.declare(cython.int, 0x1C)


@cython.cclass
class CryptoStream:
    """The bytes that CRYPTO frames carry, in order of their offsets, as far as there is
    no gap: `head`. Bytes that come twice count as they came first. `limit` and `overlap`
    are its anomalies, which another protocol that it serves calls by names of its own."""

    __slots__ = ("_held", "_limit", "_overlap", "_waiting", "head")

    def __init__(
        self, limit: str = "quic-crypto-limit", overlap: str = "quic-crypto-overlap"
    ) -> None:
        self.head = bytearray()
        self._limit = limit
        self._overlap = overlap
        self._waiting: dict[int, bytes] = {}
        self._held = 0

    def add(self, offset: int, data: bytes) -> str | None:
        """Take `data`, which belongs at `offset`; returns an anomaly where there is one: that
        of the limit (not taken), or of an overlap (other bytes were there before)."""
        if offset + len(data) > MAX_CRYPTO:
            return self._limit
        if offset > len(self.head):
            more = len(data) - len(self._waiting.get(offset, b""))
            if more > 0:
                if len(self._waiting) >= MAX_PIECES or self._held + more > MAX_CRYPTO:
                    return self._limit
                self._waiting[offset] = data
                self._held += more
            return None
        agrees = self.append(offset, data)
        while self._waiting:
            first = min(self._waiting)
            if first > len(self.head):
                break
            piece = self._waiting.pop(first)
            self._held -= len(piece)
            agrees &= self.append(first, piece)
        return None if agrees else self._overlap

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def append(self, offset: cython.Py_ssize_t, data: bytes) -> cython.bint:
        """Take bytes that leave no gap; false where others were there before."""
        if offset == len(self.head):
            self.head += data
            return True
        had = self.head[offset : offset + len(data)]
        self.head += data[len(had) :]
        return data.startswith(had)


def read_frames(frames: bytes, stream: CryptoStream, crypto: int = 6) -> list[str]:
    """Put what the CRYPTO frames (type `crypto`) in one packet's `frames` carry into `stream`.

    Returns anomalies: those of `CryptoStream.add`, ``quic-frame`` for a frame that runs
    out of the packet, ``quic-frame-type`` for one that an Initial must not carry; both
    end the walk, and what was before them counts.
    """
    anomalies: list[str] = []
    reader: Reader = Reader(frames, "quic-frame")
    kind: cython.longlong
    offset: cython.longlong
    try:
        while True:
            while reader.pos < reader.end and frames[reader.pos] <= _PING:
                reader.pos += 1
            if reader.pos >= reader.end:
                break
            kind = reader.varint()
            if kind == crypto:
                offset = reader.varint()
                anomaly = stream.add(offset, reader.take(reader.varint()))
                if anomaly:
                    anomalies.append(anomaly)
            elif kind in (_ACK, _ACK_ECN):
                _skip_ack(reader, kind == _ACK_ECN)
            elif kind == _CLOSE:
                reader.varint()
                reader.varint()
                reader.take(reader.varint())
            else:
                raise ParseError("quic-frame-type")
    except ParseError as error:
        anomalies.append(error.anomaly)
    return anomalies


@cython.cfunc
def _skip_ack(reader: Reader, ecn: bool) -> None:
    reader.varint()
    reader.varint()
    ranges = reader.varint()
    for _ in range(1 + 2 * ranges + (3 if ecn else 0)):
        reader.varint()
