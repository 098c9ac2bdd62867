"""Opens the database of the console, creates it where there is none, and brings an older one up to
date."""

import secrets
import sqlite3
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, delete, insert, inspect, select, text
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from netwatch.console import tables
from netwatch.core import owned_database
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import FileKind, OtherVersionError
from netwatch.store.database import Database, file_engine, open_database
from netwatch.store.options import StoreOptions

FILE = "console.sqlite"
"""The name of the SQLite database in the folder of the store."""

PSEUDONYM_KEY = "pseudonym"
"""The name of the key by which devices are called before auditors."""

_WHAT = "the database of the console"


def _create_statements() -> str:
    dialect = sqlite_dialect.dialect()
    statements: list[str] = []
    for table in tables.metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
    return ";".join(statements)


KIND = FileKind("console", 0x4E57636F, tables.SCHEMA_VERSION, _create_statements())  # "NWco"
"""How the SQLite file of a console is recognised, and its tables."""


def open_console(options: StoreOptions) -> Database:
    """The database of the console of a store, which is created where there is none. Raises
    `ConfigError` for a place that is not for one, and `NetwatchError` where it cannot be opened."""
    if options.catalogue or "://" in options.path:
        return _open_server(options)
    return _open_file(Path(options.path))


def has_console(options: StoreOptions) -> bool:
    """Whether a store has the database of a console. Raises `NetwatchError` where that cannot be
    found out."""
    if not options.catalogue and "://" not in options.path:
        return (Path(options.path) / FILE).exists()
    catalogue = open_database(options, create=False)
    try:
        with catalogue.reading() as connection:
            return inspect(connection).has_table(tables.audit.name)
    finally:
        catalogue.close()


def _open_file(folder: Path) -> Database:
    path = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kind = _kind_at(path)
        condition = owned_database.identify(path, kind)
        if condition == "damaged":
            raise NetwatchError(f"{path} is damaged")
        if condition == "missing":
            owned_database.create(path, KIND, _fill)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NetwatchError(f"{path} cannot be opened: {reason}") from None
    database = Database(file_engine(path), str(path), _WHAT)
    if kind.version != KIND.version:
        with database.writing() as connection:
            _upgrade(connection, kind.version)
            connection.exec_driver_sql(f"PRAGMA user_version = {KIND.version}")
    return database


def _kind_at(path: Path) -> FileKind:
    """The kind of file that the database at `path` is, with its version. Raises `ConfigError` for a
    newer one."""
    try:
        owned_database.identify(path, KIND)
    except OtherVersionError as error:
        if error.version > KIND.version:
            raise
        return replace(KIND, version=error.version)
    return KIND


def _upgrade(connection: Connection, version: int) -> None:
    """From version 1: purposes are of persons, and wrong passwords are kept. Sessions end, whose
    rows had one purpose for all persons. From version 2: accounts of a provider have names. Their
    sessions end, which were begun under a name."""
    if version < 2:
        tables.session.drop(connection)
    else:
        connection.execute(delete(tables.session).where(tables.session.c.source == "oidc"))
    tables.metadata.create_all(connection)


def _fill(database: sqlite3.Connection) -> None:
    for trigger in tables.SQLITE_TRIGGERS:
        database.execute(trigger)
    database.execute(
        "INSERT INTO console_secret (name, value) VALUES (?, ?)",
        (PSEUDONYM_KEY, secrets.token_bytes(32)),
    )


def _open_server(options: StoreOptions) -> Database:
    """The tables in the database of the catalogue, which comes first: it accepts no database that
    has tables of something else."""
    catalogue = open_database(options, create=True)
    database = Database(catalogue.engine, catalogue.place, _WHAT)
    try:
        with database.writing(numbers=True) as connection:
            found = inspect(connection)
            if not found.has_table(tables.audit.name):
                tables.metadata.create_all(connection)
                for statement in tables.POSTGRES_TRIGGERS:
                    connection.execute(text(statement))
                key = {"name": PSEUDONYM_KEY, "value": secrets.token_bytes(32)}
                connection.execute(insert(tables.secret).values(key))
            elif not found.has_table(tables.foreign_name.name):
                _upgrade(connection, 2 if found.has_table(tables.purpose.name) else 1)
    except BaseException:
        database.close()
        raise
    return database


def read_secret(database: Database, name: str) -> bytes:
    """A key of the console."""
    with database.reading() as connection:
        found = connection.execute(
            select(tables.secret.c.value).where(tables.secret.c.name == name)
        ).scalar_one()
    return bytes(found)
