# cython: language_level=3, boundscheck=True, wraparound=False
"""The TLS ClientHello, as it is carried in TLS records, QUIC and DTLS.

RFC 8446 section 4.1.2 and RFC 5246 section 7.4.1.2 have the same layout; the names are in the
extensions. Extensions have any order (Chromium shuffles them), so that even a truncated hello may
contain the name.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.names import normalise_name, raw_name
from netwatch.protocols import ech

if not cython.compiled:
    from netwatch.protocols.reader import Reader
else:
    from cython.cimports.netwatch.protocols.reader import Reader

MAX_HELLO = 65536
"""The longest ClientHello that is read, in bytes; real ones have less than 4,000 bytes."""
MAX_SERVER_NAMES = 8
"""Maximum number of names per hello; RFC 6066 section 3 allows one."""
MAX_NAME = 255
"""The longest server name that is accepted, in bytes: the maximum of a host name."""

GREASE = frozenset((n << 8 | n) for n in range(0x0A, 0x100, 0x10))
"""Reserved values without meaning (RFC 8701 section 2)."""

_SERVER_NAME = cython.declare(cython.int, 0)
_SIGNATURES = cython.declare(cython.int, 13)
_ALPN = cython.declare(cython.int, 16)
_VERSIONS = cython.declare(cython.int, 43)
_ECH = cython.declare(cython.int, 0xFE0D)
_HOST_NAME = cython.declare(cython.int, 0)
_MAX_CACHED = cython.declare(cython.Py_ssize_t, 512)
"""The longest list of numbers that is cached, in bytes."""


@cython.cclass
@dataclass(frozen=True)
class ClientHello:
    """The content of a ClientHello in its order on the wire, including GREASE.

    `server_names` are normalised by `netwatch.core.names`, `raw_names` are the same in the letters
    of the packet, empty where these do not differ. `alpn` is as on the wire. `ech` is the class of
    its encrypted_client_hello extension (see `netwatch.protocols.ech`), ``present`` if the
    extension is invalid, None without one, and `ech_config_id` its config_id. If `truncated` is
    true, everything behind the truncation is missing.
    """

    legacy_version: int
    cipher_suites: tuple[int, ...]
    extension_types: tuple[int, ...]
    server_names: tuple[str, ...]
    alpn: tuple[bytes, ...]
    supported_versions: tuple[int, ...]
    signature_algorithms: tuple[int, ...]
    ech: str | None
    truncated: bool
    anomalies: tuple[str, ...]
    raw_names: tuple[str, ...] = ()
    ech_config_id: int | None = None


def client_hello(handshake: bytes, last: bool = False, cookie: bool = False) -> ClientHello:
    """Parse the ClientHello at the start of `handshake`, which starts with its 4-byte header.

    With `cookie`, it has a cookie after the session id, as in DTLS (RFC 6347 section 4.2.1, RFC
    9147 section 5.3). Raises `Incomplete` while bytes are missing. With `last`, a truncated hello
    with a complete server_name is returned with the anomaly ``tls-hello-cut``; without a complete
    name, that is a `ParseError`. Other errors: ``tls-not-a-client-hello``, ``tls-hello-length``
    (not plausible), ``tls-hello`` (the parts exceed the message).
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
    truncated: cython.bint = size < end
    if truncated and not last:
        raise Incomplete(end)
    reader: Reader = Reader(handshake, "tls-hello-cut" if truncated else "tls-hello", 4, end)
    version = reader.uint(2)
    reader.read(32)
    reader.vector(1)
    if cookie:
        reader.vector(1)
    ciphers = _numbers(reader.vector(2))
    reader.vector(1)
    fields: _Extensions = _Extensions(truncated)
    if reader.pos < reader.end:  # SSL 3.0 and TLS 1.0 have hellos without extensions
        length = reader.uint(2)
        left: cython.Py_ssize_t = reader.end - reader.pos
        fields.read(handshake, reader.pos, reader.pos + min(length, left))
        if left > length:
            fields.anomalies.append("tls-trailing-bytes")
        elif left < length and not truncated:
            fields.anomalies.append("tls-extension-length")
    if truncated and not fields.server_names:
        raise ParseError("tls-hello-cut")
    ech_kind = fields.ech_class(ciphers)
    return ClientHello(
        version,
        ciphers,
        tuple(fields.types),
        tuple(fields.server_names),
        fields.alpn,
        fields.supported_versions,
        fields.signature_algorithms,
        ech_kind,
        truncated,
        tuple(dict.fromkeys(fields.anomalies)) if fields.anomalies else (),
        tuple(fields.raw_names),
        None if fields.ech is None else ech.config_id(fields.ech),
    )


@cython.cfunc
def _numbers(data: bytes) -> tuple[int, ...]:
    """A list of two-byte numbers. The same client sends the same lists, so they are cached unless
    they are longer than any client sends."""
    return _cached_numbers(data) if len(data) <= _MAX_CACHED else _unpacked(data)


def _unpacked(data: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f">{len(data) // 2}H", data)


_cached_numbers = lru_cache(maxsize=1024)(_unpacked)


@cython.cclass
class _Extensions:
    """The types of the extensions read so far, and the content of those of interest."""

    __slots__ = (
        "alpn",
        "anomalies",
        "ech",
        "raw_names",
        "server_names",
        "signature_algorithms",
        "supported_versions",
        "truncated",
        "types",
    )

    def __init__(self, truncated: bool) -> None:
        self.truncated = truncated
        self.anomalies = ["tls-hello-cut"] if truncated else []
        self.types: list[int] = []
        self.server_names: list[str] = []
        self.raw_names: list[str] = []
        self.alpn: tuple[bytes, ...] = ()
        self.supported_versions: tuple[int, ...] = ()
        self.signature_algorithms: tuple[int, ...] = ()
        self.ech: bytes | None = None

    @cython.cfunc
    def read(self, data: bytes, pos: cython.Py_ssize_t, end: cython.Py_ssize_t) -> None:
        """Read the complete extensions in ``data[pos:end]``; an invalid one is skipped, with an
        anomaly."""
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
                    self.read_body(kind, data[start:pos])
                except ParseError as error:
                    self.anomalies.append(error.anomaly)
        if pos != end and not self.truncated:
            self.anomalies.append("tls-extension-length")
        if len(set(self.types)) != len(self.types):
            self.anomalies.append("tls-repeated-extension")

    @cython.cfunc
    def read_body(self, kind: cython.int, data: bytes) -> None:
        """Read the body of an extension of interest."""
        if kind == _SERVER_NAME:
            self.read_server_name(data)
        elif kind == _ALPN:
            self.alpn = (
                _protocols(data) if len(data) <= _MAX_CACHED else _protocols.__wrapped__(data)
            )
        elif kind == _VERSIONS:
            self.supported_versions = _numbers(Reader(data, "tls-supported-versions").vector(1))
        elif kind == _SIGNATURES:
            self.signature_algorithms = _numbers(Reader(data, "tls-signature-algorithms").vector(2))
        else:
            self.ech = data

    @cython.cfunc
    def read_server_name(self, data: bytes) -> None:
        """Read the body of server_name (RFC 6066 section 3)."""
        kind: cython.int
        reader: Reader = Reader(data, "tls-server-name")
        end: cython.Py_ssize_t = reader.uint(2) + 2
        if end != len(data) or end == 2:
            self.anomalies.append("tls-server-name")
        while reader.pos < reader.end:
            # Only the layout of host_name is specified, but OpenSSL and NSS read a length of two
            # bytes for every type, and clients that send other types write one.
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
            self.raw_names.append(raw_name(raw, name))

    def ech_class(self, ciphers: tuple[int, ...]) -> str | None:
        """The class of the ECH extension, which depends on the names and on the client; an invalid
        extension adds an anomaly."""
        if self.ech is None:
            return None
        try:
            boringssl = bool(ciphers) and ech.is_boringssl(ciphers[0], tuple(self.types))
            return ech.classify(self.ech, tuple(self.server_names), boringssl)
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
