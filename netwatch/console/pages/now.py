"""The page of now, which administrators and analysts see first: what is open, what is new since the
last visit, the last week, how the sensors are, what waits, what is due.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select, tuple_

from netwatch.charts.weeks import CATEGORIES, category_words
from netwatch.console.console import Console
from netwatch.console.filter_bar import utc_text
from netwatch.console.lists import cursor_of, cursor_text
from netwatch.console.pages.incidents import QUERY_SECONDS, listed
from netwatch.console.pages.reports import days_until_review
from netwatch.console.pages.sensors import SILENT, cursor, shown_sensors
from netwatch.console.rendering import address_of
from netwatch.console.view import Answer, Events, Page, View
from netwatch.core.verdict import Severity
from netwatch.incidents.alert_parts import severity_of
from netwatch.report.answer import weight
from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import is_centre, open_cases
from netwatch.store.incident_pages import (
    Cursor,
    IncidentFilter,
    IncidentRow,
    incident_counts,
    incident_page,
)
from netwatch.store.incident_rows import DAY, VERDICTS
from netwatch.store.list_totals import incident_total

OPEN = frozenset({"open", "update"})
"""The states of incidents that may go on."""

REVIEW_DAYS = 60
"""Days before its review from which a ban is due."""

WEEK = 7
"""Days of the time line."""

MAX_NEWER = 100
"""Incidents that are counted while the page is paused; of more it is said that there are as many or
more."""

_LATEST = 10
_CARDS = 6  # more sensors than this are on their own page, and here those that are not well
_TOP = 5
_SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")
_SIGNING_IN = 60 * 1_000_000_000


def show_now(view: View) -> Answer:
    """The page."""
    console = view.console
    now = console.now()
    open_now = incident_counts(
        console.catalogue, IncidentFilter(status=OPEN), ["verdict"], timeout=QUERY_SECONDS
    )
    recent = incident_counts(
        console.catalogue, IncidentFilter(since=max(0, now - 7 * DAY)), ["verdict"],
        timeout=QUERY_SECONDS,
    )  # fmt: skip
    latest = incident_page(console.catalogue, IncidentFilter(), size=_LATEST, timeout=QUERY_SECONDS)
    sensors = shown_sensors(view)
    unhealthy = sorted((sensor for sensor in sensors if not sensor.is_healthy), key=cursor)
    cards = sensors if len(sensors) <= _CARDS else unhealthy
    values = {
        "sensors": sensors,
        "healthy": len(sensors) - len(unhealthy),
        "cards": cards[:_CARDS],
        "more_sensors": max(0, len(cards) - _CARDS),
        "rejecting": sum(sensor.is_rejecting for sensor in sensors),
        "open_cases": open_cases(console.catalogue, timeout=QUERY_SECONDS),
        "is_centre": is_centre(console.catalogue),
        "open": {verdict: open_now.get((verdict,), 0) for verdict in VERDICTS},
        "week": {verdict: recent.get((verdict,), 0) for verdict in VERDICTS},
        "rows": [listed(view, row) for row in latest.rows],
        "sees_devices": view.role == "analyst",
        "analysis": _analysis(view, now) if view.role == "analyst" else None,
        "reviews": _reviews(view, now),
        "signatures": console.config.catalog.version,
        "set_age": _set_age(view, now),
        "last_capture": _last_capture(view),
        "now": now,
        "events": _events_address(console, latest.rows),
        "most_newer": MAX_NEWER,
    }
    return Page("now", values)


def events(view: View) -> Answer:
    """Events for the script of the page: an incident is new or ended, or a sensor said something
    or fell silent. Each is a digest, and how many incidents are newer than the newest that the page
    has, up to `MAX_NEWER`."""
    console, session, shown = view.console, view.who.session, cursor_of(view)

    def state() -> str | None:
        if not console.sessions.is_open(session):
            return None
        return f"{_store_state(console)} {_newer(console, shown)}"

    return Events(state, f"{view.query.text('state')} 0", view.who.account)


def _events_address(console: Console, rows: Sequence[IncidentRow]) -> str:
    """The address of the events that begin with what the page shows, the newest row first."""
    place = [("after", cursor_text(Cursor(row.first_seen, row.id))) for row in rows[:1]]
    return address_of("/now/events", [("state", _store_state(console)), *place])


def _newer(console: Console, shown: Cursor | None) -> int:
    column = tables.incident.c
    found = select(column.id).where(column.shown == 1)
    if shown is not None:
        found = found.where(tuple_(column.first_seen, column.id) > (shown.first_seen, shown.id))
    with console.catalogue.database.reading(QUERY_SECONDS) as connection:
        return connection.execute(
            select(func.count()).select_from(found.limit(MAX_NEWER).subquery())
        ).scalar_one()


def _store_state(console: Console) -> str:
    """What the page shows, as a digest."""
    open_now = incident_counts(
        console.catalogue, IncidentFilter(status=OPEN), ["verdict"], timeout=QUERY_SECONDS
    )
    incident, sensor = tables.incident.c, tables.fleet_sensor.c
    with console.catalogue.database.reading(QUERY_SECONDS) as connection:
        newest = connection.execute(
            select(incident.first_seen, incident.id)
            .where(incident.shown == 1)
            .order_by(incident.first_seen.desc(), incident.id.desc())
            .limit(1)
        ).all()
        said = connection.execute(select(sensor.name, sensor.heard).order_by(sensor.name)).all()
    now = console.now()
    silent = [sensor.heard is None or now - sensor.heard > SILENT for sensor in said]
    shown = repr((sorted(open_now.items()), newest, said, silent))
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def _reviews(view: View, now: int) -> list[tuple[str, int]]:
    """The bans whose review is near or over, with the days until then."""
    found = [
        (ban.id, days)
        for ban in view.console.config.policy.bans
        if (days := days_until_review(ban, now)) is not None and days <= REVIEW_DAYS
    ]
    return sorted(found, key=lambda each: each[1])


def _set_age(view: View, now: int) -> float | None:
    """How long ago (s) the installed set of signatures was made; None for those of the release."""
    installed = view.console.config.installed
    return None if installed is None else now / 1e9 - installed.created.timestamp()


def _last_capture(view: View) -> int | None:
    with view.console.catalogue.database.reading(QUERY_SECONDS) as connection:
        return connection.execute(select(func.max(tables.capture.c.last))).scalar()


@dataclass(frozen=True, slots=True)
class DayLine:
    """A day (UTC) of the time line: its date, how many incidents of each category began, in all,
    and the addresses of the list of them."""

    day: str
    counts: Mapping[str, int]
    total: int
    address: str


@dataclass(frozen=True, slots=True)
class Top:
    """What has the most incidents of the time line, by name: how many, and their addresses."""

    label: str
    rows: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analyst sees first. `since` is when the last visit ended (ns), None for the first
    one, and `new` how many incidents began since, with the address of them; `severities` are those
    of open incidents. The time line ends today, or with the last incident if that is older; then it
    `is_old`."""

    since: int | None
    new: int
    new_address: str
    severities: Mapping[str, int]
    days: tuple[DayLine, ...]
    categories: Mapping[str, str]
    is_old: bool
    most: int
    tops: tuple[Top, ...]


def _analysis(view: View, now: int) -> Analysis:
    catalogue = view.console.catalogue
    since = _last_visit(view)
    new = 0
    if since is not None:
        new = incident_total(catalogue, IncidentFilter(since=since), QUERY_SECONDS) or 0
    end = now // DAY + 1
    first, is_old = end - WEEK, False
    if not _counts(view, first, end, ["verdict"]):
        newest = incident_page(catalogue, IncidentFilter(), size=1, timeout=QUERY_SECONDS).rows
        if newest:
            end, is_old = newest[0].first_seen // DAY + 1, True
            first = end - WEEK
    days = _days(view, first, end)
    used = {name for day in days for name, count in day.counts.items() if count}
    called = category_words(view.language)
    return Analysis(
        since,
        new,
        address_of("/incidents", [("from", utc_text(since))]) if since is not None else "",
        _severities(view),
        tuple(days),
        {name: called[name] for name in CATEGORIES if name in used},
        is_old,
        max((day.total for day in days), default=0),
        (
            Top(view.say("Devices"), _top_devices(view, first, end)),
            Top(view.say("Apps"), _top(view, "app", first, end)),
            Top(view.say("Networks"), _top(view, "network", first, end)),
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


def _counts(view: View, first: int, end: int, by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
    """Incidents from a day up to, but without, another one (UTC, days since the epoch)."""
    wanted = IncidentFilter(since=first * DAY, until=end * DAY)
    return incident_counts(view.console.catalogue, wanted, by, timeout=QUERY_SECONDS)


def _days(view: View, first: int, end: int) -> list[DayLine]:
    by_day: dict[int, Counter[str]] = {day: Counter() for day in range(first, end)}
    by = ("day", "verdict", "confidence", "kind", "outcome")
    for (day, verdict, *sorts), count in _counts(view, first, end, by).items():
        by_day[int(day)][_category(verdict, *sorts)] += count
    return [
        DayLine(
            datetime.fromtimestamp(day * 86_400, UTC).date().isoformat(),
            counts,
            counts.total(),
            _address([], day, day + 1),
        )
        for day, counts in by_day.items()
    ]


def _category(verdict: str, confidence: str, kind: str, outcome: str) -> str:
    """How an incident counts, as the pictures of reports have it."""
    if verdict != "violation":
        return verdict
    found = weight(confidence, kind, outcome)
    return "open" if found in ("unanswered", "probable") else found


def _severities(view: View) -> Mapping[str, int]:
    """The open violations by severity, the highest first; those of bans that are not in the
    configuration any more are not known."""
    bans = {ban.id: ban.severity for ban in view.console.config.policy.bans}
    wanted = IncidentFilter(status=OPEN, verdict=frozenset({"violation"}))
    found: Counter[str] = Counter()
    counts = incident_counts(
        view.console.catalogue, wanted, ["ban", "outcome", "kind"], timeout=QUERY_SECONDS
    )
    for (ban, outcome, kind), count in counts.items():
        if ban in bans:
            found[severity_of(bans[ban], outcome, kind)] += count
    return {severity: found[severity] for severity in _SEVERITIES}


def _top(view: View, name: str, first: int, end: int) -> tuple[tuple[str, int, str], ...]:
    found = Counter({value: count for (value,), count in _counts(view, first, end, [name]).items()})
    return tuple(
        (value, count, _address([(name, value)], first, end))
        for value, count in found.most_common(_TOP)
        if value
    )


def _top_devices(view: View, first: int, end: int) -> tuple[tuple[str, int, str], ...]:
    column = tables.incident.c
    number = func.count().label("number")
    statement = (
        select(column.device, number)
        .where(column.shown == 1, column.first_seen >= first * DAY, column.first_seen < end * DAY)
        .group_by(column.device)
        .order_by(number.desc(), column.device)
        .limit(_TOP)
    )
    with view.console.catalogue.database.reading(QUERY_SECONDS) as connection:
        rows = connection.execute(statement).all()
    return tuple(
        (device, int(count), _address([("device", device)], first, end))
        for device, count in rows
        if device
    )


def _address(pairs: Sequence[tuple[str, str]], first: int, end: int) -> str:
    """The list of the incidents of some days."""
    days = [("from", utc_text(first * DAY)), ("to", utc_text(end * DAY))]
    return address_of("/incidents", [*days, *pairs])
