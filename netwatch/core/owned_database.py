"""SQLite files that netwatch owns: recognised before they are opened, created complete.

A path that a user gives can lead to a file of another program. So each kind of file has an
``application_id`` and a schema version (``user_version``; SQLite file format, sections 1.3.16 and
1.3.17), and a mark on its second page, by which it is recognised if the first one is damaged.
`identify` reads these bytes, and SQLite never opens a file without them.

A file is created under a temporary name and then linked to its final one, so it is complete
whenever netwatch is killed.

Two properties of SQLite matter. A process that closes a file loses the locks of its connections to
it, so `identify` does not open a file with connections. And a connection removes the write-ahead
log by its path when it is closed, so no file may be renamed while it has any.
"""

import errno
import os
import sqlite3
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, is_root, sync_folder, user_id

PAGE_SIZE = 4096
"""Bytes in a page of every file."""

MAX_SET_ASIDE = 16
"""Damaged files next to each other, at most; then no more are set aside until some are removed."""

_MAGIC = b"SQLite format 3\0"
_VERSION_AT, _APPLICATION_ID_AT = 60, 68
_SUFFIXES = ("-wal", "-shm", "-journal")

_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        # The tables or their content are not what netwatch wrote.
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
    }
)
_UNREADABLE = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ})


class ForeignFileError(ConfigError):
    """A file that does not belong to netwatch, or is of another kind or version; it was not
    touched."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__([Problem(str(path), 0, 0, reason)])


class OtherVersionError(ForeignFileError):
    """A file of this kind has the schema of another `version` of netwatch."""

    def __init__(self, path: Path, kind: "FileKind", version: int) -> None:
        super().__init__(
            path, f"{_with_article(kind.name)} of another version of netwatch (schema {version},"
            f" expected {kind.version})"
        )  # fmt: skip
        self.version = version


class DamagedFileError(NetwatchError):
    """A file of netwatch is not as netwatch wrote it."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: its name in messages, its ``application_id``, the `version` of its schema,
    and the statements that create its `tables`, separated by semicolons."""

    name: str
    application_id: int
    version: int
    tables: str

    @property
    def mark(self) -> str:
        """The mark on the second page of each such file."""
        return f"netwatch {self.name} {self.application_id:08x}: owned by netwatch"


Condition = Literal["missing", "own", "damaged"]


def identify(path: Path, kind: FileKind) -> Condition:
    """Whether there is a file of this kind at `path`; ``damaged`` if its first page is. Nothing is
    written. Raises `ForeignFileError` for anything else, including a symbolic link, and
    `NetwatchError` if the file cannot be read."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        _refuse_leftovers(path)
        return "missing"
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be opened: {error.strerror}") from None
    _refuse_other_owners(path, status)
    with _connections.mutex:
        if _connections.has(status):
            return "own"
        head = _read_head(path)
    for suffix in _SUFFIXES:
        beside = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            _refuse_other_owners(beside, beside.lstat())
    return _condition(path, head, kind)


def _read_head(path: Path) -> bytes:
    """The first two pages of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(2 * PAGE_SIZE)
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be read: {error.strerror}") from None


def _condition(path: Path, head: bytes, kind: FileKind) -> Condition:
    """The condition of a file that begins with these two pages."""
    is_database = head.startswith(_MAGIC)
    application_id = int.from_bytes(head[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big")
    if application_id != kind.application_id:
        if kind.mark.encode() in head[PAGE_SIZE:]:
            return "damaged"
        what = "an SQLite database of another program" if is_database else "another file"
        raise ForeignFileError(
            path, f"is {what} and was left as it is; expected a file that is absent or that"
            f" netwatch has created as {_with_article(kind.name)}"
        )  # fmt: skip
    if not is_database:
        return "damaged"
    version = int.from_bytes(head[_VERSION_AT : _VERSION_AT + 4], "big")
    if version != kind.version:
        raise OtherVersionError(path, kind, version)
    return "own"


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _refuse_other_owners(path: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise ForeignFileError(path, "is a symbolic link, which netwatch does not follow here")
    if not stat.S_ISREG(status.st_mode):
        raise ForeignFileError(path, "is not a regular file")
    if not is_root() and status.st_uid not in (user_id(), 0):
        raise ForeignFileError(path, f"belongs to another user (uid {status.st_uid})")


def _refuse_leftovers(path: Path) -> None:
    """SQLite would apply the log of a deleted database to the new one."""
    for suffix in ("-wal", "-journal"):
        beside = path.with_name(path.name + suffix)
        if os.path.lexists(beside):
            raise ForeignFileError(beside, f"belongs to a database that is gone: remove it, or"
                                   f" put {path.name} back")  # fmt: skip


def create(
    path: Path, kind: FileKind, fill: Callable[[sqlite3.Connection], None] = lambda _: None
) -> None:
    """Create a file of this kind for its owner only, unless there is a file at `path`. `fill` may
    write rows into it first. Raises `OSError` and `sqlite3.Error`."""
    descriptor, temporary = tempfile.mkstemp(prefix=temporary_prefix(path), dir=path.parent)
    os.close(descriptor)
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            database.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            with transaction(database):
                # The first table that is created gets the second page.
                database.execute("CREATE TABLE owner (mark TEXT NOT NULL)")
                database.execute("INSERT INTO owner VALUES (?)", (kind.mark,))
                for statement in filter(str.strip, kind.tables.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {kind.application_id}")
                database.execute(f"PRAGMA user_version = {kind.version}")
                fill(database)
            database.execute("PRAGMA journal_mode = WAL")
        with suppress(FileExistsError):
            _link(temporary, path)
        sync_folder(path.parent)
    finally:
        for suffix in ("", *_SUFFIXES):
            with suppress(OSError):
                os.unlink(temporary + suffix)  # noqa: PTH108


def temporary_prefix(path: Path) -> str:
    """The prefix of a file's name until it is complete. Such a file remains if netwatch is
    killed."""
    return f".{path.name}."


def _link(temporary: str, path: Path) -> None:
    """Give the file its name, without replacing an existing file."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        # A file system without hard links.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(temporary, path)  # noqa: PTH104


class _Connections:
    """The files to which this process has connections, by device and inode. While `mutex` is held,
    no connection begins."""

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        self._counts: Counter[tuple[int, int]] = Counter()

    def has(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) in self._counts

    def add(self, path: Path) -> tuple[int, int]:
        status = path.lstat()
        file = status.st_dev, status.st_ino
        self._counts[file] += 1
        return file

    def remove(self, file: tuple[int, int]) -> None:
        with self.mutex:
            self._counts[file] -= 1
            if not self._counts[file]:
                del self._counts[file]


_connections = _Connections()


class _Connection(sqlite3.Connection):
    """A connection that is counted until it is closed."""

    file: tuple[int, int] | None = None

    def close(self) -> None:
        super().close()
        if self.file is not None:
            _connections.remove(self.file)
            self.file = None


def connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    """A connection to a file that `identify` has recognised, for one thread at a time, without
    implicit transactions. Text that is not UTF-8 is escaped instead of raising an error.
    `busy_timeout` is how long to wait for another writer, in s. Raises `sqlite3.Error`."""
    with _connections.mutex:
        database = sqlite3.connect(
            path,
            timeout=busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        database.file = _connections.add(path)
    # Calling a partial of a type needs no Python frame, and there are many texts.
    database.text_factory = partial(str, encoding="utf-8", errors="backslashreplace")
    return database


def quick_check(database: sqlite3.Connection) -> None:
    """Check the pages of a database. Raises `DamagedFileError` and `sqlite3.Error`."""
    (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise DamagedFileError(
            " ".join(str(result).removeprefix("*** in database main ***").split())
        )


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
            with suppress(sqlite3.Error):
                database.execute("ROLLBACK")
        raise


def is_damage(error: BaseException) -> bool:
    """Whether an error means that the file is damaged; other errors may go away (full disk, another
    writer)."""
    if isinstance(error, DamagedFileError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code in _UNREADABLE or code & 0xFF in _DAMAGE)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process has locked the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def set_aside(path: Path, name: str = "") -> Path:
    """Rename a damaged file, and the files next to it, to ``NAME.damaged-N``; NAME is its own name
    unless another is given. Returns its new path. Raises `NetwatchError` if there are already
    `MAX_SET_ASIDE`, and `OSError`."""
    for number in range(1, MAX_SET_ASIDE + 1):
        aside = path.with_name(f"{name or path.name}.damaged-{number}")
        if not os.path.lexists(aside):
            move(path, aside)
            return aside
    raise NetwatchError(
        f"{path}: is damaged, and {MAX_SET_ASIDE} damaged files are next to it already; remove them"
    )


def move(path: Path, target: Path) -> None:
    """Rename a file and then those of the files next to it that exist. It can be called again after
    an interruption. Raises `OSError`."""
    for suffix in ("", *_SUFFIXES):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
