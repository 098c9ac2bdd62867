# cython: language_level=3
"""JA4: a fingerprint of the TLS client from its ClientHello.

The method is FoxIO's, BSD-3-Clause, as described in ``technical_details/JA4.md`` of
github.com/FoxIO-LLC/ja4: what the client offers, counted and hashed in an order that
does not depend on how it shuffles. GREASE counts for nothing anywhere. Clients of one
make offer the same, so what follows from each part is kept; what no client offers is
not, lest it fill the memory.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.protocols.client_hello import GREASE

if not cython.compiled:
    from netwatch.protocols.client_hello import ClientHello
else:
    from cython.cimports.netwatch.protocols.client_hello import ClientHello

_SERVER_NAME = cython.declare(cython.int, 0)
_ALPN = cython.declare(cython.int, 16)
_KEPT = cython.declare(cython.Py_ssize_t, 256)
_VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}


def ja4(hello: ClientHello, transport: Literal["t", "q", "d"]) -> str:
    """The JA4 of a whole `hello`, carried by TCP (``t``), QUIC (``q``) or DTLS (``d``).

    The versions of DTLS count down, so that the highest is the lowest number. 36
    characters, such as ``t13d1516h2_8daaf6152771_e5627efa2ab1``.
    """
    extensions = [kind for kind in hello.extensions if kind not in GREASE]
    target = "d" if _SERVER_NAME in extensions else "i"
    kinds = sorted([kind for kind in extensions if kind != _SERVER_NAME and kind != _ALPN])
    short: cython.bint = len(hello.ciphers) + len(kinds) + len(hello.signatures) <= _KEPT
    ciphers = _ciphers if short else _ciphers.__wrapped__
    count, digest = ciphers(hello.ciphers)
    rest = _rest if short else _rest.__wrapped__
    return (
        f"{transport}{_version(hello, transport)}{target}{count}"
        f"{min(len(extensions), 99):02}{_ends(hello.alpn)}"
        f"_{digest}_{rest(tuple(kinds), hello.signatures)}"
    )


def _version(hello: ClientHello, transport: str) -> str:
    offered = [version for version in hello.versions if version not in GREASE]
    newest = min if transport == "d" else max
    return _VERSIONS.get(newest(offered, default=hello.version), "00")


@lru_cache(maxsize=1024)
def _ciphers(offered: tuple[int, ...]) -> tuple[str, str]:
    """How many cipher suites, and the hash of them."""
    meant = sorted([cipher for cipher in offered if cipher not in GREASE])
    return f"{min(len(meant), 99):02}", _hash(meant, [])


@lru_cache(maxsize=1024)
def _rest(kinds: tuple[int, ...], signatures: tuple[int, ...]) -> str:
    """The hash of the extensions, in order, and of the signature algorithms."""
    return _hash(kinds, [each for each in signatures if each not in GREASE] if kinds else ())


def _hash(numbers: Sequence[int], more: Sequence[int]) -> str:
    if not numbers:
        return "0" * 12
    text = "_".join(
        [",".join([f"{number:04x}" for number in row]) for row in (numbers, more) if row]
    )
    return sha256(text.encode("ascii")).hexdigest()[:12]


def _ends(alpn: tuple[bytes, ...]) -> str:
    """First and last character of the first protocol, of its hex where one is odd."""
    first = alpn[0] if alpn else b""
    if not first:
        return "00"
    ends = first[:1] + first[-1:]
    if ends.isalnum():  # of bytes: ASCII letters and digits alone
        return ends.decode("ascii")
    text = first.hex()
    return text[0] + text[-1]
