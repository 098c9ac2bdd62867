"""Messages made for the tests: Google QUIC, DTLS, server flights and HTTP/2, without a
line of what they test."""

import datetime
import struct
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hpack import Encoder
from support.protocol_samples import extension, vector

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DCID = bytes.fromhex("0102030405060708")


def chlo_message(*values: tuple[bytes, bytes], tag: bytes = b"CHLO") -> bytes:
    """A message of Google's QUIC crypto with these tags and values."""
    head = tag + struct.pack("<HH", len(values), 0)
    end = 0
    for name, value in values:
        end += len(value)
        head += name + struct.pack("<I", end)
    return head + b"".join(value for _, value in values)


def padded_chlo(name: bytes, padding: int = 1000) -> bytes:
    return chlo_message((b"PAD\0", b"-" * padding), (b"SNI\0", name), (b"VER\0", b"Q043"))


def stream_frame(version: int, data: bytes, offset: int = 0, stream: int = 1) -> bytes:
    """A STREAM frame of Google QUIC with a data length, and an offset where it is not 0."""
    order = "big" if version >= 39 else "little"
    kind = 0xA0 | (3 << 2 if offset else 0)
    frame = bytes([kind, stream]) + (offset.to_bytes(4, order) if offset else b"")
    return frame + len(data).to_bytes(2, order) + data


def clear_packet_of(version: int, frames: bytes, number_size: int = 1) -> bytes:
    """A client's packet in clear, of Q024 to Q046; packet number and hash are zeros."""
    text = b"Q%03d" % version
    if version >= 44:
        first = 0xFF if version == 44 else 0xC0 | number_size - 1
        number_size = 4 if version == 44 else number_size
        return bytes([first]) + text + b"\x50" + DCID + bytes(number_size + 12) + frames
    flags = 0x09 | (1, 2, 4, 6).index(number_size) << 4 | (0x04 if version <= 33 else 0)
    private = b"\0" if version <= 33 else b""
    return bytes([flags]) + DCID + text + bytes(number_size + 12) + private + frames


def dtls_record(payload: bytes, content: int = 22, version: int = 0xFEFF, epoch: int = 0) -> bytes:
    return struct.pack(">BHHHI", content, version, epoch, 0, 0) + vector(2, payload)


def dtls_hello(hello: bytes, cookie: bytes = b"") -> bytes:
    """The body of a TLS ClientHello, which has an empty session id, as DTLS has it."""
    body = hello[4:]
    return b"\xfe\xfd" + body[2:35] + vector(1, cookie) + body[35:]


def fragment(body: bytes, start: int, end: int, sequence: int = 0, kind: int = 1) -> bytes:
    """A handshake message of DTLS with ``body[start:end]``."""
    head = bytes([kind]) + len(body).to_bytes(3) + sequence.to_bytes(2)
    return head + start.to_bytes(3) + vector(3, body[start:end])


@lru_cache
def private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@lru_cache
def certificate(common_name: str | None, *names: str, serial: int = 7) -> bytes:
    """A self-signed certificate in DER."""
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = (
        x509.CertificateBuilder(x509.Name([]), x509.Name(subject))
        .public_key(private_key().public_key())
        .serial_number(serial)
        .not_valid_before(datetime.datetime(2023, 1, 1))
        .not_valid_after(datetime.datetime(2033, 1, 1))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(private_key(), hashes.SHA256()).public_bytes(Encoding.DER)


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(3, body)


def server_hello(version: int = 0x0303, *, selected: int = 0, alpn: bytes = b"") -> bytes:
    """A ServerHello; `selected` goes into supported_versions."""
    body = version.to_bytes(2) + bytes(32) + vector(1, bytes(32)) + b"\xc0\x2f\0"
    extensions = extension(43, selected.to_bytes(2)) if selected else b""
    if alpn:
        extensions += extension(16, vector(2, vector(1, alpn)))
    return message(2, body + (vector(2, extensions) if extensions else b""))


def certificates(*chain: bytes) -> bytes:
    return message(11, vector(3, b"".join(vector(3, each) for each in chain)))


def http2_frame(kind: int, payload: bytes, flags: int = 0, stream: int = 0) -> bytes:
    return vector(3, payload)[:3] + bytes([kind, flags]) + stream.to_bytes(4) + payload


def request_fields(authority: str | None, **more: str) -> list[tuple[str, str]]:
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/")]
    if authority is not None:
        fields.append((":authority", authority))
    return fields + list(more.items())


def http2_requests(*authorities: str) -> bytes:
    """A preface, SETTINGS, and a request with each authority."""
    encoder = Encoder()
    data = PREFACE + http2_frame(4, b"\0\3\0\0\0\x64")
    for at, authority in enumerate(authorities):
        block = encoder.encode(request_fields(authority, accept="*/*"))
        data += http2_frame(1, block, 0x05, 2 * at + 1)
    return data
