"""Writes and deletes the rows of hours (when packets were there, the flows of each network, and by
what they were judged) and of coverage, with its sums by network and reason. Hours that are stored
again are added to what is there.
"""

import json
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, or_, select, update

from netwatch.coverage.hours import (
    BLOCK,
    QUARTERS,
    FlowHours,
    HourCounts,
    bits_of,
    flow_blocks,
    pack_flows,
    quarter_blocks,
    unpack_flows,
)
from netwatch.store import catalogue_tables as tables
from netwatch.store.losses import remove_losses_before
from netwatch.store.statements import insert_rows

NAMED = ""
"""The reason in `coverage_network` of flows that had a name."""

OUTSIDE = ""
"""The network in `coverage_network` of flows of no configured network."""

MAX_SUMMED = 1_000_000_000_000
"""What a number that is summed in the catalogue counts for at most, so that no sum overflows: older
releases stored whatever a sensor said."""


def add_hours(connection: Connection, run: int, parts: Mapping[int, HourCounts]) -> None:
    """Add what was counted of the parts of a run to what is stored."""
    for part, counts in parts.items():
        _add_quarters(connection, run, part, counts)
        for (network, device_class), hours in counts.networks.items():
            for block, found in flow_blocks(hours).items():
                _add_flows(connection, (run, part, network, device_class, block), found)


def _add_quarters(connection: Connection, run: int, part: int, counts: HourCounts) -> None:
    table = tables.hour_captured
    for block, bits in quarter_blocks(counts.quarters).items():
        here = (table.c.run == run) & (table.c.part == part) & (table.c.block == block)
        known = connection.execute(select(table.c.quarters).where(here)).scalar()
        before = read_bits(known) if known is not None else 0
        if bits | before == before and known is not None:
            continue
        _put(connection, table, here, known is not None, {
            "run": run, "part": part, "block": block, "quarters": write_bits(bits | before),
        })  # fmt: skip


def _add_flows(
    connection: Connection, key: tuple[int, int, str, str, int], found: FlowHours
) -> None:
    table = tables.hour_network
    names = ("run", "part", "network", "class", "block")
    values: dict[str, Any] = dict(zip(names, key, strict=True))
    here = _all(table.c[name] == value for name, value in values.items())
    known = connection.execute(select(table.c.flows).where(here)).scalar()
    hours = unpack_flows(known) if known is not None else {}
    for hour, counts in found.items():
        hours.setdefault(hour, Counter()).update(counts)
    values["hours"] = write_bits(bits_of(hours))
    values["flows"] = pack_flows(hours)
    _put(connection, table, here, known is not None, values)


def _all(conditions: Any) -> Any:
    first, *others = conditions
    for each in others:
        first &= each
    return first


def _put(
    connection: Connection, table: Any, here: Any, is_there: bool, values: Mapping[str, Any]
) -> None:
    if is_there:
        connection.execute(update(table).where(here).values(**values))
    else:
        connection.execute(insert(table).values(**values))


def write_bits(bits: int) -> bytes:
    """A set of bits as bytes."""
    return zlib.compress(bits.to_bytes((bits.bit_length() + 7) // 8 or 1, "little"))


def read_bits(content: bytes) -> int:
    """The set of bits that `write_bits` made bytes of."""
    return int.from_bytes(zlib.decompress(content), "little")


def add_judged(
    connection: Connection,
    run: int,
    version: int,
    *,
    part: int | None = None,
    since: int | None = None,
    until: int | None = None,
) -> None:
    """Note that what a run saw from `since` up to, but without, `until` (ns) was judged by a
    version, now."""
    values = {"run": run, "part": part, "version": version, "since": since, "until": until}
    connection.execute(insert(tables.hour_judged).values(judged=time.time_ns(), **values))


def change_judge(connection: Connection, run: int, version: int, at: int) -> None:
    """Note that a live run is judged by another version from a time (ns) on."""
    columns = tables.hour_judged.c
    open_ = (columns.run == run) & columns.until.is_(None)
    connection.execute(update(tables.hour_judged).where(open_).values(until=at))
    add_judged(connection, run, version, since=at)


def remove_hours(connection: Connection, run: int) -> None:
    """Delete the hours of a run."""
    for table in (tables.hour_captured, tables.hour_network, tables.hour_judged):
        connection.execute(delete(table).where(table.c.run == run))


def remove_hours_before(connection: Connection, block: int) -> None:
    """Delete the blocks before this one."""
    for table in (tables.hour_captured, tables.hour_network):
        connection.execute(delete(table).where(table.c.block < block))
    remove_losses_before(connection, block * BLOCK * QUARTERS)


def add_contents(connection: Connection, version: int, contents: Mapping[str, str]) -> None:
    """Note what the bans of a version say, if that is not known yet."""
    columns = tables.version_ban.c
    known = {*connection.execute(select(columns.ban).where(columns.version == version)).scalars()}
    insert_rows(
        connection,
        tables.version_ban,
        [
            {"version": version, "ban": ban, "content": content}
            for ban, content in sorted(contents.items())
            if ban not in known
        ],
    )


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
