"""Open incidents as text, and back: what is needed to go on with them after a restart.

JSON, not a pickle: what stands in a file must never be able to run. What is read is held
against the types of the values it becomes; whatever does not fit is a `StateError`.
"""

import json
import types
from dataclasses import fields, is_dataclass, replace
from datetime import date
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from netwatch.core.alert import Sensor
from netwatch.core.errors import NetwatchError
from netwatch.core.message import Evidence
from netwatch.core.observation import Observation
from netwatch.core.verdict import Contact, VerdictKind
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.incident import Incident, Key, strip_frames
from netwatch.live.open_incidents import Open

_TABLES: dict[str, tuple[Any, Any]] = {
    "names": (tuple[int, str], tuple[()]),
    "evidence": (tuple[int, str, str], tuple[int, str, int, int, str, str]),
    "destinations": (tuple[int, bytes, int], tuple[()]),
    "communities": (tuple[bool, str], tuple[()]),
    "flows": (int, tuple[()]),
}
"""The tables of an incident, with the types of their keys and first sights."""

_OBSERVATION: dict[str, Any] = {
    "time": int,
    "digits": int,
    "evidence": Evidence,
    "name": str,
    "client_ip": bytes,
    "client_port": int,
    "client_mac": bytes | None,
    "server_ip": bytes,
    "server_port": int,
    "transport": Literal["tcp", "udp"],
    "vlan": int | None,
    "source": str,
    "packet": int,
    "flow": int,
    "dns": type(None),
    "tls": type(None),
    "quic": type(None),
    "frames": tuple[()],
}
"""The fields of an observation, as far as `slim` and `strip_frames` leave them: its compiled form
does not tell their types."""

_COUNTS = ("first", "last", "digits", "lookups", "handshakes", "bytes_out", "bytes_in")


class StateError(NetwatchError):
    """Stored state that cannot be read; the text says why."""


def slim(contact: Contact) -> Contact:
    """A contact with no more than an incident and its proof need of it."""
    return replace(contact, observation=replace(contact.observation, dns=None, tls=None, quic=None))


def encode(entry: Open) -> str:
    """An open incident as JSON."""
    incident = entry.incident
    tables = {}
    for name in _TABLES:
        kept: BoundedTable = getattr(incident, name)
        items = [[key, count, first] for key, (count, first) in kept.items.items()]
        tables[name] = {"total": kept.total, "items": items}
    held = {
        "id": entry.id,
        "told": entry.confidence,
        "key": entry.key,
        "sensor": entry.sensor,
        "contact": strip_frames(slim(incident.first_contact)),
        "confidence": incident.confidence,
        "counts": {name: getattr(incident, name) for name in _COUNTS},
        "tables": tables,
    }
    return _json(held)


def decode(number: int, text: str, gap: int) -> Open:
    """The open incident that `encode` made this of; `gap` is the quiet gap in ns. Raises
    `StateError`."""
    try:
        held = json.loads(text)
        incident = Incident(_value(Contact, held["contact"]), gap)
        incident.confidence = _value(str | None, held["confidence"])
        for name in _COUNTS:
            setattr(incident, name, _value(int, held["counts"][name]))
        for name, (key_type, first_type) in _TABLES.items():
            kept: BoundedTable = getattr(incident, name)
            table = held["tables"][name]
            kept.total = _value(int, table["total"])
            kept.worst = None
            kept.items = {
                _value(key_type, key): (_value(int, count), _value(first_type, first))
                for key, count, first in table["items"][: kept.limit]
            }
        key: Key = _value(tuple[str, str, str, VerdictKind], held["key"])
        # Its steady time ended with its process.
        entry = Open(number, key, incident, incident.last, _value(Sensor, held["sensor"]))
        entry.id = _value(str | None, held["id"])
        entry.confidence = _value(str | None, held["told"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StateError(f"an incident that does not read back ({error})") from None
    entry.keep()
    return entry


def _plain(value: Any) -> Any:
    """What JSON has no form for, in what it has."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    kind: Any = type(value)
    return {name: getattr(value, name) for name in _fields(kind)}


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


_json = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


@cache
def _hints(kind: type) -> dict[str, Any]:
    return _OBSERVATION if kind is Observation else get_type_hints(kind)


def _value(kind: Any, plain: Any) -> Any:
    """A value of type `kind` from what JSON had; raises `ValueError`, `TypeError` or
    `KeyError` where it is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return (
            None if plain is None else _value(next(a for a in inner if a is not type(None)), plain)
        )
    if origin is Literal:
        if plain not in inner:
            raise ValueError(f"{plain!r} is none of {inner}")
        return plain
    if origin is tuple and isinstance(plain, list) and inner[1:] == (...,):
        return tuple(_value(inner[0], each) for each in plain)
    if origin is tuple:
        if not isinstance(plain, list) or len(plain) != len(inner):
            raise ValueError(f"{plain!r} is no list of {len(inner)}")
        return tuple(_value(each, part) for each, part in zip(inner, plain, strict=True))
    if origin is frozenset:
        return frozenset(_value(inner[0], each) for each in plain)
    if is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]
        return kind(**{name: _value(hints[name], part) for name, part in plain.items()})  # type: ignore[operator]
    if kind is bytes:
        return bytes.fromhex(plain)
    if kind is date:
        return date.fromisoformat(plain)
    if type(plain) is not kind:
        raise TypeError(f"{plain!r} is no {kind.__name__}")
    return plain
