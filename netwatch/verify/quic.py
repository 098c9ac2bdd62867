"""QUIC Initial packets opened (RFC 9001 section 5, RFC 9369), since neither scapy nor dpkt does so.

Versions 1 and 2 and the drafts from 29 on with the salt of draft 29. Written from scratch, with
AES and HKDF of `cryptography`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


@dataclass(frozen=True, slots=True)
class _Version:
    """Salt (RFC 9001 section 5.2), prefix of the labels, and the two bits of an Initial packet."""

    salt: bytes
    label: bytes
    initial: int


_DRAFT = _Version(bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"), b"quic ", 0)
_VERSIONS = {
    1: _Version(bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"), b"quic ", 0),
    0x6B3343CF: _Version(bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"), b"quicv2 ", 1),
    **{0xFF000000 + draft: _DRAFT for draft in range(29, 33)},
}
MAX_HELLO = 1 << 16
"""Bytes of CRYPTO frames to reassemble for one hello."""

MAX_IDS = 64
"""Connection ids of a flow whose keys to try."""


@dataclass(frozen=True, slots=True)
class _Keys:
    key: bytes
    iv: bytes
    header: bytes


@dataclass(frozen=True, slots=True)
class _Initial:
    """An Initial packet as on the wire: its bytes, where its packet number begins, its version and
    its destination connection id."""

    data: bytes
    number_at: int
    version: _Version
    connection: bytes


def client_hello(datagrams: Sequence[bytes]) -> tuple[bytes, set[int]] | None:
    """The ClientHello in the datagrams of a client, from their last connection, and the positions
    of the datagrams that carry it; None if it is incomplete."""
    hellos: dict[bytes, dict[int, tuple[bytes, int]]] = {}
    connections: list[bytes] = []
    for position, datagram in enumerate(datagrams):
        for initial in _initials(datagram):
            for connection in dict.fromkeys([initial.connection, *connections]):
                plain = _opened(initial, _client_keys(initial.version, connection))
                if plain is None:
                    continue
                if connection not in connections and len(connections) < MAX_IDS:
                    connections.append(connection)
                parts = hellos.setdefault(connection, {})
                for offset, data in _crypto(plain):
                    parts.setdefault(offset, (data, position))
                break
    for connection in reversed(connections):
        whole = _message(hellos[connection])
        if whole is not None:
            return whole
    return None


def is_unknown(datagram: bytes) -> bool:
    """Whether a datagram begins with a long header of a version that is not opened here."""
    known = int.from_bytes(datagram[1:5]) in _VERSIONS
    return len(datagram) > 5 and bool(datagram[0] & 0x80) and not known


def _initials(datagram: bytes) -> Iterator[_Initial]:
    """The Initial packets coalesced in a datagram (RFC 9000 sections 12.2 and 17.2.2)."""
    at = 0
    while at + 7 < len(datagram) and datagram[at] & 0x80:
        version = _VERSIONS.get(int.from_bytes(datagram[at + 1 : at + 5]))
        if version is None:
            return
        ids_at = at + 5
        connection = datagram[ids_at + 1 : ids_at + 1 + datagram[ids_at]]
        ids_at += 1 + datagram[ids_at]
        if ids_at >= len(datagram):
            return
        place = ids_at + 1 + datagram[ids_at]
        kind = datagram[at] >> 4 & 3
        is_initial = kind == version.initial
        if kind == (version.initial + 3) % 4:  # Retry, which has no length
            return
        if is_initial:
            token, place = _varint(datagram, place)
            place += token
        size, place = _varint(datagram, place)
        if not size or place + size > len(datagram):
            return
        if is_initial:
            packet = datagram[at : place + size]
            yield _Initial(packet, place - at, version, connection)
        at = place + size


def _client_keys(version: _Version, connection: bytes) -> _Keys:
    """RFC 9001 sections 5.1 and 5.2."""
    extract = HMAC(version.salt, SHA256())
    extract.update(connection)
    secret = _expand(extract.finalize(), b"client in", 32)
    return _Keys(
        _expand(secret, version.label + b"key", 16),
        _expand(secret, version.label + b"iv", 12),
        _expand(secret, version.label + b"hp", 16),
    )


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 section 7.1)."""
    full = b"tls13 " + label
    info = size.to_bytes(2) + bytes([len(full)]) + full + b"\0"
    return HKDFExpand(SHA256(), size, info).derive(secret)


def _opened(initial: _Initial, keys: _Keys) -> bytes | None:
    """The frames of a packet: header protection removed (RFC 9001 section 5.4), then AES-128-GCM.
    None if the keys are not its own."""
    data, at = bytearray(initial.data), initial.number_at
    sample = bytes(data[at + 4 : at + 20])
    if len(sample) < 16:
        return None
    # One block of AES, as header protection requires.
    mask = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor().update(sample)
    data[0] ^= mask[0] & 0x0F
    size = (data[0] & 3) + 1
    for place in range(size):
        data[at + place] ^= mask[1 + place]
    number = int.from_bytes(data[at : at + size])
    nonce = (int.from_bytes(keys.iv) ^ number).to_bytes(12)
    try:
        sealed, header = bytes(data[at + size :]), bytes(data[: at + size])
        return AESGCM(keys.key).decrypt(nonce, sealed, header)
    except InvalidTag:
        return None


def _crypto(frames: bytes) -> Iterator[tuple[int, bytes]]:
    """The CRYPTO frames among those that an Initial packet may have (RFC 9000 section 17.2.2):
    offset and bytes."""
    at = 0
    while at < len(frames):
        kind = frames[at]
        at += 1
        if kind in (0, 1):  # PADDING, PING
            continue
        if kind in (2, 3):  # ACK
            for _ in range(2):
                _, at = _varint(frames, at)
            ranges, at = _varint(frames, at)
            for _ in range(min(2 * ranges + 1 + 3 * (kind == 3), len(frames))):
                _, at = _varint(frames, at)
        elif kind == 6:
            offset, at = _varint(frames, at)
            size, at = _varint(frames, at)
            yield offset, frames[at : at + size]
            at += size
        else:
            return


def _message(parts: dict[int, tuple[bytes, int]]) -> tuple[bytes, set[int]] | None:
    """The first handshake message of CRYPTO frames, and the datagrams that carry it."""
    data, used = bytearray(), set()
    for offset, (piece, position) in sorted(parts.items()):
        if offset > len(data) or len(data) > MAX_HELLO:
            break
        if offset + len(piece) > len(data):
            data += piece[len(data) - offset :]
            used.add(position)
    if len(data) < 4 or data[0] != 1:
        return None
    size = 4 + int.from_bytes(data[1:4])
    return (bytes(data[:size]), used) if len(data) >= size else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer (RFC 9000 section 16) and the position after it; 0 at the end."""
    if at >= len(data):
        return 0, len(data)
    size = 1 << (data[at] >> 6)
    value = int.from_bytes(data[at : at + size]) & ((1 << (8 * size - 2)) - 1)
    return value, at + size
