"""The rows of tables of an SQLite database that another program has written.

The file is opened read-only and as immutable. If it has a write-ahead log, as the database of a
running Pi-hole has, both are copied first: the content of the log is not in the file yet, and
SQLite would have to write next to it. Nothing in the file is trusted: only ordinary tables are read
and no views, which could call functions, and each row may take a limited time and size.

A database that is followed is read in place (`open_while_written`). With a write-ahead log this is
an SQLite read, which takes a lock that no writer waits for; with ``readonly_shm`` it neither writes
to that log's index nor creates one. Without such a log nobody has the file open in that mode, and
SQLite would create one; it is read as an immutable file, which only counts if it did not change.

This follows the advice of https://www.sqlite.org/security.html.
"""

import os
import shutil
import sqlite3
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

MAGIC = b"SQLite format 3\0"
"""The first bytes of a database."""

MAX_VALUE = 1 << 20
"""Bytes of a text or blob; a row with a longer one ends the reading."""

STEPS_AT_ONCE = 100_000
"""Steps of SQLite's virtual machine between two checks whether to go on."""

MAX_STEPS = 20_000_000
"""Steps for one row. A table is read from its start to its end, which takes some hundred."""

COPIES = 3
"""Attempts to copy a database that changes meanwhile."""


SETTLED = 100_000_000
"""A file that was not written for so many ns has another time once it is written again."""

States = tuple[tuple[int, int] | None, ...]
"""Size and time of a database and of its write-ahead log, None for a missing one."""


class DatabaseError(Exception):
    """A database cannot be read, or not to its end. The argument is a sentence."""


class BusyError(Exception):
    """A database cannot be read at the moment, because it is being written."""


def table_names(path: Path) -> list[str]:
    """The names of its ordinary tables. Raises `DatabaseError`."""
    try:
        with closing(_connect(path)) as database:
            return ordinary_tables(database)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # names that are not UTF-8
        raise DatabaseError(str(error)) from None


_TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
    " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)


def rows(path: Path, tables: tuple[str, ...]) -> Iterator[tuple[int, bytes]]:
    """The rows of `tables`, as far as these exist, in this order: JSON objects with the names of
    the columns and ``_table``; blobs are in base64. Each comes with its key, the column ``id``, by
    which it is found again; in a table without one it is counted. Raises `DatabaseError`."""
    try:
        with closing(_connect(path)) as database:
            budget = _limit_steps(database)
            there = {*ordinary_tables(database)}
            for table in tables:
                if table not in there:
                    continue
                quoted = table.replace('"', '""')
                found = database.execute(f'SELECT * FROM main."{quoted}"')
                columns = [column[0] for column in found.description]
                key = columns.index("id") if "id" in columns else None
                for number, row in enumerate(found, 1):
                    budget[0] = 0
                    own = number if key is None else row[key]
                    yield own if _is_key(own) else number, record_of(table, columns, row)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # names that are not UTF-8
        raise DatabaseError(str(error)) from None


def ordinary_tables(database: sqlite3.Connection) -> list[str]:
    """The names of the tables of an open database that are neither virtual nor SQLite's own."""
    return [name for (name,) in database.execute(_TABLES)]


def _limit_steps(database: sqlite3.Connection) -> list[int]:
    """Limit the steps that a database may take; returns those taken so far, which the caller may
    reset."""
    taken = [0]

    def is_too_long() -> int:
        taken[0] += STEPS_AT_ONCE
        return taken[0] > MAX_STEPS

    database.set_progress_handler(is_too_long, STEPS_AT_ONCE)
    return taken


@contextmanager
def open_while_written(path: str) -> Iterator[sqlite3.Connection]:
    """A database that a program has open, for one read. Raises `BusyError` if the result does not
    count, and `DatabaseError`."""
    before = states(path)
    has_log = before[1] is not None
    if not has_log and not (is_settled(before) and _is_committed(path)):
        raise BusyError("it is being written")
    options = "mode=ro&readonly_shm=1" if has_log else "mode=ro&immutable=1"
    try:
        with closing(_connect(Path(path), options)) as database:
            _limit_steps(database)
            yield database
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY or states(path) != before:
            raise BusyError(str(error)) from None
        raise DatabaseError(str(error)) from None
    if not has_log and states(path) != before:
        raise BusyError("it was written meanwhile")


_BUSY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,  # the index of the log must be created or repaired
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_JOURNAL = bytes.fromhex("d9d505f920a163d7")


def states(path: str) -> States:
    """The states of a database and its write-ahead log."""
    found: list[tuple[int, int] | None] = []
    for each in (path, f"{path}-wal"):
        try:
            status = os.stat(each)  # noqa: PTH116 - many times a second
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)


def is_settled(state: States) -> bool:
    """Whether the time of a file would change if it were written now."""
    return all(each is None or each[1] < time.time_ns() - SETTLED for each in state)


def _is_committed(path: str) -> bool:
    """Whether there is no rollback journal of a transaction that has not ended."""
    try:
        with Path(f"{path}-journal").open("rb") as journal:
            return journal.read(len(_JOURNAL)) != _JOURNAL
    except FileNotFoundError:
        return True
    except OSError:
        return False


def with_write_ahead_log(path: Path, folder: Path) -> Path:
    """A copy in `folder` of a database and its write-ahead log, which both stay as they are. Raises
    `DatabaseError` if they keep changing, and `OSError`."""
    log = Path(f"{path}-wal")
    copy = folder / "log.db"
    for _ in range(COPIES):
        before = _states(path, log)
        shutil.copyfile(path, copy)
        shutil.copyfile(log, f"{copy}-wal")
        if _states(path, log) == before:
            return copy
    raise DatabaseError(
        "it is being written; read a copy, which `sqlite3 FILE '.backup COPY'` makes"
    )


def _states(*paths: Path) -> list[tuple[int, int]]:
    return [(status.st_size, status.st_mtime_ns) for status in map(Path.stat, paths)]


def _connect(path: Path, options: str = "") -> sqlite3.Connection:
    """An immutable database, or a copy with its write-ahead log; `options` are other ones."""
    if not options:
        options = "mode=rw" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    database = sqlite3.connect(f"{path.resolve().as_uri()}?{options}", timeout=0, uri=True)
    try:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        database.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0)
        database.text_factory = _text
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            database.execute(f"PRAGMA {setting}")
        database.execute("PRAGMA query_only = ON")
    except BaseException:
        database.close()
        raise
    return database


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _is_key(value: object) -> bool:
    return isinstance(value, int) and value > 0


def record_of(table: str, columns: Sequence[str], row: Sequence[object]) -> bytes:
    """A row as a JSON object."""
    record: dict[str, object] = {"_table": table}
    for column, value in zip(columns, row, strict=True):
        record[column] = b64encode(value).decode() if isinstance(value, bytes) else value
    return orjson.dumps(record)
