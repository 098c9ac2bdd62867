"""Whom a request is about, for whose purpose the console asks, and under whom the audit has it.

A page is about a person because its path says so (`Route.purpose`), or because it is filtered by
one. Filters that name a person are declared here, once. A route says which of them it has
(`Route.people`). A page never sees the value of one that its route does not have, so that none can
be filtered by a person unless the console asked why and wrote it down. A role that sees devices by
pseudonyms is refused: a filter that was not applied would be a lie in the audit.

The form that states a purpose has only the place of the page, not the person: who has stated none
must not learn from the form whose incident it is. So the person is found here once more.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.routing import compile_path

from netwatch.console.answers import Refused
from netwatch.console.asked import parse_pairs
from netwatch.console.storable import storable
from netwatch.console.view import Values, View

if TYPE_CHECKING:
    from netwatch.console.routes import Route


@dataclass(frozen=True, slots=True)
class PersonFilter:
    """A value of an address that names a person. `subject` says whom in the words of the audit
    (``"device ws-021"``), and nothing where it names nobody; `roles` may filter by it."""

    name: str
    subject: Callable[[str], str]
    roles: Set[str]


def _device(text: str) -> str:
    return f"device {text}"


def _account(text: str) -> str:
    return f"account {text}"


def _subject(text: str) -> str:
    """Whom rows of the audit are about, without the incident or the list."""
    kind, _, name = text.partition(" ")
    is_person = kind in ("device", "pseudonym", "account") and bool(name.strip())
    return text.partition(", ")[0] if is_person else ""


DEVICE = PersonFilter("device", _device, frozenset({"analyst", "dpo"}))
ACCOUNT = PersonFilter("account", _account, frozenset({"dpo"}))
SUBJECT = PersonFilter("subject", _subject, frozenset({"dpo"}))

PERSON_FILTERS = {each.name: each for each in (DEVICE, ACCOUNT, SUBJECT)}
"""All of them, by their names."""


def admitted(route: "Route", view: View) -> View:
    """A request as the page of a route may see it. Raises `Refused` for a filter that the role may
    not use."""
    for each in route.people:
        if view.query.text(each.name) and view.role not in each.roles:
            raise Refused(403, view.say(
                "Your role sees devices by pseudonyms, so it cannot filter by a device."
            ))  # fmt: skip
    unknown = PERSON_FILTERS.keys() - {each.name for each in route.people}
    pairs, raw = (
        tuple(pair for pair in each if pair[0] not in unknown)
        for each in (view.query.pairs, view.raw_query)
    )
    return replace(view, query=Values(pairs, view.language), raw_query=raw)


def persons(route: "Route", view: View) -> tuple[str, ...]:
    """Whom a request is about; nobody for most pages. Raises `Refused` where the path names what
    there is not."""
    found = [
        subject
        for each in route.people
        if (text := view.query.text(each.name)) and (subject := each.subject(text))
    ]
    if not found and route.purpose is not None:
        found = [route.purpose(view)]
    return tuple(dict.fromkeys(each for each in found if each))


def persons_at(view: View, place: str) -> tuple[str, ...]:
    """Whom the page at a place of this console is about; nobody where it asks for no purpose, or
    the role may not see it. Raises `Refused` where it is of nothing there is."""
    from netwatch.console.routes import ROUTES, may

    path, _, query = place.partition("?")
    for route in ROUTES:
        if route.method != "GET" or not may(route, view.role):
            continue
        match = compile_path(route.path)[0].match(unquote(path))
        if match is not None:
            parts = {name: storable(value) for name, value in match.groupdict().items()}
            values = Values(parse_pairs(query), view.language)
            there = replace(view, place=path, path=parts, query=values)
            return persons(route, admitted(route, there))
    return ()
