"""Statements with many values, and with many rows, in SQLite and in PostgreSQL.

Databases limit the parameters of a statement, and one whose parameters are counted out costs the
library more than its rows cost the database. So many texts are one parameter: an array of
PostgreSQL, a JSON text in SQLite. Other values are given a bounded number at a time.

Many rows are one statement for each database, also where it says what becomes of a row that is
there. The driver of SQLite takes them as tuples, which costs a third of what mappings cost.
PostgreSQL gets them as one JSON text, which it makes rows of: so the statement, and the way to the
server and back, is the same for one row and for thousands, and no driver quotes values one by one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    JSON,
    Connection,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY

CHUNK = 400
"""Values in one statement."""

MANY = 10_000
"""Values of `among` in one statement."""

T = TypeVar("T")

Rows = Sequence[Mapping[str, Any]]
"""Rows by the names of their columns, which all have the same in the same order."""


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The values in parts of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def among(connection: Connection, place: Any, texts: Collection[str]) -> Any:
    """Whether the column `place` has one of these texts, as a condition with one parameter."""
    if connection.dialect.name == "postgresql":
        return place == any_(_array(texts))
    return place.in_(select(_entries([*texts]).c.value))


def pairs_among(
    connection: Connection, places: tuple[Any, Any], pairs: Collection[tuple[str, str]]
) -> Any:
    """Whether two columns have one of these pairs of texts, as a condition."""
    if connection.dialect.name == "postgresql":
        halves = (func.unnest(_array([pair[half] for pair in pairs])) for half in (0, 1))
        return tuple_(*places).in_(select(*halves))
    entry = _entries([*pairs]).c.value
    return tuple_(*places).in_(
        select(func.json_extract(entry, "$[0]"), func.json_extract(entry, "$[1]"))
    )


def _array(texts: Collection[str]) -> Any:
    return bindparam(None, [*texts], type_=ARRAY(Text), unique=True)


def _entries(values: Sequence[Any]) -> Any:
    text = bindparam(None, orjson.dumps(values).decode(), type_=Text, unique=True)
    return func.json_each(text).table_valued(column("value", Text))


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
