"""How an observation is written as JSON and as CSV: the styles of `ObservationLines`."""

from typing import Any

from netwatch.core.observation_columns import COLUMNS, Column
from netwatch.core.tabular import FORMULA_STARTS, csv_line
from netwatch.formats.csv import ORDERED_COLUMNS
from netwatch.formats.quoted_texts import LineStyle
from netwatch.formats.values import json_line


def _json_key(column: Column, same_group: bool) -> str:
    comma = "" if column is COLUMNS[0] else ","
    *groups, key = column.path
    if groups and not same_group:
        return f'{comma}"{groups[0]}":{{"{key}":'
    return f'{comma}"{key}":'


def _json_text(text: str) -> str:
    """A text as a string of JSON."""
    return json_line({"": text})[4:-1]


JSON = LineStyle(
    columns=COLUMNS,
    begin="{",
    end="}\n",
    close="}",
    key=_json_key,
    quote='"',
    brackets=("[", "]"),
    separator=",",
    unsafe=b'"\\',
    unsafe_start=b"",
    odd_text=_json_text,
    odd_list=None,
    cells=False,
)
"""An observation as a line of JSON, with the keys of its record in the order of `COLUMNS`."""


def _csv_cell(value: Any) -> str:
    """A cell as it is in a row."""
    return csv_line([value, ""])[:-1]


CSV = LineStyle(
    columns=ORDERED_COLUMNS,
    begin="",
    end="\n",
    close="",
    key=lambda column, same_group: "" if column is ORDERED_COLUMNS[0] else ",",
    quote="",
    brackets=("", ""),
    separator=" ",
    unsafe=b'",',
    unsafe_start="".join(FORMULA_STARTS).encode("ascii"),
    odd_text=_csv_cell,
    odd_list=_csv_cell,
    cells=True,
)
"""An observation as a row of CSV."""
