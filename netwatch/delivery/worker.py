"""The delivery worker of one output: takes alerts from the outbox and sends them.

Each output has a worker thread of its own, so no output waits for another. A worker sends the next
batch, records what became of each alert, and moves the cursor up to the first one that is not done.
Failed attempts are retried without limit, with capped exponential backoff and jitter, or after the
time that the receiver asked for. Alerts that the receiver refuses permanently become dead letters.
If the receiver rejects the output as such, the output is paused: it is attempted once every few
minutes, and the log says so prominently.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.text import quantity
from netwatch.delivery import dead_letters
from netwatch.delivery.attempt import AttemptResult, attempt
from netwatch.delivery.lock import DeliveryLock
from netwatch.delivery.outbox import OutboxDatabase, QueuedAlert
from netwatch.delivery.output import Output
from netwatch.sinks.base import Sink

MAX_RETRY_AFTER = 3600.0
"""The longest time that a receiver may ask to wait, in s."""


@dataclass(frozen=True, slots=True)
class RetryTiming:
    """Durations in s: the delay after the first failed attempt, the longest delay, the delay
    between attempts of a paused output, and how often to look for alerts that other processes have
    stored in the outbox."""

    first_delay: float = 1.0
    max_delay: float = 300.0
    paused_delay: float = 300.0
    poll_interval: float = 1.0

    def delay(self, failures: int, retry_after: float | None = None) -> float:
        """How long to wait after so many consecutive failed attempts (at least 1). `retry_after` is
        what the receiver asked for."""
        backoff = min(self.max_delay, self.first_delay * 2.0 ** min(failures - 1, 30))
        return max(backoff * random.uniform(0.5, 1), min(retry_after or 0, MAX_RETRY_AFTER))


class DeliveryWorker(threading.Thread):
    """Delivers what the outbox in `folder` has for one output. `open_outbox` opens a connection to
    it. `log` takes messages for the log. `is_paused` says whether the last attempt was rejected
    until somebody corrects something."""

    def __init__(
        self,
        output: Output,
        *,
        folder: Path,
        open_outbox: Callable[[], OutboxDatabase],
        lock: DeliveryLock,
        timing: RetryTiming,
        log: Callable[[str], None],
    ) -> None:
        super().__init__(name=f"netwatch-output-{output.name}", daemon=True)
        self.output = output
        self.is_paused = False
        self._state = ""
        self._reason = ""
        self._folder = folder
        self._open_outbox = open_outbox
        self._lock = lock
        self._timing = timing
        self._log_line = log
        self._wake = threading.Event()
        self._stopping = False
        self._reopen_requested = False
        self._skip_wait = False
        self._flush_digest = False
        self._failures = 0
        # Numbers of alerts that are delivered or refused while an earlier one is not. The cursor
        # cannot pass that one yet.
        self._done: set[int] = set()
        # A smaller batch size while the alert that makes the receiver refuse a batch is searched
        # for; else 0.
        self._reduced_batch = 0

    def wake(self) -> None:
        """Alerts were stored in the outbox."""
        if not self._failures:
            self._wake.set()

    def flush_digest(self, enabled: bool) -> None:
        """Send digests immediately from now on, or collect alerts for them again."""
        self._flush_digest = enabled
        self.wake()

    def reopen(self) -> None:
        """Reopen the sink and make an attempt immediately."""
        self.is_paused = False
        self._reopen_requested = self._skip_wait = True
        self._wake.set()

    def stop(self) -> None:
        """Stop after the current attempt."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Deliver until `stop` is called."""
        outbox: OutboxDatabase | None = None
        sink: Sink | None = None
        while not self._stopping:
            self._wake.clear()
            self._skip_wait = False
            try:
                if not self._lock.acquire():
                    self._wait(self._timing.poll_interval)
                    continue
                outbox = outbox or self._open_outbox()
                sink = sink or self.output.options.open()
                if self._reopen_requested:
                    self._reopen_requested, self._failures = False, 0
                    sink.close()
                delay = self._deliver_next(outbox, sink)
            except (sqlite3.Error, OSError, NetwatchError) as error:
                self._failures += 1
                self._set_state("retrying", str(error), None)
                delay = self._timing.delay(self._failures)
                if outbox is not None:
                    outbox.truncate_wal()
            self._wait(delay)
        if sink is not None:
            sink.close()
        if outbox is not None:
            outbox.close()

    def _wait(self, seconds: float) -> None:
        if self._failures:
            # Alerts stored during the attempt are no reason to retry immediately.
            self._wake.clear()
        if seconds > 0 and not self._stopping and not self._skip_wait:
            self._wake.wait(seconds)

    def _deliver_next(self, outbox: OutboxDatabase, sink: Sink) -> float:
        """Send the next batch. Returns how long to wait before the next call, in s."""
        limit = min(sink.max_batch, self._reduced_batch or sink.max_batch)
        batch = outbox.next_batch(self.output.name, limit)
        self._done.intersection_update([alert.number for alert in batch])
        unsent = [alert for alert in batch if alert.number not in self._done]
        if not unsent:
            if batch:
                self._record(outbox, batch, AttemptResult(), dead=0)
                return 0
            sink.on_idle()
            self._failures = 0
            self._set_state("idle", "", outbox)
            return self._timing.poll_interval
        if self.output.digest_interval and not self._flush_digest:
            due_in = unsent[0].time + self.output.digest_interval - time.time()
            if due_in > 0:
                return min(due_in, self._timing.poll_interval)
        result = attempt(self.output, sink, unsent)
        dead = self._write_dead_letters(result)
        self._done.update(result.delivered, result.refused)
        self._record(outbox, batch, result, dead)
        if result.split_batch:
            self._reduced_batch = max(1, len(unsent) // 2)
            return 0
        if self._reduced_batch:
            self._reduced_batch = min(self._reduced_batch * 2, sink.max_batch)
        self._set_state(result.state, result.reason, outbox)
        if result.state == "idle":
            self._failures = 0
            return 0
        self._failures += 1
        if result.state == "paused":
            return self._timing.paused_delay
        return self._timing.delay(self._failures, result.retry_after)

    def _write_dead_letters(self, result: AttemptResult) -> int:
        """Store refused alerts as dead letters. Returns how many fitted into the file."""
        refused = list(result.refused.values())
        if not refused:
            return 0
        stored = dead_letters.append(self._folder, self.output.name, refused, time.time())
        count = quantity(len(refused), "alert")
        self._log(f"{count} refused permanently, the last one because: {refused[-1][1]}")
        if stored < len(refused):
            dropped = quantity(len(refused) - stored, "alert")
            self._log(f"the file of dead letters is full: {dropped} dropped")
        return stored

    def _record(
        self,
        outbox: OutboxDatabase,
        batch: Sequence[QueuedAlert],
        result: AttemptResult,
        dead: int,
    ) -> None:
        """Move the cursor and add to the counts. `dead` is how many dead letters were stored."""
        unfinished = (alert.number for alert in batch if alert.number not in self._done)
        first_unfinished = next(unfinished, None)
        outbox.record_attempt(
            self.output.name,
            batch[-1].number if first_unfinished is None else first_unfinished - 1,
            sent=len(result.delivered),
            retried=result.state != "idle",
            dead=dead,
            dropped=len(result.refused) - dead,
            now=time.time(),
        )

    def _log(self, text: str) -> None:
        self._log_line(f"output {self.output.name}: {text}")

    def _set_state(self, state: str, reason: str, outbox: OutboxDatabase | None) -> None:
        """Store a change of state and log it. The same problem is logged once."""
        self.is_paused = state == "paused"
        if (state, reason) == (self._state, self._reason):
            return
        previous, self._state, self._reason = self._state, state, reason
        if state == "paused":
            self._log(f"PAUSED until this is corrected: {reason}")
        elif state == "retrying":
            self._log(f"delivery failed, will be retried: {reason}")
        elif previous not in ("", "idle"):
            self._log("delivers again")
        if outbox is not None:
            outbox.set_state(self.output.name, state, reason)
