"""What an analyst sees first: what is new since the last visit, what is open and most serious, the
last week by how incidents count, and what has most of them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import func, select

from netwatch.charts.days import blank_sentence
from netwatch.charts.weeks import CATEGORIES, category_words
from netwatch.console.console import Console
from netwatch.console.filter_bar import TIMES, utc_text
from netwatch.console.histogram import Span, days_until
from netwatch.console.pages.incidents import QUERY_SECONDS, Listed, listed
from netwatch.console.rendering import address_of
from netwatch.console.view import View
from netwatch.core.filter_words import SEVERITIES
from netwatch.report.answer import WEIGHTS, weight
from netwatch.store import catalogue_tables as tables
from netwatch.store.incident_pages import IncidentFilter, incident_counts, incident_page
from netwatch.store.judged_coverage import uncaptured
from netwatch.store.list_histograms import sorts_in_spans
from netwatch.store.list_totals import incident_total

CLOSED = frozenset({"justified", "false"})
"""The triage of incidents that are not open any more."""

WEEK = 7
"""Days of the time line."""

_TOP = 5
_RARE = frozenset({"critical"})  # severities that are shown only if there are some
_MOST_SORTS = 24  # sorts of violations that are looked up for the most serious ones
_SIGNING_IN = 60 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class DayLine:
    """A day of the time line, in the viewer's time zone: its date, how many incidents of each
    category began, in all, the address of the list of them, and whether nothing was captured."""

    day: date
    counts: Mapping[str, int]
    total: int
    address: str
    is_blank: bool


@dataclass(frozen=True, slots=True)
class Top:
    """What has the most incidents of the time line, by name: how many, and their addresses."""

    label: str
    rows: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analyst sees first. `since` is when the last visit ended (ns), None for the first
    one, and `new` how many incidents began since, with the address of them; `severities` are those
    of open incidents. `worst` are the most serious violations since the last visit, or of the time
    line where there is none since; then they are not new. The time line ends today, or with the
    last incident if that is older; then it `is_old`. `sentence` says what it shows."""

    since: int | None
    new: int
    new_address: str
    severities: Mapping[str, int]
    worst: Sequence[Listed]
    are_new: bool
    days: tuple[DayLine, ...]
    categories: Mapping[str, str]
    is_old: bool
    most: int
    sentence: str
    tops: tuple[Top, ...]


def open_counts(console: Console) -> Counter[tuple[Any, ...]]:
    """How many incidents nobody has closed, by verdict and severity."""
    by = ("verdict", "severity")
    catalogue = console.catalogue
    found = Counter(incident_counts(catalogue, IncidentFilter(), by, timeout=QUERY_SECONDS))
    closed = console.triage.chosen(catalogue, CLOSED)
    if closed is not None and closed.size:
        wanted = IncidentFilter(chosen=closed)
        found.subtract(incident_counts(catalogue, wanted, by, timeout=QUERY_SECONDS))
    return +found


def analysis(view: View, now: int, still: Counter[tuple[Any, ...]]) -> Analysis:
    """All of it, at a moment (ns), with the `open_counts`."""
    catalogue = view.console.catalogue
    since = _last_visit(view)
    new = 0
    if since is not None:
        new = incident_total(catalogue, IncidentFilter(since=since), QUERY_SECONDS) or 0
    week, is_old = days_until(view, now, WEEK), False
    days = _days(view, week)
    if not any(day.total for day in days):
        newest = incident_page(catalogue, IncidentFilter(), size=1, timeout=QUERY_SECONDS).rows
        if newest:
            week, is_old = days_until(view, newest[0].first_seen, WEEK), True
            days = _days(view, week)
    span = week[0][0], week[-1][1]
    used = {name for day in days for name, count in day.counts.items() if count}
    called = category_words(view.language)
    worst = _worst(view, since, None) if since is not None and new else []
    return Analysis(
        since,
        new,
        address_of("/incidents", [("from", utc_text(since))]) if since is not None else "",
        {
            severity: still["violation", severity]
            for severity in SEVERITIES
            if still["violation", severity] or severity not in _RARE
        },
        worst or _worst(view, *span),
        bool(worst),
        tuple(days),
        {name: called[name] for name in CATEGORIES if name in used},
        is_old,
        max((day.total for day in days), default=0),
        _sentence(view, days),
        (
            Top(view.say("Devices"), _top_devices(view, span)),
            Top(view.say("Apps"), _top(view, "app", span, view.console.app_name)),
            Top(view.say("Networks"), _top(view, "network", span)),
        ),
    )


def _last_visit(view: View) -> int | None:
    """When the account did something last before this session."""
    console, who = view.console, view.who
    mine = (
        each for each in console.sessions.of(who.account, who.source) if each.key == who.session
    )
    begun = next((each.created for each in mine), console.now())
    rows = console.audit.newest(2, accounts=[who.account], end=begun)
    # The row of signing in to this session is written just before it begins.
    if rows and rows[0].action == "sign-in" and begun - rows[0].time <= _SIGNING_IN:
        rows = rows[1:]
    return rows[0].time if rows else None


def _counts(view: View, spans: Sequence[Span], by: Sequence[str]) -> list[Counter[tuple[str, ...]]]:
    """Incidents that began in each of consecutive spans (ns)."""
    return sorts_in_spans(view.console.catalogue, IncidentFilter(), spans, by, QUERY_SECONDS)


def _days(view: View, week: Sequence[Span]) -> list[DayLine]:
    found = []
    blank = uncaptured(view.console.catalogue, week, QUERY_SECONDS)
    by = ("verdict", "confidence", "kind", "outcome")
    for span, sorts, is_blank in zip(week, _counts(view, week, by), blank, strict=True):
        counts: Counter[str] = Counter()
        for sort, count in sorts.items():
            counts[_category(*sort)] += count
        found.append(
            DayLine(
                view.day(span[0]),
                counts,
                counts.total(),
                _address([], span),
                is_blank and not counts,
            )
        )
    return found


def _category(verdict: str, confidence: str, kind: str, outcome: str) -> str:
    """How an incident counts, as the pictures of reports have it."""
    if verdict != "violation":
        return verdict
    found = weight(confidence, kind, outcome)
    return "open" if found in ("unanswered", "probable") else found


def _sentence(view: View, days: Sequence[DayLine]) -> str:
    """What the time line shows: how many incidents, what is proved, on which day were most, and
    what was not captured."""
    number, most = view.language.number, max(days, key=lambda each: each.total)
    text = view.say(
        "Incidents: %(all)s, of which proved: %(proved)s; the most in a day: %(most)s, on %(day)s.",
        all=number(sum(day.total for day in days)),
        proved=number(sum(day.counts["proved"] for day in days)),
        most=number(most.total),
        day=view.language.day(most.day),
    )  # fmt: skip
    blank = [day.day for day in days if day.is_blank]
    return text + blank_sentence(blank, view.language)


def _worst(view: View, since: int, until: int | None) -> list[Listed]:
    """The most serious violations of a time (ns), by severity, then by how they count, then the
    newest. They are looked up sort by sort, so no more rows are read than are shown."""
    violations = frozenset({"violation"})
    wanted = IncidentFilter(since=since, until=until, verdict=violations)
    by = ("severity", "outcome", "kind", "confidence")
    counts = incident_counts(view.console.catalogue, wanted, by, timeout=QUERY_SECONDS)

    def rank(sort: tuple[Any, ...]) -> tuple[int, int]:
        severity, outcome, kind, confidence = sort
        place = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
        return place, WEIGHTS.index(weight(confidence, kind, outcome))

    found: list[Listed] = []
    for sort in sorted(counts, key=rank)[:_MOST_SORTS]:
        severity, outcome, kind, confidence = (frozenset({word}) for word in sort)
        one = IncidentFilter(
            since=since, until=until, verdict=violations, severity=severity, outcome=outcome,
            kind=kind, confidence=confidence,
        )  # fmt: skip
        page = incident_page(
            view.console.catalogue, one, size=_TOP - len(found), timeout=QUERY_SECONDS
        )
        found += [listed(view, row) for row in page.rows]
        if len(found) >= _TOP:
            break
    return found


def _top(
    view: View, name: str, span: Span, shown: Callable[[str], str] = str
) -> tuple[tuple[str, int, str], ...]:
    (found,) = _counts(view, [span], [name])
    return tuple(
        (shown(value), count, _address([(name, value)], span))
        for (value,), count in found.most_common(_TOP)
        if value
    )


def _top_devices(view: View, span: Span) -> tuple[tuple[str, int, str], ...]:
    column = tables.incident.c
    number = func.count().label("number")
    statement = (
        select(column.device, number)
        .where(column.shown == 1, column.first_seen >= span[0], column.first_seen < span[1])
        .group_by(column.device)
        .order_by(number.desc(), column.device)
        .limit(_TOP)
    )
    with view.console.catalogue.database.reading(QUERY_SECONDS) as connection:
        rows = connection.execute(statement).all()
    return tuple(
        (device, int(count), _address([("device", device)], span))
        for device, count in rows
        if device
    )


def _address(pairs: Sequence[tuple[str, str]], span: Span) -> str:
    """The list of the incidents of a time (ns)."""
    days = [*zip(TIMES, map(utc_text, span), strict=True)]
    return address_of("/incidents", [*days, *pairs])
