"""Days and months of pages are those of the bans; what is due, and what the register says."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import update
from support import bans
from support.consoles import Visitor

from netwatch.console import period_reports
from netwatch.console.console import Console
from netwatch.console.pages.reports import days_until_review
from netwatch.core.verdict import Ban, BanPeriod
from netwatch.rules.policy import open_review
from netwatch.store import catalogue_tables as tables

REVIEW = date(2023, 9, 1)


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def test_months_are_those_of_the_bans_time_zone(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    """Half past midnight on 1 April in Brussels is 31 March in UTC."""
    night = moment("2023-03-31T22:30:00")
    with console.catalogue.database.writing() as connection:
        connection.execute(update(tables.capture).values(first=night, last=night))
    page = visit("auditor").get("/reports").text
    assert "from=2023-04-01&amp;to=2023-04-30" in page
    assert "to=2023-03-31" not in page
    assert 'value="2023-04-01"' in page  # the last day of the form


@pytest.mark.parametrize(("role", "is_named"), [("analyst", True), ("auditor", False)])
def test_exemptions_name_the_device_of_the_register_to_those_who_may_see_it(
    role: str,
    is_named: bool,
    visit: Callable[[str], Visitor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(period_reports, "WAIT_SECONDS", 60.0)
    page = visit(role).get("/exemptions?from=2023-03-01&to=2023-03-31")
    assert page.status_code == 200
    assert "forensic research" in page.text
    assert ("lab-07" in page.text) == is_named


def ban(*periods: tuple[str, str | None], review: date | None = REVIEW) -> Ban:
    days = tuple(
        BanPeriod(date.fromisoformat(first), date.fromisoformat(last) if last else None)
        for first, last in periods
    )
    return replace(bans.BAN, periods=days, review=review, timezone="Europe/Brussels")


@pytest.mark.parametrize(
    ("periods", "days"),
    [
        ([("2023-03-10", "2023-09-10")], 9),
        ([("2023-03-10", None)], 9),
        ([("2023-03-10", "2023-09-10"), ("2023-09-11", None)], None),
        ([("2023-03-10", "2023-08-31"), ("2023-09-01", None)], None),
        # An extension before the review does not answer it.
        ([("2023-03-10", "2023-06-10"), ("2023-06-11", None)], 9),
    ],
)
def test_a_review_that_a_later_decision_settled_is_not_due(
    periods: list[tuple[str, str | None]], days: int | None
) -> None:
    known = ban(*periods)
    # In Brussels it is the 23rd.
    assert days_until_review(known, moment("2023-08-22T22:30:00")) == days
    assert (open_review(known) is None) == (days is None)
    assert open_review(ban(*periods, review=None)) is None


def test_the_past_does_not_know_later_decisions() -> None:
    extended = ban(("2023-03-10", "2023-09-10"), ("2023-09-11", None))
    assert open_review(extended, date(2023, 9, 10)) == REVIEW
    assert open_review(extended, date(2023, 9, 11)) is None


def test_pages_show_no_review_that_is_settled(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    """The ban of the samples was extended since its review."""
    (shipped,) = console.config.policy.bans
    assert shipped.review is not None
    is_open = open_review(shipped) is not None
    page = visit("admin").get("/bans").text
    assert (shipped.review.isoformat() in page) == is_open
