"""The tables that ``store sql`` reads, with their columns."""

import tempfile

from docs_generator.markdown import code, table
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.tables import TABLE_TITLES
from netwatch.store.views import Views


def tables_block(_: str) -> str:
    """All tables with their columns, as a store without rows has them."""
    names = list(TABLE_TITLES)
    with tempfile.TemporaryDirectory() as folder:
        options = StoreOptions(f"{folder}/store")
        with (
            open_catalogue(options, create=True) as catalogue,
            Views(catalogue, options, names) as views,
        ):
            columns = {name: _columns(views, name) for name in names}
    rows = [(code(name), title, code(*columns[name])) for name, title in TABLE_TITLES.items()]
    return table(("table", "its rows are", "columns"), rows)


def _columns(views: Views, name: str) -> list[str]:
    return [column for column, *_ in views.connection.execute(f"DESCRIBE {name}").fetchall()]
