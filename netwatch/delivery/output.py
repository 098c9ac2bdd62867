"""One output of the configuration: what it sends, in which form and when; and where the outbox of
all outputs is.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import Problem
from netwatch.core.file_keys import key
from netwatch.core.value_kinds import DURATION, PATH, size
from netwatch.formats.registry import FORMATS, RENDERERS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from netwatch.sinks.base import SinkOptions

DEFAULT_FOLDER = Path("/var/lib/netwatch/spool")
"""Where the outbox is unless the configuration names another folder."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Every day from the minute `start` of the day up to `end`, in the time zone `zone`; over
    midnight if `end` is earlier."""

    start: int
    end: int
    zone: "ZoneInfo"

    def left(self, now: float) -> float:
        """Seconds until the quiet hours end that contain a time (s since the epoch); 0 outside of
        them."""
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
    options: "SinkOptions"
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
        from netwatch.formats.alert_summary import render_within  # few outputs need it

        return render_within(RENDERERS[self.format or "jsonl"], record, limit)

    def warnings(self) -> list[Problem]:
        """Notes for people on the output, although it is accepted."""
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
