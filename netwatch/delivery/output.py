"""One output of the configuration, where the outbox is, and the hours in which an output for people
sends nothing: its alerts are collected until they end.

What the outbox says of it is here too: queued alerts, and the state of the output.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import Problem
from netwatch.core.file_keys import key
from netwatch.core.period import UTC_ZONE
from netwatch.core.value_kinds import DURATION, PATH, TIMEZONE, parsed, size
from netwatch.formats.registry import FORMATS, RENDERERS
from netwatch.sinks.base import SinkOptions

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)

DEFAULT_FOLDER = Path("/var/lib/netwatch/spool")
"""Where the outbox is unless the configuration names another folder."""


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


def _minutes(text: str) -> tuple[int, int] | None:
    found = _HOURS.fullmatch(text)
    if found is None:
        return None
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if start == end:
        raise ValueError("expected hours that end later than they begin, or on the next day")
    return start, end


@dataclass(frozen=True, slots=True)
class DigestKeys:
    """The additional keys of outputs that send digests. `every` is in s, 0 for that of the type."""

    every: float = key(
        replace(DURATION, empty=0.0),
        "how long alerts are collected, from the first one, before they are sent",
        shown="the type's",
    )
    hours: tuple[int, int] | None = key(
        parsed("hours", _minutes, "hours like 22:00-07:00", pattern=_HOURS.pattern, numbers=False),
        "alerts are collected from the first time of the day to the second: `22:00-07:00`. An"
        " output of its own with `min_severity: critical` and without quiet hours can wake people",
        name="quiet_hours",
    )
    timezone: str = key(TIMEZONE, "the time zone of the quiet hours", UTC_ZONE)

    @property
    def quiet_hours(self) -> QuietHours | None:
        """When nothing is sent; None if there are no such hours."""
        return QuietHours(*self.hours, ZoneInfo(self.timezone)) if self.hours else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One entry of ``outputs`` in netwatch.yaml.

    `format` is a key of `netwatch.formats.registry.RENDERERS`, or empty if the type has a form of
    its own. `min_verdict` and `min_severity` are positions in `netwatch.sinks.base`.
    `digest_interval` is how long alerts are collected before they are sent, in s; 0 means
    immediately. In `quiet_hours` nothing is sent. `file` and `line` locate the entry. Two outputs
    are equal if they deliver the same alerts in the same way to the same receiver, wherever they
    are written.
    """

    name: str
    type: str
    format: str
    min_verdict: int
    min_severity: int
    digest_interval: float
    quiet_hours: QuietHours | None = None
    options: SinkOptions
    file: str = field(compare=False)
    line: int = field(compare=False)

    @property
    def is_json(self) -> bool:
        """Whether `render` gives one JSON object."""
        return FORMATS[self.format or "jsonl"].json

    def render(self, record: AlertRecord) -> str:
        """An alert's record as one line in the output's format."""
        return RENDERERS[self.format or "jsonl"](record)

    def render_within(self, record: AlertRecord, limit: int) -> str:
        """The same in at most `limit` bytes of UTF-8, if shorter lists can achieve that."""
        from netwatch.formats.shorten_lists import render_within  # few outputs need it

        return render_within(RENDERERS[self.format or "jsonl"], record, limit)

    def warnings(self) -> list[Problem]:
        """What a person should know of the output, although it is accepted."""
        text = self.options.warning()
        return [Problem(self.file, self.line, 0, f"output '{self.name}': {text}")] if text else []

    def problems(self) -> list[Problem]:
        """The secrets that cannot be read now."""
        reasons = (secret.problem() for secret in self.options.secrets())
        return [
            Problem(self.file, self.line, 0, f"output '{self.name}': {reason}")
            for reason in reasons
            if reason
        ]


@dataclass(frozen=True, slots=True)
class OutboxOptions:
    """The folder of the outbox, the size of the database in bytes above which the oldest alerts are
    evicted, and the age in s at which an alert expires."""

    folder: Path = key(
        PATH,
        "the folder of the outbox; created if absent, for its owner only",
        str(DEFAULT_FOLDER),
        name="path",
    )
    max_bytes: int = key(
        size(1 << 20), "above this size the oldest alerts are evicted; `1M` at least", "256M"
    )
    max_age: float = key(
        DURATION,
        "alerts older than this expire",
        "30d",
    )


STATES = ("idle", "retrying", "paused", "stopped")
"""The state of an output: its last attempt succeeded, it will be retried automatically, somebody
has to correct something first, or nothing delivers its alerts now."""


@dataclass(frozen=True, slots=True)
class QueuedAlert:
    """An alert in the outbox. `number` increases with every alert, `key` identifies duplicates, and
    `waited` is how long ago the alert was stored, in s. With `is_repeat`, the output has delivered
    it before, and must not send it again. `recipients` are those that are to get it, empty for all
    of the output."""

    number: int
    key: str
    waited: float
    record: AlertRecord
    is_repeat: bool = False
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadableAlert:
    """What is stored instead of an alert's record, and why it is none."""

    number: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """An output as the outbox knows it: how many alerts are queued, when the oldest of these was
    stored (s since the epoch), and how many alerts were delivered, attempts failed, alerts became
    dead letters, and alerts were dropped because they were too old, too many or lost in a damaged
    outbox. `repeated` of the delivered ones had been delivered before, and so many repeats were
    `skipped`. `state` is one of `STATES`, `reason` explains it, and `last_sent` is when the
    receiver last accepted an alert."""

    name: str
    type: str
    format: str
    configured: bool
    queued: int
    oldest: float | None
    sent: int
    retried: int
    dead: int
    dropped: int
    repeated: int
    skipped: int
    state: str
    reason: str
    last_sent: float | None
