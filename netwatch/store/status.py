"""How much a store has: rows, files and bytes by table, days, runs, and what was lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select, true

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.coverage_rows import saturated
from netwatch.store.losses import loss_totals
from netwatch.store.tables import FACTS


@dataclass(frozen=True, slots=True)
class TableStatus:
    """The files of a table, of which `landing` wait for compaction; times are ns."""

    table: str
    rows: int
    files: int
    landing: int
    bytes: int
    days: int
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """A store: its id, `created` and versions, its tables, and numbers of rows of the catalogue.
    `open_captures` are those whose run goes on or was killed, `partial_captures` those of which
    rows were lost. `losses` is what the store does not have, by kind (`netwatch.store.losses`)."""

    id: str
    created: int
    schema: int
    format: int
    tables: tuple[TableStatus, ...]
    runs: int
    last_run: int | None
    captures: int
    open_captures: int
    partial_captures: int
    lost_rows: int
    losses: Mapping[str, int]
    clients: int
    incidents: int
    evidence: int


def status(catalogue: Catalogue) -> StoreStatus:
    """The state of a store, from its catalogue alone."""
    file, capture = tables.file.c, tables.capture.c

    def count(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    with catalogue.database.reading() as connection:
        store = connection.execute(select(tables.store)).one()
        found = {
            row.table: row
            for row in connection.execute(
                select(
                    file.table,
                    func.sum(file.rows).label("rows"),
                    func.count().label("files"),
                    count(file.bucket.is_(None)).label("landing"),
                    func.sum(file.bytes).label("bytes"),
                    func.count(file.day.distinct()).label("days"),
                    func.min(file.first).label("first"),
                    func.max(file.last).label("last"),
                ).group_by(file.table)
            )
        }
        runs, last_run = connection.execute(
            select(func.count(), func.max(tables.run.c.started)).select_from(tables.run)
        ).one()
        captures, opened, partial, lost = connection.execute(
            select(
                func.count(),
                count(capture.state == "open"),
                count(capture.state == "partial"),
                func.coalesce(func.sum(saturated(capture.lost_rows)), 0),
            ).select_from(tables.capture)
        ).one()
        losses = loss_totals(connection)
        sizes = [
            connection.execute(
                select(func.count()).select_from(table).where(condition)
            ).scalar_one()
            for table, condition in (
                (tables.client, true()),
                # Of an incident that several runs found, the newest is shown.
                (tables.incident, tables.incident.c.shown == 1),
                # Beside evidence captures there is a row for each whole capture.
                (tables.evidence, tables.evidence.c.incident.is_not(None)),
            )
        ]
    return StoreStatus(
        id=store.id,
        created=store.created,
        schema=store.schema,
        format=store.format,
        tables=tuple(_table_status(table, found.get(table)) for table in FACTS),
        runs=runs,
        last_run=last_run,
        captures=captures,
        open_captures=int(opened),
        partial_captures=int(partial),
        lost_rows=int(lost),
        losses=losses,
        clients=sizes[0],
        incidents=sizes[1],
        evidence=sizes[2],
    )


def _table_status(table: str, row: Any) -> TableStatus:
    if row is None:
        return TableStatus(table, 0, 0, 0, 0, 0, None, None)
    return TableStatus(
        table,
        int(row.rows),
        row.files,
        int(row.landing),
        int(row.bytes),
        row.days,
        row.first,
        row.last,
    )
