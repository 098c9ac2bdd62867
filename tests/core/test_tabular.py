"""Rows as CSV and as aligned columns."""

import csv
import io
import os

import pytest

from netwatch.core.tabular import (
    BLOCK,
    FORMULA_STARTS,
    Columns,
    CsvWriter,
    ResultTable,
    aligned,
    csv_line,
    terminal_width,
)


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_no_cell_is_a_formula(start: str) -> None:
    (found,) = next(csv.reader([csv_line([f"{start}1+1"])]))
    assert found.startswith("'")


def test_values_are_cells() -> None:
    assert csv_line([None, True, -1, ["a", "b"], 'say "x", y', "a\nb"], "\r\n") == (
        ',true,-1,a b,"say ""x"", y",a\\u000ab\r\n'
    )


def test_exact_rows_are_read_as_they_were() -> None:
    text, row = io.StringIO(), ["-1", "#x", 'a "b"', ""]
    CsvWriter(text, exact=True).row(row)
    assert next(csv.reader([text.getvalue()])) == row
    assert text.getvalue().startswith('"-1","#x"')


def test_columns_only_get_wider() -> None:
    columns = Columns([2, 0], numbers={1})
    columns.widen(["abc", "10"])
    columns.widen(["a", "1"])
    assert columns.padded(["a", "1"]) == ["a  ", " 1"]


def test_no_line_ends_with_spaces() -> None:
    rows = [("name", "n"), ("a\x1b", ""), ("b", "100")]
    assert list(aligned(rows)) == ["name     n", r"a\u001b", "b        100"]
    assert list(aligned(rows, [1])) == ["name       n", r"a\u001b", "b        100"]


def test_aligned_rows_fit_a_width() -> None:
    rows = [["id", "name"], ["an-id-of-many-parts", "a name"], ["b", "another of many words"]]
    assert [*aligned(rows, width=32)] == [
        "id                   name",
        "an-id-of-many-parts  a name",
        "b                    another of",
        "                     many words",
    ]
    # A word is cut only if there is no other way.
    assert [*aligned(rows, width=24)][1:3] == ["an-id-of-many-p  a name", "arts"]


def test_a_result_is_written_in_blocks() -> None:
    stream = io.StringIO()
    table = ResultTable(stream, ["name", "n"], [False, True])
    for number in range(BLOCK):
        table.row(["x", str(number)])
    assert stream.getvalue().count("\n") == BLOCK + 1
    table.row(["much longer\nof two lines", "1"])
    table.end()
    assert stream.getvalue().splitlines()[-3:] == [
        "x     499",
        "much longer     1",
        "of two lines",
    ]


class Terminal(io.StringIO):
    """A terminal of so many columns, or one that cannot say how many it has."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 7


def set_columns(monkeypatch: pytest.MonkeyPatch, found: int | Exception) -> None:
    def size(file: int) -> os.terminal_size:
        assert file == 7
        if isinstance(found, Exception):
            raise found
        return os.terminal_size((found, 24))

    monkeypatch.setattr(os, "get_terminal_size", size)


@pytest.mark.parametrize(
    ("found", "width"), [(132, 132), (0, 80), (OSError(25, "x"), 80), (ValueError("x"), 80)]
)
def test_a_terminal_has_a_width_and_a_file_has_none(
    monkeypatch: pytest.MonkeyPatch, found: int | Exception, width: int
) -> None:
    set_columns(monkeypatch, found)
    assert terminal_width(Terminal()) == width
    assert terminal_width(io.StringIO()) is None


@pytest.mark.parametrize(
    ("width", "rows", "lines"),
    [
        # Columns that are as wide as others get narrower in turns.
        (20, [["name", "what"], ["alpha beta gamma delta epsilon", "0123456789"]], [
            "name       what", "alpha      012345678", "beta       9", "gamma", "delta", "epsilon",
        ]),
        (21, [["a", "b"], ["0123456789", "0123456789"]], [
            "a          b", "012345678  0123456789", "9",
        ]),
        (22, [["a", "b"], ["x  y", "0123456789"]], ["a     b", "x  y  0123456789"]),
        # None gets so narrow that nobody could read it.
        (15, [["a", "b", "c"], ["abcdefg", "abcdef", "abcdef"]], [
            "a       b       c", "abcdef  abcdef  abcdef", "g",
        ]),
        (15, [[]], []),
    ],
)  # fmt: skip
def test_a_result_fits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int, rows: list[list[str]], lines: list[str]
) -> None:
    set_columns(monkeypatch, width)
    stream = Terminal()
    table = ResultTable(stream, rows[0], [False] * len(rows[0]))
    for row in rows[1:]:
        table.row(row)
    table.end()
    assert stream.getvalue().splitlines() == lines


def test_a_row_has_a_cell_for_each_column() -> None:
    columns = Columns([1, 1])
    with pytest.raises(ValueError, match="zip"):
        columns.widen(["a"])
