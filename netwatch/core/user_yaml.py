"""YAML that a user wrote, read safely, with the line of every value.

Configuration, signatures and bans all come through here, so that a mistake in any of
them is told in one way: file, line, and what was expected. Mistakes are collected, not
raised at the first: a `Problems` list travels along, and whoever started the reading
raises `ConfigError` when it is not empty. Duplicate keys, aliases (a way to blow up a
small file) and unknown keys are mistakes.
"""

import datetime
import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from netwatch.core.errors import ConfigError, Problem

_TEXT = "tag:yaml.org,2002:str"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
T = TypeVar("T")


class Mapping(dict[str, Any]):
    """A YAML mapping; `line` is where it starts, `lines` where each key stands."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class Sequence(list[Any]):
    """A YAML sequence; `line` is where it starts, `lines` where each item starts."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


class Problems:
    """Mistakes found so far in the files of one command."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, file: str, line: int, message: str, column: int = 0) -> None:
        """Note a mistake: `message` says what is wrong and what is expected."""
        self.found.append(Problem(file, line, column, message))

    def raise_if_any(self) -> None:
        """Raise `ConfigError` with all mistakes, in file and line order, if there is one."""
        if self.found:
            raise ConfigError(sorted(set(self.found)))


def read_yaml(path: Path, problems: Problems) -> Mapping | None:
    """The mapping at the top of the YAML file `path`, or None with the reason noted."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        problems.add(str(path), 0, f"cannot be read: {error.strerror}")
        return None
    return decode_yaml(raw, str(path), problems)


def decode_yaml(raw: bytes, file: str, problems: Problems) -> Mapping | None:
    """Like `read_yaml`, for the bytes of a file; `file` is the name told in problems."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.add(file, line, "is not UTF-8 text")
        return None
    return parse_yaml(text, file, problems)


def parse_yaml(text: str, file: str, problems: Problems) -> Mapping | None:
    """Like `read_yaml`, for text at hand; `file` is the name told in problems."""
    loader = _Loader(text)
    try:
        # Another pass over the file, which those need not pay for that can have none.
        for event in yaml.parse(text, Loader=_Loader) if "*" in text else ():
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else 0
                problems.add(file, line, "aliases (*name) are not accepted")
                return None
        node = loader.get_single_node()
        if node is None:
            problems.add(file, 0, "is empty, a mapping is expected")
            return None
        if not isinstance(node, yaml.MappingNode):
            problems.add(file, node.start_mark.line + 1, "a mapping (key: value) is expected")
            return None
        value = _convert(loader, node, file, problems)
        assert isinstance(value, Mapping)
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
    if node.tag == _TEXT:
        return node.value
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping = Mapping(line)
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                problems.add(file, key_line, "a key must be a plain word")
                continue
            key = key_node.value
            if key in mapping:
                first = mapping.lines[key]
                problems.add(file, key_line, f"key '{key}' stands twice (first in line {first})")
                continue
            mapping.lines[key] = key_line
            mapping[key] = _convert(loader, value_node, file, problems)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        sequence = Sequence(line)
        for item in node.value:
            sequence.lines.append(item.start_mark.line + 1)
            sequence.append(_convert(loader, item, file, problems))
        return sequence
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or error
        problems.add(file, line, f"'{node.value}' cannot be read: {reason}")
        return None


class Fields:
    """The keys of one mapping, taken one by one; what is left at `done` is a mistake.

    Each `take` returns the default where the key is absent or wrong; what is wrong is
    noted with its line.
    """

    def __init__(self, mapping: Mapping, file: str, problems: Problems, what: str) -> None:
        self.mapping = mapping
        self.file = file
        self.problems = problems
        self.what = what
        self._known: set[str] = set()

    def line(self, key: str | None = None) -> int:
        """Where `key` stands, else where the mapping starts."""
        return self.mapping.lines.get(key or "", self.mapping.line)

    def bad(self, key: str | None, message: str) -> None:
        """Note a mistake at `key`, or at the mapping as a whole."""
        self.problems.add(self.file, self.line(key), message)

    def has(self, key: str) -> bool:
        """Whether the key is written, even with an empty value."""
        return key in self.mapping

    def raw(self, key: str, required: str = "") -> Any:
        """The value as YAML gives it; `required` says what is expected if it is absent."""
        self._known.add(key)
        value = self.mapping.get(key)
        if value is None and required:
            self.bad(key if key in self.mapping else None, f"{self.what} needs '{key}': {required}")
        return value

    def text(self, key: str, default: str = "", required: str = "") -> str:
        """A string that is not blank. A number or a date is taken by its letters."""
        value = self.raw(key, required)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int, float, datetime.date)):
            self.bad(key, f"'{key}' must be text")
            return default
        return str(value).strip() or default

    def choice(self, key: str, choices: Iterable[str], default: T, required: str = "") -> Any | T:
        """One of a few words."""
        words = list(choices)
        value = self.raw(key, required)
        if value is None:
            return default
        if value not in words:
            self.bad(key, f"'{key}' is {value!r}, expected one of {', '.join(words)}")
            return default
        return value

    def day(self, key: str) -> datetime.date | None:
        """A date, YYYY-MM-DD."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value
        self.bad(key, f"'{key}' is {str(value)!r}, expected a day as YYYY-MM-DD")
        return None

    def items(self, key: str, required: str = "") -> list[tuple[int, Any]]:
        """A sequence as (line, item) pairs; empty where absent."""
        value = self.raw(key, required)
        if value is None:
            return []
        if not isinstance(value, Sequence):
            self.bad(key, f"'{key}' must be a list")
            return []
        return list(zip(value.lines, value, strict=True))

    def texts(self, key: str, required: str = "") -> list[tuple[int, str]]:
        """A sequence of strings as (line, text) pairs."""
        found = []
        for line, item in self.items(key, required):
            if isinstance(item, str) and item.strip():
                found.append((line, item.strip()))
            else:
                self.problems.add(self.file, line, f"'{key}' holds {item!r}, expected text")
        return found

    def each(self, key: str, build: Callable[["Fields"], T | None], what: str) -> list[T]:
        """A sequence of mappings, each built by `build`; None from it is left out."""
        built = []
        for line, item in self.items(key):
            if not isinstance(item, Mapping):
                self.problems.add(self.file, line, f"{what} must be a mapping, like {{key: value}}")
                continue
            value = build(Fields(item, self.file, self.problems, what))
            if value is not None:
                built.append(value)
        return built

    def sub(self, key: str, what: str) -> "Fields | None":
        """A mapping below this one."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.bad(key, f"'{key}' must be a mapping")
            return None
        return Fields(value, self.file, self.problems, what)

    def done(self) -> None:
        """Note every key that nobody took."""
        for key in self.mapping:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                known = ", ".join(sorted(self._known))
                self.bad(key, f"unknown key '{key}' in {self.what}{hint} (known: {known})")
