"""Says what has to be installed before a store can be used."""

import importlib.util

from netwatch.core.errors import ConfigError, Problem
from netwatch.core.installing import install_command

_MODULES = ("sqlalchemy", "duckdb", "pyarrow", "fsspec")


def require_extra(command: str) -> None:
    """Raise `ConfigError` for a command where the libraries of a store are not installed."""
    if any(importlib.util.find_spec(module) is None for module in _MODULES):
        message = f"a store needs an extra: {install_command('store')}"
        raise ConfigError([Problem(command, 0, 0, message)])
