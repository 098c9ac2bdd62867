# cython: language_level=3
"""TLS over TCP: the ClientHello in the records at the start of a stream.

A ClientHello may be spread over any number of records (RFC 8446 section 5.1), and these over any
number of segments; with post-quantum key shares, two segments are usual. Only the unencrypted
records of the first flight of the client are read.
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Evidence
from netwatch.core.names import escape_bytes
from netwatch.core.tls_numbers import TLS_VERSIONS
from netwatch.protocols.client_hello import GREASE, MAX_HELLO, client_hello
from netwatch.protocols.ja4 import ja4

if not cython.compiled:
    from netwatch.core.message import Message, QuicInfo, ShownName, TlsInfo
    from netwatch.protocols.client_hello import ClientHello
else:
    from cython.cimports.netwatch.core.message import Message, QuicInfo, ShownName, TlsInfo
    from cython.cimports.netwatch.protocols.client_hello import ClientHello

MAX_RECORD = 16384 + 2048
"""The longest record in bytes: the plaintext and 2,048 bytes (RFC 5246 section 6.2.3)."""
MAX_EMPTY = 16
"""Maximum number of empty records that are skipped. RFC 8446 section 5.1 forbids them for
handshakes."""

_HANDSHAKE = cython.declare(cython.int, 22)
_TRANSPORTS: Mapping[Evidence, Literal["t", "q", "d"]] = {"quic-sni": "q", "dtls-sni": "d"}


def parse(data: bytes, last: bool = False) -> Message:
    """Parse the ClientHello in the records at the start of `data`.

    It shows ``tls-sni`` for the host_name of server_name (RFC 6066 section 3), if there is one.
    `size` is the offset of the end of the record in which the hello ends. Raises `Incomplete`
    while bytes are missing. With `last`, or if a record of another type follows, a truncated hello
    with a complete server_name is returned with the anomaly ``tls-hello-cut``.

    Raises `ParseError`: those of `client_hello`, ``tls-not-a-record`` (not TLS),
    ``tls-sslv2-hello`` (a hello in the layout of SSL 2.0, which has no server_name),
    ``tls-record-length``, ``tls-empty-records`` (too many), ``tls-interleaved`` (another
    record between those of the hello, which RFC 8446 section 5.1 forbids).
    """
    handshake, size, need, anomaly, stopped = _records(data)
    try:
        hello = client_hello(handshake, last or stopped)
    except Incomplete:
        raise Incomplete(need) from None
    except ParseError:
        if stopped and anomaly:
            raise ParseError(anomaly) from None
        raise
    return hello_message(hello, size, "tls-sni", anomalies=(anomaly,) if anomaly else ())


def hello_message(
    hello: ClientHello,
    size: int,
    evidence: Evidence,
    quic: QuicInfo | None = None,
    anomalies: tuple[str, ...] = (),
) -> Message:
    """The `hello` as a message of `size` bytes; `anomalies` are those of its transport.

    A truncated hello has no JA4, and its version is legacy_version if the truncation is before
    supported_versions.
    """
    transport = _TRANSPORTS.get(evidence, "t")
    info = TlsInfo(
        _version(hello, transport),
        tuple([escape_bytes(name) for name in hello.alpn]),
        hello.ech,
        None if hello.truncated else partial(ja4, hello, transport),
        hello.ech_config_id,
    )
    shown = tuple(
        [
            ShownName(evidence, name, False, raw)
            for name, raw in zip(hello.server_names, hello.raw_names, strict=True)
        ]
    )
    return Message(shown, size, tls=info, quic=quic, anomalies=hello.anomalies + anomalies)


def _version(hello: ClientHello, transport: Literal["t", "q", "d"]) -> str:
    # The version numbers of DTLS decrease.
    newest = min if transport == "d" else max
    offered = [version for version in hello.supported_versions if version not in GREASE]
    return version_text(newest(offered, default=hello.legacy_version))


def version_text(version: int) -> str:
    """The name of a version number: ``1.2``, ``dtls1.2``, or ``0x7f1c`` if it has none."""
    known = TLS_VERSIONS.get(version)
    return known.text if known else f"0x{version:04x}"


def _records(data: bytes) -> tuple[bytes, int, int, str | None, bool]:
    """The handshake bytes in the records, up to the end of the first message.

    Returns them, the offset behind the last record read, the number of bytes of `data` that are
    needed to continue if the message is incomplete, an anomaly, and whether this anomaly ended the
    reading. Raises `ParseError` if `data` does not start with a handshake record.
    """
    fragments: list[bytes] = []
    size: cython.Py_ssize_t = len(data)
    received: cython.Py_ssize_t = 0
    needed: cython.Py_ssize_t = 4
    pos: cython.Py_ssize_t = 0
    empty: cython.Py_ssize_t = 0
    length: cython.Py_ssize_t
    before: cython.Py_ssize_t
    next_header: cython.Py_ssize_t
    while received < needed <= MAX_HELLO:
        anomaly = _record_anomaly(data, pos)
        length = data[pos + 3] << 8 | data[pos + 4] if pos + 5 <= size else -1
        if length == 0:
            empty += 1
            if anomaly is None and empty > MAX_EMPTY:
                anomaly = "tls-empty-records"
        if anomaly is not None:
            if pos == 0:
                raise ParseError(anomaly)
            return b"".join(fragments), pos, 0, anomaly, True
        if length < 0:
            return b"".join(fragments), size, pos + 5 + needed - received, None, False
        fragment = data[pos + 5 : min(pos + 5 + length, size)]
        fragments.append(fragment)
        before, received = received, received + len(fragment)
        pos += 5 + length
        if before < 4 <= received:
            header = b"".join(fragments)
            fragments = [header]
            if header[0] != 1:
                break
            needed += header[1] << 16 | header[2] << 8 | header[3]
        if pos > size:
            # If the hello does not end within this record, the header of another one follows.
            next_header = 5 if needed - received > pos - size else 0
            return b"".join(fragments), size, size + needed - received + next_header, None, False
    return b"".join(fragments), pos, pos, "tls-empty-record" if empty else None, False


@cython.cfunc
def _record_anomaly(data: bytes, pos: cython.Py_ssize_t) -> str | None:
    """The anomaly of the record at `pos` if it is not a handshake record, as far as it is there."""
    size: cython.Py_ssize_t = len(data) - pos
    if (size > 0 and data[pos] != _HANDSHAKE) or (size > 1 and data[pos + 1] != 3):
        if pos:
            return "tls-interleaved"
        # SSL 2.0 (RFC 5246 appendix E.2): a length with its top bit set, then the type 1.
        if size >= 5 and data[0] & 0x80 and data[2] == 1 and data[3] in (0, 3):
            return "tls-sslv2-hello"
        return "tls-not-a-record"
    if size >= 5 and (data[pos + 3] << 8 | data[pos + 4]) > MAX_RECORD:
        return "tls-record-length"
    return None
