"""Opens the database of the console, creates it if there is none, and brings an older one up to
date; or looks at its accounts without changing anything.
"""

import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, inspect, select, text, update
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from netwatch.console import tables
from netwatch.console.audit_sealing import Content, seal
from netwatch.console.tables import AUDIT_KEY, KEY_BYTES, KEYS
from netwatch.core import owned_database
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import FileKind, OtherVersionError
from netwatch.store.database import Database, file_engine, open_database
from netwatch.store.erasing import vacuum
from netwatch.store.options import StoreOptions
from netwatch.store.status import open_unchanged

FILE = "console.sqlite"
"""The name of the SQLite database in the folder of the store."""

_WHAT = "the database of the console"
_BATCH = 1000


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
    """The database of the console of a store, which is created if there is none. Raises
    `ConfigError` for a place that is not for one, and `NetwatchError` if it cannot be opened."""
    if options.catalogue or "://" in options.path:
        return _open_server(options)
    return _open_file(Path(options.path))


def has_console(options: StoreOptions) -> bool:
    """Whether a store has the database of a console. Raises `NetwatchError` if that cannot be
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
            raise NetwatchError(f"{path}: is damaged")
        if condition == "missing":
            owned_database.create(path, KIND, _fill)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NetwatchError(f"{path}: cannot be opened: {reason}") from None
    database = Database(file_engine(path), str(path), _WHAT)
    if kind.version != KIND.version:
        with database.writing() as connection:
            _upgrade(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {KIND.version}")
        vacuum(database.engine, [tables.audit], _WHAT)
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


def _upgrade(connection: Connection) -> None:
    """From version 1: purposes belong to persons, and wrong passwords are kept. Sessions end, whose
    rows had one purpose for all persons. From version 2: what the audit says of people is sealed,
    and accounts of a provider have names. Their sessions end, which were begun under a name."""
    found = inspect(connection)
    has_purposes, has_keys, has_names = (
        found.has_table(each.name)
        for each in (tables.purpose, tables.audit_key, tables.foreign_name)
    )
    if not has_purposes:
        tables.session.drop(connection)
    elif not has_names:
        connection.execute(delete(tables.session).where(tables.session.c.source == "oidc"))
    tables.metadata.create_all(connection)
    if not has_keys:
        connection.execute(insert(tables.secret).values(_new_key(AUDIT_KEY)))
        _seal_audit(connection)


def _seal_audit(connection: Connection) -> None:
    """Seal the rows of an older netwatch, whose hashes stay."""
    key = connection.execute(
        select(tables.secret.c.value).where(tables.secret.c.name == AUDIT_KEY)
    ).scalar_one()
    is_server = connection.dialect.name == "postgresql"
    removal = tables.POSTGRES_REMOVAL if is_server else tables.SQLITE_REMOVAL
    for statement in removal:
        connection.execute(text(statement))
    row, last = tables.audit.c, 0
    while found := connection.execute(
        select(row.number, row.subject, row.purpose, row.detail)
        .where(row.number > last)
        .order_by(row.number)
        .limit(_BATCH)
    ).all():
        for each in found:
            content = Content(each.subject, each.purpose, each.detail, "")
            row_key, stored = seal(bytes(key), each.number, content)
            connection.execute(
                update(tables.audit).where(row.number == each.number).values(**stored)
            )
            connection.execute(insert(tables.audit_key).values(number=each.number, key=row_key))
        last = found[-1].number
    for statement in tables.POSTGRES_TRIGGERS if is_server else tables.SQLITE_TRIGGERS:
        connection.execute(text(statement))


def _new_key(name: str) -> dict[str, object]:
    return {"name": name, "value": secrets.token_bytes(KEY_BYTES)}


def _fill(database: sqlite3.Connection) -> None:
    for trigger in tables.SQLITE_TRIGGERS:
        database.execute(trigger)
    database.executemany(
        "INSERT INTO console_secret (name, value) VALUES (:name, :value)", map(_new_key, KEYS)
    )


def _open_server(options: StoreOptions) -> Database:
    """The tables in the database of the catalogue, which comes first: it accepts no database that
    has tables of another program."""
    catalogue = open_database(options, create=True)
    database = Database(catalogue.engine, catalogue.place, _WHAT)
    is_older = False
    try:
        with database.writing(numbers=True) as connection:
            found = inspect(connection)
            if not found.has_table(tables.audit.name):
                tables.metadata.create_all(connection)
                for statement in tables.POSTGRES_TRIGGERS:
                    connection.execute(text(statement))
                connection.execute(insert(tables.secret), list(map(_new_key, KEYS)))
            elif not all(
                found.has_table(each.name) for each in (tables.audit_key, tables.foreign_name)
            ):
                _upgrade(connection)
                is_older = True
        if is_older:
            vacuum(database.engine, [tables.audit], _WHAT)
    except BaseException:
        database.close()
        raise
    return database


def account_counts(options: StoreOptions, timeout: float) -> Mapping[str, int]:
    """How many accounts there are of each role; a console that was never opened has none. A server
    has `timeout` s to answer. Raises `ConfigError` and `NetwatchError`."""
    if options.catalogue or "://" in options.path:
        database = open_unchanged(options, timeout)
    else:
        found = _file(Path(options.path))
        if found is None:
            return {}
        database = found
    role = tables.account.c.role
    try:
        with database.reading(timeout) as connection:
            if not inspect(connection).has_table(tables.account.name):
                return {}
            rows = connection.execute(select(role, func.count()).group_by(role)).all()
    finally:
        database.close()
    return {name: int(number) for name, number in rows}


def _file(folder: Path) -> Database | None:
    path = folder / FILE
    try:
        condition = owned_database.identify(path, KIND)
    except OtherVersionError as error:
        if error.version > KIND.version:
            raise
        condition = "own"  # The table of accounts is the same in all versions.
    if condition == "damaged":
        raise NetwatchError(f"{path}: is damaged")
    return None if condition == "missing" else Database(file_engine(path), str(path))
