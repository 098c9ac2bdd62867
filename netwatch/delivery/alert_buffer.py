"""Alerts in memory, on their way to the outbox.

Usually an alert is here for a moment. It stays here while the outbox cannot be written or opened,
and then the number of alerts is limited.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netwatch.core.alert import AlertRecord
from netwatch.core.system.kernel import steady_seconds
from netwatch.delivery.output import Output
from netwatch.sinks.base import severity_rank, verdict_rank

MAX_UNWRITTEN = 10_000
"""Alerts buffered in memory while the outbox cannot be written; then the oldest are evicted."""


@dataclass(frozen=True, slots=True)
class BufferedAlert:
    """An alert that is not in the outbox yet, since when (`steady_seconds`), and whether an output
    that has delivered it before must leave it out."""

    record: AlertRecord
    since: float
    once: bool

    def is_for(self, output: Output) -> bool:
        """Whether the filter of an output passes the alert."""
        return (
            verdict_rank(self.record) >= output.min_verdict
            and severity_rank(self.record) >= output.min_severity
        )


class AlertBuffer:
    """The alerts that the outbox does not have yet, oldest first. `lost` counts those that were
    evicted; `log` is called with the first one."""

    def __init__(self, outputs: Sequence[Output], log: Callable[[str], None]) -> None:
        self._outputs = tuple(outputs)
        self._log = log
        self._mutex = threading.Lock()
        self._waiting: deque[BufferedAlert] = deque()
        self._being_written: list[BufferedAlert] = []
        self._uncounted: Counter[str] = Counter()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._being_written)

    def add(self, records: Sequence[AlertRecord], once: bool) -> None:
        """Add alerts; evict the oldest if there are too many."""
        now = steady_seconds()
        with self._mutex:
            self._waiting.extend(BufferedAlert(record, now, once) for record in records)

    def limit(self) -> None:
        """Evict the oldest alerts while there are too many."""
        with self._mutex:
            while len(self._waiting) > MAX_UNWRITTEN:
                evicted = self._waiting.popleft()
                self._uncounted.update(
                    output.name for output in self._outputs if evicted.is_for(output)
                )
                if not self.lost:
                    self._log("outbox: the buffer in memory is full too, alerts are lost")
                self.lost += 1

    def take(self, count: int) -> list[BufferedAlert]:
        """Take at most `count` alerts, the oldest first, to write them. Then call `written` or
        `put_back`."""
        with self._mutex:
            while self._waiting and len(self._being_written) < count:
                self._being_written.append(self._waiting.popleft())
            return list(self._being_written)

    def written(self) -> None:
        """The outbox has what was taken."""
        with self._mutex:
            self._being_written.clear()

    def put_back(self) -> None:
        """The outbox could not be written: what was taken is the oldest again."""
        with self._mutex:
            self._waiting.extendleft(reversed(self._being_written))
            self._being_written.clear()

    def lost_by_output(self) -> Counter[str]:
        """The alerts that were evicted and are not counted in the outbox yet, by output."""
        with self._mutex:
            return Counter(self._uncounted)

    def counted(self, lost: Counter[str]) -> None:
        """The outbox has counted these."""
        with self._mutex:
            self._uncounted -= lost

    def waiting_for(self, output: Output) -> tuple[int, float | None]:
        """How many alerts an output has here, and since when the oldest has waited, in s."""
        with self._mutex:
            mine = [each for each in (*self._being_written, *self._waiting) if each.is_for(output)]
        return len(mine), steady_seconds() - mine[0].since if mine else None
