"""Text of receivers and libraries, made fit to show: no secret in it, one line, of limited length.

Receivers tend to repeat what they were sent, and libraries what they were given, in encodings of
their own. A secret is looked for as it is and in the ways in which text is quoted: in URLs, JSON,
HTML and Python, in base64 at every offset, in any case, and line by line. The text is shortened
only afterwards, because what is left of a secret that was cut cannot be found.
"""

import base64
import html
import json
import re
import string
from collections.abc import Iterable, Iterator
from functools import lru_cache

from netwatch.sinks.secrets import Secret

MAX_SHOWN = 200
"""Characters of a receiver's text that are shown."""

REDACTED = "***"
"""Stands where a secret was."""

# As much of a text as can become `MAX_SHOWN` characters when white space is collapsed.
_MAX_READ = 4096
_MIN_LINE = 4
_MIN_BASE64 = 6
# A long secret is looked for in pieces: patterns have a limited size.
_PIECE = 1024
# The longest form of a character: each of its four bytes as "\\u00xx".
_MAX_GROWTH = 24
_BASE64 = frozenset(string.ascii_letters + string.digits + "+/-_=%")


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """The text with each secret replaced by `REDACTED`, without line breaks and control
    characters, and at most `MAX_SHOWN` characters long."""
    patterns = [pattern for secret in secrets for pattern in _patterns_of(secret)]
    # What begins in the part that is shown is found even if it ends behind it.
    reach = _PIECE * _MAX_GROWTH if patterns else 0
    spans = [span for each in patterns for span in each.spans(text[: _MAX_READ + reach])]
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
        # A group behind the position that is looked at, so that overlapping ones are found.
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
    """The parts of a base64 text that depend only on `raw`, which is somewhere in what is encoded.

    Base64 encodes three bytes as four characters, so bytes look different at each of the three
    possible offsets, and the characters at their ends depend on the neighbouring bytes too."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode("ascii")
        predictable = encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
        if len(predictable) >= _MIN_BASE64:
            yield predictable


@lru_cache(maxsize=1024)
def _any_quoting(character: str) -> str:
    """A pattern for a character however it is quoted."""
    if character.isascii() and character.isalnum():
        code = f"{ord(character):02x}"
        return f"(?:{character}|%{code}|\\\\u00{code})"
    encoded = character.encode("utf-8", "backslashreplace")
    forms = {
        character,
        html.escape(character),
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
