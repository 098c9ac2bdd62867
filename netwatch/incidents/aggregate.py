"""Many contacts become incidents: one device, one app, one ban, until a quiet gap.

Two contacts no further apart than the quiet gap belong together, so a late contact may
join two incidents, and the outcome hangs neither on the order of the contacts nor on
how many gathered them: it is the same to the byte. Only the limit on incidents is by
arrival, and what it turned away is counted.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from netwatch.core.alert import Alert, Sensor
from netwatch.core.verdict import Contact
from netwatch.incidents.evidence_frames import Proofs
from netwatch.incidents.incident import Incident, Key, Places, bare
from netwatch.incidents.memory_budget import PROOF_BYTES, Room

INCIDENT_LIMIT = 20_000


class Incidents:
    """Gathers contacts into incidents; `quiet_gap` is in ns.

    Holds no file or handle, so that it can be sent between processes and merged.
    `dropped` counts contacts turned away because there were `INCIDENT_LIMIT` incidents,
    `unproven` those whose packets found no room among `proof_limit` bytes.
    """

    def __init__(self, quiet_gap: int, proof_limit: int = PROOF_BYTES) -> None:
        self.quiet_gap = quiet_gap
        self.dropped = 0
        self.unproven = 0
        self._room = Room(self._proof_bytes, proof_limit)
        # sorted by time, and apart by more than the quiet gap
        self._spans: dict[Key, list[Incident]] = {}
        self._count = 0

    def add(self, contact: Contact) -> Incident | None:
        """Take a contact into its incident, which comes back. One whose verdict says nothing
        is not taken, nor one that came when there were too many incidents: None."""
        key = key_of(contact)
        if key is None:
            return None
        frames = contact.observation.frames
        if frames and not self._room.has(sum(len(frame.data) for frame in frames)):
            contact = bare(contact)
            self.unproven += 1
        time = contact.observation.time
        spans = self._spans.get(key, [])
        low, high = self._touching(spans, time, time)
        if high - low == 1:
            spans[low].add(contact)
            return spans[low]
        incident = Incident(contact, self.quiet_gap)
        return incident if self.place(key, incident) else None

    def add_bytes(self, contact: Contact, bytes_out: int, bytes_in: int) -> None:
        """Count transport payload of the flow of a contact that was added before, out of
        and into the device. Bytes of a contact that was turned away are left out."""
        key = key_of(contact)
        if key is None:
            return
        time = contact.observation.time
        spans = self._spans.get(key, [])
        low, high = self._touching(spans, time, time)
        for incident in spans[low:high]:
            if incident.first <= time <= incident.last:
                incident.bytes_out += bytes_out
                incident.bytes_in += bytes_in

    def merge(self, other: "Incidents") -> None:
        """Take in what another gathered with the same quiet gap; `other` is spent."""
        self.dropped += other.dropped
        self.unproven += other.unproven
        if not self._room.has(other._proof_bytes()):
            self.unproven += other._forget_proof()
        for key, spans in other._spans.items():
            for incident in spans:
                self.place(key, incident)

    def _touching(self, spans: list[Incident], first: int, last: int) -> tuple[int, int]:
        low = bisect_left(spans, first - self.quiet_gap, key=lambda incident: incident.last)
        high = low
        while high < len(spans) and spans[high].first <= last + self.quiet_gap:
            high += 1
        return low, high

    def place(self, key: Key, incident: Incident) -> bool:
        """Put in an incident, with those that it touches taken into it; whether there was
        room for it."""
        spans = self._spans.get(key, [])
        low, high = self._touching(spans, incident.first, incident.last)
        if low == high and self._count >= INCIDENT_LIMIT:
            self.dropped += incident.names.total
            return False
        for near in spans[low:high]:
            incident.absorb(near)
        spans[low:high] = [incident]
        self._spans[key] = spans
        self._count += 1 - (high - low)
        return True

    def of(self, key: Key) -> Sequence[Incident]:
        """The incidents of a key, in the order of time."""
        return tuple(self._spans.get(key, ()))

    def take(self, key: Key, incident: Incident) -> None:
        """Let go of an incident."""
        spans = [each for each in self._spans[key] if each is not incident]
        self._count -= len(self._spans[key]) - len(spans)
        if spans:
            self._spans[key] = spans
        else:
            del self._spans[key]

    def _proof_bytes(self) -> int:
        spans = (incident for spans in self._spans.values() for incident in spans)
        return sum(len(frame.data) for incident in spans for frame in incident.proofs.frames())

    def _forget_proof(self) -> int:
        """Let all packets go that are kept as proof; how many contacts had some."""
        gone = 0
        for spans in self._spans.values():
            for incident in spans:
                gone += sum(1 for _ in incident.proofs)
                incident.proofs = Proofs(self.quiet_gap)
        return gone

    def __len__(self) -> int:
        return self._count

    def _told(self) -> Iterator[tuple[Key, Incident]]:
        for key, spans in self._spans.items():
            for incident in spans:
                if incident.told:
                    yield key, incident

    @property
    def by_verdict(self) -> dict[str, int]:
        """How many incidents are told, by kind of verdict."""
        return dict(sorted(Counter(key[3] for key, _ in self._told()).items()))

    @property
    def recorded(self) -> int:
        """How many incidents stayed below the confidence that their ban asks for."""
        return self._count - sum(self.by_verdict.values())

    @property
    def limits(self) -> dict[str, int]:
        """What was left out because a table was full, by name; empty where nothing was."""
        found = Counter({"incident-limit": self.dropped, "incident-proof": self.unproven})
        for spans in self._spans.values():
            for incident in spans:
                found.update({f"incident-{k}": n for k, n in incident.left_out.items()})
        return dict(sorted((+found).items()))

    def alerts(self, geo: Places | None, sensor: Sensor) -> list[Alert]:
        """Each told incident once, `closed`, ordered by its first contact, then by id."""
        told = [incident.alert(key, geo, sensor) for key, incident in self._told()]
        return sorted(told, key=lambda alert: (alert.first_seen, alert.id))


def key_of(contact: Contact) -> Key | None:
    """What the incident of a contact is of; None where its verdict says nothing."""
    verdict = contact.verdict
    if verdict.kind is None or verdict.ban is None:
        return None
    return contact.device.id, contact.match.app.id, verdict.ban.id, verdict.kind
