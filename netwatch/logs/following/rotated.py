"""The names that rotations give to the files which they put aside.

logrotate renames ``dns.log`` to ``dns.log.1`` (``dns.log.2`` was ``dns.log.1`` before), with
``dateext`` to ``dns.log-20261127`` or, with ``extension .log``, to ``dns-20261127.log``; newsyslog
begins at ``dns.log.0``, and programs that rotate by themselves write ``dns.log.2026-11-27`` and the
like. A suffix of a compression may follow; such files are complete, and not followed.
"""

import re

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")
"""Suffixes of compressed files."""

_NUMBERS = r"\d+(?:[-_T.:]\d+)*Z?"
_BEHIND = re.compile(rf"(?P<base>.+?)[.-](?:{_NUMBERS}|old|bak)")
_WITHIN = re.compile(rf"(?P<stem>.+?)[-_.]{_NUMBERS}(?P<extension>\.[A-Za-z]+)")


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
