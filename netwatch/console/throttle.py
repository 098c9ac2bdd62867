"""Limits how often somebody may try to sign in: by account, by address, and over all together.

Whether an account exists makes no difference. Wrong passwords are rows of the console's database,
so that a restart, or a second process over the same database, forgets none. Of a row only keyed
hashes say which account and address it is of: people type passwords where names belong. Rows are
deleted when no limit looks at them any more, and the limit over all of them bounds how many there
are.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from netwatch.console import tables
from netwatch.store.database import Database

MAX_FAILURES = 10_000
"""Wrong passwords that are kept; of more the oldest are forgotten."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `tries` in `seconds`."""

    tries: int
    seconds: int


ACCOUNT_RATE = Rate(10, 900)
"""Wrong passwords for one account."""

ADDRESS_RATE = Rate(20, 300)
"""Wrong passwords from one address."""

ALL_RATE = Rate(200, 300)
"""Wrong passwords together."""

_KEPT = max(ACCOUNT_RATE.seconds, ADDRESS_RATE.seconds, ALL_RATE.seconds) * _SECOND


class Throttle:
    """Counts failures in the database of a console; `key` is a secret of it, and `now` is in ns."""

    def __init__(
        self, database: Database, key: bytes, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._database = database
        self._key = key
        self._now = now

    def wait(self, account: str, address: str) -> int:
        """How long to wait before another try, in s; 0 if none is needed."""
        with self._database.reading() as connection:
            return self._wait(connection, account, address)

    def failed(self, account: str, address: str) -> bool:
        """Count a wrong password. True if the next try will be refused, which began now."""
        columns, now = tables.failure.c, self._now()
        values = {"time": now, "account": self._account(account), "address": self._hash(address)}
        with self._database.writing() as connection:
            # A row of the future is of a clock that was wrong, and would limit for too long.
            connection.execute(
                delete(tables.failure).where(or_(columns.time < now - _KEPT, columns.time > now))
            )
            connection.execute(insert(tables.failure).values(values))
            oldest_kept = connection.execute(
                select(columns.id).order_by(columns.id.desc()).offset(MAX_FAILURES).limit(1)
            ).scalar()
            if oldest_kept is not None:
                connection.execute(delete(tables.failure).where(columns.id <= oldest_kept))
            return self._wait(connection, account, address) > 0

    def succeeded(self, account: str) -> None:
        """Forget the failures of an account; they still count for their addresses."""
        columns = tables.failure.c
        mine = columns.account == self._account(account)
        with self._database.writing() as connection:
            connection.execute(update(tables.failure).where(mine).values(account=""))

    def count(self) -> int:
        """How many failures are kept."""
        with self._database.reading() as connection:
            return int(
                connection.execute(select(func.count()).select_from(tables.failure)).scalar_one()
            )

    def _wait(self, connection: Connection, account: str, address: str) -> int:
        columns, now = tables.failure.c, self._now()
        limits = (
            (ACCOUNT_RATE, columns.account == self._account(account)),
            (ADDRESS_RATE, columns.address == self._hash(address)),
            (ALL_RATE, columns.time <= now),
        )
        longest = 0
        for rate, is_mine in limits:
            # The oldest of the last `tries`: what lies behind it has no part in the limit.
            first = connection.execute(
                select(columns.time)
                .where(is_mine, columns.time <= now)
                .order_by(columns.time.desc())
                .offset(rate.tries - 1)
                .limit(1)
            ).scalar()
            left = 0 if first is None else int(first) + rate.seconds * _SECOND - now
            if left > 0:
                longest = max(longest, left // _SECOND + 1)
        return longest

    def _account(self, name: str) -> str:
        return self._hash(name.lower())

    def _hash(self, text: str) -> str:
        return hmac.new(self._key, text.encode(errors="replace"), hashlib.sha256).hexdigest()
