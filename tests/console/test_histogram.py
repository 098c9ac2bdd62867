"""The bars above a list: each has the incidents of its time in the viewer's zone, and is a link to
them; several can be dragged over."""

import html
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select
from support.console_server import Served, served
from support.consoles import NAMES, PASSWORD, Visitor, copied

from netwatch.console.console import Console
from netwatch.console.histogram import spans_of_bars
from netwatch.coverage.judged import HOUR, QUARTER
from netwatch.store import catalogue_tables as tables
from netwatch.store.judged_coverage import judged_coverage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SECOND = 10**9
BLANK = "no capture"


def total(text: str) -> int:
    found = re.search(r'<p class="total" role="status">([\d,]+) ', text)
    assert found is not None
    return int(found[1].replace(",", ""))


def bars(text: str) -> list[tuple[str, str, int]]:
    """The address, the text and the count of each bar."""
    found = re.findall(
        r'<a href="([^"]*)" tabindex="-1" data-from="[^"]*" data-to="[^"]*">'
        r"<title>(.*): ([\d,]+|no capture)</title>", text,
    )  # fmt: skip
    return [
        (html.unescape(address), words, 0 if count == BLANK else int(count.replace(",", "")))
        for address, words, count in found
    ]


def table(text: str) -> list[tuple[str, str, int]]:
    """The same of the rows of the table."""
    rows = re.findall(
        r'<td role="cell"><a href="([^"]*)">([^<]*)</a></td><td role="cell" class="number">(\d+)',
        text,
    )
    return [(html.unescape(address), words, int(count)) for address, words, count in rows]


@pytest.mark.parametrize("role", ["analyst", "auditor"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "verdict=violation&not-network=byod",
        "from=2023-03-19T23:00:00Z&to=2023-04-10T22:00:00Z&sort=app",
        "from=2023-03-20T00:00:00Z&to=2023-03-21T00:00:00Z&outcome=reached",
        "device=ws-021",
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Brussels", "Asia/Kathmandu"])
def test_every_bar_is_a_list(
    query: str, role: str, zone: str, visit: Callable[[str], Visitor]
) -> None:
    if role == "auditor" and "device" in query:
        pytest.skip("auditors filter by no device")
    visitor = visit(role)
    visitor.get(f"/account?zone={zone}")
    text = visitor.open(f"/incidents?{query}").text
    found = bars(text)
    assert sum(count for *_, count in found) == total(text) > 0
    assert table(text) == [each for each in found if each[2]]
    for address, _, count in [each for each in found if each[2]][:6]:
        assert total(visitor.open(address).text) == count, address
    if "sort" in query:
        assert all(address.endswith("&sort=app") for address, *_ in found)


def test_days_are_those_of_the_viewer(visit: Callable[[str], Visitor], console: Console) -> None:
    visitor = visit("analyst")
    query = "from=2023-03-10T00:00:00Z&to=2023-04-10T00:00:00Z"
    for name in ("UTC", "Pacific/Auckland"):
        visitor.get(f"/account?zone={name}")
        counts: dict[str, int] = {}
        for line in visitor.get(f"/incidents.csv?{query}").text.splitlines()[1:]:
            at = datetime.fromisoformat(line.split(",")[0]).astimezone(ZoneInfo(name))
            counts[f"{at:%Y-%m-%d}"] = counts.get(f"{at:%Y-%m-%d}", 0) + 1
        text = visitor.get(f"/incidents?{query}").text
        assert {words: count for _, words, count in table(text)} == counts
        assert "One bar per day." in text
    assert "2023-03-22" in counts  # late on the 21st by UTC


@pytest.mark.parametrize(
    ("length", "unit", "most"),
    [
        (timedelta(hours=1), "minutes", 13),
        (timedelta(days=2), "hour", 49),
        (timedelta(days=90), "day", 92),
        (timedelta(days=700), "week", 102),
        (timedelta(days=3000), "month", 101),
        (timedelta(days=80_000), "year", 221),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Brussels", "America/Sao_Paulo"])
def test_bars_follow_each_other(length: timedelta, unit: str, most: int, zone: str) -> None:
    class Viewer:
        pass

    view = Viewer()
    view.zone = ZoneInfo(zone)  # type: ignore[attr-defined]
    start = int(datetime(2015, 10, 17, 7, 20, 11, tzinfo=UTC).timestamp()) * SECOND + 7
    end = start + int(length.total_seconds()) * SECOND
    found, spans = spans_of_bars(view, start, end)  # type: ignore[arg-type]
    assert found == unit
    assert (spans[0][0], spans[-1][1]) == (start, end)
    assert all(begin < end for begin, end in spans)
    assert [begin for begin, _ in spans[1:]] == [end for _, end in spans[:-1]]
    assert most - 10 < len(spans) <= most
    if unit in ("day", "week", "month", "year"):
        local = [datetime.fromtimestamp(begin // SECOND, view.zone) for begin, _ in spans[1:]]  # type: ignore[attr-defined]
        # A day without a midnight begins at one.
        assert all((at.minute, at.second) == (0, 0) and at.hour <= 1 for at in local)


def test_what_was_not_captured_is_hatched(
    visit: Callable[[str], Visitor], console: Console
) -> None:
    with console.catalogue.database.reading() as connection:
        first, last = connection.execute(
            select(func.min(tables.capture.c.first), func.max(tables.capture.c.last))
        ).one()
    coverage = judged_coverage(console.catalogue, first, last).captured_at_all
    begin = first // HOUR * 4
    quarters = {begin + number for number in range(coverage.bit_length()) if coverage >> number & 1}
    visitor = visit("analyst")
    for zone in ("UTC", "Asia/Kathmandu"):
        visitor.get(f"/account?zone={zone}")
        text = visitor.open("/incidents?from=2023-03-01T00:00:00Z&to=2023-04-20T00:00:00Z").text
        found = bars(text)
        expected = []
        for address, _, count in found:
            times = [
                int(datetime.fromisoformat(text).timestamp()) * SECOND
                for text in re.findall(r"(?:from|to)=([^&]*)", address.replace("%3A", ":"))
            ]
            touched = range(times[0] // QUARTER, -(-times[1] // QUARTER))
            expected.append(not count and not quarters.intersection(touched))
        hatched = re.findall(r'<i( class="blank")?></i>', text)
        assert [bool(each) for each in hatched] == expected
        assert 0 < sum(expected) < len(expected)
        assert "Times without a capture are hatched." in text
        # Those who hear the page have it in the table: one row of days without a capture that
        # follow each other.
        runs = sum(each and not before for before, each in pairwise([False, *expected]))
        assert text.count('<td role="cell" class="number">no capture</td>') == runs


def test_bans_and_measures_are_marked(visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    text = visitor.open("/incidents?from=2023-03-01T00:00:00Z&to=2023-10-20T00:00:00Z").text
    marked = re.findall(
        r"<li>([^<]*)</li>", text.partition('<ul class="marks')[2].partition("</ul>")[0]
    )
    lines = re.findall(r'class="rule" x1="([\d.]+)"', text)
    assert len(marked) == len(lines) > 1
    assert [float(each) for each in lines] == sorted(map(float, lines))
    # Days of a ban are those of its time zone, also for a viewer in UTC.
    assert "10 March 2023: in force (be-fed-tiktok-2023)" in marked
    assert any(each.endswith("first blocked") for each in marked)
    # Only the bans of the filter are marked, and only what is in its time.
    other = visitor.open(
        "/incidents?from=2023-03-01T00:00:00Z&to=2023-04-20T00:00:00Z&app=wechat"
    ).text
    assert "(be-fed-tiktok-2023)" not in other.partition("<figure")[2].partition("</figure>")[0]


@pytest.fixture(scope="module")
def running(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = copied(sample_store, tmp_path_factory.mktemp("dragged"))
    with served("--store-path", store.path) as console:
        yield console


def test_bars_are_dragged_over_to_zoom(browser: "Browser", running: Served) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, timezone_id="UTC")
    page.goto(f"{running.address}/sign-in")
    page.fill("[name=name]", NAMES["analyst"])
    page.fill("[name=password]", PASSWORD)
    with page.expect_navigation():
        page.click("main button")
    query = "verdict=violation&from=2023-03-20T00%3A00%3A00Z&to=2023-03-22T00%3A00%3A00Z&sort=app"
    page.goto(f"{running.address}/incidents?{query}")
    assert "Drag over bars" in page.inner_text("figure")
    box = page.locator("[data-bars]").bounding_box()
    counts = [count for *_, count in bars(page.content())]
    assert box is not None
    assert len(counts) == 48
    width = box["width"] / 48
    middle = box["y"] + box["height"] / 2
    # From right to left, and out of the picture.
    page.mouse.move(box["x"] + 14.5 * width, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 8.5 * width, middle, steps=4)
    assert page.locator("[data-bars] .dragged").count() == 7
    with page.expect_navigation():
        page.mouse.up()
    # Other filters and the order stay.
    assert page.url.endswith(
        "/incidents?from=2023-03-20T08%3A00%3A00Z&to=2023-03-20T15%3A00%3A00Z"
        "&verdict=violation&sort=app"
    )
    assert total(page.content()) == sum(counts[8:15]) > 0
    # A click is that of one bar.
    with page.expect_navigation():
        page.locator("[data-bars] a").first.click()
    assert "from=2023-03-20T08%3A00%3A00Z&to=2023-03-20T09%3A00%3A00Z" in page.url
    page.close()
