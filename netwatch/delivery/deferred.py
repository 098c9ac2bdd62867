"""Alerts that leave the queue of an outbox before all have them: deferred, because a receiver
accepted them for some of its recipients; evicted, because the outbox is full; and expired.

Mail has several recipients, and the server answers for each. An alert that some of them cannot get
now leaves the queue of its output, so that later alerts do not wait, and is stored here with the
remaining recipients until they have it. Every output that still had to send an evicted or expired
alert counts it as dropped. Functions of this module work on the connection of `outbox`, and raise
`sqlite3.Error`.
"""

import hashlib
import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from netwatch.core.alert import AlertRecord
from netwatch.core.owned_database import DamagedFileError, transaction

TABLES = """
CREATE TABLE deferred (
    number INTEGER PRIMARY KEY,
    output TEXT NOT NULL,
    key TEXT NOT NULL,
    stored REAL NOT NULL CHECK (typeof(stored) = 'real'),
    recipients TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX deferred_by_recipients ON deferred (output, recipients, number);
CREATE INDEX deferred_by_age ON deferred (stored)
"""
"""``stored`` is explained in `netwatch.delivery.outbox_file`; ``recipients`` is a JSON list. The
indexes are for what is queried every second, however many alerts wait."""

_EVICTED_AT_ONCE = 50

_STEPS = 50

# A person replayed an alert for one output only, so no filter applies to it.
PENDING = """alert.seq > output.cursor AND (alert.output = output.name OR (
    alert.output IS NULL AND alert.verdict >= output.verdict
    AND alert.severity >= output.severity))"""
"""The SQL condition that an output still has to send an alert of its queue."""


def encode(record: AlertRecord) -> str:
    """A record as JSON."""
    return json.dumps(record, separators=(",", ":"))


def decode(text: str, key: str) -> AlertRecord:
    """The record from the text made by `encode`. Raises `ValueError`, which gives the reason, for
    any other text, and for a record that has another key."""
    try:
        record = json.loads(text)
        actual_key = deduplication_key(record) if isinstance(record, dict) else ""
    except RecursionError:
        raise ValueError("its record is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"its record is not valid JSON ({error})") from None
    if not isinstance(record, dict):
        raise ValueError("its record is not a JSON object")
    if actual_key != key:
        raise ValueError("its record was changed after it was stored: it does not match its key")
    return record


def deduplication_key(record: AlertRecord) -> str:
    """The key by which receivers recognise a duplicate: the id of the incident and a hash of the
    rest of the record except the sensor and the versions, so only a record that says the same is a
    duplicate."""
    content = {name: value for name, value in record.items() if name not in ("sensor", "versions")}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"{record.get('id', '')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Deferral:
    """An alert to store: the time `stored` by the clock of the outbox, and the remaining
    recipients."""

    record: AlertRecord
    stored: float
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeferredAlert:
    """A stored one. `number` identifies it here. `reason` is why its record cannot be read, empty
    if it can; then `text` is what is stored instead."""

    number: int
    key: str
    waited: float
    record: AlertRecord
    recipients: tuple[str, ...]
    reason: str = ""
    text: str = ""


def add(database: sqlite3.Connection, output: str, deferrals: Sequence[Deferral]) -> None:
    """Store alerts of an output."""
    database.executemany(
        "INSERT INTO deferred (output, key, stored, recipients, record) VALUES (?, ?, ?, ?, ?)",
        [
            (
                output,
                deduplication_key(deferral.record),
                deferral.stored,
                json.dumps(deferral.recipients),
                encode(deferral.record),
            )
            for deferral in deferrals
        ],
    )


def batches(
    database: sqlite3.Connection, output: str, limit: int, now: float
) -> list[list[DeferredAlert]]:
    """The oldest alerts of an output, at most `limit` for each set of recipients: a batch has one
    set, and no set waits for another."""
    found = []
    sets = database.execute(
        "SELECT recipients FROM deferred WHERE output = ? GROUP BY recipients ORDER BY min(number)",
        (output,),
    ).fetchall()
    for (recipients,) in sets:
        rows = database.execute(
            "SELECT number, key, stored, record FROM deferred WHERE output = ? AND recipients = ?"
            " ORDER BY number LIMIT ?",
            (output, recipients, limit),
        )
        found.append(
            [
                _decoded(number, key, stored, text, recipients, now)
                for number, key, stored, text in rows
            ]
        )
    return found


def _decoded(
    number: int, key: str, stored: float, text: str, recipients: str, now: float
) -> DeferredAlert:
    try:
        names = tuple(map(str, json.loads(recipients)))
    except (ValueError, TypeError):
        raise DamagedFileError(f"deferred alert {number}: invalid recipients") from None
    waited = max(0.0, now - stored)
    try:
        return DeferredAlert(number, key, waited, decode(str(text), key), names)
    except ValueError as error:
        return DeferredAlert(number, key, waited, {}, names, str(error), str(text))


def settle(
    database: sqlite3.Connection,
    finished: Collection[int],
    restricted: Sequence[tuple[int, tuple[str, ...]]],
) -> None:
    """Delete the alerts that are done, and set the recipients of others that still wait."""
    database.executemany(
        "DELETE FROM deferred WHERE number = ?", [(number,) for number in finished]
    )
    database.executemany(
        "UPDATE deferred SET recipients = ? WHERE number = ?",
        [(json.dumps(recipients), number) for number, recipients in restricted],
    )


def oldest(database: sqlite3.Connection) -> float | None:
    """When the oldest one was stored, None if there is none."""
    stored: float | None = database.execute("SELECT min(stored) FROM deferred").fetchone()[0]
    return stored


def expire(database: sqlite3.Connection, stored_before: float) -> int:
    """Delete the alerts that were stored before this time; their outputs count them as dropped.
    Returns how many these were."""
    return _drop(database, "stored < ?", stored_before)


def evict_oldest(database: sqlite3.Connection) -> int:
    """Delete some of the oldest alerts in the same way, to make room."""
    chosen = "number IN (SELECT number FROM deferred ORDER BY stored, number LIMIT ?)"
    return _drop(database, chosen, _EVICTED_AT_ONCE)


def _drop(database: sqlite3.Connection, condition: str, value: float) -> int:
    database.execute(
        "UPDATE output SET dropped = dropped + (SELECT count(*) FROM deferred WHERE"
        f" deferred.output = output.name AND {condition})",
        (value,),
    )
    return database.execute(f"DELETE FROM deferred WHERE {condition}", (value,)).rowcount


def evict(database: sqlite3.Connection) -> int | None:
    """Delete some of the oldest alerts, in a transaction of the caller. Returns how many of these
    an output still had to send; None if there is none left."""
    first, last = _number_range(database)
    oldest_deferred = oldest(database)
    if first is None or last is None:
        return None if oldest_deferred is None else evict_oldest(database)
    stored = database.execute("SELECT stored FROM alert WHERE seq = ?", (first,)).fetchone()[0]
    if oldest_deferred is not None and oldest_deferred <= stored:
        return evict_oldest(database)
    return _delete_up_to(database, first + (last - first) // _STEPS)


def clean_up(database: sqlite3.Connection, stored_before: float) -> int:
    """Delete the alerts that all outputs have passed and those that were stored before this time.
    Returns how many of the latter an output still had to send."""
    expired_for_some = 0
    oldest_deferred = oldest(database)
    if oldest_deferred is not None and oldest_deferred < stored_before:
        with transaction(database):
            expired_for_some = expire(database, stored_before)
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
