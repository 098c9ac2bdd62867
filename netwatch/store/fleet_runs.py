"""Runs and captures of sensors in the catalogue of their centre.

A sensor knows its run by the time when it began. Here it has a number, which stays the same however
often, and after whatever interruption, something of the run arrives.
"""

import json

from sqlalchemy import Connection, Table, insert, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.hour_rows import add_judged


def find_run(connection: Connection, sensor: str, command: str, started: int) -> int | None:
    """The number of the run that a sensor began at a time (ns by its clock); None where it is not
    stored."""
    columns = tables.run.c
    return connection.execute(
        select(columns.id).where(
            columns.sensor == sensor, columns.started == started, columns.command == command
        )
    ).scalar()


def find_capture(connection: Connection, run: int, position: int) -> int | None:
    """The number of the capture at a position of a run, in the same way."""
    columns = tables.capture.c
    return connection.execute(
        select(columns.id).where(columns.run == run, columns.position == position)
    ).scalar()


def add_run(
    connection: Connection, sensor: str, command: str, started: int, version: int | None
) -> int:
    """Store a run, within a transaction that hands out numbers; its number."""
    values = {
        "started": started,
        "command": command,
        "sensor": sensor,
        "version": version,
        "named": 1,
    }
    number = _insert(connection, tables.run, values)
    if version is not None:
        add_judged(connection, number, version)
    return number


def add_capture(connection: Connection, run: int, position: int) -> int:
    """Store a capture of a run, in the same way."""
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
