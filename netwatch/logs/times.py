"""The times in logs, in all the forms that logs write.

All are read as ns since the epoch with the number of digits after the second; digits beyond the
ninth are cut off. Forms are RFC 3339, seconds since the epoch with a fraction, and those of access
logs: the Common Log Format has ``20/Mar/2023:10:04:31 +0100``, HAProxy writes milliseconds and no
zone.

Nothing here reads the clock: a missing year or zone is the one that the user gave, or is assumed
from the time of the file, and `LocalTimes` remembers the assumption so that it can be reported.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from netwatch.core.errors import RecordError

FIRST_YEAR, LAST_YEAR = 1990, 2100
"""The possible years of times without one."""

_OFFSET = re.compile(r"[+-](?:[01]\d|2[0-3]):?[0-5]\d", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,12}))?"
    r"\s*(Z|z|UTC|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_SECONDS_SINCE = re.compile(r"(\d{1,11})(?:\.(\d{1,12}))?", re.ASCII)
_CLF = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: ?([+-]\d{4}))?",
    re.ASCII,
)
_EPOCH_SECONDS = re.compile(r"\d{9,11}(\.\d{1,12})?", re.ASCII)


def year_of(text: str) -> int:
    """The year in a text. Raises ValueError if it is none of those allowed."""
    if not text.isascii() or not text.isdigit() or not FIRST_YEAR <= int(text) <= LAST_YEAR:
        raise ValueError(f"expected a year from {FIRST_YEAR} to {LAST_YEAR}, found {text!r}")
    return int(text)


def zone_of(text: str) -> tzinfo:
    """The time zone with a name, like Europe/Brussels, or an offset, like +01:00. Raises ValueError
    if there is none."""
    if text in ("UTC", "Z"):
        return UTC
    if _OFFSET.fullmatch(text):
        return _zone(text)
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"expected a time zone like Europe/Brussels or an offset like +01:00, found {text!r}"
        ) from None


SECOND = 1_000_000_000
LAST = 1 << 62
"""Times before 1970 and from here on (ns; in the year 2116) are not times of a log: a record with
one counts as unread."""

MONTHS = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6,
    "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}  # fmt: skip
"""The numbers of months by the names that logs give them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 9_000_000_000 * SECOND  # A later time may not fit into 64 bits.
_SECONDS = 17  # the offset of the seconds in 2023-03-20T10:04:31.123456Z
_ZONE = 26
_ONE_SECOND = timedelta(seconds=1)


class LocalTimes:
    """Reads times of one log. `zone` and `year` are given by the user, otherwise None; `modified`
    is when the file was last written (ns since the epoch, 0 if unknown), from which a missing year
    follows; without a zone the times are taken as UTC.

    `assumed_zone` and `assumed_year` become true when a time needed them.
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
        """The following times are in a file that was last written then."""
        self._modified = modified

    def local(self, moment: datetime, nanoseconds: int = 0) -> int:
        """A time in the log's zone, without a zone of its own, in ns since the epoch. If an hour is
        repeated in autumn, the first of the two times."""
        if self._zone is None:
            self.assumed_zone = True
        at = moment.replace(tzinfo=self._zone or UTC)
        return (at - _EPOCH) // timedelta(microseconds=1) * 1000 + nanoseconds

    def without_year(
        self, month: int, day: int, hour: int, minute: int, second: int, nanoseconds: int = 0
    ) -> int:
        """The same for a time without a year: the user's, otherwise the last one in which the time
        is not later than a day after the file was written. Raises `ValueError` if there is no such
        day."""
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
        """Whether a time in the log's zone is not later than a day after the file was written."""
        at = moment.replace(tzinfo=self._zone or UTC)
        return at <= _EPOCH + timedelta(microseconds=self._modified // 1000) + timedelta(days=1)


def rfc3339(text: str, times: LocalTimes | None = None) -> tuple[int, int]:
    """A time like ``2023-03-20T10:04:31.123456+01:00`` (RFC 3339, also with a space, a comma, or
    ``+0100``). Without a zone it is read by `times`. Raises `RecordError` if it is not a time, or
    has no zone and `times` is None."""
    found = _RFC3339.fullmatch(text.strip())
    if found is None:
        raise RecordError("time-invalid")
    digits, offset = found[7] or "", found[8]
    try:
        time = _time_of(found.groups()[:6], digits, offset, times)
    except (ValueError, OverflowError):
        raise RecordError("time-invalid") from None
    if offset is not None and not 0 <= time < LAST:
        raise RecordError("time-invalid")
    return time, min(len(digits), 9)


def _time_of(
    parts: Sequence[str], digits: str, offset: str | None, times: LocalTimes | None
) -> int:
    """The time of a date and a clock time, from the year to the second. Raises `ValueError`."""
    year, month, day, hour, minute, second = map(int, parts)
    # A leap second has no time of its own since the epoch.
    moment = datetime(year, month, day, hour, minute, min(second, 59))
    fraction = int(digits[:9].ljust(9, "0"))
    if offset is not None:
        return (moment.replace(tzinfo=_zone(offset)) - _EPOCH) // _ONE_SECOND * SECOND + fraction
    if times is None:
        raise RecordError("time-zone-missing")
    return times.local(moment, fraction)


def _zone(offset: str) -> timezone:
    if offset in ("Z", "z", "UTC"):
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def epoch(text: str) -> tuple[int, int]:
    """A time like ``1679303071.123456``, in seconds since the epoch. Raises `RecordError`."""
    found = _SECONDS_SINCE.fullmatch(text)
    if found is None:
        raise RecordError("time-invalid")
    digits = found[2] or ""
    time = int(found[1]) * SECOND + int(digits[:9].ljust(9, "0"))
    if time >= LAST:
        raise RecordError("time-invalid")
    return time, min(len(digits), 9)


def number_time(value: object, latest: int) -> tuple[int, int]:
    """A number of seconds since the epoch below `latest`. Raises `RecordError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < latest:
        raise RecordError("time-invalid")
    if isinstance(value, int):
        return value * SECOND, 0
    # Today's times as a double have microseconds at most.
    return round(value * 1_000_000) * 1000, 6


def access_time(written: bytes, times: LocalTimes) -> tuple[int, int]:
    """A time of an access log, in any of these forms. Without a zone it is read by `times`. Raises
    `RecordError`."""
    text = written.strip(b"[]").decode("ascii", "replace")
    found = _CLF.fullmatch(text)
    if found is None:
        time, digits = epoch(text) if _EPOCH_SECONDS.fullmatch(text) else rfc3339(text, times)
    else:
        day, month, year, *clock, fraction, zone = found.groups()
        digits = len(fraction or "")
        try:
            parts = (year, str(MONTHS[month]), day, *clock)
            time = _time_of(parts, fraction or "", zone, times)
        except (KeyError, ValueError, OverflowError):
            raise RecordError("time-invalid") from None
    if not 0 <= time < _LATEST:
        raise RecordError("time-invalid")
    return time, digits


class MinuteTimes:
    """Reads times like ``2023-03-20T10:04:31.123456+0100`` quickly if many share a minute, whose
    start is cached, and all others as `rfc3339`."""

    def __init__(self, times: LocalTimes) -> None:
        self._times = times
        self._minute = self._zone = ""
        self._start = 0

    def start_of(self, written: str) -> int | None:
        """A time with six digits after the second and a zone, in ns since the epoch; None for any
        other."""
        if written[_ZONE : _ZONE + 1] not in ("+", "-", "Z"):
            return None
        try:
            return self.read(written)[0]
        except RecordError:
            return None

    def read(self, written: str) -> tuple[int, int]:
        """The time in ns since the epoch, and its digits after the second. Raises `RecordError`."""
        if (
            len(written) >= _ZONE
            and written[:_SECONDS] == self._minute
            and written[_ZONE:] == self._zone
        ):
            second, fraction = written[17:19], written[20:_ZONE]
            is_number = fraction.isdecimal() and second.isdecimal() and written.isascii()
            if is_number and second < "60" and written[19] == ".":
                return self._start + int(second) * SECOND + int(fraction) * 1000, 6
        time, digits = rfc3339(written, self._times)
        if not 0 <= time < _LATEST:
            raise RecordError("time-invalid")
        second, fraction = written[17:19], written[20:_ZONE]
        is_usual = written.isascii() and written[19:20] == "." and len(fraction) == 6
        if is_usual and digits == 6 and second.isdecimal() and second < "60":
            self._minute, self._zone = written[:_SECONDS], written[_ZONE:]
            self._start = time - int(second) * SECOND - int(fraction) * 1000
        return time, digits
