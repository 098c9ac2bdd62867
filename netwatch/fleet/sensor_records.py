"""What sensors say of their runs and losses, in the terms of their centre.

All runs and captures that the batches of a commit name are looked up together, and what is new
among it is stored in one transaction: in SQLite each one that writes waits for the alerts.
"""

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, select

from netwatch.coverage.judged import QUARTERS
from netwatch.fleet.border import BorderError
from netwatch.fleet.fact_batch import RunKey
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.hour_rows import KINDS, Losses, change_judge
from netwatch.store.run_rows import (
    VersionHashes,
    add_capture,
    add_run,
    find_capture,
    find_run,
    version_with,
)

Named = tuple[str, RunKey, bool]
"""A sensor and its run, and whether a capture is meant: that at the position in the run."""

MAX_LOSSES = 20_000
"""Quarters of an hour of a record of what is lost, some 200 days."""

MAX_LOST = 1 << 40
"""What may be lost in a quarter of an hour, and less."""

MAX_QUARTER = 84_007 * 24 * QUARTERS
"""Quarters since the epoch before which something may be lost: in 2199."""


class SensorNumbers:
    """Numbers in a catalogue. `run` and `capture` know those that `load` was given last."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._database = catalogue.database
        self._runs: dict[tuple[str, RunKey], int] = {}
        self._captures: dict[tuple[str, RunKey], int] = {}
        self._judges: dict[int, tuple[str, str, str, str]] = {}

    def load(self, named: Collection[Named]) -> None:
        """Look up runs and captures, and store those that are new. Raises `NetwatchError`."""
        # Others may have deleted some since the last call.
        self._runs.clear()
        self._captures.clear()
        with self._database.reading() as connection:
            missing = [*self._find(connection, named)]
        if missing:
            with self._database.writing(numbers=True) as connection:
                for each in [*self._find(connection, missing)]:
                    self._add(connection, *each)

    def run(self, sensor: str, run: RunKey) -> int:
        """The number of a run of a sensor."""
        return self._runs[sensor, run]

    def capture(self, sensor: str, run: RunKey) -> int:
        """The number of the capture of a sensor at the position of `run`."""
        return self._captures[sensor, run]

    def judge(self, sensor: str, run: RunKey, at: int) -> None:
        """Note by which versions a run is judged from a time (ns) on, if that has changed."""
        number = self._runs[sensor, run]
        if run.versions is None or self._judges.get(number) == run.versions:
            return
        columns = tables.hour_judged.c
        now = select(columns.version).where(columns.run == number, columns.until.is_(None))
        with self._database.writing(numbers=True) as connection:
            version = version_with(connection, VersionHashes(*run.versions), run.contents)
            if connection.execute(now).scalar() != version:
                change_judge(connection, number, version, at)
        self._judges[number] = run.versions

    def _find(self, connection: Connection, named: Collection[Named]) -> Iterator[Named]:
        """Those of which something is not stored."""
        for sensor, run, needs_capture in named:
            number = find_run(connection, sensor, run.command, run.started)
            if number is None:
                yield sensor, run, needs_capture
                continue
            self._runs[sensor, run] = number
            if not needs_capture:
                continue
            capture = find_capture(connection, number, run.position)
            if capture is None:
                yield sensor, run, needs_capture
            else:
                self._captures[sensor, run] = capture

    def _add(self, connection: Connection, sensor: str, run: RunKey, needs_capture: bool) -> None:
        # Another one of `named` may be of the same run, and have stored it.
        number = find_run(connection, sensor, run.command, run.started)
        if number is None:
            hashes = VersionHashes(*run.versions) if run.versions else None
            version = version_with(connection, hashes, run.contents) if hashes else None
            number = add_run(connection, sensor, run.command, run.started, version)
        self._runs[sensor, run] = number
        if needs_capture:
            capture = find_capture(connection, number, run.position)
            self._captures[sensor, run] = (
                add_capture(connection, number, run.position) if capture is None else capture
            )


def read_losses(found: Any) -> Losses:
    """What is lost, by kind and quarter. Raises `BorderError` if it cannot be stored."""
    try:
        if not isinstance(found, dict) or not {*found} <= {*KINDS}:
            raise TypeError(found)
        losses = {
            kind: {int(quarter): count for quarter, count in quarters.items()}
            for kind, quarters in found.items()
        }
        cells = [cell for quarters in losses.values() for cell in quarters.items()]
        if len(cells) > MAX_LOSSES:
            raise ValueError(len(cells))
        for quarter, count in cells:
            if (
                not 0 <= quarter < MAX_QUARTER
                or type(count) is not int
                or not 0 <= count < MAX_LOST
            ):
                raise ValueError(quarter)
    except (TypeError, ValueError, AttributeError):
        raise BorderError("the content has no valid 'losses'") from None
    return losses
