"""The lines of a list, within bounds."""

from collections.abc import Iterator
from typing import TypeAlias

Lines: TypeAlias = Iterator[tuple[int, str]]
"""Lines with their numbers from 1, without the end of line."""

MAX_LINE = 65_536
"""Characters of a line of a list; a longer one is a bad line."""


def split_lines(text: str) -> Lines:
    """The lines of a text. White space at the end is cut off; white space at the beginning has a
    meaning in zone files."""
    start, number = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        yield number, text[start:end].rstrip()
        start = end + 1
