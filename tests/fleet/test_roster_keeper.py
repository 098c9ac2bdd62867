"""Silences on the roster of a real catalogue, over restarts of the centre."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.fleet import roster_keeper
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.roster_keeper import (
    PAUSE_LIMIT,
    Change,
    Known,
    RosterKeeper,
    SilenceKeeper,
    Silences,
)
from netwatch.store.fleet_sensors import roster, silences
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

pytest.importorskip("nats")

NS = 1_000_000_000
DAY = 1_700_000_000
LIMIT = 30.0


class Clock:
    """A centre that looks once a second, and its clocks: monotonic from 1000 s on, and wall."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.now = 1000.0
        self.silences = Silences(self.now, limit)
        self.changes: list[Change] = []

    @property
    def at(self) -> int:
        return DAY * NS + round(self.now * NS)

    def heard(self, sensor: str = "a", *, goodbye: bool = False) -> Change | None:
        change = self.silences.heard(sensor, self.now, self.at, goodbye=goodbye)
        if change is not None:
            self.changes.append(change)
        return change

    def wait(self, seconds: float, *, sending: str = "") -> None:
        """Let time pass, in which `sending` sends every 5 s."""
        for second in range(round(seconds)):
            self.now += 1
            if sending and second % 5 == 0:
                self.heard(sending)
            self.changes += self.silences.look(self.now, self.at)

    def told(self) -> list[tuple[str, str]]:
        changes, self.changes = self.changes, []
        return [(each.sensor, each.state) for each in changes]


def test_a_sensor_that_sends_nothing_is_silent_once_and_back_once() -> None:
    clock = Clock()
    clock.heard()
    last = clock.at
    clock.wait(LIMIT)
    assert clock.told() == [("a", "present")]
    clock.wait(500)
    assert clock.changes == [Change("a", "silent", last, last + 31 * NS)]
    assert clock.told() == [("a", "silent")]
    assert list(clock.silences.silent()) == [("a", last)]
    change = clock.heard()
    assert change == Change("a", "present", last, clock.at, closes=True)
    clock.told()
    clock.wait(500, sending="a")
    assert clock.told() == []
    assert not list(clock.silences.silent())


def test_a_sensor_that_says_goodbye_has_stopped_and_is_not_silent() -> None:
    clock = Clock()
    clock.heard()
    clock.heard(goodbye=True)
    clock.wait(1000)
    assert clock.told() == [("a", "present"), ("a", "stopped")]
    clock.heard()
    clock.wait(100)
    assert clock.told() == [("a", "present"), ("a", "silent")]
    # A goodbye that is found late ends the silence, too.
    change = clock.heard(goodbye=True)
    assert change is not None
    assert (change.state, change.closes) == ("stopped", True)


def test_the_start_of_the_centre_is_no_silence() -> None:
    clock = Clock()
    old = (DAY - 86_400) * NS
    known = {
        "a": Known(old),
        "silent": Known(old, silent_since=old),
        "gone": Known(old, stopped=True),
        "new": Known(),
    }
    clock.silences.restore(known)
    clock.wait(LIMIT)
    # What was silent before is not reported once more.
    assert clock.told() == []
    clock.wait(5)
    assert clock.changes == [Change("a", "silent", old, clock.at - 4 * NS)]
    assert clock.silences.states() == {
        "a": "silent", "silent": "silent", "gone": "stopped", "new": "unheard"
    }  # fmt: skip
    change = clock.heard("silent")
    assert change is not None
    assert (change.closes, change.since) == (True, old)


def test_a_centre_that_could_not_listen_blames_nobody() -> None:
    clock = Clock()
    clock.heard()
    clock.told()
    # Its process was suspended for a day.
    clock.now += 86_400
    clock.wait(LIMIT - 5)
    assert clock.told() == []
    clock.heard()
    # Its server was away.
    for _ in range(300):
        clock.now += 1
        clock.silences.interrupted(clock.now)
        clock.changes += clock.silences.look(clock.now, clock.at)
    clock.wait(LIMIT)
    assert clock.told() == []
    clock.wait(2)
    assert clock.told() == [("a", "silent")]


def test_a_sensor_that_was_removed_is_forgotten() -> None:
    clock = Clock()
    clock.heard("a")
    clock.heard("b")
    clock.silences.restore({"b": Known()})
    clock.told()
    clock.wait(100)
    assert clock.told() == [("b", "silent")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["wait", "heard", "goodbye", "interrupted", "pause"]),
            st.integers(0, 100),
        ),
        max_size=30,
    )
)
def test_silence_begins_and_ends_in_turn_and_only_after_listening(
    events: list[tuple[str, int]],
) -> None:
    clock = Clock(limit=20)
    is_silent = False
    quiet = 0.0
    for what, seconds in events:
        if what == "wait":
            for _ in range(seconds):
                clock.wait(1)
                quiet += 1
                assert (quiet > 20) >= any(each.state == "silent" for each in clock.changes)
                is_silent = _follow(clock, is_silent)
            continue
        if what == "pause" and seconds > PAUSE_LIMIT:
            clock.now += seconds
            clock.changes += clock.silences.look(clock.now, clock.at)
            assert not clock.changes
            quiet = 0
        elif what == "interrupted":
            clock.silences.interrupted(clock.now)
            quiet = 0
        elif what != "pause":
            clock.heard(goodbye=what == "goodbye")
            quiet = 0
        is_silent = _follow(clock, is_silent)


def _follow(clock: Clock, is_silent: bool) -> bool:
    for each in clock.changes:
        assert each.since <= each.at
        if each.state == "silent":
            assert not is_silent
            is_silent = True
        else:
            assert each.closes == is_silent
            is_silent = False
    clock.changes.clear()
    return is_silent


SILENCE_LIMIT = 0.5


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
            self.roster, self.status, tell=self.records.append, report=self.said.append,
            limit=SILENCE_LIMIT,
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
        with open_catalogue(self.options) as catalogue:
            (row,) = [each for each in roster(catalogue) if each.name == "ghent-1"]
            found = silences(catalogue, 0, time.time_ns() + 1, "ghent-1")
        return row.silent_since, [(each.since, each.until) for each in found]


@pytest.fixture
def centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Centre:
    monkeypatch.setattr(roster_keeper, "LOOK_SECONDS", 0.05)
    return Centre(tmp_path)


def test_a_silence_is_told_once_kept_over_a_restart_and_ends(centre: Centre) -> None:
    centre.heard()
    centre.run(3 * SILENCE_LIMIT, heard=True)
    assert centre.records == []
    centre.run(3 * SILENCE_LIMIT)
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
    centre.run(3 * SILENCE_LIMIT)
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
    centre.run(3 * SILENCE_LIMIT)
    assert centre.records == []
    assert centre.stored() == (None, [])
    assert centre.status.states == {"ghent-1": "stopped", "new-1": "unheard"}
    centre.roster.close()


def test_a_sensor_whose_credentials_were_revoked_is_forgotten(centre: Centre) -> None:
    centre.heard()
    centre.run(0.2)
    centre.status.enrolled = {"new-1"}
    centre.run(3 * SILENCE_LIMIT)
    assert centre.records == []
    assert centre.status.states == {"new-1": "unheard"}
    centre.roster.close()
