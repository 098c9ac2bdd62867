"""A writer of pcapng (draft-ietf-opsawg-pcapng): one little-endian section, packets with comments.

Timestamps are written in nanoseconds (if_tsresol 9), whatever the resolution of the capture. A
VLAN tag that the NIC had stripped is inserted again, so that a reader sees the frame as it was on
the wire.
"""

import struct
from collections.abc import Iterable

from netwatch.core.frame import Frame

MAX_OPTION = 4096
"""Bytes of the text of an option, such as a comment; longer texts are truncated."""

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_COMMENT, _APPLICATION, _NAME, _DESCRIPTION, _RESOLUTION = 1, 4, 2, 3, 9
_SNAPLEN = 262144
_ETHERNET = 1
_TAGGED = b"\x81\x00"


def section(application: str, comment: str) -> bytes:
    """A Section Header Block (section 4.1) of unknown length."""
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    options = [(_COMMENT, _text(comment)), (_APPLICATION, _text(application))]
    return _block(_SECTION, body, options)


def interface(link_type: int, name: str, description: str, longest: int) -> bytes:
    """An Interface Description Block (section 4.2); `longest` is the length of its longest packet
    in bytes."""
    body = struct.pack("<HHI", link_type & 0xFFFF, 0, max(_SNAPLEN, longest))
    options = [(_NAME, _text(name))] if name else []
    options += [(_DESCRIPTION, _text(description)), (_RESOLUTION, b"\x09")]
    return _block(_INTERFACE, body, options)


def packet(frame: Frame, number: int, comments: Iterable[str]) -> bytes:
    """An Enhanced Packet Block (section 4.3) of a packet on the interface with this `number`."""
    data, wire = with_vlan_tag(frame)
    ticks = max(0, frame.time)
    body = struct.pack("<IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire)
    body += data + bytes(-len(data) % 4)
    return _block(_ENHANCED, body, [(_COMMENT, _text(text)) for text in comments])


def with_vlan_tag(frame: Frame) -> tuple[bytes, int]:
    """The bytes of a packet and its length on the wire, with the VLAN tag that the NIC had stripped
    (IEEE 802.1Q section 9.6)."""
    if frame.vlan_tci < 0 or frame.link_type != _ETHERNET or len(frame.data) < 12:
        return frame.data, frame.wire_length
    tag = _TAGGED + (frame.vlan_tci & 0xFFFF).to_bytes(2)
    return frame.data[:12] + tag + frame.data[12:], frame.wire_length + 4


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:MAX_OPTION].decode("utf-8", "ignore").encode()


def _block(kind: int, body: bytes, options: list[tuple[int, bytes]]) -> bytes:
    for code, value in options:
        body += struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
    if options:
        body += bytes(4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size
