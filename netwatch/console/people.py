"""Who a request is from (the cookie of a session, or the header of a trusted proxy), whom it is
about, for whose purpose the console asks, and under whom the audit has it.

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

from netwatch.console.tables import storable
from netwatch.console.view import Refused, Values, View, parse_pairs

if TYPE_CHECKING:
    from netwatch.console.routes import Route
import ipaddress
from collections.abc import Iterable

from netwatch.config.console_section import Address, ProxyOptions
from netwatch.console.console import Console
from netwatch.console.view import Asked, Identity

MAX_FOREIGN_NAME = 100
"""Characters of the name of an account that a provider or a proxy gives."""

LANGUAGE_SECONDS = 365 * 86_400
"""Seconds for which a browser keeps the language that was chosen."""


class Cookies:
    """The names of the cookies, and how they are set.

    With HTTPS they have the prefix ``__Host-``: a browser then accepts them from this host and by
    HTTPS alone. By plain HTTP, which is served on loopback alone, browsers differ in whether they
    take ``Secure`` there (Safari refuses it), so there are neither.
    """

    def __init__(self, *, is_secure: bool) -> None:
        prefix = "__Host-" if is_secure else ""
        self._secure = "; Secure" if is_secure else ""
        self.session = f"{prefix}netwatch"
        self.form = f"{prefix}netwatch-form"
        self.pending = f"{prefix}netwatch-pending"
        self.language = f"{prefix}netwatch-language"

    def header(self, name: str, value: str, *, lasts: bool = False) -> str:
        """The header that sets a cookie, or removes it where `value` is empty."""
        age = "; Max-Age=0" if not value else f"; Max-Age={LANGUAGE_SECONDS}" if lasts else ""
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{self._secure}{age}"


def identify(console: Console, token: str, asked: Asked) -> Identity | None:
    """Who has the session of a token. It ends where its account has another role by now, or is no
    longer signed in by the proxy or a provider."""
    session = console.sessions.find(token)
    if session is None:
        return None
    if not _is_valid(console, session.account, session.source, session.role, asked):
        console.sessions.end(session.key)
        return None
    account = session.account
    shown = console.names.shown([account])[account] if session.source == "oidc" else account
    return Identity(account, session.source, session.role, session.key, shown)


def _is_valid(console: Console, account: str, source: str, role: str, asked: Asked) -> bool:
    options = console.options
    if source == "local":
        return console.accounts.role_of(account) == role
    if source == "oidc":
        return options.oidc is not None and role in options.oidc.roles.values()
    return proxy_identity(options.proxy, asked) == (account, role)


def proxy_identity(proxy: ProxyOptions | None, asked: Asked) -> tuple[str, str] | None:
    """The account and the role that a trusted proxy says. The headers of anybody else are void; so
    is a header that was sent twice, of which one may be the client's."""
    if proxy is None or not is_in(asked.peer, proxy.addresses):
        return None
    name = asked.headers.get(proxy.user_header.lower(), "").strip()[:MAX_FOREIGN_NAME]
    groups = asked.headers.get(proxy.role_header.lower(), "")
    role = role_of((each.strip() for each in groups.split(",")), proxy.roles)
    return (f"proxy:{name}", role) if name and role else None


def role_of(groups: Iterable[str], roles: object) -> str:
    """The role of the first group in the order of the configuration; empty if there is none."""
    found = set(groups)
    assert isinstance(roles, dict)
    return next((role for group, role in roles.items() if group in found), "")


def client_address(proxy: ProxyOptions | None, asked: Asked) -> str:
    """The address of the client, which a trusted proxy appends to ``X-Forwarded-For``."""
    if proxy is not None and is_in(asked.peer, proxy.addresses):
        last = asked.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if _parsed(last) is not None:
            return last
    return asked.peer


def is_in(text: str, networks: Iterable[Address]) -> bool:
    """Whether a text is an address in one of these networks."""
    address = _parsed(text)
    return address is not None and any(address in network for network in networks)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


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
    for person in route.people:
        if view.query.text(person.name) and view.role not in person.roles:
            raise Refused(403, view.say(
                "Your role sees devices by pseudonyms, so it cannot filter by a device."
            ))  # fmt: skip
    unknown = PERSON_FILTERS.keys() - {person.name for person in route.people}
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
        for person in route.people
        if (text := view.query.text(person.name)) and (subject := person.subject(text))
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
