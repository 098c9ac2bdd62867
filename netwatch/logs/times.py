"""What the user said of logs, and the times in them that lack the year or the time zone.

Nothing here asks the clock: the year and the zone are those that the user gave, else they are
assumed from the time of the file, and `LocalTimes` remembers that something was assumed so that it
can be said. The table of formats is imported only if a word names one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal

Only = Literal["captures", "logs"]

FIRST_YEAR, LAST_YEAR = 1990, 2100
"""The years that times without one can be of."""

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The format of all logs (``--as``), the year and the zone of times that have none
    (``--year``, ``--timezone``), and whether only captures or only logs are read (``--only``).
    None if the user said nothing."""

    format: str | None = None
    year: int | None = None
    zone: tzinfo | None = None
    only: Only | None = None


def format_of(text: str) -> str:
    """The name of a format of logs as it is. Raises ValueError, which lists all, if there is no
    such format."""
    from netwatch.core.user_yaml import did_you_mean
    from netwatch.logs.registry import LOG_FORMATS

    if text not in LOG_FORMATS:
        hint = did_you_mean(text, LOG_FORMATS)
        raise ValueError(f"expected one of {', '.join(sorted(LOG_FORMATS))}, found {text!r}{hint}")
    return text


def year_of(text: str) -> int:
    """The year in a text. Raises ValueError if it is none of those allowed."""
    if not text.isascii() or not text.isdigit() or not FIRST_YEAR <= int(text) <= LAST_YEAR:
        raise ValueError(f"expected a year from {FIRST_YEAR} to {LAST_YEAR}, found {text!r}")
    return int(text)


def zone_of(text: str) -> tzinfo:
    """The time zone with a name, as Europe/Brussels, or an offset, as +01:00. Raises ValueError
    if there is none."""
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
            f"expected a time zone like Europe/Brussels or an offset like +01:00, found {text!r}"
        ) from None


SECOND = 1_000_000_000
LAST = 1 << 62
"""Times before 1970 and from here on (ns; in the year 2116) are no times of a log: a record with
one counts as unread."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LocalTimes:
    """Reads times of one log. `zone` and `year` are what the user said, None if they said nothing;
    `modified` is when the file was last written (ns since the epoch, 0 if unknown), from which a
    missing year follows; without a zone the times are taken as UTC.

    `assumed_zone` and `assumed_year` become true when a time was read for which it was needed.
    """

    def __init__(
        self, zone: tzinfo | None = None, year: int | None = None, modified: int = 0
    ) -> None:
        self._zone = zone
        self._year = year
        self._modified = modified
        self.assumed_zone = False
        self.assumed_year = False

    def file_written(self, modified: int) -> None:
        """The times that follow are in a file that was last written then."""
        self._modified = modified

    def local(self, moment: datetime, nanoseconds: int = 0) -> int:
        """A time of the log's zone, without a zone of its own, in ns since the epoch. Of the two
        times of an hour that is repeated in autumn it is the first one."""
        if self._zone is None:
            self.assumed_zone = True
        at = moment.replace(tzinfo=self._zone or UTC)
        return (at - _EPOCH) // timedelta(microseconds=1) * 1000 + nanoseconds

    def without_year(
        self, month: int, day: int, hour: int, minute: int, second: int, nanoseconds: int = 0
    ) -> int:
        """The same of a time without a year: that of the user, else the last one in which the time
        is not later than a day after the file was written. Raises `ValueError` if there is no
        such day."""
        if self._year is not None:
            return self.local(datetime(self._year, month, day, hour, minute, second), nanoseconds)
        self.assumed_year = True
        latest = _EPOCH + timedelta(microseconds=self._modified // 1000) + timedelta(days=1)
        for year in range(latest.year, latest.year - 8, -1):
            try:
                moment = datetime(year, month, day, hour, minute, second)
            except ValueError:
                if (month, day) != (2, 29):
                    raise
                continue
            time = self.local(moment, nanoseconds)
            if time <= (latest - _EPOCH) // timedelta(microseconds=1) * 1000:
                return time
        raise ValueError("no such day")

    def is_past(self, moment: datetime) -> bool:
        """Whether a time of the log's zone is not later than a day after the file was written."""
        at = moment.replace(tzinfo=self._zone or UTC)
        return at <= _EPOCH + timedelta(microseconds=self._modified // 1000) + timedelta(days=1)
