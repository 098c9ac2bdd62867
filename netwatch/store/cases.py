"""Cases: the incidents of all sensors, those that are the same contact seen by several as one.

What belongs together is decided by `netwatch.store.case_grouping`, and written with the incidents
in one transaction by `netwatch.store.case_rows`, so that any order of arrival, and any repetition,
gives the same cases.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, func, insert, select

from netwatch.core.alert import AlertRecord
from netwatch.core.dataclass import dataclass
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member
from netwatch.store.case_reading import StoredState, stored_states
from netwatch.store.case_rows import write_members
from netwatch.store.catalogue import Catalogue, VersionHashes, version_number
from netwatch.store.chunks import chunks
from netwatch.store.incident_rows import store_incidents

MAX_OFFSET = 366 * 86_400 * 10**9
"""How far a clock may be off (ns) to be corrected as far."""


@dataclass(frozen=True, slots=True)
class SensorAlert:
    """An alert of a sensor: its record, which `netwatch.store.alert_check` has let pass, and that
    record as its line of JSON, without the end. `clock_offset` is how far the sensor's clock was
    ahead of the one here (ns); it counts as `MAX_OFFSET` where it is greater."""

    sensor: str
    record: AlertRecord
    line: str
    clock_offset: int = 0


def keep_alerts(catalogue: Catalogue, alerts: Sequence[SensorAlert], gap: int) -> int:
    """Store alerts with the cases that they belong to, all in one transaction; of how many
    incidents something new was said. `gap` is the quiet gap of incidents in ns. Raises
    `NetwatchError`; then none is stored."""
    with catalogue.database.writing(numbers=True) as connection:
        return store_alerts(connection, alerts, gap)


def store_alerts(connection: Connection, alerts: Sequence[SensorAlert], gap: int) -> int:
    """The same within a transaction that hands out numbers."""
    offered: dict[Key, Member] = {}
    for alert in alerts:
        offset = max(-MAX_OFFSET, min(MAX_OFFSET, alert.clock_offset))
        member = Member.of(alert.sensor, alert.record, alert.line, offset)
        known = offered.get(member.key)
        offered[member.key] = member if known is None else known.merged(member)
    stored = stored_states(connection, offered)
    changed = [
        newest
        for key, member in offered.items()
        if (newest := _newest(key[0], stored.get(key), member)) is not None
    ]
    runs = sensor_runs(connection, {_source(each) for each in changed if each.run is None})
    placed = [
        each if each.run is not None else each.placed(runs[_source(each)], each.case)
        for each in changed
    ]
    store_incidents(
        connection, ((each.run, each.record, each.line) for each in placed if each.run is not None)
    )
    write_members(connection, placed, gap)
    return len(placed)


def _newest(sensor: str, known: StoredState | None, member: Member) -> Member | None:
    """What an incident is with a state that a sensor sent; None if that says nothing new."""
    if known is None:
        return member
    first = min(known.first_seen, member.first_seen)
    last = max(known.last_seen, member.last_seen)
    if known.rank < member.rank:
        return replace(member, first_seen=first, last_seen=last, case=known.case)
    is_wider = (first, last) != (known.first_seen, known.last_seen)
    if known.line == member.line and not is_wider:
        return None
    before = known.member(sensor)
    newest = before.merged(member)
    return newest if is_wider or newest.line != known.line else None


def sensor_runs(
    connection: Connection, sources: Collection[tuple[str, VersionHashes]]
) -> dict[tuple[str, VersionHashes], int]:
    """The runs that have what sensors report under some versions: the newest one of each, or a new
    one. It is a run of ``live`` that does not end."""
    versions = {
        hashes: version_number(connection, hashes)
        for hashes in sorted({hashes for _, hashes in sources}, key=astuple)
    }
    column = tables.run.c
    numbers: dict[tuple[str, int], int] = {}
    for part in chunks(sorted({sensor for sensor, _ in sources})):
        statement = (
            select(column.sensor, column.version, func.max(column.id).label("id"))
            .where(
                column.command == "live",
                column.sensor.in_(part),
                column.version.in_([*versions.values()]),
            )
            .group_by(column.sensor, column.version)
        )
        for row in connection.execute(statement):
            numbers[row.sensor, row.version] = row.id
    found = {}
    for sensor, hashes in sorted(sources, key=lambda source: (source[0], astuple(source[1]))):
        number = numbers.get((sensor, versions[hashes]))
        if number is None:
            values = {"command": "live", "sensor": sensor, "version": versions[hashes]}
            result = connection.execute(insert(tables.run).values(started=time.time_ns(), **values))
            number = result.inserted_primary_key[0]  # type: ignore[index]
        found[sensor, hashes] = int(number)
    return found


def _source(member: Member) -> tuple[str, VersionHashes]:
    return member.sensor, _hashes(member.record)


def _hashes(record: Mapping[str, Any]) -> VersionHashes:
    said = record["versions"].get
    return _version(
        said("netwatch") or "",
        said("signatures") or "",
        said("bans") or "",
        said("configuration") or "",
    )


_version = lru_cache(256)(VersionHashes)
