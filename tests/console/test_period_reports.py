"""Reports for pages: shared, kept, collected beside the pages; and queries that are cut."""

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from support.consoles import Visitor

from netwatch.console import period_reports
from netwatch.console.console import Console
from netwatch.console.pages import incidents, reports
from netwatch.core.errors import NetwatchError
from netwatch.report.collect import Wanted, collect
from netwatch.report.values import Report
from netwatch.store.catalogue_tables import capture, incident_day
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import IncidentFilter, incident_counts, incident_page

MONTH = Wanted(date(2023, 3, 1), date(2023, 3, 31))
APRIL = int(datetime(2023, 4, 1, tzinfo=UTC).timestamp()) * 10**9
MONTH_BAN = "be-fed-tiktok-2023"
BAN = f"/bans/{MONTH_BAN}"
Visit = Callable[[str], Visitor]


class Collecting:
    """Stands before `collect`: lets it go on when it is told to, and counts."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.done = 0

    def __call__(self, *arguments: Any) -> Report:
        assert self.goes_on.wait(30)
        report = collect(*arguments)
        self.done += 1
        return report


@pytest.fixture
def collecting(monkeypatch: pytest.MonkeyPatch) -> Collecting:
    found = Collecting()
    monkeypatch.setattr(period_reports, "collect", found)
    return found


def wait_for(console: Console, wanted: Wanted) -> Report:
    """Until a report has been collected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(period_reports, "WAIT_SECONDS", 30.0)
        report = console.reports.shown(wanted)
    assert report is not None
    return report


def add_incident(console: Console) -> None:
    """Store one more incident of the month, as a run would."""
    of_month = IncidentFilter(until=APRIL, ban=frozenset({MONTH_BAN}))
    page = incident_page(console.catalogue, of_month, size=1)
    record = json.loads(page.rows[0].record)
    # Another device, since equal ones of two runs that overlap are counted once.
    record |= {"id": "f" * 32, "device": record["device"] | {"id": "new", "ip": "10.20.9.9"}}
    run = console.catalogue.begin_run("scan", "test")
    console.catalogue.add_incidents(run, [(record, json.dumps(record))])
    console.catalogue.end_run(run)


def test_a_large_report_is_made_in_a_process_and_says_the_same(
    console: Console, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = wait_for(console, MONTH)
    assert small.bans[0].totals.all.total > 0
    monkeypatch.setattr(period_reports, "SMALL", -1)
    large = wait_for(console, Wanted(MONTH.first, MONTH.last + timedelta(days=1)))
    for one, other in zip(small.bans, large.bans, strict=True):
        # The day more has no capture, so its week differs in that.
        assert [week.counts for week in one.weeks] == [week.counts for week in other.weeks]
        assert (one.totals, one.answer.word) == (other.totals, other.answer.word)
        assert one.incidents == other.incidents == ()
    found = visit("auditor").get("/reports/report.json?from=2023-03-01&to=2023-03-31")
    assert found.status_code == 200
    totals = found.json()["bans"][0]["totals"]["all"]
    assert totals["violation"] == small.bans[0].totals.all.violation
    assert len(found.json()["bans"][0]["incidents"]) == small.bans[0].totals.all.total


def test_the_reason_why_a_process_made_no_report_is_said(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_reports, "SMALL", -1)
    unknown = Wanted(MONTH.first, MONTH.last, ("no-such-ban",))
    with pytest.raises(NetwatchError, match="found 'no-such-ban'"):
        wait_for(console, unknown)


@pytest.mark.parametrize("place", [BAN, "/exemptions"])
def test_a_page_whose_report_is_not_ready_is_loaded_again(
    place: str, visit: Visit, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_reports, "WAIT_SECONDS", 0.05)
    auditor = visit("auditor")
    waiting = auditor.client.get(f"{place}?from=2023-03-06&to=2023-04-02")
    assert waiting.status_code == 202
    assert waiting.headers["Refresh"] == "3"
    assert f'href="{place}?from=2023-03-06&amp;to=2023-04-02"' in waiting.text
    number = re.search(r"the store has (\d+) incidents", waiting.text)
    assert number is not None
    assert int(number[1]) > 10
    collecting.goes_on.set()
    monkeypatch.setattr(period_reports, "WAIT_SECONDS", 30.0)
    shown = auditor.get(f"{place}?from=2023-03-06&to=2023-04-02")
    assert shown.status_code == 200
    assert "Refresh" not in shown.headers
    assert ("<dt>Made</dt>" if place == BAN else "As of") in shown.text
    assert collecting.done == 1


def test_a_page_whose_incidents_take_long_to_count_does_without_their_number(
    visit: Visit, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*arguments: Any, **options: Any) -> Any:
        if "timeout" in options:
            raise QueryTimeoutError("the query took too long")
        return incident_counts(*arguments, **options)

    auditor = visit("auditor")
    monkeypatch.setattr(period_reports, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(reports, "incident_counts", cut)
    waiting = auditor.client.get(f"{BAN}?from=2023-03-06&to=2023-04-02")
    collecting.goes_on.set()
    assert waiting.status_code == 202
    assert "All incidents from 2023-03-06 to 2023-04-02 are being read." in waiting.text


def test_a_report_is_shown_for_as_long_as_the_store_is_the_same(
    console: Console, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    collecting.goes_on.set()
    first = wait_for(console, MONTH)
    monkeypatch.setattr(period_reports, "KEPT_SECONDS", -1.0)
    monkeypatch.setattr(period_reports, "OLDEST_SECONDS", 1e9)
    assert wait_for(console, MONTH) is first
    assert collecting.done == 1
    add_incident(console)
    collecting.goes_on.clear()
    assert wait_for(console, MONTH) is first, "while a newer one is collected"
    assert wait_for(console, MONTH) is first
    collecting.goes_on.set()
    monkeypatch.setattr(period_reports, "OLDEST_SECONDS", -1.0)
    second = wait_for(console, MONTH)
    assert second.bans[0].totals.all.total == first.bans[0].totals.all.total + 1
    assert collecting.done == 2


def test_a_report_is_not_kept_for_ever_while_a_run_goes_on(
    console: Console, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    collecting.goes_on.set()
    console.catalogue.begin_run("live", "test")
    first = wait_for(console, MONTH)
    monkeypatch.setattr(period_reports, "KEPT_SECONDS", -1.0)
    monkeypatch.setattr(period_reports, "OLDEST_SECONDS", 1e-6)
    assert wait_for(console, MONTH) is not first


def test_few_reports_are_kept(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(period_reports, "KEPT", 2)
    spans = [Wanted(MONTH.first, MONTH.first + timedelta(days=each)) for each in range(4)]
    shown = [wait_for(console, each) for each in spans]
    assert wait_for(console, spans[3]) is shown[3]
    assert wait_for(console, spans[0]) is not shown[0]


@pytest.mark.parametrize(
    ("role", "place"), [("auditor", "/bans"), ("analyst", "/incidents?verdict=violation")]
)
def test_a_query_that_takes_too_long_is_said_to_be_cut(
    console: Console, visit: Visit, role: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = visit(role)
    assert visitor.get(place).status_code == 200
    words = ", ".join(f"'violation' AS {each.name}" for each in [*incident_day.columns][1:])
    # Rows without end: whoever counts them or puts them in order is never done.
    endless = (
        "WITH RECURSIVE endless(day) AS (SELECT 1 UNION ALL SELECT day + 1 FROM endless)"
        f" SELECT day, {words} FROM endless"
    )
    with console.catalogue.database.writing() as connection:
        connection.execute(text("ALTER TABLE incident_day RENAME TO incident_day_before"))
        connection.execute(text(f"CREATE VIEW incident_day AS {endless}"))
    for module in (reports, incidents):
        monkeypatch.setattr(module, "QUERY_SECONDS", 0.2)
    refused = visitor.get(place)
    assert refused.status_code == 503
    assert "was stopped" in refused.text


LATE = int(datetime(2023, 3, 31, 22, 30, tzinfo=UTC).timestamp()) * 10**9
"""In Brussels this is the 1st of April."""


def test_days_and_months_are_those_of_the_bans(console: Console, visit: Visit) -> None:
    assert {ban.timezone for ban in console.config.policy.bans} == {"Europe/Brussels"}
    with console.catalogue.database.writing() as connection:
        connection.execute(update(capture).values(first=LATE, last=LATE))
    assert period_reports.last_day(console.catalogue, LATE, "UTC") == date(2023, 3, 31)
    assert period_reports.last_day(console.catalogue, LATE, "Europe/Brussels") == date(2023, 4, 1)


def test_a_month_without_a_capture_has_no_report(console: Console, visit: Visit) -> None:
    """The samples were captured in spring 2023 and in autumn 2024."""
    shown = visit("auditor").get("/reports").text
    months = re.findall(r"<dt>(\d{4}-\d\d)</dt>", shown)
    assert months == ["2024-10", "2023-04", "2023-03"]
