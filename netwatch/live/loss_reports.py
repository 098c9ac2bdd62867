"""Says in the log what the store of a live capture loses, once a minute at most."""

from collections.abc import Callable, Iterator

from netwatch.core.text import quantity
from netwatch.watch.snapshot import StoreStatus

INTERVAL = 60.0
"""Seconds between two lines."""


class LossReports:
    """Compares what is lost with what was reported last. `report` takes sentences, `what` names the
    store."""

    def __init__(self, what: str, report: Callable[[str], None]) -> None:
        self._what = what
        self._report = report
        self._reported = StoreStatus()
        self._next = 0.0

    def look_at(self, status: StoreStatus, now: float) -> None:
        """Report what was lost since the last line, unless that was just now."""
        if now < self._next:
            return
        parts = [*_lost(status, self._reported)]
        if not parts:
            return
        self._next = now + INTERVAL
        self._reported = status
        self._report(f"{self._what} does not have all that was seen: {', '.join(parts)}")


def _lost(status: StoreStatus, before: StoreStatus) -> Iterator[str]:
    """What was lost since an earlier state, and in all."""
    for new, total, one, what in (
        (status.skipped - before.skipped, status.skipped, "packet", "not recorded"),
        (status.lost - before.lost, status.lost, "row", "lost"),
        (status.decisions_lost - before.decisions_lost, status.decisions_lost, "record", "lost"),
    ):
        if new > 0:
            in_all = f" ({total:,} in total)" if total != new else ""
            yield f"{quantity(new, one)} {what}{in_all}"
