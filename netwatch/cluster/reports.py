"""What is reported of an archive: incidents in the order of their alerts, from many files.

A report is an object of *chunks*, each a zstd frame of lines like those of a result
(`netwatch.cluster.result_file`): ``["reported", [ban, ...], state]`` is an incident with the bans
under which it is reported. Each chunk is sorted by the first contact and fits into memory. The
chunks of all reports are merged when their alerts are asked for, with one incident of each in
memory.
"""

import heapq
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from netwatch.cluster.result_file import (
    WRONG,
    Entry,
    HashedStream,
    LineWriter,
    ResultError,
    lines,
)
from netwatch.cluster.storage import Storage
from netwatch.core.alert import Alert, Sensor
from netwatch.core.typed_json import loads, read
from netwatch.incidents.aggregate import alert_order
from netwatch.incidents.alert_parts import GeoLookup
from netwatch.incidents.incident import Incident
from netwatch.incidents.incident_state import SharedValues, incident_state, restored_incident

CHUNK_INCIDENTS = 4096
"""Incidents of a chunk, which are sorted in memory."""

CHUNK_BYTES = 64 << 20
"""Bytes of packets in a chunk."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A place in the object of a report, and the SHA-256 of what is there."""

    start: int
    end: int
    digest: str


Reported = tuple[tuple[str, ...], Entry]
"""An incident to report: the bans under which it is one, and the incident with a key of it."""


def write_report(storage: Storage, name: str, found: Iterable[Reported]) -> tuple[Chunk, ...]:
    """Write incidents, in whatever order, as the object `name`. Raises
    `netwatch.cluster.storage.StorageError`."""
    chunks: list[Chunk] = []
    with tempfile.TemporaryFile(prefix="netwatch-") as body:
        for entries in _chunks(found):
            start, hashed = body.tell(), HashedStream(body)
            writer = LineWriter(hashed)
            shared = SharedValues(lambda kind, value, to=writer: to.line([kind, value]))  # type: ignore[misc]
            for bans, (_, incident) in entries:
                writer.line(["reported", bans, incident_state(incident, shared)])
            writer.close()
            chunks.append(Chunk(start, body.tell(), hashed.digest))
        body.seek(0)
        with storage.writing(name) as stream:
            shutil.copyfileobj(body, stream)
    return tuple(chunks)


class Report:
    """The alerts of reports, in order. They can be read more than once, while the objects exist;
    `quiet_gap` is in ns."""

    def __init__(
        self,
        storage: Storage,
        reports: Sequence[tuple[str, Chunk]],
        quiet_gap: int,
        geo: GeoLookup | None,
        sensor: Sensor,
    ) -> None:
        self._storage = storage
        self._reports = reports
        self._quiet_gap = quiet_gap
        self._geo = geo
        self._sensor = sensor

    def __iter__(self) -> Iterator[Alert]:
        # Before the first alert: what is altered meanwhile is still noticed, but only at its end.
        for name, chunk in self._reports:
            self._verify(name, chunk)
        streams = [self._read(name, chunk) for name, chunk in self._reports]
        ordered = heapq.merge(*streams, key=_first)
        for _, together in groupby(ordered, key=_first):
            alerts: list[Alert] = []
            for bans, incident in together:
                rulings = [incident.first_contact.decision.ruling_of(ban) for ban in bans]
                alerts += incident.alerts(rulings, self._geo, self._sensor)
            yield from sorted(alerts, key=alert_order)

    def _verify(self, name: str, chunk: Chunk) -> None:
        """Raise `ResultError` where a chunk is not what was written."""
        try:
            for _ in lines(self._storage, name, chunk.start, chunk.end, chunk.digest):
                pass
        except WRONG as error:
            raise ResultError(self._storage, name, f"is damaged ({error})") from None

    def _read(self, name: str, chunk: Chunk) -> Iterator[tuple[tuple[str, ...], Incident]]:
        shared = SharedValues()
        try:
            for line in lines(self._storage, name, chunk.start, chunk.end, chunk.digest):
                kind, *rest = loads(line)
                if kind == "reported":
                    bans, state = rest
                    incident = restored_incident(state, self._quiet_gap, shared)
                    yield read(tuple[str, ...], bans), incident
                else:
                    shared.add(kind, *rest)
        except WRONG as error:
            raise ResultError(self._storage, name, f"is damaged ({error})") from None


def _chunks(found: Iterable[Reported]) -> Iterator[list[Reported]]:
    """Incidents that fit into memory at a time, sorted by their first contact. A chunk is valid
    until the next one is asked for."""
    chunk: list[Reported] = []
    octets = 0
    for each in found:
        chunk.append(each)
        octets += sum(len(frame.data) for frame in each[1][1].frames.distinct())
        if len(chunk) >= CHUNK_INCIDENTS or octets >= CHUNK_BYTES:
            chunk.sort(key=_first_of)
            yield chunk
            # Whoever was given it still has it, and two would be in memory.
            chunk.clear()
            octets = 0
    if chunk:
        chunk.sort(key=_first_of)
        yield chunk


def _first_of(each: Reported) -> int:
    return each[1][1].first


def _first(each: tuple[tuple[str, ...], Incident]) -> int:
    return each[1].first
