"""The kinds of values that only outputs and services have: files, URLs, hosts, and who signs in."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind, key
from netwatch.core.user_yaml import Fields, refuse_writable
from netwatch.core.value_kinds import TEXT
from netwatch.sinks.secrets import SECRET, Secret


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
            fields.add_problem(key, f"'{key}': there is no file {base / text}; check the path")
    except OSError as error:
        fields.add_problem(key, f"'{key}': {base / text} cannot be read: {error.strerror}")
    try:
        refuse_writable(base / text)
    except NetwatchError as error:
        fields.add_problem(key, f"'{key}': {base / text} {error}")
    return base / text


def url_of(*schemes: str) -> Kind:
    """A URL of one of the schemes, without user and password in it."""
    example = f"a URL like {schemes[0]}://siem.example/path"

    def read(entry: Fields, key: Key, _: Path) -> str | None:
        text = entry.text(key.name, required=key.required and example)
        if not text or _has_userinfo(entry, key.name, text):
            return None
        try:
            parts = urlsplit(text)
            valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or not text.isascii() or not text.isprintable() or " " in text:
            entry.add_mismatch(key.name, example)
            return None
        return text

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


def host_port(usual: int) -> Kind:
    """A host name or address, optionally with a port; the port is 0 if there is none."""

    def read(entry: Fields, key: Key, _: Path) -> tuple[str, int] | None:
        text = entry.text(key.name, required=key.required)
        return parse_host_port(entry, key.name, text, 0, usual) if text else None

    return Kind("host:port", TEXT.schema, read, empty=("", 0))


def parse_host_port(
    fields: Fields, key: str, text: str, default_port: int, usual: int
) -> tuple[str, int]:
    """Host and port of ``host``, ``host:port``, an IPv6 address or ``[address]:port``. A problem
    is noted at `key`, with the `usual` port as an example."""
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
        expected = f"host:port, like siem.example:{usual}"
        fields.add_problem(key, f"'{key}': expected {expected}, found '{text}'")
        return "", 0
    return host, default_port if port is None else port


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user with a password, or neither."""

    user: str = key(TEXT, "the user to authenticate as; needs `password`")
    password: Secret | None = key(SECRET, "the password of `user`")


def check_credentials(found: Credentials, fields: Fields, _: Path) -> Credentials:
    """Note where one of ``user`` and ``password`` is missing."""
    user, password = found.user, found.password
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
