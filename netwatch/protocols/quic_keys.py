"""Keys of QUIC Initial packets, and the opening of packets with them.

Initial packets are encrypted with keys that follow from the client's first Destination
Connection ID, so that anybody on the path can open them (RFC 9001 section 5.2). HKDF
needs but one block a key here and is written out by `hmac`; AES is that of
`cryptography`, whose import is dear: this module is loaded with the first packet.
"""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from netwatch.errors import ParseError
from netwatch.protocols.quic_packet import Initial, Version

_TAG = 16


def _label(size: int, label: bytes) -> bytes:
    """The `info` of HKDF-Expand-Label (RFC 8446 section 7.1) and the counter of HKDF's
    first and only block."""
    full = b"tls13 " + label
    return size.to_bytes(2) + bytes([len(full)]) + full + b"\0\x01"


_CLIENT_IN = _label(32, b"client in")
_LABELS = {
    prefix: (_label(16, prefix + b"key"), _label(12, prefix + b"iv"), _label(16, prefix + b"hp"))
    for prefix in (b"quic ", b"quicv2 ")
}


def client_keys(version: Version, dcid: bytes) -> tuple[bytes, bytes, bytes]:
    """Key (16 bytes), IV (12) and header protection key (16) of a client's Initials.

    `dcid` is the Destination Connection ID of its first one (RFC 9001 sections 5.1, 5.2).
    """
    initial = hmac.digest(version.salt, dcid, "sha256")
    secret = hmac.digest(initial, _CLIENT_IN, "sha256")
    key, iv, hp = _LABELS[version.label]
    return (
        hmac.digest(secret, key, "sha256")[:16],
        hmac.digest(secret, iv, "sha256")[:12],
        hmac.digest(secret, hp, "sha256")[:16],
    )


class Opener:
    """Opens the Initial packets of one client under one set of keys."""

    __slots__ = ("_aead", "_iv", "_largest", "_mask")

    def __init__(self, version: Version, dcid: bytes) -> None:
        key, iv, hp = client_keys(version, dcid)
        self._aead = AESGCM(key)
        self._iv = int.from_bytes(iv)
        self._mask = Cipher(AES(hp), ECB()).encryptor()
        self._largest = -1

    def open(self, datagram: bytes, packet: Initial) -> bytes | None:
        """The frames of `packet`, None where these are not its keys.

        Raises `ParseError` ``quic-short`` where it is too short to be protected
        (RFC 9001 section 5.4.2).
        """
        sample = datagram[packet.number + 4 : packet.number + 4 + 16]
        if packet.number + 4 + len(sample) > packet.end or len(sample) < 16:
            raise ParseError("quic-short")
        mask = self._mask.update(sample)
        first = datagram[packet.start] ^ mask[0] & 0x0F
        size = (first & 3) + 1
        behind = packet.number + size
        number = int.from_bytes(datagram[packet.number : behind]) ^ int.from_bytes(
            mask[1 : 1 + size]
        )
        header = bytes([first]) + datagram[packet.start + 1 : packet.number] + number.to_bytes(size)
        number = self._whole(number, size)
        nonce = (self._iv ^ number).to_bytes(12)
        try:
            frames = self._aead.decrypt(nonce, datagram[behind : packet.end], header)
        except InvalidTag:
            return None
        self._largest = max(self._largest, number)
        return frames

    def _whole(self, number: int, size: int) -> int:
        """The packet number whose last `size` bytes are `number` (RFC 9000 A.3)."""
        window = 1 << (8 * size)
        expected = self._largest + 1
        candidate = expected & ~(window - 1) | number
        if candidate + window // 2 <= expected and candidate < (1 << 62) - window:
            return candidate + window
        if candidate > expected + window // 2 and candidate >= window:
            return candidate - window
        return candidate
