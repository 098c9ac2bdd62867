"""Takes everything out of a store that a sensor of a fleet brought into it.

Its rows of facts go first, file by file, then in one transaction its runs with all that belongs to
them, its clients and its place on the roster. Cases that it had a part in are decided again from
what others say. So the store is what it would be if the sensor had never been; that it was there
stays in the journal. Whoever is killed in between calls it again.
"""

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, func, insert, select

from netwatch.core.errors import NetwatchError
from netwatch.store import catalogue_tables as tables
from netwatch.store.chunks import chunks
from netwatch.store.coverage_rows import remove_coverage
from netwatch.store.fact_removal import FactRemoval, Removed
from netwatch.store.hour_rows import remove_hours
from netwatch.store.incident_rows import remove_incidents

if TYPE_CHECKING:
    import pyarrow as pa

PASSES = 10
"""How often files are looked through for rows: another process may replace some meanwhile."""


@dataclass(frozen=True, slots=True)
class SensorRemoved:
    """What was removed of a sensor: rows of facts, incidents, clients and runs."""

    rows: int
    incidents: int
    clients: int
    runs: int

    def __add__(self, other: "SensorRemoved") -> "SensorRemoved":
        return SensorRemoved(
            self.rows + other.rows,
            self.incidents + other.incidents,
            self.clients + other.clients,
            self.runs + other.runs,
        )


def has_sensor(facts: FactRemoval, sensor: str) -> bool:
    """Whether the store has anything of a sensor. Raises `NetwatchError`."""
    with facts.catalogue.database.reading() as connection:
        return any(
            connection.execute(select(func.count()).select_from(table).where(of_sensor)).scalar()
            for table, of_sensor in _of_sensor(sensor)
        )


def remove_sensor(facts: FactRemoval, sensor: str, user: str) -> SensorRemoved:
    """Remove all of a sensor, which must not report any more. `user` is noted in the journal.
    Raises `NetwatchError`."""
    facts.remove_retired()
    rows = _remove_facts(facts, sensor)
    with facts.catalogue.database.writing() as connection:
        removed = _remove_rows(connection, sensor, rows)
        detail = {name: getattr(removed, name) for name in SensorRemoved.__dataclass_fields__}
        connection.execute(
            insert(tables.journal).values(
                time=time.time_ns(),
                user=user,
                action="revoke",
                detail=json.dumps({"sensor": sensor, **detail}),
            )
        )
    return removed


def _of_sensor(sensor: str) -> list[tuple[Any, Any]]:
    """The tables whose rows name a sensor, those of its runs last, and which these are."""
    named = (
        tables.client,
        tables.fleet_applied,
        tables.fleet_silence,
        tables.fleet_batch,
        tables.run,
    )
    return [
        (tables.fleet_sensor, tables.fleet_sensor.c.name == sensor),
        *((table, table.c.sensor == sensor) for table in named),
    ]


def _remove_facts(facts: FactRemoval, sensor: str) -> int:
    """Remove its rows of all files; how many."""
    with facts.catalogue.database.reading() as connection:
        captures = _captures(connection, sensor)
    if not captures:
        return 0

    def chosen(table: "pa.Table") -> "pa.Array":
        import pyarrow as pa
        from pyarrow import compute

        return compute.is_in(table.column("capture"), value_set=pa.array(captures, pa.int32()))

    rows = 0
    for _ in range(PASSES):
        found = Removed()
        for file in [*facts.all_files()]:
            found += facts.rows(file, chosen, ["capture"])
        rows += found.rows
        if not found.rows:
            return rows
    raise NetwatchError(f"facts of {sensor} come as fast as they are removed")


def _captures(connection: Connection, sensor: str) -> list[int]:
    statement = (
        select(tables.capture.c.id)
        .join(tables.run, tables.run.c.id == tables.capture.c.run)
        .where(tables.run.c.sensor == sensor)
    )
    return sorted(connection.execute(statement).scalars())


def _remove_rows(connection: Connection, sensor: str, rows: int) -> SensorRemoved:
    """Remove what the catalogue has of it."""
    run = tables.run.c
    runs = sorted(connection.execute(select(run.id).where(run.sensor == sensor)).scalars())
    incidents = 0
    for part in chunks(runs):
        incidents += remove_incidents(connection, tables.incident.c.run.in_(part))
        remove_coverage(connection, tables.coverage.c.run.in_(part))
        for number in part:
            remove_hours(connection, number)
        for table in (tables.evidence, tables.capture):
            connection.execute(delete(table).where(table.c.run.in_(part)))
    counts = {
        table.name: connection.execute(delete(table).where(of_sensor)).rowcount
        for table, of_sensor in _of_sensor(sensor)
    }
    _remove_versions(connection)
    return SensorRemoved(rows, incidents, counts["client"], len(runs))


def _remove_versions(connection: Connection) -> None:
    """Remove the versions by which nobody has judged anything."""
    column = tables.version.c.id
    of_runs = select(tables.run.c.version).where(tables.run.c.version.is_not(None))
    used = of_runs.union(select(tables.hour_judged.c.version))
    unused = [*connection.execute(select(column).where(column.not_in(used))).scalars()]
    for part in chunks(unused):
        bans = tables.version_ban
        connection.execute(delete(bans).where(bans.c.version.in_(part)))
        connection.execute(delete(tables.version).where(column.in_(part)))
