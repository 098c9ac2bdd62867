"""The pages of a device whose address is that of another one at another site."""

import html
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select
from store.test_run_rows import BEGAN, HOME, IP, OFFICE, Centre, hello
from support.consoles import Visitor
from support.fleet_alerts import DAY, GAP, MINUTE, fleet_alert

from netwatch.charts.heat_map import heat_map
from netwatch.console.console import Console
from netwatch.console.pages import device
from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import keep_alerts


@pytest.fixture
def sites(console: Console) -> Console:
    """Two sites: the device of the one looked up nothing that is banned, that of the other did."""
    centre = Centre(console.store)
    centre.take("ghent-1", [OFFICE], [hello("www.example.org", 1)])
    centre.take("liege-1", [HOME], [hello("www.tiktok.com", 2)])
    centre.close()
    at = BEGAN - DAY
    alerts = [
        fleet_alert(sensor, at + minute * MINUTE, device=IP, ip=IP, network=network, app=app,
                    is_listed=False)
        for minute, sensor, network, app in (
            (1, "ghent-1", "office", "wechat"), (2, "liege-1", "homes", "tiktok"),
        )
    ]  # fmt: skip
    keep_alerts(console.catalogue, alerts, GAP)
    return console


def incidents(text: str) -> list[str]:
    """The networks of the incidents on a page."""
    table = text.partition('aria-labelledby="incidents"')[2]
    return re.findall(r'data-label="Network">(?:<a [^>]*>)?([^<]*)<', table)


def test_the_list_leads_to_one_device_of_each_site(
    sites: Console, visit: Callable[[str], Visitor]
) -> None:
    text = visit("analyst").open(f"/devices?device={IP}").text
    for network in ("office", "homes"):
        assert f'href="/devices/{IP}?network={network}"' in text
        assert f"{IP} ({network})" in text


def test_nothing_of_two_devices_is_put_together(
    sites: Console, visit: Callable[[str], Visitor]
) -> None:
    text = visit("analyst").open(f"/devices/{IP}").text
    assert "www.tiktok.com" not in text
    assert "choose one above" in text
    assert "<figure" not in text
    assert sorted(incidents(text)) == ["homes", "office"]
    for network, sensor in (("office", "ghent-1"), ("homes", "liege-1")):
        assert f'href="/devices/{IP}?network={network}&amp;sensor={sensor}"' in text


@pytest.mark.parametrize("query", ["network=homes", "network=homes&sensor=liege-1"])
def test_each_of_them_has_its_own_page(
    sites: Console, visit: Callable[[str], Visitor], query: str
) -> None:
    visitor = visit("analyst")
    text = visitor.open(f"/devices/{IP}?{query}").text
    assert "www.tiktok.com" in text
    assert "<figure" in text
    assert incidents(text) == ["homes"]
    text = visitor.open(
        f"/devices/{IP}?{query.replace('homes', 'office').replace('liege', 'ghent')}"
    ).text
    assert "www.tiktok.com" not in text
    assert incidents(text) == ["office"]


def test_a_sensor_that_there_is_not_has_no_page(
    sites: Console, visit: Callable[[str], Visitor]
) -> None:
    text = visit("analyst").open(f"/devices/{IP}?network=homes&sensor=liege-2").text
    assert "There is no such sensor." in text


def test_a_page_of_two_networks_is_refused(sites: Console, visit: Callable[[str], Visitor]) -> None:
    answer = visit("analyst").open(f"/devices/{IP}?network=homes&network=office")
    assert answer.status_code == 400
    assert "“network” can have only one value on this page." in answer.text


ODD = ["Łukasz-PC", "café 2", "lab/7", "a/../b", "50%25", "x?y#z&n=1", 'q"<b>', "日本"]


@pytest.mark.parametrize("name", ODD)
def test_devices_with_odd_names_have_a_page(
    name: str, console: Console, visit: Callable[[str], Visitor]
) -> None:
    keep_alerts(console.catalogue, [fleet_alert("gate", 0, device=name)], GAP)
    visitor = visit("analyst")
    text = visitor.open(f"/devices?device={quote(name, safe='')}").text
    link = re.search(r'href="(/devices/[^"]*)"', text)
    assert link is not None
    place = html.unescape(link[1])
    # Each step leads to the next by a redirect: to sign in, to say the purpose, to tidy times.
    stranger = Visitor(console)
    wanted = stranger.get(place).headers["location"]
    assert stranger.get(wanted).status_code == 200
    assert stranger.sign_in("ben", target=place).headers["location"] == place
    assert visitor.state_purpose(place).headers["location"] == place
    text = visitor.get(place).text
    assert f"<h1>{html.escape(name)}</h1>".replace("&quot;", "&#34;") in text
    tidy = visitor.get(f"{place}?from=2023-03-20").headers["location"]
    assert tidy == f"{place}?from=2023-03-20T00%3A00%3A00Z"
    assert visitor.get(tidy).status_code == 200
    german = re.search(r'href="([^"]*lang=de[^"]*)"', text)
    assert german is not None
    assert visitor.get(html.unescape(german[1])).status_code == 200
    listed = f"/incidents?device={quote(name, safe='')}"
    assert "gate" not in visitor.get(listed).text.partition("<tbody")[0]
    for path in (listed, listed.replace("?", ".csv?"), listed.replace("incidents", "cases")):
        assert visitor.open(path).status_code == 200
    assert f"device {name}" in {each.subject for each in console.audit.entries()}


def test_what_is_held_on_one_person_says_where(
    sites: Console, visit: Callable[[str], Visitor]
) -> None:
    text = visit("dpo").open(f"/person?device={IP}").text
    assert "office · ghent-1" in text
    assert "homes · liege-1" in text
    assert "may stand for several devices" in text


def test_weeks_are_those_of_the_viewer(
    console: Console, visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def draw(*values: Any) -> Any:
        drawn.append(values)
        return heat_map(*values)

    monkeypatch.setattr(device, "heat_map", draw)
    # Monday in Auckland begins on Sunday at 11:00 of UTC.
    place = "/devices?from=2023-03-19T11:00:00Z&to=2023-03-26T11:00:00Z"
    for zone, weeks in (("UTC", {13, 20}), ("Pacific/Auckland", {20})):
        visit("analyst").open(f"{place}&zone={zone}")
        values, first, last, *_ = drawn[-1]
        assert {day.day for each in values for day in each.weeks} <= weeks
        assert {first.day, last.day} == weeks, zone


def test_the_picture_of_a_device_hatches_the_days_without_a_capture(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    with console.catalogue.database.reading() as connection:
        spans = connection.execute(select(tables.capture.c.first, tables.capture.c.last)).all()
    week = {date(2023, 3, day) for day in range(20, 27)}
    captured = {datetime.fromtimestamp(each / 1e9, UTC).date() for span in spans for each in span}
    blank = len(week - captured)
    assert 0 < blank < 7
    place = "/devices/phone-021?from=2023-03-20T00:00:00Z&to=2023-03-27T00:00:00Z"
    for each in (place, place.replace("/phone-021?", "?")):
        text = visit("analyst").open(each).text.partition("<figcaption>")[2]
        assert f"{blank} days were not captured and are hatched." in text
        assert '-hatch)"' in text


def test_the_period_of_a_device_is_a_quick_range_and_its_values_filter_the_list(
    visit: Callable[[str], Visitor],
) -> None:
    visitor = visit("analyst")
    page = visitor.open("/devices/ws-021?range=force").text
    assert '<a href="/devices/ws-021?range=force" aria-current="true">' in page
    rows = page.partition('id="incidents"')[2]
    assert len(re.findall('class="row-link"', rows)) == 2
    assert "None in this period." in visitor.get("/devices/ws-021?range=7d").text
    place = re.search(r'href="(/incidents\?[^"]*app=tiktok)"', rows)
    assert place is not None
    assert "2 incidents<" in visitor.get(html.unescape(place[1])).text
