"""Encrypted ClientHello (RFC 9849): is the unencrypted name the real one?

A client that has a key of its server sends an outer hello with the public name of the server, and
the real hello encrypted in the extension. A client without a key sends GREASE, an extension of the
same layout filled with random bytes, and the real name. By design, nobody on the path can
distinguish the two with certainty. This module describes what can be concluded, and when the
conclusion is wrong.
"""

from netwatch.core.errors import ParseError
from netwatch.core.protocol_numbers import ECH_PUBLIC_NAMES
from netwatch.protocols.reader import Reader

_OUTER, _INNER = 0, 1
_APPLICATION_SETTINGS = frozenset({17513, 17613})
_HKDF_SHA256 = 1
_AES_128_GCM, _CHACHA20_POLY1305 = 1, 3
_X25519_KEY = 32
_TAG = 16
_GREASE_SIZES = frozenset(size + _TAG for size in (128, 160, 192, 224))


def is_boringssl(first_cipher: int, extensions: tuple[int, ...]) -> bool:
    """Whether a hello was sent by BoringSSL (Chromium and related clients).

    Its first cipher suite is a GREASE value (RFC 8701). Over QUIC there is none, but it has
    application_settings, which no other client sends (draft-vvv-tls-alps).
    """
    return (
        first_cipher & 0x0F0F == 0x0A0A and first_cipher >> 8 == first_cipher & 0xFF
    ) or not _APPLICATION_SETTINGS.isdisjoint(extensions)


def config_id(extension: bytes) -> int | None:
    """The config_id in the body of the extension of an outer hello (RFC 9849 section 5); None
    where it has none."""
    return extension[5] if len(extension) > 5 and extension[0] == _OUTER else None


def classify(extension: bytes, server_names: tuple[str, ...], boringssl: bool = False) -> str:
    """Classify the body of the encrypted_client_hello extension of a hello with these names;
    `boringssl` is the result of `is_boringssl`.

    ``outer``: the unencrypted name is not the real one. This is the result
    - for a name in `ECH_PUBLIC_NAMES`; wrong only for a client that visits such a name itself;
    - without a key, as RFC 9849 section 5 requires in the second hello after a HelloRetryRequest,
      and as GREASE never is (section 6.2);
    - for BoringSSL, if cipher suite, key or payload are not those of its GREASE; wrong for another
      client that looks like BoringSSL.

    ``grease``: the unencrypted name is the real one. This is the result for BoringSSL with any
    other name, if cipher suite, key and payload have the sizes of its GREASE, whose payload has
    one of four sizes. It is wrong for an outer hello with an unknown public name whose payload
    happens to have one of the four sizes, as that of a short real hello does.

    ``present``: neither can be concluded. NSS (Firefox), for example, encrypts a real hello under a
    random key as GREASE, which has the same sizes as an outer hello.

    Raises `ParseError`: ``tls-ech`` for an invalid body, ``tls-ech-inner`` for the type of an inner
    hello, which must not be sent unencrypted.
    """
    reader = Reader(extension, "tls-ech")
    hello_type = reader.uint(1)
    if hello_type == _INNER:
        raise ParseError("tls-ech-inner")
    if hello_type != _OUTER:
        raise ParseError("tls-ech")
    kdf, aead = reader.uint(2), reader.uint(2)
    reader.uint(1)
    key, payload = reader.vector(2), reader.vector(2)
    if reader.remaining or not payload:
        raise ParseError("tls-ech")
    if not key or not ECH_PUBLIC_NAMES.isdisjoint(server_names):
        return "outer"
    if not boringssl:
        return "present"
    suite_is_grease = kdf == _HKDF_SHA256 and aead in (_AES_128_GCM, _CHACHA20_POLY1305)
    if not suite_is_grease or len(key) != _X25519_KEY or len(payload) not in _GREASE_SIZES:
        return "outer"
    return "grease" if server_names else "present"
