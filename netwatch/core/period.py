"""Periods of whole days in a time zone, as the time that packets have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from netwatch.core.user_yaml import Fields, describe, did_you_mean

UTC_ZONE = "UTC"
"""The time zone of days where none is written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_CACHED_PERIODS = 4096


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time from `start` up to, but without, `end`, both in ns since the Unix epoch;
    None is open."""

    start: int | None
    end: int | None

    def __contains__(self, time: int) -> bool:
        return not self.is_after(time) and not self.is_before(time)

    def is_after(self, time: int) -> bool:
        """Whether the period begins after `time` (ns)."""
        return self.start is not None and time < self.start

    def is_before(self, time: int) -> bool:
        """Whether the period has ended at `time` (ns)."""
        return self.end is not None and time >= self.end


@lru_cache(_CACHED_PERIODS)  # a ban is asked about each contact
def period(first: date | None, last: date | None, timezone: str) -> Period:
    """The period from the beginning of the day `first` to the end of the day `last` in `timezone`
    (IANA name). Days on which clocks change have 23 or 25 hours."""
    zone = ZoneInfo(timezone)
    after = last + _DAY if last and last < date.max else None
    return Period(_start_of_day(first, zone), _start_of_day(after, zone))


def day_at(moment: int, timezone: str) -> date:
    """The day in `timezone` (IANA name) on which a time (ns) is."""
    return datetime.fromtimestamp(moment // 1_000_000_000, ZoneInfo(timezone)).date()


def days_text(days: Sequence[tuple[date | None, date | None]], timezone: str) -> str:
    """The first and last days of one or several periods in words."""
    spans = (
        f"from {first or 'the beginning'} until {last or 'further notice'}" for first, last in days
    )
    return f"{', then '.join(spans)} ({timezone})"


def read_timezone(fields: Fields) -> str:
    """The IANA name of the time zone in ``timezone``, `UTC_ZONE` where the key is absent or the
    name is unknown, which is noted."""
    name = fields.text("timezone", UTC_ZONE)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones())
        expected = "the IANA name of a time zone, like Europe/Brussels"
        message = f"'timezone': expected {expected}, found {describe(name)}{hint}"
        fields.add_problem("timezone", message)
        return UTC_ZONE
    return name


def _start_of_day(day: date | None, zone: ZoneInfo) -> int | None:
    if day is None:
        return None
    # Where clocks skip midnight, fold=0 applies the offset before the change, which gives the very
    # moment at which the day starts. Where midnight occurs twice, fold=0 is the first.
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (start - _EPOCH) // _MICROSECOND * 1000
