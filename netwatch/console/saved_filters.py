"""The filters of lists that somebody gave a name: of each account alone, or shared with everybody
who has the same role. They have the order and the columns of the list as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select

from netwatch.console import tables
from netwatch.store.database import Database

MAX_FILTERS = 30
"""Filters that an account may keep, and that a role may share, of one page."""

MAX_FILTER_NAME = 60
"""Characters of the name of a filter."""


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """A filter: `query` is what stands behind ``?`` of the address of its page. `owner` is the
    account that shared it, empty where nobody did."""

    name: str
    query: str
    owner: str = ""


class TakenError(Exception):
    """Somebody else shares a filter of this name."""


class SavedFilters:
    """The filters of a console."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, account: str, page: str, role: str = "") -> list[SavedFilter]:
        """The filters of an account for a page, and those that are shared in its role, by name."""
        own, shared = tables.saved_filter.c, tables.shared_filter.c
        with self._database.reading() as connection:
            mine = connection.execute(
                select(own.name, own.query).where(own.account == account, own.page == page)
            ).all()
            others = connection.execute(
                select(shared.name, shared.query, shared.account).where(
                    shared.role == role, shared.page == page
                )
            ).all()
        found = [SavedFilter(*row) for row in (*mine, *others)]
        return sorted(found, key=lambda each: (each.name.casefold(), each.name, each.owner))

    def save(self, account: str, page: str, saved: SavedFilter) -> bool:
        """Keep a filter; one of the same name is replaced. False if there are too many."""
        key = {"account": account, "page": page, "name": saved.name}
        with self._database.writing(numbers=True) as connection:
            return _put(connection, tables.saved_filter, key, {"query": saved.query})

    def share(self, account: str, role: str, page: str, saved: SavedFilter) -> bool:
        """Share a filter with all of a role; one of the same name by the same account is replaced.
        False if there are too many. Raises `TakenError`."""
        shared = tables.shared_filter
        key = {"role": role, "page": page, "name": saved.name}
        with self._database.writing(numbers=True) as connection:
            owner = connection.execute(select(shared.c.account).where(*_is(shared, key))).scalar()
            if owner not in (None, account):
                raise TakenError(owner)
            return _put(connection, shared, key, {"account": account, "query": saved.query})

    def remove(self, account: str, page: str, name: str) -> None:
        """Forget a filter of an account."""
        table = tables.saved_filter
        key = {"account": account, "page": page, "name": name}
        with self._database.writing() as connection:
            connection.execute(delete(table).where(*_is(table, key)))

    def unshare(self, account: str, role: str, page: str, name: str) -> SavedFilter | None:
        """Share a filter no longer, which only the account can that did; what it was."""
        shared = tables.shared_filter
        key = {"role": role, "page": page, "name": name, "account": account}
        with self._database.writing() as connection:
            query = connection.execute(select(shared.c.query).where(*_is(shared, key))).scalar()
            connection.execute(delete(shared).where(*_is(shared, key)))
        return None if query is None else SavedFilter(name, query, account)


def _is(table: Table, key: Mapping[str, str]) -> list[Any]:
    return [table.c[name] == value for name, value in key.items()]


def _put(
    connection: Connection, table: Table, key: Mapping[str, str], values: Mapping[str, str]
) -> bool:
    """Replace the row with the same key, or add it; False if there are too many others."""
    connection.execute(delete(table).where(*_is(table, key)))
    others = {name: value for name, value in key.items() if name != "name"}
    count = select(func.count()).select_from(table).where(*_is(table, others))
    if connection.execute(count).scalar_one() >= MAX_FILTERS:
        return False
    connection.execute(insert(table).values(**key, **values))
    return True
