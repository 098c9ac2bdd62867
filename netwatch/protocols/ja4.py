"""JA4: a fingerprint of the TLS client from its ClientHello.

The method is FoxIO's, BSD-3-Clause, as described in ``technical_details/JA4.md`` of
github.com/FoxIO-LLC/ja4: what the client offers, counted and hashed in an order that
does not depend on how it shuffles. GREASE counts for nothing anywhere.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Literal

from netwatch.protocols.client_hello import GREASE, ClientHello

_SERVER_NAME, _ALPN = 0, 16
_KEPT = 256
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
    ciphers = _meant(hello.ciphers)
    extensions = _meant(hello.extensions)
    offered = _meant(hello.versions)
    newest = min if transport == "d" else max
    version = _VERSIONS.get(newest(offered, default=hello.version), "00")
    target = "d" if _SERVER_NAME in extensions else "i"
    kinds = sorted([kind for kind in extensions if kind not in (_SERVER_NAME, _ALPN)])
    return (
        f"{transport}{version}{target}"
        f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{_ends(hello.alpn)}"
        f"_{_digest(tuple(sorted(ciphers)))}"
        f"_{_digest(tuple(kinds), _meant(hello.signatures) if kinds else ())}"
    )


def _meant(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([number for number in numbers if number not in GREASE])


def _digest(numbers: tuple[int, ...], more: tuple[int, ...] = ()) -> str:
    # Clients of one make offer the same, so the hash is kept; what no client offers is
    # not, lest it fill the memory.
    hashed = _hash if len(numbers) + len(more) <= _KEPT else _hash.__wrapped__
    return hashed(numbers, more)


@lru_cache(maxsize=1024)
def _hash(numbers: tuple[int, ...], more: tuple[int, ...]) -> str:
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
