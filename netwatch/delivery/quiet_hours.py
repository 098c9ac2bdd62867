"""Hours in which an output for people sends nothing; its alerts are collected until they end."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from netwatch.core.user_yaml import Fields
from netwatch.sinks.options import Option

QUIET_OPTIONS = (
    Option(
        "quiet_hours",
        "hours",
        "Alerts are collected from the first time of the day to the second: `22:00-07:00`. An"
        " output of its own with `min_severity: critical` and without quiet hours can wake people.",
    ),
    Option("timezone", "text", "The time zone of the quiet hours.", "UTC"),
)

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Every day from the minute `start` of the day up to `end`, in the time zone `zone`; over
    midnight if `end` is earlier."""

    start: int
    end: int
    zone: ZoneInfo

    def left(self, now: float) -> float:
        """Seconds until the quiet hours end that it is in at a time (s since the epoch); 0 outside
        of them."""
        local = datetime.fromtimestamp(now, UTC).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        over_midnight = self.end < self.start
        is_quiet = (
            minute >= self.start or minute < self.end
            if over_midnight
            else self.start <= minute < self.end
        )
        if not is_quiet:
            return 0.0
        day = local.date()
        if over_midnight and minute >= self.start:
            day += timedelta(days=1)
        # The clocks may change in between: the end is a time of that day, not so many hours away.
        end = datetime(
            day.year, day.month, day.day, self.end // 60, self.end % 60, tzinfo=self.zone
        )
        return max(1.0, end.timestamp() - now)


def read_quiet_hours(fields: Fields) -> QuietHours | None:
    """Read `QUIET_OPTIONS`; None where there are no quiet hours."""
    text, name = fields.text("quiet_hours"), fields.text("timezone")
    found = _HOURS.fullmatch(text) if text else None
    if text and found is None:
        fields.add_mismatch("quiet_hours", "hours like 22:00-07:00")
    if name and not text:
        fields.add_problem("timezone", "'timezone' needs 'quiet_hours'")
    try:
        zone = ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        fields.add_mismatch("timezone", "a time zone like Europe/Brussels")
        return None
    if found is None:
        return None
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if start == end:
        fields.add_problem("quiet_hours", "'quiet_hours' ends when it begins")
        return None
    return QuietHours(start, end, zone)
