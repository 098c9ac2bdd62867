"""Looks at the accounts of a console without changing anything: no database is created or brought
up to date, as `netwatch.console.database.open_console` does."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import func, inspect, select

from netwatch.console import tables
from netwatch.console.database import FILE, KIND
from netwatch.core import owned_database
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import OtherVersionError
from netwatch.store.database import Database, file_engine
from netwatch.store.examine import open_unchanged
from netwatch.store.options import StoreOptions


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
        raise NetwatchError(f"{path} is damaged")
    return None if condition == "missing" else Database(file_engine(path), str(path))
