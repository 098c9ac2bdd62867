"""Open incidents one by one: what was reported and saved of each, their text in the state file,
those that do not fit into memory, and the unknown clients with their own incidents.

The text is JSON and not a pickle, since the content of a file must never be executed. It has
everything needed to continue an incident after a restart. It is checked against the types of the
values that it becomes; a mismatch is a `StateError`.

SQLite creates the file of a private temporary database in the folder of ``SQLITE_TMPDIR`` or
``TMPDIR``, and deletes the name at once, so that only this process can read it and nothing remains
of it. What must survive a restart is in the state file.

A scan decides at the end who is unproven (`netwatch.incidents.unproven`); a running capture must
decide with each contact. The first unknown clients in a network and hour have their own incidents,
up to the limit. What further ones show is a contact of the device that represents all of them,
unless it proves that its client is there.
"""

import json
import pickle
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from netwatch.core.alert import Sensor
from netwatch.core.errors import NetwatchError
from netwatch.core.flow import Seen
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import Observation
from netwatch.core.typed_json import MISMATCHES, plain, read
from netwatch.core.verdict import (
    CLIENT_LIMIT,
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
from netwatch.incidents.alert_parts import Key
from netwatch.incidents.contacts import ContactProgress, strip_frames, without_details
from netwatch.incidents.incident import Incident
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
from netwatch.incidents.unproven import HOUR, is_listed, proves_client

EVICTED_LIMIT = 1_000_000
"""Open incidents on disk, at most."""

_SCHEMA = """
    CREATE TABLE incident (key TEXT NOT NULL, last_contact INTEGER NOT NULL, entry BLOB NOT NULL);
    CREATE INDEX by_key ON incident (key);
    CREATE INDEX by_time ON incident (last_contact);
"""

PROVEN_LIMIT = 65_536
"""Clients to remember as proven; of more the oldest is evicted."""

_CONTACT: dict[str, Any] = {
    "observation": Observation,
    "match": Match,
    "device": Device,
    "network": Network,
    "outcome": Outcome,
    "blocked_by": str,
    "seen": Seen,
}
"""The types of a contact's fields, besides its verdict."""

_COUNTS = ("first", "last", "time_digits")


class OpenIncident:
    """An incident that has not ended yet, and what has been reported and saved of it.

    `id`, `reported_confidence`, `reported_outcome` and `reported_kind` are from its last alert,
    None before the first. `last_contact` is in continuous time (ns), `sensor` names the versions of
    the rules that judged that contact. The state file has the incident under `number`, once it
    `is_saved`; `is_changed` means that it differs from what is saved there, `has_new_alert` that an
    alert was sent since.
    """

    __slots__ = (
        "has_new_alert",
        "id",
        "incident",
        "is_changed",
        "is_saved",
        "key",
        "last_contact",
        "number",
        "reported_confidence",
        "reported_kind",
        "reported_outcome",
        "sensor",
    )

    def __init__(
        self, number: int, key: Key, incident: Incident, last_contact: int, sensor: Sensor
    ) -> None:
        self.number = number
        self.key = key
        self.incident = incident
        self.last_contact = last_contact
        self.sensor = sensor
        self.id: str | None = None
        self.reported_confidence: str | None = None
        self.reported_outcome: str | None = None
        self.reported_kind: str | None = None
        self.is_changed = self.has_new_alert = True
        self.is_saved = False

    def is_graver(self) -> bool:
        """Whether the last alert had a lowered severity for a reason that no longer holds: nothing
        was reached, or only an embed was seen."""
        if self.reported_outcome == "blocked" and self.incident.outcome == "reached":
            return True
        return self.reported_kind == "embed" and self.incident.counts.totals.activity.is_app_seen

    def mark_saved(self) -> None:
        """Note that the state file has the incident as it is now."""
        self.is_saved = True
        self.is_changed = self.has_new_alert = False


class EvictedIncidents:
    """The table of evicted incidents. It is created when the first one is written. `lost` counts
    incidents that became unreadable."""

    def __init__(self) -> None:
        self.lost = 0
        self._database: sqlite3.Connection | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def write(self, entries: Sequence[OpenIncident]) -> bool:
        """Write incidents. False if they cannot be written, or would be more than
        `EVICTED_LIMIT`; then none of them is in the table."""
        if self._count + len(entries) > EVICTED_LIMIT:
            return False
        rows = [(_text(entry.key), entry.last_contact, pickle.dumps(entry)) for entry in entries]
        try:
            if self._database is None:
                self._database = _create()
            with self._database:
                self._database.executemany("INSERT INTO incident VALUES (?, ?, ?)", rows)
        except sqlite3.Error:
            return False
        self._count += len(entries)
        return True

    def has(self, key: Key) -> bool:
        """Whether there is an incident of a key."""
        if not self._count:
            return False
        assert self._database is not None
        try:
            found = self._database.execute(
                "SELECT 1 FROM incident WHERE key = ? LIMIT 1", (_text(key),)
            ).fetchone()
        except sqlite3.Error:
            self._discard()
            return False
        return found is not None

    def take(self, key: Key) -> list[OpenIncident]:
        """Remove and return the incidents of a key."""
        return self._take("key = ?", _text(key)) if self._count else []

    def take_quiet(self, before: int, limit: int) -> list[OpenIncident]:
        """Remove and return up to `limit` incidents whose last contact was earlier than `before`
        (continuous time, ns)."""
        if not self._count:
            return []
        return self._take(f"last_contact < ? ORDER BY last_contact LIMIT {limit:d}", before)

    def _take(self, condition: str, value: str | int) -> list[OpenIncident]:
        assert self._database is not None
        try:
            with self._database:
                rows = self._database.execute(
                    f"SELECT rowid, entry FROM incident WHERE {condition}", (value,)
                ).fetchall()
                self._database.executemany(
                    "DELETE FROM incident WHERE rowid = ?", [(number,) for number, _ in rows]
                )
        except sqlite3.Error:
            self._discard()
            return []
        self._count -= len(rows)
        return [pickle.loads(entry) for _, entry in rows]

    def _discard(self) -> None:
        """Give up an unreadable table: a new one is created when it is needed."""
        self.close()
        self._database = None
        self.lost += self._count
        self._count = 0

    def close(self) -> None:
        """Delete the table."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()


def _create() -> sqlite3.Connection:
    database = sqlite3.connect("")
    database.executescript(_SCHEMA)
    return database


def _text(key: Key) -> str:
    return json.dumps(key)


class UnknownClients:
    """The unknown clients of the hour that have incidents of their own, at most `limit` in a
    network; `summed` counts contacts of the others."""

    def __init__(self) -> None:
        self.limit = CLIENT_LIMIT
        self.summed = 0
        self._hour = 0
        self._clients: dict[str, set[str]] = {}
        self._proven: LimitedDict[str, None] = LimitedDict(PROVEN_LIMIT)

    def may_own(self, contact: Contact, time: int) -> bool:
        """Whether a contact without an incident may begin one for its client, at a time (ns)."""
        device = contact.device.id
        if is_listed(contact.device) or device in self._proven:
            return True
        if proves_client(contact):
            self.prove(device)
            return True
        if time // HOUR > self._hour:
            self._hour = time // HOUR
            self._clients.clear()
        clients = self._clients.setdefault(contact.network.name, set())
        if device in clients:
            return True
        if len(clients) >= self.limit:
            return False
        clients.add(device)
        return True

    def prove(self, device: str) -> None:
        """Note that a client is proven."""
        self._proven[device] = None


def proves(progress: ContactProgress) -> bool:
    """Whether the outcome of a contact proves its client."""
    seen = progress.seen
    if seen is not None:
        return seen.server and seen.directions == "both"
    return progress.now == "reached"


class StateError(NetwatchError):
    """Unreadable saved state; the text gives the reason."""


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
        "contacts": [_contact(first) for first in incident.firsts],
        "grounds": grounds_state(incident.grounds),
        "contradictions": contradictions_state(incident.contradictions),
        "counts": {name: getattr(incident, name) for name in _COUNTS},
        "origins": {name: origin_state(origin) for name, origin in incident.origins.items()},
        "tables": tables,
    }
    return _to_json(state)


def decode(number: int, text: str, quiet_gap: int) -> OpenIncident:
    """The open incident from the text of `encode`; `quiet_gap` is in ns. Raises `StateError`."""
    try:
        state = json.loads(text)
        contacts = [_restored_contact(contact) for contact in state["contacts"]]
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
        # Continuous time starts again with each process: packet time is the best there is.
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
