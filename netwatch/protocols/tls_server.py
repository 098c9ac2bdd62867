"""The first flight of a TLS server: the names in its certificate.

Up to TLS 1.2, a server sends its certificate unencrypted after its ServerHello (RFC 5246 section
7.4.2), in any number of records. Since TLS 1.3 everything after the ServerHello is encrypted, and a
resumed session has no certificate; in these cases the ServerHello is the whole message.
"""

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName, TlsInfo
from netwatch.core.names import escape_bytes
from netwatch.protocols.reader import Reader
from netwatch.protocols.tls import MAX_RECORD, version_text

MAX_FLIGHT = 65536
"""Maximum number of handshake bytes to read."""
MAX_BETWEEN = 4
"""Maximum number of messages to skip between ServerHello and Certificate; the RFCs allow none."""

_HANDSHAKE = 22
_SERVER_HELLO, _NEW_SESSION_TICKET, _CERTIFICATE, _STATUS = 2, 4, 11, 22
_ALPN, _VERSIONS = 16, 43
_TLS_13, _TLS_13_DRAFT = 0x0304, 0x7F

_Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
_NO_NAMES: _Names = ((), (), ())


def parse(data: bytes, last: bool = False) -> Message:
    """Parse the handshake of a server in the records at the start of `data`.

    It shows ``tls-cert`` for each name in the certificate of the server, the first one in its list
    (see `netwatch.protocols.certificate`); the client is the destination of the packet. The message
    is returned when this certificate is complete. It has no names if the ServerHello or
    HelloRetryRequest is TLS 1.3, or if another message comes instead of the certificate. `size` is
    the offset of the end of the records read, or the end of `data`.

    Raises `Incomplete` while bytes are missing. With `last`, a message without names is returned
    with the anomaly ``tls-server-cut`` if the ServerHello is complete; if not, that is a
    `ParseError`. Other errors: ``tls-not-a-server-hello``, ``tls-server-hello`` and
    ``tls-certificate-list`` (their parts exceed the message), ``tls-record-length``,
    ``tls-interleaved`` (another record within the ServerHello), ``tls-server-flight`` (longer than
    `MAX_FLIGHT`).
    """
    flight = _Flight(data)
    info: TlsInfo | None = None
    names: tuple[str, ...]
    anomalies: tuple[str, ...]
    raws: tuple[str, ...]
    try:
        kind, start, end = flight.message(0)
        if kind != _SERVER_HELLO:
            raise ParseError("tls-not-a-server-hello")
        flight.require(end)
        hello = Reader(bytes(flight.handshake), "tls-server-hello", start, end)
        version, info = _server_hello(hello)
        names, anomalies, raws = (
            _NO_NAMES if _is_encrypted_after_hello(version) else _certificate(flight, end)
        )
    except Incomplete:
        if not last:
            raise
        if info is None:
            raise ParseError("tls-server-cut") from None
        names, anomalies, raws = (), ("tls-server-cut",), ()
    shown = tuple(
        [ShownName("tls-cert", name, True, raw) for name, raw in zip(names, raws, strict=True)]
    )
    return Message(shown, min(flight.pos, len(data)), tls=info, anomalies=anomalies)


class _InterleavedError(ParseError):
    """A record of another type precedes the required handshake bytes."""


class _Flight:
    """The handshake bytes in the records of `data`, extracted when they are needed; `pos` is the
    offset of the next record."""

    __slots__ = ("data", "handshake", "pos")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.handshake = bytearray()
        self.pos = 0

    def require(self, size: int) -> None:
        """Extract at least `size` bytes. Raises `Incomplete`, `ParseError`, or `_InterleavedError`
        if a record of another type comes first."""
        if size > MAX_FLIGHT:
            raise ParseError("tls-server-flight")
        while len(self.handshake) < size:
            missing = size - len(self.handshake)
            if self.pos > len(self.data):
                behind = 5 if missing > self.pos - len(self.data) else 0
                raise Incomplete(len(self.data) + missing + behind)
            head = self.data[self.pos : self.pos + 5]
            if head[:1] not in (b"", b"\x16") or head[1:2] not in (b"", b"\x03"):
                if not self.pos:
                    raise ParseError("tls-not-a-server-hello")
                raise _InterleavedError("tls-interleaved")
            if len(head) < 5:
                raise Incomplete(self.pos + 5 + missing)
            length = int.from_bytes(head[3:5])
            if not 0 < length <= MAX_RECORD:
                raise ParseError("tls-record-length")
            self.handshake += self.data[self.pos + 5 : self.pos + 5 + length]
            self.pos += 5 + length

    def message(self, start: int) -> tuple[int, int, int]:
        """Type, offset of the body, and end of the handshake message at `start`."""
        self.require(start + 4)
        return (
            self.handshake[start],
            start + 4,
            start + 4 + int.from_bytes(self.handshake[start + 1 : start + 4]),
        )


def _server_hello(reader: Reader) -> tuple[int, TlsInfo]:
    """The version that a ServerHello selects (RFC 8446 section 4.1.3), and its content."""
    version = reader.uint(2)
    reader.read(32)
    reader.vector(1)
    reader.read(3)
    alpn: tuple[str, ...] = ()
    if reader.remaining:
        extensions = Reader(reader.vector(2), reader.anomaly)
        while extensions.remaining:
            kind = extensions.uint(2)
            body = Reader(extensions.vector(2), reader.anomaly)
            if kind == _VERSIONS:
                version = body.uint(2)
            elif kind == _ALPN:
                body.read(2)
                alpn = (escape_bytes(body.vector(1)),)
    return version, TlsInfo(version_text(version), alpn)


def _is_encrypted_after_hello(version: int) -> bool:
    """Whether everything after the ServerHello is encrypted: in TLS 1.3 and its drafts."""
    return version == _TLS_13 or version >> 8 == _TLS_13_DRAFT


def _certificate(flight: _Flight, start: int) -> _Names:
    """Names and anomalies of the certificate at `start`; none if there is another message."""
    try:
        kind, body, end = flight.message(start)
        for _ in range(MAX_BETWEEN):
            if kind not in (_NEW_SESSION_TICKET, _STATUS):
                break
            flight.require(end)
            kind, body, end = flight.message(end)
        if kind != _CERTIFICATE:
            return _NO_NAMES
        flight.require(min(end, body + 6))
        reader = Reader(bytes(flight.handshake[body : body + 6]), "tls-certificate-list")
        if reader.uint(3) == 0:
            return _NO_NAMES
        leaf = body + 6 + reader.uint(3)
        if leaf > end:
            raise ParseError("tls-certificate-list")
        flight.require(leaf)
    except _InterleavedError:
        return _NO_NAMES
    # The import is slow, and not every capture contains a certificate.
    from netwatch.protocols.certificate import host_names

    return host_names(bytes(flight.handshake[body + 6 : leaf]))
