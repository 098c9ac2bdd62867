# cython: language_level=3
"""Domain names in DNS messages: labels, and compression pointers to earlier labels.

The packet loop reads the names of hosts itself (`netwatch.dissect.loop.observation_rows`). Pointers
may only go backwards (RFC 1035 section 4.1.4 requires a *prior* occurrence), so
that loops are impossible.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import ParseError
from netwatch.core.names import escape_bytes

MAX_NAME = 254
"""The longest name in bytes, as length octets and labels without the root label (RFC 1035 section
2.3.4)."""

_MAX_POINTERS = 127
HOST_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789-_"
"""The bytes of host name labels, in lower case."""


def join_labels(labels: list[bytes]) -> str:
    """The name that consists of these labels: lower case, without trailing dot.

    A dot within a label and bytes that cannot be part of a host name are escaped as in a zone file
    (RFC 1035 section 5.1).
    """
    raw = b".".join(labels).lower()
    if not raw.translate(None, HOST_NAME_BYTES + b".") and raw.count(b".") == len(labels) - 1:
        return raw.decode("ascii")
    return ".".join(escape_bytes(label.lower()).replace(".", "\\.") for label in labels)


def name_at(data: bytes, pos: cython.Py_ssize_t) -> tuple[str, int]:
    """The name at offset `pos` of the message `data`, and the offset after it.

    The root is the empty name. Raises `ParseError`: ``dns-cut`` (the message ends first),
    ``dns-label-type`` (one of the label types that RFC 6891 section 5 deprecates),
    ``dns-label-loop`` (a pointer that does not go backwards), ``dns-name-length``.
    """
    labels, end = _labels_at(data, pos)
    return join_labels(labels), end


def raw_name_at(data: bytes, pos: cython.Py_ssize_t, name: str) -> str:
    """The name at offset `pos`, which `name_at` has read, as spelled in the packet; empty if that
    is `name`."""
    labels, _ = _labels_at(data, pos)
    text = ".".join([escape_bytes(label).replace(".", "\\.") for label in labels])
    return "" if text == name else text


def _labels_at(data: bytes, pos: cython.Py_ssize_t) -> tuple[list[bytes], int]:
    """The labels of the name at offset `pos`, and the offset after it. Raises `ParseError`."""
    labels: list[bytes] = []
    length: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t = 0
    floor: cython.Py_ssize_t = pos
    size: cython.Py_ssize_t
    target: cython.Py_ssize_t
    try:
        for _ in range(_MAX_POINTERS):
            while True:
                size = data[pos]
                if size >= 0x40:
                    break
                if size == 0:
                    return labels, end or pos + 1
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
            end = end or pos + 2
            if target >= floor:
                raise ParseError("dns-label-loop")
            pos = floor = target
    except IndexError:
        raise ParseError("dns-cut") from None
    raise ParseError("dns-label-loop")
