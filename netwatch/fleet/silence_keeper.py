"""Notes the silence of sensors: on the roster, in the log, and by the outputs of the centre."""

import asyncio
import json
import time
from collections.abc import Callable

from netwatch.core.alert import AlertRecord
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.roster_keeper import RosterKeeper
from netwatch.fleet.silence import DEFAULT_SILENCE, Change, Known, Silences
from netwatch.formats.silence import silence_record

LOOK_SECONDS = 1.0
"""Seconds between two looks."""

_VERSION_LENGTH = 64


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
        for each in roster.known():
            self._versions[each.name] = str(each.status.get("version") or "")[:_VERSION_LENGTH]
            stopped = each.status.get("state") == "stopped"
            known[each.name] = Known(each.heard, each.silent_since, stopped)
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
        """Look for silent sensors, as long as a connection lasts. Whatever came before could not be
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
