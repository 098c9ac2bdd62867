"""The file of the outbox: its tables, opening it, and setting it aside if it is damaged.

It is an SQLite database in WAL mode. Every connection is opened here; `outbox` works with them.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netwatch.core.errors import NetwatchError

FILE = "outbox.sqlite"
"""The name of the database in the folder of the outbox."""

VERSION = 1
"""The version of the tables below, stored as SQLite's ``user_version``."""

_TABLES = """
CREATE TABLE alert (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    time REAL NOT NULL,
    verdict INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    output TEXT,
    record TEXT NOT NULL
);
CREATE TABLE output (
    name TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    format TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    configured INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    retried INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'idle',
    reason TEXT NOT NULL DEFAULT '',
    last_sent REAL
);
"""
_MAX_WAL_BYTES = 4 << 20
_CHECKPOINT_PAGES = 250


class DamagedError(NetwatchError):
    """The file exists but is not a valid database."""


def open_database(
    folder: Path, *, create: bool, durable: bool, busy_timeout: float
) -> sqlite3.Connection:
    """Connect to the outbox in `folder`, which is created if `create` is set.

    With `durable`, a commit survives a power failure. `busy_timeout` is how long to wait for
    another writer, in s. Raises `DamagedError`, or `NetwatchError` if there is no outbox or it
    cannot be opened."""
    path = folder / FILE
    try:
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        elif not path.exists():
            raise NetwatchError(f"{folder} has no outbox: nothing was delivered from there yet")
        database = sqlite3.connect(
            path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NetwatchError(f"the outbox in {folder} cannot be opened: {reason}") from None
    try:
        _prepare(database, path, durable)
    except sqlite3.Error as error:
        database.close()
        damaged = error.sqlite_errorname in ("SQLITE_NOTADB", "SQLITE_CORRUPT")
        error_type = DamagedError if damaged else NetwatchError
        raise error_type(f"the outbox in {folder} cannot be opened: {error}") from None
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path, durable: bool) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    database.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
    database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    if _version(database) == VERSION:
        return
    with transaction(database):
        version = _version(database)
        if version == 0:
            for statement in _TABLES.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise NetwatchError(f"{path} was written by another version of netwatch")


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """A write transaction, which an exception rolls back."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # On a full disk SQLite may have rolled back already.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def set_aside(folder: Path, now: float) -> Path:
    """Rename a damaged database with its auxiliary files, so that a new one can be created. Returns
    its new path."""
    path = folder / FILE
    aside = path.with_name(f"{FILE}.damaged-{int(now)}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(FILE + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
