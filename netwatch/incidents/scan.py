"""The incidents of a scan: any number of them, the same whatever the order of contacts.

Up to a limit they are in memory. Beyond it they are written to disk and merged at the end, so that
neither an incident nor the packets that prove it are dropped.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from netwatch.core.alert import Alert, Sensor
from netwatch.core.verdict import CLIENT_LIMIT, Contact
from netwatch.incidents.aggregate import (
    INCIDENT_LIMIT,
    Found,
    Incidents,
    alert_order,
    frame_bytes,
    key_of,
)
from netwatch.incidents.alert_parts import GeoLookup
from netwatch.incidents.bounded_table import EVIDENCE_BYTES
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.incident import Incident
from netwatch.incidents.senders import SenderTable
from netwatch.incidents.spill import (
    PARTITIONS,
    PIECES,
    LateProgress,
    MergedAlerts,
    SharedKey,
    SpillFile,
    SpillFolder,
    partition_of,
)
from netwatch.incidents.unproven import (
    SUMMED,
    Place,
    UnprovenSums,
    began_at,
    count_devices,
    crowded,
    unproven_places,
)

LATE_PROGRESS_LIMIT = 20_000
"""ContactProgress of contacts whose incidents are on disk that is in memory at a time."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of a scan. `alerts` are for the incidents to report, of status `closed`, ordered
    by the first contact and then by id; `by_verdict` is their number by kind of verdict. `recorded`
    incidents are below the `min_confidence` of their ban. `limits` counts contacts that tables of
    an incident left out, by the name of the limit, and `contradictions` contacts with
    contradictions, by type. `anomalies` counts everything else that was odd."""

    alerts: Iterable[Alert]
    by_verdict: Mapping[str, int]
    recorded: int
    limits: Mapping[str, int]
    contradictions: Mapping[str, int]
    anomalies: Mapping[str, int] = field(default_factory=dict)


_Entry = tuple[SharedKey, Incident | Contact]


class ScanIncidents:
    """Aggregates contacts into incidents; `quiet_gap` is in ns. If more than `client_limit`
    unknown clients begin incidents without a handshake, in a network and hour, these are summed up
    (`netwatch.incidents.unproven`).

    At most `limit` incidents, with `evidence_bytes` of packets, are in memory; the others are
    written to `folder`. Other processes can aggregate into the same folder, and send their
    incidents to be merged; the process that created the folder deletes it when its own object is
    closed.
    """

    def __init__(
        self,
        quiet_gap: int,
        folder: SpillFolder | None = None,
        *,
        limit: int = INCIDENT_LIMIT,
        evidence_bytes: int = EVIDENCE_BYTES,
        client_limit: int = CLIENT_LIMIT,
    ) -> None:
        self.folder = folder or SpillFolder()
        self._options: dict[str, int] = {
            "quiet_gap": quiet_gap,
            "limit": limit,
            "evidence_bytes": evidence_bytes,
        }
        self._client_limit = client_limit
        self._held = _Held(self._options)
        self._late: list[LateProgress] = []
        self._files: list[SpillFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Delete the files on disk; their alerts can no longer be read."""
        self.folder.remove()

    def add(self, contact: Contact) -> None:
        """Add a contact, unless no ban applies to it."""
        held = self._held
        if held.count >= held.incidents.limit or (
            contact.observation.frames and not held.incidents.has_room(1, frame_bytes(contact))
        ):
            self._spill()
        self._held.add(contact)

    def add_sender(self, contact: Contact) -> None:
        """Note which client the MAC in the frame of a contact, to which no ban applies, sends
        packets for."""
        self._held.incidents.add_sender(contact)

    @property
    def in_memory(self) -> int:
        """How many incidents are in memory."""
        return self._held.count

    @property
    def senders(self) -> SenderTable:
        """Which clients each MAC sends packets for."""
        return self._held.incidents.senders

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Add the outcome of contacts that were added before; `contact` is one of them. It concerns
        the bans with these ids, None for all that apply to the contact."""
        key = key_of(contact)
        if key is None or self._held.add_progress(key, contact, progress, bans):
            return
        self._late.append(LateProgress(key, contact, progress, bans))
        if len(self._late) >= LATE_PROGRESS_LIMIT:
            self._spill()

    def merge(self, other: "ScanIncidents") -> None:
        """Add the incidents of another object with the same options, which must not be used
        afterwards."""
        theirs = other._held
        if not self._held.incidents.has_room(
            len(self._held.lone) + theirs.count, theirs.incidents.evidence_bytes()
        ):
            self._spill()
        self._held.merge(theirs)
        self._late += other._late
        self._files += other._files

    def result(self, geo: GeoLookup | None, sensor: Sensor) -> ScanResult:
        """The result. Its alerts can be read until this object is closed."""
        if self._files:
            self._spill()
        places = self._crowded()
        sums = UnprovenSums(self._options["quiet_gap"])
        if not self._files:
            self._held.sum_up(places, sums)
            self._held.incidents.take(sums.incidents)
            return _with_sums(ScanResult(*self._held.found(geo, sensor)), sums)
        by_verdict: Counter[str] = Counter()
        limits: Counter[str] = Counter()
        contradictions: Counter[str] = Counter()
        recorded, alert_files = 0, []

        def report(held: _Held) -> None:
            nonlocal recorded
            found = held.found(geo, sensor)
            alert_files.append(self.folder.write_alerts(found.alerts))
            by_verdict.update(found.by_verdict)
            limits.update(found.limits)
            contradictions.update(found.contradictions)
            recorded += found.recorded

        for piece in range(PARTITIONS * PIECES):
            held = self._read(piece)
            held.sum_up(places, sums)
            report(held)
        if sums.count:
            summed = _Held(self._options)
            summed.incidents = sums.incidents
            report(summed)
        found = ScanResult(
            alerts=MergedAlerts(alert_files, alert_order),
            by_verdict=dict(sorted(by_verdict.items())),
            recorded=recorded,
            limits=dict(sorted(limits.items())),
            contradictions=contradictions,
        )
        return _with_sums(found, sums)

    def partitions(self) -> Iterator[Iterable[tuple[SharedKey, Incident]]]:
        """All incidents with their keys, one partition after the other, each in the order of
        `entry_order`, before any are summed up."""
        if not self._files:
            partitions: list[list[_Entry]] = [[] for _ in range(PARTITIONS)]
            for key, entry in self._held:
                partitions[partition_of(key)].append((key, entry))
            for entries in partitions:
                yield self._in_order(entries)
            return
        self._spill()
        for partition in range(PARTITIONS):
            yield self._in_order(
                entry
                for piece in range(partition, PARTITIONS * PIECES, PARTITIONS)
                for entry in self._read(piece)
            )

    def _in_order(self, entries: Iterable[_Entry]) -> Iterator[tuple[SharedKey, Incident]]:
        gap = self._options["quiet_gap"]
        for key, entry in sorted(entries, key=_order):
            yield key, Incident.of(entry, gap) if isinstance(entry, Contact) else entry

    def _crowded(self) -> frozenset[Place]:
        """If there are more unproven clients than the limit."""
        if not self._files and self._held.count <= self._client_limit:
            return frozenset()
        if not self._files:
            return crowded(count_devices(self._held.devices()), self._client_limit)
        devices: Counter[Place] = Counter()
        for piece in range(PARTITIONS * PIECES):
            devices.update(count_devices(self._read(piece).devices()))
        return crowded(devices, self._client_limit)

    def _spill(self) -> None:
        """Write everything in memory to disk."""
        self._files.append(self.folder.write_incidents([*self._held, *self._late]))
        senders = self.senders
        self._held = _Held(self._options)
        self._held.incidents.senders = senders
        self._late = []

    def _read(self, piece: int) -> "_Held":
        """The content of one piece of all files."""
        unlimited = {"limit": sys.maxsize, "evidence_bytes": sys.maxsize}
        found = _Held(self._options | unlimited)
        found.incidents.senders = self.senders
        late = []
        for file in self._files:
            for entry in file.read(piece):
                if isinstance(entry, LateProgress):
                    late.append(entry)
                else:
                    found.insert(*entry)
        for each in late:
            found.add_progress(each.key, each.contact, each.progress, each.bans)
        return found


class _Held:
    """The incidents in memory. Those of one contact are just that contact, `lone`, which takes a
    tenth of the memory: anybody who sends packets can begin any number of them."""

    def __init__(self, options: dict[str, int]) -> None:
        self.incidents = Incidents(**options)
        self.lone: dict[SharedKey, Contact] = {}

    def __iter__(self) -> Iterator[_Entry]:
        yield from self.incidents
        yield from self.lone.items()

    @property
    def count(self) -> int:
        """The number of incidents."""
        return self.incidents.count + len(self.lone)

    def add(self, contact: Contact) -> None:
        """Add a contact, unless no ban applies to it."""
        key = key_of(contact)
        if key is None or contact.observation.frames or self.incidents.with_key(key):
            if key is not None:
                self._open(key)
            self.incidents.add(contact)
        elif key in self.lone:
            self._open(key)
            self.incidents.add(contact)
        else:
            if contact.sender is not None:
                self.incidents.add_sender(contact)
            self.lone[key] = contact

    def add_progress(
        self,
        key: SharedKey,
        contact: Contact,
        progress: ContactProgress,
        bans: frozenset[str] | None,
    ) -> bool:
        """See `Incidents.add_progress`."""
        self._open(key)
        return self.incidents.add_progress(contact, progress, bans)

    def insert(self, key: SharedKey, entry: Incident | Contact) -> None:
        """Insert an incident, or the only contact of one."""
        if isinstance(entry, Contact):
            if key not in self.lone and not self.incidents.with_key(key):
                self.lone[key] = entry
                return
            entry = Incident.of(entry, self.incidents.quiet_gap)
        self._open(key)
        self.incidents.insert(key, entry)

    def merge(self, other: "_Held") -> None:
        """Add the content of another one, which must not be used afterwards."""
        for key in [key for key in self.lone if other.incidents.with_key(key)]:
            self._open(key)
        self.incidents.merge(other.incidents)
        for key, contact in other.lone.items():
            self.insert(key, contact)

    def devices(self) -> Iterator[Sequence[Incident | Contact]]:
        """The incidents and lone contacts of each device."""
        found: dict[str, list[Incident | Contact]] = {}
        for key, entry in self:
            found.setdefault(key[0], []).append(entry)
        yield from found.values()

    def sum_up(self, places: frozenset[Place], sums: UnprovenSums) -> None:
        """Move incidents of unproven clients in these places to `sums`."""
        if not places:
            return
        found: dict[str, list[tuple[SharedKey, Incident | Contact]]] = {}
        for key, entry in self:
            found.setdefault(key[0], []).append((key, entry))
        for entries in found.values():
            unproven = unproven_places(entry for _, entry in entries)
            if unproven.isdisjoint(places):
                continue
            for key, entry in entries:
                if began_at(entry) in places:
                    if isinstance(entry, Contact):
                        del self.lone[key]
                    else:
                        self.incidents.remove(key, entry)
                    sums.add(key, entry)

    def found(self, geo: GeoLookup | None, sensor: Sensor) -> Found:
        """See `Incidents.found`."""
        subjects = Counter(key[:2] for key in self.lone)
        subjects.update({key[:2]: 1 for key, _ in self.incidents})
        for key in [key for key in self.lone if subjects[key[:2]] > 1]:
            self._open(key)
        gap = self.incidents.quiet_gap
        lone = (Incident.of(contact, gap) for contact in self.lone.values())
        return self.incidents.found(geo, sensor, lone)

    def _open(self, key: SharedKey) -> None:
        """Make an incident of a lone contact, so that more can be added to it."""
        contact = self.lone.pop(key, None)
        if contact is not None:
            self.incidents.insert(key, Incident.of(contact, self.incidents.quiet_gap))


def _with_sums(found: ScanResult, sums: UnprovenSums) -> ScanResult:
    """A result with the number of contacts that were summed up."""
    if not sums.count:
        return found
    return replace(found, anomalies={SUMMED: sums.count})


def entry_order(entry: tuple[SharedKey, Incident]) -> tuple[SharedKey, int]:
    """The order of incidents: by device and app, then by what the bans say, then by time."""
    key, incident = entry
    return key, incident.first


def _order(entry: _Entry) -> tuple[SharedKey, int]:
    key, value = entry
    return key, value.observation.time if isinstance(value, Contact) else value.first
