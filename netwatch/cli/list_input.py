"""The lists that `netwatch signatures drift` and `import` are given: options, reading, messages.

Lists come from files, never from the network. What was read of each list, and which lines were not,
goes to standard error.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from netwatch.cli.printing import print_message
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.listed_name import NameList
from netwatch.core.text import quantity
from netwatch.lists.reader import COMPARED, Bounds, read_list
from netwatch.lists.registry import LIST_FORMATS

LISTS_HELP = """LIST is a file, or - for standard input. Its format is recognised by its content. A
URL is not fetched: download the list, and look at it, first.
"""
"""What the help of both commands says of lists."""

A_LIST = "a file, or - for standard input"
"""The help of an argument that names a list."""

TAG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
"""A tag of a source, an id of an app, a vendor or a category."""


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a list is."""
    parser.add_argument(
        "--source",
        metavar="TAG",
        help="the tag by which rules name the list as a source (default: the name of the file)",
    )
    parser.add_argument(
        "--as",
        dest="list_format",
        choices=tuple(LIST_FORMATS),
        metavar="FORMAT",
        help=f"the format of the list, if not its content decides: {', '.join(LIST_FORMATS)}",
    )


def source_tag(given: str | None, path: str) -> str:
    """The tag of a list: the given one, else made from the name of its file."""
    if given is None:
        stem = "standard-input" if path == "-" else Path(path).stem.lower()
        return re.sub("[^a-z0-9]+", "-", stem).strip("-") or "list"
    if not TAG.match(given) or len(given) > 64:
        expected = "expected a word of a-z, 0-9 and single hyphens that begins with a letter"
        raise ConfigError([Problem("--source", 0, 0, f"{expected}, found '{given}'")])
    return given


def read_given(path: str, list_format: str | None, bounds: Bounds = COMPARED) -> NameList:
    """The list in a file, or on standard input for ``-``, within `bounds`. Raises
    `ConfigError` where it cannot be read."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path):
        message = "a URL is not fetched: expected a file that was downloaded from it"
        raise ConfigError([Problem(path, 0, 0, message)])
    if path != "-":
        return read_list(path, list_format, bounds=bounds)
    raw = sys.stdin.buffer.read(bounds.bytes + 1)
    if len(raw) > bounds.bytes:
        message = f"expected at most {bounds.bytes:,} bytes, found more"
        raise ConfigError([Problem("standard input", 0, 0, message)])
    return read_list("standard input", list_format, raw, bounds)


def describe_list(listing: NameList, patterns: int) -> None:
    """Say on standard error what was read, and which lines were not."""
    parts = [f"{listing.format}, {quantity(len(listing.names) - patterns, 'name')}"]
    if listing.exceptions:
        parts.append(quantity(len(listing.exceptions), "exception"))
    if patterns:
        parts.append(f"{quantity(patterns, 'pattern')} not compared")
    parts += [f"{what}: {count:,}" for what, count in sorted(listing.skipped.items())]
    if listing.bad_lines:
        parts.append(quantity(listing.bad_lines, "bad line"))
    print_message(f"netwatch: {listing.path}: {'; '.join(parts)}")
    if listing.format == "plain" and all(listed.kind == "host" for listed in listing.names):
        hint = "every name is read as one host; --as domain-list reads it with all names below it"
        print_message(f"netwatch: {listing.path}: {hint}")
    print_problems(listing.problems)
    if listing.bad_lines > len(listing.problems):
        more = listing.bad_lines - len(listing.problems)
        print_message(f"netwatch: {listing.path}: {quantity(more, 'more bad line')}")


def print_problems(problems: Iterable[Problem]) -> None:
    """Print mistakes on standard error."""
    for problem in problems:
        print_message(str(problem))
