# cython: language_level=3
"""TLS over TCP: the ClientHello in the records at the start of a stream.

A ClientHello may be spread over any number of records (RFC 8446 section 5.1), and these over any
number of segments; with post-quantum key shares, two segments are usual. Only the unencrypted
records of the first flight of the client are read.

All hellos are read by `netwatch.dissect.loop.client_hello`. `hello_message` turns one into a
message, for QUIC and DTLS too. Extensions come in any order (Chromium shuffles them), so even a
truncated hello may contain the name.
"""

import threading
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import array
from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Evidence
from netwatch.core.names import escape_bytes, normalise_name, raw_name
from netwatch.core.protocol_numbers import ECH_PUBLIC_NAMES, TLS_VERSIONS
from netwatch.dissect.loop.client_hello import ECH_CLASSES

if not cython.compiled:
    from netwatch.core.message import Message, QuicInfo, ShownName, TlsInfo
    from netwatch.dissect.loop.client_hello import ClientHello
    from netwatch.dissect.loop.hello_fingerprints import HelloFingerprints
else:
    from cython.cimports.netwatch.core.message import Message, QuicInfo, ShownName, TlsInfo
    from cython.cimports.netwatch.dissect.loop.client_hello import ClientHello
    from cython.cimports.netwatch.dissect.loop.hello_fingerprints import HelloFingerprints

MAX_HELLO = 65536
"""The longest ClientHello that is read, in bytes; real ones have less than 4,000 bytes."""
MAX_SERVER_NAMES = 8
"""Maximum number of names per hello; RFC 6066 section 3 allows one."""
MAX_RECORD = 16384 + 2048
"""The longest record in bytes: the plaintext and 2,048 bytes (RFC 5246 section 6.2.3)."""
MAX_EMPTY = 32
"""Maximum number of empty records in a row to skip, as OpenSSL skips them. RFC 8446 section 5.1
forbids them for handshakes."""
MAX_ALERTS = 16
"""Maximum number of warning alerts to skip, as Go's crypto/tls skips them."""

_HANDSHAKE = cython.declare(cython.int, 22)
_ALERT = cython.declare(cython.int, 21)
_SKIPPED = {20: b"\0\0", 21: b"\0\2\1", 22: b"\0\0"}
"""Records that servers skip before a hello: their types, and the bytes after the version."""
_TRANSPORTS: Mapping[Evidence, Literal["t", "q", "d"]] = {"quic-sni": "q", "dtls-sni": "d"}
_JA4_VERSIONS = {number: version.ja4 for number, version in TLS_VERSIONS.items()} | {2: "s2"}
DEVIATIONS = (
    "tls-hello-cut",
    "tls-server-name",
    "tls-many-server-names",
    "tls-alpn",
    "tls-supported-versions",
    "tls-signature-algorithms",
    "tls-extension-length",
    "tls-repeated-extension",
    "tls-trailing-bytes",
    "tls-ech",
    "tls-ech-inner",
)
"""The anomalies of a hello, as bits of `ClientHello.deviations`."""
_CUT, _MANY_NAMES = cython.declare(cython.int, 1), cython.declare(cython.int, 4)

_MAX_CACHED = cython.declare(cython.Py_ssize_t, 512)
"""The longest list of protocols that is cached, in bytes."""

_readers = threading.local()


def parse(data: bytes, last: bool = False) -> Message:
    """Parse the ClientHello in the records at the start of `data`.

    It shows ``tls-sni`` for the host_name of server_name (RFC 6066 section 3), if there is one. The
    version of a record is ignored (RFC 8446 section 5.1). Records that servers skip are skipped,
    with an anomaly: ``tls-empty-record``, ``tls-warning-alert``.
    `size` is the offset of the end of the record in which the hello ends. Raises `Incomplete`
    while bytes are missing. With `last`, or if a record of another type follows, a truncated hello
    with a complete server_name is returned with the anomaly ``tls-hello-cut``.

    Raises `ParseError`: as in `hello_message`, ``tls-not-a-record`` (not TLS), ``tls-sslv2-hello``
    (a hello in the layout of SSL 2.0, which has no server_name), ``tls-record-length``,
    ``tls-empty-records`` (too many), ``tls-interleaved`` (another record between those of the
    hello, which RFC 8446 section 5.1 forbids).
    """
    handshake, size, need, anomalies, stopped = _records(data)
    try:
        return hello_message(handshake, size, "tls-sni", last or stopped, anomalies=anomalies)
    except Incomplete:
        raise Incomplete(need) from None
    except ParseError:
        if stopped:
            raise ParseError(anomalies[-1]) from None
        raise


def begins(data: bytes) -> bool:
    """Whether `data` starts with a record of a ClientHello, or consists of records that servers
    skip."""
    start = skipped = 0
    while (skipped := _skipped_size(data, start)) > 0:
        start += skipped
    head = data[start : start + 6]
    return 0 < start == len(data) or (head[:2] == b"\x16\3" and head[5:] == b"\1")


def hello_message(
    handshake: bytes,
    size: int,
    evidence: Evidence,
    last: bool = False,
    *,
    cookie: bool = False,
    quic: QuicInfo | None = None,
    anomalies: tuple[str, ...] = (),
) -> Message:
    """The ClientHello at the start of `handshake`, which starts with its 4-byte header, as a
    message of `size` bytes; `anomalies` are those of its transport.

    It shows the names in server_name. With `cookie`, the hello has a cookie, as in DTLS. Raises
    `Incomplete` while bytes are missing. With `last`, a truncated hello with a complete server_name
    is returned with the anomaly ``tls-hello-cut``. It has no JA4, and its version is legacy_version
    if the truncation is before supported_versions. Without a complete name, that is a `ParseError`.
    Other errors: ``tls-not-a-client-hello``, ``tls-hello-length`` (not plausible), ``tls-hello``
    (the parts exceed the message).
    """
    received: cython.Py_ssize_t = len(handshake)
    whole: cython.Py_ssize_t = 4
    if received and handshake[0] != 1:
        raise ParseError("tls-not-a-client-hello")
    if received >= 4:
        whole += handshake[1] << 16 | handshake[2] << 8 | handshake[3]
        if whole > MAX_HELLO:
            raise ParseError("tls-hello-length")
    if received < whole and not last:
        raise Incomplete(whole)
    transport = _TRANSPORTS.get(evidence, "t")
    hello: ClientHello = _reader()[0]
    hello.set_data(handshake)
    is_read: cython.bint = received >= 4 and hello.read(0, received, cookie)
    names = _names(hello, handshake) if is_read else {}
    if received < whole and not names:
        raise ParseError("tls-hello-cut")
    if not is_read:
        raise ParseError("tls-hello")
    config_id: cython.Py_ssize_t = hello.config_id()
    ech = None
    if hello.ech:
        ech = ECH_CLASSES[hello.ech_class(not ECH_PUBLIC_NAMES.isdisjoint(names), len(names) > 0)]
    if hello.deviations:
        anomalies = _deviations(hello.deviations, len(names)) + anomalies
    # Clients of one make offer the same; a hostile client may offer far more.
    protocols = _protocols if hello.alpn_size <= _MAX_CACHED else _protocols.__wrapped__
    info = TlsInfo(
        version_text(hello.newest(transport == "d")),
        protocols(handshake[hello.alpn : hello.alpn + hello.alpn_size]),
        ech,
        partial(_ja4, handshake, transport, cookie) if received >= whole else None,
        config_id if config_id >= 0 else None,
    )
    shown = tuple([ShownName(evidence, name, False, raw) for name, raw in names.items()])
    return Message(shown, size, tls=info, quic=quic, anomalies=anomalies)


def _reader() -> tuple[ClientHello, HelloFingerprints]:
    """The hello reader of this thread."""
    reader: tuple[ClientHello, HelloFingerprints] | None = getattr(_readers, "hello", None)
    if reader is None:
        reader = _readers.hello = ClientHello(array("B", bytes(256))), HelloFingerprints()
    return reader


@cython.cfunc
def _names(hello: ClientHello, data: bytes) -> dict[str, str]:
    """The names in a hello, each as spelled in the packet if the spelling differs."""
    number: cython.Py_ssize_t
    start: cython.Py_ssize_t
    names: dict[str, str] = {}
    for number in range(hello.names):
        start = hello.places[2 * number]
        raw = data[start : start + hello.places[2 * number + 1]]
        name = normalise_name(raw)
        if name and name not in names and len(names) < MAX_SERVER_NAMES:
            names[name] = raw_name(raw, name)
    return names


def _deviations(bits: int, names: int) -> tuple[str, ...]:
    """The deviations of a hello with so many names; one name may occur several times."""
    if names < 2:
        bits &= ~_MANY_NAMES
    return tuple([anomaly for number, anomaly in enumerate(DEVIATIONS) if bits & 1 << number])


@lru_cache(maxsize=256)
def _protocols(data: bytes) -> tuple[str, ...]:
    """The names in an ALPN extension (RFC 7301 section 3.1), as text."""
    names = []
    at = 0
    while at < len(data):
        names.append(escape_bytes(data[at + 1 : at + 1 + data[at]]))
        at += 1 + data[at]
    return tuple(names)


def _ja4(handshake: bytes, transport: str, cookie: bool) -> str:
    """The JA4 of a complete hello, carried by TCP (``t``), QUIC (``q``) or DTLS (``d``)."""
    hello: ClientHello
    fingerprints: HelloFingerprints
    hello, fingerprints = _reader()
    hello.set_data(handshake)
    hello.read(0, len(handshake), cookie)
    version = _JA4_VERSIONS.get(hello.newest(transport == "d"), "00")
    fingerprints.write(hello, ord(transport), int.from_bytes(version.encode()))
    return bytes(fingerprints.text).decode()


def version_text(version: int) -> str:
    """The name of a version number: ``1.2``, ``dtls1.2``, or ``0x7f1c`` if it has none."""
    known = TLS_VERSIONS.get(version)
    return known.text if known else f"0x{version:04x}"


@cython.cfunc
def _skipped_size(data: bytes, pos: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The size of the record at `pos` if servers skip it, -1 if it looks like the start of a record
    that is not a handshake record, otherwise 0."""
    size: cython.Py_ssize_t
    follows = _SKIPPED.get(data[pos]) if pos < len(data) else None
    if follows is None or data[pos + 1 : pos + 2] not in (b"\3", b""):
        return 0
    if not follows.startswith(data[pos + 3 : pos + 3 + len(follows)]):
        return 0
    size = 7 if data[pos] == _ALERT else 5
    if pos + size <= len(data):
        return size
    return 0 if data[pos] == _HANDSHAKE else -1


def _records(data: bytes) -> tuple[bytes, int, int, tuple[str, ...], bool]:
    """The handshake bytes in the records, up to the end of the first message.

    Returns them, the offset after the last record read, the number of bytes of `data` needed to
    continue if the message is incomplete, anomalies, and whether the last anomaly ended the
    reading. Raises `ParseError` if `data` does not start with a handshake record.
    """
    fragments: list[bytes] = []
    size: cython.Py_ssize_t = len(data)
    received: cython.Py_ssize_t = 0
    needed: cython.Py_ssize_t = 4
    pos: cython.Py_ssize_t = 0
    empty: cython.Py_ssize_t = 0
    alerts: cython.Py_ssize_t = 0
    skipped: cython.Py_ssize_t
    anomalies: tuple[str, ...] = ()
    length: cython.Py_ssize_t
    before: cython.Py_ssize_t
    next_header: cython.Py_ssize_t
    while received < needed <= MAX_HELLO:
        skipped = _skipped_size(data, pos)
        if skipped < 0:
            return b"".join(fragments), size, pos + 7, anomalies, False
        if (skipped == 5 and empty < MAX_EMPTY) or (skipped == 7 and alerts < MAX_ALERTS):
            empty = empty + 1 if skipped == 5 else 0
            alerts += skipped == 7
            anomaly = "tls-empty-record" if skipped == 5 else "tls-warning-alert"
            if anomaly not in anomalies:
                anomalies += (anomaly,)
            pos += skipped
            continue
        stop = _record_anomaly(data, pos)
        length = data[pos + 3] << 8 | data[pos + 4] if pos + 5 <= size else -1
        if length == 0 and stop is None:
            stop = "tls-empty-records"
        if stop is not None:
            if pos == 0:
                raise ParseError(stop)
            return b"".join(fragments), pos, 0, (*anomalies, stop), True
        if length < 0:
            return b"".join(fragments), size, pos + 5 + needed - received, anomalies, False
        empty = 0
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
            need = size + needed - received + next_header
            return b"".join(fragments), size, need, anomalies, False
    return b"".join(fragments), pos, pos, anomalies, False


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
