"""Erases a person from what the console keeps beside its audit: the filters that accounts saved.

The audit stays. It says who looked at whom, and has to say so after an erasure as well.
"""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from sqlalchemy import delete, select

from netwatch.console import tables
from netwatch.console.database import has_console, open_console
from netwatch.store.erasing import vacuum
from netwatch.store.options import StoreOptions
from netwatch.store.person import ALWAYS

if TYPE_CHECKING:
    from netwatch.store.person import Person


def erase_filters(options: StoreOptions, person: "Person") -> tuple[int, list[str]]:
    """Erase the saved filters whose name or values mention a person: how many, and sentences on
    what could not be erased. Raises `NetwatchError`."""
    if not has_console(options):
        return 0, []
    columns = tables.saved_filter.c
    database = open_console(options)
    try:
        with database.writing() as connection:
            found = [
                row
                for row in connection.execute(select(tables.saved_filter)).all()
                if person.is_mentioned([row.name, *_values(row.query)], *ALWAYS)
            ]
            for row in found:
                connection.execute(
                    delete(tables.saved_filter).where(
                        columns.account == row.account,
                        columns.page == row.page,
                        columns.name == row.name,
                    )
                )
        problem = vacuum(database.engine, [tables.saved_filter], "the database of the console")
    finally:
        database.close()
    return len(found), [problem] if problem else []


def _values(query: str) -> list[str]:
    """The values of the address of a page, decoded."""
    return [value for _, value in parse_qsl(query)]
