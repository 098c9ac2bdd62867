"""The file of the outbox: its folder, its tables, and connections to it.

It is an SQLite database in WAL mode, see `netwatch.core.owned_database`. Every connection is opened
here; `outbox` works with them.
"""

import sqlite3
import stat
from pathlib import Path

from netwatch.core import owned_database
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import DamagedFileError, FileKind
from netwatch.delivery import deferred

FILE = "outbox.sqlite"
"""The name of the database in the folder of the outbox."""

KIND = FileKind(
    "outbox",
    0x4E576F62,  # "NWob"
    2,
    """
CREATE TABLE alert (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL CHECK (typeof(key) = 'text'),
    stored REAL NOT NULL CHECK (typeof(stored) = 'real'),
    verdict INTEGER NOT NULL CHECK (typeof(verdict) = 'integer'),
    severity INTEGER NOT NULL CHECK (typeof(severity) = 'integer'),
    output TEXT,
    once INTEGER NOT NULL CHECK (once IN (0, 1)),
    record TEXT NOT NULL
);
CREATE TABLE output (
    name TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    format TEXT NOT NULL,
    verdict INTEGER NOT NULL CHECK (typeof(verdict) = 'integer'),
    severity INTEGER NOT NULL CHECK (typeof(severity) = 'integer'),
    cursor INTEGER NOT NULL CHECK (typeof(cursor) = 'integer'),
    configured INTEGER NOT NULL CHECK (configured IN (0, 1)),
    sent INTEGER NOT NULL DEFAULT 0 CHECK (typeof(sent) = 'integer'),
    retried INTEGER NOT NULL DEFAULT 0 CHECK (typeof(retried) = 'integer'),
    dead INTEGER NOT NULL DEFAULT 0 CHECK (typeof(dead) = 'integer'),
    dropped INTEGER NOT NULL DEFAULT 0 CHECK (typeof(dropped) = 'integer'),
    repeated INTEGER NOT NULL DEFAULT 0 CHECK (typeof(repeated) = 'integer'),
    skipped INTEGER NOT NULL DEFAULT 0 CHECK (typeof(skipped) = 'integer'),
    state TEXT NOT NULL DEFAULT 'idle' CHECK (typeof(state) = 'text'),
    reason TEXT NOT NULL DEFAULT '' CHECK (typeof(reason) = 'text'),
    last_sent REAL CHECK (last_sent IS NULL OR typeof(last_sent) = 'real')
);
CREATE TABLE delivered (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE
);
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot TEXT NOT NULL,
    steady REAL NOT NULL CHECK (typeof(steady) = 'real'),
    age REAL NOT NULL CHECK (typeof(age) = 'real')
);"""
    + deferred.TABLES,
)
"""How the file is recognised, and its tables. ``stored`` and ``clock`` are explained in
`netwatch.delivery.age_clock`, ``delivered`` in `netwatch.delivery.delivered`."""

_MAX_WAL_BYTES = 4 << 20
_CHECKPOINT_PAGES = 250


def prepare_folder(folder: Path) -> None:
    """Create the folder of the outbox, for its owner only, if it is absent. Raises
    `NetwatchError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NetwatchError(f"{folder} cannot be created: {error.strerror}") from None


def folder_warning(folder: Path) -> str:
    """Why other users can tamper with the outbox in a folder; empty if they cannot."""
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return ""
    if not mode & (stat.S_IWGRP | stat.S_IWOTH):
        return ""
    return (
        f"{folder} has mode {mode:04o}, so other users can replace or remove the outbox and its"
        f" dead letters: chmod 700 {folder}"
    )


def open_database(
    folder: Path, *, create: bool, durable: bool, busy_timeout: float
) -> sqlite3.Connection:
    """Connect to the outbox in `folder`, where it is created if `create` is set.

    With `durable`, a commit survives a power failure. `busy_timeout` is how long to wait for
    another writer, in s. Raises `ForeignFileError` for a file that is none of netwatch,
    `DamagedFileError`, and `NetwatchError` if there is no outbox or it cannot be opened."""
    path = folder / FILE
    condition = owned_database.identify(path, KIND)
    if condition == "damaged":
        raise DamagedFileError(
            f"the first page of {path} is damaged; the next delivery replaces it"
        )
    try:
        if condition == "missing":
            if not create:
                raise NetwatchError(f"{folder} has no outbox")
            owned_database.create(path, KIND)
        database = owned_database.connect(path, busy_timeout)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            database.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
            database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        except BaseException:
            database.close()
            raise
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        error_type = DamagedFileError if owned_database.is_damage(error) else NetwatchError
        raise error_type(f"the outbox in {folder} cannot be opened: {reason}") from None
    return database
