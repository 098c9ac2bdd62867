"""The tables that ``store sql`` reads, with their columns."""

import tempfile
from functools import cache

from docs_generator.markdown import code, table
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.tables import TABLE_TITLES, column_titles
from netwatch.store.views import Views


def tables_block(_: str) -> str:
    """All tables."""
    return table(
        ("table", "its rows are"), [(code(name), title) for name, title in TABLE_TITLES.items()]
    )


SHOWN = ("observation", "flow", "claim", "incident", "coverage", "evidence", "version")
"""The tables whose columns the guide shows."""


def columns_block(name: str) -> str:
    """The columns that only this table has; of ``several``, those of several tables."""
    all_of = {each: _columns(each) for each in SHOWN}
    among = {
        row: [each for each, rows in all_of.items() if row in rows]
        for rows in all_of.values()
        for row in rows
    }
    if name == "several":
        shared = [
            (column, kind, code(*tables), title)
            for (column, kind, title), tables in among.items()
            if len(tables) > 1
        ]
        return table(("column", "type", "tables", "meaning"), shared)
    own = [row for row in all_of[name] if len(among[row]) == 1]
    return table(("column", "type", "meaning"), own)


@cache
def _columns(name: str) -> tuple[tuple[str, str, str], ...]:
    """Column, type and meaning, as a store without rows has them."""
    titles = column_titles(name)
    with tempfile.TemporaryDirectory() as folder:
        options = StoreOptions(f"{folder}/store")
        with (
            Catalogue.open(options, create=True) as catalogue,
            Views(catalogue, options, [name]) as views,
        ):
            found = views.connection.execute(f"DESCRIBE {name}").fetchall()
    return tuple((code(column), code(kind), titles[column]) for column, kind, *_ in found)
