"""What was captured, day by day, and how the tables of a report say what was not."""

from datetime import date
from typing import Any

import pytest
from report.stores import Office

from netwatch.report.collect import Wanted, collect
from netwatch.report.page import report_language
from netwatch.report.reading import Days
from netwatch.report.tables import change
from netwatch.report.values import Counts, Report

ENGLISH = report_language("en")
DAYS = Days(date(2023, 6, 5), date(2023, 6, 18), "Europe/Brussels")


def made(office: Office) -> Report:
    return collect(office.catalogue, office.config, Wanted(DAYS.first, DAYS.last, ("city",)))


def test_the_weeks_have_their_days_without_a_capture(office: Office) -> None:
    run = office.run()
    office.capture(run, "2023-06-12", "2023-06-14T12:00")
    first, second = made(office).bans[0].weeks
    assert (first.counts, first.captured, len(first.missing)) == (None, False, 7)
    assert second.counts == Counts()
    assert second.missing == ("2023-06-15", "2023-06-16", "2023-06-17", "2023-06-18")


def test_a_week_with_an_incident_has_its_number(office: Office) -> None:
    run = office.run()
    office.incident(run, "2023-06-06T10:00", outcome="blocked")
    (first, _) = made(office).bans[0].weeks
    assert first.counts == Counts(violation=1, blocked=1)
    assert not first.captured


@pytest.mark.parametrize(
    ("what", "weight"),
    [
        ({}, "proved"),
        ({"outcome": "blocked"}, "blocked"),
        ({"kind": "embed"}, "embed"),
        ({"kind": "lookup", "confidence": "probable"}, "lookup"),
        ({"verdict": "exempt"}, "exempt"),
    ],
)
def test_the_totals_tell_how_incidents_count(
    office: Office, what: dict[str, Any], weight: str
) -> None:
    office.incident(office.whole(), "2023-06-06T10:00", **what)
    totals = made(office).bans[0].totals
    counted = {name: count for name, count in totals.all.categories.items() if count}
    assert counted == {weight: 1}
    assert totals.all.total == 1
    assert totals.app["TikTok"] == totals.all


def test_a_period_before_that_was_not_captured_has_no_numbers(office: Office) -> None:
    run = office.run()
    office.capture(run, "2023-06-05", "2023-06-19T12:00")
    office.coverage(run, "2023-06-05", "2023-06-19T12:00", {"hq": {"named": 10}})
    report = made(office)
    rows = {row[0]: row[1:] for row in change(report, report.bans[0], ENGLISH).table.rows}
    # The capture begins at 02:00 in Brussels.
    assert rows["Hours with a capture"] == ("0 of 336 hours", "334 of 336 hours")
    assert rows["Proved"] == ("not captured", "0")
    assert report.bans[0].change.networks["hq"].before is None
    assert report.bans[0].change.networks["hq"].after == 0


def test_measures_are_days_of_the_report(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-06-06T10:00")
    office.incident(run, "2023-06-08T10:00", outcome="blocked")
    office.incident(run, "2023-06-09T10:00", outcome="blocked")
    days = [(each.day, each.event) for each in made(office).bans[0].days]
    assert days == [("2023-06-08", "block")]


def test_a_block_that_is_not_new_is_no_measure(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-05-30T10:00", outcome="blocked")
    office.incident(run, "2023-06-08T10:00", outcome="blocked")
    assert made(office).bans[0].days == ()


def test_the_end_of_an_exemption_is_marked(office: Office) -> None:
    office.whole()
    wanted = Wanted(date(2023, 3, 13), date(2023, 3, 26), ("city",))
    (ban,) = collect(office.catalogue, office.config, wanted).bans
    assert [(each.day, each.event) for each in ban.days] == [("2023-03-20", "exemption-ends")]
