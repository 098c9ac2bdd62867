"""Silences on the roster of a real catalogue, over restarts of the centre."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nats")

from netwatch.fleet import silence_keeper
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.roster_keeper import RosterKeeper
from netwatch.fleet.silence_keeper import SilenceKeeper
from netwatch.store.catalogue import Catalogue
from netwatch.store.fleet_sensors import roster, silences
from netwatch.store.options import StoreOptions

LIMIT = 0.5


def health(state: str = "running") -> bytes:
    return json.dumps({"version": "0.9.0", "state": state}).encode()


class Centre:
    """The part of a centre that keeps the roster, on a store that outlives it."""

    def __init__(self, place: Path) -> None:
        self.options = StoreOptions(str(place / "store"))
        self.records: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.start()

    def start(self) -> None:
        self.status = CentreStatus()
        self.status.enrolled = {"ghent-1", "new-1"}
        self.roster = RosterKeeper(self.options, self.status)
        self.keeper = SilenceKeeper(
            self.roster, self.status, tell=self.records.append, report=self.said.append, limit=LIMIT
        )  # fmt: skip

    def heard(self, sensor: str = "ghent-1", state: str = "running") -> None:
        assert not self.roster.heard(sensor, health(state))
        self.keeper.heard(sensor, health(state))

    def run(self, seconds: float, *, heard: bool = False) -> None:
        """Look for so long; with `heard`, the sensor gives signs of life meanwhile."""

        async def work() -> None:
            task = asyncio.create_task(self.keeper.run())
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                await asyncio.sleep(0.05)
                if heard:
                    self.heard()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.roster.written()

        asyncio.run(work())

    def stored(self) -> tuple[int | None, list[tuple[int, int | None]]]:
        """Since when the sensor is silent, and its silences."""
        with Catalogue.open(self.options) as catalogue:
            (row,) = [each for each in roster(catalogue) if each.name == "ghent-1"]
            found = silences(catalogue, 0, time.time_ns() + 1, "ghent-1")
        return row.silent_since, [(each.since, each.until) for each in found]


@pytest.fixture
def centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Centre:
    monkeypatch.setattr(silence_keeper, "LOOK_SECONDS", 0.05)
    return Centre(tmp_path)


def test_a_silence_is_told_once_kept_over_a_restart_and_ends(centre: Centre) -> None:
    centre.heard()
    centre.run(3 * LIMIT, heard=True)
    assert centre.records == []
    centre.run(3 * LIMIT)
    assert [(each["status"], each["sensor"]["name"]) for each in centre.records] == [
        ("open", "ghent-1")
    ]
    since, found = centre.stored()
    assert since is not None
    assert found == [(since, None)]
    assert centre.status.states["ghent-1"] == "silent"
    # Another process, some time later: the silence goes on, and nobody is told again.
    centre.roster.close()
    centre.start()
    centre.run(3 * LIMIT)
    assert len(centre.records) == 1
    centre.heard()
    centre.run(0.2)
    first, last = centre.records
    assert (last["id"], last["status"], last["ended_by"]) == (first["id"], "closed", "present")
    assert last["sensor"]["version"] == "0.9.0"
    since, found = centre.stored()
    assert since is None
    assert [until is not None for _, until in found] == [True]
    assert [text.partition(" ")[0] for text in centre.said] == ["sensor", "sensor"]
    centre.roster.close()


def test_a_sensor_that_was_stopped_is_not_silent_after_a_restart_either(centre: Centre) -> None:
    centre.heard()
    centre.heard(state="stopped")
    centre.run(0.2)
    centre.roster.close()
    centre.start()
    centre.run(3 * LIMIT)
    assert centre.records == []
    assert centre.stored() == (None, [])
    assert centre.status.states == {"ghent-1": "stopped", "new-1": "unheard"}
    centre.roster.close()


def test_a_sensor_whose_credentials_were_revoked_is_forgotten(centre: Centre) -> None:
    centre.heard()
    centre.run(0.2)
    centre.status.enrolled = {"new-1"}
    centre.run(3 * LIMIT)
    assert centre.records == []
    assert centre.status.states == {"new-1": "unheard"}
    centre.roster.close()
