"""Observations, incidents and coverage as the Python API gives them, and how a record becomes a
typed value.

The records are documented (docs/reference/records.md) and have a schema, so that the classes of the
API have no words of their own: an attribute is a key of the record, with an underscore behind a
keyword of Python (``from_``, ``class_``). `view` follows the annotations of a class. Keys that a
class does not know are left to `Record.record`.
"""

import copy
import reprlib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from netwatch.api.parts import (
    App,
    Ban,
    Binding,
    CandidateSet,
    Contradiction,
    Counts,
    Destination,
    Device,
    Dns,
    Endpoint,
    Evidence,
    Exemption,
    Kind,
    Log,
    Network,
    Quic,
    Sensor,
    Tls,
    Unheard,
    Versions,
)
from netwatch.core.errors import NetwatchError
from netwatch.core.message import Evidence as MessageEvidence
from netwatch.core.text import escaped
from netwatch.core.verdict import Confidence, DeviceClass, Outcome, Severity, VerdictKind

T = TypeVar("T")

Convert = Callable[[Any], Any]

_NOBODY = Endpoint()


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
        from netwatch.formats.values import json_line

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
    """What makes a value of this type of one of JSON; None where that is the same."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = [each for each in arguments if each is not type(None)]
        return _optional(_converter(inner))
    if origin is tuple:
        return _each(_converter(arguments[0]))
    if hint is datetime:
        return _text("a time such as 2023-03-20T09:31:07Z", datetime.fromisoformat)
    if hint is date:
        return _text("a day such as 2023-03-20", date.fromisoformat)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Record):
    """One name that one device showed, with its evidence: the record of an observation with its
    keys as attributes, None where a key is left out. `time` is aware and in UTC, in microseconds;
    `record` has it as fine as the capture."""

    __hash__ = Record.__hash__

    time: datetime
    evidence: MessageEvidence
    name: str
    raw: str | None = None
    client: Endpoint = _NOBODY
    server: Endpoint = _NOBODY
    transport: Literal["tcp", "udp"]
    vlan: int | None = None
    community_id: str | None = None
    source: str
    packet: int | None = None
    sensor: str | None = None
    dns: Dns | None = None
    tls: Tls | None = None
    quic: Quic | None = None
    log: Log | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(Record):
    """One device, one app, one ban, until a quiet gap: the record of an alert with its keys as
    attributes. Times are aware and in UTC, in microseconds; `record` has them as fine as the
    capture. `duration` is in seconds."""

    __hash__ = Record.__hash__

    schema: str
    id: str
    status: Literal["open", "update", "closed"]
    verdict: VerdictKind
    severity: Severity
    confidence: Confidence
    kind: Kind
    outcome: Outcome
    blocked_by: tuple[str, ...]
    confidence_reasons: tuple[str, ...] = field(repr=False)
    first_seen: datetime
    last_seen: datetime
    duration: float
    app: App
    ban: Ban
    exemption: Exemption | None
    device: Device
    network: Network
    destinations: tuple[Destination, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    evidence: tuple[Evidence, ...] = field(repr=False)
    counts: Counts
    community_ids: tuple[str, ...] = field(repr=False)
    sensor: Sensor = field(repr=False)
    versions: Versions | None = field(default=None, repr=False)
    binding: Binding | None = field(default=None, repr=False)
    contradictions: tuple[Contradiction, ...] = field(default=(), repr=False)
    candidates: tuple[CandidateSet, ...] = field(default=(), repr=False)
    left_out: Mapping[str, int] = field(default_factory=dict, repr=False)
    clients: int | None = field(default=None, repr=False)
    shortened: Mapping[str, int] = field(default_factory=dict, repr=False)
    evidence_file: str | None = field(default=None, repr=False)
    evidence_lines: str | None = field(default=None, repr=False)
    unheard: Unheard | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Flows, those of them whose name was read, and the others by the reason. Of those outside of
    all networks, `missed` are in none because of their VLAN tag."""

    flows: int
    named: int
    unnamed: Mapping[str, int]
    missed: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCoverage:
    """The flows of a device."""

    id: str
    flows: int
    named: int
    unnamed: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCoverage:
    """The flows of a network, of each of its devices, and of the devices beyond a limit."""

    name: str
    class_: DeviceClass
    flows: int
    named: int
    unnamed: Mapping[str, int]
    devices: tuple[DeviceCoverage, ...]
    rest: Flows


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """Packets, and those of them that were captured in part, lost, or whose payload could not be
    reached, by the reason."""

    seen: int
    cut: int
    dropped: int
    unreadable: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage(Record):
    """What could be read in one run. `without_verdict` are contacts with apps of which nothing can
    be said, by the reason."""

    __hash__ = Record.__hash__

    schema: str
    flows: int
    named: int
    unnamed: Mapping[str, int]
    packets: Packets
    networks: tuple[NetworkCoverage, ...]
    outside: Flows
    without_verdict: Mapping[str, int]
