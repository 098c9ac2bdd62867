"""The roster: the known sensors, their status, and when they were silent; and the removal of a
sensor with everything that it brought into a store.

A sensor has a row from its enrolment on, or from the first status that it writes to this store
itself. Times are ns since the epoch by the clock here, never a sensor's. Late arrivals change
nothing newer. Every call is one transaction and raises `NetwatchError`.

When a sensor is removed, its rows of facts go first, file by file, then in one transaction its runs
with everything that belongs to them, its clients and its place on the roster. Cases that it was
part of are decided again from the reports of others. So the store is as if the sensor had never
existed; only the journal keeps a record of it. If the process is killed in between, the next call
removes the rest.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, case, delete, func, insert, or_, select

from netwatch.core.errors import NetwatchError
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.fact_tables import FactRemoval, Removed
from netwatch.store.hour_rows import remove_coverage, remove_hours
from netwatch.store.incident_rows import remove_incidents
from netwatch.store.run_rows import note_heard
from netwatch.store.statements import chunks, upsert

if TYPE_CHECKING:
    import pyarrow as pa

MAX_REASON = 500
"""Characters to keep of the reason why a sensor rejected something, or why a message was
refused."""

PublishedKind = Literal["set", "configuration"]
AppliedState = Literal["applied", "rejected"]

PASSES = 10
"""How often to search files for rows: another process may replace some meanwhile."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A published version that a sensor applied, or rejected for a `reason`, and when (ns)."""

    version: str
    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class FleetSensor:
    """A sensor. `status` is its last status record (`netwatch.watch.health`), empty before the
    first one; `clock_offset` is how far its clock is ahead of the one here (ns). `applied` and
    `rejected` are by kind, ``set`` and ``configuration``."""

    name: str
    enrolled: int | None
    heard: int | None
    silent_since: int | None
    clock_offset: int | None
    refused: int
    refused_reason: str
    status: Mapping[str, Any]
    applied: Mapping[str, Applied]
    rejected: Mapping[str, Applied]

    def is_rejecting(self, kind: PublishedKind) -> bool:
        """Whether what it rejected last is newer than what it applied last."""
        rejected, applied = self.rejected.get(kind), self.applied.get(kind)
        return rejected is not None and (applied is None or rejected.time > applied.time)


@dataclass(frozen=True, slots=True)
class Silence:
    """A time (ns) in which a sensor was not heard; `until` is None while it lasts."""

    sensor: str
    since: int
    until: int | None


def enrolled(catalogue: Catalogue, sensor: str, at: int) -> None:
    """Note that a sensor was enrolled at a time; if it already was, it keeps its first time."""
    with catalogue.database.writing() as connection:
        table = tables.fleet_sensor
        upsert(
            connection,
            table,
            [{"name": sensor, "enrolled": at}],
            lambda new: {"enrolled": func.coalesce(table.c.enrolled, new.enrolled)},
        )


def heard(
    catalogue: Catalogue,
    sensor: str,
    at: int,
    status: Mapping[str, Any] | None = None,
    clock_offset: int | None = None,
) -> None:
    """Note that a sensor was heard at a time; a `status` or an offset replaces an older one. It is
    no longer silent."""
    with catalogue.database.writing() as connection:
        note_heard(connection, sensor, at, status, clock_offset)


def silent(catalogue: Catalogue, sensor: str, since: int) -> bool:
    """Note that a sensor has not been heard since a time; returns whether that is new. One that was
    heard after `since` is not silent."""
    with catalogue.database.writing() as connection:
        table, silence = tables.fleet_sensor, tables.fleet_silence
        row = table.c.name == sensor
        is_heard = (
            select(table.c.name).where(row, table.c.heard > since).exists()
            | select(silence.c.sensor)
            .where(silence.c.sensor == sensor, silence.c.until.is_(None))
            .exists()
        )
        if connection.execute(select(is_heard)).scalar():
            return False
        upsert(
            connection,
            table,
            [{"name": sensor, "silent_since": since}],
            lambda new: {"silent_since": new.silent_since},
        )
        upsert(
            connection,
            silence,
            [{"sensor": sensor, "since": since, "until": None}],
            lambda new: {"until": new.until},
        )
        return True


def applied(
    catalogue: Catalogue,
    sensor: str,
    kind: PublishedKind,
    version: str,
    state: AppliedState,
    reason: str,
    at: int,
) -> None:
    """Note that a sensor applied a published version at a time, or rejected it for a reason."""
    table = tables.fleet_applied
    values = {"sensor": sensor, "kind": kind, "state": state, "version": version,
              "reason": reason[:MAX_REASON], "time": at}  # fmt: skip
    is_newer = table.c.time <= at
    with catalogue.database.writing() as connection:
        upsert(
            connection,
            table,
            [values],
            lambda new: {
                name: case((is_newer, new[name]), else_=table.c[name])
                for name in ("version", "reason", "time")
            },
        )


def refused(catalogue: Catalogue, sensor: str, reason: str, count: int = 1) -> None:
    """Count refused messages of a sensor, and why the last one was refused."""
    table = tables.fleet_sensor
    values = {"name": sensor, "refused": count, "refused_reason": reason[:MAX_REASON]}
    with catalogue.database.writing() as connection:
        upsert(
            connection,
            table,
            [values],
            lambda new: {
                "refused": table.c.refused + new.refused,
                "refused_reason": new.refused_reason,
            },
        )


def removed(catalogue: Catalogue, sensor: str) -> bool:
    """Remove a sensor from the roster; returns whether it was there. Its cases and silences
    stay."""
    with catalogue.database.writing() as connection:
        of_sensor = tables.fleet_applied.c.sensor == sensor
        connection.execute(delete(tables.fleet_applied).where(of_sensor))
        row = tables.fleet_sensor.c.name == sensor
        return bool(connection.execute(delete(tables.fleet_sensor).where(row)).rowcount)


def roster(catalogue: Catalogue, *, timeout: float | None = None) -> Sequence[FleetSensor]:
    """All sensors by name. Raises `QueryTimeoutError` after `timeout` s."""
    with catalogue.database.reading(timeout) as connection:
        table = tables.fleet_sensor
        rows = connection.execute(select(table).order_by(table.c.name)).all()
        versions: dict[tuple[str, str], dict[str, Applied]] = {}
        for each in connection.execute(select(tables.fleet_applied)):
            found = versions.setdefault((each.sensor, each.state), {})
            found[each.kind] = Applied(each.version, each.reason, each.time)
    return [
        FleetSensor(
            row.name,
            row.enrolled,
            row.heard,
            row.silent_since,
            row.clock_offset,
            row.refused,
            row.refused_reason,
            json.loads(row.status) if row.status else {},
            versions.get((row.name, "applied"), {}),
            versions.get((row.name, "rejected"), {}),
        )
        for row in rows
    ]


def silences(
    catalogue: Catalogue, since: int, until: int, sensor: str = "", limit: int | None = None
) -> list[Silence]:
    """The silences that overlap the time from `since` up to, but without, `until` (ns), of one
    sensor or of all, latest first."""
    column = tables.fleet_silence.c
    is_over = or_(column.until.is_(None), column.until > since)
    statement = select(column.sensor, column.since, column.until).where(is_over)
    statement = statement.where(column.since < until)
    if sensor:
        statement = statement.where(column.sensor == sensor)
    order = statement.order_by(column.since.desc(), column.sensor).limit(limit)
    with catalogue.database.reading() as connection:
        return [Silence(*row) for row in connection.execute(order)]


def forget_silences(catalogue: Catalogue, before: int, *, dry_run: bool = False) -> int:
    """Delete the silences that ended before a time (ns), or with `dry_run` only count them; returns
    how many."""
    table = tables.fleet_silence
    is_old = table.c.until < before
    if dry_run:
        with catalogue.database.reading() as connection:
            count = select(func.count()).select_from(table).where(is_old)
            return int(connection.execute(count).scalar_one())
    with catalogue.database.writing() as connection:
        return int(connection.execute(delete(table).where(is_old)).rowcount)


@dataclass(frozen=True, slots=True)
class SensorRemoved:
    """What was removed for a sensor: rows of facts, incidents, clients and runs."""

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
    """Remove everything of a sensor, which must not report any more. `user` is noted in the
    journal. Raises `NetwatchError`."""
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
        tables.bypass,
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
    """Remove its rows from all files; returns how many."""
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
    """Remove its rows from the catalogue."""
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
    """Remove the versions that have not judged anything."""
    column = tables.version.c.id
    of_runs = select(tables.run.c.version).where(tables.run.c.version.is_not(None))
    used = of_runs.union(select(tables.hour_judged.c.version))
    unused = [*connection.execute(select(column).where(column.not_in(used))).scalars()]
    for part in chunks(unused):
        bans = tables.version_ban
        connection.execute(delete(bans).where(bans.c.version.in_(part)))
        connection.execute(delete(tables.version).where(column.in_(part)))
