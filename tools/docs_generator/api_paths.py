"""The operations of the API, from the table of routes of the console."""

from docs_generator.console_pages import seen_by
from docs_generator.markdown import code, table
from netwatch.config.console_section import ROLES
from netwatch.console.routes import ROUTES


def block(_: str) -> str:
    """The paths: what each answers, its parameters, and which roles may ask."""
    return table(
        ("path", "answers", "parameters", "for"),
        (
            [
                code(route.path if route.method == "GET" else f"{route.method} {route.path}"),
                route.operation.summary,
                code(*(each.name for each in route.operation.parameters)) or "-",
                "everybody" if route.roles is None else seen_by(route.roles or set(ROLES)),
            ]
            for route in ROUTES
            if route.operation is not None
        ),
    )
