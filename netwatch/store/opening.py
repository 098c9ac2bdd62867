"""Opens a store: its catalogue, upgraded if necessary, and the lock of its writers.

Hours are counted if an older netwatch has not, and flows get names that reveal nothing about their
ends. In files before format `NAMED_SINCE` a flow has a fast hash of its ends, from which they can
be found. Each such file is rewritten with names instead of these numbers
(`netwatch.store.flow_rows`), claims without them. Rows of one flow are in several files, so all
files get their names by one key. It is in the catalogue until the last file is done, because a
process that is killed before is followed by one that continues with it, and is then deleted: the
old numbers can never be found again. Nobody writes to the store meanwhile: other processes of this
netwatch wait, and if an older one writes, nothing is done and the user is asked to stop it.

Processes that write to a store share a lock, an erasure has it exclusively. A run has rows in
memory, and a live capture also open incidents; both name people, and are written later. A
concurrent erasure would not find what they write afterwards, so it could not say that nothing is
left. When a process dies, its lock is released, whatever the cause. The lock is flock(2) on a file
in the folder of a store with SQLite, and an advisory lock of the database if the catalogue is in
PostgreSQL, whose writers may be on several machines.

A run is noted while it writes, and if its process was killed, it is marked by the next one that
opens the store. Facts and coverage are written every few seconds. What a killed process had in
memory is lost, and its amount is unknown. So its captures are `partial`, and the time from its last
facts on counts as incomplete, and so do the ten minutes before it, since open flows are in memory.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import give_to_owner, restrict
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, lock
from netwatch.core.text import escaped, quantity
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue, FileRow
from netwatch.store.claims import without_flows
from netwatch.store.database import Database, open_database, server_url
from netwatch.store.erasing import vacuum
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import FORMAT_KEY, FactRemoval, rows_in
from netwatch.store.flow_rows import FlowNames, new_key
from netwatch.store.hour_counting import fill_hours, fill_traffic
from netwatch.store.hour_rows import UNSEEN, LossCounter, add_losses
from netwatch.store.options import StoreOptions
from netwatch.store.tables import FORMAT_VERSION, NAMED_SINCE, TRAFFIC_SINCE

HOURS_SINCE = 6
"""The version of the tables with hours; they are counted from the facts of an older store."""

WAIT = 3600.0
"""How long to wait for another process that does the same, in s."""

_BEGINS = 1.0
"""How long another process may take, from its lock to its key and from its last file to the end of
the lock, in s."""

_POLL = 0.2

NAME = "use.lock"
"""The file of the lock, in the folder of a store."""

_ADVISORY_LOCK = 0x6E657477_65726173
"""The number of the lock in PostgreSQL: netweras."""

_RUN_LOCKS = 0x6E657477
"""The first number of the locks of runs in PostgreSQL: netw. The second one is the run's."""

_IN_USE = (
    "a run is writing to the store, and has rows and incidents in memory that an erasure cannot"
    " reach: stop live (or wait for scan and names to end), erase again, and start it"
)
_ERASING = "a person is being erased from the store: start again when that has ended"


def open_catalogue(options: StoreOptions, *, create: bool = False) -> Catalogue:
    """Open the catalogue of a store, and create it if `create` is set. Raises `ConfigError` for an
    unsuitable place, and `NetwatchError` if there is none or it cannot be opened, and if files of
    an older netwatch cannot be rewritten now."""
    catalogue = Catalogue(open_database(options, create=create))
    try:
        if _has_older_files(catalogue):
            rename_flows(catalogue, options)
        migrated_from = catalogue.database.migrated_from
        if migrated_from is not None and migrated_from < HOURS_SINCE:
            fill_hours(catalogue, FactFiles(options.path))
        written = _format(catalogue)
        if written < TRAFFIC_SINCE:
            fill_traffic(catalogue, FactFiles(options.path), _say_damaged)
        if written < FORMAT_VERSION:
            with catalogue.database.writing() as connection:
                connection.execute(update(tables.store).values(format=FORMAT_VERSION))
    except BaseException:
        catalogue.close()
        raise
    return catalogue


def _has_older_files(catalogue: Catalogue) -> bool:
    """Whether files of facts may be from an older netwatch, so that their flows must be renamed."""
    return _format(catalogue) < NAMED_SINCE


def _format(catalogue: Catalogue) -> int:
    with catalogue.database.reading() as connection:
        return int(connection.execute(select(tables.store.c.format)).scalar_one())


def rename_flows(catalogue: Catalogue, options: StoreOptions) -> int:
    """Rename the flows in all files of an older format; returns how many files were rewritten.
    Raises `NetwatchError` if a file cannot be read or written now, and if another process writes to
    the store; the next call continues."""
    with _alone(catalogue, options) as is_needed:
        if not is_needed:
            return 0
        facts = FactRemoval(catalogue, FactFiles(options.path))
        facts.remove_retired()
        names, written = FlowNames(_key(catalogue)), 0
        looked_at = set[str]()
        while files := [file for file in facts.all_files() if file.path not in looked_at]:
            if not looked_at:
                _say(f"{options.path}: numbers of flows, from which the ends of a flow could be"
                     f" found, are replaced in {quantity(len(files), 'file')}")  # fmt: skip
            for file in files:
                looked_at.add(file.path)
                written += _rename(facts, file, names)
        _finish(catalogue)
        if problem := vacuum(catalogue.database.engine, (tables.store,)):
            _say(problem)
    return written


@contextmanager
def _alone(catalogue: Catalogue, options: StoreOptions) -> Iterator[bool]:
    """Lock the store exclusively; returns whether there is still something to do."""
    now = time.monotonic()
    until, begins = now + WAIT, now + _BEGINS
    while _has_older_files(catalogue):
        try:
            lock = UseLock(options, exclusive=True)
        except InUseError:
            now = time.monotonic()
            if _stored_key(catalogue) is not None:
                # A process that renames has a key; one that only writes has none.
                begins = min(now + _BEGINS, until)
            if now > begins:
                raise NetwatchError(
                    f"{options.path}: was written by an older netwatch, its files have to be"
                    " rewritten, and another process is writing to it; stop live, scan and the"
                    " centre, and start again"
                ) from None
            time.sleep(_POLL)
            continue
        with lock:
            yield _has_older_files(catalogue)
            return
    yield False


def _stored_key(catalogue: Catalogue) -> bytes | None:
    with catalogue.database.reading() as connection:
        key: bytes | None = connection.execute(select(tables.store.c.flow_key)).scalar_one()
    return key


def _key(catalogue: Catalogue) -> bytes:
    """The key of the names, which is created if there is none yet."""
    key = _stored_key(catalogue)
    if key is None:
        key = new_key()
        with catalogue.database.writing() as connection:
            connection.execute(update(tables.store).values(flow_key=key))
    return key


def _rename(facts: FactRemoval, file: FileRow, names: FlowNames) -> bool:
    """Rewrite a file, if it has an older format."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with facts.files.open(file.path) as stream:
            content = pa.py_buffer(stream.read())
    except NetwatchError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        _say(f"{file.path} is missing: netwatch store verify")
        return False
    try:
        version = parquet.read_schema(pa.BufferReader(content)).metadata[FORMAT_KEY.encode()]
        if int(version) >= NAMED_SINCE:
            return False
        rows = rows_in(pa.BufferReader(content), file)
    except (pa.ArrowException, OSError, TypeError, KeyError, ValueError) as error:
        _say(f"{file.path}: is damaged, and stays as it is: {error}: netwatch store verify")
        return False
    rows = without_flows(rows) if file.table == "claim" else names.renamed(rows)
    return facts.replace(file, rows)


def _finish(catalogue: Catalogue) -> None:
    """All files have named flows: forget the key."""
    with catalogue.database.writing() as connection:
        connection.execute(update(tables.store).values(format=NAMED_SINCE, flow_key=None))


def _say_damaged(error: NetwatchError) -> None:
    _say(f"{error}; when traffic was seen there stays unknown: netwatch store verify")


def _say(text: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"netwatch: {escaped(text)}\n")


class InUseError(NetwatchError):
    """The lock is held by others in a conflicting mode; the text says what to do."""


class UseLock:
    """The lock of a store, until it is closed; a context manager. An `exclusive` one is for an
    erasure. Raises `InUseError` if it is held in a conflicting mode, and `NetwatchError` if it
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
        """Show others that a process writes a run, until this lock is closed; there may be several.
        Raises `NetwatchError`."""
        if self._connection is not None:
            self._database_run("pg_advisory_lock_shared", run)
            return
        self._runs.append(self._open_run(run))
        try:
            lock(self._runs[-1], exclusive=False)
        except OSError as error:
            raise NetwatchError(f"{self._folder}: a run cannot be locked: {error}") from None

    def ended_run(self, run: int) -> None:
        """A run that was held is over, and nobody will check it any more."""
        if self._connection is None:
            with suppress(OSError):
                (self._folder / _run_name(run)).unlink(missing_ok=True)

    def is_written(self, run: int) -> bool:
        """Whether any process writes a run now. If none does, its mark is removed. Raises
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
            # The server notices a closed connection, but not at once.
            with suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
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
