"""Recognises what is not read as a capture: Endace's ERF, and what `scan --evidence` has written.

ERF has no magic number but a chain of records. A record (Endace EDM11-01, the format of libpcap's
DLT_ERF) begins with its time, a fraction of a second and the seconds in little-endian, then its
type, flags, its length, a counter, and the length of the packet on the wire, in big-endian.

The originals of evidence are usually in the same folder, so reading both would count everything
twice.
"""

import re
import struct

ERF_HEAD_BYTES = 8192
"""Bytes of a file to recognise it by."""

_HEADER = struct.Struct("<IIBB")
_LENGTHS = struct.Struct(">HHH")
_SIZE = 16
_TYPES = range(1, 49)
_PADDING = 48
_MORE_HEADERS = 0x80
_RECORDS = 2
_SPREAD = 86_400
"""How far apart the first records may be, s."""

EVIDENCE_HEAD_BYTES = 128
"""Bytes of a file to recognise it by."""

# The comment of a Section Header Block, in either byte order (draft-ietf-opsawg-pcapng section
# 4.1), and the first lines of a text.
_CAPTURE = re.compile(
    rb"\x0a\x0d\x0d\x0a.{20}(\x01\x00..|\x00\x01..)incident [0-9a-f]{32}: ", re.DOTALL
)
_LINES = re.compile(rb"# netwatch \S{1,40}\n# incident [0-9a-f]{32}: ")


def is_erf(head: bytes) -> bool:
    """Whether a file with these first bytes is a chain of two or more such records, the last of
    which may be cut by the end of `head`."""
    at = count = 0
    first: int | None = None
    while at + _SIZE <= len(head):
        _, seconds, kind, _ = _HEADER.unpack_from(head, at)
        size, _, wire = _LENGTHS.unpack_from(head, at + 10)
        kind &= ~_MORE_HEADERS
        if kind not in _TYPES or size < _SIZE:
            return False
        if kind != _PADDING:
            first = seconds if first is None else first
            if not seconds or not wire or abs(seconds - first) > _SPREAD:
                return False
        at += size
        count += 1
    return count >= _RECORDS and (at <= len(head) or len(head) == ERF_HEAD_BYTES)


def is_own_evidence(head: bytes) -> bool:
    """Whether a file with these first bytes is an evidence capture or the lines of one."""
    return bool(_CAPTURE.match(head) or _LINES.match(head))
