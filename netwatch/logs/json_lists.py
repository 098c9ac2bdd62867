"""Records of a log that are the elements of one JSON list, in any number of lines, as
``nfdump -o json`` writes flows, or the words that there are none.

The list is never in memory as a whole: an element is an object of names and plain values, and ends
with its brace. A text in JSON has no line feed, so that a quote that is missing does not swallow
the elements that follow: reading continues with the next object.
"""

import re
from collections.abc import Iterator
from typing import Protocol

MAX_ELEMENT = 1 << 16
"""Bytes of an element; a longer one is skipped."""

_PIECE = 1 << 16
NO_FLOWS = b"No matching flows"
"""What nfdump writes instead of flows if there are none."""

_BEGIN = re.compile(rb"\s*\[\s*(?:\{|" + NO_FLOWS + rb"\s)")
_BETWEEN = re.compile(rb"[\s,]*+")
_INSIDE = re.compile(rb'\{(?:[^{}"]++|"(?:[^"\\\n]|\\[^\n])*+")*+')
_NEXT = re.compile(rb"\}[\s,]*(?=[{\]])")
_KEPT = 64
"""Bytes that are kept while the next object is looked for: its brace, and blanks before it."""


class Bytes(Protocol):
    """Where a list is read from."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        ...


class ListError(Exception):
    """These bytes are no list of objects. The argument is a sentence."""


def is_json_list(head: bytes) -> bool:
    """Whether a file begins with a list whose first element is an object, or with words instead."""
    return _BEGIN.match(head) is not None


def file_elements(source: Bytes) -> Iterator[bytes | None]:
    """The elements of a list, or of several that follow each other, as they are written; None for
    one that is damaged or too long. Raises `ListError` where the file ends within a list, or goes
    on with something else."""
    data, at, is_open = b"", 0, False
    while True:
        between = _BETWEEN.match(data, at)
        at = between.end() if between is not None else at
        mark = data[at : at + 1]
        if mark == (b"]" if is_open else b"["):
            is_open, at = not is_open, at + 1
            continue
        if mark and not is_open:
            raise ListError("what follows is no list of objects")
        if data.startswith(NO_FLOWS, at):
            yield NO_FLOWS
            at += len(NO_FLOWS)
            continue
        inside = _INSIDE.match(data, at)
        end = at if inside is None else inside.end()
        if end > at and data.startswith(b"}", end) and end - at < MAX_ELEMENT:
            yield data[at : end + 1]
            at = end + 1
            continue
        if mark and not _may_go_on(data, at, end):
            yield None
            data, at = _behind_damage(source, data[end:]), 0
            continue
        piece = source.read(_PIECE)
        if not piece:
            break
        data, at = data[at:] + piece, 0
    if is_open:
        raise ListError("it ends within a list")


def _may_go_on(data: bytes, at: int, end: int) -> bool:
    """Whether an object that begins at a place, and could be read up to `end`, may only lack bytes
    that were not read yet."""
    if NO_FLOWS.startswith(data[at : at + len(NO_FLOWS)]):
        return True
    is_text_open = data.startswith(b'"', end) and b"\n" not in data[end:]
    return len(data) - at <= MAX_ELEMENT and end > at and (end == len(data) or is_text_open)


def _behind_damage(source: Bytes, data: bytes) -> bytes:
    """What follows a damaged object, from the next one or the end of the list on; empty at the end
    of the file."""
    while True:
        if found := _NEXT.search(data):
            return data[found.end() :]
        piece = source.read(_PIECE)
        if not piece:
            return b""
        data = data[-_KEPT:] + piece
