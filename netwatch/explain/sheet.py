"""A page of plain words as values, and as text of fixed width; and what contradicts a record, in
plain words for the person concerned.

A sheet has sections of paragraphs, fields and lists. The command line prints it as text, and the
console as HTML.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netwatch.language.language import Language

WIDTH = 86
"""Columns of the page: A4 in 10 points."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a section: a paragraph, fields (labels and their values), or a list of points; one
    of the three is not empty."""

    paragraph: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and what is below it."""

    heading: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The page: its title, what it is for, and its sections."""

    title: str
    purpose: str
    sections: tuple[Section, ...]


def text_lines(sheet: Sheet, language: Language) -> list[str]:
    """The lines of a page of text."""
    lines = [sheet.title, "=" * len(sheet.title), *_paragraph(sheet.purpose)]
    for section in sheet.sections:
        lines += ["", section.heading.upper()]
        for part in section.parts:
            lines += _paragraph(part.paragraph)
            lines += _fields(part.fields, language) if part.fields else ()
            lines += _points(part.points)
    return lines


def _paragraph(text: str) -> Iterator[str]:
    return iter(textwrap.wrap(text, WIDTH, break_long_words=True, break_on_hyphens=False))


def labelled(text: str, language: Language) -> str:
    """The label of a field, as shown before its value."""
    return language.say("%(label)s:", label=text)


def _fields(fields: Sequence[tuple[str, str]], language: Language) -> Iterator[str]:
    """Labels and their values in two columns."""
    labels = [labelled(label, language) for label, _ in fields]
    width = max(map(len, labels)) + 1
    for label, (_, value) in zip(labels, fields, strict=True):
        yield from textwrap.wrap(
            value,
            WIDTH,
            initial_indent=label.ljust(width),
            subsequent_indent=" " * width,
            break_on_hyphens=False,
        )


def _points(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
        )


def contradictions(language: Language) -> Iterator[tuple[str, str]]:
    """What was seen that contradicts the record, by the codes of refutations."""
    say = language.say
    yield (
        "mac-not-bound",
        say(
            "Some of the messages did not come from the device's registered"
            " network card: another machine may have sent them under its address."
        ),
    )
    yield (
        "address-claimed-twice",
        say(
            "Two machines claimed the network address at that time: the messages"
            " may have come from the other one."
        ),
    )
    yield (
        "two-names",
        say(
            "A connection of the device showed two names of servers: another machine may have"
            " added one of them."
        ),
    )
    yield (
        "overlap",
        say(
            "Parts of a connection of the device were seen twice with different content: another"
            " machine may have added one of them."
        ),
    )
    for kind in ("sensor-network", "sensor-device"):
        yield (
            kind,
            say("The device that recorded this may not have been connected to this network."),
        )
