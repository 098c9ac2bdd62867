"""The periods in which rows of an inventory are valid: cells with days or times, and file names.

A day counts whole, in the time zone of the inventory: a row is valid from the beginning of its
first to the end of its last day. A time (RFC 3339) is exact: the row is valid from it on, or up to,
but without, it.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from netwatch.core.period import period
from netwatch.core.user_yaml import describe
from netwatch.core.verdict import BEGINNING, FOREVER

EXPECTED = "a day like 2023-03-01 or a time like 2023-03-01T09:00:00+01:00"
"""What a cell of the columns `from` and `until` contains."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(1970, 2262)
_CACHED = 4096


@lru_cache(_CACHED)  # Most rows have one of a few periods.
def read_bound(cell: str, timezone: str, *, is_end: bool) -> int | None:
    """The time (ns) of a cell of `from`, or of `until` where it `is_end`: what is before it is
    valid. None where the cell has no such time."""
    try:
        if _DAY.fullmatch(cell):
            day = date.fromisoformat(cell)
            if day.year not in _YEARS:
                return None
            days = period(day, day, timezone)
            return days.end if is_end else days.start
        if _TIME.fullmatch(cell):
            # Of more than microseconds `fromisoformat` keeps six digits.
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
    """The period of a row (ns), `BEGINNING` and `FOREVER` where a cell is empty, and the mistakes
    in the cells."""
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
