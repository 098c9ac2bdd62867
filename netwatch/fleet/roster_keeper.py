"""What a centre knows about its sensors: writes it into the catalogue's roster, and decides which
of them are silent.

Signs of life come often and usually say the same, so the last one of each sensor is written every
few seconds, all in one transaction, by a thread of its own.

A running sensor sends a sign of life every few seconds, from its own thread, however busy it is;
anything else that it sends counts as one, too. It is *silent* when nothing came for `limit`, and
*back* with the next sign. A sensor that says goodbye has *stopped*: that was intended. Two things
must never look like silence: a wrong clock on the sensor, so only the time of arrival counts, and a
centre that could not listen: until it has listened for `limit` without interruption, it reports no
silence. `Silences` notices an interruption by itself (its process was suspended), is told of others
(`interrupted`), and a start is one.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.fleet.border import BorderError, read_applied, read_health
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.envelope import Envelope
from netwatch.formats.silence import silence_record
from netwatch.store import fleet_sensors
from netwatch.store.bypass_rows import note_told
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import OUTSIDE, note_heard, note_outside
from netwatch.store.unheard import close_of_restarted_sensors, close_of_silent_sensors

DEFAULT_SILENCE = 60.0
"""Seconds without a sign of life after which a sensor is silent."""

PAUSE_LIMIT = 10.0
"""Seconds between two looks after which the centre counts as interrupted."""

State = Literal["unheard", "present", "silent", "stopped"]
"""`unheard` is a sensor that was enrolled but never seen, whose silence is not reported."""

_NS = 1_000_000_000

WRITE_SECONDS = 2.0
"""Seconds between two transactions."""

MAX_WAITING = 10_000
"""Other changes that wait to be written; further ones are dropped."""

_Writing = Callable[[Catalogue], None]

LOOK_SECONDS = 1.0
"""Seconds between two looks."""

_VERSION_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Change:
    """A sensor is silent since `since`, is present again or for the first time, or has stopped.
    `since` and `at` are ns since the epoch by the centre's clock: when it was last heard, and when
    this was noticed. With `closes`, a silence that began at `since` is over."""

    sensor: str
    state: State
    since: int
    at: int
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the centre remembers of a sensor from before its start: when it was last heard (ns, None
    for never), since when it has been silent (None if it has not), and whether it has stopped."""

    last_heard: int | None = None
    silent_since: int | None = None
    stopped: bool = False


class _Sensor:
    __slots__ = ("heard", "heard_at", "silent_since", "state")

    def __init__(self, known: Known) -> None:
        self.heard: float | None = None
        """When it was last heard, in s of the monotonic clock; None before the start."""
        self.heard_at = known.last_heard
        self.silent_since = known.silent_since
        self.state: State = "unheard"
        if known.silent_since is not None:
            self.state = "silent"
        elif known.stopped:
            self.state = "stopped"
        elif known.last_heard is not None:
            self.state = "present"


class Silences:
    """The sensors of a centre. `limit` is in s. `now` is always in s of the monotonic clock, `at`
    the time in ns since the epoch."""

    def __init__(self, now: float, limit: float = DEFAULT_SILENCE) -> None:
        self.limit = limit
        self._listening_since = now
        self._looked = now
        self._sensors: dict[str, _Sensor] = {}

    def restore(self, known: Mapping[str, Known]) -> None:
        """Begin with what was known before; sensors that are not in it are forgotten."""
        self._sensors = {
            name: self._sensors.get(name) or _Sensor(each) for name, each in known.items()
        }

    def heard(self, sensor: str, now: float, at: int, *, goodbye: bool = False) -> Change | None:
        """A sensor sent something; `goodbye` means that it stops. Returns the resulting change, if
        any."""
        found = self._sensors.setdefault(sensor, _Sensor(Known()))
        before, silent_since = found.state, found.silent_since
        found.heard, found.heard_at, found.silent_since = now, at, None
        found.state = "stopped" if goodbye else "present"
        if found.state == before:
            return None
        if silent_since is None:
            return Change(sensor, found.state, at, at)
        return Change(sensor, found.state, silent_since, at, closes=True)

    def interrupted(self, now: float) -> None:
        """The centre could not listen until now."""
        self._listening_since = now

    def look(self, now: float, at: int) -> list[Change]:
        """The sensors that have become silent. To be called about once a second."""
        if now - self._looked > PAUSE_LIMIT:
            self._listening_since = now
        self._looked = now
        found = []
        for name, sensor in self._sensors.items():
            quiet = now - max(sensor.heard or self._listening_since, self._listening_since)
            if sensor.state == "present" and quiet > self.limit:
                since = sensor.heard_at if sensor.heard_at is not None else at - round(quiet * _NS)
                sensor.state, sensor.silent_since = "silent", since
                found.append(Change(name, "silent", since, at))
        return found

    def states(self) -> dict[str, State]:
        """The state of every sensor."""
        return {name: sensor.state for name, sensor in self._sensors.items()}

    def silent(self) -> Iterable[tuple[str, int]]:
        """The silent sensors, and since when (ns)."""
        for name, sensor in self._sensors.items():
            if sensor.silent_since is not None:
                yield name, sensor.silent_since


class RosterKeeper:
    """The roster of the store at `options`. Raises `ConfigError` and `NetwatchError` if that
    cannot be opened."""

    def __init__(self, options: StoreOptions, status: CentreStatus) -> None:
        self._status = status
        self._catalogue = open_catalogue(options, create=True)
        self._executor = ThreadPoolExecutor(1, "roster")
        self._heard: dict[str, tuple[int, Mapping[str, Any], int | None]] = {}
        self._refused: dict[str, tuple[int, str]] = {}
        self._outside: dict[str, list[str]] = {}
        self._changes: list[_Writing] = []
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
            self._write()  # What is missing is reported again at the next start.
        self._catalogue.close()

    def heard(self, sensor: str, data: bytes) -> str:
        """Take a sign of life; returns why it is invalid, otherwise empty."""
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
        """Take the report on a published version; returns why it is invalid, otherwise empty."""
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
        """Close incidents without news, of their own or of their sensors, for `limit` ns."""
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

    def bypasses_told(self, ids: Sequence[str]) -> None:
        """Note that the outputs have these findings."""
        self._add(lambda catalogue: note_told(catalogue, ids))

    def _add(self, change: _Writing) -> None:
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
        outside = self._status.outside()
        new = {name: said for name, said in outside.items() if self._outside.get(name) != said}
        heard, self._heard = self._heard, {}
        if not heard and not new:
            return
        try:
            with self._catalogue.database.writing() as connection:
                for sensor, (at, health, offset) in sorted(heard.items()):
                    note_heard(connection, sensor, at, _plain(health), offset)
                for sensor in sorted(outside.keys() & (heard.keys() | new.keys())):
                    note_outside(connection, sensor, outside[sensor])
        except NetwatchError:
            self._heard = heard | self._heard
            raise
        self._outside = outside


def _plain(health: Mapping[str, Any]) -> dict[str, Any]:
    """A sensor's status as reported, without the centre's remarks."""
    return {name: value for name, value in health.items() if name != OUTSIDE}


class SilenceKeeper:
    """The silences of the sensors on `roster`. `tell` gets a record when one begins and when it
    ends, `report` a sentence. `limit` is in s."""

    def __init__(
        self,
        roster: RosterKeeper,
        status: CentreStatus,
        *,
        tell: Callable[[AlertRecord], None],
        report: Callable[[str], None],
        limit: float = DEFAULT_SILENCE,
    ) -> None:
        self._roster = roster
        self._status = status
        self._tell = tell
        self._report = report
        self._silences = Silences(time.monotonic(), limit)
        self._versions: dict[str, str] = {}
        self._enrolled: set[str] = set()
        known = {}
        for sensor in roster.known():
            self._versions[sensor.name] = str(sensor.status.get("version") or "")[:_VERSION_LENGTH]
            stopped = sensor.status.get("state") == "stopped"
            known[sensor.name] = Known(sensor.heard, sensor.silent_since, stopped)
        self._silences.restore(known)
        self._publish_states()

    def heard(self, sensor: str, data: bytes) -> None:
        """A sensor gave a sign of life, which the roster has taken."""
        health = json.loads(data)
        self._versions[sensor] = str(health.get("version") or "")[:_VERSION_LENGTH]
        goodbye = health.get("state") == "stopped"
        change = self._silences.heard(sensor, time.monotonic(), time.time_ns(), goodbye=goodbye)
        if change is not None:
            self._note(change)

    async def run(self) -> None:
        """Look for silent sensors, as long as a connection lasts. Nothing from before could be
        heard."""
        self._silences.interrupted(time.monotonic())
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._status.enrolled != self._enrolled:
                self._enrolled = set(self._status.enrolled)
                self._silences.restore({name: Known() for name in self._enrolled})
            for change in self._silences.look(time.monotonic(), time.time_ns()):
                self._note(change)
            self._publish_states()

    def _note(self, change: Change) -> None:
        sensor = change.sensor
        if change.state == "silent":
            self._roster.silent(sensor, change.since)
        elif not change.closes:
            if change.state == "stopped":
                self._report(f"sensor {sensor} was stopped")
            return
        record = silence_record(
            sensor,
            self._versions.get(sensor, ""),
            change.since,
            change.at,
            ended=change.state if change.closes else "",
        )
        self._report(record["message"])
        self._tell(record)

    def _publish_states(self) -> None:
        self._status.states = dict(self._silences.states())
