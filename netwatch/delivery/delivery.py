"""Delivery as seen by the rest of netwatch: alerts are put in and delivered in the background.

Everything that waits for a receiver runs in threads of its own; `Delivery.put` costs one
transaction on the local disk. If even that fails (a full or broken disk), a limited number of
alerts is buffered in memory until the outbox can be written again, and `Delivery.problem` says so.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.system.kernel import steady_seconds
from netwatch.core.text import quantity
from netwatch.delivery.outbox import OutputStatus
from netwatch.delivery.outbox_file import DeliveryLock
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.delivery.shared_outbox import (
    AlertBuffer,
    BufferedAlert,
    Connection,
    NoOutboxError,
    SharedOutbox,
)
from netwatch.delivery.worker import DeliveryWorker, RetryTiming

_WRITE_BATCH = 500
_BUSY_TIMEOUT = 0.25
_DRAIN_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many alerts are not delivered yet: queued in the outbox by output, and buffered only in
    memory, because the outbox cannot be written. `unread` is why the outbox could not be read; then
    the queued ones are from the last time that it could, and there may be others. False if there
    are none."""

    queued: Mapping[str, int]
    unwritten: int
    unread: str = ""

    def __bool__(self) -> bool:
        return bool(self.unwritten or self.unread or any(self.queued.values()))


class Delivery:
    """Outputs that share one outbox. `log` takes messages for the log, from several threads.

    Raises `ConfigError` if a secret of an output cannot be read, or if the outbox's path is a file
    of another program. If the outbox cannot be opened for another reason, alerts wait in memory,
    and it is tried again. Several processes with the same outputs may share an outbox: one of them
    delivers for all, and another takes over when it ends.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        outbox: OutboxOptions,
        log: Callable[[str], None] = lambda _: None,
        timing: RetryTiming | None = None,
    ) -> None:
        problems = [problem for output in outputs for problem in output.problems()]
        if problems:
            raise ConfigError(problems)
        self.outputs = tuple(outputs)
        self._log = log
        self._timing = timing or RetryTiming()
        self._lock = DeliveryLock(outbox.folder)
        self._outbox = SharedOutbox(outbox, self.outputs, self._lock, self._timing.delay, log)
        self._writer = Connection(self._outbox, durable=True, busy_timeout=_BUSY_TIMEOUT)
        self._reader = Connection(self._outbox, busy_timeout=_BUSY_TIMEOUT)
        self._writer_mutex = threading.Lock()
        self._reader_mutex = threading.Lock()
        self._buffer = AlertBuffer(self.outputs, log)
        self._write_problem = ""
        self._known_status = [_unknown(output) for output in self.outputs]
        self._read_problem = ""
        self._stopping = threading.Event()
        self._workers: list[DeliveryWorker] = []
        self._maintenance = threading.Thread(
            target=self._maintain, name="netwatch-outbox", daemon=True
        )
        try:
            # Replacing a large one may take a minute, which no capture should wait for.
            self._outbox.open(may_replace=False)
        except ConfigError:
            self._lock.release()
            raise

    def open(self) -> bool:
        """Open the outbox now if it is not open, instead of soon; returns whether it is open.
        Raises `ConfigError` if a file of another program is in its place."""
        return self._outbox.open()

    @property
    def problem(self) -> str:
        """Why alerts cannot be stored on disk now; empty if they can."""
        return self._outbox.problem or self._write_problem

    @property
    def unwritten(self) -> int:
        """How many alerts are in memory only."""
        return len(self._buffer)

    @property
    def lost(self) -> int:
        """How many alerts could be stored neither on disk nor in memory."""
        return self._buffer.lost

    def start(self) -> None:
        """Start to deliver the content of the outbox and what is put into it. To be called once."""
        for output in self.outputs:
            worker = DeliveryWorker(
                output,
                folder=self._outbox.options.folder,
                connection=Connection(self._outbox),
                lock=self._lock,
                timing=self._timing,
                log=self._log,
            )
            self._workers.append(worker)
            worker.start()
        self._maintenance.start()

    def put(self, *records: AlertRecord, once: bool = False, only: Sequence[str] = ()) -> None:
        """Store alerts in the outbox, for the outputs with the names `only`, if given. With `once`,
        each output leaves out those that it has delivered before. Never waits for a receiver, nor
        long for the disk, and never raises for an error of either."""
        if not self.outputs:
            return
        self._buffer.add(records, once, only or (None,))
        if not self.problem:
            with self._writer_mutex:
                self._write()
        self._buffer.limit()
        self._wake_workers()

    def _write(self) -> None:
        """Write the alerts buffered in memory to the outbox. After a failure, the maintenance
        thread tries again."""
        try:
            while batch := self._buffer.take(_WRITE_BATCH):
                self._write_batch(batch)
        except (sqlite3.Error, OSError, NetwatchError) as error:
            self._buffer.put_back()
            self._buffer.limit()
            self._writer.failed(error)
            if self._outbox.problem:
                return
            if not self._write_problem:
                count = quantity(len(self._buffer), "alert")
                self._log(f"outbox: cannot be written ({error}), {count} buffered in memory")
            self._write_problem = f"it cannot be written: {error}"
            self._truncate_wal()
        else:
            if self._write_problem:
                self._log("outbox: can be written again")
            self._write_problem = ""
        finally:
            self._writer.release()

    def _write_batch(self, batch: Sequence[BufferedAlert]) -> None:
        outbox, now = self._writer.get(), steady_seconds()
        evicted = 0
        kinds = dict.fromkeys((alert.once, alert.output) for alert in batch)
        for once, output in kinds:
            alerts = [alert for alert in batch if (alert.once, alert.output) == (once, output)]
            evicted += outbox.put(
                [alert.record for alert in alerts],
                output=output,
                once=once,
                waited=[now - alert.since for alert in alerts],
            )
        if lost := self._buffer.lost_by_output():
            outbox.add_dropped(lost)
            self._buffer.counted(lost)
        if not self._outbox.is_current():
            # It was removed, perhaps before these alerts were in it.
            raise NoOutboxError(self._outbox.problem)
        self._buffer.written()
        if evicted:
            count = quantity(evicted, "undelivered alert")
            self._log(f"outbox: full, {count} evicted, oldest first")

    def _truncate_wal(self) -> None:
        with suppress(sqlite3.Error, NetwatchError):
            self._writer.get().truncate_wal()

    def _maintain(self) -> None:
        """Open or replace the outbox if necessary, write what could not be written before, and
        delete what is delivered or has expired."""
        connection = Connection(self._outbox)
        reported = ""
        while not self._stopping.wait(self._timing.poll_interval):
            try:
                if not self._outbox.is_current() and not self._outbox.open():
                    continue
                if len(self._buffer) or self._write_problem:
                    with self._writer_mutex:
                        self._write()
                    self._wake_workers()
                expired = connection.get().clean_up(self._outbox.options.max_age)
            except Exception as error:  # This thread must continue: without it nothing is written.
                connection.failed(error)
                text = f"{type(error).__name__}: {error}"
                # Errors that the outbox reports itself, and temporary errors, are not reported
                # here.
                if not isinstance(error, (NetwatchError, sqlite3.Error)) and text != reported:
                    reported = text
                    self._log(f"outbox: it cannot be maintained ({text})")
                continue
            finally:
                connection.release()
            if expired:
                count = quantity(expired, "undelivered alert")
                self._log(f"outbox: {count} expired and dropped")
        connection.close()

    def _wake_workers(self) -> None:
        for worker in self._workers:
            worker.wake()

    def status(self) -> list[OutputStatus]:
        """The state of the outputs of this configuration: from the outbox, and from memory what is
        not there yet. If it cannot be read, the counts are from the last time."""
        workers = {worker.output.name: worker for worker in self._workers}
        return [
            self._complete(status, output, workers.get(status.name))
            for status, output in zip(self._stored_status(), self.outputs, strict=True)
        ]

    def _stored_status(self) -> list[OutputStatus]:
        """The state of the outputs in the outbox, in the order of the configuration."""
        with self._reader_mutex:
            try:
                found = {status.name: status for status in self._reader.get().status()}
            except (sqlite3.Error, NetwatchError) as error:
                self._reader.failed(error)
                self._read_problem = str(error)
            else:
                self._read_problem = ""
                self._known_status = [
                    found.get(output.name) or _unknown(output) for output in self.outputs
                ]
            finally:
                self._reader.release()
            return self._known_status

    def _complete(
        self, status: OutputStatus, output: Output, worker: DeliveryWorker | None
    ) -> OutputStatus:
        """The state of an output including what is only in memory."""
        waiting, waited = self._buffer.waiting_for(output)
        if waited is not None:
            oldest = min(time.time() - waited, status.oldest or float("inf"))
            status = replace(status, queued=status.queued + waiting, oldest=oldest)
        if problem := self._outbox.problem:
            reason = f"the outbox cannot be used: {problem}"
            return replace(status, state="retrying", reason=reason)
        if worker is None or not self._lock.is_held:
            return status
        if not worker.is_alive() and not self._stopping.is_set():
            return replace(status, state="stopped", reason="its delivery worker has ended")
        if worker.state:
            return replace(status, state=worker.state, reason=worker.reason)
        return status

    def undelivered(self) -> Undelivered:
        """How many alerts are not delivered yet."""
        # In this order: alerts move from the buffer into the outbox, and would be in neither.
        unwritten = len(self._buffer)
        queued = {status.name: status.queued for status in self._stored_status()}
        return Undelivered(queued, unwritten, self._read_problem)

    def drain(self, timeout: float) -> Undelivered:
        """Wait until everything is delivered or only paused outputs have alerts left, at most
        `timeout` s. Digests are sent immediately. Returns what is undelivered then."""
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            worker.flush_digest(True)
        try:
            while True:
                undelivered = self.undelivered()
                remaining = deadline - time.monotonic()
                if not undelivered or remaining <= 0 or self._waits_for_people(undelivered):
                    return undelivered
                self._stopping.wait(min(remaining, _DRAIN_POLL))
        finally:
            for worker in self._workers:
                worker.flush_digest(False)

    def _waits_for_people(self, undelivered: Undelivered) -> bool:
        """Whether only paused outputs have alerts left."""
        if undelivered.unwritten or undelivered.unread:
            return False
        if self._lock.is_held:
            paused = {worker.output.name for worker in self._workers if worker.is_paused}
        else:
            stored = self._stored_status()
            paused = {status.name for status in stored if status.state == "paused"}
        return all(name in paused for name, queued in undelivered.queued.items() if queued)

    def reopen(self) -> None:
        """Reopen files and connections, and make an attempt immediately for outputs that wait."""
        for worker in self._workers:
            worker.reopen()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop delivering. Undelivered alerts stay in the outbox for the next start. A worker that
        is still in an attempt after `timeout` s ends with the process; what it was sending is sent
        again at the next start."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        threads: list[threading.Thread] = [*self._workers, self._maintenance]
        for worker in self._workers:
            worker.stop()
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0, deadline - time.monotonic()))
        with self._writer_mutex:
            if len(self._buffer):
                self._write()
            self._writer.close()
        with self._reader_mutex:
            self._reader.close()
        if not any(thread.is_alive() for thread in threads):
            self._lock.release()


def _unknown(output: Output) -> OutputStatus:
    """The state of an output that is not in the outbox."""
    return OutputStatus(
        name=output.name,
        type=output.type,
        format=output.format,
        configured=True,
        queued=0,
        oldest=None,
        sent=0,
        retried=0,
        dead=0,
        dropped=0,
        repeated=0,
        skipped=0,
        state="idle",
        reason="",
        last_sent=None,
    )
