"""Erases alerts about a person from the outbox: waiting ones, dead letters, and what is remembered
of delivered ones.

The outbox may be in use meanwhile: what a worker is about to send it has in memory, and a receiver
that has an alert is beyond reach. SQLite overwrites what it deletes, and writes the file anew
afterwards.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import transaction
from netwatch.delivery import dead_letters, outbox_file
from netwatch.delivery.deferred import deduplication_key
from netwatch.delivery.lock import lock_use
from netwatch.delivery.outbox_file import FILE, open_database

_BUSY_TIMEOUT = 30.0

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
    """Erase what the outbox in `folder` has of a person. `records` are further alerts about her,
    of which it may remember that they were delivered. Raises `NetwatchError`."""
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
    """Erase alerts that wait, and what is remembered of those that were delivered."""
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
            outbox_file.forget(database, output, sorted(keys))
    return count


def _erase_dead_letters(folder: Path, mentions: Mentions) -> tuple[int, list[str]]:
    """Write the files of dead letters anew without hers."""
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
    """JSON as its value; a text that is none as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.decode(errors="replace") if isinstance(text, bytes) else text
