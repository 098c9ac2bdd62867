"""Delivery as the rest of netwatch sees it: alerts go in, and arrive.

Everything that waits for a receiver is in threads of its own; `put` costs one
transaction on the local disk.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.sinks.base import Output, Record


@dataclass(frozen=True, slots=True)
class Left:
    """What is not delivered yet: alerts by output, and alerts that could not even be
    written to the outbox and are in memory alone. False where nothing is left."""

    queued: Mapping[str, int]
    unwritten: int

    def __bool__(self) -> bool:
        return bool(self.unwritten or any(self.queued.values()))


class Delivery:
    """Outputs behind one outbox. `tell` takes sentences for the log, once a change."""

    def __init__(
        self, outputs: Sequence[Output], spool: Path, tell: Callable[[str], None] = lambda _: None
    ) -> None: ...

    def start(self) -> None:
        """Start to deliver what is in the outbox and what comes."""

    def put(self, record: Record) -> None:
        """Write an alert to the outbox; never waits for a receiver, never raises."""

    def drain(self, timeout: float) -> Left:
        """Wait until all is delivered, at most `timeout` s, or nothing but paused outputs is
        left."""
        raise NotImplementedError

    def reopen(self) -> None:
        """Open files and connections anew, and try again at once where an output waits."""

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Values by name of a Prometheus metric, then by output."""
        raise NotImplementedError

    def stop(self, timeout: float = 5.0) -> None:
        """Stop to deliver; what is left stays in the outbox for the next start."""
