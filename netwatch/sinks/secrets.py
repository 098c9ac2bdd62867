"""Secrets of outputs: named in the configuration, read when they are needed, never shown.

A secret is written as ``{env: NAME}`` or ``{file: path}`` and never as its value, so that the
configuration can be shown and kept under version control. It is read again for every connection, so
a corrected file takes effect without a restart.

Receivers tend to repeat what they were sent, and libraries what they were given, in encodings of
their own, so `redact` makes their text safe to show. It looks for a secret as it is and in all
quoted forms: in URLs, JSON, HTML and Python, in base64 at every offset, in any case, and line by
line. The text is only shortened afterwards, because what is left of a cut secret cannot be found.
"""

import base64
import json
import os
import re
import string
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind
from netwatch.core.text import quantity
from netwatch.core.user_yaml import Fields, YamlMapping, read_trusted_file, read_user_file

MAX_SECRET = 4096
"""Bytes of a file that contains a secret, in one line. Other files, which somebody could name to
have them sent away, mostly have more."""

MAX_CREDENTIALS = 65_536
"""Bytes of a file with credentials, which a library reads."""

MAX_SECRET_LINES = 256
"""Lines of credentials, or of a secret in the environment. Each is looked for in text to show."""

_EXPECTED = "expected {env: NAME} or {file: path}: the secret itself must not be in this file"
_NAME = re.compile(r"[^\x00-\x1f\x7f]+")
_MAX_REMEMBERED = 4
_remembered: dict[tuple[str, Path | None, str], list[str]] = {}
_remembered_lock = threading.Lock()

MAX_SHOWN = 200
"""Characters of a receiver's text to show."""

REDACTED = "***"
"""Replaces a secret."""

# As much text as can become `MAX_SHOWN` characters when white space is collapsed.
_MAX_READ = 4096
_MIN_LINE = 4
_MIN_BASE64 = 6
# A long secret is searched for in pieces: patterns have a limited size.
_PIECE = 1024
# The longest form of a character: each of its four bytes as "\\u00xx".
_MAX_GROWTH = 24
# Characters that HTML quotes by a name; `'` is quoted by its number.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_BASE64 = frozenset(string.ascii_letters + string.digits + "+/-_=%")


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: in the file `file` or, if that is None, in the environment variable `env`.
    `user` is the user whose password it is, if it is one: the two are sent together. `literal` is a
    credential that a header of the configuration contains as text. A file `with_lines` has
    credentials, which are not sent as they are."""

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
        # A password may contain characters that Unicode calls line separators.
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
        """The last values, newest first. An answer may repeat a secret that was replaced or removed
        while it was in transit."""
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
        "properties": {name: {"type": "string", "pattern": r"\S"} for name in ("env", "file")},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    },
    _read_secret,
)
"""The name of a secret: ``{env: NAME}`` or ``{file: path}``."""


def parse_secret(value: object, base: Path) -> Secret | None:
    """The secret named by a value of the configuration, or None if it names none."""
    if not isinstance(value, YamlMapping) or len(value) != 1:
        return None
    ((kind, name),) = value.items()
    if kind not in ("env", "file") or not isinstance(name, str):
        return None
    if not _NAME.fullmatch(name.strip()):  # a secret of several lines, written here by mistake
        return None
    return Secret(name.strip(), None) if kind == "env" else Secret("", base / name.strip())


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """The text with each secret replaced by `REDACTED`, without line breaks and control
    characters, and at most `MAX_SHOWN` characters long."""
    patterns = [pattern for secret in secrets for pattern in _patterns_of(secret)]
    # A secret that begins in the shown part is found even if it ends after it.
    reach = _PIECE * _MAX_GROWTH if patterns else 0
    spans = [span for pattern in patterns for span in pattern.spans(text[: _MAX_READ + reach])]
    shown = _masked(text, spans)
    shown = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
    if len(shown) <= MAX_SHOWN and len(text) <= _MAX_READ:
        return shown
    return f"{shown[: MAX_SHOWN - 1]}…"


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The first `_MAX_READ` characters with the spans replaced, which may overlap."""
    parts = []
    position = 0
    for start, end in sorted(spans):
        if start >= _MAX_READ:
            break
        if start > position or not position:
            parts += [text[position:start], REDACTED]
        position = max(position, end)
    parts.append(text[position:_MAX_READ])
    return "".join(parts)


class _Pattern:
    """Finds one form of a secret. With `is_base64` the whole base64 text around it belongs to it,
    whose ends depend on the secret and on its neighbours."""

    def __init__(self, form: str, *, is_base64: bool = False) -> None:
        forms = map(_any_alphabet if is_base64 else _any_quoting, form)
        # A group after the current position, so that overlapping ones are found.
        self._pattern = re.compile(f"(?=({''.join(forms)}))", re.IGNORECASE)
        self._is_base64 = is_base64

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it is in a text: start and end."""
        for match in self._pattern.finditer(text):
            start, end = match.span(1)
            if self._is_base64:
                while start and text[start - 1] in _BASE64:
                    start -= 1
                while end < len(text) and text[end] in _BASE64:
                    end += 1
            yield start, end


def _patterns_of(secret: Secret) -> Iterator[_Pattern]:
    for value in secret.known_values():
        yield from _patterns(value, secret.user)


@lru_cache(maxsize=64)
def _patterns(value: str, user: str) -> tuple[_Pattern, ...]:
    """The patterns of one value of a secret, and of the pair that it forms with its user."""
    texts = {value, *_long_lines(value)}
    found = [_Pattern(piece) for text in texts for piece in _pieces(text)]
    forms = {form for text in texts for form in _base64_forms(text.encode("utf-8", "replace"))}
    # Basic authentication (RFC 7617) and SASL PLAIN (RFC 4616), for secrets of a few letters.
    pairs = (value, f"{user}:{value}", f"\0{user}\0{value}") if user else (value,)
    forms |= {base64.b64encode(pair.encode("utf-8", "replace")).decode() for pair in pairs}
    found += [_Pattern(piece, is_base64=True) for form in forms for piece in _pieces(form)]
    return tuple(found)


def _long_lines(value: str) -> Iterator[str]:
    lines = (line.strip() for line in value.splitlines())
    return (line for line in lines if len(line) >= _MIN_LINE)


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))


def _base64_forms(raw: bytes) -> Iterator[str]:
    """The parts of a base64 text that only depend on `raw`, which is somewhere in the encoded
    bytes.

    Base64 encodes three bytes as four characters, so bytes look different at each of the three
    possible offsets, and the characters at their ends depend on the neighbouring bytes too.
    """
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode("ascii")
        predictable = encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
        if len(predictable) >= _MIN_BASE64:
            yield predictable


@lru_cache(maxsize=1024)
def _any_quoting(character: str) -> str:
    """A pattern for a character in any quoted form."""
    if character.isascii() and character.isalnum():
        code = f"{ord(character):02x}"
        return f"(?:{character}|%{code}|\\\\u00{code})"
    encoded = character.encode("utf-8", "backslashreplace")
    forms = {
        character,
        _ENTITIES.get(character, character),
        f"&#{ord(character)};",
        f"&#x{ord(character):x};",
        f"\\{character}",
        json.dumps(character)[1:-1],
        repr(character)[1:-1],
        encoded.decode("latin-1"),
        "".join(f"%{byte:02x}" for byte in encoded),
        "".join(f"\\x{byte:02x}" for byte in encoded),
        "".join(f"\\u{byte:04x}" for byte in encoded),
    }
    alternatives = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
    if character.isspace():
        alternatives += [r"\+", r"\s+", "%20", "%0d%0a", r"\\r\\n", r"\\[nrt]"]
    if not character.isascii():
        alternatives.append("\ufffd+")  # bytes of another encoding
    return f"(?:{'|'.join(alternatives)})"


def _any_alphabet(character: str) -> str:
    """A pattern for a character of a base64 text, in both alphabets (RFC 4648) and in URLs."""
    others = {"+": r"(?:[+-]|%2b)", "/": r"(?:[/_]|\\/|%2f)", "=": "(?:=|%3d)"}
    return others.get(character, character)
