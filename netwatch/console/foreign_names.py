"""What people call themselves who sign in at a provider of OpenID Connect.

Many providers let people change ``preferred_username``, and give a name that is free again to
somebody else. Only issuer and ``sub`` together stay the same and belong to one person (OpenID
Connect Core 1.0, section 5.7). So the account is made of these, and the name is shown beside it.
Each name that an account had is kept, so that a changed one is shown as changed.
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping

from sqlalchemy import delete, insert, select

from netwatch.console import tables
from netwatch.console.tables import storable
from netwatch.core.text import escaped
from netwatch.store.database import Database

MAX_NAME = 100
"""Characters of the name that a provider gives."""

MAX_NAMES = 20
"""Names of an account that are kept, the newest."""

MAX_SHOWN = 3
"""Names of an account that are shown, the newest."""


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
        name, columns = storable(name)[:MAX_NAME], tables.foreign_name.c
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
        wanted = {each for each in accounts if each.startswith("oidc:")}
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
