"""The files that prove one incident: its packets as pcapng, and its records of logs as text.

The writer of pcapng (draft-ietf-opsawg-pcapng) makes one little-endian section, of packets with
comments. Timestamps are written in nanoseconds (if_tsresol 9), whatever the resolution of the
capture. A VLAN tag that the NIC had stripped is inserted again, so that a reader sees the frame as
it was on the wire.

In the text, for people and for `netwatch verify`, lines that begin with ``#`` are of netwatch: the
incident, the SHA-256 of each log as far as it was there, and before each record what it shows. The
line behind these is the record, byte by byte as it is in the log; one that is no line of text is in
base64. So ``grep -v '^#'`` gives what was logged.
"""

import base64
import hashlib
import stat
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from netwatch import __version__
from netwatch.core.flow import Frame
from netwatch.core.text import escaped

MAX_OPTION = 4096
"""Bytes of the text of an option, such as a comment; longer texts are truncated."""

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_COMMENT, _APPLICATION, _NAME, _DESCRIPTION, _RESOLUTION = 1, 4, 2, 3, 9
_SNAPLEN = 262144
_ETHERNET = 1
_TAGGED = b"\x81\x00"

MAX_HASHED = 4 << 30
"""Bytes of a log up to which it is hashed."""

BASE64 = "# base64"
"""The comment before a record that is in base64."""

_PIECE = 1 << 20


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


def lines_text(title: str, chosen: Sequence[tuple[Frame, list[str]]]) -> bytes:
    """The file of an incident that `title` describes, with records in the order given, each with
    its comments."""
    head = [f"# netwatch {__version__}", f"# {title}"]
    head += [_file_line(source) for source in dict.fromkeys(frame.source for frame, _ in chosen)]
    parts = ["\n".join(head).encode("utf-8", "backslashreplace") + b"\n"]
    for frame, comments in chosen:
        texts = [f"# {text}" for text in comments]
        record = frame.data
        if not _is_line(record):
            texts.append(BASE64)
            record = base64.b64encode(record)
        if frame.wire_length > len(frame.data):
            texts.append(f"# cut: the record has {frame.wire_length:,} bytes")
        parts.append("\n".join(texts).encode("utf-8", "backslashreplace") + b"\n")
        parts.append(record + b"\n")
    return b"".join(parts)


def _file_line(source: str) -> str:
    """What identifies a log as far as it was there when the evidence was written."""
    found = hashed(source)
    name = escaped(source)
    if found is None:
        return f"# log {name}, which could not be hashed"
    digest, size = found
    return f"# log {name}, sha256 {digest} of its first {size:,} bytes"


def hashed(source: str, size: int | None = None) -> tuple[str, int] | None:
    """The SHA-256 of the first `size` bytes of a file as it is stored, all that there are by
    default, and their number; None for what is no local file, is too large, or cannot be read."""
    digest, left = hashlib.sha256(), size
    try:
        path = Path(source)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_HASHED:
            return None
        left = status.st_size if size is None else size
        total = left
        with path.open("rb") as stream:
            while left and (piece := stream.read(min(_PIECE, left))):
                digest.update(piece)
                left -= len(piece)
    except (OSError, ValueError):
        return None
    return digest.hexdigest(), total - left


def _is_line(record: bytes) -> bool:
    """Whether a record can stand in a line of its own and be told from a comment."""
    return not record.startswith(b"#") and not any(each in record for each in b"\n\r\0")
