"""Insertions of many rows, and such that say what becomes of a row that is there, in SQLite and in
PostgreSQL.

Many rows are one statement for each database. The driver of SQLite takes them as tuples, which
costs a third of what mappings cost; PostgreSQL gets one array for each column, so that the
statement, and the way to the server and back, is the same for one row and for thousands.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import ARRAY, Connection, Table, bindparam, column, func, select
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
        columns = [table.c[name] for name in names]
        arrays = [bindparam(f"all_{each.name}", type_=ARRAY(each.type)) for each in columns]
        values = (column(each.name, each.type) for each in columns)
        found = func.unnest(*arrays).table_valued(*values, name="found").render_derived()
        statement = postgresql.insert(table).from_select(names, select(*found.c))
        of_columns = zip(*map(itemgetter(*names), rows), strict=True)
        connection.execute(
            completed(statement),
            {f"all_{name}": [*each] for name, each in zip(names, of_columns, strict=True)},
        )
        return
    compiled = completed(sqlite.insert(table)).compile(
        dialect=connection.dialect, column_keys=names
    )
    order = compiled.positiontup
    constant = {name: compiled.params[name] for name in order if name not in rows[0]}
    if constant:
        rows = [{**row, **constant} for row in rows]
    connection.exec_driver_sql(str(compiled), list(map(itemgetter(*order), rows)))
