"""A database to which a program adds rows: those with a key behind the one that was read last.

The program must not notice, so that nothing is written and no writer waits
(`netwatch.logs.sqlite_rows.open_while_written`). While it writes, the database is looked at again a
moment later.

The position is the key of a row, and its mark is a hash of that key and the time of the row, which
stay when a new version of the program changes the table. Old rows are deleted, and new ones by
hand; as long as keys become higher, it is the same table. Rows refer to texts by number: with each
row comes what it refers to, as rows of the other tables, which have no number of their own.
"""

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from sqlite3 import Connection

from netwatch.logs import query_logs
from netwatch.logs.live.followed_file import FollowedFile, Position, mark_of
from netwatch.logs.live.source import Batch
from netwatch.logs.sqlite_rows import (
    BusyError,
    DatabaseError,
    States,
    is_settled,
    open_while_written,
    ordinary_tables,
    record_of,
    states,
)

BATCH = 500
"""Rows that are read at a time."""

BUSY_SECONDS = 60.0
"""Seconds after which a database that cannot be read, since it is written, is a problem."""


class FollowedDatabase(FollowedFile):
    """The database at `path`, from `position` on, or from its first row. Raises `OSError`."""

    def __init__(self, path: str, position: Position | None = None) -> None:
        self._last = 0
        self._mark = ""
        self._read_state: States | None = None
        self._busy_since: float | None = None
        super().__init__(path)
        self.container = "sqlite"
        if position is not None:
            self.go_to(position)

    @property
    def position(self) -> Position:
        """The row that was read last."""
        return Position(self.inode, self._last, self._last, self._mark)

    @property
    def is_at_start(self) -> bool:
        """No: a database is not truncated, and has no copies."""
        return False

    def matches(self, position: Position) -> bool:
        """Whether this is the database in which a position was."""
        if position.offset == 0:
            return self.inode == position.inode
        mark, highest = self._look_now(position.offset)
        if mark:
            return mark == position.mark
        return highest >= position.offset and self.inode == position.inode

    def go_to(self, position: Position) -> None:
        """Read the rows behind a position."""
        self._last, self._mark = position.offset, position.mark
        self._read_state = None

    def go_to_end(self) -> None:
        """Read the rows that are added from now on."""
        _, highest = self._look_now(0)
        mark, _ = self._look_now(highest)
        self.go_to(Position(self.inode, highest, highest, mark))

    def has_changed(self, status: os.stat_result | None = None) -> bool:
        """Whether the database was written since it was read to its end."""
        return states(self.path) != self._read_state

    def was_replaced(self) -> bool:
        """Whether its keys began again."""
        if not self._last:
            return False
        try:
            with self._reading() as database:
                return self._look(database, self._last)[1] < self._last
        except BusyError:
            return False

    def restart(self) -> None:
        """Read it from its first row."""
        self.go_to(Position(self.inode, 0, 0, ""))

    def read(self) -> Batch | None:
        """The next rows, and what they refer to; None where there are none now. Raises
        `OSError`."""
        state = states(self.path)
        try:
            with self._reading() as database:
                rows, others = self._next_rows(database)
        except BusyError as error:
            now = time.monotonic()
            self._busy_since = now if self._busy_since is None else self._busy_since
            if now - self._busy_since > BUSY_SECONDS:
                raise OSError(errno.EBUSY, f"it cannot be read while it is used: {error}") from None
            return None
        self._busy_since = None
        if len(rows) < BATCH and is_settled(state):
            self._read_state = state
        if not rows:
            return None
        keys, marks, records = zip(*rows, strict=True)
        self._last, self._mark = keys[-1], marks[-1]
        # What rows refer to has no number: it shows nothing by itself.
        numbers = [*[0] * len(others), *keys]
        return Batch(0, [*others, *records], numbers=numbers)

    def read_rest(self) -> Batch | None:
        """Nothing: a row is whole."""
        return None

    def before(self, size: int) -> bytes:
        """Nothing: a row says all that is to be known of it."""
        return b""

    def table_names(self) -> list[str]:
        """The names of its ordinary tables; none while it is written. Raises `OSError`."""
        try:
            with self._reading() as database:
                return ordinary_tables(database)
        except BusyError:
            return []

    def _next_rows(
        self, database: Connection
    ) -> tuple[list[tuple[int, str, bytes]], Sequence[bytes]]:
        """The next rows with their keys and marks, and the rows that they refer to."""
        tables = ordinary_tables(database)
        table = _table(tables)
        found = database.execute(
            f"SELECT * FROM main.\"{table}\" WHERE id > ? AND typeof(id) = 'integer'"
            f" ORDER BY id LIMIT {BATCH}",
            (self._last,),
        )
        columns = [column[0] for column in found.description]
        numbers: dict[str, set[int]] = {}
        rows = []
        for row in found:
            values = dict(zip(columns, row, strict=True))
            mark = _mark(values["id"], values.get("timestamp"))
            rows.append((values["id"], mark, record_of(table, columns, row)))
            for column, other in query_logs.REFERRED.items():
                if isinstance(number := values.get(column), int):
                    numbers.setdefault(other, set()).add(number)
        others: list[bytes] = []
        for other, wanted in numbers.items():
            if other in tables:
                marks = ",".join("?" * len(wanted))
                found = database.execute(
                    f'SELECT * FROM main."{other}" WHERE id IN ({marks})', sorted(wanted)
                )
                names = [column[0] for column in found.description]
                others += [record_of(other, names, row) for row in found]
        return rows, others

    def _look(self, database: Connection, key: int) -> tuple[str, int]:
        """The mark of the row with a key, empty if there is none, and the highest key that a row
        ever had."""
        table = _table(ordinary_tables(database))
        row = database.execute(f'SELECT timestamp FROM main."{table}" WHERE id = ?', (key,))
        found = row.fetchone()
        (highest,) = database.execute(f'SELECT max(id) FROM main."{table}"').fetchone()
        given = None
        if database.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
        ).fetchone():
            sequence = "SELECT seq FROM sqlite_sequence WHERE name = ?"
            given = database.execute(sequence, (table,)).fetchone()
        keys = [each for each in (highest, given and given[0]) if isinstance(each, int)]
        return "" if found is None else _mark(key, found[0]), max(keys, default=0)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """The database, for one look. Raises `BusyError`, and `OSError` if it cannot be read."""
        try:
            with open_while_written(self.path) as database:
                yield database
        except DatabaseError as error:
            raise OSError(errno.EIO, f"it cannot be read as an SQLite database: {error}") from None

    def _look_now(self, key: int) -> tuple[str, int]:
        """The same, now. Raises `OSError`."""
        try:
            with self._reading() as database:
                return self._look(database, key)
        except BusyError as error:
            raise OSError(errno.EBUSY, str(error)) from None


def _table(tables: Sequence[str]) -> str:
    """The table with the rows. Raises `DatabaseError`."""
    for name in query_logs.QUERIES:
        if name in tables:
            return name
    raise DatabaseError("it has no table of queries")


def _mark(key: object, moment: object) -> str:
    return mark_of(f"{key} {moment}".encode())
