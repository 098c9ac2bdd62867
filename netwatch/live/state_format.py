"""Open incidents as text and back: all that is needed to continue them after a restart.

The text is JSON and not a pickle, since what a file contains must never be able to run.
What is read is checked against the types of the values that it becomes; whatever does not
match them is a `StateError`.
"""

import json
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple, fields, is_dataclass, replace
from datetime import date
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from netwatch.core.alert import Sensor
from netwatch.core.errors import NetwatchError
from netwatch.core.message import Evidence
from netwatch.core.observation import Observation
from netwatch.core.verdict import (
    Confidence,
    Contact,
    Decision,
    Device,
    Match,
    Network,
    Outcome,
    Ruling,
    Verdict,
    VerdictKind,
)
from netwatch.incidents.activity import CLASSES, Activity, ActivityTable
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.confidence import Ground
from netwatch.incidents.contacts import strip_frames
from netwatch.incidents.evidence_items import FirstAnswer, FirstSighting
from netwatch.incidents.incident import Incident, Key
from netwatch.incidents.lookup_answers import NameAnswers
from netwatch.incidents.progress import Tally
from netwatch.incidents.totals import Totals
from netwatch.live.open_incident import OpenIncident

T = TypeVar("T")

_TABLES: dict[str, tuple[Any, Any]] = {
    "names": (tuple[int, str], tuple[()]),
    "evidence": (tuple[int, str, str], FirstSighting),
    "destinations": (tuple[int, bytes, int], tuple[()]),
    "communities": (tuple[bool, str], tuple[()]),
    "flows": (int, tuple[()]),
    "blocks": (str, tuple[()]),
    "answers": (tuple[str, str], FirstAnswer),
}
"""The tables of an incident, with the types of their keys and of their first occurrences."""

_OBSERVATION: dict[str, Any] = {
    "time": int,
    "time_digits": int,
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
    "flow_id": int,
    "dns": type(None),
    "tls": type(None),
    "quic": type(None),
    "raw": str,
    "asked": str,
    "frames": tuple[()],
}
"""The types of an observation's fields, as far as `without_details` and `strip_frames` leave them.
They are written out because a compiled class has no type hints."""

_CONTACT: dict[str, Any] = {
    "observation": Observation,
    "match": Match,
    "device": Device,
    "network": Network,
    "outcome": Outcome,
    "blocked_by": str,
}
"""The types of a contact's fields, beside its verdict."""

_GROUNDS: dict[str, Any] = {"strongest": Confidence, "lone": str}
"""The grounds for the confidence of an incident, with the types of their keys."""

_OWN_COUNTS = ("first", "last", "time_digits", "lookups", "handshakes")
_COUNTS = (*_OWN_COUNTS, "bytes_out", "bytes_in", "resets")


class StateError(NetwatchError):
    """Saved state that cannot be read; the text gives the reason."""


def without_details(contact: Contact) -> Contact:
    """A contact without the protocol details, which neither its incident nor the evidence
    capture needs, and without the address of a device that has a pseudonym."""
    observation = replace(contact.observation, dns=None, tls=None, quic=None)
    if contact.device.has_pseudonym:
        observation = replace(observation, client_ip=b"", client_port=0, client_mac=None)
    return replace(contact, observation=observation)


def _contact(contact: Contact) -> dict[str, Any]:
    """The contact that began an incident, with the verdict of its only ban."""
    contact = strip_frames(without_details(contact))
    (ruling,) = contact.decision.rulings
    verdict = Verdict(ruling.kind, contact.confidence, "", ruling.ban, ruling.exemption)
    return {name: getattr(contact, name) for name in _CONTACT} | {"verdict": verdict}


def _restored_contact(state: Any) -> Contact:
    values = {name: _value(kind, state[name]) for name, kind in _CONTACT.items()}
    verdict: Verdict = _value(Verdict, state["verdict"])
    if verdict.ban is None or verdict.kind is None:
        raise ValueError("the contact has no verdict")
    decision = Decision.of((Ruling(verdict.ban, verdict.kind, verdict.exemption),))
    return Contact(**values, decision=decision, confidence=verdict.confidence)


def _counted(incident: Incident, name: str) -> Incident | Totals:
    """Where an incident has a count."""
    return incident if name in _OWN_COUNTS else incident.totals


def encode(entry: OpenIncident) -> str:
    """An open incident as JSON."""
    incident = entry.incident
    tables = {}
    for name in _TABLES:
        tables[name] = _table(getattr(incident, name))
    state = {
        "id": entry.id,
        "reported_confidence": entry.reported_confidence,
        "reported_outcome": entry.reported_outcome,
        "reported_kind": entry.reported_kind,
        "key": entry.key,
        "sensor": entry.sensor,
        "contact": _contact(incident.first_contact),
        "grounds": {name: getattr(incident.grounds, name) for name in _GROUNDS},
        "counts": {name: getattr(_counted(incident, name), name) for name in _COUNTS},
        "outcomes": _outcomes(incident),
        "activity": _activity(incident.totals.activity),
        "tables": tables,
    }
    return _to_json(state)


def decode(number: int, text: str, quiet_gap: int) -> OpenIncident:
    """The open incident from which `encode` made this text; `quiet_gap` is in ns. Raises
    `StateError`."""
    try:
        state = json.loads(text)
        incident = Incident(_restored_contact(state["contact"]), quiet_gap)
        for name, kind in _GROUNDS.items():
            grounds = {
                _value(kind, key): _value(Ground, ground)
                for key, ground in state["grounds"][name].items()
            }
            setattr(incident.grounds, name, grounds)
        for name in _COUNTS:
            setattr(_counted(incident, name), name, _value(int, state["counts"][name]))
        for name, types_ in _TABLES.items():
            _fill_table(getattr(incident, name), state["tables"][name], *types_)
        _restore_outcomes(incident, state["outcomes"])
        _restore_activity(incident.totals.activity, state["activity"])
        key: Key = _value(tuple[str, str, str, VerdictKind], state["key"])
        # Continuous time begins anew with each process: packet time is the best there is.
        sensor = _value(Sensor, state["sensor"])
        entry = OpenIncident(number, key, incident, incident.last, sensor)
        entry.id = _value(str | None, state["id"])
        entry.reported_confidence = _value(str | None, state["reported_confidence"])
        entry.reported_outcome = _value(str | None, state["reported_outcome"])
        entry.reported_kind = _value(str | None, state["reported_kind"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StateError(f"a saved incident cannot be read ({error})") from None
    entry.mark_saved()
    return entry


def _table(table: BoundedTable) -> dict[str, Any]:
    items = [[key, count, first] for key, (count, first) in table.items.items()]
    return {"total": table.total, "items": items}


def _fill_table(table: BoundedTable, state: Any, key_type: Any, first_type: Any) -> None:
    table.total = _value(int, state["total"])
    table.worst = None
    table.items = {
        _value(key_type, key): (_value(int, count), _value(first_type, first))
        for key, count, first in state["items"][: table.limit]
    }


def _outcomes(incident: Incident) -> dict[str, Any]:
    answers = incident.lookup_answers
    return {
        "tallies": dict(incident.totals.tallies),
        "names": {name: astuple(counts) for name, counts in answers.names.items()},
        "others": astuple(answers.others),
    }


def _restore_outcomes(incident: Incident, state: Any) -> None:
    incident.totals.tallies = Counter(
        {_value(Tally, tally): _value(int, count) for tally, count in state["tallies"].items()}
    )
    answers = incident.lookup_answers
    names = list(state["names"].items())[: answers.limit]
    answers.names = {_value(str, name): _counts(NameAnswers, counts) for name, counts in names}
    answers.others = _counts(NameAnswers, state["others"])


def _activity(activity: ActivityTable) -> dict[str, Any]:
    return {
        "entries": [[*key, *astuple(part)] for key, part in activity.entries.items()],
        "totals": [[kind, *astuple(part)] for kind, part in activity.totals.items()],
        "hosts": _table(activity.hosts),
    }


def _restore_activity(activity: ActivityTable, state: Any) -> None:
    places = range(len(CLASSES))
    activity.clear()
    for minute, kind, *counts in state["entries"][: activity.limit]:
        activity.entries[_value(int, minute), places[kind]] = _counts(Activity, counts)
    for kind, *counts in state["totals"][: len(places)]:
        activity.totals[places[kind]] = _counts(Activity, counts)
    _fill_table(activity.hosts, state["hosts"], tuple[int, str], tuple[()])


def _counts(kind: Callable[..., T], state: Any) -> T:
    """A dataclass of nothing but integers."""
    size = len(_field_names(kind))
    if len(state) != size:
        raise ValueError(f"{state!r} is not a list of {size}")
    return kind(*(_value(int, count) for count in state))


def _plain(value: Any) -> Any:
    """A value of a type that JSON does not have, in types that it has."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    kind: Any = type(value)
    return {name: getattr(value, name) for name in _field_names(kind)}


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


_to_json = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


@cache
def _type_hints(kind: type) -> dict[str, Any]:
    return _OBSERVATION if kind is Observation else get_type_hints(kind)


def _value(kind: Any, plain: Any) -> Any:
    """The value of type `kind` that JSON has as `plain`; raises `ValueError`, `TypeError` or
    `KeyError` where it is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if plain is None:
            return None
        return _value(next(option for option in inner if option is not type(None)), plain)
    if origin is Literal:
        if plain not in inner:
            raise ValueError(f"{plain!r} is none of {inner}")
        return plain
    if origin is tuple and isinstance(plain, list) and inner[1:] == (...,):
        return tuple(_value(inner[0], part) for part in plain)
    if origin is tuple:
        if not isinstance(plain, list) or len(plain) != len(inner):
            raise ValueError(f"{plain!r} is not a list of {len(inner)}")
        return tuple(_value(of, part) for of, part in zip(inner, plain, strict=True))
    if origin is frozenset:
        return frozenset(_value(inner[0], part) for part in plain)
    if is_dataclass(kind):
        hints = _type_hints(kind)  # type: ignore[arg-type]
        return kind(**{name: _value(hints[name], part) for name, part in plain.items()})  # type: ignore[operator]
    if kind is bytes:
        return bytes.fromhex(plain)
    if kind is date:
        return date.fromisoformat(plain)
    if type(plain) is not kind:
        raise TypeError(f"{plain!r} is not of type {kind.__name__}")
    return plain
