"""What sensors say of their networks, runs and losses, in the terms of their centre.

A sensor that was taken over can claim to have seen a device of any network. What it says of one
that is not its own is kept and shown as a contradiction, with the least confidence; it is a case of
its own (`netwatch.store.case_members`), so it changes nothing that other sensors have said. What
it says of its own networks joins no case of another network either, whatever flow or device of an
inventory it claims to have seen. Its clients and its coverage count for no other network.

All runs and captures that the batches of a commit name are looked up together, and what is new
among it is stored in one transaction: in SQLite each one that writes waits for the alerts.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from netwatch.core.evidence_place import number_of
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.coverage.hours import QUARTERS
from netwatch.fleet.border import BorderError
from netwatch.fleet.fact_batch import RunKey
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import NETWORKS, OUTSIDE
from netwatch.store.catalogue import Catalogue
from netwatch.store.catalogue_clients import ClientAddress
from netwatch.store.hour_rows import change_judge
from netwatch.store.losses import KINDS, Losses
from netwatch.store.run_rows import (
    VersionHashes,
    add_capture,
    add_run,
    find_capture,
    find_run,
    version_with,
)

_PLACE = ("time", "type", "name", "source")

LEAST = min(CONFIDENCE_RANK, key=CONFIDENCE_RANK.__getitem__)
"""The confidence of what a sensor says of a network that is not its own."""

Named = tuple[str, RunKey, bool]
"""A sensor and its run, and whether a capture is meant: that at the position in the run."""

MAX_LOSSES = 20_000
"""Quarters of an hour of a record of what is lost, some 200 days."""

MAX_LOST = 1 << 40
"""What may be lost in a quarter of an hour, and less."""

MAX_QUARTER = 84_007 * 24 * QUARTERS
"""Quarters since the epoch before which something may be lost: in 2199."""


@dataclass(frozen=True, slots=True)
class SensorNetworks:
    """The networks of those sensors that have only some, by name."""

    allowed: Mapping[str, frozenset[str]]

    def allows(self, sensor: str, network: str | None) -> bool:
        """Whether a sensor may speak of a network."""
        return sensor not in self.allowed or network in self.allowed[sensor]

    def marked(self, sensor: str, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record of an alert with the networks of its sensor, and with the contradiction if it
        speaks of another one; None if the sensor may speak of all."""
        if sensor not in self.allowed:
            return None
        network = record["network"]["name"]
        said_by = {**record["sensor"], NETWORKS: sorted(self.allowed[sensor])}
        record = {**record, "sensor": said_by}
        if self.allows(sensor, network):
            return record
        first = record["evidence"][0]
        network = f"the network {network}" if network else "no network"
        names = ", ".join(sorted(self.allowed[sensor])) or "none"
        said = {
            "type": OUTSIDE,
            "text": f"The sensor {sensor} speaks of {network}; its own: {names}.",
            "count": max(1, sum(each["count"] for each in record["evidence"])),
            "evidence": [{**{name: first[name] for name in _PLACE}, "packet": number_of(first)}],
        }
        known = record.get("contradictions") or []
        return {**record, "confidence": LEAST, "contradictions": [said, *known]}

    def clients(
        self, sensor: str, clients: Sequence[ClientAddress]
    ) -> tuple[Sequence[ClientAddress], set[str]]:
        """Clients as they count, and the networks that are not the sensor's own."""
        outside = {
            each.network
            for each in clients
            if each.network is not None and not self.allows(sensor, each.network)
        }
        if not outside:
            return clients, outside
        return [
            replace(each, network=None, network_class=None) if each.network in outside else each
            for each in clients
        ], outside

    def coverage(self, sensor: str, record: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """A record of coverage with the networks that count, and those that do not."""
        outside = {
            each["name"] for each in record["networks"] if not self.allows(sensor, each["name"])
        }
        kept = [each for each in record["networks"] if each["name"] not in outside]
        return {**record, "networks": kept}, outside


UNLIMITED = SensorNetworks({})
"""Each sensor may speak of all networks."""


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
        """Note by which versions a run is judged from a time (ns) on, where that has changed."""
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
    """What is lost, by kind and quarter. Raises `BorderError` where it cannot be stored."""
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
