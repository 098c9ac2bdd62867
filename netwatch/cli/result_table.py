"""Rows of any columns for people: aligned, and not wider than the terminal."""

import os
import textwrap
from collections.abc import Sequence
from typing import TextIO

from netwatch.core.text import escaped

BLOCK = 500
"""Rows whose widths are found out together."""

_MIN_WIDTH = 6
_GAP = 2


def terminal_width(stream: TextIO) -> int | None:
    """The columns of the terminal that a stream goes to; None where it goes elsewhere, and lines
    may be as long as they are."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


class ResultTable:
    """Writes rows of texts, which may have several lines, below a header. Numbers are
    right-aligned. Rows are written in blocks of `BLOCK`, whose columns are as wide as their cells;
    `end` writes the last one."""

    def __init__(self, stream: TextIO, columns: Sequence[str], numbers: Sequence[bool]) -> None:
        self._stream = stream
        self._width = terminal_width(stream)
        self._numbers = list(numbers)
        self._header = [escaped(each) for each in columns]
        self._widths = [0] * len(columns)
        self._rows: list[list[str]] = []
        self._begun = False

    def row(self, cells: Sequence[str]) -> None:
        """Write a row."""
        self._rows.append(["\n".join(map(escaped, each.split("\n"))) for each in cells])
        if len(self._rows) >= BLOCK:
            self._write()

    def end(self) -> None:
        """Write what is left, and the header where there is no row."""
        self._write()
        self._stream.flush()

    def _write(self) -> None:
        rows = self._rows if self._begun else [self._header, *self._rows]
        self._begun, self._rows = True, []
        # Columns only ever get wider, so that blocks line up as far as they can.
        for row in rows:
            self._widths = [
                max(width, *map(len, cell.split("\n")))
                for width, cell in zip(self._widths, row, strict=True)
            ]
        widths = _fitting(self._widths, self._width)
        for row in rows:
            self._stream.write("".join(self._lines(row, widths)))

    def _lines(self, row: Sequence[str], widths: Sequence[int]) -> list[str]:
        """The lines of a row: a cell that is too wide goes on below."""
        columns = [
            [piece for line in cell.split("\n") for piece in _wrapped(line, width)]
            for cell, width in zip(row, widths, strict=True)
        ]
        lines = []
        for number in range(max((len(column) for column in columns), default=0)):
            cells = [
                text.rjust(width) if is_number else text.ljust(width)
                for text, width, is_number in zip(
                    (column[number] if number < len(column) else "" for column in columns),
                    widths,
                    self._numbers,
                    strict=True,
                )
            ]
            lines.append((" " * _GAP).join(cells).rstrip() + "\n")
        return lines


def _wrapped(line: str, width: int) -> list[str]:
    """A line of a cell in pieces that fit."""
    if len(line) <= width:
        return [line]
    return textwrap.wrap(line, width, break_on_hyphens=False)


def _fitting(widths: Sequence[int], available: int | None) -> list[int]:
    """The widths of columns, of which the widest get narrower until they fit."""
    fitted = list(widths)
    if available is None:
        return fitted
    excess = sum(fitted) + _GAP * (len(fitted) - 1) - available
    while excess > 0:
        widest = max(range(len(fitted)), key=fitted.__getitem__)
        others = [width for at, width in enumerate(fitted) if at != widest]
        step = min(excess, max(1, fitted[widest] - max(others, default=0)))
        if fitted[widest] - step < _MIN_WIDTH:
            break
        fitted[widest] -= step
        excess -= step
    return fitted
