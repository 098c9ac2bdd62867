"""Sessions: who has signed in, until when, and for which purpose each person is looked at; and the
limits on trying to sign in: by account and address, by account, by address, and over all together.

The browser has a random token in a cookie; the database has only its SHA-256, so that reading the
database is not enough to take over a session. A session ends some time after its last request, at
the latest some time after its begin, when it is signed out, and when its account changes.

Whether an account exists makes no difference. Wrong passwords are rows of the console's database,
so that a restart, or a second process over the same database, forgets none. Of a row only keyed
hashes say which account and address it is of: people type passwords where names belong. Rows are
deleted when no limit looks at them any more, and there are no more than so many.
"""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from netwatch.console import tables
from netwatch.store.database import Database

PURPOSE_SECONDS = 3600
"""How long a purpose that somebody gave for a person is valid."""

MAX_PURPOSES = 500
"""Persons for whom a session has a purpose at a time; a further one ends the oldest."""

MAX_SESSIONS = 20
"""Sessions of one account at a time; a further one ends the oldest."""

_SECOND = 1_000_000_000
_USED_EVERY = 60 * _SECOND

MAX_FAILURES = 10_000
"""Wrong passwords that are kept; of more the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session; `key` is what the database knows it by."""

    key: str
    account: str
    source: str
    role: str
    address: str
    created: int
    used: int


class Sessions:
    """The sessions of a console. `idle` and `absolute` are in s."""

    def __init__(
        self, database: Database, idle: int, absolute: int, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._database = database
        self._idle, self._absolute = idle * _SECOND, absolute * _SECOND
        self._now = now

    def begin(self, account: str, source: str, role: str, address: str) -> str:
        """Begin a session; its token, for the cookie."""
        token, now = secrets.token_urlsafe(32), self._now()
        columns = tables.session.c
        with self._database.writing() as connection:
            connection.execute(
                delete(tables.session).where(
                    or_(columns.used < now - self._idle, columns.created < now - self._absolute)
                )
            )
            mine = (columns.account == account) & (columns.source == source)
            open_ones = connection.execute(
                select(columns.token).where(mine).order_by(columns.created.desc())
            ).scalars()
            for key in list(open_ones)[MAX_SESSIONS - 1 :]:
                connection.execute(delete(tables.session).where(columns.token == key))
            connection.execute(
                insert(tables.session).values(
                    token=_key(token), account=account, source=source, role=role, address=address,
                    created=now, used=now,
                )
            )  # fmt: skip
            connection.execute(delete(tables.purpose).where(tables.purpose.c.until <= now))
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token, which counts as used; None if it has ended."""
        key, now = _key(token), self._now()
        columns = tables.session.c
        with self._database.reading() as connection:
            row = connection.execute(select(tables.session).where(columns.token == key)).first()
        if row is None:
            return None
        if now - row.used > self._idle or now - row.created > self._absolute:
            self.end(key)
            return None
        if now - row.used > min(_USED_EVERY, self._idle // 4):
            with self._database.writing() as connection:
                connection.execute(
                    update(tables.session).where(columns.token == key).values(used=now)
                )
        return Session(*row)

    def is_open(self, key: str) -> bool:
        """Whether a session goes on; to ask does not count as a use of it."""
        columns, now = tables.session.c, self._now()
        with self._database.reading() as connection:
            row = connection.execute(
                select(columns.used, columns.created).where(columns.token == key)
            ).first()
        return (
            row is not None and now - row.used <= self._idle and now - row.created <= self._absolute
        )

    def of(self, account: str, source: str) -> list[Session]:
        """The sessions of an account, the newest first."""
        columns, now = tables.session.c, self._now()
        with self._database.reading() as connection:
            rows = connection.execute(
                select(tables.session)
                .where(
                    columns.account == account,
                    columns.source == source,
                    columns.used >= now - self._idle,
                    columns.created >= now - self._absolute,
                )
                .order_by(columns.created.desc())
            ).all()
        return [Session(*row) for row in rows]

    def purpose(self, key: str, subject: str) -> str:
        """Why a person is looked at in a session; empty if no purpose is valid."""
        columns = tables.purpose.c
        mine = (columns.session == key) & (columns.subject == _key(subject))
        with self._database.reading() as connection:
            found = connection.execute(
                select(columns.purpose).where(mine, columns.until > self._now())
            ).scalar()
        return found or ""

    def set_purpose(self, key: str, purpose: str, subject: str) -> None:
        """Note why a person is looked at from now on."""
        columns, person = tables.purpose.c, _key(subject)
        until = self._now() + PURPOSE_SECONDS * _SECOND
        mine = columns.session == key
        with self._database.writing() as connection:
            connection.execute(delete(tables.purpose).where(mine, columns.subject == person))
            count = connection.execute(select(func.count()).where(mine)).scalar_one()
            if count >= MAX_PURPOSES:
                oldest = select(func.min(columns.until)).where(mine).scalar_subquery()
                connection.execute(delete(tables.purpose).where(mine, columns.until == oldest))
            connection.execute(
                insert(tables.purpose).values(
                    session=key, subject=person, purpose=purpose, until=until
                )
            )

    def end(self, key: str) -> None:
        """End a session."""
        with self._database.writing() as connection:
            connection.execute(delete(tables.session).where(tables.session.c.token == key))

    def end_all(self, account: str, source: str, keep: str = "") -> int:
        """End the sessions of an account, except that with the key `keep`; how many."""
        columns = tables.session.c
        with self._database.writing() as connection:
            return connection.execute(
                delete(tables.session).where(
                    columns.account == account, columns.source == source, columns.token != keep
                )
            ).rowcount


def form_token(token: str) -> str:
    """What the forms of a page carry that was made for the holder of a token: nobody who does not
    know the token can make it, and it does not reveal the token."""
    return hmac.new(token.encode(), b"netwatch form", hashlib.sha256).hexdigest()


def _key(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `tries` in `seconds`."""

    tries: int
    seconds: int


PAIR_RATE = Rate(10, 900)
"""Wrong passwords for one account from one address."""

ACCOUNT_RATE = Rate(50, 900)
"""Wrong passwords for one account from all addresses."""

ADDRESS_RATE = Rate(20, 300)
"""Wrong passwords from one address, after which it is crowded."""

ALL_RATE = Rate(200, 300)
"""Wrong passwords together, after which all addresses with one are crowded."""

CROWDED_RATE = Rate(3, 900)
"""Wrong passwords for one account from a crowded address."""

SPACING = Rate(1, 1)
"""Wrong passwords from a crowded address for any accounts."""

_KEPT = max(PAIR_RATE.seconds, ACCOUNT_RATE.seconds, ADDRESS_RATE.seconds) * _SECOND

Limit = tuple[Rate, ColumnElement[bool]]


class Throttle:
    """Counts failures in the database of a console; `key` is a secret of it, and `now` is in ns.

    An account is closed to an address after some wrong passwords. An address may be that of many
    people, so one with many wrong passwords is not closed but crowded: from there each account has
    fewer tries, and one a second is made in all. Somebody who tries invented names locks nobody out
    so, finds little, and learns nothing about which names there are. Of an address of IPv6 its /64
    counts, in which one client has all addresses.
    """

    def __init__(
        self, database: Database, key: bytes, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._database = database
        self._key = key
        self._now = now

    def wait(self, account: str, address: str) -> int:
        """How long to wait before another try, in s; 0 if none is needed."""
        whose, place = self._limits(account, address)
        with self._database.reading() as connection:
            found = [self._left(connection, limit) for limit in whose]
            if self._is_crowded(connection, place):
                mine, at_place = whose[0][1], place[0][1]
                found.append(self._left(connection, (CROWDED_RATE, mine)))
                found.append(self._left(connection, (SPACING, at_place)))
        return max(found)

    def failed(self, account: str, address: str) -> bool:
        """Count a wrong password. True if a limit is reached by it."""
        columns, now = tables.failure.c, self._now()
        values = {
            "time": now, "account": self._account(account), "address": self._place(address),
        }  # fmt: skip
        limits = [limit for each in self._limits(account, address) for limit in each]
        with self._database.writing() as connection:
            # A row from the future comes from a clock that was wrong, and would limit for too long.
            connection.execute(
                delete(tables.failure).where(or_(columns.time < now - _KEPT, columns.time > now))
            )
            before = [self._left(connection, limit) > 0 for limit in limits]
            connection.execute(insert(tables.failure).values(values))
            oldest_kept = connection.execute(
                select(columns.id).order_by(columns.id.desc()).offset(MAX_FAILURES).limit(1)
            ).scalar()
            if oldest_kept is not None:
                connection.execute(delete(tables.failure).where(columns.id <= oldest_kept))
            return any(
                self._left(connection, limit) > 0 and not was
                for limit, was in zip(limits, before, strict=True)
            )

    def succeeded(self, account: str, address: str) -> None:
        """Forget the failures of an account from this address; they still count for the address."""
        mine = self._limits(account, address)[0][0][1]
        with self._database.writing() as connection:
            connection.execute(update(tables.failure).where(mine).values(account=""))

    def count(self) -> int:
        """How many failures are kept."""
        with self._database.reading() as connection:
            return int(
                connection.execute(select(func.count()).select_from(tables.failure)).scalar_one()
            )

    def _limits(self, account: str, address: str) -> tuple[list[Limit], list[Limit]]:
        """The limits that close an account, first that to its address, and those that make an
        address crowded, first its own."""
        columns = tables.failure.c
        of_account = columns.account == self._account(account)
        of_address = columns.address == self._place(address)
        whose = [(PAIR_RATE, and_(of_account, of_address)), (ACCOUNT_RATE, of_account)]
        return whose, [(ADDRESS_RATE, of_address), (ALL_RATE, columns.time <= self._now())]

    def _is_crowded(self, connection: Connection, place: Sequence[Limit]) -> bool:
        own, together = place
        if self._left(connection, own):
            return True
        has_one = self._left(connection, (Rate(1, ALL_RATE.seconds), own[1])) > 0
        return has_one and self._left(connection, together) > 0

    def _left(self, connection: Connection, limit: Limit) -> int:
        """Seconds until a limit allows another try; 0 if it does now."""
        rate, is_mine = limit
        columns, now = tables.failure.c, self._now()
        # The oldest of the last `tries`: what lies behind it has no part in the limit.
        first = connection.execute(
            select(columns.time)
            .where(is_mine, columns.time <= now)
            .order_by(columns.time.desc())
            .offset(rate.tries - 1)
            .limit(1)
        ).scalar()
        left = 0 if first is None else int(first) + rate.seconds * _SECOND - now
        return left // _SECOND + 1 if left > 0 else 0

    def _account(self, name: str) -> str:
        return self._hash(name.lower())

    def _place(self, address: str) -> str:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return self._hash(address)
        if found.version == 6:
            found = found.ipv4_mapped or ipaddress.IPv6Address(int(found) >> 64 << 64)
        return self._hash(str(found))

    def _hash(self, text: str) -> str:
        return hmac.new(self._key, text.encode(errors="replace"), hashlib.sha256).hexdigest()
