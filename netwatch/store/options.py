"""Where a store is, how long it keeps what, and what has to be installed before it can be used."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import ConfigError, Problem
from netwatch.core.installing import install_command
from netwatch.core.secret_urls import without_secrets

FOREVER = None
"""A retention without an end."""

_MODULES = ("sqlalchemy", "duckdb", "pyarrow", "fsspec")


def default_path() -> str:
    """The store of a user whose configuration names none."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(data, "netwatch", "store"))


def plain_path(path: str) -> str:
    """The path of a folder without ``..``, which is followed as the file system does: behind a
    symbolic link it is the parent of its target. A URL is returned as it is."""
    if "://" in path or ".." not in Path(path).parts:
        return path
    return str(Path(path).resolve())


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept, in s; None is for ever.

    `observations` counts for all facts (observations, flows, claims), `incidents` for incidents and
    coverage, `evidence` for evidence captures. `personal` replaces a longer time of facts for
    clients in networks of the classes ``personal`` and ``guest``.
    """

    observations: int | None = FOREVER
    incidents: int | None = FOREVER
    evidence: int | None = FOREVER
    personal: int | None = FOREVER


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """A store: `path` is a folder or a URL that fsspec opens (``s3://…``), `catalogue` the URL of a
    database (``postgresql://…``). Where it is empty, the catalogue is the SQLite database
    `catalogue.sqlite` in the folder, and a store at a URL is an error. An open incident is closed
    if nothing was heard of its sensor for `unheard` ns (`netwatch.store.unheard`)."""

    path: str
    catalogue: str = ""
    retention: Retention = Retention()
    unheard: int = 3_600_000_000_000

    @property
    def shown(self) -> str:
        """The path without the secrets that a URL may have in it."""
        return without_secrets(self.path)


def require_extra(command: str) -> None:
    """Raise `ConfigError` for a command where the libraries of a store are not installed."""
    if any(importlib.util.find_spec(module) is None for module in _MODULES):
        message = f"a store needs an extra: {install_command('store')}"
        raise ConfigError([Problem(command, 0, 0, message)])
