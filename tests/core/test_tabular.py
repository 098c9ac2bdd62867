"""Rows as CSV and as aligned columns."""

import csv
import io

import pytest

from netwatch.core.tabular import (
    BLOCK,
    FORMULA_STARTS,
    Columns,
    CsvWriter,
    ResultTable,
    aligned,
    csv_line,
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


def test_the_last_cell_is_not_padded() -> None:
    rows = [("name", "n"), ("a\x1b", ""), ("b", "100")]
    assert list(aligned(rows)) == ["name     n", r"a\u001b  ", "b        100"]
    assert list(aligned(rows, [1])) == ["name       n", r"a\u001b     ", "b        100"]


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
