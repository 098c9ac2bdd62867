"""What becomes of a run whose process was killed: it is noted while it writes, and marked by the
next one that opens the store.

Facts and coverage are written every few seconds. What a process had in memory when it was killed is
gone, and nobody can say how much it was. So its captures are `partial`, and the time from its last
facts on is one in which something is lost, and so are ten minutes before it: flows that go on are
in memory.
"""

import time
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.losses import UNSEEN, LossCounter, add_losses
from netwatch.store.use_lock import UseLock


def note_run(connection: Connection, lock: UseLock, run: int) -> None:
    """This process writes a run from now on, until the lock is closed."""
    lock.hold_run(run)
    values = {"run": run, "at": time.time_ns(), "first": None, "last": None}
    connection.execute(insert(tables.run_writing).values(values))


def note_written(connection: Connection, run: int, first: int | None, last: int | None) -> None:
    """Facts of a run were written, of packets from `first` to `last` (ns)."""
    row = tables.run_writing.c.run == run
    values = {"at": time.time_ns(), "first": first, "last": last}
    connection.execute(update(tables.run_writing).where(row).values(values))


def forget_run(connection: Connection, run: int) -> None:
    """A run has ended."""
    connection.execute(delete(tables.run_writing).where(tables.run_writing.c.run == run))


def written_span(connection: Connection, run: int) -> tuple[int | None, int | None]:
    """The times of the first and the last facts of a run that is being written."""
    column = tables.run_writing.c
    row = connection.execute(select(column.first, column.last).where(column.run == run)).first()
    return (row.first, row.last) if row is not None else (None, None)


def mark_killed(catalogue: Catalogue, lock: UseLock) -> list[int]:
    """Mark the runs that a process wrote which is gone; their numbers. Raises `NetwatchError`."""
    with catalogue.database.reading() as connection:
        runs = connection.execute(select(tables.run_writing)).all()
    killed = [row for row in runs if not lock.is_written(row.run)]
    if killed:
        with catalogue.database.writing() as connection:
            for row in killed:
                _mark(connection, row)
    return [row.run for row in killed]


def _mark(connection: Connection, row: Any) -> None:
    column = tables.capture.c
    left = (column.run == row.run) & (column.state == "open")
    positions = connection.execute(select(column.position).where(left)).scalars().all()
    if positions:
        last = row.at if row.last is None else row.last
        losses = LossCounter()
        losses.add_killed(last, last + min(max(0, time.time_ns() - row.at), UNSEEN))
        for position in positions:
            add_losses(connection, row.run, position, losses.take())
        values = {"state": "partial", "first": row.first, "last": row.last}
        connection.execute(update(tables.capture).where(left).values(values))
    forget_run(connection, row.run)
