"""Insertions that say what becomes of a row that is there, in SQLite and in PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insertion(connection: Connection, table: Table) -> Any:
    """An insertion that can say what happens to a row that is there."""
    is_postgres = connection.dialect.name == "postgresql"
    return postgresql.insert(table) if is_postgres else sqlite.insert(table)


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    changes: Callable[[Any], Mapping[str, Any]],
) -> None:
    """Insert rows. Where a row with the same primary key is there, `changes` says which of its
    columns become what, from the columns of the row that is not inserted."""
    statement = insertion(connection, table)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_=dict(changes(statement.excluded)),
        ),
        list(rows),
    )
