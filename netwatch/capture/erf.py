"""Recognises captures of Endace cards (ERF), which have no magic number: a chain of records.

A record (Endace EDM11-01, the format of libpcap's DLT_ERF) begins with its time, a fraction of a
second and the seconds in little-endian, then its type, flags, its length, a counter, and the length
of the packet on the wire, in big-endian.
"""

import struct

HEAD_BYTES = 8192
"""Bytes of a file by which it is recognised."""

_HEADER = struct.Struct("<IIBB")
_LENGTHS = struct.Struct(">HHH")
_SIZE = 16
_TYPES = range(1, 49)
_PADDING = 48
_MORE_HEADERS = 0x80
_RECORDS = 2
_SPREAD = 86_400
"""How far apart the first records may be, s."""


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
    return count >= _RECORDS and (at <= len(head) or len(head) == HEAD_BYTES)
