"""Writes what is known of sensors into the roster of the catalogue, some of it at a time.

Signs of life come often and say the same most of the time, so the last one of each sensor is
written every few seconds, all in one transaction, by a thread of its own.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.fleet.border import BorderError, read_applied, read_health
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.envelope import Envelope
from netwatch.store import fleet_sensors
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import note_heard
from netwatch.store.unheard import close_of_restarted_sensors, close_of_silent_sensors

WRITE_SECONDS = 2.0
"""Seconds between two transactions."""

MAX_WAITING = 10_000
"""Other changes that wait to be written; further ones are dropped."""

Change = Callable[[Catalogue], None]


class RosterKeeper:
    """The roster of the store at `options`. Raises `ConfigError` and `NetwatchError` where that
    cannot be opened."""

    def __init__(self, options: StoreOptions, status: CentreStatus) -> None:
        self._status = status
        self._catalogue = Catalogue.open(options, create=True)
        self._executor = ThreadPoolExecutor(1, "roster")
        self._heard: dict[str, tuple[int, Mapping[str, Any], int | None]] = {}
        self._refused: dict[str, tuple[int, str]] = {}
        self._changes: list[Change] = []
        for sensor in self.known():
            if sensor.clock_offset is not None:
                status.offsets[sensor.name] = sensor.clock_offset

    def known(self) -> Sequence[fleet_sensors.FleetSensor]:
        """All sensors as the catalogue has them now. Raises `NetwatchError`."""
        return fleet_sensors.roster(self._catalogue)

    def close(self) -> None:
        """Write what is waiting, as far as that works, and close the catalogue."""
        self._executor.shutdown()
        with suppress(NetwatchError):
            self._write()  # What is missing is said again at the next start.
        self._catalogue.close()

    def heard(self, sensor: str, data: bytes) -> str:
        """Take a sign of life; why it is none, else empty."""
        try:
            health = read_health(data)
        except BorderError as error:
            return str(error)
        offset = health.get("clock_offset_ns")
        if type(offset) is not int or abs(offset) >= 1 << 62:
            offset = None
        self._status.heard[sensor] = time.monotonic()
        if offset is not None:
            self._status.offsets[sensor] = offset
        self._heard[sensor] = (time.time_ns(), health, offset)
        return ""

    def applied(self, envelope: Envelope) -> str:
        """Take the report on a published version; why it is none, else empty."""
        try:
            kind, version, state, reason = read_applied(envelope.value())
        except BorderError as error:
            return str(error)
        at, sensor = time.time_ns(), envelope.sensor
        self._add(
            lambda catalogue: fleet_sensors.applied(
                catalogue, sensor, kind, version, state, reason, at
            )
        )
        return ""

    def refused(self, sensor: str, reason: str) -> None:
        """Note that a message was refused."""
        if sensor:
            count, _ = self._refused.get(sensor, (0, ""))
            self._refused[sensor] = count + 1, reason

    def silent(self, sensor: str, since: int) -> None:
        """Note that a sensor has not been heard since a time (ns)."""

        def note(catalogue: Catalogue) -> None:
            fleet_sensors.silent(catalogue, sensor, since)

        self._add(note)

    def close_unheard(self, limit: int) -> None:
        """Close incidents of which, or of whose sensors, nothing was heard for `limit` ns."""
        before = time.time_ns() - limit

        def close(catalogue: Catalogue) -> None:
            close_of_silent_sensors(catalogue, before)
            close_of_restarted_sensors(catalogue, before)

        self._add(close)

    def enrolled(self, sensor: str, at: int) -> None:
        """Note that a sensor was enrolled."""
        self._add(lambda catalogue: fleet_sensors.enrolled(catalogue, sensor, at))

    def removed(self, sensor: str) -> None:
        """Note that the credentials of a sensor were revoked."""

        def remove(catalogue: Catalogue) -> None:
            fleet_sensors.removed(catalogue, sensor)

        self._heard.pop(sensor, None)
        self._add(remove)

    def _add(self, change: Change) -> None:
        if len(self._changes) < MAX_WAITING:
            self._changes.append(change)

    async def run(self) -> None:
        """Write every few seconds, until this is cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await self.written()
            except NetwatchError as error:
                self._status.store_problem = self._status.store_problem or str(error)

    async def written(self) -> None:
        """Write now. Raises `NetwatchError`; nothing is lost then."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._write)

    def _write(self) -> None:
        while self._changes:
            self._changes[0](self._catalogue)
            self._changes.pop(0)
        refused, self._refused = self._refused, {}
        for sensor, (count, reason) in refused.items():
            fleet_sensors.refused(self._catalogue, sensor, reason, count)
        heard, self._heard = self._heard, {}
        if not heard:
            return
        try:
            with self._catalogue.database.writing() as connection:
                for sensor, (at, health, offset) in sorted(heard.items()):
                    note_heard(connection, sensor, at, health, offset)
        except NetwatchError:
            self._heard = heard | self._heard
            raise
