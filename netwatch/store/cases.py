"""Cases: the incidents of all sensors, those that are the same contact seen by several as one.

What belongs together is decided by `netwatch.store.case_grouping`, and written with the incidents
in one transaction by `netwatch.store.case_rows`, so that any order of arrival, and any repetition,
gives the same cases.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, func, insert, select

from netwatch.core.alert import AlertRecord
from netwatch.core.dataclass import dataclass
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member
from netwatch.store.case_rows import stored_members, write_members
from netwatch.store.catalogue import Catalogue, VersionHashes, version_number
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
    stored = stored_members(connection, offered)
    changed = []
    for key, member in offered.items():
        known = stored.get(key)
        newest = member if known is None else known.merged(member)
        if known is None or _said(known) != _said(newest):
            changed.append(newest)
    numbers: dict[tuple[str, VersionHashes], int] = {}
    of_runs: defaultdict[int, list[Member]] = defaultdict(list)
    for member in changed:
        if member.run is None:
            run = sensor_run(connection, member.sensor, _hashes(member.record), numbers)
            member = replace(member, run=run)
        assert member.run is not None
        of_runs[member.run].append(member)
    for run, members in of_runs.items():
        store_incidents(connection, run, [(each.record, each.line) for each in members])
    write_members(connection, [each for members in of_runs.values() for each in members], gap)
    return len(changed)


def sensor_run(
    connection: Connection,
    sensor: str,
    hashes: VersionHashes,
    known: dict[tuple[str, VersionHashes], int] | None = None,
) -> int:
    """The run that has what a sensor reports under some versions: the newest one, or a new one.
    It is a run of ``live`` that does not end. `known` are runs that were looked up before, and gets
    this one."""
    if known is not None and (sensor, hashes) in known:
        return known[sensor, hashes]
    version = version_number(connection, hashes)
    column = tables.run.c
    number = connection.execute(
        select(func.max(column.id)).where(
            column.command == "live", column.sensor == sensor, column.version == version
        )
    ).scalar()
    if number is None:
        values = {"command": "live", "sensor": sensor, "version": version}
        result = connection.execute(insert(tables.run).values(started=time.time_ns(), **values))
        number = result.inserted_primary_key[0]  # type: ignore[index]
    if known is not None:
        known[sensor, hashes] = int(number)
    return int(number)


def _said(member: Member) -> tuple[Any, ...]:
    return member.line, member.first_seen, member.last_seen, member.clock_offset


def _hashes(record: Mapping[str, Any]) -> VersionHashes:
    said = record["versions"].get
    return VersionHashes(
        str(said("netwatch") or ""),
        str(said("signatures") or ""),
        str(said("bans") or ""),
        str(said("configuration") or ""),
    )
