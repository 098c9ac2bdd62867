"""The pages of the web console, from the table of its routes."""

from collections.abc import Set

from docs_generator.data import rows
from docs_generator.markdown import code, table
from netwatch.config.console_section import ROLES
from netwatch.console.routes import ROUTES


def block(_: str) -> str:
    """The pages of the menu: what they show, and which roles may see them."""
    shown = rows("console_pages")
    pages = {route.path: route.roles or set(ROLES) for route in ROUTES if route.menu}
    return table(
        ("page", "shows", "seen by"),
        ([code(path), shown[path], seen_by(roles)] for path, roles in pages.items()),
    )


def seen_by(roles: Set[str]) -> str:
    """The roles that may see something, in their order."""
    seen = [each for each in ROLES if each in roles]
    return "all" if len(seen) == len(ROLES) else code(*seen)
