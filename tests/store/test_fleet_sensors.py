"""The roster of sensors, in SQLite and in PostgreSQL.

A sensor is taken out of a store, which then is what it would be without it.
"""

import itertools
import json
from collections.abc import Callable, Iterator

import pytest
from support.fleet_alerts import GAP, MINUTE, fleet_alert
from support.fleet_messages import CLIENT, capture_end, coverage, facts
from support.postgres_server import new_database

from netwatch.fleet.fact_batch import RunKey
from netwatch.fleet.fact_commits import FactCommits
from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import FactRemoval
from netwatch.store.fleet_sensors import (
    MAX_REASON,
    Silence,
    applied,
    enrolled,
    forget_silences,
    has_sensor,
    heard,
    refused,
    remove_sensor,
    removed,
    roster,
    silences,
    silent,
)
from netwatch.store.flow_rows import new_key
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


@pytest.fixture
def catalogue(catalogue_options: StoreOptions) -> Iterator[Catalogue]:
    with open_catalogue(catalogue_options, create=True) as opened:
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


pytest.importorskip("pyarrow")

HONEST = ("ghent-1", "liege-1")
EVIL = "evil-1"
SAME_RUN = RunKey(started=7, command="live", versions=("1", "s", "b", "c"), position=0)
OTHER_RUN = RunKey(started=8, command="live", versions=("1", "s", "b2", "c"), position=0,
                   contents={"b": "x"})  # fmt: skip


@pytest.fixture
def options(request, tmp_path):
    catalogue = ""
    if getattr(request, "param", "") == "postgresql":
        catalogue = new_database(request.getfixturevalue("postgres_server"))
    return StoreOptions(str(tmp_path / "store"), catalogue)


def report(options, sensor, run=SAME_RUN, others=()):
    """What a sensor reports in a life, some of it in one transaction with others."""
    names = (sensor, *others)
    commits = FactCommits(options, new_key())
    for messages in (
        [facts("observation", {}, sensor=each, run=run) for each in names],
        [
            facts("flow", {}, {"first": 5, "last": 9}, sensor=each, sequence=2, run=run)
            for each in names
        ],
        [coverage(3, each) for each in names] + [capture_end(4, each) for each in names],
    ):
        commits.prepare(messages)
        assert not commits.finish().refused
    commits.close()
    with open_catalogue(options) as catalogue:
        for number, each in enumerate(names):
            enrolled(catalogue, each, 5)
            heard(catalogue, each, 9, {"version": "1"}, 3)
            silent(catalogue, each, 20 + number)
            applied(catalogue, each, "set", "1", "applied", "", 7)
            refused(catalogue, each, "bad")


def alerts(sensor, **values):
    return [
        fleet_alert(sensor, 0, MINUTE, flows=("1:x",), **values),
        fleet_alert(sensor, 300 * MINUTE, device="lab-08", ip="10.20.1.8", **values),
    ]


def state(options):
    """All that a store has, but for its journal and for which rows are in which file."""
    with open_catalogue(options) as catalogue:
        removal = FactRemoval(catalogue, FactFiles(options.path))
        rows = [row for file in removal.all_files() for row in removal.read(file).to_pylist()]
        with catalogue.database.reading() as connection:
            found = {
                table.name: sorted(map(repr, map(tuple, connection.execute(table.select()))))
                for table in tables.metadata.sorted_tables
                if table.name not in ("journal", "file")
            }
    return found | {"facts": sorted(map(repr, rows))}


def remove(options, sensor=EVIL):
    with open_catalogue(options) as catalogue:
        facts = FactRemoval(catalogue, FactFiles(options.path))
        removed = remove_sensor(facts, sensor, "somebody")
        assert not has_sensor(facts, sensor)
        with catalogue.database.reading() as connection:
            (row,) = connection.execute(tables.journal.select())
        assert (row.action, row.user) == ("revoke", "somebody")
        assert json.loads(row.detail)["sensor"] == sensor
        return removed


def keep(options, found):
    with open_catalogue(options, create=True) as catalogue:
        keep_alerts(catalogue, found, GAP)


@pytest.fixture
def honest(options):
    report(options, "ghent-1", others=("liege-1",))
    keep(options, [each for name in HONEST for each in alerts(name, confidence="probable")])
    return state(options)


@pytest.mark.parametrize("options", ["sqlite", "postgresql"], indirect=True)
def test_the_store_is_what_it_was_before_the_sensor(options, honest):
    report(options, EVIL, run=OTHER_RUN)
    forged = alerts(EVIL, severity="critical", confidence="confirmed")
    forged.append(fleet_alert(EVIL, 600 * MINUTE, device="kiosk", ip="10.20.1.9"))
    keep(options, forged)
    assert state(options) != honest
    removed = remove(options)
    assert (removed.rows, removed.incidents, removed.clients) == (3, 3, 1)
    assert state(options) == honest


def test_rows_in_files_of_several_sensors_go_too(options):
    """One transaction writes what several sensors sent into one file."""
    report(options, "ghent-1", others=(EVIL,))
    removed = remove(options)
    assert removed.rows == 3
    found = state(options)
    assert len(found["facts"]) == 3
    assert "evil" not in repr(found)


def test_a_case_that_the_sensor_began_is_that_of_the_others(options, tmp_path):
    keep(options, alerts(EVIL, confidence="confirmed", severity="critical"))
    keep(options, [fleet_alert("ghent-1", MINUTE, flows=("1:x",), confidence="probable")])
    remove(options)
    alone = StoreOptions(str(tmp_path / "alone"))
    keep(alone, [fleet_alert("ghent-1", MINUTE, flows=("1:x",), confidence="probable")])
    names = ("fleet_case", "incident_day", "incident_device", "fleet_case_word")
    found, expected = state(options), state(alone)
    assert {name: found[name] for name in names} == {name: expected[name] for name in names}


def test_a_sensor_that_never_was_changes_nothing(options, honest):
    with open_catalogue(options) as catalogue:
        assert not has_sensor(FactRemoval(catalogue, FactFiles(options.path)), "nobody-1")
    assert CLIENT.ip in repr(honest)
