"""Writes the row of a sensor, for the roster and for live captures that write to the store."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, case, or_, select, update

from netwatch.store import catalogue_tables as tables
from netwatch.store.upsert import upsert

OUTSIDE = "outside"
"""The key in the status of a sensor with what its centre says of it: sentences on what it spoke of
that is not its own."""


def note_heard(
    connection: Connection,
    sensor: str,
    at: int,
    status: Mapping[str, Any] | None = None,
    clock_offset: int | None = None,
) -> None:
    """Note that a sensor was heard at a time (ns), within a transaction. A `status` or an offset
    (ns that its clock is ahead) replaces an older one, and it is not silent any more."""
    table = tables.fleet_sensor
    values: dict[str, Any] = {"name": sensor, "heard": at}
    if status is not None:
        values["status"] = json.dumps(status, ensure_ascii=False, separators=(",", ":"))
    if clock_offset is not None:
        values["clock_offset"] = clock_offset
    is_newer = or_(table.c.heard.is_(None), table.c.heard <= at)
    upsert(
        connection,
        table,
        [values],
        lambda new: {
            name: case((is_newer, new[name]), else_=table.c[name])
            for name in values
            if name != "name"
        },
    )
    silence = tables.fleet_silence
    ended = (silence.c.sensor == sensor) & silence.c.until.is_(None) & (silence.c.since <= at)
    if connection.execute(update(silence).where(ended).values(until=at)).rowcount:
        row = table.c.name == sensor
        connection.execute(update(table).where(row).values(silent_since=None))


def note_outside(connection: Connection, sensor: str, said: Sequence[str]) -> None:
    """Note sentences on what a sensor of the roster spoke of that is not its own, within a
    transaction; they replace older ones."""
    table = tables.fleet_sensor
    row = table.c.name == sensor
    text = connection.execute(select(table.c.status).where(row)).scalar()
    status = {**(json.loads(text) if text else {}), OUTSIDE: [*said]}
    line = json.dumps(status, ensure_ascii=False, separators=(",", ":"))
    connection.execute(update(table).where(row).values(status=line))
