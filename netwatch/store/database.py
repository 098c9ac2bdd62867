"""Opens the database of a catalogue: an SQLite file in the folder of the store, or PostgreSQL.

The SQLite file is one that netwatch owns (`netwatch.core.owned_database`): a file of another
program in its place is not touched. In PostgreSQL the tables are created in an empty schema; if
there are other tables, nothing is created. Several processes may create and use the same catalogue
at once: writers of SQLite wait for each other, PostgreSQL writers only while they allocate numbers
(an advisory lock).
"""

import contextlib
import os
import sqlite3
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

from netwatch.core import owned_database
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.installing import install_command
from netwatch.core.owned_database import FileKind, OtherVersionError
from netwatch.core.private_files import give_to_owner
from netwatch.core.system.files import user_id
from netwatch.core.text import escaped
from netwatch.store import catalogue_tables as tables
from netwatch.store import migrations
from netwatch.store.options import StoreOptions
from netwatch.store.tables import FACTS, FORMAT_VERSION

FILE = "catalogue.sqlite"
"""The name of the SQLite database in the folder of the store."""

FOLDER_MODE = 0o700
"""Permissions of the folder of a store."""

BUSY_TIMEOUT = 30.0
"""How long to wait for another writer of an SQLite catalogue, in s."""

CACHE_KB = 65_536
"""Memory for pages of an SQLite catalogue that gets many rows, in KB."""

LOG_PAGES = 16_000
"""Pages in the log of such a catalogue until they are copied into the file; 64 MB."""

_STEPS = 10_000  # steps of SQLite's virtual machine between two looks at the clock
_ADVISORY_LOCK = 0x6E77_7374  # "nwst"
_WRITES = {"netwatch_writes": True}


def create_statements(metadata: MetaData) -> str:
    """The statements that create tables in SQLite, separated by semicolons."""
    dialect = sqlite_dialect.dialect()
    statements: list[str] = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
    return ";".join(statements)


KIND = FileKind(
    "catalogue", 0x4E577374, tables.SCHEMA_VERSION, create_statements(tables.metadata)
)  # "NWst"
"""How to recognise the SQLite file of a catalogue, and its tables."""


class QueryTimeoutError(NetwatchError):
    """A query took longer than allowed."""


class ConflictError(NetwatchError):
    """Transactions were in conflict; this one can be tried again."""


class Database:
    """The database of a catalogue, for one process. A process that was forked opens its own."""

    def __init__(self, engine: Engine, place: str, what: str = "the catalogue") -> None:
        self.engine = engine
        self.place = place
        # The previous version of the tables, if this process has migrated them.
        self.migrated_from: int | None = None
        self._what = what
        self._writing = engine.execution_options(**_WRITES)
        self._is_postgres = engine.dialect.name == "postgresql"
        # Each statement of a transaction of PostgreSQL would read a state of its own.
        one_state = {"isolation_level": "REPEATABLE READ"} if self._is_postgres else {}
        self._reading = engine.execution_options(**one_state)
        self._joined = threading.local()

    @contextmanager
    def reading(self, timeout: float | None = None) -> Iterator[Connection]:
        """A transaction that reads one state of the catalogue. Raises `NetwatchError`, and
        `QueryTimeoutError` for a query that takes longer than `timeout` s."""
        with self._errors(), self._reading.connect() as connection, connection.begin():
            if timeout is None:
                yield connection
            else:
                with self._limit(connection, timeout):
                    yield connection

    @contextmanager
    def _limit(self, connection: Connection, timeout: float) -> Iterator[None]:
        """Interrupt the statement on a connection after a time."""
        if self._is_postgres:
            # SET takes no parameters; the setting ends with the transaction.
            limit = f"SET LOCAL statement_timeout = {max(1, int(timeout * 1000))}"
            connection.exec_driver_sql(limit)
            yield
            return
        end = time.monotonic() + timeout
        database = connection.connection.driver_connection
        assert database is not None
        database.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            yield
        finally:
            database.set_progress_handler(None, _STEPS)

    @contextmanager
    def writing(self, *, numbers: bool = False) -> Iterator[Connection]:
        """A transaction that writes; with `numbers`, no other writer allocates numbers meanwhile.
        It is a part of that of `together` where there is one. Raises `NetwatchError`."""
        joined: Connection | None = getattr(self._joined, "connection", None)
        begun = self._writing.begin() if joined is None else contextlib.nullcontext(joined)
        with self._errors(), begun as connection:
            if numbers:
                self.lock(connection)
            yield connection

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction of all that this thread writes meanwhile: it is there as a whole, or
        nothing of it. Other writers of SQLite wait for its end. Raises `NetwatchError`."""
        with self.writing(numbers=True) as connection:
            outer = getattr(self._joined, "connection", None)
            self._joined.connection = connection
            try:
                yield
            finally:
                self._joined.connection = outer

    def lock(self, connection: Connection) -> None:
        """Keep out other writers that do the same until the end of the transaction. SQLite has one
        writer at a time anyway."""
        if self._is_postgres:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))

    def lock_shared(self, connection: Connection) -> None:
        """Keep out writers that `lock`, but not others that do this as well."""
        if self._is_postgres:
            connection.execute(text(f"SELECT pg_advisory_xact_lock_shared({_ADVISORY_LOCK})"))

    def expect_many_rows(self) -> None:
        """Let SQLite connections opened from now on use more memory: rows of alerts have random
        keys, so their indexes are written all over. PostgreSQL has its own."""
        if not self._is_postgres:
            self.engine.dispose()
            event.listen(self.engine, "connect", _enlarge)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            kind = _KINDS.get(_code(error), NetwatchError)
            raise kind(f"{self._what} {self.place}: {_reason(error)}") from error


_KINDS: dict[int | str | None, type[NetwatchError]] = {
    sqlite3.SQLITE_INTERRUPT: QueryTimeoutError,
    "57014": QueryTimeoutError,
    "40P01": ConflictError,  # a deadlock, which PostgreSQL ended
}


def _code(error: SQLAlchemyError) -> int | str | None:
    """The database's code for an error, a number or SQLSTATE; None if the error is not the
    database's."""
    if not isinstance(error, DBAPIError):
        return None
    code: int | str | None = getattr(
        error.orig, "sqlite_errorcode", getattr(error.orig, "sqlstate", None)
    )
    return code


def _reason(error: BaseException) -> str:
    """The text of a database error, on one line."""
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig
    return " ".join(str(cause).split())


def open_database(options: StoreOptions, *, create: bool, migrate: bool = True) -> Database:
    """Open the database of a catalogue, create it if `create` is set, and migrate it if it is
    older, unless `migrate` is False. Raises `ConfigError` for an unsuitable place or a version that
    cannot be read, and `NetwatchError` if there is none or it cannot be opened."""
    if options.catalogue:
        return _open_server(options.catalogue, options.path, create=create, migrate=migrate)
    if "://" in options.path:
        raise ConfigError([Problem(options.shown, 0, 0, "a store at a URL needs the key"
                                   " `catalogue`: the URL of a database,"
                                   " postgresql://…")])  # fmt: skip
    return _open_file(Path(options.path), create=create, migrate=migrate)


def _open_file(folder: Path, *, create: bool, migrate: bool) -> Database:
    path = folder / FILE
    place = str(path)
    try:
        if create:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            _close_to_others(folder)
        kind = _kind_at(path)
        condition = owned_database.identify(path, kind)
        if condition == "damaged":
            raise NetwatchError(f"{path}: is damaged; restore a backup with 'netwatch restore'")
        if condition == "missing":
            if not create:
                raise NetwatchError(
                    f"{folder}: there is no store; 'netwatch scan --store' creates one"
                )
            owned_database.create(path, KIND, _fill)
            give_to_owner(path, folder)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NetwatchError(f"{path}: the catalogue cannot be opened: {reason}") from None
    database = Database(file_engine(path), place)
    if kind.version != KIND.version and migrate:
        _migrate(database)
    return database


def _close_to_others(folder: Path) -> None:
    """Remove other users' permissions from a folder that contains only the store: it was created
    with those that the umask left. A folder with anything else, such as a home, is not the
    store's."""
    status = folder.stat()
    if not status.st_mode & 0o077 or (user_id() not in (0, status.st_uid)):
        return
    ours = (FILE, "use.lock", *FACTS)
    if all(name.startswith(ours) for name in os.listdir(folder)):  # noqa: PTH208 - names alone
        with contextlib.suppress(OSError):  # a file system without permissions
            folder.chmod(FOLDER_MODE)


def file_engine(path: Path) -> Engine:
    """The engine of a recognised SQLite file, whose transactions `Database` begins."""
    engine = create_engine(
        "sqlite://", creator=lambda: _connect(path), poolclass=QueuePool, pool_size=2
    )
    event.listen(engine, "begin", _begin)
    return engine


def _kind_at(path: Path) -> FileKind:
    """The kind of file that a catalogue at `path` is, with its version. Raises `ConfigError` for
    versions that cannot be read."""
    try:
        owned_database.identify(path, KIND)
    except OtherVersionError as error:
        migrations.refuse_unknown(error.version, str(path))
        return replace(KIND, version=error.version)
    return KIND


def _fill(database: sqlite3.Connection) -> None:
    row = _store_row()
    database.execute(
        "INSERT INTO store (id, schema, format, created) VALUES (:id, :schema, :format, :created)",
        row,
    )


def _store_row() -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "schema": tables.SCHEMA_VERSION,
        "format": FORMAT_VERSION,
        "created": time.time_ns(),
    }


def _connect(path: Path) -> sqlite3.Connection:
    database = owned_database.connect(path, BUSY_TIMEOUT)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        # Erased data must not remain in free pages.
        database.execute("PRAGMA secure_delete = ON")
    except BaseException:
        database.close()
        raise
    return database


def _enlarge(database: Any, _: Any) -> None:
    database.execute(f"PRAGMA cache_size = -{CACHE_KB}")
    database.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")


def _begin(connection: Connection) -> None:
    """Begin an SQLite transaction. One that will write takes the lock at once: waiting for it
    later, after reading rows that another writer has changed, would fail."""
    writes = connection.get_execution_options().get("netwatch_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(database: Database) -> None:
    """Upgrade an older catalogue to the present version."""
    with database.writing(numbers=True) as connection:
        schema = connection.execute(select(tables.store.c.schema)).scalar_one()
        migrations.migrate(connection, schema, database.place)
        database.migrated_from = schema
        if database.engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA user_version = {tables.SCHEMA_VERSION}")
    if schema < tables.SCHEMA_VERSION and sys.stderr is not None:
        text = (
            f"netwatch: {database.place} was written by an older netwatch and is up to date now:"
            f" schema {schema} became {tables.SCHEMA_VERSION} ('netwatch store upgrade' asks first)"
        )
        sys.stderr.write(f"{escaped(text)}\n")


def server_url(url: str) -> URL:
    """The URL of a catalogue in PostgreSQL, with its driver. Raises `ConfigError`."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise ConfigError([Problem(url.partition("://")[0], 0, 0, "expected the URL of a catalogue:"
                                   " postgresql://USER@HOST/DATABASE")])  # fmt: skip
    return parsed.set(drivername="postgresql+psycopg")


def _open_server(url: str, path: str, *, create: bool, migrate: bool) -> Database:
    parsed = server_url(url)
    place = parsed.set(drivername="postgresql").render_as_string(hide_password=True)
    try:
        engine = create_engine(parsed, pool_size=2, pool_pre_ping=True)
    except ImportError:
        raise ConfigError([Problem(place, 0, 0, "a catalogue in PostgreSQL needs an extra:"
                                   f" {install_command('postgres')}")]) from None  # fmt: skip
    database = Database(engine, place)
    try:
        _prepare_server(database, path, create=create, migrate=migrate)
    except BaseException:
        database.close()
        raise
    return database


def _prepare_server(database: Database, path: str, *, create: bool, migrate: bool) -> None:
    """Create or migrate the tables in PostgreSQL."""
    with database.writing(numbers=True) as connection:
        found = set(inspect(connection).get_table_names())
        if found and not {"store", "capture", "client", "file"} <= found:
            raise ConfigError([Problem(database.place, 0, 0, "has tables of another program and was"
                                       " left as it is; expected an empty database or a catalogue"
                                       " of netwatch")])  # fmt: skip
        if found:
            schema = connection.execute(select(tables.store.c.schema)).scalar_one()
        elif create:
            tables.metadata.create_all(connection)
            connection.execute(insert(tables.store).values(_store_row()))
            return
        else:
            raise NetwatchError(f"{path}: there is no store; 'netwatch scan --store' creates one")
    if not migrate:
        migrations.refuse_unknown(schema, database.place)
    elif schema != tables.SCHEMA_VERSION:
        _migrate(database)
