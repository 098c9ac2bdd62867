"""The tables that ``store sql`` reads, with their columns."""

import tempfile

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


def columns_block(name: str) -> str:
    """The columns of one table, as a store without rows has them."""
    titles = column_titles(name)
    with tempfile.TemporaryDirectory() as folder:
        options = StoreOptions(f"{folder}/store")
        with (
            Catalogue.open(options, create=True) as catalogue,
            Views(catalogue, options, [name]) as views,
        ):
            found = views.connection.execute(f"DESCRIBE {name}").fetchall()
    rows = [(code(column), code(kind), titles[column]) for column, kind, *_ in found]
    return table(("column", "type", "meaning"), rows)
