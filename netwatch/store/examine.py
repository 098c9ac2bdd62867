"""Looks at a store without changing anything in it: an older catalogue is not migrated, and none is
created. Used where somebody only wants to know, as in ``netwatch doctor``, and for what ``store
upgrade`` would do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, create_engine, func, inspect, or_, select, text
from sqlalchemy.pool import NullPool

from netwatch.core import owned_database
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.installing import install_command
from netwatch.core.owned_database import OtherVersionError
from netwatch.store import catalogue_tables as tables
from netwatch.store import migrations
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import FILE, KIND, Database, file_engine, open_database, server_url
from netwatch.store.landing import BUCKET_ROWS
from netwatch.store.migrations import WHAT
from netwatch.store.options import StoreOptions
from netwatch.store.status import StoreStatus, status

_COUNTED = (tables.run, tables.capture, tables.client, tables.incident, tables.coverage)


class NoStoreError(NetwatchError):
    """There is no store yet."""


class OlderSchemaError(NetwatchError):
    """The catalogue is of an older netwatch; the next command that opens it brings it up to
    date."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What is in a store. `waiting` files are for compaction to merge, the `oldest` since then;
    `written` is the time of the newest file of all. Times are ns, None where there is no such file.
    `bytes_by_day` has the bytes of the newest days (``YYYY-MM-DD``)."""

    status: StoreStatus
    waiting: int
    oldest: int | None
    written: int | None
    bytes_by_day: Mapping[str, int]


def examine(options: StoreOptions, timeout: float, days: int = 8) -> Examination:
    """What is in a store, with its `days` newest days. A server has `timeout` s to answer. Raises
    `NoStoreError`, `OlderSchemaError`, `ConfigError` for a newer catalogue or one of something
    else, and `NetwatchError`."""
    database = open_unchanged(options, timeout)
    try:
        return _examined(Catalogue(database), timeout, days)
    finally:
        database.close()


def open_unchanged(options: StoreOptions, timeout: float) -> Database:
    """The database of a catalogue, as it is. Raises as `examine` does."""
    return _server(options, timeout) if options.catalogue else _file(Path(options.path))


def _examined(catalogue: Catalogue, timeout: float, days: int) -> Examination:
    found = status(catalogue)
    file = tables.file.c
    count, size = func.count(), func.sum(file.rows)
    with catalogue.database.reading(timeout) as connection:
        # What compaction merges: one small file of a table and day stays as it is.
        groups = connection.execute(
            select(count, func.min(file.created))
            .where(file.bucket.is_(None))
            .group_by(file.table, file.day)
            .having(or_(count > 1, size >= BUCKET_ROWS))
        ).all()
        written = connection.execute(select(func.max(file.created))).scalar()
        rows = connection.execute(
            select(file.day, func.sum(file.bytes))
            .group_by(file.day)
            .order_by(file.day.desc())
            .limit(days)
        ).all()
    return Examination(
        found,
        waiting=sum(number for number, _ in groups),
        oldest=min((created for _, created in groups), default=None),
        written=written,
        bytes_by_day={day: int(octets) for day, octets in rows},
    )


def _file(folder: Path) -> Database:
    path = folder / FILE
    try:
        condition = owned_database.identify(path, KIND)
    except OtherVersionError as error:
        raise _other(error.version, str(path)) from None
    if condition == "damaged":
        raise NetwatchError(f"{path} is damaged")
    if condition == "missing":
        raise NoStoreError(f"{folder} has no store: 'scan --store' creates one")
    return Database(file_engine(path), str(path))


def _server(options: StoreOptions, timeout: float) -> Database:
    url = server_url(options.catalogue)
    place = url.set(drivername="postgresql").render_as_string(hide_password=True)
    try:
        arguments = {"connect_timeout": max(2, int(timeout))}
        engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
    except ImportError:
        message = f"a catalogue in PostgreSQL needs an extra: {install_command('postgres')}"
        raise ConfigError([Problem(place, 0, 0, message)]) from None
    database = Database(engine, place)
    with database.reading(timeout) as connection:
        names = set(inspect(connection).get_table_names())
        if not names:
            raise NoStoreError(f"{place} has no store: 'scan --store' creates one")
        if not {"store", "capture", "client", "file"} <= names:
            raise ConfigError([Problem(place, 0, 0, "has tables of something else")])
        schema = connection.execute(select(tables.store.c.schema)).scalar_one()
    if schema != tables.SCHEMA_VERSION:
        raise _other(schema, place)
    return database


def _other(schema: int, place: str) -> NetwatchError:
    """The error for a catalogue of another version."""
    try:
        migrations.refuse_unknown(schema, place)
    except ConfigError as error:
        return error
    return OlderSchemaError(
        f"{place} is of an older netwatch (schema {schema}, now {tables.SCHEMA_VERSION}): run"
        " 'netwatch store upgrade', or the next command that opens the store brings it up to date"
    )


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A catalogue of version `schema` at `place`: what each step does by its version, the `rows` of
    its tables by their names, and the `bytes` of it."""

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
