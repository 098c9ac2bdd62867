"""The columns of an inventory: what they mean, where a file has them, and the period of a row.

A file that was written for netwatch has only our names as its header. One exported by a spreadsheet
or another program has its own headers, which the configuration maps to ours; columns that are not
mapped are then ignored.

A day counts as a whole, in the time zone of the inventory: a row is valid from the start of its
first to the end of its last day. A time (RFC 3339) is exact: the row is valid from it on, or up to,
but without, it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwatch.core.file_keys import key, nested
from netwatch.core.period import period
from netwatch.core.user_yaml import Fields, Problems, describe, did_you_mean
from netwatch.core.value_kinds import TEXT
from netwatch.core.verdict import BEGINNING, FOREVER

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "id": "the id of the device in alerts and exemptions; by default its first of MAC, IP,"
        " host name",
        "mac": "six bytes: `02:00:00:00:00:01`, with hyphens, as `0200.0000.0001`, or bare; of "
        "several interfaces separated by spaces",
        "ip": "IP addresses, separated by spaces",
        "hostname": "shown in alerts; as the only value of a row it identifies devices that are"
        " learned",
        "owner": "shown in alerts",
        "class": "`service`, `personal`, `guest` or `infrastructure`; by default the class of the"
        " network",
        "from": "the first day, or the time, from which on the row is valid; by default always",
        "until": "the last day on which it is valid, or the time up to which; by default for ever",
    }
)
"""The columns of an inventory, each with a description. Any column or cell may be left out, but a
row needs a MAC, an IP address or a host name."""

_ColumnKeys: Any = make_dataclass(
    "_ColumnKeys",
    [
        (f"{name}_", str, key(TEXT, f"the header of the column with {content}", shown=f"`{name}`"))
        for name, content in {
            "id": "the id of the device",
            "mac": "its MAC address",
            "ip": "its IP addresses",
            "hostname": "its host name",
            "owner": "its owner",
            "class": "its class",
            "from": "the first day on which the row is valid",
            "until": "the last day on which the row is valid",
        }.items()
    ],
    eq=False,
    repr=False,
)

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
"""The headers of a file whose columns have our names."""

DELIMITERS = ("\t", ";", ",")
"""Delimiters of cells. Spreadsheets write semicolons in locales where the comma is the decimal
separator, and tabs as "Unicode text"."""

EXPECTED = "a day like 2023-03-01 or a time like 2023-03-01T09:00:00+01:00"
"""The content of a cell of the columns `from` and `until`."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(1970, 2262)
_CACHED = 4096


def _headers(found: Any, _: Fields, __: Path) -> dict[str, str]:
    written = {column: getattr(found, f"{column}_") for column in COLUMNS}
    return {column: header for column, header in written.items() if header}


HEADERS = nested(_ColumnKeys, check=_headers, empty={})
"""The headers of a file by our column names."""


def find_delimiter(header: str) -> str:
    """The delimiter of a file with this header line: the one outside of quotes; of several the
    first of `DELIMITERS` unless there are more commas."""
    bare = "".join(header.split('"')[::2])
    if "," in bare and bare.count(",") >= bare.count(";") and "\t" not in bare:
        return ","
    return next((delimiter for delimiter in DELIMITERS if delimiter in bare), ",")


def find_columns(
    written: Sequence[str],
    headers: Mapping[str, str],
    file: str,
    line: int,
    problems: Problems,
) -> dict[str, int] | None:
    """Where our columns are in a file with these headers (`written`), from 0; None with the
    mistakes noted. `headers` maps our columns to those of the file."""
    before = len(problems.found)
    keys = [_key(cell) for cell in written]
    wanted = {column: _key(headers.get(column, column)) for column in COLUMNS}
    for column, header in headers.items():
        if _key(header) not in keys:
            shown = ", ".join(f"'{cell.strip()}'" for cell in written if cell.strip())
            hint = did_you_mean(header, [cell.strip() for cell in written])
            message = f"expected a column '{header}' for '{column}', found {shown}{hint}"
            problems.add(file, line, message)
    for found in dict.fromkeys(keys):
        is_known = found in wanted.values()
        if is_known and keys.count(found) > 1:
            problems.add(file, line, f"duplicate column '{found}'")
        elif found and not is_known and not headers:
            expected = f"columns of {', '.join(COLUMNS)}"
            hint = did_you_mean(found, COLUMNS)
            message = (
                f"unknown column '{found}': expected {expected}{hint}; 'columns' in the"
                " configuration sets what they are called"
            )
            problems.add(file, line, message)
    if len(problems.found) > before:
        return None
    return {column: keys.index(found) for column, found in wanted.items() if found in keys}


def _key(header: str) -> str:
    return " ".join(header.split()).lower()


@lru_cache(_CACHED)  # Most rows have one of a few periods.
def read_bound(cell: str, timezone: str, *, is_end: bool) -> int | None:
    """The time (ns) of a cell of `from`, or of `until` if it `is_end`: times before it are valid.
    None if the cell has no such time."""
    try:
        if _DAY.fullmatch(cell):
            day = date.fromisoformat(cell)
            if day.year not in _YEARS:
                return None
            days = period(day, day, timezone)
            return days.end if is_end else days.start
        if _TIME.fullmatch(cell):
            # Beyond microseconds `fromisoformat` keeps six digits.
            moment = datetime.fromisoformat(cell.upper().replace(" ", "T"))
            return (
                (moment - _EPOCH) // timedelta(microseconds=1) * 1000
                if (moment.year in _YEARS)
                else None
            )
    except (ValueError, OverflowError):
        pass
    return None


def read_period(
    since_cell: str, until_cell: str, timezone: str
) -> tuple[tuple[int, int], list[str]]:
    """The period of a row (ns), `BEGINNING` and `FOREVER` if a cell is empty, and the mistakes in
    the cells."""
    mistakes = []
    bounds = [BEGINNING, FOREVER]
    for place, (column, cell) in enumerate((("from", since_cell), ("until", until_cell))):
        if cell:
            bound = read_bound(cell, timezone, is_end=column == "until")
            if bound is None:
                mistakes.append(f"'{column}': expected {EXPECTED}, found {describe(cell)}")
            else:
                bounds[place] = bound
    since, until = bounds
    if not mistakes and until <= since:
        found = f"found {describe(until_cell)} and {describe(since_cell)}"
        mistakes.append(f"'until': expected a day or time after 'from', {found}")
    return (since, until), mistakes


def days_of(since: int, until: int) -> str:
    """A period in words, in UTC."""
    words = [] if since == BEGINNING else [f"from {_text(since)}"]
    if until != FOREVER:
        words.append(f"up to {_text(until)}")
    return " ".join(words) or "at any time"


def _text(time: int) -> str:
    moment = _EPOCH + timedelta(microseconds=time // 1000)
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
