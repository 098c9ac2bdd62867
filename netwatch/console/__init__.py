"""The web console: what a store knows, for people who would rather look than read.

Everything is rendered on the server and works without script. Who may see which page stands in one
table, `netwatch.console.routes`, whose head says how a page is added. This package needs the extra
``web`` (Starlette, uvicorn, Jinja2, argon2-cffi), and for OpenID Connect the extra ``oidc``, which
its modules import only when they are used.
"""

import importlib.util

from netwatch.core.errors import ConfigError
from netwatch.core.installing import install_command
from netwatch.store.options import require_extra as require_store

_WEB = ("starlette", "uvicorn", "jinja2", "argon2")
_OIDC = ("authlib", "joserfc")


def require_extra(command: str) -> None:
    """Raise `ConfigError` for a command where the libraries of the console, or of a store, are not
    installed."""
    require_store(command)
    _require(command, _WEB, "the console", "web")


def require_oidc(command: str) -> None:
    """The same for OpenID Connect."""
    _require(command, _OIDC, "'oidc' of the console", "oidc")


def _require(command: str, modules: tuple[str, ...], what: str, extra: str) -> None:
    if any(importlib.util.find_spec(module) is None for module in modules):
        message = f"{what} needs an extra: {install_command(extra)}"
        raise ConfigError.of(command, message)
