"""What an upgrade of a catalogue would do, without doing it, for ``store upgrade``."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import FILE, Database, open_database
from netwatch.store.migrations import WHAT
from netwatch.store.options import StoreOptions

_COUNTED = (tables.run, tables.capture, tables.client, tables.incident, tables.coverage)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A catalogue of version `schema` at `place`: what each step does by its version, the `rows` of
    its tables by their names, and the `bytes` of it. Facts are not touched."""

    place: str
    schema: int
    steps: tuple[tuple[int, str], ...]
    rows: dict[str, int]
    bytes: int


def needed_upgrade(options: StoreOptions) -> Upgrade | None:
    """What an upgrade would do; None where the catalogue has the present version. Raises
    `ConfigError` for a newer one, and `NetwatchError` where there is none."""
    database = open_database(options, create=False, migrate=False)
    try:
        with database.reading() as connection:
            schema = connection.execute(select(tables.store.c.schema)).scalar_one()
            if schema == tables.SCHEMA_VERSION:
                return None
            names = inspect(connection).get_table_names()
            rows = {
                table.name: connection.execute(
                    select(func.count()).select_from(text(table.name))
                ).scalar_one()
                for table in _COUNTED
                if table.name in names
            }
            size = _size(connection, database, options)
    finally:
        database.close()
    steps = tuple((version + 1, WHAT[version]) for version in range(schema, tables.SCHEMA_VERSION))
    return Upgrade(database.place, schema, steps, rows, size)


def upgrade(options: StoreOptions) -> None:
    """Bring a catalogue to the present version. Raises as `needed_upgrade` does."""
    Catalogue.open(options).close()


def _size(connection: Connection, database: Database, options: StoreOptions) -> int:
    if options.catalogue:
        size = text("SELECT pg_database_size(current_database())")
        return int(connection.execute(size).scalar_one())
    paths = Path(options.path).glob(f"{FILE}*")
    return sum(path.stat().st_size for path in paths)
