"""Many values in one statement.

Databases limit the parameters of a statement, and one whose parameters are counted out costs the
library more than its rows cost the database. So many texts are one parameter: an array of
PostgreSQL, a JSON text in SQLite. Other values are given a bounded number at a time.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, Text, any_, bindparam, column, func, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

CHUNK = 400
"""Values in one statement."""

MANY = 10_000
"""Values of `among` in one statement."""

T = TypeVar("T")


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
