"""HTTP/2 in clear (RFC 9113): the host of each request at the start of a connection.

A client that knows its server speaks HTTP/2 starts with a preface, then frames; requests
are header blocks in HEADERS and CONTINUATION frames, compressed with HPACK (RFC 7541),
which the `hpack` package undoes. Its table runs through the connection, so that only the
requests from the preface on, as far as the bytes go, can be read.
"""

from typing import TYPE_CHECKING

from netwatch.errors import Incomplete, ParseError
from netwatch.model import Message, Shown
from netwatch.names import normalise
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
"""Frames that are read; clients send a handful before their first request."""
MAX_REQUESTS = 64
"""Requests that are read from one connection."""
MAX_NAME = 255
"""The longest host that is taken, in bytes."""

_HEADERS, _CONTINUATION = 1, 9
_END_HEADERS, _PADDED, _PRIORITY = 0x04, 0x08, 0x20


def parse(data: bytes, last: bool = False) -> Message:
    """The requests in the whole frames at the start of `data`, which starts at the preface.

    Shows ``http-host`` for the host of each ``:authority``, which CONNECT has too
    (RFC 9113 sections 8.3.1 and 8.5), or of ``host`` where there is none; each name once,
    without port. `size` runs to the end of the last whole frame, short of a header block
    that goes on behind `data`. Raises `Incomplete` until the first header block is whole.

    What goes wrong behind a request ends the reading and is an oddity, else a
    `ParseError`: ``http2-preface``, ``http2-frame-size``, ``http2-padding``,
    ``http2-continuation`` (another frame inside of a header block), ``http2-block``
    (longer than `MAX_BLOCK`), ``http2-hpack`` (not HPACK, or grows beyond `MAX_HEADERS`),
    ``http2-frames`` (no request in the first `MAX_FRAMES`), ``http2-cut`` (no request is
    whole, with `last`).
    """
    start = data[: len(PREFACE)]
    if start != PREFACE[: len(start)]:
        raise ParseError("http2-preface")
    if len(start) < len(PREFACE):
        if last:
            raise ParseError("http2-cut")
        raise Incomplete(len(PREFACE) + 9)
    requests = _Requests(data)
    try:
        for _ in range(MAX_FRAMES):
            requests.frame()
            if requests.count == MAX_REQUESTS:
                break
    except Incomplete:
        if not requests.count:
            if last:
                raise ParseError("http2-cut") from None
            raise
    except ParseError as error:
        if not requests.count:
            raise
        requests.oddities[error.oddity] = None
    if not requests.count:
        raise ParseError("http2-frames")
    shown = tuple([Shown("http-host", name) for name in requests.names])
    return Message(shown, requests.size, oddities=tuple(requests.oddities))


class _Requests:
    """The requests read so far: their names, how many, and where the frames behind the
    last that is done with start."""

    __slots__ = (
        "_block",
        "_data",
        "_decoder",
        "_pos",
        "_stream",
        "count",
        "names",
        "oddities",
        "size",
    )

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._decoder: Decoder | None = None
        self._pos = self.size = len(PREFACE)
        self._block = bytearray()
        self._stream: int | None = None
        self.names: dict[str, None] = {}
        self.oddities: dict[str, None] = {}
        self.count = 0

    def frame(self) -> None:
        """Read one frame (RFC 9113 section 4.1). Raises `Incomplete`, `ParseError`."""
        start = self._pos + 9
        head = self._data[self._pos : start]
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
        if len(self._data) < end:
            raise Incomplete(end)
        if kind in (_HEADERS, _CONTINUATION):
            self._stream = stream
            self._block += _fragment(self._data[start:end], kind, flags)
            if len(self._block) > MAX_BLOCK:
                raise ParseError("http2-block")
            if flags & _END_HEADERS:
                self._request()
        self._pos = end
        if self._stream is None:
            self.size = end

    def _request(self) -> None:
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
        self.count += 1
        values: dict[bytes, bytes] = {}
        for name, value in fields:
            values.setdefault(bytes(name), bytes(value))
        authority = values.get(b":authority") or values.get(b"host") or b""
        raw = host_of(authority)
        if len(raw) > MAX_NAME:
            self.oddities["http-host-length"] = None
            return
        host = normalise(raw)
        if host:
            self.names[host] = None


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
