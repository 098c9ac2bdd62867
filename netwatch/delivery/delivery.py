"""Delivery as the rest of netwatch sees it: alerts are put in and delivered in the background.

Everything that waits for a receiver runs in threads of its own; `Delivery.put` costs one
transaction on the local disk. If even that fails (a full disk), a limited number of alerts is
buffered in memory until the outbox can be written again, and the log says so.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.text import quantity
from netwatch.delivery.lock import DeliveryLock
from netwatch.delivery.outbox import OutboxDatabase, OutputStatus
from netwatch.delivery.outbox_file import DamagedError, set_aside
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.delivery.worker import DeliveryWorker, RetryTiming

MAX_UNWRITTEN = 10_000
"""Alerts buffered in memory while the outbox cannot be written; then the oldest are evicted."""

_WRITE_BATCH = 500
_BUSY_TIMEOUT = 0.25
_DRAIN_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many alerts are not delivered yet: queued in the outbox by output, and buffered in memory
    only, because the outbox cannot be written. False if there are none."""

    queued: Mapping[str, int]
    unwritten: int

    def __bool__(self) -> bool:
        return bool(self.unwritten or any(self.queued.values()))


class Delivery:
    """Outputs that share one outbox. `log` takes messages for the log, from several threads.

    Raises `ConfigError` if a secret of an output cannot be read and `NetwatchError` if the outbox
    cannot be opened. Several processes with the same outputs may share an outbox: one of them
    delivers for all, and another takes over when it ends. `lost` counts alerts that could be stored
    neither on disk nor in memory.
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
        self._outbox_options = outbox
        self._log = log
        self._timing = timing or RetryTiming()
        self._lock = DeliveryLock(outbox.folder)
        self._writer = self._open_writer()
        try:
            self._writer.configure(self.outputs)
            self._reader = OutboxDatabase(outbox, durable=False)
        except (sqlite3.Error, NetwatchError) as error:
            self._writer.close()
            raise NetwatchError(f"the outbox in {outbox.folder}: {error}") from None
        self._writer_mutex = threading.Lock()
        self._reader_mutex = threading.Lock()
        self._unwritten: deque[AlertRecord] = deque()
        self.lost = 0
        self._write_failed = False
        self._stopping = threading.Event()
        self._workers: list[DeliveryWorker] = []
        self._maintenance = threading.Thread(
            target=self._maintain, name="netwatch-outbox", daemon=True
        )

    def _open_writer(self) -> OutboxDatabase:
        def open_outbox() -> OutboxDatabase:
            return OutboxDatabase(self._outbox_options, create=True, busy_timeout=_BUSY_TIMEOUT)

        try:
            return open_outbox()
        except DamagedError as error:
            if not self._lock.acquire():
                raise
            aside = set_aside(self._outbox_options.folder, time.time())
            self._log(f"{error}; it was renamed to {aside} and a new one was created")
            return open_outbox()

    def start(self) -> None:
        """Start to deliver what is in the outbox and what is put into it. To be called once."""
        for output in self.outputs:
            worker = DeliveryWorker(
                output,
                folder=self._outbox_options.folder,
                open_outbox=lambda: OutboxDatabase(self._outbox_options, durable=False),
                lock=self._lock,
                timing=self._timing,
                log=self._log,
            )
            self._workers.append(worker)
            worker.start()
        self._maintenance.start()

    def put(self, *records: AlertRecord) -> None:
        """Store alerts in the outbox. Never waits for a receiver and never raises for an error of
        the disk."""
        if not self.outputs:
            return
        with self._writer_mutex:
            self._unwritten.extend(records)
            if not self._write_failed:
                self._write()
            self._limit_memory()
        self._wake_workers()

    def _limit_memory(self) -> None:
        for _ in range(len(self._unwritten) - MAX_UNWRITTEN):
            self._unwritten.popleft()
            if not self.lost:
                self._log("outbox: the buffer in memory is full too, alerts are lost")
            self.lost += 1

    def _write(self) -> None:
        """Write the alerts buffered in memory to the outbox. After a failure, the maintenance
        thread tries again."""
        try:
            while self._unwritten:
                batch = list(islice(self._unwritten, _WRITE_BATCH))
                evicted = self._writer.put(batch, time.time())
                for _ in batch:
                    self._unwritten.popleft()
                if evicted:
                    count = quantity(evicted, "undelivered alert")
                    self._log(f"outbox: full, {count} evicted, oldest first")
        except (sqlite3.Error, OSError) as error:
            if not self._write_failed:
                count = quantity(len(self._unwritten), "alert")
                self._log(f"outbox: cannot be written ({error}), {count} buffered in memory")
            self._write_failed = True
            self._writer.truncate_wal()
        else:
            if self._write_failed:
                self._log("outbox: can be written again")
            self._write_failed = False

    def _maintain(self) -> None:
        """Write what could not be written before; delete what is delivered or has expired."""
        outbox = OutboxDatabase(self._outbox_options, durable=False)
        try:
            while not self._stopping.wait(self._timing.poll_interval):
                if self._unwritten:
                    with self._writer_mutex:
                        self._write()
                    self._wake_workers()
                with suppress(sqlite3.Error):
                    expired = outbox.clean_up(time.time() - self._outbox_options.max_age)
                    if expired:
                        count = quantity(expired, "undelivered alert")
                        self._log(f"outbox: {count} expired and dropped")
        finally:
            outbox.close()

    def _wake_workers(self) -> None:
        for worker in self._workers:
            worker.wake()

    def status(self) -> list[OutputStatus]:
        """The state of the outputs of this configuration, from the outbox."""
        names = {output.name for output in self.outputs}
        with self._reader_mutex:
            return [status for status in self._reader.status() if status.name in names]

    def undelivered(self) -> Undelivered:
        """How many alerts are not delivered yet."""
        queued = {status.name: status.queued for status in self.status()}
        return Undelivered(queued, len(self._unwritten))

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
        if undelivered.unwritten:
            return False
        if self._lock.is_held:
            paused = {worker.output.name for worker in self._workers if worker.is_paused}
        else:
            paused = {status.name for status in self.status() if status.state == "paused"}
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
            if self._unwritten:
                self._write()
            self._writer.close()
        with self._reader_mutex:
            self._reader.close()
        if not any(thread.is_alive() for thread in threads):
            self._lock.release()
