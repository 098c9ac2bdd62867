"""Rewrites an outbox: a damaged one, with its readable content, and one that mentions a person to
be erased, without that.

The steps by which a damaged outbox is replaced can be interrupted at any point, and continued at
the next start:

1. ``outbox.sqlite`` is renamed to ``outbox.sqlite.replacing``, with the files next to it.
2. A new outbox gets the readable content, see `netwatch.core.sqlite_pages`, and then its name.
3. ``outbox.sqlite.replacing`` is renamed to ``outbox.sqlite.damaged-N``, and is kept.

No process may have the outbox open meanwhile, see `netwatch.delivery.outbox_file.unused`. Numbers
of alerts and cursors of outputs stay as they were. An output whose cursor cannot be read gets all
alerts again, which is better than none. Only the process that has the lock of the outbox may do
this.

Waiting alerts, dead letters and the digests of delivered alerts are erased. The outbox may be in
use meanwhile: what a worker is about to send is in its memory, and a receiver that has an alert is
beyond reach. SQLite overwrites what it deletes, and rewrites the file afterwards.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.core import owned_database, sqlite_pages
from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import transaction
from netwatch.core.sqlite_pages import Pages, Value
from netwatch.core.text import quantity
from netwatch.delivery import dead_letters
from netwatch.delivery.deferred import deduplication_key
from netwatch.delivery.outbox_file import FILE, KIND, forget, lock_use, open_database
from netwatch.delivery.output import Output

_IN_PROGRESS = f"{FILE}.replacing"
_COLUMNS = {"alert": 8, "output": 16, "clock": 4, "delivered": 2, "deferred": 6}
_INSERT = {
    table: f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * count)})"
    for table, count in _COLUMNS.items()
}

_BUSY_TIMEOUT = 30.0


@dataclass(slots=True)
class Replacement:
    """The result for a damaged outbox: where it is now, how many alerts were carried over, and how
    many of those that an output still had to send could not be read, None if unknown."""

    aside: Path = Path()
    carried_over: int = 0
    lost: int = 0
    is_lost_known: bool = True

    def __str__(self) -> str:
        text = (
            f"it was renamed to {self.aside}, and a new outbox has"
            f" {quantity(self.carried_over, 'alert')} of it"
        )
        if not self.is_lost_known:
            text += "; how many undelivered alerts could not be read is unknown"
        elif self.lost:
            text += f"; {quantity(self.lost, 'undelivered alert')} could not be read"
        return text


def is_interrupted(folder: Path) -> bool:
    """Whether a replacement has begun and not ended."""
    return os.path.lexists(folder / _IN_PROGRESS)


def replace(folder: Path, outputs: Sequence[Output]) -> Replacement:
    """Replace the damaged outbox in `folder`, which has alerts for these outputs. Raises `OSError`,
    `sqlite3.Error` and `NetwatchError`; then nothing is lost, and `resume` continues."""
    owned_database.move(folder / FILE, folder / _IN_PROGRESS)
    return resume(folder, outputs)


def resume(folder: Path, outputs: Sequence[Output]) -> Replacement:
    """Continue a replacement that was interrupted. Raises the same."""
    path, damaged = folder / FILE, folder / _IN_PROGRESS
    replacement = Replacement()
    for abandoned in folder.glob(f"{owned_database.temporary_prefix(path)}*"):
        abandoned.unlink()

    def fill(database: sqlite3.Connection) -> None:
        sequence = _copy_rows(damaged, database)
        _complete(database, outputs, sequence, replacement)

    if not os.path.lexists(path):
        # Files next to the database may not have been renamed yet.
        owned_database.move(path, damaged)
        owned_database.create(path, KIND, fill)
    replacement.aside = owned_database.set_aside(damaged, FILE)
    return replacement


def _copy_rows(damaged: Path, database: sqlite3.Connection) -> int:
    """Copy the readable content into a new database. Returns the highest number that an alert is
    known to have had, 0 if that cannot be read."""
    sequence = 0
    with Pages(damaged) as pages:
        for number, values in sqlite_pages.rows(pages):
            table = _table_of(values)
            if table == "sqlite_sequence" and values[0] == "alert":
                sequence = max(sequence, _integer(values[1]))
            elif table in _INSERT:
                _insert(database, table, number, values)
    return sequence


def _complete(
    database: sqlite3.Connection,
    outputs: Sequence[Output],
    sequence: int,
    replacement: Replacement,
) -> None:
    """Add outputs that could not be read, delete remains of alerts that all outputs have passed,
    and count losses."""
    replacement.is_lost_known = bool(sequence)
    first = database.execute("SELECT coalesce(min(seq), 1) FROM alert").fetchone()[0]
    database.executemany(
        "INSERT OR IGNORE INTO output (name, type, format, verdict, severity, cursor, configured)"
        " VALUES (?, ?, ?, ?, ?, ?, 1)",
        [
            (
                output.name,
                output.type,
                output.format,
                output.min_verdict,
                output.min_severity,
                first - 1,
            )
            for output in outputs
        ],
    )
    passed = database.execute("SELECT min(cursor) FROM output WHERE configured").fetchone()[0]
    database.execute("DELETE FROM alert WHERE seq <= ?", (passed or 0,))
    newest = max(
        sequence,
        database.execute("SELECT coalesce(max(seq), 0) FROM alert").fetchone()[0],
        database.execute("SELECT coalesce(max(cursor), 0) FROM output").fetchone()[0],
    )
    # New alerts get numbers above all that cursors may have passed.
    database.execute("DELETE FROM sqlite_sequence WHERE name = 'alert'")
    database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('alert', ?)", (newest,))
    database.execute(
        "UPDATE output SET dropped = dropped + max(0, :newest - cursor - (SELECT count(*) FROM"
        " alert WHERE seq > cursor)) WHERE configured",
        {"newest": newest},
    )
    replacement.carried_over = database.execute("SELECT count(*) FROM alert").fetchone()[0]
    replacement.lost = max(0, newest - (passed or 0) - replacement.carried_over)


def _table_of(values: tuple[Value, ...]) -> str:
    """The table for a row with these values, by their number and types; empty for any other row.
    The primary key is stored as null if it is the row's number."""
    match values:
        case (None, str(), int() | float(), int(), int(), None | str(), 0 | 1, str() | bytes()):
            return "alert"
        case (str(), str(), str(), int(), int(), int(), 0 | 1, *_) if len(values) == 16:
            return "output"
        case (None, str(), int() | float(), int() | float()):
            return "clock"
        case (None, bytes()):
            return "delivered"
        case (None, str(), str(), int() | float(), str(), str() | bytes()):
            return "deferred"
        case (str(), int()):
            return "sqlite_sequence"
    return ""


def _insert(
    database: sqlite3.Connection, table: str, number: int, values: tuple[Value, ...]
) -> None:
    if values[0] is None:
        values = (number, *values[1:])
    try:
        if table == "output":
            # A freed page may have an earlier state of the row.
            database.execute(
                "DELETE FROM output WHERE name = ? AND cursor < ?", (values[0], values[5])
            )
        database.execute(_INSERT[table], values)
    except sqlite3.IntegrityError:
        # The row violates a check of its table, so it was damaged.
        return


def _integer(value: Value) -> int:
    return value if isinstance(value, int) else 0


Mentions = Callable[[Any], bool]
"""Whether a JSON value mentions the person."""


@dataclass(frozen=True, slots=True)
class ErasedAlerts:
    """How many alerts were erased from the outbox, and from the dead letters; `left` are sentences
    on what could not be erased now."""

    waiting: int = 0
    dead: int = 0
    left: tuple[str, ...] = ()


def erase_alerts(
    folder: Path, mentions: Mentions, records: Iterable[AlertRecord] = ()
) -> ErasedAlerts:
    """Erase a person's data in the outbox in `folder`. `records` are further alerts about them
    whose delivery it may remember. Raises `NetwatchError`."""
    dead, left = _erase_dead_letters(folder, mentions)
    left += [
        f"{path} is a damaged outbox that was set aside, and was not searched: delete it"
        for path in sorted(folder.glob(f"{FILE}.damaged-*"))
    ]
    if not (folder / FILE).exists():
        return ErasedAlerts(0, dead, tuple(left))
    use = lock_use(folder)
    try:
        database = open_database(folder, create=False, durable=True, busy_timeout=_BUSY_TIMEOUT)
        with closing(database):
            database.execute("PRAGMA secure_delete = ON")
            waiting = _erase_waiting(database, mentions, records)
            database.execute("VACUUM")
            busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise NetwatchError(f"the outbox in {folder}: {error}") from None
    finally:
        os.close(use)
    if busy[0]:
        left.append(
            f"the outbox in {folder} is in use, so that its write-ahead log may still have what was"
            " deleted: erase again when nothing delivers from it"
        )
    return ErasedAlerts(waiting, dead, tuple(left))


def _erase_waiting(
    database: sqlite3.Connection, mentions: Mentions, records: Iterable[AlertRecord]
) -> int:
    """Erase waiting alerts, and the digests of delivered ones."""
    keys = {deduplication_key(record) for record in records}
    count = 0
    with transaction(database):
        for table, number in (("alert", "seq"), ("deferred", "number")):
            hers = []
            for row, key, text in database.execute(f"SELECT {number}, key, record FROM {table}"):
                if mentions(_parsed(text)):
                    hers.append((row,))
                    keys.add(key)
            database.executemany(f"DELETE FROM {table} WHERE {number} = ?", hers)
            count += len(hers)
        outputs = [name for (name,) in database.execute("SELECT name FROM output")]
        for output in outputs:
            forget(database, output, sorted(keys))
    return count


def _erase_dead_letters(folder: Path, mentions: Mentions) -> tuple[int, list[str]]:
    """Rewrite the files of dead letters without theirs."""
    count, left = 0, []
    place = folder / dead_letters.FOLDER
    for path in sorted(place.glob("*")) if place.is_dir() else []:
        if path.suffix not in (".jsonl", ".replay", ".unread") or path.is_symlink():
            continue
        try:
            count += dead_letters.rewrite(path, lambda line: not mentions(_parsed(line)))
        except OSError as error:
            left.append(f"{path}: {error.strerror}")
    return count, left


def _parsed(text: str | bytes) -> Any:
    """JSON as its value; any other text unchanged."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.decode(errors="replace") if isinstance(text, bytes) else text
