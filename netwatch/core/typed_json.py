"""Values of typed classes as JSON, and back with a check of every type.

It reads what netwatch wrote earlier or on another machine: the state of a live capture, the results
of a ledger. A pickle would be less code, but the content of a file must never be executed. Values
are checked against the types of their fields, and a mismatch raises one of `MISMATCHES`.

A dataclass becomes an object with the names of its fields, a tuple or frozenset a list, bytes
hexadecimal digits, and a date ISO 8601.
"""

import json
import types
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import orjson

Reader = Callable[[Any], Any]
"""Converts the JSON form of a type to its value."""

MISMATCHES = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""The exceptions raised if the text does not match the types."""

_PLAIN = frozenset({int, str, bool})

_HINTS: dict[Any, Mapping[str, Any]] = {}


def declare_fields(kind: type, hints: Mapping[str, Any]) -> None:
    """Declare the field types of a class compiled by Cython, which has no type hints. These types
    may allow less than the class does."""
    _HINTS[kind] = hints


def dumps(value: Any) -> bytes:
    """A value as JSON in one line."""
    try:
        return orjson.dumps(value, default=plain)
    except TypeError:
        # A file name may contain bytes that are not text, which orjson cannot write.
        return json.dumps(value, separators=(",", ":"), default=plain).encode()


def loads(text: bytes | str) -> Any:
    """JSON as Python values; raises `ValueError`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def plain(value: Any) -> Any:
    """A value of a type that JSON lacks, in types that it has."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    kind: Any = type(value)
    return {name: getattr(value, name) for name in field_names(kind)}


@cache
def field_names(kind: Any) -> tuple[str, ...]:
    """The names of a dataclass's fields; `TypeError` if it is not one."""
    return tuple(field.name for field in fields(kind))


def read(kind: Any, found: Any) -> Any:
    """The value of type `kind` whose JSON form is `found`; raises one of `MISMATCHES` if it does
    not match."""
    return reader(kind)(found)


@cache
def reader(kind: Any) -> Reader:
    """The function that reads values of the type `kind`."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _optional(reader(next(each for each in inner if each is not type(None))))
    if origin is Literal:
        return _one_of(inner)
    if origin is tuple and inner[1:] == (...,):
        return _sequence(reader(inner[0]))
    if origin is tuple:
        return _plain_tuple(inner) if {*inner} <= _PLAIN else _tuple(tuple(map(reader, inner)))
    if origin is frozenset:
        return _frozenset(reader(inner[0]))
    if origin is list:
        return _list(reader(inner[0]))
    if origin in (dict, Counter):
        # `Counter` has one parameter, since all its values are numbers.
        of_value = reader(inner[1]) if origin is dict else reader(int)
        return _mapping(origin, reader(inner[0]), of_value)
    if is_dataclass(kind):
        return _dataclass(kind)
    if kind is bytes:
        return bytes.fromhex
    if kind is date:
        return date.fromisoformat
    return _exactly(kind)


def _optional(of: Reader) -> Reader:
    return lambda found: None if found is None else of(found)


def _one_of(values: tuple[Any, ...]) -> Reader:
    allowed = {value: value for value in values}

    def read_literal(found: Any) -> Any:
        if found not in allowed:
            raise ValueError(f"{found!r} is none of {values}")
        return allowed[found]

    return read_literal


def _sequence(of: Reader) -> Reader:
    def read_sequence(found: Any) -> Any:
        if not isinstance(found, list):
            raise TypeError(f"{found!r} is not a list")
        return tuple([of(part) for part in found])

    return read_sequence


def _tuple(parts: tuple[Reader, ...]) -> Reader:
    def read_tuple(found: Any) -> Any:
        if not isinstance(found, list) or len(found) != len(parts):
            raise ValueError(f"{found!r} is not a list of {len(parts)}")
        return tuple([of(part) for of, part in zip(parts, found, strict=True)])

    return read_tuple


def _plain_tuple(kinds: tuple[type, ...]) -> Reader:
    """Like `_tuple`, for values that are all plain JSON."""

    def read_plain_tuple(found: Any) -> Any:
        if not isinstance(found, list) or tuple(map(type, found)) != kinds:
            raise ValueError(f"{found!r} is not a list of {kinds}")
        return tuple(found)

    return read_plain_tuple


def _frozenset(of: Reader) -> Reader:
    return lambda found: frozenset([of(part) for part in found])


def _list(of: Reader) -> Reader:
    def read_list(found: Any) -> Any:
        if not isinstance(found, list):
            raise TypeError(f"{found!r} is not a list")
        return [of(part) for part in found]

    return read_list


def _mapping(kind: type, of_key: Reader, of_value: Reader) -> Reader:
    return lambda found: kind({of_key(key): of_value(value) for key, value in found.items()})


def _dataclass(kind: Any) -> Reader:
    readers: dict[str, Reader] = {}

    def read_fields(found: Any) -> Any:
        if not readers:  # After `reader` is defined, because a class may contain itself.
            hints = _HINTS.get(kind) or get_type_hints(kind)
            readers.update({name: reader(hint) for name, hint in hints.items()})
        return kind(**{name: readers[name](part) for name, part in found.items()})

    return read_fields


def _exactly(kind: type) -> Reader:
    def read_exactly(found: Any) -> Any:
        if type(found) is not kind:
            raise TypeError(f"{found!r} is not of type {kind.__name__}")
        return found

    return read_exactly
