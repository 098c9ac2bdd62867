"""How commands print: the only place from which text reaches standard output and standard error.

Every line goes through `netwatch.core.text.escaped`, because any of them may contain a file name,
a name from a packet, a value of the configuration or the text of an exception.
"""

import contextlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from netwatch.core.text import ESCAPE_UNENCODABLE, escaped


def print_line(text: str = "") -> None:
    """Print one line of a result on standard output."""
    print(escaped(text))


def print_columns(rows: Sequence[tuple[str, ...]], indent: int = 0) -> None:
    """Print rows in aligned columns; a last column of numbers is right-aligned. Each line begins
    with `indent` spaces."""
    escaped_rows = [tuple(map(escaped, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*escaped_rows, strict=True)]
    is_number = all(row[-1].isdigit() for row in escaped_rows[1:])
    for row in escaped_rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        last = row[-1].rjust(widths[-1]) if is_number else row[-1]
        print_line(" " * indent + "  ".join([*cells, last]))


def print_record(record: Mapping[str, Any]) -> None:
    """Print a record on standard output, as one line of JSON."""
    from netwatch.formats.values import json_line

    print(json_line(record))


def print_message(text: str) -> None:
    """Print one line on standard error. Nothing fails where that was closed."""
    with contextlib.suppress(OSError):
        print(escaped(text), file=sys.stderr)


def replace_closed_streams() -> None:
    """Open the null device in place of standard input, output and error where they were closed, so
    that no file or socket gets their descriptors. What is printed on standard error is discarded
    then. `sys.stdout` stays None, because records must not be discarded without a word."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def escape_unencodable() -> None:
    """Let standard output and standard error escape what their encoding does not have, as
    `escaped` does, where Python would fail. Inside JSON the escape is read back unchanged."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE_UNENCODABLE)
