"""YAML files, read safely and with the line of every value.

Of YAML, the files of a user need mappings with words as keys, lists, and single values. Aliases
(with which a small file can expand to a huge one), deep nesting, several documents in a file,
duplicate keys and tags that ask for other types are mistakes. The values are built from the events
of the parser, without recursion, so that nesting costs no stack.
"""

import re
from array import array
from typing import Any

import yaml

from netwatch.core.user_yaml import Problems, YamlMapping, YamlSequence, describe
from netwatch.core.yaml_scalars import (
    PLACEHOLDER,
    Row,
    ScalarError,
    is_tag_of,
    read_scalar,
    read_word,
    short_tag,
    take_rows,
)

MAX_NESTING = 32
"""Lists and mappings nested in one another, at most."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Everything that YAML 1.1 forbids in a file (section 5.1). A pattern of what it allows would take
# ten times as long to compile.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


class _RowsNotFoundError(Exception):
    """What looks like a row is part of something else, such as a text over several lines."""


class _UnreadableError(Exception):
    """The rest of the file cannot be read. `line` is where, and the text is the reason."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def decode_yaml(raw: bytes, file: str, problems: Problems, rows_of: str = "") -> YamlMapping | None:
    """The mapping at the top level of a YAML file with the content `raw`; `file` is its name in
    problems. For `rows_of` see `parse_yaml`.

    If it cannot be read, the reason is added to `problems` and the result is None.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.add(file, line, "expected UTF-8 text, found other bytes")
        return None
    return parse_yaml(text, file, problems, rows_of)


def parse_yaml(text: str, file: str, problems: Problems, rows_of: str = "") -> YamlMapping | None:
    """Like `decode_yaml`, for decoded text.

    In the list under the top-level key `rows_of`, mappings that are rows stay a `Row`, for a caller
    that reads so many of them that a `YamlMapping` each would take too much memory.
    """
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        line = text.count("\n", 0, unprintable.start()) + 1
        message = f"expected text, found the character U+{ord(unprintable[0]):04X}"
        problems.add(file, line, message)
        return None
    text = text.replace("\r\n", "\n")
    try:
        return _build(text, file, problems, rows_of)
    except _UnreadableError as error:
        problems.add(file, error.line, str(error))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problems.add(file, line, f"is not valid YAML: {error.problem}", column)
    except yaml.YAMLError as error:
        problems.add(file, 0, f"is not valid YAML: {str(error).splitlines()[0]}")
    return None


def _build(text: str, file: str, problems: Problems, rows_of: str) -> YamlMapping:
    without_rows, lines, rows = take_rows(text)
    if not rows:
        return _Builder(file, problems, None).build(text)
    found = Problems()
    taken = _Rows(lines, rows, rows_of)
    try:
        mapping = _Builder(file, found, taken).build(without_rows)
    except _RowsNotFoundError:
        return _Builder(file, problems, None).build(text)
    except _UnreadableError as error:
        if not taken.are_all_before(error.line):
            return _Builder(file, problems, None).build(text)
        problems.found += found.found
        raise
    except yaml.YAMLError as error:
        # Lines that look like rows may be part of a text over several lines. A mistake only counts
        # if the parser finds the same one in the file as it is.
        if not _is_same_error(error, text):
            return _Builder(file, problems, None).build(text)
        problems.found += found.found
        raise
    problems.found += found.found
    return mapping


def _is_same_error(error: yaml.YAMLError, text: str) -> bool:
    try:
        for _ in yaml.parse(text, Loader=_Loader):
            pass
    except yaml.YAMLError as other:
        return str(error) == str(other)
    return False


class _Rows:
    """The rows that were taken out of a text, in their order."""

    def __init__(self, lines: "array[int]", rows: list[Row], key: str) -> None:
        self.key = key
        self._lines = lines
        self._rows = rows
        self._next = 0

    def take(self, line: int) -> Row | None:
        """The next row, if it is on this line."""
        at = self._next
        if at == len(self._lines) or self._lines[at] != line:
            return None
        self._next += 1
        return self._rows[at]

    def are_all_before(self, line: int) -> bool:
        """Whether all rows before a line were used."""
        return self._next == len(self._lines) or self._lines[self._next] >= line

    def is_empty(self) -> bool:
        """Whether all rows were used."""
        return self._next == len(self._lines)


class _Frame:
    """A collection that has begun. In a mapping, `key` is the one whose value comes next, and
    `has_key` tells whether there is one; None stands for a key whose value is ignored."""

    __slots__ = ("collection", "has_key", "key")

    def __init__(self, collection: YamlMapping | YamlSequence) -> None:
        self.collection = collection
        self.has_key = False
        self.key: str | None = None


class _Builder:
    """Builds the mapping of a file from the events of the parser."""

    def __init__(self, file: str, problems: Problems, rows: _Rows | None) -> None:
        self._file = file
        self._problems = problems
        self._rows = rows
        self._stack: list[_Frame] = []
        self._root: YamlMapping | None = None

    def build(self, text: str) -> YamlMapping:
        """The mapping of a text. Raises `yaml.YAMLError`, `_UnreadableError` and, if rows are not
        where they were taken from, `_RowsNotFoundError`."""
        documents = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._stack.pop()
            elif isinstance(event, yaml.AliasEvent):
                message = "expected values written out, found an alias (*name)"
                raise _UnreadableError(_line(event), message)
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    message = "expected one document in the file, found a second one (---)"
                    raise _UnreadableError(_line(event), message)
        if self._rows is not None and not self._rows.is_empty():
            raise _RowsNotFoundError
        if self._root is None:
            message = "expected a mapping (key: value), found an empty file"
            raise _UnreadableError(0, message)
        return self._root

    def _begin(self, event: Any) -> None:
        line = _line(event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if not is_tag_of(event.tag, "map" if is_mapping else "seq"):
            message = f"expected a value without the tag {short_tag(event.tag)}"
            self._problems.add(self._file, line, message)
        if len(self._stack) == MAX_NESTING:
            message = f"expected at most {MAX_NESTING} lists and mappings inside one another"
            raise _UnreadableError(line, message)
        collection = YamlMapping(line) if is_mapping else YamlSequence(line)
        frame = self._stack[-1] if self._stack else None
        if frame is None:
            self._start(collection, line)
        elif isinstance(frame.collection, YamlMapping) and not frame.has_key:
            message = "expected a word as key, found a list or a mapping"
            self._problems.add(self._file, line, message)
            frame.has_key, frame.key = True, None
        else:
            self._put(frame, collection, line)
        self._stack.append(_Frame(collection))

    def _start(self, value: object, line: int) -> None:
        if not isinstance(value, YamlMapping):
            found = "a list" if isinstance(value, YamlSequence) else "a single value"
            if value is None:
                found, line = "an empty file", 0
            raise _UnreadableError(line, f"expected a mapping (key: value), found {found}")
        self._root = value

    def _scalar(self, event: Any) -> None:
        line = _line(event)
        frame = self._stack[-1] if self._stack else None
        if frame is None:
            self._start(event.value or None, line)
            return
        if isinstance(frame.collection, YamlMapping) and not frame.has_key:
            self._key(frame, event.value, line)
            return
        if isinstance(frame.collection, YamlSequence) and self._rows is not None:
            row = self._rows.take(line)
            if row is not None:
                self._row(frame, row, event, line)
                return
        try:
            value = read_scalar(event.value, event.tag, is_plain=event.implicit[0])
        except ScalarError as error:
            self._problems.add(self._file, line, f"{error}, found {describe(event.value)}")
            value = None
        self._put(frame, value, line, event.value)

    def _key(self, frame: _Frame, key: str, line: int) -> None:
        mapping = frame.collection
        assert isinstance(mapping, YamlMapping)
        frame.has_key, frame.key = True, key
        if key in mapping.lines:
            first = mapping.lines[key]
            message = f"duplicate key {describe(key)} (first on line {first})"
            self._problems.add(self._file, line, message)
            frame.key = None
        else:
            mapping.lines[key] = line

    def _put(self, frame: _Frame, value: Any, line: int, written: str = "") -> None:
        """Put a value into a collection. `written` is the original text of a single value."""
        collection = frame.collection
        if isinstance(collection, YamlSequence):
            collection.lines.append(line)
            collection.append(value)
            return
        if frame.key is not None:
            collection[frame.key] = value
            if not isinstance(value, str) and written:
                collection.written[frame.key] = written
        frame.has_key = False

    def _row(self, frame: _Frame, row: Row, event: Any, line: int) -> None:
        if event.value != PLACEHOLDER or not event.implicit[0]:
            raise _RowsNotFoundError
        assert self._rows is not None
        stays = len(self._stack) == 2 and self._stack[0].key == self._rows.key
        self._put(frame, row if stays else row_mapping(row, self._file, line, self._problems), line)


def row_mapping(row: Row, file: str, line: int, problems: Problems) -> YamlMapping:
    """The mapping that is written in a row; mistakes are noted."""
    mapping = YamlMapping(line)
    for key, written in row.pairs():
        if key in mapping:
            message = f"duplicate key {describe(key)} (first on line {line})"
            problems.add(file, line, message)
        elif isinstance(written, list):
            sequence = YamlSequence(line)
            for word in written:
                sequence.append(_row_word(word, file, line, problems))
                sequence.lines.append(line)
            mapping[key] = sequence
        else:
            value = mapping[key] = _row_word(written, file, line, problems)
            if not isinstance(value, str):
                mapping.written[key] = written
    mapping.lines = dict.fromkeys(mapping, line)
    return mapping


def _row_word(written: str, file: str, line: int, problems: Problems) -> Any:
    try:
        return read_word(written)
    except ScalarError as error:
        problems.add(file, line, f"{error}, found {describe(written)}")
        return None


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1 if event.start_mark else 0
