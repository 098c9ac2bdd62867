"""Filters of lists that somebody gave a name, of each account alone."""

from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select

from netwatch.console import tables
from netwatch.store.database import Database

MAX_FILTERS = 30
"""Filters that an account may keep of one page."""

MAX_FILTER_NAME = 60
"""Characters of the name of a filter."""


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """A filter: `query` is what stands behind ``?`` of the address of its page."""

    name: str
    query: str


class SavedFilters:
    """The filters of a console."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, account: str, page: str) -> list[SavedFilter]:
        """The filters of an account for a page, by name."""
        columns = tables.saved_filter.c
        with self._database.reading() as connection:
            rows = connection.execute(
                select(columns.name, columns.query)
                .where(columns.account == account, columns.page == page)
                .order_by(columns.name)
            ).all()
        return [SavedFilter(*row) for row in rows]

    def save(self, account: str, page: str, saved: SavedFilter) -> bool:
        """Keep a filter; one of the same name is replaced. False if there are too many."""
        columns = tables.saved_filter.c
        mine = (columns.account == account) & (columns.page == page)
        with self._database.writing(numbers=True) as connection:
            connection.execute(delete(tables.saved_filter).where(mine, columns.name == saved.name))
            count = select(func.count()).select_from(tables.saved_filter).where(mine)
            if connection.execute(count).scalar_one() >= MAX_FILTERS:
                return False
            connection.execute(
                insert(tables.saved_filter).values(
                    account=account, page=page, name=saved.name, query=saved.query
                )
            )
        return True

    def remove(self, account: str, page: str, name: str) -> None:
        """Forget a filter."""
        columns = tables.saved_filter.c
        with self._database.writing() as connection:
            connection.execute(
                delete(tables.saved_filter).where(
                    columns.account == account, columns.page == page, columns.name == name
                )
            )
