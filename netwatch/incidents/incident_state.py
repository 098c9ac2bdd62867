"""Incidents, whole or in part, as JSON values and back.

A live capture saves its open incidents this way, and a ledger the result of each unit of an
archive. An incident that was read back merges with others exactly as the original one does.

What many incidents share (what the bans said, the rule that matched, the network) is written once
where a `SharedValues` collects it. A contact is written without its protocol details, which neither
its incident nor the evidence capture needs, and without the address of a device that has a
pseudonym.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from netwatch.core.flow import DENIALS, RANKED, ContradictionType, EvidenceFrames, LogInfo
from netwatch.core.message import Evidence, Observation
from netwatch.core.typed_json import declare_fields, field_names, read, reader
from netwatch.core.verdict import (
    RESET,
    Confidence,
    Contact,
    Decision,
    Device,
    Match,
    Network,
    Outcome,
)
from netwatch.incidents.activity import CLASSES, Activity, ActivityTable
from netwatch.incidents.alert_parts import FirstAnswer, FirstSighting, SetKey
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.confidence import Ground, IncidentConfidence
from netwatch.incidents.contacts import Tally, named_order, strip_frames, without_details
from netwatch.incidents.evidence_frames import IncidentFrames
from netwatch.incidents.incident import Incident
from netwatch.incidents.origin_counts import (
    PARTIAL_LIMIT,
    LookupAnswers,
    NameAnswers,
    OriginCounts,
    Totals,
)
from netwatch.incidents.senders import (
    CONTRADICTING_SENDERS,
    Contradictions,
    FirstContradicted,
)

T = TypeVar("T")

TABLES: dict[str, tuple[Any, Any]] = {
    "names": (tuple[int, str], tuple[()]),
    "evidence": (tuple[int, str, str, str], FirstSighting),
    "destinations": (tuple[int, bytes, int], tuple[()]),
    "communities": (tuple[bool, str], tuple[()]),
    "blocks": (str, tuple[()]),
    "answers": (tuple[str, str], FirstAnswer),
    "candidates": (SetKey, tuple[()]),
    "clients": (int, tuple[()]),
}
"""The tables of an incident, with the types of their keys and of their first occurrences."""

OBSERVATION: dict[str, Any] = {
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
    "client_host": str,
    "log": LogInfo | None,
    "frames": tuple[()],
    "mark": int,
}
"""The types of an observation's fields, as far as `without_details` and `strip_frames` keep them.
They are listed because a compiled class has no type hints."""

declare_fields(Observation, OBSERVATION)

GROUNDS: dict[str, Any] = {"strongest": Confidence, "unseen": Confidence, "lone": str}
"""The grounds for the confidence of an incident, with the types of their keys."""

_COUNTS = ("last", "time_digits")
_ORIGIN_COUNTS = ("handshakes", "partial_dropped")
_BYTES = ("bytes_out", "bytes_in")
_OBSERVATION_FIELDS = (*field_names(Observation)[:14], "raw", "asked", "log", "mark")
_ORDER = tuple[bool, int, str, int, int, str, str, str]
"""The type of `netwatch.incidents.contacts.named_order`."""

_SHARED: dict[str, Any] = {"decision": Decision, "match": Match, "network": Network}
"""Kinds of values that incidents share."""


class SharedValues:
    """Values that several incidents share, numbered in the order of first use.

    `define` is called with the kind and the value of a new one, before the first incident that
    refers to it is written; a reader passes them to `add`.
    """

    def __init__(self, define: Callable[[str, Any], None] = lambda kind, value: None) -> None:
        self._define = define
        self._numbers: dict[str, dict[Any, int]] = {kind: {} for kind in _SHARED}
        self._values: dict[str, list[Any]] = {kind: [] for kind in _SHARED}

    def number(self, kind: str, value: Any) -> int:
        """The number of a value."""
        numbers = self._numbers[kind]
        number = numbers.get(value)
        if number is None:
            number = numbers[value] = len(numbers)
            self._define(kind, value)
        return number

    def add(self, kind: str, found: Any) -> None:
        """Take the next value of a kind, as JSON."""
        self._values[kind].append(read(_SHARED[kind], found))

    def value(self, kind: str, number: Any) -> Any:
        """The value with a number. Raises `IndexError`, or `TypeError` if it is not a number."""
        if _read_int(number) < 0:
            raise ValueError(f"{number} is no number of a {kind}")
        return self._values[kind][number]


def incident_state(incident: Incident, shared: SharedValues) -> dict[str, Any]:
    """Everything known about an incident, as JSON."""
    state = {
        "contacts": [_contact(first, shared) for first in incident.firsts],
        "counts": [getattr(incident, name) for name in _COUNTS],
        "grounds": grounds_state(incident.grounds),
        "tables": {name: table_state(getattr(incident, name)) for name in TABLES},
        "origins": {name: origin_state(each) for name, each in incident.origins.items()},
    }
    if incident.contradictions:
        state["contradictions"] = contradictions_state(incident.contradictions)
    contact = strip_frames(without_details(incident.first_contact))
    if incident.named_order != named_order(contact) or incident.named_device != contact.device:
        state["named"] = [incident.named_order, incident.named_device]
    by_name, by_interval = incident.frames.entries()
    if by_name or by_interval:
        state["frames"] = _frames(by_name, by_interval)
    return state


def restored_incident(state: Any, quiet_gap: int, shared: SharedValues) -> Incident:
    """The incident from `incident_state`; `quiet_gap` is in ns. Raises one of
    `netwatch.core.typed_json.MISMATCHES` or `IndexError` if it is not valid."""
    contacts = [_restored_contact(each, shared) for each in state["contacts"]]
    incident = begun_incident(contacts, quiet_gap)
    for name, count in zip(_COUNTS, state["counts"], strict=True):
        setattr(incident, name, _read_int(count))
    restore_grounds(incident.grounds, state["grounds"])
    for name, kinds in TABLES.items():
        fill_table(getattr(incident, name), state["tables"][name], *kinds)
    for name, counts in state["origins"].items():
        restore_origin(incident.counts_of(_read_text(name)), counts)
    if "contradictions" in state:
        restore_contradictions(incident.contradictions, state["contradictions"])
    # The device is the first contact's unless another one is written.
    incident.named_order = named_order(incident.first_contact)
    incident.named_device = incident.first_contact.device
    if "named" in state:
        order, device = state["named"]
        incident.named_order = read(_ORDER, order)
        incident.named_device = read(Device, device)
    if "frames" in state:
        _restore_frames(incident.frames, state["frames"])
    return incident


def begun_incident(contacts: Sequence[Contact], quiet_gap: int) -> Incident:
    """An incident that begins with one of these contacts, the first of each precision, and has
    nothing else yet. Raises `ValueError` without any."""
    if not contacts:
        raise ValueError("an incident without a contact")
    incident = Incident(contacts[0], quiet_gap)
    for contact in contacts:
        incident.firsts.add(contact)
        incident.first = min(incident.first, contact.observation.time)
    return incident


def grounds_state(grounds: IncidentConfidence) -> dict[str, Any]:
    """The grounds for a confidence, as JSON."""
    return {name: getattr(grounds, name) for name in GROUNDS}


def restore_grounds(grounds: IncidentConfidence, state: Any) -> None:
    """Set the grounds from `grounds_state`."""
    for name, of_grounds in _read_grounds.items():
        setattr(grounds, name, of_grounds(state[name]))


def contradictions_state(contradictions: Contradictions) -> dict[str, Any]:
    """The contradictions of an incident, as JSON."""
    by_sender = contradictions.by_sender
    return {
        "table": table_state(contradictions.table),
        "senders": {sender: grounds_state(each) for sender, each in by_sender.items()},
    }


def restore_contradictions(contradictions: Contradictions, state: Any) -> None:
    """Set the contradictions from `contradictions_state`."""
    key = tuple[ContradictionType, str, str]
    fill_table(contradictions.table, state["table"], key, FirstContradicted)
    for sender, grounds in list(state["senders"].items())[:CONTRADICTING_SENDERS]:
        restore_grounds(contradictions.grounds_of(_read_text(sender)), grounds)


def origin_state(counts: OriginCounts) -> dict[str, Any]:
    """What one origin shows of an incident, as JSON."""
    state = {
        "counts": [getattr(counts, name) for name in _ORIGIN_COUNTS],
        "flows": table_state(counts.flows),
        "answers": answers_state(counts.lookup_answers),
        "totals": _totals(counts.totals),
    }
    if counts.partial:
        partial = [[sorted(bans), _totals(totals)] for bans, totals in counts.partial.items()]
        state["partial"] = sorted(partial, key=lambda each: each[0])
    return state


def restore_origin(counts: OriginCounts, state: Any) -> None:
    """Set the counts of an origin from `origin_state`."""
    for name, count in zip(_ORIGIN_COUNTS, state["counts"], strict=True):
        setattr(counts, name, _read_int(count))
    fill_table(counts.flows, state["flows"], int, tuple[()])
    restore_answers(counts.lookup_answers, state["answers"])
    _restore_totals(counts.totals, state["totals"])
    for bans, totals in state.get("partial", ())[:PARTIAL_LIMIT]:
        _restore_totals(counts.partial.setdefault(read(frozenset[str], bans), Totals()), totals)


def _contact(contact: Contact, shared: SharedValues) -> list[Any]:
    contact = strip_frames(without_details(contact))
    observation = contact.observation
    return [
        [getattr(observation, name) for name in _OBSERVATION_FIELDS],
        shared.number("match", contact.match),
        contact.device,
        shared.number("network", contact.network),
        shared.number("decision", contact.decision),
        contact.confidence,
        contact.outcome,
        contact.blocked_by,
        contact.seen.rank,
    ]


_read_int, _read_text, _read_device = reader(int), reader(str), reader(Device)
_read_confidence, _read_outcome = reader(Confidence | None), reader(Outcome)
_read_grounds = {name: reader(dict[kind, Ground]) for name, kind in GROUNDS.items()}  # type: ignore[valid-type]
_read_tallies = reader(Counter[Tally])
# Nothing else is ever counted there, so altered state cannot add text of its own.
_read_refusals = reader(Counter[Literal.__getitem__((RESET, *DENIALS[1:]))])  # type: ignore[misc]
_read_observation = reader(
    tuple.__class_getitem__(tuple(OBSERVATION[n] for n in _OBSERVATION_FIELDS))
)


def _restored_contact(state: Any, shared: SharedValues) -> Contact:
    observed, match, device, network, decision, confidence, outcome, blocked_by, seen = state
    observation = dict(zip(_OBSERVATION_FIELDS, _read_observation(observed), strict=True))
    made: Decision = shared.value("decision", decision)
    if not made.rulings:
        raise ValueError("the contact has no verdict")
    return Contact(
        Observation(**observation),
        shared.value("match", match),
        _read_device(device),
        shared.value("network", network),
        made,
        _read_confidence(confidence),
        _read_outcome(outcome),
        _read_text(blocked_by),
        seen=RANKED[_read_int(seen)],
    )


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "bytes": [getattr(totals, name) for name in _BYTES],
        "refusals": totals.refusals,
        "tallies": totals.tallies,
        "activity": activity_state(totals.activity),
    }


def _restore_totals(totals: Totals, state: Any) -> None:
    for name, count in zip(_BYTES, state["bytes"], strict=True):
        setattr(totals, name, _read_int(count))
    totals.refusals = _read_refusals(state["refusals"])
    totals.tallies = _read_tallies(state["tallies"])
    restore_activity(totals.activity, state["activity"])


def _frames(by_name: list[Any], by_interval: list[Any]) -> dict[str, Any]:
    """The packets of an incident. Those of one contact, which may be kept for several reasons, are
    written once."""
    kept: list[EvidenceFrames] = []
    numbers: dict[EvidenceFrames, int] = {}

    def number(frames: EvidenceFrames) -> int:
        if frames not in numbers:
            numbers[frames] = len(kept)
            kept.append(frames)
        return numbers[frames]

    names = [[key, number(frames)] for key, frames in by_name]
    intervals = [[at, number(first), number(last)] for at, first, last in by_interval]
    return {"kept": kept, "names": names, "intervals": intervals}


def _restore_frames(frames: IncidentFrames, state: Any) -> None:
    kept = read(list[EvidenceFrames], state["kept"])
    names = [
        (read(tuple[int, str, str], key), kept[_read_int(number)]) for key, number in state["names"]
    ]
    intervals = [
        (_read_int(at), kept[_read_int(first)], kept[_read_int(last)])
        for at, first, last in state["intervals"]
    ]
    frames.restore(names, intervals)


def table_state(table: BoundedTable) -> dict[str, Any]:
    """A table, as JSON."""
    items = [[key, count, first] for key, (count, first) in table.items.items()]
    return {"total": table.total, "items": items}


def fill_table(table: BoundedTable, state: Any, key_type: Any, first_type: Any) -> None:
    """Fill a table from `table_state`; its keys and first occurrences have these types."""
    of_key, of_first = reader(key_type), reader(first_type)
    table.total = _read_int(state["total"])
    table.worst = None
    table.items = {
        of_key(key): (_read_int(count), of_first(first))
        for key, count, first in state["items"][: table.limit]
    }


def answers_state(answers: LookupAnswers) -> dict[str, Any]:
    """The answers to lookups, as JSON."""
    return {
        "names": [[*name, *_numbers(counts)] for name, counts in answers.names.items()],
        "others": _numbers(answers.others),
    }


def restore_answers(answers: LookupAnswers, state: Any) -> None:
    """Set the answers from `answers_state`."""
    answers.names = {
        (_read_text(asked), _read_text(name)): _counts(NameAnswers, counts)
        for asked, name, *counts in state["names"][: answers.limit]
    }
    answers.others = _counts(NameAnswers, state["others"])


def activity_state(activity: ActivityTable) -> dict[str, Any]:
    """The activity of an incident, as JSON."""
    return {
        "entries": [[*key, *_numbers(part)] for key, part in activity.entries.items()],
        "totals": [[kind, *_numbers(part)] for kind, part in activity.totals.items()],
        "hosts": table_state(activity.hosts),
        "stacks": table_state(activity.stacks),
    }


def restore_activity(activity: ActivityTable, state: Any) -> None:
    """Set the activity from `activity_state`."""
    places = range(len(CLASSES))
    activity.clear()
    for minute, kind, *counts in state["entries"][: activity.limit]:
        activity.entries[_read_int(minute), places[kind]] = _counts(Activity, counts)
    for kind, *counts in state["totals"][: len(places)]:
        activity.totals[places[kind]] = _counts(Activity, counts)
    fill_table(activity.hosts, state["hosts"], tuple[int, str], tuple[()])
    fill_table(activity.stacks, state["stacks"], str, tuple[()])


def _numbers(part: Any) -> list[int]:
    """The fields of a dataclass that has only integers."""
    return [getattr(part, name) for name in field_names(part.__class__)]


def _counts(kind: Callable[..., T], state: Any) -> T:
    """A dataclass that has only integers."""
    size = len(field_names(kind))
    if len(state) != size:
        raise ValueError(f"{state!r} is not a list of {size}")
    if not all(type(count) is int for count in state):
        raise TypeError(f"{state!r} has other values than integers")
    return kind(*state)
