# cython: language_level=3, boundscheck=True, wraparound=False
"""The TLS ClientHello, whatever carries it: records, QUIC, DTLS.

RFC 8446 section 4.1.2 and RFC 5246 section 7.4.1.2 have one layout; what a ClientHello
shows lies in its extensions. Extensions come in any order (Chromium shuffles them), so a
hello that was cut is worth reading as far as it goes.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.names import normalise_name
from netwatch.protocols import ech

if not cython.compiled:
    from netwatch.protocols.reader import Reader
else:
    from cython.cimports.netwatch.protocols.reader import Reader

MAX_HELLO = 65536
"""The longest ClientHello that is read, in bytes; real ones have less than 4,000."""
MAX_SERVER_NAMES = 8
"""Names taken from one hello; RFC 6066 section 3 allows one."""
MAX_NAME = 255
"""The longest server name that is taken, in bytes; a host name ends there."""

GREASE = frozenset((n << 8 | n) for n in range(0x0A, 0x100, 0x10))
"""Reserved values that mean nothing (RFC 8701 section 2)."""

_SERVER_NAME = cython.declare(cython.int, 0)
_SIGNATURES = cython.declare(cython.int, 13)
_ALPN = cython.declare(cython.int, 16)
_VERSIONS = cython.declare(cython.int, 43)
_ECH = cython.declare(cython.int, 0xFE0D)
_HOST_NAME = cython.declare(cython.int, 0)
_KEPT = cython.declare(cython.Py_ssize_t, 512)
"""Bytes of the longest list of numbers that is kept."""


@cython.cclass
@dataclass(frozen=True)
class ClientHello:
    """What stands in a ClientHello, in its own order, GREASE included.

    `version` is legacy_version, `versions` supported_versions, `extensions` the type of
    each. `server_names` are spelled as `netwatch.core.names` has it, `alpn` is as on the wire.
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
    anomalies: tuple[str, ...]


def client_hello(handshake: bytes, last: bool = False, cookie: bool = False) -> ClientHello:
    """The ClientHello at the start of `handshake`, which starts at its 4-byte header.

    With `cookie` it has one behind the session id, as in DTLS (RFC 6347 section 4.2.1,
    RFC 9147 section 5.3). Raises `Incomplete` while bytes are missing; with `last` a hello
    that breaks off (anomaly ``tls-hello-cut``) is given if its server_name is wholly there,
    else that is a `ParseError`, as are ``tls-not-a-client-hello``, ``tls-hello-length``
    (absurd) and ``tls-hello`` (its parts do not fit into it).
    """
    size: cython.Py_ssize_t = len(handshake)
    end: cython.Py_ssize_t = 4
    length: cython.Py_ssize_t
    if size and handshake[0] != 1:
        raise ParseError("tls-not-a-client-hello")
    if size >= 4:
        end += handshake[1] << 16 | handshake[2] << 8 | handshake[3]
        if end > MAX_HELLO:
            raise ParseError("tls-hello-length")
    cut: cython.bint = size < end
    if cut and not last:
        raise Incomplete(end)
    reader: Reader = Reader(handshake, "tls-hello-cut" if cut else "tls-hello", 4, end)
    version = reader.uint(2)
    reader.take(32)
    reader.vector(1)
    if cookie:
        reader.vector(1)
    ciphers = _numbers(reader.vector(2))
    reader.vector(1)
    fields: _Extensions = _Extensions(cut)
    if reader.pos < reader.end:  # SSL 3.0 and TLS 1.0 know hellos without
        length = reader.uint(2)
        left: cython.Py_ssize_t = reader.end - reader.pos
        fields.read(handshake, reader.pos, reader.pos + min(length, left))
        if left > length:
            fields.anomalies.append("tls-trailing-bytes")
        elif left < length and not cut:
            fields.anomalies.append("tls-extension-length")
    if cut and not fields.server_names:
        raise ParseError("tls-hello-cut")
    ech_kind = fields.judged_ech(ciphers)
    return ClientHello(
        version,
        ciphers,
        tuple(fields.types),
        tuple(fields.server_names),
        fields.alpn,
        fields.versions,
        fields.signatures,
        ech_kind,
        cut,
        tuple(dict.fromkeys(fields.anomalies)) if fields.anomalies else (),
    )


@cython.cfunc
def _numbers(data: bytes) -> tuple[int, ...]:
    """Numbers of two bytes. Clients of one make offer the same, so what is not
    longer than theirs is kept."""
    return _kept_numbers(data) if len(data) <= _KEPT else _unpacked(data)


def _unpacked(data: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f">{len(data) // 2}H", data)


_kept_numbers = lru_cache(maxsize=1024)(_unpacked)


@cython.cclass
class _Extensions:
    """The extensions read so far, with those opened that show something."""

    __slots__ = (
        "alpn",
        "anomalies",
        "cut",
        "ech",
        "server_names",
        "signatures",
        "types",
        "versions",
    )

    def __init__(self, cut: bool) -> None:
        self.cut = cut
        self.anomalies = ["tls-hello-cut"] if cut else []
        self.types: list[int] = []
        self.server_names: list[str] = []
        self.alpn: tuple[bytes, ...] = ()
        self.versions: tuple[int, ...] = ()
        self.signatures: tuple[int, ...] = ()
        self.ech: bytes | None = None

    @cython.cfunc
    def read(self, data: bytes, pos: cython.Py_ssize_t, end: cython.Py_ssize_t) -> None:
        """Read those in ``data[pos:end]`` that are whole; one that is malformed is noted
        and left."""
        kind: cython.int
        start: cython.Py_ssize_t
        while pos + 4 <= end:
            kind = data[pos] << 8 | data[pos + 1]
            start = pos + 4
            pos = start + (data[pos + 2] << 8 | data[pos + 3])
            if pos > end:
                break
            self.types.append(kind)
            if kind in (_SERVER_NAME, _SIGNATURES, _ALPN, _VERSIONS, _ECH):
                try:
                    self.open(kind, data[start:pos])
                except ParseError as error:
                    self.anomalies.append(error.anomaly)
        if pos != end and not self.cut:
            self.anomalies.append("tls-extension-length")
        if len(set(self.types)) != len(self.types):
            self.anomalies.append("tls-repeated-extension")

    @cython.cfunc
    def open(self, kind: cython.int, data: bytes) -> None:
        """Read the body of one that shows something."""
        if kind == _SERVER_NAME:
            self.server_name(data)
        elif kind == _ALPN:
            self.alpn = _protocols(data) if len(data) <= _KEPT else _protocols.__wrapped__(data)
        elif kind == _VERSIONS:
            self.versions = _numbers(Reader(data, "tls-supported-versions").vector(1))
        elif kind == _SIGNATURES:
            self.signatures = _numbers(Reader(data, "tls-signature-algorithms").vector(2))
        else:
            self.ech = data

    @cython.cfunc
    def server_name(self, data: bytes) -> None:
        """Read the body of server_name (RFC 6066 section 3)."""
        kind: cython.int
        reader: Reader = Reader(data, "tls-server-name")
        end: cython.Py_ssize_t = reader.uint(2) + 2
        if end != len(data) or end == 2:
            self.anomalies.append("tls-server-name")
        while reader.pos < reader.end:
            # Only host_name has a layout that is known, but OpenSSL and NSS give every
            # type a length of two bytes, and so do senders of others.
            kind = reader.uint(1)
            raw = reader.vector(2)
            if kind != _HOST_NAME or len(raw) > MAX_NAME:
                self.anomalies.append("tls-server-name")
                continue
            if len(self.server_names) == MAX_SERVER_NAMES:
                break
            name = normalise_name(raw)
            if not name or name in self.server_names:
                continue
            if self.server_names:
                self.anomalies.append("tls-many-server-names")
            self.server_names.append(name)

    def judged_ech(self, ciphers: tuple[int, ...]) -> str | None:
        """What ECH says, in the light of all names and of who the client is; a malformed one
        is noted."""
        if self.ech is None:
            return None
        try:
            marked = bool(ciphers) and ech.is_marked(ciphers[0], tuple(self.types))
            return ech.kind(self.ech, tuple(self.server_names), marked)
        except ParseError as error:
            self.anomalies.append(error.anomaly)
            return "present"


@lru_cache(maxsize=256)
def _protocols(data: bytes) -> tuple[bytes, ...]:
    """The names in an ALPN extension (RFC 7301 section 3.1)."""
    reader: Reader = Reader(data, "tls-alpn", 2)
    names = []
    while reader.pos < reader.end:
        names.append(reader.vector(1))
    return tuple(names)
