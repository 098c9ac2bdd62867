"""Readers for the options of outputs, shared so that every sink spells and checks values alike.

Each reader takes one key of a mapping in netwatch.yaml, notes a problem with its line if the value
is not valid, and then returns the default. `Option` describes a key for the documentation.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind
from netwatch.core.user_files import refuse_writable
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import TEXT
from netwatch.sinks.secrets import Secret, read_secret

_SIZE = re.compile(r"([1-9]\d{0,11})([kMG]?)")
_SIZE_FACTORS = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_DURATION = re.compile(r"([1-9]\d{0,8})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Option:
    """A key of an output, as the reference page describes it. A key of a nested mapping is written
    with its path (``tls.ca``). `kind` is the kind of value, `default` what applies if the key is
    absent (empty: nothing), in words or as written in YAML."""

    key: str
    kind: str
    description: str
    default: str = ""
    required: bool = False


def read_size(fields: Fields, key: str, default: int, minimum: int = 1) -> int:
    """A size in bytes, written as ``65536``, ``64k``, ``10M`` or ``1G`` (powers of 1024)."""
    text = fields.text(key)
    if not text:
        return default
    match = _SIZE.fullmatch(text)
    if not match or int(match[1]) * _SIZE_FACTORS[match[2]] < minimum:
        at_least = f" of at least {minimum:,} bytes" if minimum > 1 else ""
        fields.add_mismatch(key, f"a size{at_least} like 65536, 64k, 10M, 1G")
        return default
    return int(match[1]) * _SIZE_FACTORS[match[2]]


def read_duration(fields: Fields, key: str, default: float) -> float:
    """A duration in s, written as ``90s``, ``30m``, ``2h`` or ``1d``."""
    text = fields.text(key)
    if not text:
        return default
    match = _DURATION.fullmatch(text)
    if not match:
        fields.add_mismatch(key, "a duration like 90s, 30m, 2h, 1d")
        return default
    return float(int(match[1]) * _SECONDS[match[2]])


def read_file_path(fields: Fields, key: str, base: Path) -> Path | None:
    """The path of a file, which must exist and to which nobody but its owner may write; None if
    there is none. What has several lines is not a
    path but the contents of the file, which may be secret and is not repeated."""
    text = fields.text(key)
    if not text:
        return None
    if not text.isprintable():
        fields.add_problem(key, f"'{key}': expected the path of a file, found its contents")
        return None
    try:
        if not (base / text).is_file():
            fields.add_problem(key, f"'{key}': there is no file {base / text}")
    except OSError as error:
        fields.add_problem(key, f"'{key}': {base / text} cannot be read: {error.strerror}")
    try:
        refuse_writable(base / text)
    except NetwatchError as error:
        fields.add_problem(key, f"'{key}': {base / text} {error}")
    return base / text


def read_integer(fields: Fields, key: str, default: int, *, minimum: int, maximum: int) -> int:
    """An integer from `minimum` to `maximum`."""
    value = fields.value(key)
    if value is None:
        return default
    valid = isinstance(value, int) and not isinstance(value, bool)
    if not valid or not minimum <= value <= maximum:
        fields.add_mismatch(key, f"an integer from {minimum} to {maximum}")
        return default
    return int(value)


def read_boolean(fields: Fields, key: str, default: bool) -> bool:
    """``true`` or ``false``."""
    value = fields.value(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        fields.add_mismatch(key, "true or false")
        return default
    return value


def read_url(fields: Fields, key: str = "url", schemes: tuple[str, ...] = ("https", "http")) -> str:
    """A URL of one of the schemes, without user and password in it. Required."""
    example = f"{schemes[0]}://siem.example/path"
    text = fields.text(key, required=f"a URL like {example}")
    if not text or _has_userinfo(fields, key, text):
        return ""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not text.isascii() or not text.isprintable() or " " in text:
        fields.add_mismatch(key, f"a URL like {example}")
        return ""
    return text


def url_of(*schemes: str) -> Kind:
    """A URL of one of the schemes, without user and password in it."""

    def read(entry: Fields, key: Key, _: Path) -> str | None:
        if entry.value(key.name) is None and not key.required:
            return None
        return read_url(entry, key.name, schemes) or None

    return Kind("URL", TEXT.schema, read, empty="")


FILE = Kind("path", TEXT.schema, lambda entry, key, base: read_file_path(entry, key.name, base))
"""The path of a file that exists, and to which nobody but its owner may write."""


def _has_userinfo(fields: Fields, key: str, text: str) -> bool:
    """Whether an address has a user or a password in it, which is noted as a problem that does not
    repeat them."""
    authority = re.split(r"[/?#]", text.partition("://")[2] or text, maxsplit=1)[0]
    if "@" not in authority:
        return False
    fields.add_problem(key, f"'{key}' contains a user or password: use the keys for these instead")
    return True


def read_host_port(fields: Fields, key: str, default_port: int, required: str) -> tuple[str, int]:
    """A host name or address, optionally with a port. Required; `required` says what it is."""
    text = fields.text(key, required=required)
    return parse_host_port(fields, key, text, default_port) if text else ("", 0)


def parse_host_port(fields: Fields, key: str, text: str, default_port: int) -> tuple[str, int]:
    """Host and port of ``host``, ``host:port``, an IPv6 address or ``[address]:port``. A problem
    is noted at `key`."""
    if _has_userinfo(fields, key, text):
        return "", 0
    try:
        bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
        parts = urlsplit(f"//[{text}]" if bare_ipv6 else f"//{text}")
        host, port = parts.hostname or "", parts.port
        valid = bool(host) and parts.path == "" and port != 0
    except ValueError:
        valid = False
    if not valid:
        expected = f"host:port, like siem.example:{default_port}"
        fields.add_problem(key, f"'{key}': expected {expected}, found '{text}'")
        return "", 0
    return host, default_port if port is None else port


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user with a password, or neither."""

    user: str = ""
    password: Secret | None = None


CREDENTIAL_OPTIONS = (
    Option("user", "text", "The user to authenticate as. Needs `password`."),
    Option("password", "secret", "The password of `user`."),
)


def read_credentials(fields: Fields, base: Path) -> Credentials:
    """The keys ``user`` and ``password``: both or neither."""
    user, password = fields.text("user"), read_secret(fields, "password", base)
    if bool(user) != (password is not None) and bool(user) != fields.has("password"):
        missing = "password" if user else "user"
        fields.add_problem(
            "user" if user else "password",
            f"'user' and 'password' are used together, but '{missing}' is missing",
        )
    return Credentials(user, password and replace(password, user=user))


def first_present(fields: Fields, *keys: str) -> str:
    """The first of the keys that is in the mapping, empty if none is."""
    return next((key for key in keys if fields.has(key)), "")


def only_secrets(*secrets: Secret | str | None) -> tuple[Secret, ...]:
    """Those of the values that are secrets: optional ones may be None, headers may be text."""
    return tuple(secret for secret in secrets if isinstance(secret, Secret))
