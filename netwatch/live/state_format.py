"""Open incidents as text and back: all that is needed to continue them after a restart.

The text is JSON and not a pickle, since what a file contains must never be able to run.
What is read is checked against the types of the values that it becomes; whatever does not
match them is a `StateError`.
"""

import json
from typing import Any

from netwatch.core.alert import Sensor
from netwatch.core.errors import NetwatchError
from netwatch.core.observation import Observation
from netwatch.core.seen import Seen
from netwatch.core.typed_json import MISMATCHES, plain, read
from netwatch.core.verdict import (
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
from netwatch.incidents.contacts import strip_frames, without_details
from netwatch.incidents.incident import Key
from netwatch.incidents.incident_state import (
    TABLES,
    begun_incident,
    contradictions_state,
    fill_table,
    grounds_state,
    origin_state,
    restore_contradictions,
    restore_grounds,
    restore_origin,
    table_state,
)
from netwatch.live.open_incident import OpenIncident

_CONTACT: dict[str, Any] = {
    "observation": Observation,
    "match": Match,
    "device": Device,
    "network": Network,
    "outcome": Outcome,
    "blocked_by": str,
    "seen": Seen,
}
"""The types of a contact's fields, beside its verdict."""

_COUNTS = ("first", "last", "time_digits")


class StateError(NetwatchError):
    """Saved state that cannot be read; the text gives the reason."""


def _contact(contact: Contact) -> dict[str, Any]:
    """The contact that began an incident, with the verdict of its only ban."""
    contact = strip_frames(without_details(contact))
    (ruling,) = contact.decision.rulings
    verdict = Verdict(ruling.kind, contact.confidence, "", ruling.ban, ruling.exemption)
    return {name: getattr(contact, name) for name in _CONTACT} | {"verdict": verdict}


def _restored_contact(state: Any) -> Contact:
    values = {name: read(kind, state[name]) for name, kind in _CONTACT.items()}
    verdict: Verdict = read(Verdict, state["verdict"])
    if verdict.ban is None or verdict.kind is None:
        raise ValueError("the contact has no verdict")
    decision = Decision.of((Ruling(verdict.ban, verdict.kind, verdict.exemption),))
    return Contact(**values, decision=decision, confidence=verdict.confidence)


def encode(entry: OpenIncident) -> str:
    """An open incident as JSON."""
    incident = entry.incident
    tables = {}
    for name in TABLES:
        tables[name] = table_state(getattr(incident, name))
    state = {
        "id": entry.id,
        "reported_confidence": entry.reported_confidence,
        "reported_outcome": entry.reported_outcome,
        "reported_kind": entry.reported_kind,
        "key": entry.key,
        "sensor": entry.sensor,
        "contacts": [_contact(each) for each in incident.firsts],
        "grounds": grounds_state(incident.grounds),
        "contradictions": contradictions_state(incident.contradictions),
        "counts": {name: getattr(incident, name) for name in _COUNTS},
        "origins": {name: origin_state(each) for name, each in incident.origins.items()},
        "tables": tables,
    }
    return _to_json(state)


def decode(number: int, text: str, quiet_gap: int) -> OpenIncident:
    """The open incident from which `encode` made this text; `quiet_gap` is in ns. Raises
    `StateError`."""
    try:
        state = json.loads(text)
        contacts = [_restored_contact(each) for each in state["contacts"]]
        incident = begun_incident(contacts, quiet_gap)
        restore_grounds(incident.grounds, state["grounds"])
        restore_contradictions(incident.contradictions, state["contradictions"])
        for name in _COUNTS:
            setattr(incident, name, read(int, state["counts"][name]))
        for name, types_ in TABLES.items():
            fill_table(getattr(incident, name), state["tables"][name], *types_)
        for name, counts in state["origins"].items():
            restore_origin(incident.counts_of(read(str, name)), counts)
        key: Key = read(tuple[str, str, str, VerdictKind], state["key"])
        # Continuous time begins anew with each process: packet time is the best there is.
        sensor = read(Sensor, state["sensor"])
        entry = OpenIncident(number, key, incident, incident.last, sensor)
        entry.id = read(str | None, state["id"])
        entry.reported_confidence = read(str | None, state["reported_confidence"])
        entry.reported_outcome = read(str | None, state["reported_outcome"])
        entry.reported_kind = read(str | None, state["reported_kind"])
    except MISMATCHES as error:
        raise StateError(f"a saved incident cannot be read ({error})") from None
    entry.mark_saved()
    return entry


_to_json = json.JSONEncoder(separators=(",", ":"), default=plain).encode
