"""Which runs a store has, with their captures and with the incidents that they gave."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue

ROWS = 100
"""Incidents that are fetched at a time; a record has some 10 kB."""


@dataclass(frozen=True, slots=True)
class StoredCapture:
    """A capture by its number. It is `complete` if all that was seen of it was stored, and `first`
    and `last` are the times of its packets (ns), None where it has none."""

    number: int
    complete: bool
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run of a sensor by its number. Its captures are in the order in which they were judged.
    `is_named` says that ids of its incidents contain the name of the sensor."""

    number: int
    command: str
    sensor: str
    captures: tuple[StoredCapture, ...]
    is_named: bool = False


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """An incident of a run: when it began (ns), and the record of its alert."""

    id: str
    first_seen: int
    record: dict[str, Any]


def stored_runs(
    catalogue: Catalogue,
    since: int | None = None,
    until: int | None = None,
    *,
    include_names: bool = False,
) -> list[StoredRun]:
    """The runs with a capture that has packets from `since` up to, but without, `until` (ns), in
    their order. Runs of ``names`` have no incidents; they are left out unless `include_names`."""
    run, capture = tables.run.c, tables.capture.c
    with catalogue.database.reading() as connection:
        runs = {
            row.id: row
            for row in connection.execute(select(run.id, run.command, run.sensor, run.named)).all()
        }
        rows = connection.execute(
            select(capture.run, capture.id, capture.state, capture.first, capture.last,
                   capture.lost_rows).order_by(capture.run, capture.position)
        ).all()  # fmt: skip
    captures: dict[int, list[StoredCapture]] = {}
    for row in rows:
        complete = row.state == "complete" and not row.lost_rows
        captures.setdefault(row.run, []).append(
            StoredCapture(row.id, complete, row.first, row.last)
        )
    return [
        StoredRun(
            number,
            runs[number].command,
            runs[number].sensor,
            tuple(its),
            bool(runs[number].named),
        )
        for number, its in sorted(captures.items())
        if (include_names or runs[number].command != "names")
        and any(_overlaps(each, since, until) for each in its)
    ]


def stored_incidents(catalogue: Catalogue, run: int) -> Iterator[StoredIncident]:
    """The incidents of a run, in the order in which they were written."""
    incident = tables.incident.c
    statement = (
        select(incident.id, incident.first_seen, incident.record)
        .where(incident.run == run)
        .order_by(incident.position)
    )
    with catalogue.database.reading() as connection:
        for part in connection.execution_options(yield_per=ROWS).execute(statement).partitions():
            for row in part:
                yield StoredIncident(row.id, row.first_seen, json.loads(row.record))


def _overlaps(capture: StoredCapture, since: int | None, until: int | None) -> bool:
    if capture.first is None or capture.last is None:
        return True  # It goes on, and what it has seen so far is not noted.
    return (since is None or capture.last >= since) and (until is None or capture.first < until)
