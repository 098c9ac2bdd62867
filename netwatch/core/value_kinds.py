"""The kinds of values that keys of files have: reader, words and JSON Schema of each.

A schema refuses only what the reader refuses. So it allows white space around a text, which is
removed, and a blank text for a missing one.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from netwatch.core.file_keys import Key, Kind
from netwatch.core.period import UTC_ZONE, read_timezone
from netwatch.core.user_yaml import Fields, describe, did_you_mean

_ITEM = {"type": "string", "pattern": r"\S"}
_SCALES = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "y": 365 * 86_400}
_SIZES = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _optional(pattern: str) -> str:
    """The pattern of a text, which may be blank and have white space around it."""
    return rf"^\s*({pattern})?\s*$"


def _read_text(entry: Fields, key: Key, _: Path) -> Any:
    return entry.text(key.name, required=key.required) or None


TEXT = Kind("text", {"type": ["string", "number"]}, _read_text, empty="")
"""A text; a number or a date is taken as written."""


def parsed(
    words: str,
    parse: Callable[[str], Any],
    expected: str = "",
    *,
    pattern: str = "",
    empty: Any = None,
    numbers: bool = True,
) -> Kind:
    """The value that `parse` reads from a text. For a wrong text it returns None, or raises
    `ValueError` with what is expected. A text that does not match `pattern` is wrong; with
    `numbers`, numbers are allowed."""

    def read(entry: Fields, key: Key, _: Path) -> Any:
        text = entry.text(key.name, required=key.required)
        if not text:
            return None
        try:
            value = parse(text)
        except ValueError as error:
            entry.add_problem(key.name, f"'{key.name}': {error}")
            return None
        if value is None:
            entry.add_mismatch(key.name, expected)
        return value

    schema: dict[str, Any] = {"type": ["string", "number"] if numbers else ["string"]}
    if pattern:
        schema["pattern"] = _optional(pattern)
    return Kind(words, schema, read, parse, empty=empty)


@cache
def duration(
    expected: str = "a time like 90s, 30m, 2h or 1d",
    words: str = "time",
    *,
    units: str = "smhd",
    digits: int = 9,
    second: int | float = 1,
) -> Kind:
    """A time, in units of which a second has `second`."""

    def parse(text: str) -> Any:
        count, unit = text[:-1], text[-1:]
        is_right = count.isdecimal() and len(count) <= digits and count[0] != "0"
        return int(count) * _SCALES[unit] * second if is_right and unit in units else None

    pattern = rf"[1-9]\d{{0,{digits - 1}}}[{units}]"
    return parsed(words, parse, expected, pattern=pattern, numbers=False)


SECONDS = duration(second=1.0)
"""A time, in s."""

DURATION = duration("a duration like 90s, 30m, 2h, 1d", "duration", second=1.0)
"""The same, called a duration."""

NANOSECONDS = duration(second=1_000_000_000)
"""A time, in ns."""


@cache
def size(minimum: int = 1) -> Kind:
    """A size in bytes, written as ``65536``, ``64k``, ``10M`` or ``1G`` (powers of 1024)."""

    def parse(text: str) -> int | None:
        unit = text[-1:] if text[-1:] in _SIZES else ""
        count = text.removesuffix(unit)
        if not count.isdecimal() or len(count) > 12 or count[0] == "0":
            return None
        found = int(count) * _SIZES[unit]
        return found if found >= minimum else None

    pattern = r"[1-9]\d{0,11}[kMG]?"

    at_least = f" of at least {minimum:,} bytes" if minimum > 1 else ""
    kind = parsed("size", parse, f"a size{at_least} like 65536, 64k, 10M, 1G", pattern=pattern)
    schema = {**kind.schema, "type": ["string", "integer"], "minimum": minimum}
    return Kind(kind.words, schema, kind.read, parse)


def choice(choices: Iterable[str], words: str = "word", empty: Any = None) -> Kind:
    """One of several words."""
    known = [*choices]

    def read(entry: Fields, key: Key, _: Path) -> Any:
        return entry.choice(key.name, known, None, key.required)

    return Kind(words, {"enum": known}, read, empty=empty)


def number(low: int, high: int, expected: str = "", words: str = "number") -> Kind:
    """An integer from `low` to `high`."""

    def read(entry: Fields, key: Key, _: Path) -> Any:
        value = entry.value(key.name, key.required)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            entry.add_mismatch(key.name, expected or f"an integer from {low} to {high}")
            return None
        return value

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Kind(words, schema, read)


def _read_boolean(entry: Fields, key: Key, _: Path) -> Any:
    value = entry.value(key.name, key.required)
    if value is not None and not isinstance(value, bool):
        entry.add_mismatch(key.name, "true or false")
        return None
    return value


BOOLEAN = Kind("boolean", {"type": "boolean"}, _read_boolean, empty=False)
"""``true`` or ``false``."""

DAY = Kind(
    "day",
    {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    lambda entry, key, _: entry.date(key.name),
)
"""A date, YYYY-MM-DD."""

TIMEZONE = Kind(
    "IANA name",
    {"type": ["string", "number"]},
    lambda entry, _, __: read_timezone(entry),
    empty=UTC_ZONE,
)
"""The key ``timezone``."""


def texts(
    words: str = "list of texts",
    item: Callable[[Fields, Key, int, str], Any] | None = None,
    *,
    items: dict[str, Any] | None = None,
) -> Kind:
    """A list of texts, as a tuple; None if the key is absent. `item` returns the value of a text,
    or None if it is wrong, and notes why. `items` is the JSON Schema of a text."""

    def read(entry: Fields, key: Key, _: Path) -> Any:
        found = entry.texts(key.name, key.required)
        if entry.mapping.get(key.name) is None:
            return None
        if item is None:
            return tuple(text for _, text in found)
        values = (item(entry, key, line, text) for line, text in found)
        return tuple(value for value in values if value is not None)

    return Kind(words, {"type": "array", "items": items or _ITEM}, read, empty=())


def with_lines(words: str = "list of texts") -> Kind:
    """A list of texts, each with its line."""
    return texts(words, lambda _, __, line, text: (line, text))


def matching_text(pattern: "re.Pattern[str]", expected: str) -> Kind:
    """A text that a pattern matches."""
    return parsed(
        "text",
        lambda text: text if pattern.fullmatch(text) else None,
        expected,
        pattern=pattern.pattern,
        empty="",
    )


def words_of(known: Iterable[str], words: str = "list of words") -> Kind:
    """A list of some of these words."""
    choices = [*known]

    def item(entry: Fields, key: Key, line: int, text: str) -> str | None:
        if text in choices:
            return text
        expected = f"one of {', '.join(choices)}"
        message = f"'{key.name}': expected {expected}, found {describe(text)}"
        entry.problems.add(entry.file, line, message + did_you_mean(text, choices))
        return None

    pattern = "|".join(map(re.escape, choices))
    items = {"type": "string", "pattern": rf"^\s*({pattern})\s*$"}
    return texts(words, item, items=items)


def _read_path(entry: Fields, key: Key, base: Path) -> Path | None:
    text = entry.text(key.name, required=key.required)
    return base / text if text else None


PATH = Kind("path", {"type": ["string", "number"]}, _read_path, Path)
"""A path; a relative one counts from the folder of the file."""


def _read_host(entry: Fields, key: Key, _: int, text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", text):
        expected = f"expected a host name without a port, not {describe(text)}"
        entry.add_problem(key.name, f"'{key.name}': {expected}")
    return text


HOST_NAMES = texts(item=_read_host)
"""Names of hosts, without ports."""
