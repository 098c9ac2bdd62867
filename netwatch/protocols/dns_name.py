# cython: language_level=3
"""Domain names as they lie in a DNS message: labels, and pointers to earlier labels.

The same few names come again and again, so the spelling of a name without pointers is
kept by its bytes: a name seen before costs one look-up. Pointers may only go backwards
(RFC 1035 section 4.1.4 speaks of a *prior* occurrence), which makes a loop impossible.
"""

from functools import lru_cache

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import ParseError
from netwatch.core.names import escape_bytes

MAX_NAME = 254
"""The longest name in bytes of length octets and labels, its root label left out
(RFC 1035 section 2.3.4)."""

_MAX_JUMPS = 127
_HOST = b"abcdefghijklmnopqrstuvwxyz0123456789-_"


def spell(labels: list[bytes]) -> str:
    """Labels as one name: lower-case, without the root dot, a dot inside a label ``\\.``.

    Bytes that no host name holds are escaped as in a zone file (RFC 1035 section 5.1).
    """
    raw = b".".join(labels).lower()
    if not raw.translate(None, _HOST + b".") and raw.count(b".") == len(labels) - 1:
        return raw.decode("ascii")
    return ".".join(escape_bytes(label.lower()).replace(".", "\\.") for label in labels)


@lru_cache(maxsize=8192)
def plain_name(raw: bytes) -> str | None:
    """The name that `raw`, length octets and labels without the root label, spells.

    None where `raw` is not a row of whole labels; a pointer is not one.
    """
    labels = []
    start: cython.Py_ssize_t
    pos: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t = len(raw)
    while pos < end:
        start = pos + 1
        pos = start + raw[pos]
        if not start < pos <= end or pos - start > 63:
            return None
        labels.append(raw[start:pos])
    return spell(labels)


def name_at(data: bytes, pos: cython.Py_ssize_t) -> tuple[str, int]:
    """The name at `pos` of the message `data`, and the offset behind it.

    The root is the empty name. Raises `ParseError`: ``dns-cut`` where the message ends
    first, ``dns-label-type`` for the label types that RFC 6891 section 5 buried,
    ``dns-label-loop`` for a pointer that does not go backwards, ``dns-name-length``.
    """
    labels: list[bytes] = []
    length: cython.Py_ssize_t = 0
    behind: cython.Py_ssize_t = 0
    floor: cython.Py_ssize_t = pos
    size: cython.Py_ssize_t
    target: cython.Py_ssize_t
    try:
        for _ in range(_MAX_JUMPS):
            while True:
                size = data[pos]
                if size >= 0x40:
                    break
                if size == 0:
                    return spell(labels), behind or pos + 1
                label = data[pos + 1 : pos + 1 + size]
                if len(label) < size:
                    raise ParseError("dns-cut")
                length += size + 1
                if length > MAX_NAME:
                    raise ParseError("dns-name-length")
                labels.append(label)
                pos += size + 1
            if size < 0xC0:
                raise ParseError("dns-label-type")
            target = (size & 0x3F) << 8 | data[pos + 1]
            behind = behind or pos + 2
            if target >= floor:
                raise ParseError("dns-label-loop")
            pos = floor = target
    except IndexError:
        raise ParseError("dns-cut") from None
    raise ParseError("dns-label-loop")
