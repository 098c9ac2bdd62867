"""A record as a typed value.

The records are documented (docs/reference/records.md) and have a schema, so that the classes of the
API have no words of their own: an attribute is a key of the record, with an underscore behind a
keyword of Python (``from_``, ``class_``). `view` follows the annotations of a class. Keys that a
class does not know are left to `Record.record`.
"""

import copy
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields, is_dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from netwatch.core.dataclass import dataclass

T = TypeVar("T")

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A value that is a record as a whole. Two are equal where their records are. Subclasses take
    `__hash__` of this class, because a record has parts that have none."""

    _record: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The value with this record, which may be read from a file of records. Words and numbers
        are taken as they are. Raises `KeyError` where a key is missing, and `TypeError` or
        `ValueError` where a value cannot be that of its key."""
        return view(cls, record, _record=record)

    def __hash__(self) -> int:
        return hash(self.json())

    def record(self) -> dict[str, Any]:
        """The record as the command line writes it, as objects of JSON: a copy."""
        return copy.deepcopy(dict(self._record))

    def json(self) -> str:
        """The record as the line of JSON that the command line writes, without its end."""
        from netwatch.formats.values import json_line

        return json_line(self._record)


def view(cls: type[T], record: Mapping[str, Any], **more: Any) -> T:
    """An object of a dataclass from the keys of a record, and from `more` fields. A field without a
    default needs its key."""
    hashable: Any = cls
    for name, key, convert, is_needed in _plan(hashable):
        if key in record:
            value = record[key]
            more[name] = value if convert is None else convert(value)
        elif is_needed:
            raise KeyError(key)
    return cls(**more)


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
    """What makes a value of this type of one of JSON; None where that is the same."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = [each for each in arguments if each is not type(None)]
        return _optional(_converter(inner))
    if origin is tuple:
        convert = _converter(arguments[0])
        return tuple if convert is None else lambda value: tuple(map(convert, value))
    if hint is datetime:
        return datetime.fromisoformat
    if hint is date:
        return date.fromisoformat
    if origin is Mapping:
        return dict
    if is_dataclass(hint):
        return lambda value: view(hint, value)  # type: ignore[arg-type]
    assert origin is Literal or hint in (str, int, float, bool), hint
    return None


def _optional(convert: Convert | None) -> Convert | None:
    return None if convert is None else lambda value: None if value is None else convert(value)
