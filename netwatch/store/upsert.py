"""Insertions of many rows, and such that say what becomes of a row that is there, in SQLite and in
PostgreSQL.

Many rows are one statement for each database. The driver of SQLite takes them as tuples, which
costs a third of what mappings cost. PostgreSQL gets them as one JSON text, which it makes rows of:
so the statement, and the way to the server and back, is the same for one row and for thousands, and
no driver quotes values one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import JSON, Connection, Table, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql, sqlite

Rows = Sequence[Mapping[str, Any]]
"""Rows by the names of their columns, which all have the same in the same order."""


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows, however many."""
    if rows:
        _write(connection, table, rows, lambda statement: statement)


def upsert(
    connection: Connection,
    table: Table,
    rows: Rows,
    changes: Callable[[Any], Mapping[str, Any]],
) -> None:
    """Insert rows, no two of which have the same primary key. Where a row with it is there,
    `changes` says which of its columns become what, from the columns of the row that is not
    inserted."""
    if rows:
        _write(
            connection,
            table,
            rows,
            lambda statement: statement.on_conflict_do_update(
                index_elements=list(table.primary_key.columns),
                set_=dict(changes(statement.excluded)),
            ),
        )


def _write(
    connection: Connection, table: Table, rows: Rows, completed: Callable[[Any], Any]
) -> None:
    names = list(rows[0])
    if connection.dialect.name == "postgresql":
        text = cast(bindparam("all_rows", type_=Text), JSON)
        columns = (column(name, table.c[name].type) for name in names)
        found = func.json_to_recordset(text).table_valued(*columns, name="found")
        derived = found.render_derived(with_types=True)
        statement = postgresql.insert(table).from_select(names, select(*derived.c))
        values = orjson.dumps([dict(row) for row in rows]).decode()
        connection.execute(completed(statement), {"all_rows": values})
        return
    compiled = completed(sqlite.insert(table)).compile(
        dialect=connection.dialect, column_keys=names
    )
    order = compiled.positiontup
    constant = {name: compiled.params[name] for name in order if name not in rows[0]}
    if constant:
        rows = [{**row, **constant} for row in rows]
    connection.exec_driver_sql(str(compiled), list(map(itemgetter(*order), rows)))
