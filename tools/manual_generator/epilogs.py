"""The texts that follow the options in the help of a command: paragraphs, examples, lists.

An epilog has blocks between empty lines. One that begins with ``examples:``, ``signals:`` or
``exit status:`` has indented lines, each a command or a word and what it means, or the statuses of
exit follow in the same line. Everything else is a paragraph.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_EXAMPLE = re.compile(r"(?P<command>\S.*?\S) {2,}(?P<comment>\S.*)")
_ROW = re.compile(r"(?P<key>\S.*?) {2,}(?P<meaning>\S.*)")
_LISTED = re.compile(r"(?P<title>[a-z][a-z ]*):\n(?P<body>(?: .*\n?)+)\Z")
_STATUSES = re.compile(r"(?P<title>exit status(?: of [a-z]+)?): (?P<body>\d.*)\Z", re.DOTALL)
_ANOTHER = re.compile(r"; (?=\d+ )")


@dataclass(frozen=True, slots=True)
class Example:
    """A command of one or more lines, and what it does, which may be empty."""

    lines: tuple[str, ...]
    comment: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A list with a title, such as the signals: each word and what it means."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Epilog:
    """What an epilog says, in its order."""

    paragraphs: tuple[str, ...]
    examples: tuple[Example, ...]
    listings: tuple[Listing, ...]


def read_epilog(text: str) -> Epilog:
    """The parts of an epilog. Raises `ValueError` for a list that has another form."""
    paragraphs: list[str] = []
    examples: list[Example] = []
    listings: list[Listing] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if statuses := _STATUSES.fullmatch(block.strip()):
            flat = " ".join(statuses["body"].split())
            rows = tuple(_pair(each, " ") for each in _ANOTHER.split(flat))
            listings.append(Listing(statuses["title"], rows))
        elif (listed := _LISTED.fullmatch(block)) and listed["title"] == "examples":
            examples += _examples(textwrap.dedent(listed["body"]))
        elif listed:
            listings.append(Listing(listed["title"], tuple(_rows(listed["body"]))))
        elif block.strip():
            paragraphs.append(block)
    return Epilog(tuple(paragraphs), tuple(examples), tuple(listings))


def _pair(text: str, separator: str) -> tuple[str, str]:
    key, _, meaning = text.partition(separator)
    return key, meaning


def _examples(body: str) -> Iterator[Example]:
    # A line that is indented further goes on with the command before it.
    for command in re.split(r"\n(?=\S)", body.rstrip("\n")):
        first, *others = command.split("\n")
        found = None if others else _EXAMPLE.fullmatch(first)
        if found:
            yield Example((found["command"],), found["comment"])
        else:
            yield Example((first, *others), "")


def _rows(body: str) -> Iterator[tuple[str, str]]:
    for row in re.split(r"\n(?=\S)", textwrap.dedent(body).rstrip("\n")):
        flat = re.sub(r"\n\s*", " ", row)
        found = _ROW.fullmatch(flat)
        if found is None:
            raise ValueError(f"expected a word, two spaces and its meaning: {row!r}")
        yield found["key"], found["meaning"]
