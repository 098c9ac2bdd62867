"""YAML files that a user wrote, read safely and with the line of every value.

Configuration, signatures and bans are all read here, so that a mistake in any of them is reported
in one way: file, line, what was expected, what was found, and the most similar known word. Mistakes
are collected: a `Problems` object is passed along, and the caller that started the reading raises
`ConfigError` if it is not empty. Duplicate keys, unknown keys and aliases (with which a small file
can expand to a huge one) are mistakes.
"""

import datetime
import difflib
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import yaml

from netwatch.core.errors import ConfigError, Problem

MAX_SIMILAR_WORDS = 10_000
"""Known words among which one is searched for that is similar to a wrong one."""

MAX_SIMILAR_LENGTH = 256
"""Characters of a wrong word for which a similar one is searched."""

_TEXT_TAG = "tag:yaml.org,2002:str"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
T = TypeVar("T")


class YamlMapping(dict[str, Any]):
    """A YAML mapping with the line where it starts, and in `lines` the line of each key."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class YamlSequence(list[Any]):
    """A YAML sequence with the line where it starts, and in `lines` the line of each item."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


class Problems:
    """The mistakes found so far in the files of one command."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, file: str, line: int, message: str, column: int = 0) -> None:
        """Add a mistake; `message` says what was expected and what was found."""
        self.found.append(Problem(file, line, column, message))

    def raise_if_any(self) -> None:
        """Raise `ConfigError` with all mistakes, ordered by file and line, if there are any."""
        if self.found:
            raise ConfigError(sorted(set(self.found)))


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint that names the known word most similar to `word`; empty if none is similar, and if
    the search would take long because they are too many or `word` is too long."""
    words = sorted(islice(known, MAX_SIMILAR_WORDS + 1))
    if len(words) > MAX_SIMILAR_WORDS or len(word) > MAX_SIMILAR_LENGTH:
        return ""
    near = difflib.get_close_matches(word, words, 1, cutoff)
    return f"; did you mean '{near[0]}'?" if near else ""


def describe(value: Any) -> str:
    """A value that was found in a file, as messages show it."""
    if value is None:
        return "nothing"
    if isinstance(value, YamlMapping):
        return "a mapping"
    if isinstance(value, YamlSequence):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    return f"'{value}'"


def read_yaml(path: Path, problems: Problems) -> YamlMapping | None:
    """The mapping at the top level of the YAML file `path`.

    If it cannot be read, the reason is added to `problems` and the result is None.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        problems.add(str(path), 0, f"cannot be read: {error.strerror}")
        return None
    return decode_yaml(raw, str(path), problems)


def decode_yaml(raw: bytes, file: str, problems: Problems) -> YamlMapping | None:
    """Like `read_yaml`, for the content of a file; `file` is its name in problems."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.add(file, line, "expected UTF-8 text, found other bytes")
        return None
    return parse_yaml(text, file, problems)


def parse_yaml(text: str, file: str, problems: Problems) -> YamlMapping | None:
    """Like `read_yaml`, for decoded text; `file` is its name in problems."""
    loader = _Loader(text)
    try:
        # Looking for aliases is a second pass over the file, needed only if it contains a '*'.
        for event in yaml.parse(text, Loader=_Loader) if "*" in text else ():
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else 0
                problems.add(file, line, "expected values written out, found an alias (*name)")
                return None
        node = loader.get_single_node()
        if node is None:
            problems.add(file, 0, "expected a mapping (key: value), found an empty file")
            return None
        if not isinstance(node, yaml.MappingNode):
            found = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
            message = f"expected a mapping (key: value), found {found}"
            problems.add(file, node.start_mark.line + 1, message)
            return None
        value = _convert(loader, node, file, problems)
        assert isinstance(value, YamlMapping)
        return value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problems.add(file, line, f"is not valid YAML: {error.problem}", column)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.add(file, 0, f"is not valid YAML: {str(error).splitlines()[0]}")
    finally:
        loader.dispose()
    return None


def _convert(loader: Any, node: Any, file: str, problems: Problems) -> Any:
    if node.tag == _TEXT_TAG:
        return node.value
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping = YamlMapping(line)
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                problems.add(file, key_line, "expected a word as key, found a list or a mapping")
                continue
            key = key_node.value
            if key in mapping:
                first = mapping.lines[key]
                problems.add(file, key_line, f"duplicate key '{key}' (first on line {first})")
                continue
            mapping.lines[key] = key_line
            mapping[key] = _convert(loader, value_node, file, problems)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        sequence = YamlSequence(line)
        for item in node.value:
            sequence.lines.append(item.start_mark.line + 1)
            sequence.append(_convert(loader, item, file, problems))
        return sequence
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or error
        problems.add(file, line, f"expected a valid value, found '{node.value}': {reason}")
        return None


class Fields:
    """The keys of one mapping, read one at a time; keys that nobody read are mistakes.

    Each method that reads a key returns the default if the key is absent or its value is wrong.
    A wrong value is added to the problems with its line. `what` is what messages call the mapping.
    """

    def __init__(self, mapping: YamlMapping, file: str, problems: Problems, what: str) -> None:
        self.mapping = mapping
        self.file = file
        self.problems = problems
        self.what = what
        self._read: set[str] = set()

    def line_of(self, key: str | None = None) -> int:
        """The line of `key`, or the line where the mapping starts if the key is absent."""
        return self.mapping.lines.get(key or "", self.mapping.line)

    def add_problem(self, key: str | None, message: str) -> None:
        """Add a mistake at `key`, or at the mapping as a whole."""
        self.problems.add(self.file, self.line_of(key), message)

    def add_mismatch(self, key: str, expected: str) -> None:
        """Add a mistake: the value of `key` is not what was expected."""
        found = describe(self.mapping.get(key))
        self.add_problem(key, f"'{key}': expected {expected}, found {found}")

    def has(self, key: str) -> bool:
        """Whether the key is present, even with an empty value."""
        return key in self.mapping

    def value(self, key: str, required: str = "") -> Any:
        """The value as YAML has it; `required` says what is expected if it is absent."""
        self._read.add(key)
        value = self.mapping.get(key)
        if value is None and required:
            place = key if key in self.mapping else None
            message = f"{self.what} needs '{key}': expected {required}, found nothing"
            self.add_problem(place, message)
        return value

    def text(self, key: str, default: str = "", required: str = "") -> str:
        """A string that is not blank. A number or a date is read as it is written."""
        value = self.value(key, required)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int, float, datetime.date)):
            self.add_mismatch(key, "text")
            return default
        return str(value).strip() or default

    def choice(self, key: str, choices: Iterable[str], default: T, required: str = "") -> Any | T:
        """One of the words in `choices`."""
        words = list(choices)
        value = self.value(key, required)
        if value is None:
            return default
        if value not in words:
            hint = did_you_mean(str(value), words)
            expected = f"one of {', '.join(words)}"
            self.add_problem(key, f"'{key}': expected {expected}, found {describe(value)}{hint}")
            return default
        return value

    def date(self, key: str) -> datetime.date | None:
        """A date, YYYY-MM-DD."""
        value = self.value(key)
        if value is None:
            return None
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value
        self.add_mismatch(key, "a date as YYYY-MM-DD")
        return None

    def sequence(self, key: str, required: str = "") -> list[tuple[int, Any]]:
        """A sequence as (line, item) pairs, empty if the key is absent."""
        value = self.value(key, required)
        if value is None:
            return []
        if not isinstance(value, YamlSequence):
            self.add_mismatch(key, "a list")
            return []
        return list(zip(value.lines, value, strict=True))

    def texts(self, key: str, required: str = "") -> list[tuple[int, str]]:
        """A sequence of strings as (line, text) pairs."""
        found = []
        for line, item in self.sequence(key, required):
            if isinstance(item, str) and item.strip():
                found.append((line, item.strip()))
            else:
                message = f"'{key}': expected a list of texts, found {describe(item)}"
                self.problems.add(self.file, line, message)
        return found

    def build_each(self, key: str, build: Callable[["Fields"], T | None], what: str) -> list[T]:
        """The results of `build` for each mapping in a sequence, without those that are None."""
        built = []
        for line, item in self.sequence(key):
            if not isinstance(item, YamlMapping):
                message = f"expected {what} as a mapping (key: value), found {describe(item)}"
                self.problems.add(self.file, line, message)
                continue
            result = build(Fields(item, self.file, self.problems, what))
            if result is not None:
                built.append(result)
        return built

    def nested(self, key: str, what: str) -> "Fields | None":
        """The fields of the mapping under `key`."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, YamlMapping):
            self.add_mismatch(key, "a mapping (key: value)")
            return None
        return Fields(value, self.file, self.problems, what)

    def reject_unknown(self) -> None:
        """Add a problem for every key that was not read."""
        for key in self.mapping:
            if key not in self._read:
                known = ", ".join(sorted(self._read))
                hint = did_you_mean(key, self._read)
                message = f"unknown key '{key}' in {self.what}: expected one of {known}{hint}"
                self.add_problem(key, message)
