# cython: language_level=3
"""The keys of QUIC Initial packets, and the decryption of packets with them.

The keys of Initial packets are derived from the first Destination Connection ID of the client, so
that everybody on the path can decrypt them (RFC 9001 section 5.2). Each key needs only one block of
HKDF. HKDF and HMAC are written out here with SHA-256, which takes half the time of the standard
library. AES is that of `cryptography`, whose import is slow: this module is only imported with the
first packet.
"""

from hashlib import sha256

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from netwatch.core.errors import ParseError
from netwatch.protocols.quic_packet import Version

if not cython.compiled:
    from netwatch.protocols.quic_packet import Initial
else:
    from cython.cimports.netwatch.protocols.quic_packet import Initial

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def _label(size: int, label: bytes) -> bytes:
    """The `info` of HKDF-Expand-Label (RFC 8446 section 7.1), followed by the counter of the only
    block of HKDF-Expand."""
    full = b"tls13 " + label
    return size.to_bytes(2) + bytes([len(full)]) + full + b"\0\x01"


_CLIENT_IN = _label(32, b"client in")
_LABELS = {
    prefix: (_label(16, prefix + b"key"), _label(12, prefix + b"iv"), _label(16, prefix + b"hp"))
    for prefix in (b"quic ", b"quicv2 ")
}


def client_keys(version: Version, dcid: bytes) -> tuple[bytes, bytes, bytes]:
    """The key (16 bytes), IV (12) and header protection key (16) of the Initial packets of a
    client.

    `dcid` is the Destination Connection ID of the first one (RFC 9001 sections 5.1 and 5.2).
    """
    secret = _hmac(_hmac(version.salt, dcid), _CLIENT_IN)
    key, iv, hp = _LABELS[version.label_prefix]
    return (
        _hmac(secret, key)[:16],
        _hmac(secret, iv)[:12],
        _hmac(secret, hp)[:16],
    )


def _hmac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104); `key` has at most the 64 bytes of a block."""
    block = key.ljust(64, b"\0")
    inner = sha256(block.translate(_INNER) + data).digest()
    return sha256(block.translate(_OUTER) + inner).digest()


@cython.cclass
class Decryptor:
    """Decrypts the Initial packets of one client with one set of keys."""

    __slots__ = ("_aead", "_iv", "_largest", "_mask")

    def __init__(self, version: Version, dcid: bytes) -> None:
        key, iv, hp = client_keys(version, dcid)
        self._aead = AESGCM(key)
        self._iv = int.from_bytes(iv)
        self._mask = Cipher(AES(hp), ECB()).encryptor()
        self._largest = -1

    @cython.ccall
    def decrypt(self, datagram: bytes, packet: Initial) -> bytes | None:
        """The frames of `packet`, None if it was encrypted with other keys.

        Raises `ParseError` ``quic-short`` if it is too short for header protection (RFC 9001
        section 5.4.2).
        """
        at: cython.Py_ssize_t
        start: cython.Py_ssize_t = packet.number_offset
        sample = datagram[start + 4 : start + 4 + 16]
        if start + 4 + len(sample) > packet.end or len(sample) < 16:
            raise ParseError("quic-short")
        mask: bytes = self._mask.update(sample)
        header = bytearray(datagram[packet.start : start + 4])
        header[0] ^= mask[0] & 0x0F
        size: cython.Py_ssize_t = (header[0] & 3) + 1
        del header[start - packet.start + size :]
        number: cython.longlong = 0
        for at in range(size):
            header[start - packet.start + at] ^= mask[1 + at]
            number = number << 8 | header[start - packet.start + at]
        number = self._full_number(number, size)
        nonce = (self._iv ^ number).to_bytes(12)
        try:
            frames: bytes = self._aead.decrypt(
                nonce, datagram[start + size : packet.end], bytes(header)
            )
        except InvalidTag:
            return None
        self._largest = max(self._largest, number)
        return frames

    def _full_number(self, number: int, size: int) -> int:
        """The packet number whose last `size` bytes are `number` (RFC 9000 appendix A.3)."""
        window = 1 << (8 * size)
        expected = self._largest + 1
        candidate = expected & ~(window - 1) | number
        if candidate + window // 2 <= expected and candidate < (1 << 62) - window:
            return candidate + window
        if candidate > expected + window // 2 and candidate >= window:
            return candidate - window
        return candidate
