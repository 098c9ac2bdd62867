"""Tokens of programs that ask the API: each has a name, a role, a purpose, and where wanted the
networks that it is limited to and a day after which it is void.

A token is shown once, when it is made. The database has its SHA-256 only, which is enough: nobody
guesses 256 random bits. Its purpose is in the audit with whatever it is used for. A token that is
removed is void at once.
"""

import hashlib
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from netwatch.console import tables
from netwatch.console.accounts import AccountError, check_name, check_role
from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped, storable
from netwatch.core.user_yaml import did_you_mean
from netwatch.store.database import Database

PREFIX = "netwatch_"
"""How every token begins, so that scanners for secrets find one that was published."""

MAX_PURPOSE = 200
"""Characters of a purpose."""

MAX_REQUESTS = 300
"""Requests with one token in `REQUEST_SECONDS`; more are refused for a while."""

REQUEST_SECONDS = 60
"""The time in which requests with a token are counted, in s."""

_COMMAND = "netwatch tokens"
_USED_EVERY = 60 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. It may be used for `networks`, all of them if there are none;
    times are in ns, `expires` and `used` None for never."""

    name: str
    role: str
    networks: frozenset[str]
    purpose: str
    created: int
    expires: int | None
    used: int | None


class Tokens:
    """The tokens of a console."""

    def __init__(self, database: Database, now: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._now = now

    def add(
        self,
        name: str,
        role: str,
        purpose: str,
        networks: frozenset[str] = frozenset(),
        expires: int | None = None,
    ) -> str:
        """Make a token; what a program has to send. Raises `AccountError`."""
        check_name(name)
        check_role(role)
        purpose = " ".join(storable(purpose).split())
        if not 0 < len(purpose) <= MAX_PURPOSE:
            message = f"expected a purpose of up to {MAX_PURPOSE} characters"
            raise AccountError(message, _COMMAND)
        secret = f"{PREFIX}{secrets.token_urlsafe(32)}"
        values = {
            "name": name, "hash": _hash(secret), "role": role,
            "networks": json.dumps(sorted(networks)), "purpose": purpose,
            "created": self._now(), "expires": expires, "used": None,
        }  # fmt: skip
        try:
            with self._database.writing() as connection:
                connection.execute(insert(tables.token).values(values))
        except NetwatchError as error:
            if isinstance(error.__cause__, IntegrityError):
                message = f"the token '{name}' exists already; remove it first"
                raise AccountError(message, _COMMAND) from None
            raise
        return secret

    def remove(self, name: str) -> None:
        """Make a token void. Raises `AccountError`."""
        column = tables.token.c.name
        with self._database.writing() as connection:
            if not connection.execute(delete(tables.token).where(column == name)).rowcount:
                known = connection.execute(select(column)).scalars().all()
                hint = did_you_mean(name, known)
                expected = "expected the name of a token (see netwatch tokens list)"
                raise AccountError(f"{expected}, found '{escaped(name)}'{hint}", _COMMAND)

    def all(self) -> list[Token]:
        """The tokens by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.token).order_by(tables.token.c.name)).all()
        return [_token(row) for row in rows]

    def find(self, secret: str) -> Token | None:
        """The token that a program sent, which counts as used; None if it is not valid."""
        columns, now = tables.token.c, self._now()
        mine = columns.hash == _hash(secret)
        with self._database.reading() as connection:
            row = connection.execute(select(tables.token).where(mine)).first()
        if row is None or (row.expires is not None and row.expires <= now):
            return None
        if row.used is None or now - row.used > _USED_EVERY:
            with self._database.writing() as connection:
                connection.execute(update(tables.token).where(mine).values(used=now))
        return _token(row)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _token(row: Row[tuple[object, ...]]) -> Token:
    return Token(
        row.name, row.role, frozenset(json.loads(row.networks)), row.purpose, row.created,
        row.expires, row.used,
    )  # fmt: skip


class RequestRate:
    """Counts the requests with each token in this process; `now` is in s."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def wait(self, name: str) -> int:
        """Count a request with a token; how long its program has to wait instead, in s, 0 if it
        need not."""
        now = self._now()
        with self._lock:
            times = self._times.setdefault(name, deque(maxlen=MAX_REQUESTS))
            if len(times) == MAX_REQUESTS and now - times[0] < REQUEST_SECONDS:
                return int(times[0] + REQUEST_SECONDS - now) + 1
            times.append(now)
        return 0
