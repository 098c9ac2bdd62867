"""``console:`` of netwatch.yaml: where the console listens, who may sign in, and in which role.

Secrets stand in files or the environment, never in the configuration. Times are in s.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.period import read_timezone
from netwatch.core.user_files import refuse_writable
from netwatch.core.user_yaml import Fields, describe, did_you_mean
from netwatch.language.language import LANGUAGES
from netwatch.sinks.options import read_file_path

if TYPE_CHECKING:
    from netwatch.sinks.secrets import Secret

ROLES = ("admin", "analyst", "auditor", "dpo")
"""What an account may be: `admin` sees the configuration and the health of sensors, `analyst`
incidents and devices, `auditor` bans and totals with pseudonyms, `dpo` (data protection officer)
the audit, retention and what is held on one person."""

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8477

Address = ipaddress.IPv4Network | ipaddress.IPv6Network

_NARROW = {4: (24, 16), 6: (64, 48)}
"""The shortest prefix of a range in which only a proxy is, by version: public, and private."""

CHANGEABLE_CLAIMS = frozenset(
    {"preferred_username", "name", "nickname", "given_name", "middle_name", "family_name",
     "profile", "picture", "website", "email", "phone_number", "address", "gender", "birthdate",
     "zoneinfo", "locale"}
)  # fmt: skip
"""Standard claims that people may change themselves (OpenID Connect Core 1.0, section 5.1)."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TIME = re.compile(r"([1-9]\d{0,6})([smhd])")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


@dataclass(frozen=True, slots=True)
class OidcOptions:
    """A provider of OpenID Connect. `roles` maps values of the claim `role_claim` to roles; who has
    none of them may not sign in. The account is that of issuer and ``sub``; `name_claim` is shown
    beside it."""

    issuer: str
    client_id: str
    secret: "Secret | None"
    roles: Mapping[str, str]
    role_claim: str = "groups"
    name_claim: str = "preferred_username"
    scope: str = "openid profile"
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """A reverse proxy that has signed people in. The headers count only in requests from
    `addresses`; `roles` maps values of `role_header` (separated by commas) to roles."""

    addresses: tuple[Address, ...]
    user_header: str
    role_header: str
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """The console. `certificate` and `key` are the paths of files, empty without TLS. `url` is the
    address that browsers know it by, empty if it is the one it listens on. A session ends `idle` s
    after its last request and `absolute` s after its begin. `metrics` is the URL of the endpoint of
    a sensor, `language` and `timezone` are those of who has chosen none."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    certificate: str = ""
    key: str = ""
    url: str = ""
    hosts: tuple[str, ...] = ()
    idle: int = 1800
    absolute: int = 12 * 3600
    language: str = "en"
    timezone: str = "UTC"
    metrics: str = ""
    oidc: OidcOptions | None = None
    proxy: ProxyOptions | None = field(default=None)


def console_section(fields: Fields, base: Path, *, with_secrets: bool = False) -> ConsoleOptions:
    """The console; its defaults without the section. If `with_secrets`, a file that is missing or a
    secret that cannot be read is a mistake; others than the console may not be able to see them."""
    from netwatch.watch.endpoint_options import parse_listen_address

    section = fields.nested("console", "console")
    if section is None:
        return ConsoleOptions()
    host, port = DEFAULT_HOST, DEFAULT_PORT
    try:
        listen = section.text("listen", f"{host}:{port}")
        host, port = parse_listen_address(listen)
    except ValueError as error:
        section.add_problem("listen", f"'listen': {error}")
    certificate, key = _tls(section, base, with_secrets=with_secrets)
    hosts = tuple(name for _, name in section.texts("hosts"))
    for name in hosts:
        if not _HOST.fullmatch(name):
            section.add_problem(
                "hosts", f"'hosts': expected a host name without a port, not {describe(name)}"
            )
    found = ConsoleOptions(
        host,
        port,
        certificate,
        key,
        _url(section, "url"),
        hosts,
        _time(section, "idle", "30m"),
        _time(section, "absolute", "12h"),
        section.choice("language", LANGUAGES, "en"),
        read_timezone(section),
        _url(section, "metrics"),
        _oidc(section, base, with_secrets=with_secrets),
        _proxy(section),
    )
    section.reject_unknown()
    return found


def _tls(section: Fields, base: Path, *, with_secrets: bool) -> tuple[str, str]:
    """The files of the certificate and its key."""
    tls = section.nested("tls", "tls")
    if tls is None:
        return "", ""
    certificate = tls.text("certificate", required="the path of a PEM file")
    key = tls.text("key", required="the path of a PEM file")
    tls.reject_unknown()
    if not certificate or not key:
        return "", ""
    for name, file in (("certificate", certificate), ("key", key)):
        if with_secrets:
            read_file_path(tls, name, base)
            continue
        try:
            refuse_writable(base / file)
        except NetwatchError as error:
            tls.add_problem(name, f"'{name}': {base / file} {error}")
    return str(base / certificate), str(base / key)


def _time(section: Fields, key: str, default: str) -> int:
    written = _TIME.fullmatch(section.text(key, default))
    if not written:
        section.add_mismatch(key, "a time like 90s, 30m, 2h or 1d")
        return 1
    return int(written[1]) * _UNITS[written[2]]


def _url(section: Fields, key: str) -> str:
    """An address of HTTP, without the slash at its end."""
    text = section.text(key)
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_valid = is_valid and (parts.port is None or parts.port > 0)
    except ValueError:
        is_valid = False
    if text and not is_valid:
        section.add_mismatch(key, "an address like https://netwatch.example")
        return ""
    return text.rstrip("/")


def _oidc(section: Fields, base: Path, *, with_secrets: bool) -> OidcOptions | None:
    from netwatch.sinks.secrets import parse_secret

    oidc = section.nested("oidc", "oidc")
    if oidc is None:
        return None
    oidc.value("issuer", required="the address of the provider, like https://id.example")
    written = oidc.value("client_secret")
    secret = None if written is None else parse_secret(written, base)
    if written is not None and secret is None:
        oidc.add_problem(
            "client_secret",
            "'client_secret': expected {file: path} or {env: NAME}: the secret itself must not be"
            " in this file",
        )
    if with_secrets and secret is not None and (reason := secret.problem()):
        oidc.add_problem("client_secret", f"'client_secret': {reason}")
    ca_file = oidc.text("ca_file")
    if with_secrets:
        read_file_path(oidc, "ca_file", base)
    role_claim = oidc.text("role_claim", "groups")
    name_claim = oidc.text("name_claim", "preferred_username")
    if role_claim in CHANGEABLE_CLAIMS or role_claim == name_claim:
        oidc.add_problem(
            "role_claim",
            f"'role_claim': expected a claim that nobody can change for themselves, like groups,"
            f" found {describe(role_claim)}: whoever takes such a name would have its role",
        )
    found = OidcOptions(
        _url(oidc, "issuer"),
        oidc.text("client_id", required="the name of this console at the provider"),
        secret,
        _roles(oidc),
        role_claim,
        name_claim,
        oidc.text("scope", "openid profile"),
        str(base / ca_file) if ca_file else "",
    )
    oidc.reject_unknown()
    return found


def _proxy(section: Fields) -> ProxyOptions | None:
    proxy = section.nested("proxy", "proxy")
    if proxy is None:
        return None
    addresses: list[Address] = []
    required = "the addresses of the proxy, like [192.0.2.10]"
    for line, text in proxy.texts("addresses", required):
        try:
            addresses.append(ipaddress.ip_network(text))
        except ValueError:
            message = f"'addresses': expected an address or a range, found {describe(text)}"
            proxy.problems.add(proxy.file, line, message)
    if _has_everybody(addresses):
        proxy.add_problem(
            "addresses",
            "'addresses': expected the addresses of the proxy, like [192.0.2.10], found every"
            " address there is: whoever reaches the console could sign in as anybody",
        )
    headers = [
        proxy.text("user_header", "X-Remote-User"),
        proxy.text("role_header", "X-Remote-Groups"),
    ]
    for key, header in zip(("user_header", "role_header"), headers, strict=True):
        if not _HEADER.fullmatch(header):
            proxy.add_mismatch(key, "the name of a header, like X-Remote-User")
    found = ProxyOptions(tuple(addresses), headers[0], headers[1], _roles(proxy))
    proxy.reject_unknown()
    return found


def _has_everybody(addresses: Sequence[Address]) -> bool:
    """Whether ranges have all addresses of IPv4 or of IPv6 together."""
    v4 = [each for each in addresses if isinstance(each, ipaddress.IPv4Network)]
    v6 = [each for each in addresses if isinstance(each, ipaddress.IPv6Network)]
    wholes: list[Address] = [*ipaddress.collapse_addresses(v4)]
    wholes += ipaddress.collapse_addresses(v6)
    return any(each.prefixlen == 0 for each in wholes)


def wide_addresses(proxy: ProxyOptions) -> tuple[Address, ...]:
    """The ranges of a proxy that have others in them as well: public ones above `/24` or `/64`,
    private ones above `/16` or `/48`. Each machine there can sign in as anybody."""
    return tuple(
        each
        for each in proxy.addresses
        if each.prefixlen < _NARROW[each.version][each.is_private or each.is_link_local]
    )


def _roles(section: Fields) -> Mapping[str, str]:
    """What groups are called elsewhere, and their roles here."""
    mapping = section.value("roles", required="a mapping like {netwatch-analysts: analyst}")
    if mapping is None:
        return {}
    if not isinstance(mapping, dict):
        section.add_mismatch("roles", "a mapping like {netwatch-analysts: analyst}")
        return {}
    roles = {}
    for group, role in mapping.items():
        if role not in ROLES:
            hint = did_you_mean(str(role), ROLES)
            section.add_problem(
                "roles",
                f"'roles': expected one of {', '.join(ROLES)} for {describe(group)}, found"
                f" {describe(role)}{hint}",
            )
        else:
            roles[str(group)] = str(role)
    return roles
