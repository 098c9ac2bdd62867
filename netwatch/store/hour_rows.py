"""Writes and deletes the rows of hours (when there were packets, the flows of each network, and
what judged them) and of coverage, with its sums by network and reason. Hours that are stored again
are added to the existing ones.

The same applies to losses: what is missing in the store from a run, how much of what kind, and when
it was seen. A loss is counted where it happens and stored with the capture, so that readers of the
past know about it: ``store status``, a report, ``rejudge``. Counters send totals, so storing them
twice has the same result as once.
"""

import json
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Literal, get_args

from sqlalchemy import Connection, case, delete, func, insert, or_, select, update

from netwatch.coverage.judged import (
    BLOCK,
    HOUR,
    OF_K,
    QUARTER,
    QUARTERS,
    FlowHours,
    HourCounts,
    OneOf,
    bit_blocks,
    bits_of,
    flow_blocks,
    one_of_place,
    pack_flows,
    unpack_flows,
)
from netwatch.store import catalogue_tables as tables
from netwatch.store.statements import insert_rows, upsert

NAMED = ""
"""The reason in `coverage_network` for flows that had a name."""

OUTSIDE = ""
"""The network in `coverage_network` for flows of no configured network."""

MAX_SUMMED = 1_000_000_000_000
"""The most that a number counts for in a sum in the catalogue, so that no sum overflows: older
releases stored whatever a sensor sent."""


def add_hours(connection: Connection, run: int, parts: Mapping[int, HourCounts]) -> None:
    """Add the counts of the parts of a run to what is stored."""
    for part, counts in parts.items():
        _add_quarters(connection, run, part, counts)
        for (network, device_class), hours in counts.networks.items():
            watched = bit_blocks(counts.watched.get((network, device_class), ()))
            for block, found in flow_blocks(hours).items():
                key = run, part, network, device_class, block
                _add_flows(connection, key, found, watched.get(block, 0))


def add_traffic(connection: Connection, run: int, parts: Mapping[int, HourCounts]) -> None:
    """Add when traffic itself was seen to the hours of a run that are stored."""
    captured, network = tables.hour_captured, tables.hour_network
    for part, counts in parts.items():
        here = (captured.c.run == run) & (captured.c.part == part)
        for block, bits in bit_blocks(counts.traffic, QUARTERS).items():
            traffic = {"traffic": _written(bits)}
            connection.execute(
                update(captured).where(here & (captured.c.block == block)).values(traffic)
            )
        here = (network.c.run == run) & (network.c.part == part)
        for (name, device_class), hours in counts.watched.items():
            its = here & (network.c.network == name) & (network.c["class"] == device_class)
            for block, bits in bit_blocks(hours).items():
                traffic = {"traffic": _written(bits)}
                connection.execute(
                    update(network).where(its & (network.c.block == block)).values(traffic)
                )


def _add_quarters(connection: Connection, run: int, part: int, counts: HourCounts) -> None:
    table = tables.hour_captured
    traffic = bit_blocks(counts.traffic, QUARTERS)
    for block, bits in bit_blocks(counts.quarters, QUARTERS).items():
        here = (table.c.run == run) & (table.c.part == part) & (table.c.block == block)
        known = connection.execute(select(table.c.quarters, table.c.traffic).where(here)).first()
        before = (read_bits(known.quarters), _optional_bits(known.traffic)) if known else (0, 0)
        after = bits | before[0], traffic.get(block, 0) | before[1]
        if after == before:
            continue
        _put(connection, table, here, known is not None, {
            "run": run, "part": part, "block": block,
            "quarters": write_bits(after[0]), "traffic": _written(after[1]),
        })  # fmt: skip


def _add_flows(
    connection: Connection,
    key: tuple[int, int, str, str, int],
    found: FlowHours,
    watched: int,
) -> None:
    table = tables.hour_network
    names = ("run", "part", "network", "class", "block")
    values: dict[str, Any] = dict(zip(names, key, strict=True))
    here = _all(table.c[name] == value for name, value in values.items())
    known = connection.execute(select(table.c.flows, table.c.traffic).where(here)).first()
    hours = unpack_flows(known.flows) if known is not None else {}
    for hour, counts in found.items():
        hours.setdefault(hour, Counter()).update(counts)
    values["hours"] = write_bits(bits_of(hours))
    values["flows"] = pack_flows(hours)
    values["traffic"] = _written(watched | (_optional_bits(known.traffic) if known else 0))
    _put(connection, table, here, known is not None, values)


def replace_one_of(
    connection: Connection,
    run: int,
    part: int,
    found: OneOf,
    since: int | None,
    until: int | None,
) -> None:
    """The flow records of a part of a run that are ``one-of-k`` are these now, in the whole hours
    from `since` up to, but without, `until` (ns; None is open)."""
    wanted: defaultdict[tuple[str, str, int], list[tuple[int, int]]] = defaultdict(list)
    for network, kind, hour, names, flows in found:
        wanted[network, kind, hour].append((one_of_place(names), flows))
    first = None if since is None else -(-since // HOUR)
    end = None if until is None else until // HOUR
    table = tables.hour_network
    of_part = (table.c.run == run) & (table.c.part == part)
    for row in connection.execute(select(table).where(of_part)).mappings().all():
        hours = unpack_flows(row["flows"])
        for at, counts in hours.items():
            hour = row["block"] * BLOCK + at
            if (first is None or hour >= first) and (end is None or hour < end):
                for place in [place for place in counts if place >= OF_K]:
                    del counts[place]
                for place, flows in wanted.get((row["network"], row["class"], hour), ()):
                    counts[place] += flows
        packed = pack_flows(hours)
        if packed != row["flows"]:
            here = (
                of_part & (table.c.network == row["network"]) & (table.c["class"] == row["class"])
            )
            here &= table.c.block == row["block"]
            connection.execute(update(table).where(here).values(flows=packed))


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
    """The set of bits from `write_bits`."""
    return int.from_bytes(zlib.decompress(content), "little")


def _written(bits: int) -> bytes | None:
    """A set of bits as bytes; None if it is empty."""
    return write_bits(bits) if bits else None


def _optional_bits(content: bytes | None) -> int:
    return 0 if content is None else read_bits(content)


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
    """Note the contents of a version's bans, if not known yet."""
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
    """Delete the records of coverage for which `where` holds; returns how many."""
    coverage, sums = tables.coverage, tables.coverage_network.c
    for run, part in connection.execute(select(coverage.c.run, coverage.c.part).where(where)).all():
        connection.execute(
            delete(tables.coverage_network).where((sums.run == run) & (sums.part == part))
        )
    return int(connection.execute(delete(coverage).where(where)).rowcount)


def sum_all(connection: Connection) -> None:
    """Compute the sums of all records: for a catalogue that had none."""
    columns = tables.coverage.c
    connection.execute(delete(tables.coverage_network))
    for row in connection.execute(
        select(columns.run, columns.part, columns.first, columns.last, columns.record)
    ).all():
        rows = sums(row.run, row.part, row.first, row.last, json.loads(row.record))
        if rows:
            connection.execute(insert(tables.coverage_network), rows)


def outside_flows(connection: Connection, since: int, until: int) -> tuple[int, int]:
    """The flows of no configured network in the records of coverage that overlap the period from
    `since` up to, but without, `until` (ns); and how many of these records extend beyond it. Hours
    only have flows of networks, and records count as a whole."""
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


LossKind = Literal["skipped", "rows", "records", "killed", "late", "unreceived", "sampled"]
"""`skipped` are packets that were judged but not recorded, because the capture was behind; `rows`
are facts that did not fit into a queue, or could not be written; `records` are states of incidents
and records of coverage that could not be written; `killed` are rows that a process had in memory
when it was killed, 0 if unknown; `late` are rows that were not written in time at the end of the
run; `unreceived` are records that never reached this machine, such as flow records by their
exporter's sequence numbers; `sampled` are packets, or flow records of sampled packets, of a time
at which other packets were left out."""

NEVER_SEEN: tuple[LossKind, ...] = ("unreceived", "sampled")
"""What the store cannot have, because nothing has seen it: reading the capture again adds
nothing."""

KINDS: tuple[LossKind, ...] = get_args(LossKind)

MOST_LOST = (1 << 40) - 1
"""What is counted of a loss in a quarter of an hour at most: what a log says to lack is not
bounded."""

ALL = -1
"""The position for losses of all captures of a run."""

UNSEEN = HOUR
"""How long after its last facts (ns) a killed run may have seen more; a longer time without facts
is a gap by itself."""

FLOWS = 600_000_000_000
"""How long before its last facts (ns) flows may have begun that a killed process had in memory: a
flow is written when it has been idle for this long."""

Quarters = Mapping[int, int]
"""How much was lost, by quarters of an hour since the epoch."""

Losses = Mapping[str, Quarters]
"""The same by kind."""


class LossCounter:
    """Counts losses. `total` has the sums by kind; `is_new` tells whether there is more since the
    last call of `take`."""

    def __init__(self) -> None:
        self._found: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self.is_new = False

    def add(self, kind: LossKind, time: int, count: int) -> None:
        """Count a loss at a time (ns)."""
        quarters = self._found[kind]
        quarters[time // QUARTER] = min(quarters.get(time // QUARTER, 0) + count, MOST_LOST)
        self.is_new = True

    def add_time(self, kind: LossKind, since: int, until: int, count: int) -> None:
        """Count a loss that happened at some time from `since` to `until` (ns)."""
        for quarter in range(since // QUARTER, until // QUARTER + 1):
            self._found[kind].setdefault(quarter, 0)
        self.add(kind, since, count)

    def add_killed(self, last: int, until: int, count: int = 0) -> None:
        """Count rows in memory of a process that wrote facts up to a time (ns), and was killed
        before writing more."""
        self.add_time("killed", last - FLOWS, until, count)

    def total(self, kind: LossKind) -> int:
        """How much was lost of a kind."""
        return sum(self._found[kind].values()) if kind in self._found else 0

    def quarters(self, kind: LossKind) -> int:
        """In how many quarters of an hour something of a kind was lost."""
        return len(self._found[kind]) if kind in self._found else 0

    def take(self) -> Losses:
        """All losses, as a copy."""
        self.is_new = False
        return {kind: dict(quarters) for kind, quarters in self._found.items()}


def shifted(losses: Losses, offset: int) -> dict[str, dict[int, int]]:
    """Losses noted by a clock that is so far (ns) ahead, by the correct time."""
    found: dict[str, dict[int, int]] = {}
    for kind, quarters in losses.items():
        counter = found.setdefault(kind, {})
        for quarter, count in quarters.items():
            first = (quarter * QUARTER - offset) // QUARTER
            counter[first] = counter.get(first, 0) + count
            if offset % QUARTER:
                counter.setdefault(first + 1, 0)
    return found


def store_losses(connection: Connection, run: int, position: int, losses: Losses) -> None:
    """Store the losses of the capture at a position of a run; totals replace earlier ones."""
    rows = _rows(run, position, losses)
    upsert(connection, tables.loss, rows, lambda new: {"count": new.count})


def add_losses(connection: Connection, run: int, position: int, losses: Losses) -> None:
    """The same, added to what is stored."""
    rows = _rows(run, position, losses)
    known = tables.loss.c.count
    upsert(connection, tables.loss, rows, lambda new: {"count": known + new.count})


def _rows(run: int, position: int, losses: Losses) -> list[dict[str, Any]]:
    return [
        {"run": run, "position": position, "kind": kind, "quarter": quarter, "count": count}
        for kind, quarters in losses.items()
        for quarter, count in quarters.items()
    ]


def lost_positions(connection: Connection, run: int) -> set[int]:
    """The positions of a run at which anything is lost that was seen."""
    column = tables.loss.c
    of_run = (column.run == run) & column.kind.not_in(NEVER_SEEN)
    found = connection.execute(select(column.position).where(of_run).distinct())
    return {*found.scalars()}


def lost_rows(connection: Connection, run: int) -> int:
    """How many rows of a run are known to be lost."""
    column = tables.loss.c
    total = select(func.sum(column.count)).where(
        column.run == run, column.kind.in_(("rows", "killed", "late"))
    )
    return int(connection.execute(total).scalar() or 0)


def loss_totals(connection: Connection) -> dict[str, int]:
    """How much is missing in the store, by kind in their order; kinds that never occurred are left
    out."""
    column = tables.loss.c
    found = {
        kind: int(count)
        for kind, count in connection.execute(
            select(column.kind, func.sum(column.count)).group_by(column.kind)
        )
    }
    return {kind: found[kind] for kind in KINDS if kind in found}


def lost_quarters(connection: Connection, since: int, until: int) -> dict[int, dict[int, set[int]]]:
    """The quarters from `since` up to, but without, `until` in which something was lost, by run and
    position."""
    column = tables.loss.c
    found: dict[int, dict[int, set[int]]] = {}
    for run, position, quarter in connection.execute(
        select(column.run, column.position, column.quarter).where(
            column.quarter >= since, column.quarter < until
        )
    ):
        found.setdefault(run, {}).setdefault(position, set()).add(quarter)
    return found


def remove_losses_before(connection: Connection, quarter: int) -> None:
    """Delete losses before a quarter."""
    connection.execute(delete(tables.loss).where(tables.loss.c.quarter < quarter))
