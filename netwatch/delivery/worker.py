"""The delivery worker of one output: takes alerts from the outbox and sends them.

Each output has a worker thread of its own, so no output waits for another. A worker sends the next
batch, records the result for each alert, and moves the cursor up to the first one that is not done.
Failed attempts are retried without limit, with capped exponential backoff and jitter, or after the
time that the receiver asked for. Alerts that the receiver refuses permanently become dead letters.
If the receiver rejects the output as such, the output is paused: it is attempted once every few
minutes, with a prominent log message. No error ends a worker, whatever it is.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import is_damage
from netwatch.core.text import quantity
from netwatch.delivery import dead_letters
from netwatch.delivery.attempt import AttemptResult, Deferral, attempt
from netwatch.delivery.dead_letters import DeadLetter
from netwatch.delivery.outbox import OutboxDatabase, QueuedAlert, UnreadableAlert
from netwatch.delivery.outbox_file import DeliveryLock
from netwatch.delivery.output import Output
from netwatch.delivery.shared_outbox import Connection, NoOutboxError
from netwatch.sinks.base import Sink
from netwatch.sinks.secrets import redact

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
        the receiver's request."""
        backoff = min(self.max_delay, self.first_delay * 2.0 ** min(failures - 1, 30))
        return max(backoff * random.uniform(0.5, 1), min(retry_after or 0, MAX_RETRY_AFTER))


@dataclass(slots=True)
class _Counts:
    """The counts of a batch: the keys of alerts that were sent, failed attempts, alerts that became
    dead letters, that could not be stored as such, repeats that were left out, and alerts that wait
    for some recipients, with these."""

    sent: list[str] = field(default_factory=list)
    retried: int = 0
    dead: int = 0
    dropped: int = 0
    skipped: int = 0
    for_others: list[tuple[QueuedAlert, tuple[str, ...]]] = field(default_factory=list)


class DeliveryWorker(threading.Thread):
    """Delivers the content of the outbox for one output. `folder` is the outbox's, `connection`
    leads to it. `log` takes messages for the log. `state` is one of `outbox.STATES`, empty before
    the first attempt, and `reason` explains it. `is_paused` tells whether the last attempt was
    rejected until somebody corrects something, and no further one is due."""

    def __init__(
        self,
        output: Output,
        *,
        folder: Path,
        connection: Connection,
        lock: DeliveryLock,
        timing: RetryTiming,
        log: Callable[[str], None],
    ) -> None:
        super().__init__(name=f"netwatch-output-{output.name}", daemon=True)
        self.output = output
        self.is_paused = False
        self.state = ""
        self.reason = ""
        self._stored_state = ("", "")
        self._folder = folder
        self._connection = connection
        self._sink: Sink | None = None
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
        # A smaller batch size while searching for the alert that makes the receiver refuse a batch;
        # otherwise 0.
        self._reduced_batch = 0
        self._due = 0.0
        self._deferral = Deferral(
            output, self._store_dead_letters, timing.delay, timing.paused_delay
        )

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
        while not self._stopping:
            self._wake.clear()
            self._skip_wait = False
            try:
                delay = self._work()
            except BaseException as error:
                # A library may raise anything, and later alerts must be delivered anyway.
                delay = self._handle(error)
            self._wait(delay)
        if self._sink is not None:
            # The answers are already noted: whatever a library raises now changes nothing.
            with suppress(Exception):
                self._sink.close()
        self._connection.close()

    def _work(self) -> float:
        """Make the next attempt if this process delivers. Returns how long to wait, in s."""
        if not self._lock.acquire():
            return self._timing.poll_interval
        outbox = self._connection.get()
        self._sink = self._sink or self.output.options.open()
        if self._reopen_requested:
            self._reopen_requested, self._failures = False, 0
            self._due = 0.0
            self._deferral.retry_now()
            self._sink.close()
        retries_recipients = not self._deferral.due_in()
        if retries_recipients:
            self._deferral.retry(outbox, self._sink)
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._deliver_next(outbox, self._sink)
        if retries_recipients:
            self._report(outbox)
        return min(max(0.0, self._due - time.monotonic()), self._deferral.due_in())

    def _report(self, outbox: OutboxDatabase) -> None:
        """Show that alerts wait for single recipients, or no longer, unless all alerts wait."""
        if not self._failures and (self.state or self._deferral.reason):
            self._set_state("idle", "", outbox)

    def _handle(self, error: BaseException) -> float:
        """Note an error that is not the receiver's. Returns how long to wait, in s."""
        self._failures += 1
        text = str(error)
        if isinstance(error, sqlite3.Error):
            text = f"the outbox: {error}"
        elif not isinstance(error, (NetwatchError, OSError)):
            text = f"{type(error).__name__}: {error}"
        if isinstance(error, Exception):
            self._connection.failed(error)
        outbox = None
        if not isinstance(error, NoOutboxError) and not is_damage(error):
            with suppress(sqlite3.Error, NetwatchError):
                outbox = self._connection.get()
                outbox.truncate_wal()
        self._set_state("retrying", redact(text, self.output.options.secrets()), outbox)
        if isinstance(error, NoOutboxError) or is_damage(error):
            # It is opened again, or replaced, soon.
            return self._timing.poll_interval
        return self._timing.delay(self._failures)

    def _wait(self, seconds: float) -> None:
        if self._failures:
            # Alerts stored during the attempt are no reason to retry immediately.
            self._wake.clear()
        if seconds > 0 and not self._stopping and not self._skip_wait and self._wake.wait(seconds):
            self._due = 0.0

    def _deliver_next(self, outbox: OutboxDatabase, sink: Sink) -> float:
        """Send the next batch. Returns how long to wait before the next call, in s."""
        limit = min(sink.max_batch, self._reduced_batch or sink.max_batch)
        batch = outbox.next_batch(self.output.name, limit)
        self._done.intersection_update([alert.number for alert in batch])
        if not batch:
            sink.on_idle()
            self._failures = 0
            self._deferral.look_for_more(outbox)
            self._set_state("idle", "", outbox)
            return self._timing.poll_interval
        unsent = self._settle_unsendable(outbox, batch)
        if not unsent:
            self._record(outbox, batch, _Counts())
            return 0
        if self.output.digest_interval and not self._flush_digest:
            due_in = self.output.digest_interval - unsent[0].waited
            if self.output.quiet_hours is not None:
                due_in = max(due_in, self.output.quiet_hours.left(time.time()))
            if due_in > 0:
                return min(due_in, self._timing.poll_interval)
        result = attempt(self.output, sink, unsent)
        self._record_result(outbox, batch, unsent, result)
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

    def _settle_unsendable(
        self, outbox: OutboxDatabase, batch: Sequence[QueuedAlert | UnreadableAlert]
    ) -> list[QueuedAlert]:
        """Make dead letters of unreadable alerts, and skip those that must not be sent again.
        Returns the alerts to send."""
        new = [alert for alert in batch if alert.number not in self._done]
        unreadable = [alert for alert in new if isinstance(alert, UnreadableAlert)]
        alerts = [alert for alert in new if isinstance(alert, QueuedAlert)]
        repeats = [alert.number for alert in alerts if alert.is_repeat]
        if unreadable or repeats:
            counts = _Counts(skipped=len(repeats))
            letters = [
                DeadLetter(f"cannot be read from the outbox: {alert.reason}", unreadable=alert.text)
                for alert in unreadable
            ]
            self._write_dead_letters(letters, counts)
            self._done.update(repeats, (alert.number for alert in unreadable))
            self._record(outbox, batch, counts)
        return [alert for alert in alerts if not alert.is_repeat]

    def _record_result(
        self,
        outbox: OutboxDatabase,
        batch: Sequence[QueuedAlert | UnreadableAlert],
        unsent: Sequence[QueuedAlert],
        result: AttemptResult,
    ) -> None:
        """Record the results of the alerts that were sent, delivered ones first: if an error
        follows, they are not sent again."""
        counts = _Counts(retried=int(result.state != "idle" or bool(result.deferred)))
        letters = [
            DeadLetter(reason, record, recipients=result.refused_for.get(number, ()))
            for number, (record, reason) in result.refused.items()
        ]
        settled = (result.delivered | result.deferred.keys()) - result.refused.keys()
        try:
            self._write_dead_letters(letters, counts)
            settled |= result.refused.keys()
        finally:
            self._done |= settled
            finished = [alert for alert in unsent if alert.number in settled]
            counts.sent = [alert.key for alert in finished if alert.number in result.delivered]
            counts.for_others = [
                (alert, result.deferred[alert.number])
                for alert in finished
                if alert.number in result.deferred
            ]
            self._record(outbox, batch, counts)
        if result.deferral:
            self._deferral.begin(result.deferral)

    def _write_dead_letters(self, letters: Sequence[DeadLetter], counts: _Counts) -> None:
        """Store dead letters, and count those that fit into the file and the others. Raises
        `NetwatchError`."""
        if letters:
            counts.dead = self._store_dead_letters(letters)
            counts.dropped = len(letters) - counts.dead

    def _store_dead_letters(self, letters: Sequence[DeadLetter]) -> int:
        """Store dead letters. Returns how many fitted into the file. Raises `NetwatchError`."""
        try:
            stored = dead_letters.append(self._folder, self.output.name, letters, time.time())
        except OSError as error:
            path = dead_letters.path_of(self._folder, self.output.name)
            raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
        count = quantity(len(letters), "alert")
        self._log(f"{count} refused permanently, the last one because: {letters[-1].reason}")
        if stored < len(letters):
            dropped = quantity(len(letters) - stored, "alert")
            self._log(f"the file of dead letters is full: {dropped} dropped")
        return stored

    def _record(
        self,
        outbox: OutboxDatabase,
        batch: Sequence[QueuedAlert | UnreadableAlert],
        counts: _Counts,
    ) -> None:
        """Move the cursor and add to the counts."""
        unfinished = (alert.number for alert in batch if alert.number not in self._done)
        first_unfinished = next(unfinished, None)
        outbox.record_attempt(
            self.output.name,
            batch[-1].number if first_unfinished is None else first_unfinished - 1,
            sent=counts.sent,
            retried=counts.retried,
            dead=counts.dead,
            dropped=counts.dropped,
            skipped=counts.skipped,
            for_others=counts.for_others,
        )

    def _log(self, text: str) -> None:
        self._log_line(f"output {self.output.name}: {text}")

    def _set_state(self, state: str, reason: str, outbox: OutboxDatabase | None) -> None:
        """Store a change of state, as soon as that is possible, and log it. The same problem is
        logged once. As long as alerts wait for single recipients, an output is not idle."""
        if state == "idle" and self._deferral.reason:
            state, reason = "retrying", self._deferral.reason
        self.is_paused = state == "paused"
        if outbox is not None and self._stored_state != (state, reason):
            # If this fails, the next state is stored: `_stored_state` is the last one that was.
            with suppress(sqlite3.Error):
                outbox.set_state(self.output.name, state, reason)
                self._stored_state = (state, reason)
        if (state, reason) != (self.state, self.reason):
            previous, self.state, self.reason = self.state, state, reason
            if state == "paused":
                self._log(f"PAUSED until this is corrected: {reason}")
            elif state == "retrying":
                self._log(f"delivery failed, will be retried: {reason}")
            elif previous not in ("", "idle"):
                self._log("delivers again")
