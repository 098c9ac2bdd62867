"""Which alerts each output has delivered, so that ``scan --deliver --once`` leaves them out.

The outbox stores a digest of the output's name and the alert's key. The key depends on all that an
alert says, so an incident of which more is known than before is sent again. The oldest digests are
forgotten first: then a repeat is sent.
"""

import hashlib
import sqlite3
from collections.abc import Sequence

MAX_DELIVERED = 200_000
"""Delivered alerts that an outbox remembers, those of all outputs together."""

_BYTES_EACH = 80
_SHARE = 8


def limit_for(max_bytes: int) -> int:
    """How many to remember in an outbox of this size: they take an eighth of it at most."""
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
