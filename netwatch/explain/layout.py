"""Plain text for a terminal and for paper: headings, labelled values and paragraphs of `WIDTH`
columns, in ASCII."""

import textwrap
from collections.abc import Iterable, Iterator

from netwatch.core.text import escaped

WIDTH = 80
"""Columns of a page."""

_LABEL = 12


def title(text: str) -> Iterator[str]:
    """The first heading of a page."""
    yield from _wrapped(text, "", "")
    yield "=" * WIDTH


def heading(number: int, text: str) -> Iterator[str]:
    """The heading of a part, with an empty line before it."""
    yield ""
    yield f"{number}. {text}"
    yield "-" * WIDTH


def paragraph(text: str) -> Iterator[str]:
    """A text over the whole width."""
    yield from _wrapped(text, "", "")


def points(texts: Iterable[str]) -> Iterator[str]:
    """A list of texts, one below the other."""
    for text in texts:
        yield from _wrapped(text, "- ", "  ")


def value(label: str, text: str, indent: int = 0) -> Iterator[str]:
    """A value behind its label; nothing where there is none."""
    if text:
        begin = " " * indent + label.ljust(_LABEL - 1) + " "
        yield from _wrapped(text, begin, " " * len(begin))


def _wrapped(text: str, first: str, later: str) -> Iterator[str]:
    yield from textwrap.wrap(
        escaped(text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=True,
        break_on_hyphens=False,
    )
