"""What the user said of logs, and how the words for it are read.

The table of formats is imported only where a word names one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Literal

Only = Literal["captures", "logs"]

FIRST_YEAR, LAST_YEAR = 1990, 2100
"""The years that times without one can be of."""

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The format of all logs (``--as``), the year and the zone of times that have none
    (``--year``, ``--timezone``), and whether only captures or only logs are read (``--only``).
    None where the user said nothing."""

    format: str | None = None
    year: int | None = None
    zone: tzinfo | None = None
    only: Only | None = None


def format_of(text: str) -> str:
    """The name of a format of logs as it is. Raises ValueError, which lists all, where there is no
    such format."""
    from netwatch.logs.registry import LOG_FORMATS

    if text not in LOG_FORMATS:
        raise ValueError(f"the formats of logs are: {', '.join(sorted(LOG_FORMATS))}")
    return text


def year_of(text: str) -> int:
    """The year in a text. Raises ValueError where it is none of those allowed."""
    if not text.isascii() or not text.isdigit() or not FIRST_YEAR <= int(text) <= LAST_YEAR:
        raise ValueError(f"{text!r} is not a year from {FIRST_YEAR} to {LAST_YEAR}")
    return int(text)


def zone_of(text: str) -> tzinfo:
    """The time zone with a name, as Europe/Brussels, or an offset, as +01:00. Raises ValueError
    where there is none."""
    if text in ("UTC", "Z"):
        return UTC
    offset = _OFFSET.fullmatch(text)
    if offset is not None and int(offset[2]) < 24 and int(offset[3]) < 60:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{text!r} is no time zone; expected a name like Europe/Brussels, or an offset like"
            " +01:00"
        ) from None
