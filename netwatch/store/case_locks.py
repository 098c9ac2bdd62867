"""Keeps transactions apart that could decide on the same cases.

SQLite has one writer at a time. In PostgreSQL several processes can store alerts at once, each
those of sensors of its own. Incidents can only be one case where they have a word in common
(`netwatch.store.case_members`). So a transaction locks the words of all incidents that it looks at
before it decides, and looks again with what it had not locked. A lock is an advisory one of the
database, until the end of the transaction.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from netwatch.store.database import ConflictError

MAX_LOCKS = 2000
"""Words that one transaction locks. The server has room for some 6,400 locks of all transactions,
unless it is configured otherwise."""

_TAKE = text(
    "SELECT pg_advisory_xact_lock(each)"
    " FROM (SELECT unnest(CAST(:keys AS bigint[])) AS each ORDER BY 1) AS keys"
)


class WordLocks:
    """The words that a transaction of PostgreSQL has locked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._words: set[str] = set()

    def take(self, words: Iterable[str]) -> bool:
        """Lock words; whether one of them was not locked before, so that it may have changed since
        it was looked at. Raises `ConflictError` where they are too many."""
        new = {*words} - self._words
        if not new:
            return False
        self._words |= new
        if len(self._words) > MAX_LOCKS:
            raise ConflictError(f"more than {MAX_LOCKS:,} words of incidents in a transaction")
        # They are hexadecimal hashes. Everyone locks in the same order, so that few have to wait
        # for each other.
        keys = sorted(int(word[:16], 16) - (1 << 63) for word in new)
        self._connection.execute(_TAKE, {"keys": keys})
        return True
