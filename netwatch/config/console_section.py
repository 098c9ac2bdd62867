"""``console:`` of netwatch.yaml: where the console listens, who may sign in, and in which role.

Secrets are in files or the environment, never in the configuration. Times are in s.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind, nested, read_section
from netwatch.core.file_keys import key as declare
from netwatch.core.user_yaml import Fields, describe, did_you_mean, refuse_writable
from netwatch.core.value_kinds import (
    HOST_NAMES,
    PATH,
    TEXT,
    TIMEZONE,
    choice,
    duration,
    matching_text,
    parsed,
    texts,
)
from netwatch.language.language import LANGUAGES
from netwatch.sinks.options import read_file_path
from netwatch.sinks.secrets import SECRET, Secret, parse_secret
from netwatch.watch.endpoint_options import parse_listen_address

ROLES = ("admin", "analyst", "auditor", "dpo")
"""The roles of an account: `admin` sees the configuration and the health of sensors, `analyst`
incidents and devices, `auditor` bans and totals with pseudonyms, `dpo` (data protection officer)
the audit, the retention and the data held about one person."""

Address = ipaddress.IPv4Network | ipaddress.IPv6Network

_NARROW = {4: (24, 16), 6: (64, 48)}
"""The shortest prefix of a range that is considered to contain only a proxy, by version: public,
and private."""

CHANGEABLE_CLAIMS = frozenset(
    {"preferred_username", "name", "nickname", "given_name", "middle_name", "family_name",
     "profile", "picture", "website", "email", "phone_number", "address", "gender", "birthdate",
     "zoneinfo", "locale"}
)  # fmt: skip
"""Standard claims that people may change themselves (OpenID Connect Core 1.0, section 5.1)."""

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


def _url(text: str) -> str | None:
    """An HTTP address, without the slash at its end."""
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_valid = is_valid and (parts.port is None or parts.port > 0)
    except ValueError:
        is_valid = False
    return text.rstrip("/") if is_valid else None


def _read_client_secret(oidc: Fields, declared: Key, base: Path) -> Secret | None:
    written = oidc.value(declared.name)
    secret = None if written is None else parse_secret(written, base)
    if written is not None and secret is None:
        oidc.add_problem(
            "client_secret",
            "'client_secret': expected {file: path} or {env: NAME}: the secret itself must not be"
            " in this file",
        )
    return secret


def _read_roles(section: Fields, declared: Key, _: Path) -> Mapping[str, str] | None:
    mapping = section.value("roles", required=declared.required)
    if mapping is None:
        return None
    if not isinstance(mapping, dict):
        section.add_mismatch("roles", declared.required)
        return None
    for group, role in mapping.items():
        if role not in ROLES:
            hint = did_you_mean(str(role), ROLES)
            section.add_problem(
                "roles",
                f"'roles': expected one of {', '.join(ROLES)} for {describe(group)}, found"
                f" {describe(role)}{hint}",
            )
    return {str(group): str(role) for group, role in mapping.items()}


def _read_address(proxy: Fields, declared: Key, line: int, text: str) -> Address | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        message = f"'addresses': expected an address or a range, found {describe(text)}"
        proxy.problems.add(proxy.file, line, message)
        return None


_URL = parsed("text", _url, "an address like https://netwatch.example", empty="")
_TIME = partial(duration, digits=7)
_SECRET = Kind("secret", SECRET.schema, _read_client_secret)
_HEADER_NAME = matching_text(_HEADER, "the name of a header, like X-Remote-User")
_ROLES = Kind(
    "mapping",
    {"type": "object", "additionalProperties": {"enum": [*ROLES]}},
    _read_roles,
    empty={},
)
_EXAMPLE_ROLES = "a mapping like {netwatch-analysts: analyst}"


@dataclass(frozen=True, slots=True)
class OidcOptions:
    """A provider of OpenID Connect. `roles` maps values of the claim `role_claim` to roles; users
    without one may not sign in. The account is identified by issuer and ``sub``; `name_claim` is
    shown next to it."""

    issuer: str = declare(
        _URL,
        "the address of the provider, as its tokens name it",
        required="the address of the provider, like https://id.example",
    )
    client_id: str = declare(
        TEXT,
        "the name of the console at the provider",
        required="the name of this console at the provider",
    )
    secret: Secret | None = declare(
        _SECRET, "`{file: path}` or `{env: NAME}`", name="client_secret"
    )
    roles: Mapping[str, str] = declare(
        _ROLES, "values of the claim, and the role that each gives", required=_EXAMPLE_ROLES
    )
    role_claim: str = declare(TEXT, "the claim that has one value, or a list of them", "groups")
    name_claim: str = declare(TEXT, "the claim that names the account", "preferred_username")
    scope: str = declare(TEXT, "the scopes that are asked for", "openid profile")
    ca_file: Path | None = declare(
        PATH, "the certificates of authorities, PEM", shown="the system's"
    )


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """A reverse proxy that terminates TLS, and signs people in if it has `roles`. Its headers count
    only in requests from `addresses`; `roles` maps values of `role_header` (separated by commas) to
    roles."""

    addresses: tuple[Address, ...] = declare(
        texts("list of ranges", _read_address),
        "the proxy; the headers of others are void",
        required="the addresses of the proxy, like [192.0.2.10]",
    )
    user_header: str = declare(
        _HEADER_NAME, "the header with the name of the account", "X-Remote-User"
    )
    role_header: str = declare(
        _HEADER_NAME, "the header with the groups, separated by commas", "X-Remote-Groups"
    )
    roles: Mapping[str, str] = declare(
        _ROLES,
        "groups of the proxy, and the role that each gives. Without it, the proxy signs nobody in"
        " and only says where clients come from",
        shown="`{}`",
    )

    @property
    def power(self) -> str:
        """What whoever is at the address of the proxy can do."""
        return "sign in as any user" if self.roles else "choose the address that the audit has"


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """The files of a certificate and its key; None without TLS."""

    certificate: Path | None = declare(
        PATH, "the certificate with its chain, PEM", required="the path of a PEM file"
    )
    key: Path | None = declare(PATH, "its private key, PEM", required="the path of a PEM file")


def _check_oidc(found: OidcOptions, oidc: Fields, _: Path) -> OidcOptions:
    if found.role_claim in CHANGEABLE_CLAIMS or found.role_claim == found.name_claim:
        oidc.add_problem(
            "role_claim",
            "'role_claim': expected a claim that users cannot change themselves, like groups,"
            f" found {describe(found.role_claim)}: a user who chose such a name would get its role",
        )
    return found


def _check_proxy(found: ProxyOptions, proxy: Fields, _: Path) -> ProxyOptions:
    if _has_everybody(found.addresses):
        proxy.add_problem(
            "addresses",
            "'addresses': expected the addresses of the proxy, like [192.0.2.10], found all"
            f" addresses: anyone who reaches the console could {found.power}",
        )
    return found


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """The console. `tls` has no files without TLS. `url` is its address for browsers, empty if it
    is the one it listens on. A session ends `idle` s after its last request and `absolute` s after
    its start. `metrics` is the URL of a sensor's endpoint, `language` and `timezone` are the
    defaults for accounts that chose none."""

    listen: tuple[str, int] = declare(
        parsed("text", parse_listen_address),
        "address and port. Another address than one of loopback needs `tls` and an account",
        "127.0.0.1:8477",
    )
    tls: ServerCertificate = declare(
        nested(ServerCertificate, empty=ServerCertificate()),
        "the certificate of the console",
    )
    url: str = declare(
        _URL,
        "the address that browsers know the console by, such as `https://netwatch.example`; "
        "behind a proxy it is needed",
        shown="the address it listens on",
    )
    hosts: tuple[str, ...] = declare(
        HOST_NAMES,
        "host names under which the console may be asked, besides `localhost`, addresses, the host"
        " name of this machine and the host of `url`",
        shown="`[]`",
    )
    idle: int = declare(_TIME(), "a session ends this long after its last request", "30m")
    absolute: int = declare(_TIME(), "a session ends this long after its begin", "12h")
    language: str = declare(
        choice(LANGUAGES), "`en`, `fr`, `nl` or `de`, unless the user has chosen another", "en"
    )
    timezone: str = declare(
        TIMEZONE, "the time zone of pages that are not about a single ban", "UTC"
    )
    metrics: str = declare(_URL, "the URL of the metrics endpoint of a sensor")
    triage_outputs: tuple[str, ...] = declare(
        texts("list of names"),
        "names of `outputs` with a format, which get the record of an incident again, with"
        " `triage`, whenever people have decided something of it",
        shown="`[]`",
    )
    oidc: OidcOptions | None = declare(
        nested(OidcOptions, check=_check_oidc),
        "a provider of OpenID Connect that signs people in",
    )
    proxy: ProxyOptions | None = declare(
        nested(ProxyOptions, check=_check_proxy),
        "a reverse proxy in front of the console; it may also sign people in",
    )

    @property
    def signs_in_elsewhere(self) -> bool:
        """Whether somebody without a local account can sign in."""
        return self.oidc is not None or (self.proxy is not None and bool(self.proxy.roles))

    @property
    def hides_addresses(self) -> bool:
        """Whether a proxy terminates TLS that may not say where clients come from."""
        is_behind = self.url.startswith("https://") and not self.tls.certificate
        return is_behind and self.proxy is None

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen[0]

    @property
    def port(self) -> int:
        """The port to listen on."""
        return self.listen[1]


def console_section(fields: Fields, base: Path, *, with_secrets: bool = False) -> ConsoleOptions:
    """The console; its defaults without the section. If `with_secrets`, a file that is missing or a
    secret that cannot be read is a mistake; other processes may not be able to see them."""
    section = fields.nested("console", "console")
    if section is None:
        return ConsoleOptions()
    found = read_section(ConsoleOptions, section, base)
    _check_certificate(section, found.tls, base, must_exist=with_secrets)
    if with_secrets and found.oidc is not None:
        _check_provider(section, found.oidc, base)
    return found


def _check_certificate(
    section: Fields, files: ServerCertificate, base: Path, *, must_exist: bool
) -> None:
    tls = section.nested("tls", "tls") if files.certificate and files.key else None
    if tls is None:
        return
    for name, file in (("certificate", files.certificate), ("key", files.key)):
        if must_exist:
            read_file_path(tls, name, base)
            continue
        try:
            refuse_writable(base / str(file))
        except NetwatchError as error:
            tls.add_problem(name, f"'{name}': {file} {error}")


def _check_provider(section: Fields, found: OidcOptions, base: Path) -> None:
    oidc = section.nested("oidc", "oidc")
    if oidc is None:
        return
    if found.secret is not None and (reason := found.secret.problem()):
        oidc.add_problem("client_secret", f"'client_secret': {reason}")
    read_file_path(oidc, "ca_file", base)


def check_triage_outputs(
    fields: Fields, found: ConsoleOptions, outputs: Mapping[str, bool]
) -> None:
    """Note names of `triage_outputs` that are of no output. `outputs` says of each by its name
    whether it sends records; a message to people would look like another alarm."""
    section = fields.nested("console", "console")
    for name in found.triage_outputs:
        if section is not None and not outputs.get(name):
            fits = [each for each, sends_records in outputs.items() if sends_records]
            expected = (
                "an output that sends records" if name in outputs else "the name of an output"
            )
            section.add_problem(
                "triage_outputs",
                f"'triage_outputs': expected {expected}, found"
                f" {describe(name)}{did_you_mean(name, fits)}",
            )


def _has_everybody(addresses: Sequence[Address]) -> bool:
    """Whether ranges together cover all addresses of IPv4 or of IPv6."""
    v4 = [address for address in addresses if isinstance(address, ipaddress.IPv4Network)]
    v6 = [address for address in addresses if isinstance(address, ipaddress.IPv6Network)]
    wholes: list[Address] = [*ipaddress.collapse_addresses(v4)]
    wholes += ipaddress.collapse_addresses(v6)
    return any(whole.prefixlen == 0 for whole in wholes)


def wide_addresses(proxy: ProxyOptions) -> tuple[Address, ...]:
    """A proxy's ranges that also contain other machines: public ones above `/24` or `/64`, private
    ones above `/16` or `/48`. Each machine there is taken for the proxy."""
    return tuple(
        address
        for address in proxy.addresses
        if address.prefixlen < _NARROW[address.version][address.is_private or address.is_link_local]
    )
