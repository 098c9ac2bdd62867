"""Moments as a user writes them for a period of the past: ``--since`` and ``--until``."""

import re
from datetime import UTC, date, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_AGO = re.compile(r"(\d{1,6})(s|m|h|d|w|y)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}

EXPECTED = "a time like 2023-03-20T09:00Z, a day like 2023-03-20, or an age like 7d"
"""What `parse_moment` takes, for error messages."""


def parse_moment(text: str, now: int, *, is_end: bool = False) -> int:
    """A moment in ns since the epoch, of a time of RFC 3339 (UTC where it has no offset), a day in
    UTC, or an age before `now` (ns): ``90s``, ``30m``, ``12h``, ``7d``, ``2w``, ``1y``. A day
    means its beginning, or its end where the moment ends a period (`is_end`), so that a period from
    a day to the same day is that day. Raises `ValueError` with what was expected."""
    found = _AGO.fullmatch(text)
    if found:
        return now - int(found[1]) * _SECONDS[found[2]] * 1_000_000_000
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
            moment += timedelta(days=is_end)
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"expected {EXPECTED}; found '{text}'") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year < 2262:
        raise ValueError(f"expected a year from 1970 to 2261, found '{text}'")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
