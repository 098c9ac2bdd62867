# cython: language_level=3
"""TLS over TCP: the ClientHello in the records at the start of a stream.

A ClientHello may be spread over any number of records (RFC 8446 section 5.1), and these
over any number of segments; with post-quantum key shares it regularly is over two. Only
the plaintext records of the client's first flight are read.
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
from netwatch.protocols.client_hello import GREASE, MAX_HELLO, client_hello
from netwatch.protocols.ja4 import ja4

if not cython.compiled:
    from netwatch.core.message import Message, QuicInfo, ShownName, TlsInfo
    from netwatch.protocols.client_hello import ClientHello
else:
    from cython.cimports.netwatch.core.message import Message, QuicInfo, ShownName, TlsInfo
    from cython.cimports.netwatch.protocols.client_hello import ClientHello

MAX_RECORD = 16384 + 2048
"""The longest record in bytes; RFC 5246 section 6.2.3 grants 2,048 over the plaintext."""
MAX_EMPTY = 16
"""Empty records that are passed over. RFC 8446 section 5.1 forbids them for handshakes."""

_HANDSHAKE = cython.declare(cython.int, 22)
_VERSIONS = {
    0x0304: "1.3",
    0x0303: "1.2",
    0x0302: "1.1",
    0x0301: "1.0",
    0x0300: "ssl3",
    0xFEFC: "dtls1.3",
    0xFEFD: "dtls1.2",
    0xFEFF: "dtls1.0",
}
_TRANSPORTS: Mapping[Evidence, Literal["t", "q", "d"]] = {"quic-sni": "q", "dtls-sni": "d"}


def parse(data: bytes, last: bool = False) -> Message:
    """The ClientHello that starts with the record at the start of `data`.

    Shows ``tls-sni`` for the host_name of server_name (RFC 6066 section 3); a hello
    without shows nothing. `size` runs to the end of the record that the hello ends in.
    Raises `Incomplete` while bytes are missing; with `last`, or where something else
    breaks into the records, a hello that is not whole is read as far as it came, with
    the anomaly ``tls-hello-cut``, if its server_name is wholly there.

    Raises `ParseError`: those of `client_hello`, ``tls-not-a-record`` (not TLS at all),
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
    return message(hello, size, "tls-sni", anomalies=(anomaly,) if anomaly else ())


def message(
    hello: ClientHello,
    size: int,
    evidence: Evidence,
    quic: QuicInfo | None = None,
    anomalies: tuple[str, ...] = (),
) -> Message:
    """`hello` as a message of `size` bytes; `anomalies` are those of what carried it.

    A cut hello has no JA4, and its version is legacy_version where supported_versions
    was not reached.
    """
    transport = _TRANSPORTS.get(evidence, "t")
    info = TlsInfo(
        _version(hello, transport),
        tuple([escape_bytes(name) for name in hello.alpn]),
        hello.ech,
        None if hello.cut else partial(ja4, hello, transport),
    )
    shown = tuple([ShownName(evidence, name) for name in hello.server_names])
    return Message(shown, size, tls=info, quic=quic, anomalies=hello.anomalies + anomalies)


def _version(hello: ClientHello, transport: Literal["t", "q", "d"]) -> str:
    # The versions of DTLS count down.
    newest = min if transport == "d" else max
    offered = [version for version in hello.versions if version not in GREASE]
    return version_text(newest(offered, default=hello.version))


def version_text(version: int) -> str:
    """A version's number on the wire as text: ``1.2``, ``dtls1.2``, else ``0x7f1c``."""
    return _VERSIONS.get(version) or f"0x{version:04x}"


def _records(data: bytes) -> tuple[bytes, int, int, str | None, bool]:
    """Take the handshake bytes out of the records, up to the end of the first message.

    Returns them, the offset behind the last record taken, how many bytes of `data` are
    needed to go on where the message is not whole, an anomaly, and whether that stopped
    the walk. Raises `ParseError` where `data` does not start with a handshake record.
    """
    fragments: list[bytes] = []
    size: cython.Py_ssize_t = len(data)
    have: cython.Py_ssize_t = 0
    wanted: cython.Py_ssize_t = 4
    pos: cython.Py_ssize_t = 0
    empty: cython.Py_ssize_t = 0
    length: cython.Py_ssize_t
    had: cython.Py_ssize_t
    behind: cython.Py_ssize_t
    while have < wanted <= MAX_HELLO:
        refusal = _refusal(data, pos)
        length = data[pos + 3] << 8 | data[pos + 4] if pos + 5 <= size else -1
        if length == 0:
            empty += 1
            if refusal is None and empty > MAX_EMPTY:
                refusal = "tls-empty-records"
        if refusal is not None:
            if pos == 0:
                raise ParseError(refusal)
            return b"".join(fragments), pos, 0, refusal, True
        if length < 0:
            return b"".join(fragments), size, pos + 5 + wanted - have, None, False
        fragment = data[pos + 5 : min(pos + 5 + length, size)]
        fragments.append(fragment)
        had, have = have, have + len(fragment)
        pos += 5 + length
        if had < 4 <= have:
            header = b"".join(fragments)
            fragments = [header]
            if header[0] != 1:
                break
            wanted += header[1] << 16 | header[2] << 8 | header[3]
        if pos > size:
            # The hello may end within this record; if not, a header comes between.
            behind = 5 if wanted - have > pos - size else 0
            return b"".join(fragments), size, size + wanted - have + behind, None, False
    return b"".join(fragments), pos, pos, "tls-empty-record" if empty else None, False


@cython.cfunc
def _refusal(data: bytes, pos: cython.Py_ssize_t) -> str | None:
    """Why the bytes at `pos`, as many as there are, do not go on as a handshake record."""
    size: cython.Py_ssize_t = len(data) - pos
    if (size > 0 and data[pos] != _HANDSHAKE) or (size > 1 and data[pos + 1] != 3):
        if pos:
            return "tls-interleaved"
        # SSL 2.0, appendix E.2 of RFC 5246: a length with its top bit set, then type 1.
        if size >= 5 and data[0] & 0x80 and data[2] == 1 and data[3] in (0, 3):
            return "tls-sslv2-hello"
        return "tls-not-a-record"
    if size >= 5 and (data[pos + 3] << 8 | data[pos + 4]) > MAX_RECORD:
        return "tls-record-length"
    return None
