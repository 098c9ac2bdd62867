"""How a record becomes a typed value, and how a record from elsewhere is checked.

A class has the keys of a record as its attributes, with an underscore after a Python keyword
(``from_``, ``class_``). `view` follows its annotations. Keys that a class does not know are left to
`Record.record`. For the schema of the record, and for what `check` refuses, an annotation may have
a part of a schema, `Says`, and a `Mark`.
"""

import copy
import re
import reprlib
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import date, datetime
from functools import cache
from itertools import repeat
from types import NoneType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from netwatch.core.alert import Mark, Says
from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped
from netwatch.formats.values import json_line

T = TypeVar("T")

Convert = Callable[[Any], Any]

MAX_NUMBER = 1_000_000_000_000_000
"""The largest number in a record from elsewhere: a sum of some 9,000 of them fits into 63 bits."""

MAX_WORD = 512
"""Characters of an id or a name in a record from elsewhere, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A value that is a record as a whole. Two are equal if their records are. Subclasses use
    `__hash__` of this class, because a record has unhashable parts."""

    _record: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The value with this record, which may be read from a file of records. Words and numbers
        are taken as they are. Raises `netwatch.Error`, which names the key, if one is missing or
        its value is not valid for the key."""
        return view(cls, record, _record=record)

    def __hash__(self) -> int:
        return hash(self.json())

    def record(self) -> dict[str, Any]:
        """The record as the command line writes it, as JSON objects: a copy."""
        return copy.deepcopy(dict(self._record))

    def json(self) -> str:
        """The record as the JSON line that the command line writes, without its end."""
        return json_line(self._record)


def view(cls: type[T], record: Mapping[str, Any], **more: Any) -> T:
    """An object of a dataclass from the keys of a record, and from `more` fields. A field without a
    default needs its key. Raises `RecordError`."""
    if type(record) is not dict and not isinstance(record, Mapping):
        raise RecordError(f"expected an object, found {reprlib.repr(record)}")
    hashable: Any = cls
    for name, key, convert, is_needed in _plan(hashable):
        if key in record:
            value = record[key]
            if convert is not None:
                try:
                    value = convert(value)
                except RecordError as error:
                    raise RecordError(error.message, key, *error.keys) from None
            more[name] = value
        elif is_needed:
            raise RecordError("expected this key", key)
    return cls(**more)


class RecordError(NetwatchError):
    """A record does not match its class: what was expected, at which nested keys."""

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(escaped(f"{'.'.join(keys)}: {message}" if keys else message))
        self.message = message
        self.keys = keys


@cache
def _plan(cls: Any) -> tuple[tuple[str, str, Convert | None, bool], ...]:
    """The fields of a class: name, key of the record, the conversion of its value, and whether it
    is required."""
    hints = get_type_hints(cls)
    return tuple(
        (
            each.name,
            each.name.removesuffix("_"),
            _converter(hints[each.name]),
            each.default is MISSING and each.default_factory is MISSING,
        )
        for each in fields(cls)
        if each.name != "_record"
    )


def _converter(hint: Any) -> Convert | None:
    """The function that makes a value of this type from JSON; None if that is the same."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _optional(_converter(inner))
    if origin is tuple:
        return _each(_converter(arguments[0]))
    if hint is datetime:
        return _TIME
    if hint is date:
        return _DAY
    if origin is Mapping:
        return _mapping
    if is_dataclass(hint):
        return lambda value: view(hint, value)  # type: ignore[arg-type]
    assert origin is Literal or hint in (str, int, float, bool), hint
    return None


def _optional(convert: Convert | None) -> Convert | None:
    return None if convert is None else lambda value: None if value is None else convert(value)


def _each(convert: Convert | None) -> Convert:
    def converted(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise RecordError(f"expected a list, found {reprlib.repr(value)}")
        return tuple(value) if convert is None else tuple(map(convert, value))

    return converted


def _mapping(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise RecordError(f"expected an object, found {reprlib.repr(value)}")
    return dict(value)


def _text(expected: str, read: Convert) -> Convert:
    def converted(value: Any) -> Any:
        try:
            return read(value)
        except (TypeError, ValueError):
            raise RecordError(f"expected {expected}, found {reprlib.repr(value)}") from None

    return converted


_TIME = _text("a time such as 2023-03-20T09:31:07Z", datetime.fromisoformat)
_DAY = _text("a day such as 2023-03-20", date.fromisoformat)

Look = Callable[[Any, int], None]
"""Checks a value of the right type; the number is how many values a list may have. Raises
`RecordError`."""

_EXPECTED: Mapping[Any, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    NoneType: "null",
}

_ABSENT = repeat(MISSING)

_MAX_SHAPES = 256
"""Known shapes of objects of one class, at most; when there are more, all are forgotten."""


def check(cls: Any, record: Mapping[str, Any], max_values: int) -> None:
    """Refuse a record that lacks a key of the class, or whose value does not have the type or range
    in the class; a list of more than `max_values`; and a text that does not fit its `Mark`. Keys
    that the class does not know are not checked: a newer netwatch may have more. Raises
    `RecordError`."""
    _checked(cls).look(record, max_values)


class _Key(NamedTuple):
    """What a key of a record may have: the types of its values, and for some of these further
    checks."""

    name: str
    is_needed: bool
    looks: Mapping[Any, Look | None]


class _Shape(NamedTuple):
    """The checks of objects with values of the same types: texts that are `STORED`, and the checks
    of others."""

    texts: tuple[str, ...]
    looks: tuple[tuple[str, Look], ...]


class _Checked:
    """The checks of the objects of a class. Nearly all have one of a few shapes: the types of their
    values, in the order of `names`. So these are compared once."""

    def __init__(self, cls: Any) -> None:
        hints = get_type_hints(cls, include_extras=True)
        self.keys = [
            _Key(
                each.name.removesuffix("_"),
                each.default is MISSING and each.default_factory is MISSING,
                _looks(hints[each.name]),
            )
            for each in fields(cls)
            if each.name != "_record"
        ]
        self.names = [key.name for key in self.keys]
        self.shapes: dict[tuple[type, ...], _Shape] = {}

    def look(self, record: Mapping[str, Any], max_values: int) -> None:
        """Check an object. Raises `RecordError`."""
        kinds = tuple(map(type, map(record.get, self.names, _ABSENT)))
        shape = self.shapes.get(kinds)
        if shape is None:
            shape = self._add(kinds, record)
        texts, looks = shape
        whole = "".join(map(record.__getitem__, texts))
        if len(whole) > MAX_WORD or "\0" in whole:
            looks = (*((name, _short) for name in texts), *looks)
        for name, look in looks:
            try:
                look(record[name], max_values)
            except RecordError as error:
                raise RecordError(error.message, name, *error.keys) from None

    def _add(self, kinds: tuple[type, ...], record: Mapping[str, Any]) -> _Shape:
        """The shape of an object whose types were not seen before. Raises `RecordError`."""
        texts, looks = [], []
        for key, kind in zip(self.keys, kinds, strict=True):
            if kind is type(MISSING):
                if key.is_needed:
                    raise RecordError("expected this key", key.name)
                continue
            if kind not in key.looks:
                raise RecordError(_mismatch(key.looks, record[key.name]), key.name)
            look = key.looks[kind]
            if look is _short:
                texts.append(key.name)
            elif look is not None:
                looks.append((key.name, look))
        if len(self.shapes) >= _MAX_SHAPES:
            self.shapes.clear()
        shape = self.shapes[kinds] = _Shape(tuple(texts), tuple(looks))
        return shape


@cache
def _checked(cls: Any) -> _Checked:
    return _Checked(cls)


def _mismatch(expected: Iterable[Any], value: Any) -> str:
    words = " or ".join(sorted({_EXPECTED[each] for each in expected}))
    return f"expected {words}, found {reprlib.repr(value)}"


def _looks(hint: Any, *marks: Any) -> dict[Any, Look | None]:
    """The JSON types that a value of this type has, with their further checks."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _looks(arguments[0], *marks, *arguments[1:])
    parts = [each.meaning for each in marks if isinstance(each, Says)]
    says = {name: value for part in parts for name, value in part.items()}
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return {**_looks(inner, *marks), NoneType: None}
    if origin is tuple:
        return {list: _list(_looks(arguments[0]))}
    if is_dataclass(hint):
        inside: Any = hint
        return {dict: _checked(inside).look}
    if origin is Mapping:
        return {dict: _numbers}
    if hint in (int, float):
        number = _number(says.get("minimum", -MAX_NUMBER), says.get("maximum", MAX_NUMBER))
        return {int: number} if hint is int else {int: number, float: number}
    if hint is bool:
        return {bool: None}
    if hint in (datetime, date):
        return {str: _read(_TIME if hint is datetime else _DAY, says.get("pattern"))}
    if origin is Literal and Mark.KNOWN in marks:
        return {str: _one_of(arguments)}
    if "const" in says:
        return {str: _one_of((says["const"],))}
    return {str: _short if Mark.STORED in marks else None}


def _list(inner: Mapping[Any, Look | None]) -> Look:
    (kind,) = inner
    part = inner[kind]

    def look(values: Any, max_values: int) -> None:
        if len(values) > max_values:
            raise RecordError(f"expected at most {max_values} values, found {len(values)}")
        for value in values:
            if type(value) is not kind:
                raise RecordError(_mismatch(inner, value))
            if part is not None:
                part(value, max_values)

    return look


def _number(low: int, high: int) -> Look:
    def look(value: Any, _: int) -> None:
        if not low <= value <= high:
            limits = f"{_shown(low)} to {_shown(high)}"
            raise RecordError(f"expected a number from {limits}, found {reprlib.repr(value)}")

    return look


def _shown(limit: int) -> str:
    return {MAX_NUMBER: "10^15", -MAX_NUMBER: "-10^15"}.get(limit, str(limit))


def _numbers(value: Any, _: int) -> None:
    if any(type(part) is not int or abs(part) > MAX_NUMBER for part in value.values()):
        raise RecordError("expected numbers")


def _read(read: Convert, pattern: str | None) -> Look:
    has_form = re.compile(pattern or ".*", re.ASCII).fullmatch

    def look(value: Any, _: int) -> None:
        if has_form(value) is None:
            raise RecordError(f"expected {pattern}, found {reprlib.repr(value)}")
        read(value)

    return look


def _one_of(words: Sequence[str]) -> Look:
    def look(value: Any, _: int) -> None:
        if value not in words:
            raise RecordError(f"expected {' or '.join(words)}, found {reprlib.repr(value)}")

    return look


def _short(value: Any, _: int = 0) -> None:
    if not _is_short(value):
        found = reprlib.repr(value)
        raise RecordError(f"expected at most {MAX_WORD} characters without NUL, found {found}")


def _is_short(text: str) -> bool:
    return len(text) <= MAX_WORD and "\0" not in text
