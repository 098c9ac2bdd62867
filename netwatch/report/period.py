"""The days of a report: whole days in a time zone, and how those of a ban lie in them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from netwatch.core.period import Period, period
from netwatch.core.verdict import Ban, BanPeriod

_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Span = tuple[int, int]
"""A time from the first up to, but without, the second, in ns since the epoch."""


@dataclass(frozen=True, slots=True)
class Days:
    """The days from `first` to `last`, both included, in `timezone` (IANA name)."""

    first: date
    last: date
    timezone: str

    @property
    def span(self) -> Span:
        """From the beginning of the first day to the end of the last. Days on which clocks change
        have 23 or 25 hours."""
        return ended(period(self.first, self.last, self.timezone))

    @property
    def count(self) -> int:
        """How many days there are."""
        return (self.last - self.first).days + 1

    @property
    def previous(self) -> "Days":
        """As many days before these."""
        last = self.first - _DAY
        return Days(last - timedelta(days=self.count - 1), last, self.timezone)

    @property
    def mondays(self) -> list[date]:
        """The first days of the weeks that these days are in."""
        monday = monday_of(self.first)
        return [
            monday + timedelta(weeks=number) for number in range((self.last - monday).days // 7 + 1)
        ]

    def day_of(self, time: int) -> date:
        """The day of a time (ns) in the time zone."""
        return local(time, self.timezone).date()

    def within(self, first: date | None, last: date | None) -> "Days | None":
        """Those of these days that are in a period; None where none is."""
        begin = self.first if first is None else max(first, self.first)
        end = self.last if last is None else min(last, self.last)
        return Days(begin, end, self.timezone) if begin <= end else None


def monday_of(day: date) -> date:
    """The first day of the week of a day."""
    return day - timedelta(days=day.weekday())


def local(time: int, timezone: str) -> datetime:
    """A time (ns) on the clock of a time zone, to the microsecond."""
    moment = _EPOCH + timedelta(microseconds=time // 1000)
    return moment.astimezone(ZoneInfo(timezone))


def ended(wanted: Period) -> Span:
    """A period with both ends."""
    assert wanted.start is not None
    assert wanted.end is not None
    return wanted.start, wanted.end


def days_in_force(ban: Ban, days: Days) -> list[tuple[BanPeriod, Days]]:
    """The days on which a ban forbids, by its periods. Periods in which the authority only advised
    are left out, and so are all where the ban forbids nothing to any class."""
    if not ban.forbids:
        return []
    found = []
    for each in ban.periods:
        part = days.within(each.start, each.end)
        if part is not None and not each.advice:
            found.append((each, part))
    return found
