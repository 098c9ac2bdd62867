"""Whom a page is about, for whose purpose the console asks: each person anew.

A route says it with a function of its own (`Route.purpose`). The form that states a purpose has
only the place of the page, not the person: who has stated none must not learn from the form whose
incident it is. So the person is found here once more.
"""

from dataclasses import replace
from urllib.parse import unquote

from starlette.routing import compile_path

from netwatch.console.asked import parse_pairs
from netwatch.console.storable import storable
from netwatch.console.view import Values, View


def subject_at(view: View, place: str) -> str:
    """Whom the page at a place of this console is about (``device ws-021``); empty where it asks
    for no purpose, or the role may not see it. Raises `Refused` where it is of nothing there is."""
    from netwatch.console.routes import ROUTES, may

    path, _, query = place.partition("?")
    for route in ROUTES:
        if route.purpose is None or route.method != "GET" or not may(route, view.role):
            continue
        match = compile_path(route.path)[0].match(unquote(path))
        if match is not None:
            parts = {name: storable(value) for name, value in match.groupdict().items()}
            values = Values(parse_pairs(query), view.language)
            there = replace(view, place=path, path=parts, query=values)
            return route.purpose(there)
    return ""
