"""TLS ClientHellos and QUIC Initials, built from nothing but a name and a random source.

The captures beside this module and the traffic of the benchmark take their handshakes
from here, so both show what browsers send: GREASE, key shares of X25519 and of
X25519MLKEM768 (which no longer fits one packet), and Initials that any passive reader
can open, because their keys follow from the connection id (RFC 9001 section 5.2, RFC
9369 section 3.3). Everything random comes from the `random.Random` given, so the same
seed gives the same bytes. Nothing here is fit for a real connection.
"""

import hmac
import itertools
import random
import struct
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

QUIC_V1 = 0x00000001
QUIC_V2 = 0x6B3343CF
QUIC_DRAFT_29 = 0xFF00001D

SALTS = {
    QUIC_V1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    QUIC_V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
    QUIC_DRAFT_29: bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"),
}
"""Initial salts: RFC 9001 section 5.2, RFC 9369 section 3.3.1, draft-ietf-quic-tls-29."""

X25519, SECP256R1, SECP384R1, X25519MLKEM768 = 0x001D, 0x0017, 0x0018, 0x11EC
SHARE_SIZES = {X25519: 32, X25519MLKEM768: 1184 + 32}
"""Bytes of a client's key_share (RFC 8446 section 4.2.8, draft-ietf-tls-ecdhe-mlkem)."""

CIPHERS = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014)
SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
GREASE = tuple(0x0A0A + 0x1010 * step for step in range(16))
"""Reserved values that clients mix in (RFC 8701)."""


def _sized(width: int, body: bytes) -> bytes:
    return len(body).to_bytes(width, "big") + body


def _words(values: Sequence[int]) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


def client_hello(
    name: str | None,
    rng: random.Random,
    *,
    post_quantum: bool = False,
    quic: int | None = None,
    alpn: Sequence[str] = ("h2", "http/1.1"),
    ech: bytes | None = None,
    suites: Sequence[int] = CIPHERS,
) -> bytes:
    """A ClientHello handshake message (RFC 8446 section 4.1.2), no record around it.

    `name` goes into server_name (RFC 6066), None leaves the extension out. With
    `post_quantum` the message has about 1,730 bytes, else about 510. `quic` is the QUIC
    version whose transport parameters are added (RFC 9001 section 8.2), `ech` the body of an
    encrypted_client_hello extension (RFC 9849 section 5). `suites` are the cipher suites that are
    offered.
    """
    grease = rng.sample(GREASE, 3)
    groups = [X25519MLKEM768, X25519] if post_quantum else [X25519]
    shares = _words([grease[0]]) + _sized(2, b"\0")
    shares += b"".join(_words([g]) + _sized(2, rng.randbytes(SHARE_SIZES[g])) for g in groups)
    protocols = b"".join(_sized(1, p.encode()) for p in alpn)
    versions = [grease[1], 0x0304] if quic else [grease[1], 0x0304, 0x0303]
    extensions = [
        _extension(23, b""),  # extended_master_secret
        _extension(0xFF01, b"\0"),  # renegotiation_info
        _extension(10, _sized(2, _words([grease[0], *groups, SECP256R1, SECP384R1]))),
        _extension(11, b"\1\0"),  # ec_point_formats
        _extension(35, rng.randbytes(224) if post_quantum else b""),  # a ticket (RFC 5077)
        _extension(16, _sized(2, protocols)),
        _extension(5, b"\1\0\0\0\0"),  # status_request
        _extension(13, _sized(2, _words(SIGNATURES))),
        _extension(18, b""),  # signed_certificate_timestamp
        _extension(51, _sized(2, shares)),
        _extension(45, b"\1\1"),  # psk_key_exchange_modes
        _extension(43, _sized(1, _words(versions))),
        _extension(27, b"\2\0\2"),  # compress_certificate
    ]
    if name is not None:
        entry = b"\0" + _sized(2, name.encode("idna"))
        extensions.append(_extension(0, _sized(2, entry)))
    if ech is not None:
        extensions.append(_extension(0xFE0D, ech))
    if quic is not None:
        kind = 0xFFA5 if quic == QUIC_DRAFT_29 else 57
        extensions.append(_extension(kind, _transport_parameters(rng)))
    # Browsers shuffle their extensions, so a reader may not count on an order.
    rng.shuffle(extensions)
    block = _extension(grease[2], b"") + b"".join(extensions)
    if not quic and len(block) < 400:
        block += _extension(21, bytes(396 - len(block)))  # padding (RFC 7685)
    body = b"\x03\x03" + rng.randbytes(32)
    body += _sized(1, b"" if quic else rng.randbytes(32))
    body += _sized(2, _words([grease[0], *suites])) + b"\1\0" + _sized(2, block)
    return b"\1" + _sized(3, body)


def _transport_parameters(rng: random.Random) -> bytes:
    idle, datagram, window = (
        b"\x01\x04\x80\x00\x75\x30",
        b"\x03\x02\x45\xc0",
        b"\x04\x04\x80\xf0\0\0",
    )
    return idle + datagram + window + b"\x0f" + _sized(1, rng.randbytes(8))


def records(handshake: bytes, limit: int = 16384) -> bytes:
    """The handshake message in TLS records of at most `limit` bytes each (section 5.1)."""
    pieces = [handshake[at : at + limit] for at in range(0, len(handshake), limit)]
    return b"".join(b"\x16\x03\x01" + _sized(2, piece) for piece in pieces)


def server_hello(rng: random.Random) -> bytes:
    """A ServerHello handshake message of TLS 1.3 (RFC 8446 section 4.1.3)."""
    share = _words([X25519]) + _sized(2, rng.randbytes(32))
    body = b"\x03\x03" + rng.randbytes(32) + _sized(1, rng.randbytes(32)) + b"\x13\x01\0"
    body += _sized(2, _extension(43, b"\x03\x04") + _extension(51, share))
    return b"\2" + _sized(3, body)


def server_flight(rng: random.Random, size: int = 1800) -> bytes:
    """What a TLS 1.3 server answers with: a ServerHello and `size` bytes encrypted."""
    change_cipher_spec = b"\x14\x03\x03\0\1\1"
    return records(server_hello(rng)) + change_cipher_spec + application_data(rng, size)


def application_data(rng: random.Random, size: int) -> bytes:
    """One encrypted TLS record with `size` bytes in it."""
    return b"\x17\x03\x03" + _sized(2, rng.randbytes(size))


def varint(value: int) -> bytes:
    """A variable-length integer (RFC 9000 section 16), in its shortest form."""
    for prefix, width in ((0, 1), (1, 2), (2, 4), (3, 8)):
        if value < 1 << (8 * width - 2):
            return (value | prefix << (8 * width - 2)).to_bytes(width, "big")
    raise ValueError(f"{value} does not fit a QUIC integer")


def crypto_frame(handshake: bytes, start: int, end: int) -> bytes:
    """A CRYPTO frame with bytes `start` to `end` of the message (RFC 9000 section 19.6)."""
    piece = handshake[start:end]
    return b"\x06" + varint(start) + varint(len(piece)) + piece


def initial_keys(version: int, dcid: bytes, side: str = "client") -> tuple[bytes, bytes, bytes]:
    """Key, IV and header protection key of one side's Initials (RFC 9001 section 5.2)."""
    label = b"quicv2 " if version == QUIC_V2 else b"quic "
    initial = hmac.digest(SALTS[version], dcid, "sha256")
    secret = _expand(initial, side.encode() + b" in", 32)
    key, iv = _expand(secret, label + b"key", 16), _expand(secret, label + b"iv", 12)
    return key, iv, _expand(secret, label + b"hp", 16)


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    info = struct.pack(">H", size) + _sized(1, b"tls13 " + label) + b"\0"
    return hmac.digest(secret, info + b"\1", "sha256")[:size]


def quic_initial(
    version: int,
    dcid: bytes,
    scid: bytes,
    number: int,
    frames: bytes,
    *,
    key_id: bytes | None = None,
    side: str = "client",
    token: bytes = b"",
    size: int = 1200,
    fixed: bool = True,
) -> bytes:
    """One protected Initial packet, its payload padded so that the packet has `size` bytes.

    Keys come from `key_id`, the destination id of the client's first Initial; None says
    that it is `dcid`. The packet number takes four bytes (RFC 9000 section 17.2.2). The
    fixed bit is cleared unless it is to be `fixed` (RFC 9287).
    """
    key, iv, mask_key = initial_keys(version, dcid if key_id is None else key_id, side)
    kind = (0xD3 if version == QUIC_V2 else 0xC3) & (0xFF if fixed else 0xBF)
    head = bytes([kind]) + struct.pack(">I", version) + _sized(1, dcid) + _sized(1, scid)
    head += varint(len(token)) + token
    # Two bytes of length, four of packet number, sixteen of authentication tag.
    frames = frames.ljust(size - len(head) - 22, b"\0")
    head += struct.pack(">H", 0x4000 | (len(frames) + 20))
    numbered = head + struct.pack(">I", number)
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, frames, numbered)
    # AES-ECB of one block is what header protection is (RFC 9001 section 5.4.3).
    encryptor = Cipher(algorithms.AES(mask_key), modes.ECB()).encryptor()
    mask = encryptor.update(sealed[:16])
    first = bytes([numbered[0] ^ (mask[0] & 0x0F)])
    plain = struct.pack(">I", number)
    hidden = bytes(a ^ b for a, b in zip(plain, mask[1:5], strict=True))
    return first + head[1:] + hidden + sealed


def quic_hello(
    version: int,
    name: str,
    rng: random.Random,
    *,
    post_quantum: bool = False,
    ech: bytes | None = None,
) -> list[bytes]:
    """The client's first datagrams: one, or two where a post-quantum hello needs them."""
    hello = client_hello(name, rng, post_quantum=post_quantum, quic=version, alpn=("h3",), ech=ech)
    dcid, scid = rng.randbytes(8), rng.randbytes(5)
    cuts = [0, 1100, len(hello)] if len(hello) > 1100 else [0, len(hello)]
    return [
        quic_initial(version, dcid, scid, number, crypto_frame(hello, start, end))
        for number, (start, end) in enumerate(itertools.pairwise(cuts))
    ]


def quic_data(rng: random.Random, size: int, dcid: bytes = b"") -> bytes:
    """A short-header packet of `size` bytes, of which only the header means anything."""
    return bytes([0x40 | rng.getrandbits(6)]) + dcid + rng.randbytes(size - 1 - len(dcid))
