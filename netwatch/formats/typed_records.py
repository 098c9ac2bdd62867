"""How a record becomes a typed value.

A class has the keys of a record as its attributes, with an underscore behind a keyword of Python
(``from_``, ``class_``). `view` follows its annotations. Keys that a class does not know are left to
`Record.record`. For the schema of the record an annotation may have a part of one, `Says`, and a
`Mark`.
"""

import copy
import reprlib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from types import NoneType
from typing import (
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

from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped
from netwatch.formats.values import json_line

T = TypeVar("T")

Convert = Callable[[Any], Any]

MAX_NUMBER = 1_000_000_000_000_000
"""What a number of a record from elsewhere is at most: some 9,000 of them fit into 63 bits as a
sum."""


class Mark(Enum):
    """What the type of a key that may be missing does not say: `ALWAYS` records have it, unless
    they are old. It may be `NULL`, too. Only what is `ELSEWHERE`, in other records, has it."""

    ALWAYS = "always"
    NULL = "null"
    ELSEWHERE = "elsewhere"


class Says:
    """A part of a schema: what it has of ``$ref``, ``const`` or ``type`` replaces what the type
    of Python says, everything else is added to it."""

    def __init__(self, **schema: Any) -> None:
        self.schema: Mapping[str, Any] = schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A value that is a record as a whole. Two are equal where their records are. Subclasses take
    `__hash__` of this class, because a record has parts that have none."""

    _record: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The value with this record, which may be read from a file of records. Words and numbers
        are taken as they are. Raises `netwatch.Error`, which names the key, where one is missing or
        its value cannot be that of the key."""
        return view(cls, record, _record=record)

    def __hash__(self) -> int:
        return hash(self.json())

    def record(self) -> dict[str, Any]:
        """The record as the command line writes it, as objects of JSON: a copy."""
        return copy.deepcopy(dict(self._record))

    def json(self) -> str:
        """The record as the line of JSON that the command line writes, without its end."""
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
    """A record is not one of its class: what was expected, at which keys in each other."""

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(escaped(f"{'.'.join(keys)}: {message}" if keys else message))
        self.message = message
        self.keys = keys


@cache
def _plan(cls: Any) -> tuple[tuple[str, str, Convert | None, bool], ...]:
    """The fields of a class: name, key of the record, what converts its value, and whether there
    is no object without it."""
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
    """What makes a value of this type of one of JSON; None if that is the same."""
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


_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "a number of at most 10^15",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    NoneType: "null",
}


class _Key(NamedTuple):
    """What a key of a record may have: `kinds` are types of Python, None among them if it may be
    null. `is_plain` is a value that is neither read nor a list or an object. `read` raises
    `RecordError` for a wrong text. For a list these are about its values. `inner` is the class of
    an object, or int for a mapping to numbers."""

    name: str
    is_plain: bool
    kinds: frozenset[Any]
    is_needed: bool
    is_list: bool
    read: Convert | None
    inner: Any


def check(cls: Any, record: Mapping[str, Any], max_values: int) -> None:
    """Refuse a record with a value that is not of the type that the class has for its key, which
    lacks a key, or has a list of more than `max_values`. Words are not compared, and keys that the
    class does not know are not looked at: a newer netwatch may have more. Raises `RecordError`."""
    for key in _keys(cls):
        name, is_plain, kinds = key[:3]
        value = record.get(name, MISSING)
        # Most values are texts.
        if is_plain and type(value) in kinds and type(value) is not int:
            continue
        if value is MISSING:
            if key.is_needed:
                raise RecordError("expected this key", name)
            continue
        if value is None and key.is_list and NoneType in kinds:
            continue
        try:
            if not key.is_list:
                _check_value(key, value, max_values)
                continue
            if type(value) is not list or len(value) > max_values:
                found = f"{len(value)} values" if type(value) is list else reprlib.repr(value)
                raise RecordError(f"expected a list of at most {max_values} values, found {found}")
            for part in value:
                _check_value(key, part, max_values)
        except RecordError as error:
            raise RecordError(error.message, name, *error.keys) from None


def _check_value(key: _Key, value: Any, max_values: int) -> None:
    if type(value) not in key.kinds or (type(value) is int and abs(value) > MAX_NUMBER):
        expected = " or ".join(sorted(_WORDS[kind] for kind in key.kinds))
        raise RecordError(f"expected {expected}, found {reprlib.repr(value)}")
    if value is None:
        return
    if key.read is not None:
        key.read(value)
    elif key.inner is int:
        if any(type(part) is not int or abs(part) > MAX_NUMBER for part in value.values()):
            raise RecordError("expected numbers")
    elif key.inner is not None:
        check(key.inner, value, max_values)


@cache
def _keys(cls: Any) -> tuple[_Key, ...]:
    hints = get_type_hints(cls)
    return tuple(
        _key(
            each.name.removesuffix("_"),
            hints[each.name],
            each.default is MISSING and each.default_factory is MISSING,
        )
        for each in fields(cls)
        if each.name != "_record"
    )


def _key(name: str, hint: Any, is_needed: bool) -> _Key:
    kinds: set[Any] = set()
    if get_origin(hint) in (Union, types.UnionType):
        kinds.add(NoneType)
        (hint,) = (argument for argument in get_args(hint) if argument is not NoneType)
    if is_list := get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    read = {datetime: _TIME, date: _DAY}.get(hint)
    inner: Any = None
    if is_dataclass(hint):
        kinds.add(dict)
        inner = hint
    elif get_origin(hint) is Mapping:
        kinds.add(dict)
        inner = int
    elif hint is float:
        kinds |= {float, int}
    else:
        kinds.add(hint if hint in (int, bool) else str)
    is_plain = not is_list and read is None and inner is None
    return _Key(name, is_plain, frozenset(kinds), is_needed, is_list, read, inner)
