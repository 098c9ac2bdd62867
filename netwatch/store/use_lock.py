"""Who is writing to a store: keeps erasing and writing apart, and marks runs whose process was
killed.

Who writes to a store shares a lock, an erasure has it alone. A run has rows in memory, and a live
capture also open incidents; both name people, and are written later. An erasure beside them would
find nothing of what they write afterwards, so that it cannot say that nothing is left. Without a
process the lock is free, whatever it died of. The lock is one of flock(2) on a file in the folder
of a store with SQLite, and an advisory lock of the database where the catalogue is in PostgreSQL,
whose writers may be on several machines.

A run is noted while it writes, and if its process was killed, it is marked by the next one that
opens the store. Facts and coverage are written every few seconds. What a process had in memory when
it was killed is gone, and nobody can say how much it was. So its captures are `partial`, and the
time from its last facts on is one in which something is lost, and so are ten minutes before it:
flows that go on are in memory.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import give_to_owner, restrict
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, lock
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import Database, server_url
from netwatch.store.hour_rows import UNSEEN, LossCounter, add_losses
from netwatch.store.options import StoreOptions

NAME = "use.lock"
"""The file of the lock, in the folder of a store."""

_ADVISORY_LOCK = 0x6E657477_65726173
"""The number of the lock in PostgreSQL: netweras."""


_RUN_LOCKS = 0x6E657477
"""The first number of the locks of runs in PostgreSQL: netw. The second one is that of the run."""

_IN_USE = (
    "a run is writing to the store, and has rows and incidents in memory that an erasure cannot"
    " reach: stop live (or wait for scan and names to end), erase again, and start it"
)
_ERASING = "a person is being erased from the store: start again when that has ended"


class InUseError(NetwatchError):
    """The lock is taken the other way; a sentence that says what to do."""


class UseLock:
    """The lock of a store, until it is closed; it is a context. An `exclusive` one is that of an
    erasure. Raises `InUseError` where it is taken the other way, and `NetwatchError` where it
    cannot be taken."""

    def __init__(self, options: StoreOptions, *, exclusive: bool = False) -> None:
        self._descriptor = -1
        self._connection: Connection | None = None
        self._folder = Path(options.path)
        self._runs: list[int] = []
        try:
            if options.catalogue:
                is_ours = self._lock_database(options.catalogue, exclusive)
            else:
                is_ours = self._lock_folder(self._folder, exclusive)
        except FileNotFoundError:
            self.close()
            missing = f"{options.shown}: there is no store; 'netwatch scan --store' creates one"
            raise NetwatchError(missing) from None
        except (OSError, SQLAlchemyError) as error:
            self.close()
            raise NetwatchError(f"{options.shown}: the store cannot be locked: {error}") from None
        if not is_ours:
            self.close()
            raise InUseError(_IN_USE if exclusive else _ERASING)

    def _lock_folder(self, folder: Path, exclusive: bool) -> bool:
        flags = os.O_RDWR | os.O_CREAT | O_CLOEXEC | O_NOFOLLOW
        try:
            self._descriptor = os.open(folder / NAME, flags | os.O_EXCL, 0o600)
            restrict(self._descriptor, 0o600)
            give_to_owner(self._descriptor, folder)
        except FileExistsError:
            self._descriptor = os.open(folder / NAME, flags, 0o600)
        try:
            lock(self._descriptor, exclusive=exclusive)
        except BlockingIOError:
            return False
        return True

    def _lock_database(self, url: str, exclusive: bool) -> bool:
        engine = create_engine(server_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._connection = engine.connect()
        name = "pg_try_advisory_lock" if exclusive else "pg_try_advisory_lock_shared"
        taken = self._connection.execute(text(f"SELECT {name}({_ADVISORY_LOCK})"))
        return bool(taken.scalar_one())

    def hold_run(self, run: int) -> None:
        """Show others that somebody writes a run, until this lock is closed; several may. Raises
        `NetwatchError`."""
        if self._connection is not None:
            self._database_run("pg_advisory_lock_shared", run)
            return
        self._runs.append(self._open_run(run))
        try:
            lock(self._runs[-1], exclusive=False)
        except OSError as error:
            raise NetwatchError(f"{self._folder}: a run cannot be locked: {error}") from None

    def ended_run(self, run: int) -> None:
        """A run that was held is over, and nobody will ask for it."""
        if self._connection is None:
            with suppress(OSError):
                (self._folder / _run_name(run)).unlink(missing_ok=True)

    def is_written(self, run: int) -> bool:
        """Whether anybody writes a run now. If nobody does, what shows it is removed. Raises
        `NetwatchError`."""
        if self._connection is not None:
            if not self._database_run("pg_try_advisory_lock", run):
                return True
            self._database_run("pg_advisory_unlock", run)
            return False
        descriptor = self._open_run(run)
        try:
            lock(descriptor, exclusive=True)
        except BlockingIOError:
            return True
        else:
            with suppress(OSError):
                (self._folder / _run_name(run)).unlink()
            return False
        finally:
            os.close(descriptor)

    def _database_run(self, function: str, run: int) -> bool:
        assert self._connection is not None
        statement = text(f"SELECT {function}({_RUN_LOCKS}, {run})")
        try:
            return bool(self._connection.execute(statement).scalar())
        except SQLAlchemyError as error:
            raise NetwatchError(f"a run of {self._folder} cannot be locked: {error}") from None

    def _open_run(self, run: int) -> int:
        path = self._folder / _run_name(run)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            give_to_owner(descriptor, self._folder)
        except OSError as error:
            raise NetwatchError(f"{path}: {error.strerror}") from None
        return descriptor

    def close(self) -> None:
        """Release the lock."""
        while self._runs:
            os.close(self._runs.pop())
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._connection is not None:
            # The server notices that a connection was closed, but not at once.
            with suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _run_name(run: int) -> str:
    return f"run-{run}.lock"


def open_captures(database: Database, run: int) -> dict[int, int]:
    """The numbers of these captures by their position in the run. Raises `NetwatchError`."""
    column = tables.capture.c
    with database.reading() as connection:
        rows = connection.execute(
            select(column.position, column.id).where(column.run == run, column.state == "open")
        ).all()
    return {row.position: row.id for row in rows}


def note_run(connection: Connection, lock: UseLock, run: int) -> None:
    """This process writes a run from now on, until the lock is closed."""
    lock.hold_run(run)
    values = {"run": run, "at": time.time_ns(), "first": None, "last": None}
    connection.execute(insert(tables.run_writing).values(values))


def note_written(connection: Connection, run: int, first: int | None, last: int | None) -> None:
    """Facts of a run were written, of packets from `first` to `last` (ns)."""
    row = tables.run_writing.c.run == run
    values = {"at": time.time_ns(), "first": first, "last": last}
    connection.execute(update(tables.run_writing).where(row).values(values))


def forget_run(connection: Connection, run: int) -> None:
    """A run has ended."""
    connection.execute(delete(tables.run_writing).where(tables.run_writing.c.run == run))


def written_span(connection: Connection, run: int) -> tuple[int | None, int | None]:
    """The times of the first and the last facts of a run that is being written."""
    column = tables.run_writing.c
    row = connection.execute(select(column.first, column.last).where(column.run == run)).first()
    return (row.first, row.last) if row is not None else (None, None)


def mark_killed(catalogue: Catalogue, lock: UseLock) -> list[int]:
    """Mark the runs that a process wrote which is gone; their numbers. Raises `NetwatchError`."""
    with catalogue.database.reading() as connection:
        runs = connection.execute(select(tables.run_writing)).all()
    killed = [row for row in runs if not lock.is_written(row.run)]
    if killed:
        with catalogue.database.writing() as connection:
            for row in killed:
                _mark(connection, row)
    return [row.run for row in killed]


def _mark(connection: Connection, row: Any) -> None:
    column = tables.capture.c
    left = (column.run == row.run) & (column.state == "open")
    positions = connection.execute(select(column.position).where(left)).scalars().all()
    if positions:
        last = row.at if row.last is None else row.last
        losses = LossCounter()
        losses.add_killed(last, last + min(max(0, time.time_ns() - row.at), UNSEEN))
        for position in positions:
            add_losses(connection, row.run, position, losses.take())
        values = {"state": "partial", "first": row.first, "last": row.last}
        connection.execute(update(tables.capture).where(left).values(values))
    forget_run(connection, row.run)
