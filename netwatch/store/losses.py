"""What the store does not have of a run: how much of what kind, and when it was seen.

A loss is counted where it happens and stored with the capture, so that whoever reads the past knows
of it: ``store status``, a report, ``rejudge``. Whoever counts sends totals, so that storing them
twice is the same as once.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal, get_args

from sqlalchemy import Connection, delete, func, select

from netwatch.coverage.hours import HOUR, QUARTER
from netwatch.store import catalogue_tables as tables
from netwatch.store.statements import upsert

LossKind = Literal["skipped", "rows", "records", "killed", "late"]
"""`skipped` are packets that were judged and not recorded, because the capture was behind; `rows`
are those of facts that did not fit into a queue, or could not be written; `records` are states of
incidents and records of coverage that could not be written; `killed` are rows that a process had in
memory when it was killed, 0 where nobody knows how many; `late` are rows that were not written when
the time for the end of the run was over."""

KINDS: tuple[LossKind, ...] = get_args(LossKind)

ALL = -1
"""The position of what is lost of all captures of a run."""

UNSEEN = HOUR
"""How long after its last facts (ns) a run that was killed may have seen more; a longer time
without facts is a gap by itself."""

FLOWS = 600_000_000_000
"""How long before its last facts (ns) flows may have begun that a process had in memory when it was
killed: a flow is written when it has been idle for this long."""

Quarters = Mapping[int, int]
"""How much was lost, by quarters of an hour since the epoch."""

Losses = Mapping[str, Quarters]
"""The same by kind."""


class LossCounter:
    """Counts what is lost. `total` has the sums by kind; `is_new` says whether there is more since
    the last call of `take`."""

    def __init__(self) -> None:
        self._found: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self.is_new = False

    def add(self, kind: LossKind, time: int, count: int) -> None:
        """Count a loss at a time (ns)."""
        quarters = self._found[kind]
        quarters[time // QUARTER] = quarters.get(time // QUARTER, 0) + count
        self.is_new = True

    def add_time(self, kind: LossKind, since: int, until: int, count: int) -> None:
        """Count a loss that happened at some time from `since` to `until` (ns)."""
        for quarter in range(since // QUARTER, until // QUARTER + 1):
            self._found[kind].setdefault(quarter, 0)
        self.add(kind, since, count)

    def add_killed(self, last: int, until: int, count: int = 0) -> None:
        """Count rows that a process had in memory which wrote facts up to a time (ns), and was
        killed before another one."""
        self.add_time("killed", last - FLOWS, until, count)

    def total(self, kind: LossKind) -> int:
        """How much was lost of a kind."""
        return sum(self._found[kind].values()) if kind in self._found else 0

    def take(self) -> Losses:
        """All that was counted, as a copy."""
        self.is_new = False
        return {kind: dict(quarters) for kind, quarters in self._found.items()}


def shifted(losses: Losses, offset: int) -> dict[str, dict[int, int]]:
    """Losses that were noted by a clock which is so far (ns) ahead, by one that is right."""
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
    """Store what is lost of the capture at a position of a run; totals replace those before."""
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
    """The positions of a run at which anything is lost."""
    column = tables.loss.c
    found = connection.execute(select(column.position).where(column.run == run).distinct())
    return {*found.scalars()}


def lost_rows(connection: Connection, run: int) -> int:
    """How many rows of a run are known to be lost."""
    column = tables.loss.c
    total = select(func.sum(column.count)).where(
        column.run == run, column.kind.in_(("rows", "killed", "late"))
    )
    return int(connection.execute(total).scalar() or 0)


def loss_totals(connection: Connection) -> dict[str, int]:
    """How much the store does not have, by kind in their order; kinds that never occurred are left
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
    """Delete what was lost before a quarter."""
    connection.execute(delete(tables.loss).where(tables.loss.c.quarter < quarter))
