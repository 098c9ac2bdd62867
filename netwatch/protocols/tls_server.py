"""The server's first flight of TLS: the names in its certificate.

Up to TLS 1.2 a server shows its certificate in clear (RFC 5246 section 7.4.2), behind its
ServerHello, in as many records as it likes. From TLS 1.3 on everything behind the
ServerHello is encrypted, and a handshake that resumes another has no certificate: then
there is nothing to wait for.
"""

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName, TlsInfo
from netwatch.core.names import escape_bytes
from netwatch.protocols.reader import Reader
from netwatch.protocols.tls import MAX_RECORD, version_text

MAX_FLIGHT = 65536
"""Handshake bytes that are read, at most."""
MAX_BETWEEN = 4
"""Messages that are passed over between ServerHello and Certificate; the RFCs know none."""

_HANDSHAKE = 22
_SERVER_HELLO, _NEW_SESSION_TICKET, _CERTIFICATE, _STATUS = 2, 4, 11, 22
_ALPN, _VERSIONS = 16, 43
_TLS_13, _TLS_13_DRAFT = 0x0304, 0x7F

_Names = tuple[tuple[str, ...], tuple[str, ...]]
_NOTHING: _Names = ((), ())


def parse(data: bytes, last: bool = False) -> Message:
    """The server's handshake in the records at the start of `data`, as far as it is of use.

    Shows ``tls-cert`` for each name in the server's own certificate, the first of its
    list (see `netwatch.protocols.certificate`), to the client that the packet goes to.
    The message is given as soon as that certificate is whole; at once, and with no name,
    for a ServerHello or HelloRetryRequest of TLS 1.3; with no name, where something else
    comes in the certificate's place. `size` runs to the end of the records read, or of
    `data`.

    Raises `Incomplete` while bytes are missing; with `last` what is there is given with
    the anomaly ``tls-server-cut`` if the ServerHello is whole, and that is a `ParseError`
    if not. Other errors: ``tls-not-a-server-hello``, ``tls-server-hello`` and
    ``tls-certificate-list`` (their parts do not fit), ``tls-record-length``,
    ``tls-interleaved`` (another record within the ServerHello), ``tls-server-flight``
    (longer than `MAX_FLIGHT`).
    """
    flight = _Flight(data)
    info: TlsInfo | None = None
    names: tuple[str, ...]
    anomalies: tuple[str, ...]
    try:
        kind, start, end = flight.message(0)
        if kind != _SERVER_HELLO:
            raise ParseError("tls-not-a-server-hello")
        flight.want(end)
        hello = Reader(bytes(flight.handshake), "tls-server-hello", start, end)
        version, info = _server_hello(hello)
        names, anomalies = _NOTHING if _encrypts(version) else _certificate(flight, end)
    except Incomplete:
        if not last:
            raise
        if info is None:
            raise ParseError("tls-server-cut") from None
        names, anomalies = (), ("tls-server-cut",)
    shown = tuple([ShownName("tls-cert", name, client_is_destination=True) for name in names])
    return Message(shown, min(flight.pos, len(data)), tls=info, anomalies=anomalies)


class _InterleavedError(ParseError):
    """Another kind of record comes before the handshake bytes that are wanted."""


class _Flight:
    """The handshake bytes in the records of `data`, taken out as they are wanted: `pos` is
    where the record behind those taken starts."""

    __slots__ = ("data", "handshake", "pos")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.handshake = bytearray()
        self.pos = 0

    def want(self, size: int) -> None:
        """Have `size` bytes of handshake at hand. Raises `Incomplete`, `ParseError`, or
        `_InterleavedError` where a record of another kind comes first."""
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
        """Type, start of the body and end of the handshake message at `start`."""
        self.want(start + 4)
        return (
            self.handshake[start],
            start + 4,
            start + 4 + int.from_bytes(self.handshake[start + 1 : start + 4]),
        )


def _server_hello(reader: Reader) -> tuple[int, TlsInfo]:
    """The version that a ServerHello selects (RFC 8446 section 4.1.3), and what it tells."""
    version = reader.uint(2)
    reader.take(32)
    reader.vector(1)
    reader.take(3)
    alpn: tuple[str, ...] = ()
    if reader.left:
        extensions = Reader(reader.vector(2), reader.anomaly)
        while extensions.left:
            kind = extensions.uint(2)
            body = Reader(extensions.vector(2), reader.anomaly)
            if kind == _VERSIONS:
                version = body.uint(2)
            elif kind == _ALPN:
                body.take(2)
                alpn = (escape_bytes(body.vector(1)),)
    return version, TlsInfo(version_text(version), alpn)


def _encrypts(version: int) -> bool:
    """Whether all behind the ServerHello is encrypted: in TLS 1.3 and its drafts."""
    return version == _TLS_13 or version >> 8 == _TLS_13_DRAFT


def _certificate(flight: _Flight, start: int) -> _Names:
    """Names and anomalies of the certificate that follows at `start`; none where another
    message comes in its place."""
    try:
        kind, body, end = flight.message(start)
        for _ in range(MAX_BETWEEN):
            if kind not in (_NEW_SESSION_TICKET, _STATUS):
                break
            flight.want(end)
            kind, body, end = flight.message(end)
        if kind != _CERTIFICATE:
            return _NOTHING
        flight.want(min(end, body + 6))
        reader = Reader(bytes(flight.handshake[body : body + 6]), "tls-certificate-list")
        if reader.uint(3) == 0:
            return _NOTHING
        leaf = body + 6 + reader.uint(3)
        if leaf > end:
            raise ParseError("tls-certificate-list")
        flight.want(leaf)
    except _InterleavedError:
        return _NOTHING
    # What it imports is dear, and not every capture has a certificate.
    from netwatch.protocols.certificate import host_names

    return host_names(bytes(flight.handshake[body + 6 : leaf]))
