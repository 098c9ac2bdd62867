"""Erases a person from what the console keeps.

Filters that accounts saved and that name her go. So do the purposes that sessions have stated,
which are typed texts, all of them: people are asked again. Rows of the audit stay, since they say
who looked, when, and at what kind of page; of rows that are about her or mention her, the keys go,
so that nobody can read whom they are about and why (`netwatch.console.audit`). Whom they are about
has a pseudonym, by which the rows about a name can still be found.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from sqlalchemy import delete, select

from netwatch.console import tables
from netwatch.console.audit import Audit
from netwatch.console.database import has_console, open_console
from netwatch.store.erasing import vacuum
from netwatch.store.options import StoreOptions
from netwatch.store.person import ALWAYS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from netwatch.store.person import Person


@dataclass(frozen=True, slots=True)
class ErasedFromConsole:
    """How many saved filters and stated purposes were erased, and how many rows of the audit nobody
    can open any more. `left` are sentences on what could not be erased now."""

    filters: int = 0
    purposes: int = 0
    audit: int = 0
    left: tuple[str, ...] = ()


def erase_from_console(options: StoreOptions, person: "Person", user: str) -> ErasedFromConsole:
    """Erase a person; `user` is who asked, for the audit. Raises `NetwatchError`."""
    if not has_console(options):
        return ErasedFromConsole()
    database = open_console(options)
    try:
        with database.writing() as connection:
            filters = _erase_filters(connection, person)
            purposes = connection.execute(delete(tables.purpose)).rowcount
            _erase_sign_ins(connection, person)
        rows = Audit(database).erase(lambda value: person.is_mentioned(value, *ALWAYS), user)
        named = [tables.saved_filter, tables.purpose, tables.pending, tables.audit_key]
        problem = vacuum(database.engine, named, "the database of the console")
    finally:
        database.close()
    return ErasedFromConsole(filters, purposes, rows, (problem,) if problem else ())


def _erase_filters(connection: "Connection", person: "Person") -> int:
    """Erase the saved filters whose name or values mention a person: how many."""
    columns = tables.saved_filter.c
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
    return len(found)


def _erase_sign_ins(connection: "Connection", person: "Person") -> None:
    """Erase sign-ins under way that lead to a page about a person."""
    column = tables.pending.c
    for row in connection.execute(select(column.token, column.detail)).all():
        if person.is_mentioned([row.detail, unquote(row.detail)], *ALWAYS):
            connection.execute(delete(tables.pending).where(column.token == row.token))


def _values(query: str) -> list[str]:
    """The values of the address of a page, decoded."""
    return [value for _, value in parse_qsl(query)]
