"""Keeps erasing and writing apart: who writes to a store shares a lock, an erasure has it alone.

A run has rows in memory, and a live capture also open incidents; both name people, and are written
later. An erasure beside them would find nothing of what they write afterwards, so that it cannot
say that nothing is left. Without a process the lock is free, whatever it died of.

The lock is one of flock(2) on a file in the folder of a store with SQLite, and an advisory lock of
the database where the catalogue is in PostgreSQL, whose writers may be on several machines.
"""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import give_to_owner, restrict
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, lock
from netwatch.store.database import server_url
from netwatch.store.options import StoreOptions

NAME = "use.lock"
"""The file of the lock, in the folder of a store."""

_ADVISORY_LOCK = 0x6E657477_65726173
"""The number of the lock in PostgreSQL: netweras."""


_RUN_LOCKS = 0x6E657477
"""The first number of the locks of runs in PostgreSQL: netw. The second one is that of the run."""


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
        except (OSError, SQLAlchemyError) as error:
            self.close()
            raise NetwatchError(f"the store {options.shown} cannot be locked: {error}") from None
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


_IN_USE = (
    "a run is writing to the store, and has rows and incidents in memory that an erasure cannot"
    " reach: stop live (or wait for scan and names to end), erase again, and start it"
)
_ERASING = "a person is being erased from the store: start again when that has ended"
