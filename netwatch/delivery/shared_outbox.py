"""The outbox shared by the threads of a process: opened, replaced if it fails, opened again; and
the alerts that wait in memory for it.

Each thread has a `Connection`, which leads to the current database of the outbox. A thread that
gets an SQLite error reports it. If the database is damaged, all connections are closed, and it is
replaced, see `recovery`. While no outbox can be opened, `problem` gives the reason, and it is tried
again. Usually an alert is in memory for a moment. It stays there while the outbox cannot be written
or opened, and then the number of alerts is limited.
"""

import os
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import Condition, ForeignFileError, create, identify, is_damage
from netwatch.core.system.kernel import steady_seconds
from netwatch.delivery import recovery
from netwatch.delivery.outbox import OutboxDatabase
from netwatch.delivery.outbox_file import (
    FILE,
    KIND,
    DeliveryLock,
    folder_warning,
    lock_use,
    prepare_folder,
    unused,
)
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.sinks.base import severity_rank, verdict_rank

MAX_UNWRITTEN = 10_000
"""Alerts to buffer in memory while the outbox cannot be written; then the oldest are evicted."""


class NoOutboxError(NetwatchError):
    """No outbox is open at the moment; the text says why."""


class SharedOutbox:
    """The outbox of a process for these outputs. Only the process that has `lock` creates or
    replaces the database. `retry_delay` returns how long to wait after so many consecutive
    failures, in s; `log` takes messages for the log.

    `problem` is why no outbox is open, otherwise empty. `generation` increases whenever another
    database becomes the outbox.
    """

    def __init__(
        self,
        options: OutboxOptions,
        outputs: Sequence[Output],
        lock: DeliveryLock,
        retry_delay: Callable[[int], float],
        log: Callable[[str], None],
    ) -> None:
        self.options = options
        self.problem = "it has not been opened yet"
        self.generation = 0
        self._outputs = tuple(outputs)
        self._lock = lock
        self._retry_delay = retry_delay
        self._log = log
        self._mutex = threading.Lock()
        # For `problem` and `generation` only: opening the outbox may take long, and the thread that
        # puts alerts must not wait for that.
        self._state = threading.Lock()
        self._path = options.folder / FILE
        self._identity: tuple[int, int] | None = None
        self._damage = ""
        self._replaced = 0
        self._not_before = 0.0
        self._warned = self._reported = False
        self._may_replace = True
        self._connections: list[Connection] = []

    def open(self, *, may_replace: bool = True) -> bool:
        """Open the outbox unless it is open; create it, or replace it with `may_replace`, if
        necessary. Returns whether it is now open. Raises `ForeignFileError` if a file of another
        program is in its place."""
        with self._mutex:
            self._may_replace = may_replace
            if not self.problem or time.monotonic() < self._not_before:
                return not self.problem
            for connection in self._connections:
                connection.close()
            try:
                self._open()
            except ForeignFileError as error:
                if self.generation:
                    self._fail(str(error))
                # At the start, the caller ends with this error, and says so.
                self.problem = str(error)
                raise
            except (NetwatchError, OSError, sqlite3.Error) as error:
                self._fail(str(error))
                return False
            with self._state:
                self.generation += 1
                self.problem = ""
            if self._reported:
                self._log("outbox: can be used again")
                self._reported = False
            return True

    def _fail(self, problem: str) -> None:
        if problem != self.problem or not self._reported:
            self._log(f"outbox: {problem}; alerts wait in memory, and it is tried again")
        self.problem, self._reported = problem, True

    def _open(self) -> None:
        folder = self.options.folder
        prepare_folder(folder)
        self._warn_of_folder(folder)
        is_deliverer = self._lock.acquire()
        if is_deliverer:
            self._resume_replacement(folder)
        # Files are renamed while another process replaces the outbox.
        os.close(lock_use(folder))
        condition = self._condition()
        if condition == "missing":
            if not is_deliverer:
                raise NetwatchError("another process has to create it, and has not done so yet")
            create(self._path, KIND)
        elif condition == "damaged" or self._damage:
            self._replace(self._damage or "its first page is damaged")
        try:
            self._check_and_configure()
        except (sqlite3.Error, NetwatchError) as error:
            if not is_damage(error):
                raise
            self._replace(str(error))
            self._check_and_configure()
        self._identity = _identity(self._path)

    def _resume_replacement(self, folder: Path) -> None:
        if not recovery.is_interrupted(folder):
            return
        if not self._may_replace:
            raise NetwatchError("its replacement was interrupted")
        with unused(folder):
            replacement = recovery.resume(folder, self._outputs)
        self._log(f"outbox: its replacement was interrupted: {replacement}")

    def _condition(self) -> Condition:
        try:
            return identify(self._path, KIND)
        except ForeignFileError:
            # If nothing can be recognised any more, it is still the file that was opened.
            if self._identity is None or _identity(self._path) != self._identity:
                raise
            return "damaged"

    def _warn_of_folder(self, folder: Path) -> None:
        if not self._warned and (warning := folder_warning(folder)):
            self._log(f"outbox: {warning}")
        self._warned = True

    def _check_and_configure(self) -> None:
        database = OutboxDatabase(self.options)
        try:
            database.check()
            database.configure(self._outputs)
        finally:
            database.close()

    def _replace(self, reason: str) -> None:
        if not self._may_replace:
            raise NetwatchError(f"damaged ({reason})")
        if not self._lock.acquire():
            raise NetwatchError(
                f"damaged ({reason}); the process that delivers from it has to replace it"
            )
        # A database that fails again and again must not fill the disk with copies.
        self._replaced += 1
        self._not_before = time.monotonic() + self._retry_delay(self._replaced)
        with unused(self.options.folder):
            replacement = recovery.replace(self.options.folder, self._outputs)
        self._damage = ""
        self._log(f"outbox: damaged ({reason}); {replacement}")

    def failed(self, error: Exception, generation: int) -> None:
        """A connection of this generation got an error. A damaged database is replaced by the next
        call of `open`."""
        if is_damage(error):
            with self._state:
                if generation == self.generation and not self.problem:
                    self._damage = self.problem = f"damaged ({error})"

    def is_current(self) -> bool:
        """Whether the file that was opened is still in its place. If not, it is reopened."""
        if self.problem:
            return False
        if _identity(self._path) == self._identity:
            return True
        with self._state:
            if not self.problem and _identity(self._path) != self._identity:
                self.problem = f"{self._path} was removed or replaced"
        return False

    def connect(self, *, durable: bool, busy_timeout: float) -> OutboxDatabase:
        """A connection to the current outbox. Raises `NetwatchError` and `sqlite3.Error`."""
        if self.problem:
            raise NoOutboxError(f"the outbox cannot be used: {self.problem}")
        if not self._mutex.acquire(timeout=busy_timeout):
            raise NoOutboxError("the outbox cannot be used: it is being opened")
        try:
            return OutboxDatabase(self.options, durable=durable, busy_timeout=busy_timeout)
        finally:
            self._mutex.release()

    def add(self, connection: "Connection") -> None:
        """Close this connection before the outbox is opened again."""
        self._connections.append(connection)

    @property
    def is_deliverer(self) -> bool:
        """Whether this process delivers from the outbox."""
        return self._lock.is_held


class Connection:
    """One thread's connection to the outbox. `durable` and `busy_timeout` are as in
    `OutboxDatabase`. Another thread may close it."""

    def __init__(
        self, shared: SharedOutbox, *, durable: bool = False, busy_timeout: float = 5.0
    ) -> None:
        self._shared = shared
        self._durable = durable
        self._busy_timeout = busy_timeout
        self._database: OutboxDatabase | None = None
        self._generation = 0
        shared.add(self)

    def get(self) -> OutboxDatabase:
        """The current outbox. Raises `NetwatchError` and `sqlite3.Error`."""
        shared = self._shared
        database = self._database
        if database is not None and self._generation == shared.generation and not shared.problem:
            return database
        self.close()
        self._generation = shared.generation
        database = shared.connect(durable=self._durable, busy_timeout=self._busy_timeout)
        self._database = database
        return database

    def release(self) -> None:
        """The connection is not used for now. Unless this process delivers, it is closed: it must
        not keep the delivering process from replacing a damaged outbox."""
        if not self._shared.is_deliverer:
            self.close()

    def failed(self, error: Exception) -> None:
        """Report an error of the outbox. The connection is opened again, since a transaction may
        be open that could not be rolled back."""
        self._shared.failed(error, self._generation)
        self.close()

    def close(self) -> None:
        """Close the connection; `get` opens it again."""
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path, follow_symlinks=False)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


@dataclass(frozen=True, slots=True)
class BufferedAlert:
    """An alert that is not in the outbox yet, since when (`steady_seconds`), whether an output
    that has delivered it before must leave it out, and the only output that it is for, None for
    all."""

    record: AlertRecord
    since: float
    once: bool
    output: str | None = None

    def is_for(self, output: Output) -> bool:
        """Whether the alert is for an output, whose filter passes it."""
        return (
            self.output in (None, output.name)
            and verdict_rank(self.record) >= output.min_verdict
            and severity_rank(self.record) >= output.min_severity
        )


class AlertBuffer:
    """The alerts that are not in the outbox yet, oldest first. `lost` counts evicted ones; `log` is
    called with the first one."""

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

    def add(
        self, records: Sequence[AlertRecord], once: bool, only: Sequence[str | None] = (None,)
    ) -> None:
        """Add alerts, for each output of `only`; None is all."""
        now = steady_seconds()
        with self._mutex:
            self._waiting.extend(
                BufferedAlert(record, now, once, name) for name in only for record in records
            )

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
        """Take at most `count` alerts, oldest first, to write them. Then call `written` or
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
        """The evicted alerts that are not counted in the outbox yet, by output."""
        with self._mutex:
            return Counter(self._uncounted)

    def counted(self, lost: Counter[str]) -> None:
        """The outbox has counted these."""
        with self._mutex:
            self._uncounted -= lost

    def waiting_for(self, output: Output) -> tuple[int, float | None]:
        """How many alerts an output has here, and since when the oldest has waited, in s."""
        with self._mutex:
            held = (*self._being_written, *self._waiting)
            mine = [alert for alert in held if alert.is_for(output)]
        return len(mine), steady_seconds() - mine[0].since if mine else None
