# cython: language_level=3
"""JA4: a fingerprint of the TLS client from its ClientHello.

The method is that of FoxIO (BSD-3-Clause), as described in ``technical_details/JA4.md`` of
github.com/FoxIO-LLC/ja4: what the client offers is counted, and hashed in sorted order, so that the
fingerprint does not depend on the order in which a client shuffles its extensions. GREASE is
ignored. Clients of one make offer the same, so the intermediate results are cached, except for
offers that are larger than those of any client.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.protocol_numbers import TLS_VERSIONS
from netwatch.protocols.client_hello import GREASE

if not cython.compiled:
    from netwatch.protocols.client_hello import ClientHello
else:
    from cython.cimports.netwatch.protocols.client_hello import ClientHello

_SERVER_NAME = cython.declare(cython.int, 0)
_ALPN = cython.declare(cython.int, 16)
_MAX_CACHED = cython.declare(cython.Py_ssize_t, 256)
_VERSIONS = {number: version.ja4 for number, version in TLS_VERSIONS.items()} | {2: "s2"}


def ja4(hello: ClientHello, transport: Literal["t", "q", "d"]) -> str:
    """The JA4 of a complete `hello`, carried by TCP (``t``), QUIC (``q``) or DTLS (``d``).

    It has 36 characters, for example ``t13d1516h2_8daaf6152771_e5627efa2ab1``.
    """
    extensions = [kind for kind in hello.extension_types if kind not in GREASE]
    target = "d" if _SERVER_NAME in extensions else "i"
    kinds = sorted([kind for kind in extensions if kind != _SERVER_NAME and kind != _ALPN])
    is_cached: cython.bint = (
        len(hello.cipher_suites) + len(kinds) + len(hello.signature_algorithms) <= _MAX_CACHED
    )
    ciphers = _ciphers if is_cached else _ciphers.__wrapped__
    count, digest = ciphers(hello.cipher_suites)
    extensions_hash = _extensions_hash if is_cached else _extensions_hash.__wrapped__
    return (
        f"{transport}{_version(hello, transport)}{target}{count}"
        f"{min(len(extensions), 99):02}{_alpn_characters(hello.alpn)}"
        f"_{digest}_{extensions_hash(tuple(kinds), hello.signature_algorithms)}"
    )


def _version(hello: ClientHello, transport: str) -> str:
    offered = [version for version in hello.supported_versions if version not in GREASE]
    newest = min if transport == "d" else max  # the version numbers of DTLS decrease
    return _VERSIONS.get(newest(offered, default=hello.legacy_version), "00")


@lru_cache(maxsize=1024)
def _ciphers(offered: tuple[int, ...]) -> tuple[str, str]:
    """The number of cipher suites, and their hash."""
    suites = sorted([cipher for cipher in offered if cipher not in GREASE])
    return f"{min(len(suites), 99):02}", _hash(suites, [])


@lru_cache(maxsize=1024)
def _extensions_hash(kinds: tuple[int, ...], signatures: tuple[int, ...]) -> str:
    """The hash of the extension types and of the signature algorithms."""
    return _hash(
        kinds, [signature for signature in signatures if signature not in GREASE] if kinds else ()
    )


def _hash(numbers: Sequence[int], more: Sequence[int]) -> str:
    if not numbers:
        return "0" * 12
    text = "_".join(
        [",".join([f"{number:04x}" for number in row]) for row in (numbers, more) if row]
    )
    return sha256(text.encode("ascii")).hexdigest()[:12]


def _alpn_characters(alpn: tuple[bytes, ...]) -> str:
    """The first and last character of the first ALPN protocol, or of its hexadecimal form if one of
    them is not alphanumeric."""
    first = alpn[0] if alpn else b""
    if not first:
        return "00"
    ends = first[:1] + first[-1:]
    if ends.isalnum():  # of bytes: only ASCII letters and digits
        return ends.decode("ascii")
    text = first.hex()
    return text[0] + text[-1]
