"""Encrypted ClientHello (RFC 9849): is the name in clear the one that is meant?

A client with a key for its server sends an outer hello under the server's public name,
with the true hello encrypted in the extension. A client without one sends GREASE, an
extension of the same layout filled with random bytes, under the true name. Nobody on the
path can tell the two for certain, which is their purpose; what can be said, and how
often it is wrong, is said here.
"""

from netwatch.core.errors import ParseError
from netwatch.protocols.reader import Reader

PUBLIC_NAMES = frozenset(
    {
        "cloudflare-ech.com",  # of every site at Cloudflare that has ECH
        "public.tls-ech.dev",  # of a public test service
    }
)
"""Names known to stand in outer hellos alone: nobody is visited under them."""

_OUTER, _INNER = 0, 1
_APPLICATION_SETTINGS = frozenset({17513, 17613})
_HKDF_SHA256 = 1
_AES_128_GCM, _CHACHA20_POLY1305 = 1, 3
_X25519_KEY = 32
_TAG = 16
_GREASE_SIZES = frozenset(size + _TAG for size in (128, 160, 192, 224))


def is_marked(first_cipher: int, extensions: tuple[int, ...]) -> bool:
    """Whether a hello is one of BoringSSL, by a reserved value as its first cipher suite
    (RFC 8701) or, over QUIC, where it has none, by application_settings, which nobody else
    sends (draft-vvv-tls-alps)."""
    return (
        first_cipher & 0x0F0F == 0x0A0A and first_cipher >> 8 == first_cipher & 0xFF
    ) or not _APPLICATION_SETTINGS.isdisjoint(extensions)


def kind(extension: bytes, server_names: tuple[str, ...], marked: bool = False) -> str:
    """What the body of an encrypted_client_hello extension says of a hello with these names;
    `marked` is whether it is one of BoringSSL, as Chromium and its kin have it (`is_marked`).

    ``outer``: the name in clear is not the one that is meant. So it is told where the name
    is in `PUBLIC_NAMES`, which is wrong only for who visits such a name itself; where the
    key is left out, as RFC 9849 section 5 has it in the second hello after a
    HelloRetryRequest, which GREASE never does (section 6.2); and of a `marked` hello whose
    suite, key or payload is not one that BoringSSL gives its GREASE, which is wrong for
    another client that bears its mark.

    ``grease``: the name in clear is meant. So it is told of a `marked` hello with any other
    name where suite, key and payload have the lengths that BoringSSL gives its GREASE:
    one of four sizes. It is wrong for an outer hello under a public name that is not
    known here, if the size of its payload happens to be one of the four, as that of a
    short true hello is.

    ``present``: anything else, such as NSS (Firefox) sends, whose GREASE is a true hello's
    encrypted under a random key, in everything as long as the real one.

    Raises `ParseError` ``tls-ech`` for a body that is none, ``tls-ech-inner`` for the mark
    of an inner hello, which has no place in clear.
    """
    reader = Reader(extension, "tls-ech")
    form = reader.uint(1)
    if form == _INNER:
        raise ParseError("tls-ech-inner")
    if form != _OUTER:
        raise ParseError("tls-ech")
    kdf, aead = reader.uint(2), reader.uint(2)
    reader.uint(1)
    key, payload = reader.vector(2), reader.vector(2)
    if reader.left or not payload:
        raise ParseError("tls-ech")
    if not key or not PUBLIC_NAMES.isdisjoint(server_names):
        return "outer"
    if not marked:
        return "present"
    usual = kdf == _HKDF_SHA256 and aead in (_AES_128_GCM, _CHACHA20_POLY1305)
    if not usual or len(key) != _X25519_KEY or len(payload) not in _GREASE_SIZES:
        return "outer"
    return "grease" if server_names else "present"
