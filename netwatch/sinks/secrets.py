"""Secrets of outputs: named in the configuration, read when they are needed, never shown.

A secret is written as ``{env: NAME}`` or ``{file: path}`` and never as its value, so that the
configuration can be shown and kept under version control. It is read again for every connection, so
a corrected file takes effect without a restart. `redaction` removes it from text of others.
"""

import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind
from netwatch.core.text import quantity
from netwatch.core.user_yaml import Fields, YamlMapping, read_trusted_file, read_user_file

MAX_SECRET = 4096
"""Bytes of a file that contains a secret, in one line. Other files, which somebody could have named
to have them sent away, mostly have more."""

MAX_CREDENTIALS = 65_536
"""Bytes of a file with credentials, which a library reads."""

MAX_SECRET_LINES = 256
"""Lines of credentials, or of a secret of the environment. Each is looked for in text that is
shown."""

_EXPECTED = "expected {env: NAME} or {file: path}: the secret itself must not be in this file"
_NAME = re.compile(r"[^\x00-\x1f\x7f]+")
_MAX_REMEMBERED = 4
_remembered: dict[tuple[str, Path | None, str], list[str]] = {}
_remembered_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: in the file `file` or, if that is None, in the environment variable
    `env`. `user` is the user whose password it is, if it is one: the two are sent together.
    `literal` is a credential that a header of the configuration contains as text. A file
    `with_lines` has credentials, which are not sent as they are."""

    env: str
    file: Path | None
    user: str = ""
    literal: str = ""
    with_lines: bool = False

    def value(self) -> str:
        """The secret, without surrounding white space. Raises `NetwatchError` with the reason,
        which never contains the secret, if it cannot be read."""
        value = self._read()
        limit = 1 if self.file is not None and not self.with_lines else MAX_SECRET_LINES
        # A password may contain what Unicode calls a separator of lines.
        if value.replace("\r", "\n").count("\n") >= limit:
            where = self.file or f"the environment variable {self.env}"
            lines = quantity(limit, "line")
            raise NetwatchError(f"the secret in {where} has more than {lines}")
        with _remembered_lock:
            values = _remembered.setdefault((self.env, self.file, self.literal), [])
            if value not in values:
                values[:] = [value, *values[: _MAX_REMEMBERED - 1]]
        return value

    def known_values(self) -> tuple[str, ...]:
        """The values that were read last, newest first. An answer may repeat a secret that was
        replaced or removed while it was under way."""
        with suppress(NetwatchError):
            self.value()
        with _remembered_lock:
            return tuple(_remembered.get((self.env, self.file, self.literal), ()))

    def _read(self) -> str:
        if self.literal:
            return self.literal
        if self.file is None:
            value = os.environ.get(self.env, "").strip()
            if not value:
                raise NetwatchError(f"the environment variable {self.env} is not set")
            return value
        try:
            if self.with_lines:
                raw = read_user_file(self.file, MAX_CREDENTIALS)
            else:
                raw = read_trusted_file(self.file, MAX_SECRET)
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


def _read_secret(entry: Fields, key: Key, base: Path) -> Secret | None:
    value = entry.value(key.name, key.required)
    if value is None:
        return None
    secret = parse_secret(value, base)
    if secret is None:
        entry.add_problem(key.name, f"'{key.name}': {_EXPECTED}")
    return secret


SECRET = Kind(
    "secret",
    {
        "type": "object",
        "properties": {each: {"type": "string", "pattern": r"\S"} for each in ("env", "file")},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    },
    _read_secret,
)
"""The name of a secret: ``{env: NAME}`` or ``{file: path}``."""


def parse_secret(value: object, base: Path) -> Secret | None:
    """The secret that a value of the configuration names, or None if it names none."""
    if not isinstance(value, YamlMapping) or len(value) != 1:
        return None
    ((kind, name),) = value.items()
    if kind not in ("env", "file") or not isinstance(name, str):
        return None
    if not _NAME.fullmatch(name.strip()):  # a secret of several lines, written here by mistake
        return None
    return Secret(name.strip(), None) if kind == "env" else Secret("", base / name.strip())
