"""The TLS ClientHello, whatever carries it: records, QUIC, DTLS.

RFC 8446 section 4.1.2 and RFC 5246 section 7.4.1.2 have one layout; what a ClientHello
shows lies in its extensions. Extensions come in any order (Chromium shuffles them), so a
hello that was cut is worth reading as far as it goes.
"""

import struct
from dataclasses import dataclass

from netwatch.errors import Incomplete, ParseError
from netwatch.names import normalise
from netwatch.protocols import ech
from netwatch.protocols.reader import Reader

MAX_HELLO = 65536
"""The longest ClientHello that is read, in bytes; real ones have less than 4,000."""
MAX_SERVER_NAMES = 8
"""Names taken from one hello; RFC 6066 section 3 allows one."""
MAX_NAME = 255
"""The longest server name that is taken, in bytes; a host name ends there."""

GREASE = frozenset((n << 8 | n) for n in range(0x0A, 0x100, 0x10))
"""Reserved values that mean nothing (RFC 8701 section 2)."""

_SERVER_NAME, _SIGNATURES, _ALPN, _VERSIONS, _ECH = 0, 13, 16, 43, 0xFE0D
_HOST_NAME = 0

_extension = struct.Struct(">HH").unpack_from


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What stands in a ClientHello, in its own order, GREASE included.

    `version` is legacy_version, `versions` supported_versions, `extensions` the type of
    each. `server_names` are spelled as `netwatch.names` has it, `alpn` is as on the wire.
    `ech` is what `netwatch.protocols.ech` makes of an encrypted_client_hello extension,
    ``present`` of one that is malformed, None without one. `cut` says that it breaks off;
    what lay behind is then missing.
    """

    version: int
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    server_names: tuple[str, ...]
    alpn: tuple[bytes, ...]
    versions: tuple[int, ...]
    signatures: tuple[int, ...]
    ech: str | None
    cut: bool
    oddities: tuple[str, ...]


def client_hello(handshake: bytes, last: bool = False, cookie: bool = False) -> ClientHello:
    """The ClientHello at the start of `handshake`, which starts at its 4-byte header.

    With `cookie` it has one behind the session id, as in DTLS (RFC 6347 section 4.2.1,
    RFC 9147 section 5.3). Raises `Incomplete` while bytes are missing; with `last` a hello
    that breaks off (oddity ``tls-hello-cut``) is given if its server_name is wholly there,
    else that is a `ParseError`, as are ``tls-not-a-client-hello``, ``tls-hello-length``
    (absurd) and ``tls-hello`` (its parts do not fit into it).
    """
    if handshake and handshake[0] != 1:
        raise ParseError("tls-not-a-client-hello")
    end = 4
    if len(handshake) >= 4:
        end += int.from_bytes(handshake[1:4])
        if end > MAX_HELLO:
            raise ParseError("tls-hello-length")
    cut = len(handshake) < end
    if cut and not last:
        raise Incomplete(end)
    reader = Reader(handshake, "tls-hello-cut" if cut else "tls-hello", 4, end)
    version = reader.uint(2)
    reader.take(32)
    reader.vector(1)
    if cookie:
        reader.vector(1)
    ciphers = _numbers(reader.vector(2))
    reader.vector(1)
    fields = _Extensions(cut)
    if reader.left:  # SSL 3.0 and TLS 1.0 know hellos without
        length = reader.uint(2)
        fields.read(handshake, reader.pos, min(reader.pos + length, reader.end))
        if reader.left > length:
            fields.oddities.append("tls-trailing-bytes")
        elif reader.left < length and not cut:
            fields.oddities.append("tls-extension-length")
    if cut and not fields.server_names:
        raise ParseError("tls-hello-cut")
    return ClientHello(
        version,
        ciphers,
        tuple(fields.types),
        tuple(fields.server_names),
        fields.alpn,
        fields.versions,
        fields.signatures,
        fields.judged_ech(ciphers),
        cut,
        tuple(dict.fromkeys(fields.oddities)),
    )


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f">{len(data) // 2}H", data)


class _Extensions:
    """The extensions read so far, with those opened that show something."""

    __slots__ = (
        "alpn",
        "cut",
        "ech",
        "oddities",
        "server_names",
        "signatures",
        "types",
        "versions",
    )

    def __init__(self, cut: bool) -> None:
        self.cut = cut
        self.oddities = ["tls-hello-cut"] if cut else []
        self.types: list[int] = []
        self.server_names: list[str] = []
        self.alpn: tuple[bytes, ...] = ()
        self.versions: tuple[int, ...] = ()
        self.signatures: tuple[int, ...] = ()
        self.ech: bytes | None = None

    def read(self, data: bytes, pos: int, end: int) -> None:
        """Read those in ``data[pos:end]`` that are whole; one that is malformed is noted
        and left."""
        while pos + 4 <= end:
            kind, length = _extension(data, pos)
            start = pos + 4
            pos = start + length
            if pos > end:
                break
            self.types.append(kind)
            if kind in _READERS:
                try:
                    _READERS[kind](self, data[start:pos])
                except ParseError as error:
                    self.oddities.append(error.oddity)
        if pos != end and not self.cut:
            self.oddities.append("tls-extension-length")
        if len(set(self.types)) != len(self.types):
            self.oddities.append("tls-repeated-extension")

    def _server_name(self, data: bytes) -> None:
        reader = Reader(data, "tls-server-name")
        end = reader.uint(2) + 2
        if end != len(data) or end == 2:
            self.oddities.append("tls-server-name")
        while reader.left:
            # Only host_name has a layout that is known, but OpenSSL and NSS give every
            # type a length of two bytes, and so do senders of others.
            kind = reader.uint(1)
            raw = reader.vector(2)
            if kind != _HOST_NAME or len(raw) > MAX_NAME:
                self.oddities.append("tls-server-name")
                continue
            if len(self.server_names) == MAX_SERVER_NAMES:
                break
            name = normalise(raw)
            if not name or name in self.server_names:
                continue
            if self.server_names:
                self.oddities.append("tls-many-server-names")
            self.server_names.append(name)

    def _alpn(self, data: bytes) -> None:
        reader = Reader(data, "tls-alpn", 2)
        names = []
        while reader.left:
            names.append(reader.vector(1))
        self.alpn = tuple(names)

    def _versions(self, data: bytes) -> None:
        self.versions = _numbers(Reader(data, "tls-supported-versions").vector(1))

    def _signatures(self, data: bytes) -> None:
        self.signatures = _numbers(Reader(data, "tls-signature-algorithms").vector(2))

    def _ech(self, data: bytes) -> None:
        self.ech = data

    def judged_ech(self, ciphers: tuple[int, ...]) -> str | None:
        """What ECH says, in the light of all names and of who the client is; a malformed one
        is noted."""
        if self.ech is None:
            return None
        try:
            marked = bool(ciphers) and ech.is_marked(ciphers[0], tuple(self.types))
            return ech.kind(self.ech, tuple(self.server_names), marked)
        except ParseError as error:
            self.oddities.append(error.oddity)
            return "present"


_READERS = {
    _SERVER_NAME: _Extensions._server_name,
    _SIGNATURES: _Extensions._signatures,
    _ALPN: _Extensions._alpn,
    _VERSIONS: _Extensions._versions,
    _ECH: _Extensions._ech,
}
