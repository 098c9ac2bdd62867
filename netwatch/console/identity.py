"""Who a request is from: the cookie of a session, or the header of a trusted proxy."""

import ipaddress
from collections.abc import Iterable

from netwatch.config.console_section import Address, ProxyOptions
from netwatch.console.asked import Asked
from netwatch.console.console import Console
from netwatch.console.view import Identity

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
