"""Frames of dnstap, written field by field as dnstap.proto has them, and streams of them."""

import struct
from collections.abc import Iterable

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
CLIENT_QUERY, CLIENT_RESPONSE, RESOLVER_QUERY = 5, 6, 3
NXDOMAIN_ACTION, PASS_ACTION = 1, 3


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: int | bytes) -> bytes:
    """A field as a varint, or as bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed32(number: int, value: int) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<I", value)


def frame(
    kind: int,
    payload: bytes,
    *,
    client: bytes = b"\x0a\x14\x01\x1f",
    server: bytes = b"\x0a\x14\x00\x35",
    client_port: int = 51612,
    protocol: int = 1,
    seconds: int = 1679303071,
    nanoseconds: int = 118342001,
    policy: bytes = b"",
) -> bytes:
    """A message of this kind about a DNS message in wire format. Without address where it is
    empty."""
    is_response = kind % 2 == 0
    message = field(1, kind) + field(2, 1) + field(3, protocol)
    message += field(4, client) if client else b""
    message += field(5, server) if server else b""
    message += field(6, client_port) + field(7, 53)
    if is_response:
        message += field(12, seconds) + fixed32(13, nanoseconds) + field(14, payload)
    else:
        message += field(8, seconds) + fixed32(9, nanoseconds) + field(10, payload)
    message += field(15, policy) if policy else b""
    return field(1, b"ns1.example.org") + field(14, message) + field(15, 1)


def policy(rule: bytes, action: int) -> bytes:
    return field(1, b"RPZ") + field(2, rule) + field(3, action)


def stream(frames: Iterable[bytes]) -> bytes:
    """A file of Frame Streams: START with the content type, the frames, STOP."""
    start = struct.pack(">III", 2, 1, len(CONTENT_TYPE)) + CONTENT_TYPE
    out = struct.pack(">II", 0, len(start)) + start
    out += b"".join(struct.pack(">I", len(each)) + each for each in frames)
    return out + struct.pack(">III", 0, 4, 3)
