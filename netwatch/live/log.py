"""The log of a live capture: one line per event on standard error, for people and journald.

Not more alerts have a line of their own than a reader can follow. Of the others it is said how many
there were.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping

from netwatch.core.alert import Alert
from netwatch.core.text import quantity
from netwatch.formats.log_line import LogFormat, log_line
from netwatch.live.events import (
    AlertSent,
    Event,
    Note,
    PacketsDropped,
    Reloaded,
    ReloadRefused,
    Started,
    Stopped,
    TrafficReport,
)

LINES = 60
"""Alerts that have a line of their own in a minute."""

MINUTE = 60_000_000_000
"""A minute in ns."""

_STATUS_WORDS: Mapping[str, str] = {"open": "opened", "update": "raised", "closed": "closed"}
"""The first word of an alert's line, by the status of the alert."""


class AlertLines:
    """Counts alerts, by the first word of their line."""

    def __init__(self) -> None:
        self._began = 0
        self._shown = 0
        self._left_out: Counter[str] = Counter()

    def is_shown(self, word: str, now: int) -> bool:
        """Whether an alert at a time (ns) has a line of its own; otherwise it is counted."""
        if now - self._began >= MINUTE:
            self._began, self._shown = now, 0
        self._shown += 1
        if self._shown > LINES:
            self._left_out[word] += 1
        return self._shown <= LINES

    def left_out(self, now: int, *, at_end: bool = False) -> str:
        """What was left out, in words, once a minute is over or the capture has ended; empty before
        and where nothing was."""
        if not self._left_out or (now - self._began < MINUTE and not at_end):
            return ""
        found, self._left_out = self._left_out, Counter()
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(found.items()))
        return f"{quantity(found.total(), 'more alert')}: {words}; the records have all of them"


class Log:
    """Passes log lines to `write`, which is called once per line.

    A line starts with its time, except where journald adds its own (``JOURNAL_STREAM`` is
    set); with the format ``json`` it is an object. With `quiet` only warnings are logged. Of many
    alerts only some have a line.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        quiet: bool = False,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], int] = time.time_ns,
        *,
        form: LogFormat = "text",
    ) -> None:
        self._form = form
        self._write = write
        self._quiet = quiet
        self._journal = "JOURNAL_STREAM" in environ
        self._clock = clock
        self._alerts = AlertLines()

    def __call__(self, event: Event) -> None:
        """Log an event."""
        if self._quiet and not is_warning(event):
            return
        now = self._clock()
        for text in self._texts(event, now):
            line = log_line(
                text, now, self._form, warning=is_warning(event), stamped=not self._journal
            )
            self._write(line)

    def _texts(self, event: Event, now: int) -> list[str]:
        """The lines for an event, behind what was left out before it."""
        left_out = self._alerts.left_out(now, at_end=isinstance(event, Stopped))
        before = [left_out] if left_out else []
        if isinstance(event, AlertSent):
            word = _STATUS_WORDS[event.alert.status]
            return [*before, *lines(event)] if self._alerts.is_shown(word, now) else before
        return [*before, *lines(event)]


def is_warning(event: Event) -> bool:
    """Whether an event is logged with ``--quiet`` too."""
    if isinstance(event, Note):
        return event.warning
    return isinstance(event, PacketsDropped | ReloadRefused)


def lines(event: Event) -> list[str]:
    """An event in words, one line or more."""
    match event:
        case Started():
            return [_started(event)]
        case AlertSent():
            return [_alert(event.alert)]
        case Note():
            return [event.text]
        case PacketsDropped():
            return [f"dropped {quantity(event.packets, 'packet')}, {event.total:,} in total"]
        case Reloaded():
            return [f"reloaded: policy {event.policy}, signatures {event.signatures}"]
        case ReloadRefused():
            mistakes = event.error.splitlines()
            return ["reload refused, the previous configuration stays in use", *mistakes]
        case TrafficReport():
            open_now = quantity(event.open_incidents, "open incident")
            return [f"{_traffic(event)}, {event.dropped:,} dropped, {open_now}"]
        case Stopped():
            return [f"stopped: {event.reason}"]


def _traffic(event: TrafficReport) -> str:
    if event.records is not None:
        return f"{event.records / event.seconds:,.0f} records/s"
    return (
        f"{event.packets / event.seconds:,.0f} packets/s,"
        f" {8e-6 * event.wire_bytes / event.seconds:,.1f} Mbit/s"
    )


def _started(event: Started) -> str:
    workers = f" with {event.workers} workers" if event.workers > 1 else ""
    rules = f"policy {event.policy}, signatures {event.signatures}"
    restored = f", restored {quantity(event.restored, 'open incident')}" if event.restored else ""
    return f"started on {', '.join(event.interfaces)}{workers}: {rules}{restored}"


def _alert(alert: Alert) -> str:
    """An alert without the device: a log is read by more people than the records, and is kept
    longer."""
    if alert.status == "closed":
        contacts = quantity(sum(item.count for item in alert.evidence), "contact")
        counts = alert.counts
        what = f"{contacts}, {quantity(counts.bytes_out, 'byte')} out, {counts.bytes_in:,} in"
    else:
        last = max(alert.evidence, key=lambda item: item.time)
        what = f"{last.type} {last.name}"
    return (
        f"{_STATUS_WORDS[alert.status]} {alert.verdict} {alert.confidence}: {alert.app.name} in"
        f" {alert.network.name} ({what}), ban {alert.ban.id}, id {alert.id}"
    )
