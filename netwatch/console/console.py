"""What all requests to a console share (its configuration, the store, accounts and the audit), who
a request is from (the cookie of a session, or the header of a trusted proxy), whom it is about, for
whose purpose the console asks, and under whom the audit has it.

A page is about a person because its path says so (`Route.purpose`), or because it is filtered by
one. Filters that name a person are declared here, once. A route says which of them it has
(`Route.people`). A page never sees the value of one that its route does not have, so that none can
be filtered by a person unless the console asked why and wrote it down. A role that sees devices by
pseudonyms is refused: a filter that was not applied would be a lie in the audit.

The form that states a purpose has only the place of the page, not the person: who has stated none
must not learn from the form whose incident it is. So the person is found here once more.
"""

import ipaddress
import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Self

from netwatch.charts.render import Renderer
from netwatch.config import Config
from netwatch.config.console_section import Address, ConsoleOptions, ProxyOptions
from netwatch.console.accounts import Accounts, role_of
from netwatch.console.audit import Audit
from netwatch.console.database import open_console
from netwatch.console.period_reports import PeriodReports
from netwatch.console.saved_filters import SavedFilters
from netwatch.console.sensor_counts import SensorCounts
from netwatch.console.sessions import Sessions, Throttle
from netwatch.console.streams import StreamPlaces
from netwatch.console.tables import PSEUDONYM_KEY, read_secret
from netwatch.console.tokens import RequestRate, Tokens
from netwatch.console.triage import Triage
from netwatch.console.view import Asked, Identity, Refused, View
from netwatch.core.errors import NetwatchError
from netwatch.explain.subject import zone_of_ban
from netwatch.rules.bans import Pack, load_pack, pack_ids
from netwatch.rules.catalog import Catalog
from netwatch.store.device_facts import DeviceFactReader
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

if TYPE_CHECKING:
    from netwatch.console.oidc import Provider
    from netwatch.console.routes import Route

MAX_FOREIGN_NAME = 100
"""Characters of the name of an account that a provider or a proxy gives."""

CHOICE_SECONDS = 365 * 86_400
"""Seconds for which a browser keeps the language and the time zone that were chosen."""


class Console:
    """A console over a store, for one process; it is a context that closes it. Raises `ConfigError`
    and `NetwatchError` if the store cannot be opened. `now` is in ns; `report` says what went
    wrong, which browsers are not told."""

    def __init__(
        self,
        config: Config,
        store: StoreOptions,
        options: ConsoleOptions | None = None,
        now: Callable[[], int] = time.time_ns,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.report = report
        self.config = config
        self.store = store
        self.options = options or config.console or ConsoleOptions()
        self.now = now
        self.catalogue = open_catalogue(store)
        try:
            self.device_facts = DeviceFactReader(self.catalogue, store)
            self.database = open_console(store)
        except BaseException:
            self.catalogue.close()
            raise
        self.accounts = Accounts(self.database, now)
        self.sessions = Sessions(self.database, self.options.idle, self.options.absolute, now)
        self.tokens = Tokens(self.database, now)
        self.token_rate = RequestRate()
        self.streams = StreamPlaces()
        self.audit = Audit(self.database, now)
        self.names = self.audit.names
        self.filters = SavedFilters(self.database)
        self.triage = Triage(self.database, now)
        self.tell_triage: Callable[[], None] = lambda: None
        self.pseudonym_key = read_secret(self.database, PSEUDONYM_KEY)
        self.throttle = Throttle(self.database, self.pseudonym_key, now)
        self.provider = self._provider()
        self.renderer = Renderer()
        self.sensor_counts = SensorCounts(self.catalogue)
        self.reports = PeriodReports(self.catalogue, store, config)
        self.zone_of = lru_cache(maxsize=256)(partial(zone_of_ban, config=config))
        self.pack_of = lru_cache(maxsize=256)(partial(_pack_of, catalog=config.catalog))

    def warm(self) -> None:
        """Begin what the first visitors would wait for: the worker of pictures, and the reports of
        the pages whose address has no period. Meant for a thread at the start of a service."""
        try:
            self.reports.warm(self.now())
            self.renderer.warm()
        except NetwatchError as error:
            self.report(str(error))

    def app_name(self, app: str) -> str:
        """The name of the app with an id; the id if no signature knows it."""
        known = self.config.catalog.signatures.get(app)
        return app if known is None else known.app.name

    def close(self) -> None:
        """Close the connections, and end the workers that render pictures and collect reports."""
        self.reports.close()
        self.renderer.close()
        self.database.close()
        self.device_facts.close()
        self.catalogue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _provider(self) -> "Provider | None":
        if self.options.oidc is None:
            return None
        from netwatch.console.oidc import Provider

        return Provider(self.options.oidc, self.database, self.now)


def _pack_of(ban: str, catalog: Catalog) -> Pack | None:
    """The shipped pack that a ban is of; None for one that a configuration writes out."""
    return load_pack(ban, catalog) if ban in pack_ids() else None


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
        self.zone = f"{prefix}netwatch-zone"

    def header(self, name: str, value: str, *, lasts: bool = False) -> str:
        """The header that sets a cookie, or removes it where `value` is empty."""
        age = "; Max-Age=0" if not value else f"; Max-Age={CHOICE_SECONDS}" if lasts else ""
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


def identify_program(console: Console, asked: Asked) -> Identity | None:
    """Who has the token of a request to the API; None if it has none that is valid. Raises
    `Refused` if there were too many requests with it."""
    _, _, secret = asked.headers["authorization"].partition(" ")
    token = console.tokens.find(secret.strip())
    if token is None:
        return None
    if wait := console.token_rate.wait(token.name):
        raise Refused(429, "There were too many requests with this token.", wait)
    account = f"token:{token.name}"
    return Identity(account, "token", token.role, "", account, token.purpose, token.networks)


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
    role = role_of((group.strip() for group in groups.split(",")), proxy.roles)
    return (f"proxy:{name}", role) if name and role else None


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


def _subject(text: str) -> str:
    """Whom rows of the audit are about, without the incident or the list."""
    kind, _, name = text.partition(" ")
    is_person = kind in ("device", "pseudonym", "account") and bool(name.strip())
    return text.partition(", ")[0] if is_person else ""


DEVICE = PersonFilter("device", "device {}".format, frozenset({"analyst", "dpo"}))
NOT_DEVICE = PersonFilter("not-device", lambda _: "", frozenset({"analyst"}))
"""What is left out is not looked at, but who cannot see devices would learn whose rows go."""

ACCOUNT = PersonFilter("account", "account {}".format, frozenset({"dpo"}))
SUBJECT = PersonFilter("subject", _subject, frozenset({"dpo"}))

PERSON_FILTERS = {person.name: person for person in (DEVICE, NOT_DEVICE, ACCOUNT, SUBJECT)}
"""All of them, by their names."""


def admitted(route: "Route", view: View) -> View:
    """A request as the page of a route may see it. Raises `Refused` for a filter that the role may
    not use."""
    for person in route.people:
        if view.query.all(person.name) and view.role not in person.roles:
            raise Refused(403, view.say(
                "Your role sees devices by pseudonyms, so it cannot filter by a device."
            ))  # fmt: skip
    unknown = PERSON_FILTERS.keys() - {person.name for person in route.people}
    pairs, raw = (
        tuple(pair for pair in values if pair[0] not in unknown)
        for values in (view.query.pairs, view.raw_query)
    )
    return replace(view, query=replace(view.query, pairs=pairs), raw_query=raw)


def persons(route: "Route", view: View) -> tuple[str, ...]:
    """Whom a request is about; nobody for most pages. Raises `Refused` where the path names what
    there is not."""
    found = [
        subject
        for person in route.people
        if (text := view.query.text(person.name)) and (subject := person.subject(text))
    ]
    if not found and route.purpose is not None:
        about = route.purpose(view)
        found = [about] if isinstance(about, str) else [*about]
    return tuple(dict.fromkeys(subject for subject in found if subject))
