"""Who signs in: local accounts (a name, a role and a password, of which only the argon2id hash is
kept), and what people call themselves who sign in at a provider of OpenID Connect.

A change of the role, a new password and the removal of an account end its sessions in the same
transaction. Whether an account exists cannot be told from how long a wrong password takes: the
password of an unknown name is compared with a hash that no password has.

Many providers let people change ``preferred_username``, and give a name that is free again to
somebody else. Only issuer and ``sub`` together stay the same and belong to one person (OpenID
Connect Core 1.0, section 5.7). So the account is made of these, and the name is shown beside it.
Each name that an account had is kept, so that a changed one is shown as changed.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from netwatch.config.console_section import ROLES
from netwatch.console import tables
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.text import escaped, storable
from netwatch.core.user_yaml import did_you_mean
from netwatch.store.database import Database

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_PASSWORD = 12
"""Characters of a password at least. NIST SP 800-63B asks for length, not for kinds of them."""

MAX_PASSWORD = 256
"""Characters of a password at most."""

MAX_NAME = 64
"""Characters of the name of an account."""

CONCURRENT_HASHES = 2
"""Passwords that are hashed at a time: each takes 64 MiB and a processor."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")

MAX_FOREIGN_NAME = 100
"""Characters of the name that a provider gives."""

MAX_NAMES = 20
"""Names of an account that are kept, the newest."""

MAX_SHOWN = 3
"""Names of an account that are shown, the newest."""


class AccountError(ConfigError):
    """What is wrong with an account, a name, a role or a password."""

    def __init__(self, message: str, command: str = "netwatch users") -> None:
        super().__init__([Problem(command, 0, 0, message)])
        self.reason = message


@cache
def hasher() -> "PasswordHasher":
    """argon2id with the parameters that RFC 9106 gives for little memory (section 4, the second).
    Reports write into the audit without the extra that brings it."""
    from argon2 import PasswordHasher

    return PasswordHasher()


@dataclass(frozen=True, slots=True)
class Account:
    """A local account; times are in ns."""

    name: str
    role: str
    created: int
    changed: int


class Accounts:
    """The local accounts of a console."""

    def __init__(self, database: Database, now: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._now = now
        self._slots = threading.BoundedSemaphore(CONCURRENT_HASHES)

    def add(self, name: str, role: str, password: str) -> None:
        """Add an account. Raises `AccountError`."""
        check_name(name)
        check_role(role)
        check_password(password, name)
        hashed, now = self._hash(password), self._now()
        values = {"name": name, "role": role, "password": hashed, "created": now, "changed": now}
        try:
            with self._database.writing() as connection:
                connection.execute(insert(tables.account).values(values))
        except NetwatchError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise AccountError(f"the account '{name}' exists already") from None
            raise

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password, and end its sessions. Raises `AccountError`."""
        check_password(password, name)
        hashed = self._hash(password)
        with self._database.writing() as connection:
            self._change(connection, name, password=hashed, changed=self._now())

    def set_role(self, name: str, role: str) -> None:
        """Give an account another role, and end its sessions. What it shared with those of its
        former role goes. Raises `AccountError`."""
        check_role(role)
        with self._database.writing() as connection:
            self._change(connection, name, role=role)
            _unshare(connection, name)

    def remove(self, name: str) -> None:
        """Remove an account with its sessions and filters. Raises `AccountError`."""
        with self._database.writing() as connection:
            found = connection.execute(
                delete(tables.account).where(tables.account.c.name == name)
            ).rowcount
            if not found:
                raise _unknown(connection, name)
            _end_sessions(connection, name)
            connection.execute(
                delete(tables.saved_filter).where(tables.saved_filter.c.account == name)
            )
            _unshare(connection, name)

    def all(self) -> list[Account]:
        """The accounts by name."""
        columns = tables.account.c
        with self._database.reading() as connection:
            rows = connection.execute(
                select(columns.name, columns.role, columns.created, columns.changed).order_by(
                    columns.name
                )
            ).all()
        return [Account(*row) for row in rows]

    def count(self) -> int:
        """How many there are."""
        with self._database.reading() as connection:
            return int(
                connection.execute(select(func.count()).select_from(tables.account)).scalar_one()
            )

    def role_of(self, name: str) -> str | None:
        """The role of an account; None if there is none."""
        with self._database.reading() as connection:
            return connection.execute(
                select(tables.account.c.role).where(tables.account.c.name == name)
            ).scalar()

    def require(self, name: str) -> None:
        """Raise `AccountError` if there is no such account."""
        with self._database.reading() as connection:
            if (
                connection.execute(
                    select(tables.account.c.role).where(tables.account.c.name == name)
                ).first()
                is None
            ):
                raise _unknown(connection, name)

    def verify(self, name: str, password: str) -> str | None:
        """The role of an account if this is its password; None otherwise, after the same time."""
        from argon2.exceptions import InvalidHashError, VerificationError

        columns = tables.account.c
        with self._database.reading() as connection:
            row = connection.execute(
                select(columns.role, columns.password).where(columns.name == name)
            ).first()
        hashed = row.password if row is not None else self._no_password
        try:
            with self._slots:
                hasher().verify(hashed, password[:MAX_PASSWORD])
        except (VerificationError, InvalidHashError):
            return None
        return row.role if row is not None and len(password) <= MAX_PASSWORD else None

    @cached_property
    def _no_password(self) -> str:
        """A hash with the same parameters of a password that nobody has."""
        import secrets

        return self._hash(secrets.token_urlsafe(32))

    def _hash(self, password: str) -> str:
        with self._slots:
            return hasher().hash(password)

    def _change(self, connection: Connection, name: str, **values: object) -> None:
        row = tables.account.c.name == name
        if not connection.execute(update(tables.account).where(row).values(**values)).rowcount:
            raise _unknown(connection, name)
        _end_sessions(connection, name)


def check_name(name: str) -> None:
    """Raise `AccountError` for what cannot be a name."""
    if not _NAME.fullmatch(name):
        raise AccountError(
            f"'{escaped(name[:MAX_NAME])}' cannot be the name of an account: expected up to"
            f" {MAX_NAME} letters, digits and . _ @ + -, a letter or digit first"
        )


def check_role(role: str) -> None:
    """Raise `AccountError` for what is not a role."""
    if role not in ROLES:
        raise AccountError(
            f"expected one of {', '.join(ROLES)}, found '{escaped(role)}'"
            f"{did_you_mean(role, ROLES)}"
        )


def check_password(password: str, name: str) -> None:
    """Raise `AccountError` for a password that is too short or too long, is hardly more than one
    character, or has the name of the account in it."""
    if len(password) < MIN_PASSWORD:
        raise AccountError(f"expected a password of at least {MIN_PASSWORD} characters")
    if len(password) > MAX_PASSWORD:
        raise AccountError(f"expected a password of at most {MAX_PASSWORD} characters")
    if len(set(password)) < 5:
        raise AccountError("expected a password with at least 5 different characters")
    if name and name.lower() in password.lower():
        raise AccountError("expected a password without the name of the account in it")


def _unknown(connection: Connection, name: str) -> AccountError:
    known = connection.execute(select(tables.account.c.name)).scalars().all()
    return AccountError(f"no account '{escaped(name)}'{did_you_mean(name, known)}")


def _unshare(connection: Connection, name: str) -> None:
    connection.execute(delete(tables.shared_filter).where(tables.shared_filter.c.account == name))


def _end_sessions(connection: Connection, name: str) -> None:
    columns = tables.session.c
    connection.execute(
        delete(tables.session).where(columns.account == name, columns.source == "local")
    )


def account_of(issuer: str, subject: str) -> str:
    """The account of a person at a provider: 64 bits of a hash, which no name can look like."""
    digest = hashlib.sha256(json.dumps([issuer, subject]).encode()).hexdigest()
    return f"oidc:{digest[:16]}"


class ForeignNames:
    """The names of the accounts of a console that a provider signs in."""

    def __init__(self, database: Database, now: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._now = now

    def note(self, account: str, name: str) -> str:
        """Note the name with which an account signs in; the name that it had before if that was
        another one, else nothing."""
        name, columns = storable(name)[:MAX_FOREIGN_NAME], tables.foreign_name.c
        mine = columns.account == account
        with self._database.writing() as connection:
            known = connection.execute(
                select(columns.since, columns.name).where(mine).order_by(columns.since.desc())
            ).all()
            if known and known[0].name == name:
                return ""
            since = max(self._now(), known[0].since + 1) if known else self._now()
            connection.execute(
                insert(tables.foreign_name).values(account=account, since=since, name=name)
            )
            for row in known[MAX_NAMES - 1 :]:
                connection.execute(
                    delete(tables.foreign_name).where(mine, columns.since == row.since)
                )
        return str(known[0].name) if known else ""

    def of(self, accounts: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """The names of accounts, the newest last; accounts without a name are left out."""
        wanted = {account for account in accounts if account.startswith("oidc:")}
        if not wanted:
            return {}
        columns = tables.foreign_name.c
        found: dict[str, tuple[str, ...]] = {}
        with self._database.reading() as connection:
            for account, name in connection.execute(
                select(columns.account, columns.name)
                .where(columns.account.in_(wanted))
                .order_by(columns.since)
            ):
                found[account] = (*found.get(account, ()), name)
        return found

    def shown(self, accounts: Collection[str]) -> Mapping[str, str]:
        """What accounts are called on pages: the account itself comes first, which nobody chose,
        then the name, behind the names that it had before."""
        names = self.of(accounts)
        return {account: _shown(account, names.get(account, ())) for account in accounts}

    def called(self, word: str) -> list[str]:
        """The accounts that are meant by a word: that account itself, and all that ever had the
        name."""
        columns = tables.foreign_name.c
        with self._database.reading() as connection:
            found = connection.execute(
                select(columns.account).where(columns.name == storable(word)).distinct()
            ).scalars()
            return [word, *sorted(found)]


def _shown(account: str, names: tuple[str, ...]) -> str:
    if not names:
        return account
    return f"{account} ({escaped(' → '.join(names[-MAX_SHOWN:]))})"


def role_of(groups: Iterable[str], roles: object) -> str:
    """The role of the first group in the order of the configuration; empty if there is none."""
    found = set(groups)
    assert isinstance(roles, dict)
    return next((role for group, role in roles.items() if group in found), "")
