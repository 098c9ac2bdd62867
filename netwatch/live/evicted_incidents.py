"""Open incidents that do not fit into memory, in a private temporary database on disk.

SQLite creates its file where ``SQLITE_TMPDIR`` or ``TMPDIR`` says, and deletes the name at once, so
that only this process can read it and nothing remains of it. What has to survive a restart is in
the state file.
"""

import json
import pickle
import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from netwatch.incidents.incident import Key
from netwatch.live.open_incident import OpenIncident

EVICTED_LIMIT = 1_000_000
"""Open incidents on disk."""

_SCHEMA = """
    CREATE TABLE incident (key TEXT NOT NULL, last_contact INTEGER NOT NULL, entry BLOB NOT NULL);
    CREATE INDEX by_key ON incident (key);
    CREATE INDEX by_time ON incident (last_contact);
"""


class EvictedIncidents:
    """The table of evicted incidents. It is created when the first one is written. `lost` counts
    incidents that could not be read any more."""

    def __init__(self) -> None:
        self.lost = 0
        self._database: sqlite3.Connection | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def write(self, entries: Sequence[OpenIncident]) -> bool:
        """Write incidents. False where they cannot be written, or would be more than
        `EVICTED_LIMIT`; then none of them is in the table."""
        if self._count + len(entries) > EVICTED_LIMIT:
            return False
        rows = [(_text(entry.key), entry.last_contact, pickle.dumps(entry)) for entry in entries]
        try:
            if self._database is None:
                self._database = _create()
            with self._database:
                self._database.executemany("INSERT INTO incident VALUES (?, ?, ?)", rows)
        except sqlite3.Error:
            return False
        self._count += len(entries)
        return True

    def has(self, key: Key) -> bool:
        """Whether there is an incident of a key."""
        if not self._count:
            return False
        assert self._database is not None
        try:
            found = self._database.execute(
                "SELECT 1 FROM incident WHERE key = ? LIMIT 1", (_text(key),)
            ).fetchone()
        except sqlite3.Error:
            self._discard()
            return False
        return found is not None

    def take(self, key: Key) -> list[OpenIncident]:
        """Remove and return the incidents of a key."""
        return self._take("key = ?", _text(key)) if self._count else []

    def take_quiet(self, before: int, limit: int) -> list[OpenIncident]:
        """Remove and return up to `limit` incidents whose last contact was earlier than `before`
        (continuous time, ns)."""
        if not self._count:
            return []
        return self._take(f"last_contact < ? ORDER BY last_contact LIMIT {limit:d}", before)

    def _take(self, condition: str, value: str | int) -> list[OpenIncident]:
        assert self._database is not None
        try:
            with self._database:
                rows = self._database.execute(
                    f"SELECT rowid, entry FROM incident WHERE {condition}", (value,)
                ).fetchall()
                self._database.executemany(
                    "DELETE FROM incident WHERE rowid = ?", [(number,) for number, _ in rows]
                )
        except sqlite3.Error:
            self._discard()
            return []
        self._count -= len(rows)
        return [pickle.loads(entry) for _, entry in rows]

    def _discard(self) -> None:
        """Give up a table that cannot be read: a new one is created when it is needed."""
        self.close()
        self._database = None
        self.lost += self._count
        self._count = 0

    def close(self) -> None:
        """Delete the table."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()


def _create() -> sqlite3.Connection:
    database = sqlite3.connect("")
    database.executescript(_SCHEMA)
    return database


def _text(key: Key) -> str:
    return json.dumps(key)
