"""Pages and counts of incidents and devices, against a plain list of the same incidents."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from netwatch.formats.values import epoch_ns
from netwatch.store import catalogue_tables as tables
from netwatch.store import incident_pages, list_totals, sorted_pages
from netwatch.store.catalogue import Catalogue
from netwatch.store.chosen_incidents import chosen
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import (
    Cursor,
    DeviceFilter,
    IncidentFilter,
    IncidentRow,
    device_page,
    device_weeks,
    incident_counts,
    incident_page,
    incident_row,
    incidents_by_sensor,
)
from netwatch.store.incident_rows import DAY, SORTS, recount_all, remove_incidents
from netwatch.store.list_histograms import incident_bins, incident_extent
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.sorted_pages import Order, sorted_incidents

WORDS = {
    "verdict": ("violation", "violation", "violation", "advisory", "exempt"),
    "confidence": ("confirmed", "probable"),
    "kind": ("session", "embed", "probe"),
    "outcome": ("reached", "blocked"),
    "status": ("closed", "open"),
    "app": ("tiktok", "tiktok", "tiktok", "kaspersky"),
    "ban": ("default", "other"),
    "network": ("hq", "byod"),
    "severity": ("medium", "high", "unheard-of"),
}

SENSORS = ("ghent", "liège", "sensor")


def made_alert(rng: random.Random, number: int, **values: str) -> dict[str, Any]:
    chosen = {name: rng.choice(words) for name, words in WORDS.items()} | values
    moment = f"2023-03-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:00:00Z"
    return {
        "id": f"{number:06x}",
        "status": chosen["status"],
        "verdict": chosen["verdict"],
        "confidence": chosen["confidence"],
        "kind": {"value": chosen["kind"]},
        "outcome": chosen["outcome"],
        "app": {"id": chosen["app"]},
        "ban": {"id": chosen["ban"]},
        "device": {"id": f"pc-{rng.randint(1, 9)}"},
        "network": {"name": chosen["network"]},
        "severity": chosen["severity"],
        "sensor": SENSORS[number % 5 % 3],
        "counts": {"lookups": rng.randint(0, 4), "handshakes": rng.choice((0, 0, 900))},
        "first_seen": moment,
        "last_seen": moment,
    }


def add(catalogue: Catalogue, alerts: list[dict[str, Any]], sensor: str = "sensor") -> int:
    run = catalogue.begin_run("scan", sensor)
    catalogue.add_incidents(run, [(alert, json.dumps(alert)) for alert in alerts])
    catalogue.end_run(run)
    return run


@pytest.fixture
def catalogue(catalogue_options: StoreOptions) -> Any:
    with open_catalogue(catalogue_options, create=True) as opened:
        yield opened


@pytest.fixture
def alerts(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Alerts that are in the catalogue; half of them were found by an older run too."""
    rng = random.Random(20230320)
    alerts = [made_alert(rng, number) for number in range(400)]
    older = [alert | {"verdict": "violation", "device": {"id": "old"}} for alert in alerts[::2]]
    add(catalogue, older, "ghent")
    for sensor in SENSORS:
        add(catalogue, [alert for alert in alerts if alert["sensor"] == sensor], sensor)
    return alerts


def sort_of(alert: dict[str, Any], name: str) -> str:
    value = alert[name]
    if isinstance(value, dict):
        value = value.get("id") or value.get("name") or value.get("value")
    return str(value)


def fits(alert: dict[str, Any], wanted: IncidentFilter) -> bool:
    began = epoch_ns(alert["first_seen"])
    return (
        (wanted.since is None or began >= wanted.since)
        and (wanted.until is None or began < wanted.until)
        and all(sort_of(alert, name) in words for name in WORDS if (words := getattr(wanted, name)))
        and (not wanted.sensor or alert["sensor"] in wanted.sensor)
        and (not wanted.device or alert["device"]["id"] in wanted.device)
        and not any(sort_of(alert, name) in words for name, words in wanted.excluded.items())
    )


def all_pages(catalogue: Catalogue, wanted: IncidentFilter, **options: Any) -> list[IncidentRow]:
    found: list[IncidentRow] = []
    after: Cursor | None = None
    while True:
        page = incident_page(catalogue, wanted, after, size=7, **options)
        found += page.rows
        after = page.following
        if after is None:
            return found
        assert len(page.rows) == 7


def random_filter(rng: random.Random) -> IncidentFilter:
    words: dict[str, Any] = {
        name: frozenset(rng.sample(sorted(set(WORDS[name])), 1))
        for name in rng.sample(sorted(WORDS), rng.randint(0, 3))
    }
    if rng.random() < 0.3:
        words["device"] = frozenset({f"pc-{rng.randint(1, 9)}"})
    if rng.random() < 0.3:
        words["sensor"] = frozenset(rng.sample(SENSORS, rng.randint(1, 2)))
    if rng.random() < 0.5:
        known = WORDS | {"device": [f"pc-{number}" for number in range(1, 10)], "sensor": SENSORS}
        words["excluded"] = {
            name: frozenset(rng.sample(sorted(set(known[name])), rng.randint(1, 2)))
            for name in rng.sample(sorted(known), rng.randint(1, 2))
        }
    if rng.random() < 0.5:
        words["since"] = epoch_ns(f"2023-03-{rng.randint(1, 20):02}T07:00:00Z")
    if rng.random() < 0.5:
        words["until"] = epoch_ns(f"2023-03-{rng.randint(8, 28):02}T17:00:00Z")
    return IncidentFilter(**words)


def test_pages_have_what_a_filter_wants(catalogue: Catalogue, alerts: list[dict[str, Any]]) -> None:
    rng = random.Random(7)
    sizes = set()
    for _ in range(20):
        wanted = random_filter(rng)
        expected = sorted(
            (epoch_ns(alert["first_seen"]), alert["id"]) for alert in alerts if fits(alert, wanted)
        )
        rows = all_pages(catalogue, wanted)
        assert [(row.first_seen, row.id) for row in rows] == expected[::-1]
        rows = all_pages(catalogue, wanted, oldest_first=True)
        assert [(row.first_seen, row.id) for row in rows] == expected
        sizes.add(min(len(expected), 8))
    assert {0, 8} <= sizes  # some filters fit none, and some need several pages


def test_incidents_are_counted_by_sensor(
    catalogue: Catalogue, alerts: list[dict[str, Any]]
) -> None:
    # Those that are hidden behind a newer run do not count.
    assert incidents_by_sensor(catalogue) == Counter(alert["sensor"] for alert in alerts)


@pytest.mark.parametrize("column", ["severity", "contacts"])
@pytest.mark.parametrize("few", [0, 2000])
def test_pages_are_in_the_order_of_a_column(
    catalogue: Catalogue,
    alerts: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    column: str,
    few: int,
) -> None:
    for module in (incident_pages, sorted_pages):
        monkeypatch.setattr(module, "FEW", few)
    rng = random.Random(7)
    for number in range(60):
        wanted = random_filter(rng) if number > 1 else IncidentFilter()
        if number % 3 == 2:
            few_ids = select(tables.incident.c.id).where(tables.incident.c.id < f"{99:06x}")
            by_ids = chosen(catalogue, catalogue.database, few_ids, others=number % 2 > 0)
            wanted = replace(wanted, chosen=by_ids)
        order = Order(column, is_reversed=number % 2 > 0)
        words = order.sorted(WORDS["severity"])

        def key(alert: dict[str, Any], words: Sequence[str] = tuple(words)) -> Any:
            place = epoch_ns(alert["first_seen"]), alert["id"]
            if column == "contacts":
                counts = alert["counts"]
                return counts["lookups"] + counts["handshakes"], *place
            return -words.index(alert["severity"]), *place

        expected = [
            alert
            for alert in alerts
            if fits(alert, wanted)
            and (wanted.chosen is None or (int(alert["id"], 16) < 99) != (number % 2 > 0))
        ]
        expected.sort(key=key, reverse=column == "severity" or order.is_reversed)
        found: list[str] = []
        after: Cursor | None = None
        while True:
            page = sorted_incidents(catalogue, wanted, order, after, size=7)
            found += [row.id for row in page.rows]
            after = page.following
            if after is None:
                break
        assert found == [alert["id"] for alert in expected], (wanted, order)


def test_incidents_are_wanted_by_their_ids(
    catalogue: Catalogue, alerts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(11)
    sizes = set()
    for number in range(24):
        wanted = random_filter(rng)
        ids = {alert["id"] for alert in rng.sample(alerts, rng.choice((0, 3, 130)))} | {"gone"}
        others = bool(number % 2)
        expected = sorted(
            (epoch_ns(alert["first_seen"]), alert["id"])
            for alert in alerts
            if fits(alert, wanted) and (alert["id"] in ids) != others
        )
        if number % 3 == 0:
            monkeypatch.setattr(incident_pages, "FEW", rng.choice((1, 2000)))
        listed = select(tables.incident.c.id).where(tables.incident.c.id.in_(ids)).distinct()
        wanted = replace(
            wanted, chosen=chosen(catalogue, catalogue.database, listed, others=others)
        )
        rows = all_pages(catalogue, wanted)
        assert [(row.first_seen, row.id) for row in rows] == expected[::-1]
        assert list_totals.incident_total(catalogue, wanted) == len(expected)
        sizes.add(min(len(expected), 8))
    assert {0, 8} <= sizes


def test_counts_are_those_of_the_list(catalogue: Catalogue, alerts: list[dict[str, Any]]) -> None:
    kaspersky = frozenset({"kaspersky"})
    by_others = (
        IncidentFilter(device=frozenset({"pc-1", "pc-2"}), app=kaspersky),
        IncidentFilter(excluded={"device": frozenset({"pc-1"}), "app": kaspersky}),
        IncidentFilter(sensor=frozenset({"sensor"})),
    )
    without = IncidentFilter(excluded={"app": kaspersky})
    for wanted in (IncidentFilter(), IncidentFilter(app=kaspersky), without, *by_others):
        for by in (["verdict"], ["day", "network"], ["app", "kind"]):
            expected = Counter(
                tuple(
                    epoch_ns(alert["first_seen"]) // DAY if name == "day" else sort_of(alert, name)
                    for name in by
                )
                for alert in alerts
                if fits(alert, wanted)
            )
            assert incident_counts(catalogue, wanted, by) == dict(expected)
    nobody = IncidentFilter(sensor=frozenset({"another"}))
    assert incident_counts(catalogue, nobody, ["verdict"]) == {}


def test_spans_have_the_incidents_that_began_in_them(
    catalogue: Catalogue, alerts: list[dict[str, Any]]
) -> None:
    rng = random.Random(11)
    first = epoch_ns("2023-03-01T00:00:00Z")
    for step in (DAY, DAY // 2, 5 * DAY + DAY // 3, DAY // 24):
        for offset in (0, DAY // 24, -DAY // 3):
            begin = first + offset
            spans = [(begin + n * step, begin + (n + 1) * step) for n in range(28 * DAY // step)]
            wanted = random_filter(rng)
            expected = [
                sum(
                    low <= epoch_ns(alert["first_seen"]) < high
                    and fits(alert, replace(wanted, since=None, until=None))
                    for alert in alerts
                )
                for low, high in spans
            ]
            assert incident_bins(catalogue, wanted, spans) == expected, (step, offset, wanted)
    assert incident_bins(catalogue, IncidentFilter(), []) == []


def test_an_extent_has_all_incidents_of_a_filter(
    catalogue: Catalogue, alerts: list[dict[str, Any]]
) -> None:
    rng = random.Random(13)
    for _ in range(20):
        wanted = replace(random_filter(rng), since=None, until=None)
        moments = [epoch_ns(each["first_seen"]) for each in alerts if fits(each, wanted)]
        extent = incident_extent(catalogue, wanted)
        if moments:
            assert extent is not None
            assert extent[0] <= min(moments) <= max(moments) < extent[1]
    assert incident_extent(catalogue, IncidentFilter(app=frozenset({"no-such-app"}))) is None


def test_an_incident_is_shown_as_the_newest_run_found_it(
    catalogue: Catalogue, alerts: list[dict[str, Any]]
) -> None:
    row = incident_row(catalogue, alerts[0]["id"])
    assert row is not None
    assert row.run == 2
    with catalogue.database.writing() as connection:
        assert remove_incidents(connection, tables.incident.c.run > 1) == 400
    row = incident_row(catalogue, alerts[0]["id"])
    assert row is not None
    assert row.run == 1
    assert incident_row(catalogue, alerts[1]["id"]) is None
    assert incident_counts(catalogue, IncidentFilter(), ["verdict"]) == {("violation",): 200}
    assert [each.device for each in device_page(catalogue, DeviceFilter()).rows] == ["old"] * 2


def derived(catalogue: Catalogue) -> list[Any]:
    with catalogue.database.reading() as connection:
        return [
            sorted(connection.execute(select(table)).all())
            for table in (tables.incident_day, tables.incident_device)
        ]


def test_counts_that_were_kept_are_those_counted_anew(
    catalogue: Catalogue, alerts: list[dict[str, Any]]
) -> None:
    rng = random.Random(3)
    changed = [alert | {"status": "open", "last_seen": "2023-04-01T00:00:00Z"} for alert in alerts]
    moved = [
        alert
        | {"network": alert["network"] | {"name": "moved"}, "first_seen": "2023-03-01T00:00:00Z"}
        for alert in alerts
    ]
    run = catalogue.begin_run("live", "sensor")
    for _ in range(20):
        part = rng.sample(alerts, 5) + rng.sample(changed, 5) + rng.sample(moved, 5)
        catalogue.add_incidents(run, [(alert, json.dumps(alert)) for alert in part])
        with catalogue.database.writing() as connection:
            remove_incidents(connection, tables.incident.c.id == rng.choice(alerts)["id"])
    kept = derived(catalogue)
    with catalogue.database.writing() as connection:
        shown = dict(
            connection.execute(select(tables.incident.c.id, tables.incident.c.shown)).all()
        )
        for table in (tables.incident_day, tables.incident_device):
            connection.execute(table.delete())
        recount_all(connection)
    assert set(shown.values()) == {1, 0} or set(shown.values()) == {1}
    (days, devices), (kept_days, kept_devices) = derived(catalogue), kept
    assert devices == kept_devices
    assert [row[:-1] for row in days] == [row[:-1] for row in kept_days]
    # Of a day it is only known that nothing was seen later.
    ends = [(row[-1], before[-1]) for row, before in zip(days, kept_days, strict=True)]
    assert all(end <= before for end, before in ends)
    assert any(end == before for end, before in ends)


def test_devices_by_pages_and_weeks(catalogue: Catalogue, alerts: list[dict[str, Any]]) -> None:
    expected = Counter((alert["device"]["id"], alert["network"]["name"]) for alert in alerts)
    found: dict[tuple[str, str], int] = {}
    after, times = None, []
    while True:
        page = device_page(catalogue, DeviceFilter(), after, size=4)
        for row in page.rows:
            found[row.device, row.network] = row.violation + row.advisory + row.exempt
            times.append(row.last_seen)
        if page.following is None:
            break
        after = (page.following.last_seen, page.following.device, page.following.network)
    assert found == dict(expected)
    assert times == sorted(times, reverse=True)
    (row, *_) = device_page(catalogue, DeviceFilter(text="PC-3", network=frozenset({"hq"}))).rows
    assert (row.device, row.network) == ("pc-3", "hq")
    assert not device_page(catalogue, DeviceFilter(text="%")).rows

    moments = [
        (each["network"]["name"], epoch_ns(each["first_seen"]))
        for each in alerts
        if each["device"]["id"] == "pc-3"
    ]
    times = sorted(moment for _, moment in moments)
    for since, until in ((0, 1 << 62), (times[1], times[-1]), (times[2], times[2] + 1)):
        for zone in map(ZoneInfo, ("UTC", "Europe/Brussels", "Pacific/Apia", "America/New_York")):
            expected_weeks = Counter(
                ("pc-3", network, at.date() - timedelta(days=at.weekday()))
                for network, moment in moments
                if since <= moment < until
                for at in [datetime.fromtimestamp(moment // 10**9, zone)]
            )
            assert device_weeks(catalogue, ["pc-3"], since, until, zone) == expected_weeks
    assert not device_weeks(catalogue, ["pc-3"], 0, times[0], UTC)
    assert not device_weeks(catalogue, ["nobody"], 0, 1 << 62, UTC)


@pytest.mark.parametrize("few", [0, 10**9])
def test_the_incidents_of_devices_are_found_whether_they_are_few_or_many(
    catalogue: Catalogue,
    alerts: list[dict[str, Any]],
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("netwatch.store.incident_pages.FEW", few)
    every = [row.id for row in _all(catalogue, IncidentFilter())]
    devices = {row.device for row in device_page(catalogue, DeviceFilter(), size=1000).rows}
    assert len(every) == len(alerts)
    assert len(devices) > 1
    found = [
        row.id
        for each in sorted(devices)
        for row in _all(catalogue, IncidentFilter(device=frozenset({each})))
    ]
    assert sorted(found) == sorted(every)
    rows = _all(catalogue, IncidentFilter(device=frozenset(devices)))
    assert [row.id for row in rows] == every
    for verdict in ("violation", "exempt"):
        wanted = IncidentFilter(device=frozenset(devices), verdict=frozenset({verdict}))
        expected = _all(catalogue, IncidentFilter(verdict=frozenset({verdict})))
        assert _all(catalogue, wanted) == expected
    assert not _all(catalogue, IncidentFilter(device=frozenset({"nobody"})))


def _all(catalogue: Catalogue, wanted: IncidentFilter) -> list[IncidentRow]:
    """The rows of all pages, which are small ones."""
    rows: list[IncidentRow] = []
    after = None
    while True:
        page = incident_page(catalogue, wanted, after, size=7)
        rows += page.rows
        after = page.following
        if after is None:
            return rows


def test_a_query_has_a_time_limit(catalogue: Catalogue) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)"
        " SELECT count(*) FROM n"
    )
    with (
        pytest.raises(QueryTimeoutError),
        catalogue.database.reading(0.2) as connection,
    ):
        connection.exec_driver_sql(endless)
    assert not incident_page(catalogue, IncidentFilter(), timeout=5.0).rows


def test_sorts_are_the_words_of_a_filter() -> None:
    assert set(SORTS) == set(WORDS)
