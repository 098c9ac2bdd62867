"""How far a file was read, in a form that is saved and recognises the file again; and the names
that rotations give.

A file is recognised by what stands before the position, not by its path, which a rotation gives to
another file, and not by its inode alone, which a file system gives to a new file when the old one
was deleted. Of the bytes before the position only a hash is kept, since they name people.

logrotate renames ``dns.log`` to ``dns.log.1`` (``dns.log.2`` was ``dns.log.1`` before), with
``dateext`` to ``dns.log-20261127`` or, with ``extension .log``, to ``dns-20261127.log``; newsyslog
begins at ``dns.log.0``, and programs that rotate by themselves write ``dns.log.2026-11-27`` and the
like. A suffix of a compression may follow; such files are complete, and not followed.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

MARK_SIZE = 256
"""Bytes before a position by which its file is recognised."""

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")
"""Suffixes of compressed files."""

_NUMBERS = r"\d+(?:[-_T.:]\d+)*Z?"
_BEHIND = re.compile(rf"(?P<base>.+?)[.-](?:{_NUMBERS}|old|bak)")
_WITHIN = re.compile(rf"(?P<stem>.+?)[-_.]{_NUMBERS}(?P<extension>\.[A-Za-z]+)")


class Position(NamedTuple):
    """A file was read to `offset`, behind its record with the number `line`. `mark` is the hash of
    the `MARK_SIZE` bytes before that (all bytes where there are fewer). With `skipping` it is amid
    a line that is too long, the rest of which is no record. At offset 0, where there are no such
    bytes, `mark` is the time in ns at which the file was looked at, if that is known."""

    inode: int
    offset: int
    line: int
    mark: str
    skipping: bool = False


def mark_of(before: bytes) -> str:
    """The hash of the bytes before a position."""
    return hashlib.blake2b(before, digest_size=16).hexdigest()


def encode(positions: Sequence[Position]) -> str:
    """The positions in the files of one path, the oldest file first, as text."""
    return json.dumps([list(position) for position in positions], separators=(",", ":"))


def decode(text: str) -> tuple[Position, ...]:
    """The positions of which `encode` made a text. Raises `ValueError`."""
    rows = json.loads(text)
    if not isinstance(rows, list):
        raise ValueError("no list of positions")
    return tuple(map(_position, rows))


def _position(row: object) -> Position:
    match row:
        case [int(inode), int(offset), int(line), str(mark), bool(skipping)] if (
            min(inode, offset, line) >= 0
        ):
            return Position(inode, offset, line, mark, skipping)
    raise ValueError("no position")


def is_compressed(name: str) -> bool:
    """Whether a file has the suffix of a compression."""
    return name.endswith(COMPRESSED)


def bases(name: str) -> tuple[str, ...]:
    """The names that a file may have had before a rotation gave it this one, without a suffix of
    a compression; none if it looks like none."""
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    found = []
    if match := _BEHIND.fullmatch(name):
        found.append(match["base"])
    if match := _WITHIN.fullmatch(name):
        found.append(match["stem"] + match["extension"])
    return tuple(found)


def is_rotated_from(name: str, base: str) -> bool:
    """Whether a file looks as if a rotation of `base` had put it aside."""
    return base in bases(name)
