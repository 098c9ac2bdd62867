"""Secrets of outputs: named in the configuration, read when they are needed, never shown.

A secret is written as ``{env: NAME}`` or ``{file: path}`` and never as its value, so that the
configuration can be shown and kept under version control. It is read again for every connection, so
a corrected file takes effect without a restart. Text from receivers and libraries passes through
`redact` before anybody sees it, because receivers tend to repeat what they were sent.
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from netwatch.core.errors import NetwatchError
from netwatch.core.user_files import read_user_file
from netwatch.core.user_yaml import Fields, YamlMapping

MAX_SECRET = 65536
"""Bytes of a file that contains a secret."""

_EXPECTED = "expected {env: NAME} or {file: path}: the secret itself must not be in this file"
_MAX_SHOWN = 200
_MIN_BASE64 = 6


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: in the file `file` or, if that is None, in the environment variable
    `env`."""

    env: str
    file: Path | None

    def value(self) -> str:
        """The secret, without surrounding white space. Raises `NetwatchError` with the reason,
        which never contains the secret, if it cannot be read."""
        if self.file is None:
            value = os.environ.get(self.env, "").strip()
            if not value:
                raise NetwatchError(f"the environment variable {self.env} is not set")
            return value
        try:
            raw = read_user_file(self.file, MAX_SECRET)
        except NetwatchError as error:
            raise NetwatchError(f"the secret in {self.file} {error}") from None
        try:
            value = raw.decode().strip()
        except UnicodeDecodeError:
            raise NetwatchError(f"the secret in {self.file} is not UTF-8 text") from None
        if not value:
            raise NetwatchError(f"the secret in {self.file} is empty")
        return value

    def problem(self) -> str:
        """Why the secret cannot be read, or an empty text if it can."""
        try:
            self.value()
        except NetwatchError as error:
            return str(error)
        return ""


def read_secret(fields: Fields, key: str, base: Path, required: str = "") -> Secret | None:
    """The secret under `key`; None if it is absent or not valid, which is noted as a problem.
    Relative paths count from the folder `base`."""
    value = fields.value(key, required)
    if value is None:
        return None
    secret = parse_secret(value, base)
    if secret is None:
        fields.add_problem(key, f"'{key}': {_EXPECTED}")
    return secret


def parse_secret(value: object, base: Path) -> Secret | None:
    """The secret that a value of the configuration names, or None if it names none."""
    if not isinstance(value, YamlMapping) or len(value) != 1:
        return None
    ((kind, name),) = value.items()
    if kind not in ("env", "file") or not isinstance(name, str) or not name.strip():
        return None
    return Secret(name.strip(), None) if kind == "env" else Secret("", base / name.strip())


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Text from a receiver or a library, made fit to show: without secrets and line breaks, and
    of limited length."""
    for secret in secrets:
        try:
            value = secret.value()
        except NetwatchError:
            continue
        for encoded in _encodings(value):
            text = text.replace(encoded, "***")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def _encodings(value: str) -> Iterator[str]:
    """The forms in which a secret may be repeated: verbatim, quoted, or inside a base64 text.

    Base64 encodes three bytes as four characters, so a secret looks different at each of the three
    possible offsets. The characters at its ends also depend on the neighbouring bytes and cannot
    be predicted; only those between are looked for."""
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    raw = value.encode()
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode("ascii")
        predictable = encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
        if len(predictable) >= _MIN_BASE64:
            yield predictable
