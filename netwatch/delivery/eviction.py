"""What leaves an outbox undelivered: the oldest alerts if it is full, and those that are too old.

Functions of this module work on the connection of `outbox`, and raise `sqlite3.Error`. Every output
that still had to send an alert counts it as dropped.
"""

import sqlite3

from netwatch.core.owned_database import DamagedFileError, transaction
from netwatch.delivery import deferred

_STEPS = 50

# An alert for one output only was replayed by a person, so no filter applies to it.
PENDING = """alert.seq > output.cursor AND (alert.output = output.name OR (
    alert.output IS NULL AND alert.verdict >= output.verdict
    AND alert.severity >= output.severity))"""
"""The condition in SQL that an output still has to send an alert of its queue."""


def evict(database: sqlite3.Connection) -> int | None:
    """Delete some of the oldest alerts, in a transaction of the caller. Returns how many of these
    an output still had to send; None if there is none left."""
    first, last = _number_range(database)
    oldest = deferred.oldest(database)
    if first is None or last is None:
        return None if oldest is None else deferred.evict_oldest(database)
    stored = database.execute("SELECT stored FROM alert WHERE seq = ?", (first,)).fetchone()[0]
    if oldest is not None and oldest <= stored:
        return deferred.evict_oldest(database)
    return _delete_up_to(database, first + (last - first) // _STEPS)


def clean_up(database: sqlite3.Connection, stored_before: float) -> int:
    """Delete the alerts that all outputs have passed and those that were stored before this time.
    Returns how many of the latter an output still had to send."""
    expired_for_some = 0
    oldest = deferred.oldest(database)
    if oldest is not None and oldest < stored_before:
        with transaction(database):
            expired_for_some = deferred.expire(database, stored_before)
    return expired_for_some + _clean_up_queue(database, stored_before)


def _clean_up_queue(database: sqlite3.Connection, stored_before: float) -> int:
    passed = database.execute("SELECT min(cursor) FROM output WHERE configured").fetchone()[0]
    first, newest = _number_range(database)
    if first is None or newest is None:
        return 0
    if not isinstance(passed, int | None):
        raise DamagedFileError("the cursor of an output is no number")
    # Alerts expire in their order: a single wrong time must not take others with it.
    first_to_keep = database.execute(
        "SELECT seq FROM alert WHERE stored >= ? ORDER BY seq LIMIT 1", (stored_before,)
    ).fetchone()
    expired = newest if first_to_keep is None else first_to_keep[0] - 1
    last = max(passed or 0, expired)
    if last < first:
        return 0
    with transaction(database):
        return _delete_up_to(database, last)


def _number_range(database: sqlite3.Connection) -> tuple[int | None, int | None]:
    first, last = database.execute("SELECT min(seq), max(seq) FROM alert").fetchone()
    return first, last


def _delete_up_to(database: sqlite3.Connection, number: int) -> int:
    """Delete all alerts up to `number`. Returns how many of these an output still had to send; it
    counts them as dropped."""
    pending = database.execute(
        "SELECT count(DISTINCT alert.seq) FROM alert, output WHERE alert.seq <= ?"
        f" AND output.configured AND {PENDING}",
        (number,),
    ).fetchone()[0]
    database.execute(
        "UPDATE output SET dropped = dropped + (SELECT count(*) FROM alert WHERE"
        f" alert.seq <= :number AND {PENDING}), cursor = max(cursor, :number)",
        {"number": number},
    )
    database.execute("DELETE FROM alert WHERE seq <= ?", (number,))
    return int(pending)
