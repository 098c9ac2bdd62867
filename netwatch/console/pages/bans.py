"""The bans: which ones there are, and of each whether it was kept in a period."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from netwatch.console.answers import Answer, Page, not_found
from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.period_reports import being_made, days_of
from netwatch.console.texts import periods_of
from netwatch.console.view import View
from netwatch.core.period import day_at
from netwatch.core.verdict import Ban, BanTexts
from netwatch.report import page as report_page
from netwatch.report.collect import Wanted
from netwatch.rules.ban_review import open_review
from netwatch.rules.ban_texts import words_in
from netwatch.store.case_pages import case_counts, is_centre
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import IncidentFilter, incident_counts
from netwatch.store.incident_rows import VERDICTS

_COUNT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A ban of the list: its words in the language of the page, its state now, the days until its
    review (negative once it is over, None where it is settled), and how many incidents of each
    verdict there are, ever, and cases at a centre that could count them in time."""

    ban: Ban
    words: BanTexts
    periods: str
    state: str
    review_in: int | None
    incidents: Mapping[str, int]
    cases: Mapping[str, int]


def show(view: View) -> Answer:
    """All bans of the configuration."""
    console = view.console
    counts = incident_counts(
        console.catalogue, IncidentFilter(), ["ban", "verdict"], timeout=QUERY_SECONDS
    )
    cases = _cases(view)
    now = console.now()
    rows = [
        Listed(
            ban,
            words_in(ban, view.language.code),
            periods_of(ban, view.language),
            console.config.policy.state(ban, now),
            days_until_review(ban, now),
            _by_verdict(ban, counts),
            {} if cases is None else _by_verdict(ban, cases),
        )
        for ban in console.config.policy.bans
    ]
    return Page("bans", {"rows": rows})


def days_until_review(ban: Ban, now: int) -> int | None:
    """The days from now (ns) until the review of a ban, negative once it is over; None where none
    is due, or a later decision settled it."""
    review = open_review(ban)
    return None if review is None else (review - day_at(now, ban.timezone)).days


def _by_verdict(ban: Ban, counts: Mapping[Any, int]) -> Mapping[str, int]:
    return {verdict: counts.get((ban.id, verdict), 0) for verdict in VERDICTS}


def _cases(view: View) -> Mapping[tuple[str, str], int] | None:
    """The cases of a centre by ban and verdict; None where there are too many to count them while
    somebody waits, and in the store of one sensor."""
    catalogue = view.console.catalogue
    if not is_centre(catalogue):
        return None
    try:
        return case_counts(catalogue, timeout=_COUNT_SECONDS)
    except QueryTimeoutError:
        return None


def one(view: View) -> Answer:
    """Whether a ban was kept, with the incidents, blind spots and devices of the period."""
    ban = next((ban for ban in view.console.config.policy.bans if ban.id == view.path["id"]), None)
    if ban is None:
        raise not_found(view.say("There is no such ban."))
    first, last = days_of(view, [ban])
    wanted = Wanted(first, last, (ban.id,))
    report = view.console.reports.shown(wanted)
    if report is None:
        return being_made(view, wanted)
    used = report_page.report_language(view.language.code)
    made = report_page.page(report, used, view.console.renderer, view.console.report)
    # The first fact on the report says when it was made: it may be some minutes old.
    facts = [*made.sections[0].facts, made.facts[0]]
    values = {"ban": ban, "facts": facts, "first": first, "last": last, "made": made,
              "block": made.answers[0], "is_centre": is_centre(view.console.catalogue),
              "section": made.sections[0], "span": _span(first, last)}  # fmt: skip
    return Page("ban", values)


def _span(first: date, last: date) -> list[tuple[str, str]]:
    return [("from", first.isoformat()), ("to", last.isoformat())]
