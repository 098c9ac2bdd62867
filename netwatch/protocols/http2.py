"""Unencrypted HTTP/2 (RFC 9113): the host of each request of a connection.

A client with prior knowledge of HTTP/2 starts with a preface, then frames. Requests are field
blocks in HEADERS and CONTINUATION frames, compressed with HPACK (RFC 7541), which the `hpack`
package decompresses. HPACK's dynamic table spans the connection, so a request can only be read
after all earlier ones: `Connection` is this state.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName
from netwatch.core.names import normalise_name, raw_name
from netwatch.protocols.http import host_of

if TYPE_CHECKING:
    from hpack import Decoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The first bytes that a client sends (RFC 9113 section 3.4)."""
MAX_FRAME = 65536
"""The longest frame that is accepted, in bytes; the default maximum of HTTP/2 is 16,384."""
MAX_BLOCK = 16384
"""The longest compressed field block that is read, in bytes."""
MAX_HEADERS = 65536
"""The longest decompressed field section, in bytes (RFC 9113 section 6.5.2)."""
MAX_TABLE = 65536
"""The largest dynamic table that a client may use, in bytes (RFC 7541 section 4.2)."""
MAX_FRAMES = 256
"""Maximum number of frames before the first request; clients send a handful."""
MAX_REQUESTS = 1024
"""Maximum number of requests that are read per connection."""
MAX_NAME = 255
"""The longest host that is accepted, in bytes."""

_HEADERS, _CONTINUATION = 1, 9
_END_HEADERS, _PADDED, _PRIORITY = 0x04, 0x08, 0x20


def new_conversation() -> Callable[[bytes, bool], Message]:
    """A parser for the client's side of a new connection: `Connection.read`."""
    return Connection().read


class Connection:
    """The bytes that the client of one connection sends, from its preface on. It has no clock and
    no socket."""

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
        self._names: dict[str, str] = {}
        self._requests = self._frames = 0
        # The offset of the next frame in the bytes that `read` has not reported as processed.
        self._pos = 0
        self._done = False

    def read(self, data: bytes, last: bool = False) -> Message:
        """Parse the complete frames at the start of `data`.

        `data` starts at the preface, in later calls at the end of the previous message; after
        `Incomplete` it is the same data with more bytes. The frames show ``http-host`` for the host
        of each ``:authority``, which CONNECT has too (RFC 9113 sections 8.3.1 and 8.5), or
        otherwise of ``host``; each name once per connection, without port. `size` is the offset of
        the end of the last complete frame. Raises `Incomplete` until the first field block is
        complete, in later calls until a frame is.

        An error ends the reading of the connection. After a request in `data` it is an anomaly,
        otherwise a `ParseError`: ``http2-preface``, ``http2-frame-size``, ``http2-padding``,
        ``http2-continuation`` (another frame within a field block), ``http2-block`` (longer than
        `MAX_BLOCK`), ``http2-hpack`` (invalid, or larger than `MAX_HEADERS`), ``http2-frames`` (no
        request in the first `MAX_FRAMES`), ``http2-cut`` (no complete request, with `last`). The
        last request to be read in a connection has the anomaly ``http2-requests``.
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
        shown = tuple(
            [
                ShownName("http-host", name, False, raw)
                for name, raw in [*self._names.items()][known:]
            ]
        )
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
        continues = self._stream is not None
        if continues != (kind == _CONTINUATION) or (continues and stream != self._stream):
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
        """Read a complete field block. Trailers are field blocks too, without an authority."""
        # The import is slow, and few captures contain unencrypted HTTP/2.
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
            self._names.setdefault(host, raw_name(raw, host))


def _fragment(payload: bytes, kind: int, flags: int) -> bytes:
    """The fragment of a field block in the payload of a frame (RFC 9113 sections 6.2 and 6.10)."""
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
