"""Secrets of outputs: named in the configuration, read when needed, never shown.

A secret is written as ``{env: NAME}`` or ``{file: path}``, never as itself, so that the
configuration can be shown and kept under version control. It is read anew for each
connection: what was mended in a file holds without a restart. Whatever text leaves a
sink goes through `redacted` first, because receivers like to repeat what they were sent.
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields, YamlMapping

MAX_SECRET = 65536
"""Bytes of a file with a secret in it."""

_EXPECTED = "expected {env: NAME} or {file: path}: a secret is not written in this file"
_SHOWN = 200
_LEAST = 6


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: in the environment variable `env`, else in the file `file`."""

    env: str
    file: Path | None

    def value(self) -> str:
        """The secret, without white space around it. Raises `NetwatchError` where it cannot
        be had; the text says why and does not have the secret in it."""
        if self.file is None:
            found = os.environ.get(self.env, "").strip()
            if not found:
                raise NetwatchError(f"the environment variable {self.env} is not set")
            return found
        try:
            with self.file.open("rb") as stream:
                raw = stream.read(MAX_SECRET + 1)
        except OSError as error:
            raise NetwatchError(f"the secret in {self.file}: {error.strerror}") from None
        if len(raw) > MAX_SECRET:
            raise NetwatchError(f"the secret in {self.file} is larger than {MAX_SECRET} bytes")
        try:
            found = raw.decode().strip()
        except UnicodeDecodeError:
            raise NetwatchError(f"the secret in {self.file} is not UTF-8 text") from None
        if not found:
            raise NetwatchError(f"the secret in {self.file} is empty")
        return found

    def problem(self) -> str:
        """Why the secret cannot be had, or nothing."""
        try:
            self.value()
        except NetwatchError as error:
            return str(error)
        return ""


def take(fields: Fields, key: str, base: Path, required: str = "") -> Secret | None:
    """The secret under `key`; None where it is absent or wrong, which is noted."""
    value = fields.value(key, required)
    if value is None:
        return None
    secret = written(value, base)
    if secret is None:
        fields.add_problem(key, f"'{key}': {_EXPECTED}")
    return secret


def written(value: object, base: Path) -> Secret | None:
    """The secret that a value of the configuration names, or None."""
    if not isinstance(value, YamlMapping) or len(value) != 1:
        return None
    ((kind, name),) = value.items()
    if kind not in ("env", "file") or not isinstance(name, str) or not name.strip():
        return None
    return Secret(name.strip(), None) if kind == "env" else Secret("", base / name.strip())


def redacted(text: str, secrets: Iterable[Secret]) -> str:
    """Text for people that a receiver or a library wrote: no secret, no line break, not
    long."""
    for secret in secrets:
        try:
            value = secret.value()
        except NetwatchError:
            continue
        for form in _forms(value):
            text = text.replace(form, "***")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _forms(value: str) -> Iterator[str]:
    """A secret as it may come back: as it is, quoted, or somewhere in a text of base64, where
    its place among three decides which letters it has there; these at its ends, which
    depend on what stands beside it, stay."""
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    raw = value.encode()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode("ascii")
        inside = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        if len(inside) >= _LEAST:
            yield inside
