"""Says what has to be installed before a store can be used."""

import importlib.util

from netwatch.core.errors import ConfigError, Problem

_MODULES = ("sqlalchemy", "duckdb", "pyarrow", "fsspec")


def require_extra(command: str) -> None:
    """Raise `ConfigError` for a command where the libraries of a store are not installed."""
    if any(importlib.util.find_spec(module) is None for module in _MODULES):
        message = "a store needs an extra: pip install 'netwatch[store]'"
        raise ConfigError([Problem(command, 0, 0, message)])
