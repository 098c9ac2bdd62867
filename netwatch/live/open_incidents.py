"""The open incidents of a running capture.

An incident is reported when it opens, when its confidence rises, and when it ends. These are
the same incidents that a scan of the whole capture would give, with two differences that
come from not knowing the future: an incident keeps the id of its first alert even where an
earlier contact arrives later, and a contact that arrives after its incident has ended is
only counted. Ages are measured in continuous time
(`netwatch.live.packet_clock`), so that setting a clock ends no incident.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Literal

from netwatch.core.alert import Alert, Sensor
from netwatch.core.verdict import Contact
from netwatch.incidents.aggregate import Incidents, key_of
from netwatch.incidents.incident import GeoLookup, Incident, Key

ENDED_LIMIT = 20_000
"""Ended incidents that are remembered, to recognise contacts that arrive too late."""

ENDED_AGE = 86_400_000_000_000
"""How long ended incidents are remembered, ns."""

CLOSE_DELAY = 2_000_000_000
"""How much longer than the quiet gap an incident stays open, ns: packets and findings may
still be on their way."""

Status = Literal["open", "update", "closed"]


class OpenIncident:
    """An incident that has not ended yet, and what has been reported and saved of it.

    `id` and `reported_confidence` are those of its last alert, None before the first.
    `last_contact` is in continuous time (ns), `sensor` names the versions of the rules
    that judged that contact. The state file has the incident under `number`, once it `is_saved`;
    `is_changed` says that it differs from what is saved there, `has_new_alert` that an
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
        self.is_changed = self.has_new_alert = True
        self.is_saved = False

    def mark_saved(self) -> None:
        """Note that the state file has the incident as it is now."""
        self.is_saved = True
        self.is_changed = self.has_new_alert = False


class OpenIncidents:
    """The open incidents of a capture; `send` gets each alert. `quiet_gap` is in ns.

    `reported` counts the incidents that were reported, by verdict; `recorded` those that
    ended below the confidence that their ban requires; `late_contacts` arrived after the end
    of their incident.
    """

    def __init__(
        self, quiet_gap: int, geo: GeoLookup | None, send: Callable[[Alert], None]
    ) -> None:
        self.geo = geo
        self._send = send
        self._incidents = Incidents(quiet_gap)
        self._open: dict[Key, list[OpenIncident]] = {}
        self._ended: OrderedDict[Key, int] = OrderedDict()
        self._left_out: Counter[str] = Counter()
        self._numbers_to_delete: list[int] = []
        self._numbers = count(1)
        self.reported: Counter[str] = Counter()
        self.recorded = 0
        self.late_contacts = 0

    def __len__(self) -> int:
        return len(self._incidents)

    def __iter__(self) -> Iterator[OpenIncident]:
        for entries in self._open.values():
            yield from entries

    @property
    def rejected_contacts(self) -> int:
        """Contacts that were rejected because there were too many incidents."""
        return self._incidents.dropped

    @property
    def ended_count(self) -> int:
        """How many ended incidents are remembered."""
        return len(self._ended)

    @property
    def by_verdict(self) -> dict[str, int]:
        """How many incidents were reported, by verdict."""
        return dict(sorted(self.reported.items()))

    @property
    def limits(self) -> dict[str, int]:
        """What was left out because of a limit, by its name."""
        late = Counter({"incident-over": self.late_contacts})
        now = Counter(self._incidents.limits) + self._left_out + late
        return dict(sorted(now.items()))

    def reload(self, quiet_gap: int, geo: GeoLookup | None) -> None:
        """Use another quiet gap (ns) and GeoIP database, also for the incidents that are open
        already."""
        self._incidents.quiet_gap = quiet_gap
        self.geo = geo

    def add(self, contact: Contact, sensor: Sensor, offset: int) -> None:
        """Add a contact to its incident. `sensor` names the versions of the rules that judged
        it; its time plus `offset` is continuous time."""
        key = key_of(contact)
        if key is None:
            return
        time = contact.observation.time + offset
        if time <= self._ended.get(key, time - 1):
            self.late_contacts += 1
            return
        incident = self._incidents.add(contact)
        if incident is None:
            return
        entry = self._entry(key, incident, time, sensor)
        entry.last_contact = max(entry.last_contact, time)
        entry.sensor = sensor
        entry.is_changed = True
        if incident.reportable and incident.confidence != entry.reported_confidence:
            self._report(entry, "update" if entry.id else "open")

    def add_bytes(self, contact: Contact, bytes_out: int, bytes_in: int) -> None:
        """Count further payload of the flow of a contact that was added before."""
        key = key_of(contact)
        if key is None:
            return
        self._incidents.add_bytes(key, contact.observation.time, bytes_out, bytes_in)
        for entry in self._open.get(key, ()):
            entry.is_changed = True

    def restore(self, entry: OpenIncident) -> bool:
        """Add an incident that was open when an earlier run ended; False where there are too
        many incidents."""
        if not self._incidents.insert(entry.key, entry.incident):
            return False
        self._numbers = count(max(entry.number + 1, next(self._numbers)))
        self._open.setdefault(entry.key, []).append(entry)
        return True

    def close_quiet(self, now: int) -> None:
        """Close the incidents that had no contact for longer than the quiet gap at `now`
        (continuous time, ns)."""
        quiet_since = now - self._incidents.quiet_gap - CLOSE_DELAY
        for entry in [entry for entry in self if entry.last_contact < quiet_since]:
            self._close(entry)
        while self._ended:
            key, until = next(iter(self._ended.items()))
            if until + ENDED_AGE >= now and len(self._ended) <= ENDED_LIMIT:
                break
            del self._ended[key]

    def close_all(self) -> None:
        """Close all incidents, since the capture has ended."""
        for entry in sorted(self, key=lambda entry: entry.incident.first):
            self._close(entry)

    def take_numbers_to_delete(self) -> list[int]:
        """The numbers of the saved incidents that ended since the last call."""
        numbers, self._numbers_to_delete = self._numbers_to_delete, []
        return numbers

    def put_back_numbers_to_delete(self, numbers: list[int]) -> None:
        """Undo `take_numbers_to_delete`: these could not be deleted from the state file."""
        self._numbers_to_delete = numbers + self._numbers_to_delete

    def changed(self, limit: int) -> list[OpenIncident]:
        """The incidents that differ from what is saved of them: all that were reported since,
        and up to `limit` others."""
        changed = [entry for entry in self if entry.is_changed]
        reported = [entry for entry in changed if entry.has_new_alert]
        return reported + [entry for entry in changed if not entry.has_new_alert][:limit]

    def _entry(
        self, key: Key, incident: Incident, last_contact: int, sensor: Sensor
    ) -> OpenIncident:
        """The entry of an incident that got a contact. Where the contact joined several
        incidents, the id that was reported first is kept, and the others are closed."""
        current = self._incidents.with_key(key)
        entries = self._open.setdefault(key, [])
        found = next((entry for entry in entries if entry.incident is incident), None)
        joined = [
            entry for entry in entries if all(entry.incident is not other for other in current)
        ]
        if found is None:
            found = OpenIncident(next(self._numbers), key, incident, last_contact, sensor)
            entries.append(found)
        for entry in sorted(joined, key=lambda entry: entry.incident.first):
            entries.remove(entry)
            self._delete_saved(entry)
            found.last_contact = max(found.last_contact, entry.last_contact)
            if entry.id and not found.id:
                found.id, found.reported_confidence = entry.id, entry.reported_confidence
            elif entry.id:
                self._report(entry, "closed")
        return found

    def _close(self, entry: OpenIncident) -> None:
        if entry.id:
            self._report(entry, "closed")
        else:
            self.recorded += 1
        for name, contacts in entry.incident.left_out.items():
            self._left_out[f"incident-{name}"] += contacts
        self._incidents.remove(entry.key, entry.incident)
        entries = self._open[entry.key]
        entries.remove(entry)
        if not entries:
            del self._open[entry.key]
        until = entry.last_contact + self._incidents.quiet_gap
        self._ended[entry.key] = max(until, self._ended.pop(entry.key, until))
        self._delete_saved(entry)

    def _delete_saved(self, entry: OpenIncident) -> None:
        if entry.is_saved:
            self._numbers_to_delete.append(entry.number)

    def _report(self, entry: OpenIncident, status: Status) -> None:
        alert = entry.incident.alert(entry.key, self.geo, entry.sensor)
        if entry.id is None:
            entry.id = alert.id
            self.reported[alert.verdict] += 1
        entry.reported_confidence = alert.confidence
        entry.is_changed = entry.has_new_alert = True
        self._send(replace(alert, id=entry.id, status=status))
