"""HTTP/2 in clear (RFC 9113): the host of each request of a connection.

A client that knows its server speaks HTTP/2 starts with a preface, then frames; requests
are header blocks in HEADERS and CONTINUATION frames, compressed with HPACK (RFC 7541),
which the `hpack` package undoes. Its table runs through the connection, so that a request
can be read only after all that came before it: `Connection` is what has to be remembered.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName
from netwatch.core.names import normalise_name
from netwatch.protocols.http import host_of

if TYPE_CHECKING:
    from hpack import Decoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client's side of a connection starts with (RFC 9113 section 3.4)."""
MAX_FRAME = 65536
"""The longest frame that is passed over, in bytes; 16,384 unless the server grants more."""
MAX_BLOCK = 16384
"""The longest compressed header block that is read, in bytes."""
MAX_HEADERS = 65536
"""The longest header list that a block may grow to, in bytes (RFC 9113 section 6.5.2)."""
MAX_TABLE = 65536
"""The largest table that a client may ask for, in bytes (RFC 7541 section 4.2)."""
MAX_FRAMES = 256
"""Frames without a request that are read; clients send a handful before their first."""
MAX_REQUESTS = 1024
"""Requests that are read from one connection."""
MAX_NAME = 255
"""The longest host that is taken, in bytes."""

_HEADERS, _CONTINUATION = 1, 9
_END_HEADERS, _PADDED, _PRIORITY = 0x04, 0x08, 0x20


def new_conversation() -> Callable[[bytes, bool], Message]:
    """A parser for the client's side of a new connection: `Connection.read`."""
    return Connection().read


class Connection:
    """One client's side of a connection, from its preface on. No clock, no socket."""

    __slots__ = (
        "_block",
        "_decoder",
        "_done",
        "_frames",
        "_names",
        "_pos",
        "_requests",
        "_stream",
    )

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._block = bytearray()
        self._stream: int | None = None
        self._names: dict[str, None] = {}
        self._requests = self._frames = 0
        # how many of the bytes that are not done with are read
        self._pos = 0
        self._done = False

    def read(self, data: bytes, last: bool = False) -> Message:
        """The whole frames at the start of `data`, which starts at the preface, later where
        the message before ended, and may have grown since that was not done with.

        Shows ``http-host`` for the host of each ``:authority``, which CONNECT has too
        (RFC 9113 sections 8.3.1 and 8.5), or of ``host`` where there is none; each name
        once a connection, without port. `size` runs to the end of the last whole frame.
        Raises `Incomplete` until the first header block is whole, later until a frame is.

        What goes wrong ends the reading: behind a request in `data` as an anomaly, else as a
        `ParseError`: ``http2-preface``, ``http2-frame-size``, ``http2-padding``,
        ``http2-continuation`` (another frame inside of a header block), ``http2-block``
        (longer than `MAX_BLOCK`), ``http2-hpack`` (not HPACK, or grows beyond
        `MAX_HEADERS`), ``http2-frames`` (no request in the first `MAX_FRAMES`),
        ``http2-cut`` (no request is whole, with `last`). The last request that is read of a
        connection has the anomaly ``http2-requests``.
        """
        before, known = self._requests, len(self._names)
        anomalies: dict[str, None] = {}
        try:
            if not self._frames and not self._pos:
                self._preface(data)
            while not self._done:
                self._frame(data, anomalies)
        except Incomplete:
            if last and not self._requests:
                raise ParseError("http2-cut") from None
            if not last and not (self._requests and self._pos):
                raise
            self._done = last
        except ParseError as error:
            if self._requests == before:
                raise
            anomalies[error.anomaly] = None
            self._done = True
        size, self._pos = len(data) if self._done else self._pos, 0
        shown = tuple([ShownName("http-host", name) for name in [*self._names][known:]])
        return Message(shown, size, anomalies=tuple(anomalies))

    def _preface(self, data: bytes) -> None:
        start = data[: len(PREFACE)]
        if start != PREFACE[: len(start)]:
            raise ParseError("http2-preface")
        if len(start) < len(PREFACE):
            raise Incomplete(len(PREFACE) + 9)
        self._pos = len(PREFACE)

    def _frame(self, data: bytes, anomalies: dict[str, None]) -> None:
        """Read one frame (RFC 9113 section 4.1). Raises `Incomplete`, `ParseError`."""
        start = self._pos + 9
        head = data[self._pos : start]
        if len(head) < 9:
            raise Incomplete(start)
        length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        stream = int.from_bytes(head[5:]) & 0x7FFFFFFF
        if length > MAX_FRAME:
            raise ParseError("http2-frame-size")
        goes_on = self._stream is not None
        if goes_on != (kind == _CONTINUATION) or (goes_on and stream != self._stream):
            raise ParseError("http2-continuation")
        end = start + length
        if len(data) < end:
            raise Incomplete(end)
        self._frames += 1
        if self._frames > MAX_FRAMES and not self._requests:
            raise ParseError("http2-frames")
        if kind in (_HEADERS, _CONTINUATION):
            self._stream = stream
            self._block += _fragment(data[start:end], kind, flags)
            if len(self._block) > MAX_BLOCK:
                raise ParseError("http2-block")
            if flags & _END_HEADERS:
                self._request(anomalies)
        self._pos = end

    def _request(self, anomalies: dict[str, None]) -> None:
        """Read the header block that is whole now; trailers come the same way, without an
        authority."""
        # Its import is dear, and not every capture has HTTP/2 in clear.
        from hpack import Decoder, HPACKError

        if self._decoder is None:
            self._decoder = Decoder(MAX_HEADERS)
            self._decoder.max_allowed_table_size = MAX_TABLE
        try:
            fields = self._decoder.decode(bytes(self._block), raw=True)
        except HPACKError:
            raise ParseError("http2-hpack") from None
        self._block.clear()
        self._stream = None
        self._requests += 1
        if self._requests == MAX_REQUESTS:
            self._done = True
            anomalies["http2-requests"] = None
        values: dict[bytes, bytes] = {}
        for name, value in fields:
            values.setdefault(bytes(name), bytes(value))
        authority = values.get(b":authority") or values.get(b"host") or b""
        raw = host_of(authority)
        if len(raw) > MAX_NAME:
            anomalies["http-host-length"] = None
            return
        host = normalise_name(raw)
        if host:
            self._names[host] = None


def _fragment(payload: bytes, kind: int, flags: int) -> bytes:
    """The piece of a header block in a frame's payload (RFC 9113 sections 6.2, 6.10)."""
    if kind == _CONTINUATION:
        return payload
    start, end = 0, len(payload)
    if flags & _PADDED:
        start = 1
        end -= payload[0] if payload else 1
    if flags & _PRIORITY:
        start += 5
    if start > end:
        raise ParseError("http2-padding")
    return payload[start:end]
