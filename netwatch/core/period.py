"""Times as a user writes them: periods of whole days in a time zone, a network's hours of use, and
moments in the past."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from netwatch.core.file_keys import Key, Kind
from netwatch.core.user_yaml import Fields, describe, did_you_mean

UTC_ZONE = "UTC"
"""The time zone of days if none is written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_CACHED_PERIODS = 4096
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""The days of the week as a configuration names them."""

WORKING_DAYS = range(5)
"""Monday to Friday, when a network is expected to be used by default."""

DAY_MINUTES = 24 * 60

_WEEKDAY = "|".join(DAYS)
_TIME = r"(\d{2}):(\d{2})"
_SPAN = re.compile(rf"({_WEEKDAY})(?:-({_WEEKDAY}))? {_TIME}-{_TIME}")

EXPECTED_HOURS = "always, never, or days and times like 'Mon-Fri 07:00-19:00', several with commas"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{1,63}")
_AGO = re.compile(r"(\d{1,6})(s|m|h|d|w|y)")
_SECOND = 1_000_000_000
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}

EXPECTED_MOMENT = "a time like 2023-03-20T09:00Z, a day like 2023-03-20, or an age like 7d"
"""The syntax that `parse_moment` accepts, for error messages."""


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


@lru_cache(_CACHED_PERIODS)  # each contact asks a ban for its periods
def period(first: date | None, last: date | None, timezone: str) -> Period:
    """The period from the start of the day `first` to the end of the day `last` in `timezone` (IANA
    name). Days on which clocks change have 23 or 25 hours."""
    zone = ZoneInfo(timezone)
    after = last + _DAY if last and last < date.max else None
    return Period(_start_of_day(first, zone), _start_of_day(after, zone))


def day_at(moment: int, timezone: str) -> date:
    """The day in `timezone` (IANA name) that contains a time (ns)."""
    return datetime.fromtimestamp(moment // 1_000_000_000, ZoneInfo(timezone)).date()


def local_spans(
    since: int, until: int, zone: tzinfo, *, days: int = 1
) -> list[tuple[date, tuple[int, int]]]:
    """The days of a time zone, or weeks from Monday to Sunday if `days` is 7, in a period that is
    not empty (ns): the first day of each, and its part of the period."""
    day = datetime.fromtimestamp(since // _SECOND, UTC).astimezone(zone).date()
    if days == 7:
        day -= timedelta(days=day.weekday())
    found = []
    while since < until:
        following = day + timedelta(days=days)
        midnight = datetime(following.year, following.month, following.day, tzinfo=zone)
        end = min(until, int(midnight.timestamp()) * _SECOND)
        if end > since:
            found.append((day, (since, end)))
        since, day = max(since, end), following
    return found


def days_text(days: Sequence[tuple[date | None, date | None]], timezone: str) -> str:
    """The first and last days of one or several periods in words."""
    spans = (
        f"from {first or 'the beginning'} until {last or 'further notice'}" for first, last in days
    )
    return f"{', then '.join(spans)} ({timezone})"


def read_timezone(fields: Fields) -> str:
    """The IANA name of the time zone in ``timezone``, `UTC_ZONE` if the key is absent or the name
    unknown, which is noted."""
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


@cache
def zone_names() -> tuple[str, ...]:
    """The IANA names of time zones that people live in, and UTC."""
    found = {name for name in available_timezones() if "/" in name and not name.startswith("Etc/")}
    return (UTC_ZONE, *sorted(found))


def zone_named(name: str) -> ZoneInfo | None:
    """The time zone with an IANA name; None if there is none."""
    try:
        return ZoneInfo(name) if _ZONE.fullmatch(name) else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _start_of_day(day: date | None, zone: ZoneInfo) -> int | None:
    if day is None:
        return None
    # If clocks skip midnight, fold=0 applies the offset before the change, which gives the very
    # moment at which the day starts. If midnight occurs twice, fold=0 is the first.
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (start - _EPOCH) // _MICROSECOND * 1000


@dataclass(frozen=True, slots=True)
class UseSpan:
    """Minutes of the day from `begin` up to, but without, `end`, on `days` of the week (0 is
    Monday)."""

    days: frozenset[int]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class ExpectedUse:
    """The times at which a network is used, on the caller's clock; none if it never is."""

    spans: tuple[UseSpan, ...]

    def on(self, weekday: int) -> list[tuple[int, int]]:
        """The minutes of use on a day of the week."""
        return [(span.begin, span.end) for span in self.spans if weekday in span.days]


def parse_expected(text: str) -> ExpectedUse | None:
    """The times of use written in `text` (`EXPECTED_HOURS`); None if it is malformed."""
    if text == "never":
        return ExpectedUse(())
    if text == "always":
        return ExpectedUse((UseSpan(frozenset(range(7)), 0, DAY_MINUTES),))
    spans = [_span(part.strip()) for part in text.split(",")]
    found = tuple(span for span in spans if span is not None)
    return ExpectedUse(found) if len(found) == len(spans) else None


def _span(text: str) -> UseSpan | None:
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    first, last, *times = found.groups()
    hours, minutes, end_hours, end_minutes = map(int, times)
    begin, end = hours * 60 + minutes, end_hours * 60 + end_minutes
    if minutes > 59 or end_minutes > 59 or not begin < end <= DAY_MINUTES:
        return None
    start, count = DAYS.index(first), 1
    if last is not None:
        count = (DAYS.index(last) - start) % 7 + 1
    return UseSpan(frozenset((start + number) % 7 for number in range(count)), begin, end)


def _read_expected(entry: Fields, declared: Key, _: Path) -> ExpectedUse | None:
    if not entry.is_set(declared.name):
        return None
    text = entry.text(declared.name)
    found = parse_expected(text)
    if found is None:
        message = f"'{declared.name}': expected {EXPECTED_HOURS}, found {describe(text)}"
        entry.add_problem(declared.name, message)
    return found


EXPECTED_USE = Kind("text", {"type": "string", "minLength": 1}, _read_expected)
"""When a network is used."""


def parse_moment(text: str, now: int, *, is_end: bool = False) -> int:
    """A moment in ns since the epoch from an RFC 3339 time (UTC if it has no offset), a day in UTC,
    or an age before `now` (ns): ``90s``, ``30m``, ``12h``, ``7d``, ``2w``, ``1y``. A day means its
    start, or its end if the moment ends a period (`is_end`), so that a period from a day to the
    same day is that day. Raises `ValueError` with what was expected."""
    found = _AGO.fullmatch(text)
    if found:
        return max(0, now - int(found[1]) * _SECONDS[found[2]] * 1_000_000_000)
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
            moment += timedelta(days=is_end)
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"expected {EXPECTED_MOMENT}; found '{text}'") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year < 2262:
        raise ValueError(f"expected a year from 1970 to 2261, found '{text}'")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
