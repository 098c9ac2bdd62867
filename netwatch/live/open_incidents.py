"""The open incidents of a running capture.

An incident is reported when it opens, when its confidence rises, when it turns out to be graver
than reported (a block that did not hold, an embed that is the app), and when it ends. These are the
same incidents as in a scan of the whole capture, except that the future is not known: an incident
keeps the id of its first alert even if an earlier contact arrives later, and a contact that arrives
after its incident has ended is only counted. Ages are measured in continuous time
(`netwatch.live.packet_clock`), so that setting a clock ends no incident.

Beyond a limit the longest inactive ones are evicted to disk (`netwatch.live.open_incident`), and
read again when they get a contact or end.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Literal

from netwatch.core.alert import Alert, Judgement, Sensor
from netwatch.core.verdict import Contact
from netwatch.incidents.aggregate import Incidents, ban_key_of, under_each_ban
from netwatch.incidents.alert_parts import GeoLookup, Key
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.incident import Incident
from netwatch.incidents.senders import MAX_AGE
from netwatch.incidents.unproven import SUMMED, client_number, is_listed, summed_contact
from netwatch.live.open_incident import EvictedIncidents, OpenIncident, UnknownClients, proves

ENDED_LIMIT = 20_000
"""Ended incidents to remember, to recognise contacts that arrive too late."""

ENDED_AGE = 86_400_000_000_000
"""How long ended incidents are remembered, ns."""

CLOSE_DELAY = 2_000_000_000
"""How much longer than the quiet gap an incident stays open, ns: packets and findings may still be
on their way."""

EVICTED_SHARE = 8
"""One in so many incidents is evicted when there are too many in memory."""

CLOSED_AT_A_TIME = 1000
"""Incidents on disk to read at a time for closing."""

LATEST = (1 << 63) - 1
"""Later than all times, ns."""

Status = Literal["open", "update", "closed"]


class OpenIncidents:
    """The open incidents of a capture; `send` gets each alert. `quiet_gap` is in ns. `save`, which
    may be replaced, saves incidents that are about to be evicted.

    `reported` counts the incidents that were reported, by verdict, `restored` those that an earlier
    run had reported and left open, and `judged` the ended ones of both, by kind and outcome;
    `recorded` counts those that ended below the confidence that their ban requires; `late_contacts`
    arrived after the end of their incident; `contradictions` counts contacts of ended incidents
    with contradictions, by type.
    """

    def __init__(
        self, quiet_gap: int, geo: GeoLookup | None, send: Callable[[Alert], None]
    ) -> None:
        self.geo = geo
        self._send = send
        self._incidents = Incidents(quiet_gap)
        self._open: dict[Key, list[OpenIncident]] = {}
        self._evicted = EvictedIncidents()
        self._ended: OrderedDict[Key, int] = OrderedDict()
        self._left_out: Counter[str] = Counter()
        self._numbers_to_delete: list[int] = []
        self._numbers = count(1)
        self._latest: tuple[Sensor, int] | None = None  # who judged the last contact, its offset
        self.unknown = UnknownClients()
        self.save: Callable[[list[OpenIncident]], object] = lambda entries: None
        self.reported: Counter[str] = Counter()
        self.restored: Counter[str] = Counter()
        self.judged: Counter[Judgement] = Counter()
        self.recorded = 0
        self.late_contacts = 0
        self.contradictions: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._incidents.count + len(self._evicted)

    def __iter__(self) -> Iterator[OpenIncident]:
        """Iterate over the incidents in memory."""
        for entries in self._open.values():
            yield from entries

    @property
    def in_memory(self) -> int:
        """How many incidents are in memory."""
        return self._incidents.count

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
        late = Counter({"incident-over": self.late_contacts, "incident-lost": self._evicted.lost})
        now = Counter(self._incidents.limits) + self._left_out + late
        return dict(sorted((+now).items()))

    @property
    def anomalies(self) -> Counter[str]:
        """Anomalies of contacts."""
        return self.contradictions + Counter({SUMMED: self.unknown.summed})

    def reload(self, quiet_gap: int, geo: GeoLookup | None, client_limit: int) -> None:
        """Use another quiet gap (ns), GeoIP database and limit of unknown clients, also for
        incidents that are already open."""
        self._incidents.quiet_gap = quiet_gap
        self.unknown.limit = client_limit
        self.geo = geo

    def add(self, contact: Contact, sensor: Sensor, offset: int) -> None:
        """Add a contact to its incident under each ban that applies. `sensor` names the versions of
        the rules that judged it; its time plus `offset` is continuous time."""
        if contact.sender is not None:
            self._incidents.senders.add(contact.sender, contact.observation.time + offset)
        repeats, self._latest = contact.repeats, (sensor, offset)
        time = (contact.observation.time if repeats is None else repeats.last) + offset
        client = ""
        if not self._is_open(contact) and not self.unknown.may_own(contact, time):
            client, contact = contact.device.id, summed_contact(contact)
            self.unknown.summed += 1 if repeats is None else repeats.count
        for under in under_each_ban(contact):
            self._add(under, sensor, offset, client)

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Add the outcome of contacts that were added before; `contact` is one of them. It concerns
        the bans with these ids, None for all that apply to the contact."""
        if not self._is_open(contact):
            contact = self._summed(contact, progress)
        for under in under_each_ban(contact):
            if bans is None or under.decision.rulings[0].ban.id in bans:
                self._add_progress(under, progress)

    def _is_open(self, contact: Contact) -> bool:
        """Whether a contact belongs to an open incident, under any ban."""
        subject = contact.device.id, contact.match.app.id
        keys = ((*subject, ruling.ban.id, ruling.kind) for ruling in contact.decision.rulings)
        return any(key in self._open or self._evicted.has(key) for key in keys)

    def _summed(self, contact: Contact, progress: ContactProgress) -> Contact:
        """The contact that progress is about, if its own incident is not open: the contact of the
        device that represents unknown clients, if it was added as one. If the progress proves the
        client, it now begins its own incident."""
        if is_listed(contact.device) or self._latest is None:
            return contact
        summed = summed_contact(contact)
        if not self._is_open(summed):
            return contact
        if not proves(progress):
            return summed
        self.unknown.prove(contact.device.id)
        for under in under_each_ban(contact):
            self._add(under, *self._latest)
        return contact

    def _add(self, contact: Contact, sensor: Sensor, offset: int, client: str = "") -> None:
        """Add a contact to its incident under the only ban that applies. `client` is its device if
        that is summed up with others."""
        key, repeats = ban_key_of(contact), contact.repeats
        time = (contact.observation.time if repeats is None else repeats.last) + offset
        if time <= self._ended.get(key, time - 1):
            self.late_contacts += 1 if repeats is None else repeats.count
            return
        if len(self._evicted):
            self._read_evicted(key)
        self._make_room(key)
        incident = self._incidents.add(contact)
        if incident is None:
            return
        if client:
            incident.clients.add(client_number(client))
        entry = self._entry(key, incident, time, sensor)
        entry.last_contact = max(entry.last_contact, time)
        entry.sensor = sensor
        entry.is_changed = True
        settled = incident.settled(self._incidents.senders)
        if settled.is_reportable(key[2]) and (
            settled.confidence != entry.reported_confidence or entry.is_graver()
        ):
            self._report(entry, "update" if entry.id else "open")

    def _add_progress(self, contact: Contact, progress: ContactProgress) -> None:
        """Add the outcome of contacts under the only ban that applies."""
        key = ban_key_of(contact)
        if len(self._evicted):
            self._read_evicted(key)
        self._incidents.add_progress(contact, progress)
        for entry in self._open.get(key, ()):
            entry.is_changed = True
            settled = entry.incident.settled(self._incidents.senders)
            rises = (
                progress.seen is not None
                and settled.is_reportable(key[2])
                and settled.confidence != entry.reported_confidence
            )
            if rises or entry.is_graver():
                self._report(entry, "update" if entry.id else "open")

    def restore(self, entry: OpenIncident) -> bool:
        """Add an incident that was open when an earlier run ended; False if there are too many
        incidents."""
        self._make_room(entry.key)
        if not self._insert(entry):
            return False
        self._numbers = count(max(entry.number + 1, next(self._numbers)))
        if entry.id:
            self.restored[entry.key[3]] += 1
        return True

    def close_quiet(self, now: int) -> None:
        """Close the incidents that had no contact for longer than the quiet gap at `now`
        (continuous time, ns)."""
        quiet_since = now - self._incidents.quiet_gap - CLOSE_DELAY
        for entry in [entry for entry in self if entry.last_contact < quiet_since]:
            self._close(entry)
        self._close_evicted(quiet_since)
        self._incidents.senders.forget(now - MAX_AGE)
        while self._ended:
            key, until = next(iter(self._ended.items()))
            if until + ENDED_AGE >= now and len(self._ended) <= ENDED_LIMIT:
                break
            del self._ended[key]

    def close_all(self) -> None:
        """Close all incidents, since the capture has ended."""
        for entry in sorted(self, key=lambda entry: entry.incident.first):
            self._close(entry)
        self._close_evicted(LATEST)
        self._evicted.close()

    def take_numbers_to_delete(self) -> list[int]:
        """The numbers of the saved incidents that ended since the last call."""
        numbers, self._numbers_to_delete = self._numbers_to_delete, []
        return numbers

    def put_back_numbers_to_delete(self, numbers: list[int]) -> None:
        """Undo `take_numbers_to_delete`: these could not be deleted from the state file."""
        self._numbers_to_delete = numbers + self._numbers_to_delete

    def changed(self, limit: int) -> list[OpenIncident]:
        """The incidents that differ from what is saved: all that were reported since, and up to
        `limit` others."""
        changed = [entry for entry in self if entry.is_changed]
        reported = [entry for entry in changed if entry.has_new_alert]
        return reported + [entry for entry in changed if not entry.has_new_alert][:limit]

    def _entry(
        self, key: Key, incident: Incident, last_contact: int, sensor: Sensor
    ) -> OpenIncident:
        """The entry of an incident that got a contact. If the contact joined several
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
                found.reported_outcome = entry.reported_outcome
                found.reported_kind = entry.reported_kind
            elif entry.id:
                self._report(entry, "closed")
        return found

    def _insert(self, entry: OpenIncident) -> bool:
        if not self._incidents.insert(entry.key, entry.incident):
            return False
        self._open.setdefault(entry.key, []).append(entry)
        return True

    def _make_room(self, key: Key) -> None:
        """If there are too many incidents in memory, move those to disk whose last contact was
        longest ago, but none of `key`, which is about to get another contact."""
        if self._incidents.count < self._incidents.limit:
            return
        oldest = sorted(
            (entry for entry in self if entry.key != key), key=lambda entry: entry.last_contact
        )
        evicted = oldest[: max(1, len(oldest) // EVICTED_SHARE)]
        self.save([entry for entry in evicted if entry.is_changed])
        if self._evicted.write(evicted):
            for entry in evicted:
                self._remove(entry)

    def _read_evicted(self, key: Key) -> None:
        """Move the incidents of a key from disk back to memory."""
        for entry in self._evicted.take(key):
            self._make_room(key)
            if not self._insert(entry):
                self._end(entry)

    def _close_evicted(self, before: int) -> None:
        """Close the incidents on disk whose last contact was earlier than `before`."""
        while entries := self._evicted.take_quiet(before, CLOSED_AT_A_TIME):
            for entry in entries:
                self._end(entry)

    def _close(self, entry: OpenIncident) -> None:
        self._remove(entry)
        self._end(entry)

    def _remove(self, entry: OpenIncident) -> None:
        """Remove an incident from memory."""
        self._incidents.remove(entry.key, entry.incident)
        entries = self._open[entry.key]
        entries.remove(entry)
        if not entries:
            del self._open[entry.key]

    def _end(self, entry: OpenIncident) -> None:
        """Report the end of an incident that is no longer in memory."""
        if entry.id:
            self._report(entry, "closed")
        else:
            self.recorded += 1
        settled = entry.incident.settled(self._incidents.senders)
        self.contradictions.update(settled.contradictions.by_type())
        for name, contacts in entry.incident.left_out.items():
            self._left_out[f"incident-{name}"] += contacts
        until = entry.last_contact + self._incidents.quiet_gap
        self._ended[entry.key] = max(until, self._ended.pop(entry.key, until))
        self._delete_saved(entry)

    def _delete_saved(self, entry: OpenIncident) -> None:
        if entry.is_saved:
            self._numbers_to_delete.append(entry.number)

    def _report(self, entry: OpenIncident, status: Status) -> None:
        settled = entry.incident.settled(self._incidents.senders)
        alert = settled.alert(entry.key[2], self.geo, entry.sensor)
        if entry.id is None:
            entry.id = alert.id
            self.reported[alert.verdict] += 1
        if status == "closed":
            self.judged[alert.kind.value, alert.outcome] += 1
        entry.reported_confidence = alert.confidence
        entry.reported_outcome, entry.reported_kind = alert.outcome, alert.kind.value
        entry.is_changed = entry.has_new_alert = True
        self._send(replace(alert, id=entry.id, status=status))
