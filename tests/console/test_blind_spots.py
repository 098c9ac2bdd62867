"""The page of blind spots: only what was captured on its days, in the time zone of the bans."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report.stores import Office, make_office, ns
from sqlalchemy import func, select
from support.consoles import Visitor

from netwatch.console.console import Console
from netwatch.console.pages import reports
from netwatch.console.view import Page, Values
from netwatch.coverage.judged import HOUR, HourCounts, one_of_place
from netwatch.report.page import report_language
from netwatch.store import catalogue_tables as tables

Visit = Callable[[str], Visitor]


def covered(console: Console) -> tuple[datetime, datetime]:
    """The time that the record of coverage of the run reaches over."""
    columns = tables.coverage.c
    with console.catalogue.database.reading() as connection:
        first, last = connection.execute(
            select(func.min(columns.first), func.max(columns.last))
        ).one()
    return datetime.fromtimestamp(first // 10**9, UTC), datetime.fromtimestamp(last // 10**9, UTC)


def test_days_without_a_packet_show_nothing_of_their_run(console: Console, visit: Visit) -> None:
    first, last = covered(console)
    assert first < datetime(2023, 5, 1, tzinfo=UTC) < datetime(2023, 5, 3, tzinfo=UTC) < last
    text = visit("analyst").get("/blind-spots?from=2023-05-01&to=2023-05-02").text
    assert "Nothing was captured" in text
    assert 'class="chart"' not in text


def test_days_are_those_of_the_bans(visit: Visit) -> None:
    text = visit("analyst").get("/blind-spots?from=2023-03-20&to=2023-03-22").text
    assert 'class="chart"' in text
    assert "time zone Europe/Brussels" in text


def shown(office: Office, day: str) -> Page:
    """The page of a day."""
    console = SimpleNamespace(
        catalogue=office.catalogue, config=office.config, now=lambda: 1_700_000_000 * 10**9
    )
    view: Any = SimpleNamespace(
        console=console,
        language=report_language("en"),
        query=Values((("from", day), ("to", day)), report_language("en")),
        place="/blind-spots",
        role="auditor",
        say=lambda text, **_: text,
    )
    page = reports.show_blind_spots(view)
    assert isinstance(page, Page)
    return page


def test_flows_of_several_apps_come_with_their_k(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make_office(tmp_path)
    monkeypatch.setattr(reports, "figure", lambda *_: "drawn")
    with office.catalogue:
        run = office.run()
        office.capture(run, "2023-06-01", "2023-06-19")
        office.flows(run, "2023-06-14", "2023-06-15", {"hq": {"flow-record": 20}})
        counts = HourCounts()
        found = counts.see(("hq", "service"), ns("2023-06-14") // HOUR + 12)
        found.update({one_of_place(2): 9, one_of_place(5): 3})
        office.catalogue.add_hours(run, {0: counts})
        spots = shown(office, "2023-06-14").values["spots"]
    assert [(each.reason, each.flows) for each in spots] == [
        ("flow record, which may be of a banned app (k from 2 to 5, median 2)", 12),
        ("flow record, which has no name", 8),
    ]


@pytest.mark.parametrize(
    ("day", "flows"),
    [("2023-06-14", 1000), ("2023-06-20", None)],
)
def test_flows_are_those_of_the_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day: str, flows: int | None
) -> None:
    """One run saw a network for a month; on the twentieth there was no packet."""
    office = make_office(tmp_path)
    drawn: list[Any] = []
    monkeypatch.setattr(reports, "figure", lambda _, picture: drawn.append(picture) or "drawn")
    with office.catalogue:
        run = office.run()
        office.capture(run, "2023-06-01", "2023-06-19")
        office.coverage(run, "2023-06-01", "2023-06-19", {"hq": {"named": 900, "ech": 100}})
        office.coverage(run, "2023-06-21", "2023-06-30", {"hq": {"named": 900, "ech": 100}}, 1)
        page = shown(office, day)
    # Five flows of each record are of no network; only one of the records has this day.
    assert page.values["outside"] == (5 if flows else 0)
    assert page.values["beyond"] == (1 if flows else 0)
    spots = page.values["spots"]
    assert (page.values["figure"], len(drawn)) == (("drawn", 1) if flows else (None, 0))
    assert [(each.network, each.flows, each.share) for each in spots] == (
        [("hq", flows // 10, 0.1)] if flows else []
    )
