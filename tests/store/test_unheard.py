"""Incidents whose sensor is not heard of any more are closed with a mark, and opened again by what
it reports later."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import select
from support.fleet_alerts import DAY, GAP, MINUTE, SECOND, fleet_alert
from support.fleet_local import LocalCentre

from netwatch.fleet.sensor_records import read_record
from netwatch.formats.csv import ALERT_COLUMNS, alert_row
from netwatch.formats.values import rfc3339
from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import SensorAlert, keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.fleet_sensors import heard, removed, silent
from netwatch.store.opening import UseLock, open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.unheard import (
    close_of_ended_runs,
    close_of_restarted_sensors,
    close_of_silent_sensors,
)

SEEN = DAY + 10 * MINUTE
"""When a sensor was last heard."""


@pytest.fixture
def options(catalogue_options: StoreOptions) -> StoreOptions:
    return catalogue_options


@pytest.fixture
def catalogue(options: StoreOptions) -> Iterator[Catalogue]:
    with open_catalogue(options, create=True) as opened:
        yield opened


def keep(catalogue: Catalogue, *alerts: SensorAlert) -> None:
    keep_alerts(catalogue, alerts, GAP)


def records(catalogue: Catalogue, table: Any = tables.incident) -> list[Mapping[str, Any]]:
    """The records of a table in the order of time."""
    with catalogue.database.reading() as connection:
        found = connection.execute(select(table.c.status, table.c.record).order_by(table.c.id))
        rows = [(row.status, json.loads(row.record)) for row in found]
    assert all(status == record["status"] for status, record in rows)
    return [record for _, record in rows]


def alert(status: str, last: int = MINUTE, sensor: str = "ghent") -> SensorAlert:
    return fleet_alert(sensor, 0, last, status=status, flows=("1:x",))


def lose(catalogue: Catalogue, sensor: str = "ghent") -> None:
    """A sensor was last heard at `SEEN`."""
    heard(catalogue, sensor, SEEN)
    silent(catalogue, sensor, SEEN)


def test_an_incident_of_a_silent_sensor_is_closed_with_a_mark(catalogue: Catalogue) -> None:
    keep(catalogue, alert("update"))
    lose(catalogue)
    assert close_of_silent_sensors(catalogue, SEEN) == 0
    assert close_of_silent_sensors(catalogue, SEEN + 1) == 1
    assert close_of_silent_sensors(catalogue, SEEN + 1) == 0
    mark = {"since": rfc3339(SEEN, 3), "status": "update"}
    (record,), (case,) = records(catalogue), records(catalogue, tables.fleet_case)
    for each in (record, case):
        assert (each["status"], each["unheard"]) == ("closed", mark)
    cells = dict(zip(ALERT_COLUMNS, alert_row(record), strict=True))
    assert (cells["unheard_since"], cells["unheard_status"]) == (mark["since"], "update")
    schema = json.loads(files("netwatch").joinpath("schemas", "alert.json").read_text())
    Draft202012Validator(schema["properties"]["unheard"]).validate(mark)


@pytest.mark.parametrize("state", ["heard", "back"])
def test_a_sensor_that_is_heard_keeps_its_incidents_open(catalogue: Catalogue, state: str) -> None:
    keep(catalogue, alert("open"))
    if state == "back":
        lose(catalogue)
    heard(catalogue, "ghent", SEEN + MINUTE)
    assert close_of_silent_sensors(catalogue, SEEN + 2 * MINUTE) == 0


def restart(catalogue: Catalogue, started: Any = (DAY + 5 * MINUTE) / 1e9, **more: Any) -> None:
    """A sensor is heard that says that it started after the first contact of its incident."""
    heard(catalogue, "ghent", SEEN, {"started": started, **more}, 0)


def test_a_sensor_that_started_again_without_its_incidents(catalogue: Catalogue) -> None:
    keep(catalogue, alert("update"), fleet_alert("ghent", 6 * MINUTE, app="weibo", status="open"))
    restart(catalogue)
    end = DAY + MINUTE + GAP
    assert close_of_restarted_sensors(catalogue, end) == 0  # it may have resumed the incident
    assert close_of_restarted_sensors(catalogue, end + 1) == 1
    assert close_of_restarted_sensors(catalogue, end + 1) == 0
    closed = next(each for each in records(catalogue) if each["status"] == "closed")
    assert closed["unheard"] == {"since": rfc3339(DAY + MINUTE, 3), "status": "update"}
    later = SEEN + DAY
    assert close_of_restarted_sensors(catalogue, later) == 0  # the other one is of its present run
    keep(catalogue, alert("closed", 2 * MINUTE))
    assert not any("unheard" in each for each in records(catalogue))


def test_an_incident_that_was_reported_after_the_start(catalogue: Catalogue) -> None:
    keep(catalogue, alert("update", 8 * MINUTE))
    restart(catalogue)
    assert close_of_restarted_sensors(catalogue, DAY + 7 * MINUTE + GAP) == 0
    assert close_of_restarted_sensors(catalogue, DAY + 9 * MINUTE + GAP) == 1


def test_a_start_after_the_quiet_gap(catalogue: Catalogue) -> None:
    keep(catalogue, alert("update"))
    start = DAY + MINUTE + 2 * GAP
    restart(catalogue, start / 1e9)
    assert close_of_restarted_sensors(catalogue, start) == 0
    assert close_of_restarted_sensors(catalogue, start + SECOND) == 1


@pytest.mark.parametrize("started", [None, True, "1", [], -1, 1e300, 1 << 40, DAY / 1e9])
def test_a_start_that_is_none_or_before_the_incident(catalogue: Catalogue, started: Any) -> None:
    keep(catalogue, alert("open"))
    restart(catalogue, started)
    assert close_of_restarted_sensors(catalogue, SEEN + DAY) == 0


def test_a_sensor_whose_clock_is_ahead(catalogue: Catalogue) -> None:
    """What it says by its clock is compared with what it has said by its clock."""
    ahead = 2 * MINUTE
    keep(catalogue, fleet_alert("ghent", ahead, status="open", clock_offset=ahead))
    heard(catalogue, "ghent", SEEN, {"started": (DAY + 3 * MINUTE) / 1e9}, ahead)
    assert close_of_restarted_sensors(catalogue, DAY + GAP) == 0
    assert close_of_restarted_sensors(catalogue, DAY + GAP + 1) == 1


def test_silent_sensors_are_not_taken_for_ones_that_started_again(catalogue: Catalogue) -> None:
    keep(catalogue, alert("open"))
    restart(catalogue)
    silent(catalogue, "ghent", SEEN)
    assert close_of_restarted_sensors(catalogue, SEEN + DAY) == 0
    heard(catalogue, "ghent", SEEN + 1, {"started": 1e9, "state": "stopped"})
    assert close_of_restarted_sensors(catalogue, SEEN + DAY) == 0


def test_what_it_reports_again_takes_the_mark_away(catalogue: Catalogue) -> None:
    keep(catalogue, alert("open"), alert("update", 2 * MINUTE))
    lose(catalogue)
    close_of_silent_sensors(catalogue, SEEN + 1)
    keep(catalogue, alert("open"))  # an old one that was on its way
    assert records(catalogue)[0]["status"] == "closed"
    for status in ("update", "closed"):
        keep(catalogue, alert(status, 2 * MINUTE))
        for table in (tables.incident, tables.fleet_case):
            (record,) = records(catalogue, table)
            assert (record["status"], record.get("unheard")) == (status, None)


def test_a_case_is_open_as_long_as_a_sensor_says_so(catalogue: Catalogue) -> None:
    keep(catalogue, alert("open"), alert("open", sensor="liege"))
    heard(catalogue, "liege", SEEN + MINUTE)
    lose(catalogue)
    close_of_silent_sensors(catalogue, SEEN + 1)
    (case,) = records(catalogue, tables.fleet_case)
    assert (case["status"], case.get("unheard")) == ("update", None)
    assert sorted(each["status"] for each in case["seen_by"]) == ["closed", "open"]
    keep(catalogue, alert("closed", sensor="liege"))
    (case,) = records(catalogue, tables.fleet_case)
    assert (case["status"], case["unheard"]["status"]) == ("closed", "open")


def test_of_a_sensor_that_was_revoked_the_last_contact_counts(catalogue: Catalogue) -> None:
    keep(catalogue, alert("open"))
    lose(catalogue)
    removed(catalogue, "ghent")
    assert close_of_silent_sensors(catalogue, DAY + MINUTE) == 0
    assert close_of_silent_sensors(catalogue, DAY + MINUTE + 1) == 1


def test_a_sensor_cannot_say_it_itself() -> None:
    record = dict(alert("closed").record, unheard={"since": "x", "status": "open"})
    read = read_record("ghent", record)
    assert "unheard" not in read.record
    assert "unheard" not in read.line


def test_an_incident_of_a_live_run_that_was_killed(
    options: StoreOptions, catalogue: Catalogue
) -> None:
    run = catalogue.begin_run("live", "ghent")
    catalogue.add_incidents(run, [(alert("open").record, alert("open").line)])
    with catalogue.database.reading() as connection:
        started = connection.execute(select(tables.run.c.started)).scalar_one()
    with UseLock(options) as reader:
        with UseLock(options) as writer:
            writer.hold_run(run)
            assert close_of_ended_runs(catalogue, reader, started + 1) == 0
        assert close_of_ended_runs(catalogue, reader, started) == 0
        assert close_of_ended_runs(catalogue, reader, started + 1) == 1
        assert close_of_ended_runs(catalogue, reader, started + 1) == 0
    (record,) = records(catalogue)
    assert record["unheard"] == {"since": rfc3339(started, 3), "status": "open"}
    # The next run has it from the saved state, and reports how it ends.
    later = catalogue.begin_run("live", "ghent")
    catalogue.add_incidents(later, [(alert("closed").record, alert("closed").line)])
    incident = tables.incident.c
    with catalogue.database.reading() as connection:
        shown = connection.execute(select(incident.record).where(incident.shown == 1)).scalar_one()
    assert "unheard" not in json.loads(shown)


@pytest.mark.parametrize(("change", "since"), [(lose, SEEN), (restart, DAY + MINUTE)])
def test_a_centre_closes_them(
    tmp_path: Path, change: Callable[[Catalogue], None], since: int
) -> None:
    centre = LocalCentre(tmp_path, "ghent")
    try:
        with open_catalogue(StoreOptions(str(tmp_path / "store"))) as catalogue:
            keep(catalogue, alert("open"))
            change(catalogue)
            centre.roster.close_unheard(3600 * 10**9)
            asyncio.run(centre.roster.written())
            (record,) = records(catalogue)
            assert record["unheard"]["since"] == rfc3339(since, 3)
    finally:
        centre.close()
