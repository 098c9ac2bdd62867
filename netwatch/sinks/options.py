"""The values that several outputs and services have in their configuration: files, URLs, hosts,
users, and TLS.

TLS 1.2 is the minimum. The receiver's certificate is always verified, against the configured CA or
otherwise the system's.

Without TLS, anybody on the path can read credentials that cross a network. An output that sends a
password or a token without TLS to another host is refused, unless its configuration says
``insecure: true``; then `netwatch policy check` and `netwatch doctor` warn about it. A proof of a
secret, such as a signature or SCRAM, does not send it.
"""

import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from netwatch.core.addresses import is_loopback
from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind, key, nested
from netwatch.core.file_keys import key as declare
from netwatch.core.tls_sockets import client_context, reason_of
from netwatch.core.user_yaml import Fields, refuse_writable
from netwatch.core.value_kinds import BOOLEAN, TEXT
from netwatch.sinks.secrets import SECRET, Secret

TLS_MEANING = "how the receiver is verified, and our own certificate, see [`tls`](outputs.md#tls)"
"""The meaning of the key with this mapping."""


def read_file_path(fields: Fields, key: str, base: Path) -> Path | None:
    """The path of a file, which must exist and be writable by its owner only; None if there is
    none. A value with several lines is not a path but the contents of the file, which may be secret
    and is not repeated."""
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
"""The path of an existing file that only its owner may write to."""


def _has_userinfo(fields: Fields, key: str, text: str) -> bool:
    """Whether an address contains a user or a password, which is noted as a problem that does not
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
    """Note if one of ``user`` and ``password`` is missing."""
    user, password = found.user, found.password
    if bool(user) != (password is not None) and bool(user) != fields.has("password"):
        missing = "password" if user else "user"
        fields.add_problem(
            "user" if user else "password",
            f"'user' and 'password' are used together, but '{missing}' is missing",
        )
    return Credentials(user, password and replace(password, user=user))


def first_present(fields: Fields, *keys: str) -> str:
    """The first of the keys that has a value, empty if none has."""
    return next((key for key in keys if fields.is_set(key)), "")


def only_secrets(*secrets: Secret | str | None) -> tuple[Secret, ...]:
    """Those of the values that are secrets: optional ones may be None, headers may be text."""
    return tuple(secret for secret in secrets if isinstance(secret, Secret))


Files = TypeVar("Files", bound="TlsFiles")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """`ca` is a PEM file of trusted certificates, None for the system's. `certificate` and
    `key` are our own, for client authentication."""

    ca: Path | None = declare(FILE, "PEM file of the trusted certificates", shown="the system's")
    certificate: Path | None = declare(
        FILE, "PEM file of our client certificate with its chain", name="cert"
    )
    key: Path | None = declare(FILE, "PEM file of the private key of `cert`, not encrypted")

    def context(self) -> ssl.SSLContext:
        """A context for client connections, whose sockets end with the exchange that they belong
        to. Raises `NetwatchError` if a file is not usable."""
        context = client_context(self.ca)
        if self.certificate is not None:
            try:
                # With an empty password, an encrypted key is an error instead of a prompt.
                context.load_cert_chain(self.certificate, self.key, password="")
            except (OSError, ssl.SSLError) as error:
                raise NetwatchError(
                    f"the client certificate in {self.certificate}: {reason_of(error)}"
                ) from None
        return context


@dataclass(frozen=True, slots=True)
class TlsOptions(TlsFiles):
    """`server_name` is the name that the receiver's certificate must be valid for; if empty, the
    host that we connect to."""

    server_name: str = declare(
        TEXT, "the name that the certificate must be valid for", shown="the host"
    )


def _check(found: Files, part: Fields, _: Path) -> Files:
    if found.key and not found.certificate:
        part.add_problem("key", "'key' needs 'cert', the certificate that it belongs to")
    return found


TLS = nested(TlsOptions, check=_check)
"""The mapping ``tls``: None if it is absent."""

TLS_FILES = nested(TlsFiles, check=_check)
"""The same for a receiver whose library decides which name the certificate must be valid for."""

TLS_MEANING = "how the receiver is verified, and our own certificate, see [`tls`](outputs.md#tls)"
"""The meaning of the key with this mapping."""


def insecure_key() -> Any:
    """The key ``insecure``."""
    return key(
        BOOLEAN,
        "whether a password or token may be sent without TLS to a host that is not this one",
        False,
    )


def cleartext_warning(
    fields: Fields, accepted: bool, credential: str, hosts: Iterable[str], remedy: str
) -> str:
    """The warning that follows from the key ``insecure``, which is `accepted`; empty if there is
    none.

    `credential` is the key of what the output sends without TLS (empty: nothing), and `hosts` are
    those that receive or forward it. If one of these is another host and ``insecure`` is not set,
    that is a problem; `remedy` explains how to use TLS.
    """
    others = [host for host in hosts if not is_loopback(host)]
    if not credential or not others:
        return ""
    text = f"'{credential}' is sent in the clear to {others[0]}"
    if accepted:
        return f"{text}; {remedy}"
    fields.add_problem(credential, f"{text}: {remedy}, or accept that with 'insecure: true'")
    return ""
