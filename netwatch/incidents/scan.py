"""The incidents of a scan: any number of them, the same in whatever order contacts arrive.

Up to a limit they are in memory. Beyond it they are written to disk and merged at the end, so that
neither an incident nor the packets that prove it are dropped.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from netwatch.core.alert import Alert, Sensor
from netwatch.core.verdict import Contact
from netwatch.incidents.aggregate import INCIDENT_LIMIT, Incidents, alert_order, frame_bytes, key_of
from netwatch.incidents.destinations import GeoLookup
from netwatch.incidents.incident import Incident
from netwatch.incidents.memory_budget import EVIDENCE_BYTES
from netwatch.incidents.progress import ContactProgress
from netwatch.incidents.senders import SenderTable
from netwatch.incidents.shared import SharedKey
from netwatch.incidents.spill import (
    PARTITIONS,
    LateProgress,
    MergedAlerts,
    SpillFile,
    SpillFolder,
    partition_of,
)

LATE_PROGRESS_LIMIT = 20_000
"""ContactProgress of contacts whose incidents are on disk that is in memory at a time."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found. `alerts` are those of the incidents to report, of status `closed`,
    ordered by the first contact and then by id; `by_verdict` is their number by kind of verdict.
    `recorded` incidents are below the `min_confidence` of their ban. `limits` counts contacts
    that tables of an incident left out, by the name of the limit, and `contradictions` those that
    something speaks against, by its type."""

    alerts: Iterable[Alert]
    by_verdict: Mapping[str, int]
    recorded: int
    limits: Mapping[str, int]
    contradictions: Mapping[str, int]


class ScanIncidents:
    """Aggregates contacts into incidents; `quiet_gap` is in ns.

    At most `limit` incidents, with `evidence_bytes` of packets, are in memory; `folder` gets the
    others. Other processes can aggregate into the same folder, and send what they have to be
    merged; the one that created the folder deletes it when its own object is closed.
    """

    def __init__(
        self,
        quiet_gap: int,
        folder: SpillFolder | None = None,
        *,
        limit: int = INCIDENT_LIMIT,
        evidence_bytes: int = EVIDENCE_BYTES,
    ) -> None:
        self.folder = folder or SpillFolder()
        self._options: dict[str, int] = {
            "quiet_gap": quiet_gap,
            "limit": limit,
            "evidence_bytes": evidence_bytes,
        }
        self._incidents = Incidents(**self._options)
        self._late: list[LateProgress] = []
        self._files: list[SpillFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Delete the files on disk; no alert can be read from them any more."""
        self.folder.remove()

    def add(self, contact: Contact) -> None:
        """Add a contact, unless no ban applies to it."""
        incidents = self._incidents
        if incidents.count >= incidents.limit or (
            contact.observation.frames and not incidents.has_room(1, frame_bytes(contact))
        ):
            self._spill()
        self._incidents.add(contact)

    def add_sender(self, contact: Contact) -> None:
        """Note whose packets the MAC in the frame of a contact sends, to which no ban applies."""
        self._incidents.add_sender(contact)

    @property
    def senders(self) -> SenderTable:
        """Whose packets each MAC sends."""
        return self._incidents.senders

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Add what became of contacts that were added before; `contact` is one of them. It concerns
        the bans with these ids, None for all that apply to the contact."""
        key = key_of(contact)
        if key is None or self._incidents.add_progress(contact, progress, bans):
            return
        self._late.append(LateProgress(key, contact, progress, bans))
        if len(self._late) >= LATE_PROGRESS_LIMIT:
            self._spill()

    def merge(self, other: "ScanIncidents") -> None:
        """Add the incidents of another object with the same options, which must not be used
        afterwards."""
        if not self._incidents.has_room(len(other._incidents), other._incidents.evidence_bytes()):
            self._spill()
        self._incidents.merge(other._incidents)
        self._late += other._late
        self._files += other._files

    def result(self, geo: GeoLookup | None, sensor: Sensor) -> ScanResult:
        """What was found. Its alerts can be read until this object is closed."""
        if not self._files:
            return ScanResult(*self._incidents.found(geo, sensor))
        self._spill()
        by_verdict: Counter[str] = Counter()
        limits: Counter[str] = Counter()
        contradictions: Counter[str] = Counter()
        recorded, alert_files = 0, []
        for partition in range(len(self._files[0].offsets)):
            found = self._read(partition).found(geo, sensor)
            alert_files.append(self.folder.write_alerts(found.alerts))
            by_verdict.update(found.by_verdict)
            limits.update(found.limits)
            contradictions.update(found.contradictions)
            recorded += found.recorded
        return ScanResult(
            alerts=MergedAlerts(alert_files, alert_order),
            by_verdict=dict(sorted(by_verdict.items())),
            recorded=recorded,
            limits=dict(sorted(limits.items())),
            contradictions=contradictions,
        )

    def partitions(self) -> Iterator[list[tuple[SharedKey, Incident]]]:
        """All incidents with their keys, one partition after the other, each in the order of
        `entry_order`."""
        if not self._files:
            partitions: list[list[tuple[SharedKey, Incident]]] = [[] for _ in range(PARTITIONS)]
            for key, incident in self._incidents:
                partitions[partition_of(key)].append((key, incident))
            for entries in partitions:
                yield sorted(entries, key=entry_order)
            return
        self._spill()
        for partition in range(PARTITIONS):
            yield sorted(self._read(partition), key=entry_order)

    def _spill(self) -> None:
        """Write everything in memory to disk."""
        self._files.append(self.folder.write_incidents([*self._incidents, *self._late]))
        senders = self.senders
        self._incidents = Incidents(**self._options)
        self._incidents.senders = senders
        self._late = []

    def _read(self, partition: int) -> Incidents:
        """The incidents of one partition of all files."""
        unlimited = {"limit": sys.maxsize, "evidence_bytes": sys.maxsize}
        found = Incidents(**self._options | unlimited)
        found.senders = self.senders
        late = []
        for file in self._files:
            for entry in file.read(partition):
                if isinstance(entry, LateProgress):
                    late.append(entry)
                else:
                    found.insert(*entry)
        for each in late:
            found.add_progress(each.contact, each.progress, each.bans)
        return found


def entry_order(entry: tuple[SharedKey, Incident]) -> tuple[SharedKey, int]:
    """Incidents are in order by device and app, then by what the bans say, then by time."""
    key, incident = entry
    return key, incident.first
