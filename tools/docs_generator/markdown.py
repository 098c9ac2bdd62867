"""Markdown tables and the values in them."""

from collections.abc import Iterable, Sequence

MINUTE, HOUR, DAY = 60, 3600, 86_400


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table. Pipes in cells are escaped, line breaks become spaces."""
    lines = [head, ["---"] * len(head), *rows]
    for row in lines:
        if len(row) != len(head):
            raise ValueError(f"a row has {len(row)} cells, expected {len(head)}: {row}")
    return "\n".join(f"| {' | '.join(map(_cell, row))} |".replace("  |", " |") for row in lines)


def listed(entries: Iterable[tuple[str, str, str]]) -> str:
    """A list of names, each with what it is in brackets, unless that is empty, and its meaning. On
    a narrow screen it can be read, unlike a table with long words in code."""
    lines = []
    for name, kind, meaning in entries:
        what = f"{name} ({kind})" if kind else name
        lines.append(f"- {what}: {' '.join(meaning.split())}")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(*words: object) -> str:
    """Each word in backticks, separated by commas."""
    return ", ".join(f"`{word}`" for word in words)


def size(octets: int) -> str:
    """A number of bytes in the largest binary unit that gives a whole number."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if octets >= 1 << shift and octets % (1 << shift) == 0:
            return f"{octets >> shift:,} {unit}"
    return f"{octets:,} bytes"


def duration(seconds: float) -> str:
    """A length of time in the largest unit that gives a whole number."""
    for unit, length in (("days", DAY), ("hours", HOUR), ("min", MINUTE)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,g} s"
