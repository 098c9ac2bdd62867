"""The roster of sensors, in SQLite and in PostgreSQL."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netwatch.store.catalogue import Catalogue
from netwatch.store.fleet_sensors import (
    MAX_REASON,
    Silence,
    applied,
    enrolled,
    forget_silences,
    heard,
    refused,
    removed,
    roster,
    silences,
    silent,
)
from netwatch.store.options import StoreOptions


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    with Catalogue.open(StoreOptions(str(tmp_path / "store"), url), create=True) as opened:
        yield opened


def test_a_sensor_from_its_enrolment_on(catalogue: Catalogue) -> None:
    enrolled(catalogue, "ghent-1", 10)
    enrolled(catalogue, "ghent-1", 20)
    (sensor,) = roster(catalogue)
    assert (sensor.enrolled, sensor.heard, sensor.status) == (10, None, {})
    heard(catalogue, "ghent-1", 30, {"packets": 7}, -5)
    heard(catalogue, "ghent-1", 31)
    (sensor,) = roster(catalogue)
    assert (sensor.enrolled, sensor.heard, sensor.clock_offset) == (10, 31, -5)
    assert sensor.status == {"packets": 7}
    assert removed(catalogue, "ghent-1")
    assert not removed(catalogue, "ghent-1")
    assert roster(catalogue) == []


def test_what_is_late_changes_nothing_newer(catalogue: Catalogue) -> None:
    heard(catalogue, "a", 30, {"packets": 7}, 1)
    heard(catalogue, "a", 20, {"packets": 6}, 2)
    applied(catalogue, "a", "set", "9", "applied", "", 30)
    applied(catalogue, "a", "set", "8", "applied", "", 20)
    (sensor,) = roster(catalogue)
    assert (sensor.heard, sensor.status, sensor.clock_offset) == (30, {"packets": 7}, 1)
    assert sensor.applied["set"].version == "9"


def test_what_was_rejected_last_and_why(catalogue: Catalogue) -> None:
    heard(catalogue, "a", 1)
    applied(catalogue, "a", "set", "7", "applied", "", 10)
    applied(catalogue, "a", "set", "8", "rejected", "wrong signature" * 100, 20)
    (sensor,) = roster(catalogue)
    assert sensor.applied["set"].version == "7"
    assert sensor.rejected["set"].reason == ("wrong signature" * 100)[:MAX_REASON]
    assert sensor.is_rejecting("set")
    assert not sensor.is_rejecting("configuration")
    applied(catalogue, "a", "set", "9", "applied", "", 30)
    assert not roster(catalogue)[0].is_rejecting("set")


def test_silences(catalogue: Catalogue) -> None:
    heard(catalogue, "a", 100)
    assert not silent(catalogue, "a", 90)
    assert silent(catalogue, "a", 100)
    assert not silent(catalogue, "a", 110)
    assert roster(catalogue)[0].silent_since == 100
    assert silences(catalogue, 0, 101) == [Silence("a", 100, None)]
    assert silences(catalogue, 0, 100) == []
    heard(catalogue, "a", 150)
    assert roster(catalogue)[0].silent_since is None
    assert silences(catalogue, 149, 200) == [Silence("a", 100, 150)]
    assert silences(catalogue, 150, 200) == []
    assert silent(catalogue, "a", 160)
    assert silences(catalogue, 0, 200, "b") == []
    assert silences(catalogue, 0, 200, "a", limit=1) == [Silence("a", 160, None)]
    assert forget_silences(catalogue, 150) == 0
    assert forget_silences(catalogue, 151, dry_run=True) == 1
    assert forget_silences(catalogue, 151) == 1
    assert silences(catalogue, 0, 200) == [Silence("a", 160, None)]


def test_refused_messages_are_counted(catalogue: Catalogue) -> None:
    refused(catalogue, "a", "schema netwatch.fleet/2")
    refused(catalogue, "a", "schema netwatch.fleet/3")
    (sensor,) = roster(catalogue)
    assert (sensor.refused, sensor.refused_reason) == (2, "schema netwatch.fleet/3")


def test_the_order_of_what_is_heard_does_not_matter(catalogue: Catalogue) -> None:
    calls: list[Callable[[str], object]] = [
        lambda name: enrolled(catalogue, name, 1),
        lambda name: heard(catalogue, name, 5, {"packets": 1}, 7),
        lambda name: heard(catalogue, name, 9, {"packets": 2}, 8),
        lambda name: refused(catalogue, name, "too large"),
    ]
    found = set()
    for number, order in enumerate(itertools.permutations(calls)):
        name = f"s{number}"
        for call in order:
            call(name)
    for sensor in roster(catalogue):
        found.add(
            (sensor.enrolled, sensor.heard, sensor.status["packets"], sensor.clock_offset,
             sensor.refused)
        )  # fmt: skip
    assert found == {(1, 9, 2, 8, 1)}
