"""Writes and deletes records of coverage, and with them their sums by network and reason."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, or_, select

from netwatch.store import catalogue_tables as tables

NAMED = ""
"""The reason in `coverage_network` of flows that had a name."""

OUTSIDE = ""
"""The network in `coverage_network` of flows of no configured network."""


def store_coverage(
    connection: Connection, run: int, part: int, first: int | None, last: int | None, record: str
) -> None:
    """Store the record of the coverage of a run, or of the hour `part` of a live one; it replaces
    one of the same part. `first` and `last` are the times of its packets (ns)."""
    coverage = tables.coverage.c
    remove_coverage(connection, (coverage.run == run) & (coverage.part == part))
    connection.execute(
        insert(tables.coverage).values(run=run, part=part, first=first, last=last, record=record)
    )
    rows = sums(run, part, first, last, json.loads(record))
    if rows:
        connection.execute(insert(tables.coverage_network), rows)


def remove_coverage(connection: Connection, where: Any) -> int:
    """Delete the records of coverage for which `where` holds; how many."""
    coverage, sums = tables.coverage, tables.coverage_network.c
    for run, part in connection.execute(select(coverage.c.run, coverage.c.part).where(where)).all():
        connection.execute(
            delete(tables.coverage_network).where((sums.run == run) & (sums.part == part))
        )
    return int(connection.execute(delete(coverage).where(where)).rowcount)


def sum_all(connection: Connection) -> None:
    """Make the sums of all records: for a catalogue that had none."""
    columns = tables.coverage.c
    connection.execute(delete(tables.coverage_network))
    for row in connection.execute(
        select(columns.run, columns.part, columns.first, columns.last, columns.record)
    ).all():
        rows = sums(row.run, row.part, row.first, row.last, json.loads(row.record))
        if rows:
            connection.execute(insert(tables.coverage_network), rows)


def outside_flows(connection: Connection, since: int, until: int) -> tuple[int, int]:
    """The flows of no configured network, of the records of coverage whose time reaches into the
    period from `since` up to, but without, `until` (ns); and how many of these records reach beyond
    it. Hours have only flows of networks, and records count as a whole."""
    column = tables.coverage_network.c
    is_beyond = or_(column.first < since, column.last >= until)
    statement = (
        select(func.sum(saturated(column.flows)), func.max(case((is_beyond, 1), else_=0)))
        .where(column.network == OUTSIDE, column.last >= since, column.first < until)
        .group_by(column.run, column.part)
    )
    rows = connection.execute(statement).all()
    return sum(int(flows) for flows, _ in rows), sum(int(beyond) for _, beyond in rows)


MAX_SUMMED = 1_000_000_000_000
"""What a number that is summed in the catalogue counts for at most, so that no sum overflows: older
releases stored whatever a sensor said."""


def saturated(column: Any) -> Any:
    """A column of counts for a sum."""
    return case((column > MAX_SUMMED, MAX_SUMMED), (column < 0, 0), else_=column)


def sums(
    run: int, part: int, first: int | None, last: int | None, record: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows of `coverage_network` for a record."""
    shares = [(each["name"], each["class"], each) for each in record.get("networks", ())]
    if "outside" in record:
        shares.append((OUTSIDE, "", record["outside"]))
    return [
        {
            "run": run, "part": part, "first": first, "last": last,
            "network": name, "class": kind, "reason": reason, "flows": flows,
        }
        for name, kind, share in shares
        for reason, flows in ((NAMED, share["named"]), *share["unnamed"].items())
        if flows
    ]  # fmt: skip
