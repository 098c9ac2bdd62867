"""Runs and captures of sensors in the catalogue of their centre.

A sensor knows its run by the time when it began. Here it has a number, which stays the same however
often, and after whatever interruption, something of the run arrives.
"""

import json

from sqlalchemy import Connection, Table, insert, select

from netwatch.store import catalogue_tables as tables


def run_of(
    connection: Connection, sensor: str, command: str, started: int, version: int | None
) -> int:
    """The number of the run that a sensor began at a time (ns by its clock), within a
    transaction; it is stored when it is first asked for."""
    columns = tables.run.c
    found = connection.execute(
        select(columns.id).where(
            columns.sensor == sensor, columns.started == started, columns.command == command
        )
    ).scalar()
    if found is not None:
        return int(found)
    values = {"started": started, "command": command, "sensor": sensor, "version": version}
    return _insert(connection, tables.run, values)


def capture_of(connection: Connection, run: int, position: int) -> int:
    """The number of the capture at a position of a run, in the same way."""
    columns = tables.capture.c
    found = connection.execute(
        select(columns.id).where(columns.run == run, columns.position == position)
    ).scalar()
    if found is not None:
        return int(found)
    values = {
        "run": run,
        "position": position,
        "sources": json.dumps([]),
        "content": "",
        "state": "open",
        "lost_rows": 0,
    }
    return _insert(connection, tables.capture, values)


def _insert(connection: Connection, table: Table, values: dict[str, object]) -> int:
    result = connection.execute(insert(table).values(values))
    return int(result.inserted_primary_key[0])  # type: ignore[index]
