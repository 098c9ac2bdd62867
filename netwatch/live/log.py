"""Events as lines for people and for the journal: one line an event, on standard error."""

import os
import time
from collections.abc import Callable, Mapping

from netwatch.core.alert import Alert
from netwatch.formats.values import escaped, rfc3339
from netwatch.live.events import (
    Event,
    Lost,
    Passed,
    Refused,
    Reloaded,
    Said,
    Started,
    Stopped,
    Told,
)

_WORDS: Mapping[str, str] = {"open": "opened", "update": "rose", "closed": "closed"}


class Log:
    """Writes lines by `write`, each with its time in front, but where the journal, which
    has its own, takes them (``JOURNAL_STREAM``). With `quiet` only trouble is told."""

    def __init__(
        self,
        write: Callable[[str], None],
        quiet: bool = False,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._write = write
        self._quiet = quiet
        self._journal = "JOURNAL_STREAM" in environ
        self._clock = clock

    def __call__(self, event: Event) -> None:
        """Write the lines of an event."""
        trouble = isinstance(event, (Lost, Refused)) or (isinstance(event, Said) and event.trouble)
        if self._quiet and not trouble:
            return
        time_ = "" if self._journal else f"{rfc3339(self._clock(), 0)} "
        for text in lines(event):
            self._write(f"{time_}netwatch: {escaped(text)}")


def lines(event: Event) -> list[str]:
    """An event in words."""
    match event:
        case Started():
            many = f" by {event.workers} workers" if event.workers > 1 else ""
            many_open = "incident" if event.restored == 1 else "incidents"
            again = f", {event.restored:,} {many_open} open from before" if event.restored else ""
            rules = f"policy {event.policy}, signatures {event.signatures}"
            return [f"started on {', '.join(event.interfaces)}{many}: {rules}{again}"]
        case Told():
            return [_alert(event.alert)]
        case Said():
            return [event.text]
        case Lost():
            return [f"dropped {event.packets:,} packets, {event.total:,} in all"]
        case Reloaded():
            return [f"reloaded: policy {event.policy}, signatures {event.signatures}"]
        case Refused():
            problems = event.error.splitlines()
            return ["reload refused, what was in use stays", *problems]
        case Passed():
            return [
                f"{event.packets / event.seconds:,.0f} packets/s,"
                f" {8e-6 * event.octets / event.seconds:,.1f} Mbit/s,"
                f" {event.dropped:,} dropped, {event.open:,} incidents open"
            ]
        case Stopped():
            return [f"stopped: {event.reason}"]


def _alert(alert: Alert) -> str:
    device, network = alert.device, alert.network
    where = f"{device.id} ({device.ip})" if device.id != device.ip else device.ip
    if alert.status == "closed":
        contacts = sum(item.count for item in alert.evidence)
        counts = alert.counts
        many = "contact" if contacts == 1 else "contacts"
        told = f"{contacts:,} {many}, {counts.bytes_out:,} bytes out, {counts.bytes_in:,} in"
    else:
        last = max(alert.evidence, key=lambda item: item.time)
        told = f"{last.type} {last.name}"
    return (
        f"{_WORDS[alert.status]} {alert.verdict} {alert.confidence}: {where} in {network.name},"
        f" {alert.app.name} ({told}), ban {alert.ban.id}, id {alert.id}"
    )
