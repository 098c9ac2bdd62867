"""Contacts become incidents: contacts of one device with one app under one ban, until a quiet gap.

Bans that treat all contacts alike share their incidents, so that a contact costs the same however
many bans apply to it. Only the result at the end has an incident for each ban.

Two contacts whose distance is at most the quiet gap belong to the same incident, so a late contact
may join two incidents. The result depends neither on the order of the contacts nor on how many
workers aggregated them: it is the same to the byte. Only which contacts are dropped at a limit
depends on the order of arrival. They are counted; a scan avoids the limits by writing incidents to
disk (`netwatch.incidents.spill`).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from netwatch.core.alert import Alert, Sensor
from netwatch.core.flow import Sender
from netwatch.core.verdict import Contact, Decision
from netwatch.incidents.alert_parts import GeoLookup, Key
from netwatch.incidents.bounded_table import EVIDENCE_BYTES, MemoryBudget
from netwatch.incidents.contacts import ContactProgress, strip_frames
from netwatch.incidents.evidence_frames import IncidentFrames
from netwatch.incidents.incident import Incident
from netwatch.incidents.senders import SenderTable
from netwatch.incidents.spill import Reported, SharedKey, reported

INCIDENT_LIMIT = 20_000
"""Incidents in memory, at most; contacts that would begin another one are dropped and counted."""


class Found(NamedTuple):
    """The result: `alerts`, their number by kind of verdict, the number of incidents below the
    `min_confidence` of their ban, and under each ban the contacts that tables left out, by limit,
    and those with contradictions, by type."""

    alerts: list[Alert]
    by_verdict: dict[str, int]
    recorded: int
    limits: dict[str, int]
    contradictions: Counter[str]


class Incidents:
    """Aggregates contacts into incidents; `quiet_gap` is in ns.

    It has no open file, so that it can be sent between processes and merged. There are `count`
    shared incidents, at most `limit`; `dropped` counts contacts dropped at this limit,
    `frames_dropped` contacts whose packets exceeded the memory budget of `evidence_bytes`.
    """

    def __init__(
        self,
        quiet_gap: int,
        *,
        limit: int | None = None,
        evidence_bytes: int = EVIDENCE_BYTES,
    ) -> None:
        self.quiet_gap = quiet_gap
        self.limit = INCIDENT_LIMIT if limit is None else limit
        self.dropped = 0
        self.frames_dropped = 0
        self._budget = MemoryBudget(self.evidence_bytes, evidence_bytes)
        # The incidents of one key are sorted by time and are further apart than the quiet gap.
        self._incidents: dict[SharedKey, list[Incident]] = {}
        self.count = 0
        self.senders = SenderTable()
        self._sender: Sender | None = None  # the last one

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[SharedKey, Incident]]:
        for key, incidents in self._incidents.items():
            for incident in incidents:
                yield key, incident

    def add(self, contact: Contact) -> Incident | None:
        """Add a contact, and return its incident. None if the ban gives no verdict, or if the limit
        of incidents is reached."""
        if contact.sender is not self._sender:
            self.add_sender(contact)
        key = key_of(contact)
        if key is None:
            return None
        frames = contact.observation.frames
        if frames and not self._budget.reserve(frame_bytes(contact)):
            contact = strip_frames(contact)
            self.frames_dropped += 1
        first = contact.observation.time
        last = first if contact.repeats is None else contact.repeats.last
        incidents = self._incidents.get(key)
        if incidents is not None:
            low, high = self._within_gap(incidents, first, last)
            if high - low == 1:
                incidents[low].add(contact)
                return incidents[low]
        incident = Incident.of(contact, self.quiet_gap)
        return incident if self.insert(key, incident) else None

    def add_sender(self, contact: Contact) -> None:
        """Note which client the MAC in the frame of a contact sends packets for."""
        self._sender = contact.sender
        if contact.sender is not None:
            self.senders.add(contact.sender, contact.observation.time)

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> bool:
        """Add the outcome of contacts that were added before; `contact` is one of them. It concerns
        the bans with these ids, None for all that apply to the contact. False if no incident of its
        key has a contact at the time of the progress."""
        key, time = key_of(contact), progress.time
        incidents = self._incidents.get(key, []) if key is not None else []
        low, high = self._within_gap(incidents, time, time)
        for incident in incidents[low:high]:
            if incident.first <= time <= incident.last:
                octets = sum(len(frame.data) for frame in progress.frames)
                if octets and not self._budget.reserve(octets):
                    progress = replace(progress, frames=())
                    self.frames_dropped += 1
                incident.add_progress(contact, progress, bans)
                return True
        return False

    def has_room(self, incidents: int, evidence_bytes: int) -> bool:
        """Whether so many more incidents, with so many bytes of packets, stay within all limits."""
        return self.count + incidents <= self.limit and self._budget.fits(evidence_bytes)

    def merge(self, other: "Incidents") -> None:
        """Add the incidents of another aggregation with the same quiet gap, which must not be used
        afterwards."""
        self.dropped += other.dropped
        self.frames_dropped += other.frames_dropped
        self.senders.merge(other.senders)
        if not self._budget.reserve(other.evidence_bytes()):
            self.frames_dropped += other._drop_frames()
        for key, incident in other:
            self.insert(key, incident)

    def insert(self, key: SharedKey, incident: Incident) -> bool:
        """Insert an incident, merged with those within the quiet gap; False if the limit of
        incidents is reached."""
        incidents = self._incidents.get(key, [])
        low, high = self._within_gap(incidents, incident.first, incident.last)
        if low == high and self.count >= self.limit:
            self.dropped += incident.names.total * len(incident.first_contact.decision.rulings)
            return False
        for near in incidents[low:high]:
            incident.merge(near)
        incidents[low:high] = [incident]
        self._incidents[key] = incidents
        self.count += 1 - (high - low)
        return True

    def take(self, other: "Incidents") -> None:
        """Take over the incidents of another aggregation without a key in common."""
        for key, incidents in other._incidents.items():
            self._incidents[key] = incidents
        self.count += other.count

    def with_key(self, key: SharedKey) -> Sequence[Incident]:
        """The incidents of a key, in order of time."""
        return tuple(self._incidents.get(key, ()))

    def near(self, key: SharedKey, incident: Incident) -> Sequence[Incident]:
        """The incidents of a key that are within the quiet gap of another one."""
        incidents = self._incidents.get(key, [])
        low, high = self._within_gap(incidents, incident.first, incident.last)
        return incidents[low:high]

    def remove(self, key: SharedKey, incident: Incident) -> None:
        """Remove an incident; `KeyError` if there is none with this key."""
        remaining = [other for other in self._incidents[key] if other is not incident]
        self.count -= len(self._incidents[key]) - len(remaining)
        if remaining:
            self._incidents[key] = remaining
        else:
            del self._incidents[key]

    def found(self, geo: GeoLookup | None, sensor: Sensor, more: Iterable[Incident] = ()) -> Found:
        """The result, with one alert of status `closed` for each incident to report, in the order
        of `alert_order`. `more` are further incidents, each the only one of its device and app,
        which are iterated once."""
        alerts: list[Alert] = []
        by_verdict: Counter[str] = Counter()
        limits, recorded = self._limits(), 0
        contradictions = Counter[str]()
        others = (Reported(each, each.first_contact.decision.rulings) for each in more)
        for unsettled, rulings in chain(self.reported(), others):
            incident = unsettled.settled(self.senders)
            for type_, contacts in incident.contradictions.by_type().items():
                contradictions[type_] += contacts * len(rulings)
            to_report = incident.reportable(rulings)
            recorded += len(rulings) - len(to_report)
            for name, contacts in incident.left_out.items():
                limits[f"incident-{name}"] += contacts * len(rulings)
            if to_report:
                alerts += incident.alerts(to_report, geo, sensor)
        for alert in alerts:
            by_verdict[alert.verdict] += 1
        alerts.sort(key=alert_order)
        reached = dict(sorted((+limits).items()))
        verdicts = dict(sorted(by_verdict.items()))
        return Found(alerts, verdicts, recorded, reached, contradictions)

    def alerts(self, geo: GeoLookup | None, sensor: Sensor) -> list[Alert]:
        """The alerts of the result."""
        return self.found(geo, sensor).alerts

    @property
    def limits(self) -> dict[str, int]:
        """Contacts left out because a table was full, by the name of the limit; only limits that
        were reached."""
        limits = self._limits()
        for incident, rulings in self.reported():
            for name, contacts in incident.left_out.items():
                limits[f"incident-{name}"] += contacts * len(rulings)
        return dict(sorted((+limits).items()))

    def reported(self) -> Iterator[Reported]:
        """The incidents of each ban; those that are the same for several bans once."""
        return reported(self._incidents.items(), self.quiet_gap)

    def _limits(self) -> Counter[str]:
        return Counter({"incident-limit": self.dropped, "incident-proof": self.frames_dropped})

    def _within_gap(self, incidents: list[Incident], first: int, last: int) -> tuple[int, int]:
        """The range of indexes of the incidents within the quiet gap of a time span."""
        low = bisect_left(incidents, first - self.quiet_gap, key=lambda incident: incident.last)
        high = low
        while high < len(incidents) and incidents[high].first <= last + self.quiet_gap:
            high += 1
        return low, high

    def evidence_bytes(self) -> int:
        """The bytes of the packets of all incidents."""
        return sum(len(frame.data) for _, incident in self for frame in incident.frames.distinct())

    def _drop_frames(self) -> int:
        """Drop all packets, and return the number of contacts that had some."""
        dropped = 0
        for _, incident in self:
            dropped += sum(1 for _ in incident.frames)
            incident.frames = IncidentFrames(self.quiet_gap)
        return dropped


def alert_order(alert: Alert) -> tuple[int, str]:
    """Alerts are ordered by the first contact and then by id."""
    return alert.first_seen, alert.id


def frame_bytes(contact: Contact) -> int:
    """The bytes of the packets of a contact."""
    return sum(len(frame.data) for frame in contact.observation.frames)


def key_of(contact: Contact) -> SharedKey | None:
    """The key of a contact's shared incident; None if no ban applies."""
    if not contact.decision.rulings:
        return None
    return contact.device.id, contact.match.app.id, *contact.decision.key


def ban_key_of(contact: Contact) -> Key:
    """The key of a contact's incident under the only ban that applies."""
    (ruling,) = contact.decision.rulings
    return contact.device.id, contact.match.app.id, ruling.ban.id, ruling.kind


def under_each_ban(contact: Contact) -> Iterator[Contact]:
    """The contact under each ban that applies, as if it were the only one."""
    if len(contact.decision.rulings) == 1:
        yield contact
        return
    for ruling in contact.decision.rulings:
        yield replace(contact, decision=Decision.of((ruling,)))
