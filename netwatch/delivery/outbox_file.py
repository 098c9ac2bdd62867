"""The files of the outbox: its folder; the locks, by which one process at a time delivers from it;
and the database, with what each output has delivered, and how long other alerts have waited.

The database is SQLite in WAL mode, see `netwatch.core.owned_database`. Every connection is opened
here; `outbox` works with them.

Other processes may add alerts to the outbox. One of them takes over when the delivering process
ends, however it ends, because the kernel then releases its lock. To replace a damaged outbox, the
delivering process waits until no other process has it open.

For delivered alerts the outbox stores a digest of the output's name and the alert's key, so that
``scan --deliver --once`` leaves them out. The key depends on the whole content of an alert, so an
incident with new information is sent again. The oldest digests are forgotten first: then a repeat
is sent.

The wall clock may jump by weeks. So an outbox has a clock of its own, which advances with the
seconds since the boot (CLOCK_BOOTTIME, clock_gettime(2)) while a process has the outbox open, and
between two processes of the same boot. Time without power does not count, since only the wall clock
measures it. So an age may be too low, but never too high.
"""

import hashlib
import os
import secrets
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from netwatch.core import owned_database
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import DamagedFileError, FileKind
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, lock
from netwatch.core.system.kernel import steady_seconds
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
"""How to recognise the file, and its tables, which the docstring of the module explains."""

_MAX_WAL_BYTES = 4 << 20
_CHECKPOINT_PAGES = 250

MAX_DELIVERED = 200_000
"""Delivered alerts that an outbox remembers, for all outputs together."""

_BYTES_EACH = 80
_SHARE = 8

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNKNOWN_BOOT = f"unknown, process {secrets.token_hex(8)}"
_SAVE_INTERVAL = 60.0

LOCK_FILE = "lock"
"""The name of the lock file in the folder of the outbox."""

USE_FILE = "lock.use"
"""The name of the file that every process with an open outbox locks, shared."""


def prepare_folder(folder: Path) -> None:
    """Create the folder of the outbox, for its owner only, if it is absent. Raises
    `NetwatchError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NetwatchError(f"{folder}: cannot be created: {error.strerror}") from None


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
    """Connect to the outbox in `folder`, creating it if `create` is set.

    With `durable`, a commit survives a power failure. `busy_timeout` is how long to wait for
    another writer, in s. Raises `ForeignFileError` for a file that does not belong to netwatch,
    `DamagedFileError`, and `NetwatchError` if there is no outbox or it cannot be opened.
    """
    path = folder / FILE
    condition = owned_database.identify(path, KIND)
    if condition == "damaged":
        raise DamagedFileError(
            f"the first page of {path} is damaged; the next delivery replaces it"
        )
    try:
        if condition == "missing":
            if not create:
                raise NetwatchError(f"{folder}: has no outbox")
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


def limit_for(max_bytes: int) -> int:
    """How many to remember in an outbox of this size: they use at most an eighth of it."""
    return min(MAX_DELIVERED, max_bytes // _SHARE // _BYTES_EACH)


def is_delivered(database: sqlite3.Connection, output: str, key: str) -> bool:
    """Whether this output is known to have delivered the alert."""
    query = "SELECT 1 FROM delivered WHERE digest = ?"
    return database.execute(query, (_digest(output, key),)).fetchone() is not None


def remember(database: sqlite3.Connection, output: str, keys: Sequence[str], limit: int) -> int:
    """Note alerts that an output has delivered. Returns how many it had delivered before."""
    before = database.total_changes
    database.executemany(
        "INSERT OR IGNORE INTO delivered (digest) VALUES (?)",
        [(_digest(output, key),) for key in keys],
    )
    new = database.total_changes - before
    if new:
        database.execute(
            "DELETE FROM delivered WHERE number <= (SELECT max(number) FROM delivered) - ?",
            (limit,),
        )
    return len(keys) - new


def forget(database: sqlite3.Connection, output: str, keys: Sequence[str]) -> None:
    """Forget that an output has delivered these alerts."""
    database.executemany(
        "DELETE FROM delivered WHERE digest = ?", [(_digest(output, key),) for key in keys]
    )


def _digest(output: str, key: str) -> bytes:
    return hashlib.sha256(f"{output}\0{key}".encode()).digest()[:16]


def boot_id() -> str:
    """Identifies this boot of this machine, or this process if the boot is unknown: a sandbox may
    hide it."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or _UNKNOWN_BOOT
    except (OSError, ValueError):
        return _UNKNOWN_BOOT


class AgeClock:
    """The clock of an outbox, on the connection `database`. Raises `sqlite3.Error`, and
    `DamagedFileError` if the file has no time in its place."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._boot = boot_id()
        row = database.execute("SELECT boot, steady, age FROM clock").fetchone()
        steady, age = steady_seconds(), 0.0
        if row is not None:
            boot, last_steady, age = row
            if not isinstance(age, float) or not isinstance(last_steady, float):
                raise DamagedFileError("the clock of the outbox is no number")
            if boot == self._boot:
                age += max(0.0, steady - last_steady)
        self._offset = age - steady
        self._saved = age if row is not None else float("-inf")

    def now(self) -> float:
        """The time of this clock, in s."""
        return self._offset + steady_seconds()

    def save(self) -> None:
        """Store the time for the next process, at most once a minute."""
        now = self.now()
        if now - self._saved < _SAVE_INTERVAL:
            return
        self._database.execute(
            "INSERT INTO clock (id, boot, steady, age) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO"
            " UPDATE SET boot = excluded.boot, steady = excluded.steady, age = excluded.age WHERE"
            " age <= excluded.age",
            (self._boot, steady_seconds(), now),
        )
        self._saved = now


def lock_use(folder: Path) -> int:
    """Note that the outbox in `folder` is open. Returns a descriptor, to be closed afterwards.
    Raises `NetwatchError` while the outbox is being replaced."""
    return _lock_now(folder, "it is being replaced")


@contextmanager
def unused(folder: Path) -> Iterator[None]:
    """A context within which no process has the outbox in `folder` open. Raises `NetwatchError` if
    one has."""
    descriptor = _lock_now(folder, "it is open in another process", exclusive=True)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_now(folder: Path, taken: str, *, exclusive: bool = False) -> int:
    path = folder / USE_FILE
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o600)
        try:
            lock(descriptor, exclusive=exclusive)
        except BaseException:
            os.close(descriptor)
            raise
    except BlockingIOError:
        raise NetwatchError(f"the outbox in {folder} cannot be opened: {taken}") from None
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be locked: {error.strerror}") from None
    return descriptor


class DeliveryLock:
    """The exclusive right to deliver from the outbox in `folder`, shared by all threads of a
    process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._descriptor: int | None = None
        self._mutex = threading.Lock()

    @property
    def is_held(self) -> bool:
        """Whether this process has the lock."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock unless another process has it; returns whether this process has it now.
        Raises OSError."""
        with self._mutex:
            if self._descriptor is not None:
                return True
            flags = os.O_CREAT | os.O_RDWR | O_CLOEXEC | O_NOFOLLOW
            descriptor = os.open(self._path, flags, 0o600)
            try:
                lock(descriptor, exclusive=True)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            return True

    def is_free(self) -> bool:
        """Whether no process has the lock. Raises OSError."""
        if self._descriptor is not None:
            return False
        try:
            descriptor = os.open(self._path, os.O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        except FileNotFoundError:
            return True
        try:
            lock(descriptor, exclusive=False)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Release the lock if this process has it."""
        with self._mutex:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
