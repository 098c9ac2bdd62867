"""What is said of bans: what the report of a period says, of each ban whether it was kept; the
registered exemptions: used, unused, and contacts after their end; in which networks how many flows
had no readable name, why, and what would cure it; and the reports for the authority, each as a
page, a PDF or JSON.
"""

import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import islice, pairwise
from typing import Any

from sqlalchemy import func, select

from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.console.console import DEVICE
from netwatch.console.filter_bar import (
    TIMES,
    WHOLE_DAYS,
    days_of_range,
    excluding,
    filter_bar,
)
from netwatch.console.lists import known_names
from netwatch.console.pages.incidents import QUERY_SECONDS, mistake_of
from netwatch.console.period_reports import DAYS, WAIT_SECONDS, last_day, midnight
from netwatch.console.rendering import figure, periods_of
from netwatch.console.view import Answer, Download, Page, Refused, View, bad_request, not_found
from netwatch.core.errors import ConfigError
from netwatch.core.filter_words import EXCLUDES
from netwatch.core.period import day_at, period
from netwatch.core.verdict import Ban, BanTexts
from netwatch.report import labels
from netwatch.report import page as report_page
from netwatch.report.collect import Wanted, common_timezone
from netwatch.report.covering import missing_days, network_flows
from netwatch.report.files import require_weasyprint
from netwatch.report.page import report_language
from netwatch.report.reading import Days, NetworkFlows
from netwatch.report.tables import exemptions
from netwatch.rules.bans import words_in
from netwatch.rules.policy import open_review
from netwatch.store import catalogue_tables as tables
from netwatch.store.bypass_rows import hiding_counts, judged_days
from netwatch.store.cases import case_counts, is_centre
from netwatch.store.database import QueryTimeoutError
from netwatch.store.fleet_sensors import silences
from netwatch.store.hour_rows import outside_flows
from netwatch.store.incident_pages import IncidentFilter, incident_counts
from netwatch.store.incident_rows import DAY, VERDICTS
from netwatch.store.judged_coverage import judged_coverage, uncaptured

MAX_MONTHS = 24
"""Months that are listed, the last ones."""

AGAIN_SECONDS = 3
"""After how long a page that says so is loaded again."""

PERIOD = ("range", *TIMES)
"""The values of an address that say for which period a page is."""

COVERAGE_FILTERS = (*PERIOD, "network")
"""The values of the address of the blind spots."""

EXEMPTION_FILTERS = (*PERIOD, "ban", "state", *excluding("ban", "state"))
"""The values of the address of the exemptions."""

MAX_DAYS = 3660
"""Days that a report may have."""

SEES_HIDING = frozenset({"analyst"})
"""The roles that see which devices hid their lookups; others see how many."""

_EPOCH = date(1970, 1, 1)

_COUNT_SECONDS = 2.0

_SILENCES = 50


def show_reports(view: View) -> Answer:
    """The months that the store has captures of, the last one first, and a form for any period."""
    first, last = days_of(view)
    values = {
        "months": _months(view),
        "first": first,
        "last": last,
        "bans": [ban.id for ban in view.console.config.policy.bans],
        "span": [("from", first.isoformat()), ("to", last.isoformat())],
    }
    return Page("reports", values)


def as_page(view: View) -> Answer:
    """A report as one HTML file."""
    return _download(view, "html", "text/html; charset=utf-8")


def as_pdf(view: View) -> Answer:
    """A report as PDF/UA."""
    return _download(view, "pdf", "application/pdf")


def as_json(view: View) -> Answer:
    """A report as JSON."""
    return _download(view, "json", "application/json")


def _download(view: View, kind: str, media_type: str) -> Download:
    first, last = days_of(view)
    ban = view.query.text("ban")
    if ban and ban not in {known.id for known in view.console.config.policy.bans}:
        raise bad_request(view.say("There is no such ban."))
    wanted = Wanted(first, last, (ban,) if ban else ())
    name = f"netwatch-{first}-{last}{f'-{ban}' if ban else ''}.{kind}"
    if kind == "pdf":
        _require_pdf(view)
    return Download(
        name, media_type, view.console.reports.file(wanted, kind, view),
        f"report {first} to {last}",
        detail={"ban": ban or "all", "format": kind},
    )  # fmt: skip


def _require_pdf(view: View) -> None:
    try:
        require_weasyprint("netwatch serve")
    except ConfigError:
        text = view.say("PDF needs the extra netwatch-bans[report] on the server.")
        raise bad_request(text) from None


def _months(view: View) -> list[tuple[date, date]]:
    """The first and the last day of each month with captures, in the time zone of the bans."""
    column = tables.capture.c
    with view.console.catalogue.database.reading(QUERY_SECONDS) as connection:
        span = select(func.min(column.first), func.max(column.last)).where(
            column.last < time.time_ns() + DAY
        )
        first, last = connection.execute(span).one()
    if first is None or last is None:
        return []
    zone = common_timezone(view.console.config.policy.bans)
    months = list(_months_between(day_at(int(first), zone), day_at(int(last), zone)))
    begins = [begin for begin, _ in reversed(months)]
    begins.append(months[0][1] + timedelta(days=1))
    places = (period(day, None, zone).start or 0 for day in begins)
    blank = uncaptured(view.console.catalogue, [*pairwise(places)], QUERY_SECONDS)
    found = (month for month, is_blank in zip(months, reversed(blank), strict=True) if not is_blank)
    return list(islice(found, MAX_MONTHS))


def _months_between(first: date, last: date) -> Iterator[tuple[date, date]]:
    begin = last.replace(day=1)
    while begin >= first.replace(day=1):
        following = (begin + timedelta(days=32)).replace(day=1)
        yield begin, following - timedelta(days=1)
        begin = (begin - timedelta(days=1)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A ban of the list: its words in the language of the page, the names of its apps, its state
    now, the days until its review (negative once it is over, None if it is settled), and how many
    incidents of each verdict there are, ever, and cases at a centre that could count them in
    time."""

    ban: Ban
    words: BanTexts
    apps: Sequence[str]
    periods: str
    state: str
    review_in: int | None
    incidents: Mapping[str, int]
    cases: Mapping[str, int]


def show_bans(view: View) -> Answer:
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
            sorted(map(console.app_name, ban.apps)),
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
    """The days from now (ns) until the review of a ban, negative once it is over; None if none
    is due, or a later decision settled it."""
    review = open_review(ban)
    return None if review is None else (review - day_at(now, ban.timezone)).days


def _by_verdict(ban: Ban, counts: Mapping[Any, int]) -> Mapping[str, int]:
    return {verdict: counts.get((ban.id, verdict), 0) for verdict in VERDICTS}


def _cases(view: View) -> Mapping[tuple[str, str], int] | None:
    """The cases of a centre by ban and verdict; None if there are too many to count them while
    somebody waits, and in the store of one sensor."""
    catalogue = view.console.catalogue
    if not is_centre(catalogue):
        return None
    try:
        return case_counts(catalogue, timeout=_COUNT_SECONDS)
    except QueryTimeoutError:
        return None


def one(view: View) -> Answer:
    """Whether a ban was complied with, with the incidents, blind spots and devices of the
    period."""
    ban = next((ban for ban in view.console.config.policy.bans if ban.id == view.path["id"]), None)
    if ban is None:
        raise not_found(view.say("There is no such ban."))
    chosen = chosen_days(view, [ban])
    first, last = chosen.first, chosen.last
    wanted = Wanted(first, last, (ban.id,))
    report = view.console.reports.shown(wanted)
    if report is None:
        return being_made(view, wanted)
    used = report_page.report_language(view.language.code)
    made = report_page.page(report, used, view.console.renderer, view.console.report)
    # The first fact on the report says when it was made: it may be some minutes old.
    facts = [*made.sections[0].facts, made.facts[0]]
    values = {"ban": ban, "facts": facts, "chosen": chosen, "made": made,
              "bar": filter_bar(view, PERIOD, WHOLE_DAYS),
              "block": made.answers[0], "is_centre": is_centre(view.console.catalogue),
              "section": made.sections[0], "span": _span(first, last)}  # fmt: skip
    return Page("ban", values, status=400 if chosen.problem else 200)


def _span(first: date, last: date) -> list[tuple[str, str]]:
    return [("from", first.isoformat()), ("to", last.isoformat())]


def show_exemptions(view: View) -> Answer:
    """The exemptions of each ban in a period, with the names of the register for a role that sees
    devices."""
    chosen = chosen_days(view)
    wanted = Wanted(chosen.first, chosen.last, names_devices=view.role in DEVICE.roles)
    report = view.console.reports.shown(wanted)
    if report is None:
        return being_made(view, wanted)
    used = report_page.report_language(view.language.code)
    states = labels.exemption_states(used)
    found = known_names(view, EXEMPTION_FILTERS[len(PERIOD) :], {"state": [*states]})
    grids = []
    for ban in report.bans:
        grid = exemptions(ban, used)
        rows = [
            (each, cells)
            for each, cells in zip(ban.exemptions, grid.table.rows, strict=True)
            if _is_wanted(found, "ban", ban.id) and _is_wanted(found, "state", each.state)
        ]
        if rows:
            grids.append((ban.id, grid, rows))
    bar = filter_bar(view, EXEMPTION_FILTERS, WHOLE_DAYS)
    chips = tuple(replace(chip, value=states.get(chip.value, chip.value)) for chip in bar.chips)
    values = {"bar": replace(bar, chips=chips), "chosen": chosen, "grids": grids, "states": states,
              "is_filtered": bool(found), "made": report.made}  # fmt: skip
    return Page("exemptions", values, status=400 if chosen.problem else 200)


def _is_wanted(found: Mapping[str, Set[str]], name: str, value: str) -> bool:
    """Whether a filter and what it leaves out let a value be."""
    is_left_out = value in found.get(f"{EXCLUDES}{name}", ())
    return value in found.get(name, {value}) and not is_left_out


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """Flows of a network without a readable name, for one reason; `share` is that of all its
    flows. `reason` and `cure` are texts."""

    network: str
    reason: str
    flows: int
    share: float
    cure: str


def show_blind_spots(view: View) -> Answer:
    """The blind spots of a period; its days are those of a report on the same."""
    chosen = chosen_days(view)
    days = Days(chosen.first, chosen.last, common_timezone(view.console.config.policy.bans))
    begin, end = days.span
    catalogue = view.console.catalogue
    judged = judged_coverage(catalogue, begin, end)
    networks_wanted = known_names(view, ("network",)).get("network")
    found = [
        row
        for row in network_flows(judged, (begin, end))
        if networks_wanted is None or row.network in networks_wanted
    ]
    first, last = ((day - _EPOCH).days for day in (chosen.first, chosen.last))
    looked = [day for number, day in judged_days(catalogue).items() if first <= number <= last]
    networks = [NetworkCoverage(row.network, row.flows, row.named, row.unnamed) for row in found]
    with catalogue.database.reading(QUERY_SECONDS) as connection:
        outside, beyond = outside_flows(connection, begin, end)
    values = {
        "bar": filter_bar(view, COVERAGE_FILTERS, WHOLE_DAYS),
        "chosen": chosen,
        "figure": figure(view, coverage_picture(networks, view.language)) if networks else None,
        "spots": _spots(view, found),
        "zone_of_days": days.timezone,
        "missing": len(missing_days(judged, days)),
        "silences": [
            (silence, ((silence.until or view.console.now()) - silence.since) / 1e9)
            for silence in silences(catalogue, begin, end, limit=_SILENCES)
        ],
        "outside": outside,
        "beyond": beyond,
        "hiding": hiding_counts(catalogue, first, last + 1, networks_wanted, QUERY_SECONDS),
        "looked_days": len(looked),
        "looked_devices": sum(day.devices for day in looked),
        "sees_devices": view.role in SEES_HIDING,
        "period_pairs": _span(chosen.first, chosen.last),
    }
    return Page("blind_spots", values, status=400 if chosen.problem else 200)


def _spots(view: View, found: list[NetworkFlows]) -> list[BlindSpot]:
    used = report_language(view.language.code)
    cures = labels.cures(used)
    spots = [
        BlindSpot(
            network.network,
            labels.blind_spot(reason, network.one_of, used),
            flows,
            flows / network.flows,
            cures.get(reason, ""),
        )
        for network in found
        for reason, flows in network.unnamed.items()
    ]
    return sorted(spots, key=lambda spot: -spot.flows)


def being_made(view: View, wanted: Wanted) -> Page:
    """The page that stands for one whose report is not ready. Browsers load it again by
    themselves, also without script."""
    found = IncidentFilter(since=midnight(wanted.first), until=midnight(wanted.last) + DAY)
    incidents = None
    # Where even the count takes long, the page does without it.
    with suppress(QueryTimeoutError):
        counts = incident_counts(view.console.catalogue, found, ["verdict"], timeout=WAIT_SECONDS)
        incidents = sum(counts.values())
    values = {
        "first": wanted.first,
        "last": wanted.last,
        "incidents": incidents,
        "again": AGAIN_SECONDS,
        "pairs": view.query.kept(PERIOD),
    }
    return Page("being_made", values, status=202, headers={"Refresh": str(AGAIN_SECONDS)})


def days_of(view: View, bans: Sequence[Ban] | None = None) -> tuple[date, date]:
    """The first and last day of the address, or the days up to the last capture, in the time zone
    of the report on these bans, of all where it is None. Raises `Refused` for days that cannot be
    read."""
    bans = view.console.config.policy.bans if bans is None else bans
    zone = common_timezone(bans)
    if not view.query.kept(TIMES) and (found := days_of_range(view, zone, bans, MAX_DAYS)):
        return found
    last = _day(view, "to") or last_day(view.console.catalogue, view.console.now(), zone)
    first = _day(view, "from") or last - timedelta(days=DAYS - 1)
    if first > last or (last - first).days > MAX_DAYS:
        raise bad_request(
            view.say("The first day must not be after the last, nor 10 years before.")
        )
    return first, last


@dataclass(frozen=True, slots=True)
class ChosenDays:
    """The first and the last day of a page, what its form has, and what is wrong with that. After a
    mistake the days are those of an address without any."""

    first: date
    last: date
    from_field: str
    to_field: str
    problem: str = ""


def chosen_days(view: View, bans: Sequence[Ban] | None = None) -> ChosenDays:
    """The days of the address, or what is wrong with them."""
    try:
        first, last = days_of(view, bans)
    except Refused as refused:
        problem = mistake_of(refused)
        plain = replace(view, query=replace(view.query, pairs=()))
        first, last = days_of(plain, bans)
        given = view.query.text
        return ChosenDays(first, last, given("from"), given("to"), problem)
    return ChosenDays(first, last, first.isoformat(), last.isoformat())


def _day(view: View, name: str) -> date | None:
    text = view.query.text(name)
    if not text:
        return None
    try:
        found = date.fromisoformat(text[:10])
        if not 1971 <= found.year <= 2260:
            raise ValueError(text)
    except ValueError:
        raise bad_request(view.say("“%(name)s” is not a day like 2023-03-20.", name=name)) from None
    return found
