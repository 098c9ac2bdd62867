"""Messages made for the tests of the parsers: real ClientHellos, and packets sealed by
`cryptography` alone, without a line of what they test."""

import ssl
import struct
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message

SALTS = {
    1: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    0xFF020000: "a707c203a59b47184a1d62ca570406ea7ae3e5d3",
    0x6B3343CF: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    0xFF00001D: "afbfec289993d24c9e9786f19c6111e04390a899",
    0xFF00001B: "c3eef712c72ebb5a11a7d2432bb46365bef9f502",
    0xFF000016: "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a",
}


def sound_outcome(parse: Callable[[bytes], Message | None], data: bytes, prefix: str) -> bool:
    """Whether `parse` gives a message within `data`, a wish for more, or an error whose
    name starts with `prefix`; any other exception goes through."""
    try:
        found = parse(data)
    except Incomplete as error:
        return error.bytes_needed > len(data)
    except ParseError as error:
        return error.anomaly.startswith(prefix)
    return found is None or 0 <= found.size <= len(data)


def rfc_packets(name: str) -> dict[str, bytes]:
    """The packets of an RFC's Appendix A by their titles, from the file beside this."""
    packets: dict[str, bytes] = {}
    title = ""
    for line in (Path(__file__).parent / f"{name}.hex").read_text().splitlines():
        if line.startswith("#"):
            title = line.rpartition(" ")[2]
            packets[title] = b""
        else:
            packets[title] += bytes.fromhex(line)
    return packets


def real_hello(name: str | None = "www.example.com", alpn: tuple[str, ...] = ("h2",)) -> bytes:
    """The records of a ClientHello as the system's OpenSSL sends it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake without a server ended")


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size) + data


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">H", kind) + vector(2, data)


def server_name(*names: bytes) -> bytes:
    entries = b"".join(b"\0" + vector(2, name) for name in names)
    return extension(0, vector(2, entries))


def hello(
    extensions: bytes | None,
    ciphers: tuple[int, ...] = (0x1301, 0x1302),
    version: int = 0x0303,
    legacy: bytes = b"",
) -> bytes:
    """A handshake message ClientHello, its header included."""
    body = struct.pack(">H", version) + bytes(32) + vector(1, legacy)
    body += vector(2, b"".join(struct.pack(">H", cipher) for cipher in ciphers)) + b"\1\0"
    if extensions is not None:
        body += vector(2, extensions)
    return b"\1" + vector(3, body)


def records(handshake: bytes, size: int = 16384, version: int = 0x0301) -> bytes:
    """Handshake bytes in records of `size` bytes each."""
    parts = [handshake[at : at + size] for at in range(0, len(handshake), size)]
    return b"".join(b"\x16" + struct.pack(">H", version) + vector(2, part) for part in parts)


def varint(number: int, size: int | None = None) -> bytes:
    """A variable-length integer of QUIC in its shortest or the given number of bytes."""
    if size is None:
        size = next(size for size in (1, 2, 4, 8) if number < 1 << (8 * size - 2))
    return (number | {1: 0, 2: 1, 4: 2, 8: 3}[size] << (8 * size - 2)).to_bytes(size)


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    info = size.to_bytes(2) + vector(1, b"tls13 " + label) + b"\0"
    return HKDFExpand(hashes.SHA256(), size, info).derive(secret)


def initial_keys(
    dcid: bytes, version: int, sender: bytes = b"client in"
) -> tuple[bytes, bytes, bytes]:
    """The key, IV and header protection key of Initial packets (RFC 9001 section 5.2)."""
    extract = HMAC(bytes.fromhex(SALTS[version]), hashes.SHA256())
    extract.update(dcid)
    secret = _expand(extract.finalize(), sender, 32)
    label = b"quicv2 " if version in (0x6B3343CF, 0xFF020000) else b"quic "
    return (
        _expand(secret, label + b"key", 16),
        _expand(secret, label + b"iv", 12),
        _expand(secret, label + b"hp", 16),
    )


def sealed(
    frames: bytes,
    dcid: bytes,
    number: int = 0,
    *,
    keys_of: bytes | None = None,
    version: int = 1,
    like: int | None = None,
    number_size: int = 1,
    token: bytes = b"",
    scid: bytes = b"",
    sender: bytes = b"client in",
    pad_to: int = 0,
) -> bytes:
    """An Initial packet with `frames`, protected by the keys that follow from `keys_of`
    (its DCID unless given) in the version `like` (its own unless given); `frames` are padded
    until the packet has `pad_to` bytes."""
    key, iv, hp = initial_keys(
        dcid if keys_of is None else keys_of, version if like is None else like, sender
    )
    kind = 1 if version == 0x6B3343CF else 0
    first = 0xC0 | kind << 4 | number_size - 1
    head = bytes([first]) + version.to_bytes(4) + vector(1, dcid) + vector(1, scid)
    head += varint(len(token)) + token
    frames += bytes(max(0, pad_to - len(head) - 2 - number_size - len(frames) - 16))
    frames += bytes(max(0, 4 - number_size - len(frames)))
    head += varint(number_size + len(frames) + 16, 2)
    number_at = len(head)
    head += (number & ((1 << 8 * number_size) - 1)).to_bytes(number_size)
    nonce = (int.from_bytes(iv) ^ number).to_bytes(12)
    body = AESGCM(key).encrypt(nonce, frames, head)
    packet = bytearray(head + body)
    cipher = Cipher(algorithms.AES(hp), modes.ECB())
    mask = cipher.encryptor().update(bytes(packet[number_at + 4 : number_at + 20]))
    packet[0] ^= mask[0] & 0x0F
    for at in range(number_size):
        packet[number_at + at] ^= mask[1 + at]
    return bytes(packet)
