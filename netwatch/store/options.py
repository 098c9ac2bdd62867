"""Where a store is, how long data is kept, and what must be installed to use it."""

import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netwatch.core.errors import ConfigError
from netwatch.core.file_keys import Key, key
from netwatch.core.installing import install_command
from netwatch.core.text import without_secrets
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import TEXT, duration

FOREVER = None
"""A retention without an end."""

_MODULES = ("sqlalchemy", "duckdb", "pyarrow", "fsspec")

_DAYS = duration("a number of days or years like 7d, 30d or 2y, or 'forever'", units="dy", digits=5)


def _read_retention(entry: Fields, key: Key, base: Path) -> Any:
    return FOREVER if entry.value(key.name) == "forever" else _DAYS.read(entry, key, base)


RETENTION = replace(
    _DAYS,
    read=_read_retention,
    schema={"anyOf": [{"enum": ["forever", None]}, {**_DAYS.schema, "type": ["string", "null"]}]},
)
"""A retention, in s; None is for ever."""


def default_path() -> str:
    """The default store of a user."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(data, "netwatch", "store"))


def plain_path(path: str) -> str:
    """The path of a folder without ``..``, resolved as by the file system: after a symbolic link it
    is the parent of its target. A URL is returned unchanged."""
    if "://" in path or ".." not in Path(path).parts:
        return path
    return str(Path(path).resolve())


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept, in s; None is for ever.

    `observations` applies to all facts (observations, flows, claims), `incidents` to incidents and
    coverage, `evidence` to evidence captures. `personal` replaces a longer retention of facts for
    clients in networks of the classes ``personal`` and ``guest``.
    """

    observations: int | None = key(
        RETENTION,
        "facts: observations, flows and address claims. Times are days or years, `30d`, `2y`, "
        "or `forever`",
        shown="for ever",
    )
    incidents: int | None = key(RETENTION, "incidents and coverage", shown="for ever")
    evidence: int | None = key(RETENTION, "evidence captures that netwatch wrote", shown="for ever")
    personal: int | None = key(
        RETENTION,
        "facts of clients in networks of class `personal` and `guest`, if shorter",
        shown="as `observations`",
    )


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """A store: `path` is a folder or a URL that fsspec opens (``s3://…``), `catalogue` the URL of a
    database (``postgresql://…``). If it is empty, the catalogue is the SQLite database
    `catalogue.sqlite` in the folder, and a store at a URL is an error. An open incident is closed
    if its sensor was silent for `unheard` ns (`netwatch.store.unheard`)."""

    path: str = key(
        TEXT,
        "a folder, which is created, or a URL that fsspec opens, like `s3://bucket/netwatch`",
        words="path",
        required="a folder, or a URL like s3://bucket/netwatch",
    )
    catalogue: str = key(
        TEXT,
        "the URL of a PostgreSQL database, like `postgresql://user@host/netwatch`; a store at "
        "a URL needs one",
        shown="an SQLite database in the folder",
    )
    retention: Retention = Retention()
    unheard: int = 3_600_000_000_000

    @property
    def shown(self) -> str:
        """The path without possible secrets of a URL."""
        return without_secrets(self.path)


def require_extra(command: str) -> None:
    """Raise `ConfigError` for a command if the libraries of a store are not installed."""
    if any(importlib.util.find_spec(module) is None for module in _MODULES):
        message = f"a store needs an extra: {install_command('store')}"
        raise ConfigError.of(command, message)
