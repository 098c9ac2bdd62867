"""Rows as CSV (RFC 4180) that is safe to open in a spreadsheet, and as aligned columns for people.

Cells are escaped (`netwatch.core.text.escaped`). Rows of a query are written in blocks and fit the
terminal; a cell that is too wide goes on below.
"""

import csv
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol, TextIO

from netwatch.core.text import escaped

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a cell that make it a formula in a spreadsheet."""

BLOCK = 500
"""Rows of a query whose column widths are computed together."""

GAP = "  "
"""Between two columns."""

_MIN_WIDTH = 6


def cell(value: Any) -> str:
    """The text of one cell of CSV. Lists are joined by a space, and a text that a spreadsheet would
    take for a formula begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else " ".join(map(str, value))
    prefix = "'" if text.startswith(FORMULA_STARTS) else ""
    return prefix + escaped(text)


class _Target(Protocol):
    def write(self, text: str, /) -> object: ...


class CsvWriter:
    """Writes rows of CSV. With `exact`, texts are quoted and otherwise unchanged, for programs."""

    def __init__(self, target: _Target, end: str = "\n", *, exact: bool = False) -> None:
        writer = csv.writer(target, lineterminator=end)
        if exact:
            writer = csv.writer(target, lineterminator=end, quoting=csv.QUOTE_ALL)
        self._write = writer.writerow
        self._exact = exact

    def row(self, values: Iterable[Any]) -> Any:
        """Write a row; returns what the target's `write` returned."""
        return self._write(values if self._exact else [cell(value) for value in values])

    def rows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write several rows."""
        for row in rows:
            self.row(row)


class _Echo:
    """Returns its argument."""

    def write(self, text: str, /) -> str:
        return text


def csv_line(values: Iterable[Any], end: str = "") -> str:
    """One row of CSV."""
    line: str = CsvWriter(_Echo(), end).row(values)
    return line


class Columns:
    """Columns that only ever get wider, so that a line can be written before the next one is known.
    Columns in `numbers` are right-aligned."""

    def __init__(self, widths: Iterable[int], numbers: Collection[int] = ()) -> None:
        self.widths = list(widths)
        self._numbers = frozenset(numbers)

    def widen(self, cells: Sequence[str]) -> None:
        """Widen the columns for the lines of cells."""
        self.widths = [
            max(width, *map(len, cell.split("\n")))
            for width, cell in zip(self.widths, cells, strict=True)
        ]

    def padded(self, cells: Iterable[str], widths: Sequence[int] | None = None) -> list[str]:
        """Cells of one line, as wide as their columns or as `widths`."""
        return [
            text.rjust(width) if place in self._numbers else text.ljust(width)
            for place, (text, width) in enumerate(zip(cells, widths or self.widths, strict=True))
        ]

    def lines(self, cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
        """A row as lines without spaces at their ends: cells that have lines, or are wider than
        `widths`, go on below."""
        pieces = [
            [piece for line in cell.split("\n") for piece in _wrapped(line, width)]
            for cell, width in zip(cells, widths, strict=True)
        ]
        for number in range(max(map(len, pieces), default=0)):
            below = (each[number] if number < len(each) else "" for each in pieces)
            yield GAP.join(self.padded(below, widths)).rstrip()


def aligned(
    rows: Iterable[Sequence[str]], numbers: Collection[int] = (), width: int | None = None
) -> Iterator[str]:
    """Rows as lines of aligned columns; see `Columns`. No line ends with spaces. A row takes one
    line, unless it is wider than `width`: then cells go on below."""
    texts = [[*map(escaped, row)] for row in rows]
    cells = [*zip(*texts, strict=True)]
    columns = Columns((max(map(len, column)) for column in cells), numbers)
    words = [
        max(len(word) for each in column for word in (each.split() or [""])) for column in cells
    ]
    widths = _fitting(columns.widths, width, words)
    for row in texts:
        yield from columns.lines(row, widths)


def terminal_width(stream: TextIO) -> int | None:
    """The columns of the terminal that a stream writes to; None if it is not a terminal, and lines
    may have any length."""
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
        self._columns = Columns([0] * len(columns), [n for n, is_ in enumerate(numbers) if is_])
        self._rows = [[escaped(column) for column in columns]]
        self._block = BLOCK + 1  # with the header

    def row(self, cells: Sequence[str]) -> None:
        """Write a row."""
        self._rows.append(["\n".join(map(escaped, each.split("\n"))) for each in cells])
        if len(self._rows) >= self._block:
            self._write()

    def end(self) -> None:
        """Write the remaining rows, and the header if there were none."""
        self._write()
        self._stream.flush()

    def _write(self) -> None:
        rows, self._rows, self._block = self._rows, [], BLOCK
        # Widths never shrink, so that blocks line up as far as they can.
        for row in rows:
            self._columns.widen(row)
        widths = _fitting(self._columns.widths, self._width)
        for row in rows:
            self._stream.writelines(f"{line}\n" for line in self._columns.lines(row, widths))


def _wrapped(line: str, width: int) -> list[str]:
    """A line of a cell in pieces that fit."""
    if len(line) <= width:
        return [line]
    import textwrap

    return textwrap.wrap(line, width, break_on_hyphens=False)


def _fitting(widths: Sequence[int], available: int | None, words: Sequence[int] = ()) -> list[int]:
    """The widths of columns, the widest of them narrowed until all fit; if that is enough, none is
    narrower than its longest word."""
    fitted = list(widths)
    if available is None:
        return fitted
    excess = sum(fitted) + len(GAP) * (len(fitted) - 1) - available
    lowest = [_MIN_WIDTH] * len(fitted)
    for floors in (words or lowest, lowest):
        while excess > 0 and (able := [at for at, each in enumerate(fitted) if each > floors[at]]):
            widest = max(able, key=fitted.__getitem__)
            next_ = max((fitted[at] for at in able if at != widest), default=0)
            step = min(excess, max(1, fitted[widest] - max(next_, floors[widest])))
            fitted[widest] -= step
            excess -= step
    return fitted
