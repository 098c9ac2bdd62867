"""The records that sensors send: their alerts, checked; and their runs and losses, in the centre's
terms.

An alert may be from another version of netwatch, or forged. Everything that the catalogue, cases
and pages need of a record must be there, so that a wrong record is refused by itself and never
fails the transaction of others. Unknown fields are kept.

All runs and captures in the batches of a commit are looked up together, and new ones are stored in
one transaction: in SQLite each one that writes waits for the alerts.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, select

from netwatch.core.alert import UNHEARD
from netwatch.core.errors import NetwatchError
from netwatch.coverage.judged import QUARTERS, OneOf
from netwatch.fleet import border
from netwatch.fleet.border import BorderError
from netwatch.fleet.fact_batch import RunKey
from netwatch.formats.alert_record import Incident
from netwatch.formats.typed_records import RecordError, check
from netwatch.formats.values import epoch_ns, line_of
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import DEVICES, NETWORKS
from netwatch.store.cases import SensorAlert
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

MAX_VALUES = 4096
"""Values in one list of a record."""

_YEAR = 366 * 86_400 * 10**9
_LATEST = 240 * _YEAR  # ns since the epoch that fit into 64 bits, with any offset of a clock

MAX_LINE = 1 << 20
"""Bytes of the record of one alert."""

MAX_LOSSES = 20_000
"""Quarters of an hour in a record of losses, some 200 days."""

MAX_ONE_OF = 20_000
"""Numbers of flows ``one-of-k`` in a record."""

MAX_LOST = 1 << 40
"""Losses per quarter of an hour, below this."""

MAX_QUARTER = 84_007 * 24 * QUARTERS
"""Quarters since the epoch before which a loss may be: in 2199."""


class BadAlertError(NetwatchError, ValueError):
    """The record of an alert is not one; the message says what is wrong."""


def check_alert(record: Any) -> None:
    """Check the record of an alert. Raises `BadAlertError`."""
    if not isinstance(record, dict):
        raise BadAlertError("an alert that is no object")
    try:
        check(Incident, record, MAX_VALUES)
        _check_together(record)
    except (RecordError, ValueError, OverflowError) as error:
        raise BadAlertError(f"an alert with a wrong value: {error}") from None


def _check_together(record: Mapping[str, Any]) -> None:
    """Check what a value's type does not tell."""
    for name, text in (
        ("id", record["id"]),
        ("app.id", record["app"]["id"]),
        ("ban.id", record["ban"]["id"]),
        ("versions", record.get("versions")),
        ("evidence", record["evidence"]),
        *(("contradictions.text", each["text"]) for each in record.get("contradictions", ())),
    ):
        if not text:
            raise ValueError(f"{name} is missing or empty")
    first, last = epoch_ns(record["first_seen"]), epoch_ns(record["last_seen"])
    if not 0 <= first <= last <= _LATEST:
        raise ValueError("first_seen is after last_seen, or a time is out of range")
    if record["duration"] > _LATEST / 1e9:
        raise ValueError("duration is out of range")
    for item in record["evidence"]:
        if item.get("packet") is None and not item.get("log"):
            raise ValueError("evidence without a packet or a log")


def read_record(sensor: str, record: Any, clock_offset: int = 0) -> SensorAlert:
    """The alert that a sensor sent, read from JSON; `clock_offset` is how far its clock is ahead
    (ns). Raises `BadAlertError`."""
    if isinstance(record, dict):
        # Only the centre may set these.
        record.pop(UNHEARD, None)
        if isinstance(record.get("sensor"), dict):
            for limit in (NETWORKS, DEVICES):
                record["sensor"].pop(limit, None)
    check_alert(record)
    return stored_alert(sensor, record, clock_offset)


def stored_alert(sensor: str, record: Any, clock_offset: int = 0) -> SensorAlert:
    """The same for a record that was read, and may have been marked here."""
    try:
        raw = orjson.dumps(record)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise BadAlertError(f"an alert that cannot be stored: {error}") from None
    if len(raw) > MAX_LINE:
        raise BadAlertError(f"an alert of {len(raw)} bytes; expected at most {MAX_LINE}")
    return SensorAlert(sensor, record, line_of(raw), clock_offset)


Named = tuple[str, RunKey, bool]
"""A sensor and its run, and whether a capture is meant: the one at the position in the run."""


class SensorNumbers:
    """Numbers in a catalogue. `run` and `capture` know those that were last given to `load`."""

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
                for new in [*self._find(connection, missing)]:
                    self._add(connection, *new)

    def run(self, sensor: str, run: RunKey) -> int:
        """The number of a run of a sensor."""
        return self._runs[sensor, run]

    def capture(self, sensor: str, run: RunKey) -> int:
        """The number of the capture of a sensor at the position of `run`."""
        return self._captures[sensor, run]

    def judge(self, sensor: str, run: RunKey, at: int) -> None:
        """Note which versions judge a run from a time (ns) on, if that has changed."""
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
        """Those that are not completely stored."""
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
        # Another one of `named` may have the same run, and have stored it.
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
    """Losses, by kind and quarter. Raises `BorderError` if they cannot be stored."""
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


def read_one_of(found: Any) -> OneOf:
    """Flow records ``one-of-k``. Raises `BorderError` if they cannot be counted."""
    if not isinstance(found, list) or len(found) > MAX_ONE_OF:
        raise BorderError(f"flows: expected a list of at most {MAX_ONE_OF:,}")
    read = []
    for each in found:
        if not isinstance(each, list) or len(each) != 5:
            raise BorderError("flows: expected a network, its class, an hour, k and a number")
        network, device_class, hour, names, flows = each
        read.append(
            (
                border.text(network),
                border.text(device_class),
                border.number(hour, MAX_QUARTER // QUARTERS),
                border.number(names, MAX_VALUES),
                border.number(flows, MAX_LOST),
            )
        )
    return read
