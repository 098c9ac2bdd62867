# cython: language_level=3
"""A client's handshake bytes, reassembled from pieces with offsets, with limited memory.

QUIC has them in CRYPTO frames, DTLS in fragments, and Google's QUIC in a stream. Chromium splits
its ClientHello into CRYPTO frames in shuffled order, in two or more packets.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

MAX_CRYPTO = 65536
"""Maximum number of handshake bytes to store in order, and out of order."""
MAX_PIECES = 256
"""Maximum number of pieces to store out of order."""


@cython.cclass
class CryptoStream:
    """The bytes of pieces, ordered by their offsets; `contiguous` has the bytes up to the first
    gap. Of bytes that arrive twice, the first ones count; in a stream that `is_newest`, the last
    ones. One that `keeps_others` has those that do not count in `others`, with their offsets.

    `limit_anomaly` and `overlap_anomaly` are the names of its anomalies, which differ for other
    protocols that use this class.
    """

    __slots__ = (
        "_limit_anomaly",
        "_out_of_order",
        "_out_of_order_bytes",
        "_overlap_anomaly",
        "contiguous",
        "is_newest",
        "keeps_others",
        "others",
    )

    def __init__(
        self,
        limit_anomaly: str = "quic-crypto-limit",
        overlap_anomaly: str = "quic-crypto-overlap",
        *,
        is_newest: bool = False,
        keeps_others: bool = False,
    ) -> None:
        self.is_newest = is_newest
        self.keeps_others = keeps_others
        self.others: list[tuple[int, bytes]] = []
        self.contiguous = bytearray()
        self._limit_anomaly = limit_anomaly
        self._overlap_anomaly = overlap_anomaly
        self._out_of_order: dict[int, bytes] = {}
        self._out_of_order_bytes = 0

    def add(self, offset: int, data: bytes) -> str | None:
        """Add the bytes at `offset`. Returns an anomaly if the limit was exceeded (the bytes are
        not added) or if other bytes were already received for the same offset, otherwise None."""
        if offset + len(data) > MAX_CRYPTO:
            return self._limit_anomaly
        if offset > len(self.contiguous):
            known = self._out_of_order.get(offset, b"")
            more = max(0, len(data) - len(known))
            if more and (
                len(self._out_of_order) >= MAX_PIECES
                or self._out_of_order_bytes + more > MAX_CRYPTO
            ):
                return self._limit_anomaly
            used, rest = (data, known) if self.is_newest else (known, data)
            self._out_of_order[offset] = used + rest[len(used) :]
            self._out_of_order_bytes += more
            if known[: len(data)] == data[: len(known)]:
                return None
            self.keep_other(offset, data)
            return self._overlap_anomaly
        consistent = self.append(offset, data)
        while self._out_of_order:
            first = min(self._out_of_order)
            if first > len(self.contiguous):
                break
            piece = self._out_of_order.pop(first)
            self._out_of_order_bytes -= len(piece)
            consistent &= self.append(first, piece)
        return None if consistent else self._overlap_anomaly

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def append(self, offset: cython.Py_ssize_t, data: bytes) -> cython.bint:
        """Append bytes without a gap; false if they differ from bytes received before."""
        if offset == len(self.contiguous):
            self.contiguous += data
            return True
        before = self.contiguous[offset : offset + len(data)]
        self.contiguous += data[len(before) :]
        if data.startswith(before):
            return True
        if self.is_newest:
            self.contiguous[offset : offset + len(before)] = data[: len(before)]
        self.keep_other(offset, data)
        return False

    @cython.cfunc
    def keep_other(self, offset: cython.Py_ssize_t, data: bytes) -> None:
        """Keep bytes that do not count."""
        if self.keeps_others and not self.is_newest:
            self.others.append((offset, data))

    def take_others(self, read: int) -> "CryptoStream":
        """A stream of the bytes that arrived last: with `others` in their places, and without the
        first bytes that were `read`. They are then no longer kept."""
        stream = CryptoStream(self._limit_anomaly, self._overlap_anomaly, is_newest=True)
        stream._out_of_order = dict(self._out_of_order)
        stream._out_of_order_bytes = self._out_of_order_bytes
        stream.add(read, bytes(self.contiguous[read:]))
        for offset, data in self.others:
            stream.add(offset, data)
        self.others.clear()
        return stream

    @property
    def is_empty(self) -> bool:
        """Whether there are no bytes."""
        return not self.contiguous and not self._out_of_order

    def on(self, base: bytes) -> bytes:
        """The bytes of this stream, with those of `base` for the gaps."""
        joined = bytearray(base)
        for offset, data in [*sorted(self._out_of_order.items()), (0, bytes(self.contiguous))]:
            if offset <= len(joined):
                joined[offset : offset + len(data)] = data
        return bytes(joined)
