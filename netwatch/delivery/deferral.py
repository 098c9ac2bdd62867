"""Retries for single recipients: the part of a delivery worker that works on `deferred`.

It has a schedule of its own, so neither waits for the other: the alerts that a recipient cannot get
now, and later alerts of the same output.
"""

import math
import time
from collections.abc import Callable, Sequence

from netwatch.delivery.attempt import AttemptResult, attempt
from netwatch.delivery.dead_letters import DeadLetter
from netwatch.delivery.deferred import DeferredAlert
from netwatch.delivery.outbox import OutboxDatabase
from netwatch.delivery.output import Output
from netwatch.delivery.queue_values import QueuedAlert
from netwatch.sinks.base import Sink


class Deferral:
    """The alerts of one output that wait for single recipients. `write_dead_letters` stores dead
    letters and returns how many fitted; `delay` says how long to wait after so many consecutive
    failures, and `paused_delay` how long if somebody has to correct something, in s. `reason` is
    why alerts wait, empty if none does."""

    def __init__(
        self,
        output: Output,
        write_dead_letters: Callable[[Sequence[DeadLetter]], int],
        delay: Callable[[int], float],
        paused_delay: float,
    ) -> None:
        self._output = output
        self._write_dead_letters = write_dead_letters
        self._delay = delay
        self._paused_delay = paused_delay
        self._failures = 0
        self._due = 0.0
        self.reason = ""

    def begin(self, reason: str) -> None:
        """Alerts were deferred for this reason."""
        self.reason = reason
        if self._due == math.inf:
            self._failures = 1
            self._due = time.monotonic() + self._delay(1)

    def retry_now(self) -> None:
        """Make the next attempt immediately."""
        self._due = 0.0

    def look_for_more(self, outbox: OutboxDatabase) -> None:
        """Notice alerts that another process has stored."""
        if self._due == math.inf and outbox.deferred_batches(self._output.name, 1):
            self._due = 0.0

    def due_in(self) -> float:
        """How long until the next attempt, in s: infinite if no alert waits."""
        return max(0.0, self._due - time.monotonic())

    def retry(self, outbox: OutboxDatabase, sink: Sink) -> None:
        """Make an attempt for all recipients that wait."""
        # If an error follows, other alerts must not wait for this for ever.
        self._due = time.monotonic() + self._delay(self._failures + 1)
        reasons, is_paused = [], False
        for batch in outbox.deferred_batches(self._output.name, sink.max_batch):
            for result in self._send(outbox, sink, batch):
                is_paused = is_paused or result.state == "paused"
                reasons += [text for text in (result.reason, result.deferral) if text]
        if not reasons:
            self.reason, self._failures, self._due = "", 0, math.inf
            self.look_for_more(outbox)  # There may be more than fit into a batch.
            return
        self.reason = reasons[-1]
        self._failures += 1
        delay = self._paused_delay if is_paused else self._delay(self._failures)
        self._due = time.monotonic() + delay

    def _send(
        self, outbox: OutboxDatabase, sink: Sink, batch: Sequence[DeferredAlert]
    ) -> list[AttemptResult]:
        """Send alerts to their recipients. A batch that is refused as a whole is split."""
        readable = [alert for alert in batch if not alert.reason]
        letters = [
            DeadLetter(f"cannot be read from the outbox: {each.reason}", unreadable=each.text)
            for each in batch
            if each.reason
        ]
        queued = [
            QueuedAlert(each.number, each.key, each.waited, each.record, recipients=each.recipients)
            for each in readable
        ]
        result = attempt(self._output, sink, queued) if queued else AttemptResult()
        if result.split_batch:
            half = len(readable) // 2
            first = self._send(outbox, sink, readable[:half])
            return first + self._send(outbox, sink, readable[half:])
        for number, (record, reason) in result.refused.items():
            recipients = result.refused_for.get(number) or batch[0].recipients
            letters.append(DeadLetter(reason, record, recipients=recipients))
        dead = self._write_dead_letters(letters) if letters else 0
        finished = {each.number for each in batch if each.reason}
        finished |= (result.delivered | result.refused.keys()) - result.deferred.keys()
        outbox.settle_deferred(
            self._output.name,
            finished,
            list(result.deferred.items()),
            sent=[each.key for each in readable if each.number in result.delivered],
            retried=int(bool(result.reason or result.deferred)),
            dead=dead,
            dropped=len(letters) - dead,
        )
        return [result]
