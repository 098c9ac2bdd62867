"""A text file of the records of logs that prove one incident, for people and for `netwatch verify`.

Lines that begin with ``#`` are of netwatch: the incident, the SHA-256 of each log as far as it was
there, and before each record what it shows. The line behind these is the record, byte by byte as it
is in the log; one that is no line of text is in base64. So ``grep -v '^#'`` gives what was logged.
"""

import base64
import hashlib
import stat
from collections.abc import Sequence
from pathlib import Path

from netwatch import __version__
from netwatch.core.frame import Frame
from netwatch.core.text import escaped

MAX_HASHED = 4 << 30
"""Bytes of a log up to which it is hashed."""

BASE64 = "# base64"
"""The comment before a record that is in base64."""

_PIECE = 1 << 20


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
