"""Lists of cases, one by any of its ids, and the query for them."""

import csv
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.fleet_alerts import DAY, GAP, MINUTE, fleet_alert

from netwatch.cli import main
from netwatch.core.filter_words import SEVERITIES
from netwatch.formats.csv import CASE_COLUMNS
from netwatch.formats.registry import FORMATS
from netwatch.store import catalogue_tables as tables
from netwatch.store import incident_search
from netwatch.store.cases import (
    FILTERED,
    SensorAlert,
    case_counts,
    case_page,
    case_row,
    cases,
    cases_after,
    cases_of_incident,
    is_centre,
    keep_alerts,
    matching_cases,
    open_cases,
)
from netwatch.store.catalogue import Catalogue
from netwatch.store.fleet_sensors import enrolled
from netwatch.store.incident_pages import IncidentFilter
from netwatch.store.incident_rows import remove_incidents
from netwatch.store.list_histograms import case_bins, case_extent
from netwatch.store.list_totals import case_total
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.sorted_pages import Order, sorted_cases
from netwatch.store.statements import Filter, is_device, name_matches
from netwatch.store.tables import column_titles

HOUR = 60 * MINUTE


@pytest.fixture
def options(catalogue_options: StoreOptions) -> StoreOptions:
    return catalogue_options


@pytest.fixture
def catalogue(options: StoreOptions) -> Iterator[Catalogue]:
    with open_catalogue(options, create=True) as opened:
        yield opened


def fill(catalogue: Catalogue) -> list[SensorAlert]:
    """Ten cases in twenty hours, those with even numbers seen by two sensors."""
    alerts = []
    for number in range(10):
        app = "tiktok" if number < 7 else "wechat"
        status = "open" if number == 9 else "closed"
        for sensor in ("ghent", "liege") if number % 2 == 0 else ("ghent",):
            at = number * 2 * HOUR + (sensor == "liege") * MINUTE
            alerts.append(fleet_alert(sensor, at, app=app, status=status, flows=(f"1:{number}",)))
    keep_alerts(catalogue, alerts, GAP)
    return alerts


@pytest.mark.parametrize("few", [0, 6, 5000])
def test_a_filter_finds_what_a_look_at_each_case_finds(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(incident_search, "_FEW_IN_CASES", few)
    rng = random.Random(4)
    devices, names = ("lab-07", "Łab", "pc 8"), ("a.tiktok.com", "b.tiktok.com", "x_y.example")
    alerts = [
        fleet_alert(
            sensor, number * 7 * MINUTE, device=rng.choice(devices), ip=f"10.20.1.{number % 3}",
            hostname=rng.choice((None, "Desk")), flows=(f"1:{number // 2}",),
            names=rng.sample(names, rng.randint(0, 2)), is_listed=number % 5 > 0,
        )
        for number in range(60)
        for sensor in ("ghent", "liege")
    ]  # fmt: skip
    keep_alerts(catalogue, alerts, GAP)
    gone = (alerts[0], alerts[31])
    with catalogue.database.writing() as connection:
        remove_incidents(connection, tables.incident.c.id.in_([each.record["id"] for each in gone]))
    found = [(line, json.loads(line)) for line in cases(catalogue, Filter())]
    sizes = set()
    for word in ("", "LAB-07", "łab", "Łab", "10.20.1.1", "desk", "nobody"):
        for pattern in ("", "tiktok.com", "*.tiktok.*", "x?y.example", "*nobody*"):
            patterns = (pattern,) if pattern else ()
            expected = [
                line
                for line, record in found
                if (not word or is_device(word, record["device"])
                    or any(seen["device"] == word for seen in record["seen_by"]))
                and (not pattern or any(name_matches(pattern, name) for name in record["names"]))
            ]  # fmt: skip
            assert list(cases(catalogue, Filter(device=word, names=patterns))) == expected
            sizes.add(len(expected))
    assert len(sizes) > 8


def test_pages(catalogue: Catalogue) -> None:
    fill(catalogue)
    found, after = [], None
    while True:
        page = case_page(catalogue, IncidentFilter(), after, size=3)
        found += [row.first_seen for row in page.rows]
        assert len(page.rows) <= 3
        after = page.following
        if after is None:
            break
    assert found == [DAY + number * 2 * HOUR for number in reversed(range(10))]


def rank(record: dict[str, Any], column: str) -> int:
    if column == "severity":
        return -SEVERITIES.index(record["severity"])
    return int(record["counts"]["lookups"] + record["counts"]["handshakes"])


def test_cases_are_asked_for_by_the_sensors_that_saw_them(catalogue: Catalogue) -> None:
    fill(catalogue)
    found = [(line, json.loads(line)) for line in cases(catalogue, Filter())]
    liege = frozenset({"liege"})
    seen = [line for line, each in found if "liege" in {by["sensor"] for by in each["seen_by"]}]
    assert 0 < len(seen) < len(found)
    assert [*cases(catalogue, Filter(sensors=liege))] == seen
    left = [line for line, _ in found if line not in seen]
    assert [*cases(catalogue, Filter(excluded={"sensor": liege}))] == left


@pytest.mark.parametrize("column", ["severity", "contacts"])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_pages_and_answers_are_in_the_order_of_a_column(
    catalogue: Catalogue, column: str, is_reversed: bool
) -> None:
    alerts = [
        fleet_alert(
            sensor, number * 2 * HOUR, flows=(f"1:{number}",), device=f"pc-{number % 3}",
            count=1 + number % 4 + 2 * (sensor == "liege"),
            severity=SEVERITIES[number % 3 - (sensor == "liege")],
        )
        for number in range(20)
        for sensor in ("ghent", "liege")[: 1 + number % 2]
    ]  # fmt: skip
    keep_alerts(catalogue, alerts, GAP)
    found = [json.loads(line) for line in cases(catalogue, Filter())]
    assert len(found) == 20
    assert len({rank(each, column) for each in found}) > 2

    wanted = IncidentFilter(excluded={"device": frozenset({"pc-1"})})
    left = [each for each in found if each["device"]["id"] != "pc-1"]
    gravest_first = column == "severity" and not is_reversed
    newest_first = sorted(left, key=lambda each: each["first_seen"], reverse=True)
    listed = newest_first if column == "severity" or is_reversed else newest_first[::-1]
    listed = sorted(
        listed, key=lambda each: rank(each, column), reverse=gravest_first or
        (column == "contacts" and is_reversed),
    )  # fmt: skip
    rows, after = [], None
    while True:
        page = sorted_cases(catalogue, wanted, Order(column, is_reversed), after, size=3)
        rows += [row.id for row in page.rows]
        after = page.following
        if after is None:
            break
    assert rows == [each["id"] for each in listed]

    sort = "-" * is_reversed + column
    ordered = found[::-1] if sort == "-contacts" else found
    answer = sorted(
        ordered, key=lambda each: rank(each, column), reverse=sort in ("severity", "-contacts")
    )
    lines = [*cases_after(catalogue, Filter(sort=sort))]
    assert [json.loads(line)["id"] for line, _ in lines] == [each["id"] for each in answer]
    assert [*cases_after(catalogue, Filter(sort=sort, limit=4), lines[6][1])] == lines[7:11]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (IncidentFilter(since=DAY + 4 * HOUR, until=DAY + 8 * HOUR), [3, 2]),
        (IncidentFilter(app=frozenset({"wechat"})), [9, 8, 7]),
        (IncidentFilter(sensor=frozenset({"liege"}), app=frozenset({"wechat"})), [8]),
        (IncidentFilter(joined_by=frozenset({"community_id"}), until=DAY + 5 * HOUR), [2, 0]),
        (IncidentFilter(seen=2, since=DAY + 15 * HOUR), [8]),
        (IncidentFilter(status=frozenset({"open"})), [9]),
        (IncidentFilter(device=frozenset({"other"})), []),
        (IncidentFilter(excluded={"app": frozenset({"tiktok"})}), [9, 8, 7]),
        (IncidentFilter(sensor=frozenset({"nowhere"})), []),
        (IncidentFilter(excluded={"sensor": frozenset({"liege"})}), [9, 7, 5, 3, 1]),
        (
            IncidentFilter(
                sensor=frozenset({"ghent"}),
                excluded={"sensor": frozenset({"liege"}), "app": frozenset({"wechat"})},
            ),
            [5, 3, 1],
        ),
        (
            IncidentFilter(
                excluded={
                    "joined_by": frozenset({"community_id"}),
                    "status": frozenset({"open"}),
                }
            ),
            [7, 5, 3, 1],
        ),
    ],
)
@pytest.mark.parametrize("few", [0, 20_000])
def test_filters(
    catalogue: Catalogue, wanted: IncidentFilter, numbers: list[int], few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("netwatch.store.cases._FEW", few)
    fill(catalogue)
    found = [(row.first_seen - DAY) // (2 * HOUR) for row in case_page(catalogue, wanted).rows]
    assert found == numbers
    assert case_total(catalogue, wanted) == len(numbers)
    begins = [DAY + 2 * HOUR * number for number in numbers]
    assert case_extent(catalogue, wanted) == ((begins[-1], begins[0] + 1) if begins else None)
    span = range(wanted.since or DAY, wanted.until or DAY + 20 * HOUR, HOUR)
    hours = [(begin, begin + HOUR) for begin in span]
    counts = [sum(begin <= each < end for each in begins) for begin, end in hours]
    assert case_bins(catalogue, wanted, hours) == counts
    assert open_cases(catalogue) == {"violation": 1}
    assert case_counts(catalogue) == {("default", "violation"): 10}


def test_former_ids_and_those_of_incidents_lead_to_a_case(catalogue: Catalogue) -> None:
    later, earlier = fleet_alert("ghent", MINUTE), fleet_alert("liege", 0)
    keep_alerts(catalogue, [later], GAP)
    (before,) = case_page(catalogue, IncidentFilter()).rows
    keep_alerts(catalogue, [earlier], GAP)
    (after,) = case_page(catalogue, IncidentFilter()).rows
    assert before.id != after.id
    for identity in (before.id, after.id, later.record["id"], earlier.record["id"]):
        row = case_row(catalogue, identity)
        assert row is not None
        assert row.id == after.id
    assert case_row(catalogue, "0" * 32) is None
    assert cases_of_incident(catalogue, later.record["id"]) == [after.id]


def test_a_centre_has_sensors_or_cases(catalogue: Catalogue) -> None:
    assert not is_centre(catalogue)
    catalogue.set_sensor_status("gate", {"packets": 1})
    assert not is_centre(catalogue)
    enrolled(catalogue, "ghent", 1)
    assert is_centre(catalogue)


def test_query(
    options: StoreOptions, catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fill(catalogue)
    store = f'path: "{options.path}"' + (
        f', catalogue: "{options.catalogue}"' if options.catalogue else ""
    )
    (tmp_path / "netwatch.yaml").write_text(f"version: 1\nstore: {{{store}}}\n")
    monkeypatch.chdir(tmp_path)

    def asked(*arguments: str) -> str:
        assert main(["store", "query", "cases", *arguments]) == 0
        return capsys.readouterr().out

    lines = asked("--format", "jsonl").splitlines()
    records = [json.loads(line) for line in lines]
    assert [each["schema"] for each in records] == ["netwatch.case/1"] * 10
    assert records[0]["counts"]["flows"] == 1
    rows = list(csv.DictReader(io.StringIO(asked("--format", "csv", "--limit", "1"))))
    assert tuple(rows[0]) == CASE_COLUMNS
    seen = [f"{each['sensor']}={each['incident']}" for each in records[0]["seen_by"]]
    assert rows[0]["seen_by"].split() == seen
    assert "seen by ghent, liege, proven by flows that they share" in asked("--limit", "1")
    for name in FORMATS if not options.catalogue else ():  # of the same records
        assert asked("--format", name, "--app", "wechat")
    assert asked("--format", "jsonl", "--device", "203.0.113.99") == ""
    enrolled(catalogue, "ghent", DAY)
    query = (
        "SELECT c.sensors, c.joined_by, s.name, s.enrolled FROM fleet_case c, fleet_sensor s"
        " ORDER BY c.first_seen LIMIT 1"
    )
    assert main(["store", "sql", query, "--format", "jsonl"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row == {
        "sensors": 2,
        "joined_by": "community_id",
        "name": "ghent",
        "enrolled": "2023-03-20T00:00:00.000000000Z",
    }
    for table in ("fleet_case", "fleet_sensor"):
        assert main(["store", "sql", f"SELECT * FROM {table}", "--format", "jsonl"]) == 0
        first = json.loads(capsys.readouterr().out.splitlines()[0])
        assert list(first) == list(column_titles(table))
    assert len(asked("--format", "jsonl", "--name", "wechat.com").splitlines()) == 3


@pytest.mark.parametrize("name", FILTERED)
def test_sqlite_reads_the_cases_of_a_word_in_the_order_of_time(tmp_path: Path, name: str) -> None:
    wanted = IncidentFilter(seen=1, **{name: frozenset({"some", "other"})})
    case = tables.fleet_case.c
    with open_catalogue(StoreOptions(str(tmp_path / "kept")), create=True) as catalogue:
        statement = matching_cases(catalogue, select(case.record), wanted)
        statement = statement.order_by(case.first_seen.desc(), case.id.desc()).limit(50)
        engine = catalogue.database.engine
        text = statement.compile(engine, compile_kwargs={"literal_binds": True})
        with catalogue.database.reading() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
    said = " ".join(row[-1] for row in plan)
    assert "fleet_case_time" in said
    assert "TEMP B-TREE" not in said
