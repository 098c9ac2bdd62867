"""The page of now, which administrators and analysts see first: what is open, how the sensors are,
what waits, what is due, and for analysts what `netwatch.console.pages.analysis` finds.
"""

import hashlib
from collections.abc import Sequence

from sqlalchemy import func, select, tuple_

from netwatch.console.console import Console
from netwatch.console.lists import cursor_of, cursor_text
from netwatch.console.pages.analysis import CLOSED, analysis, open_counts
from netwatch.console.pages.incidents import QUERY_SECONDS, listed
from netwatch.console.pages.reports import days_until_review
from netwatch.console.pages.sensors import SILENT, cursor, shown_sensors
from netwatch.console.rendering import address_of
from netwatch.console.view import Answer, Events, Page, View
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

REVIEW_DAYS = 60
"""Days before its review from which a ban is due."""

MAX_NEWER = 100
"""Incidents that are counted while the page is paused; of more it is said that there are as many or
more."""

_LATEST = 10
_CARDS = 6  # more sensors than this are on their own page, and here those that are not well


def show_now(view: View) -> Answer:
    """The page."""
    console = view.console
    now = console.now()
    still = open_counts(console)
    recent = incident_counts(
        console.catalogue, IncidentFilter(since=max(0, now - 7 * DAY)), ["verdict"],
        timeout=QUERY_SECONDS,
    )  # fmt: skip
    latest = incident_page(console.catalogue, IncidentFilter(), size=_LATEST, timeout=QUERY_SECONDS)
    sensors = shown_sensors(view)
    unhealthy = sorted((sensor for sensor in sensors if not sensor.is_healthy), key=cursor)
    lossy = [sensor for sensor in sensors if sensor.is_healthy and sensor.is_lossy]
    is_analyst = view.role == "analyst"
    cards = [*unhealthy, *lossy] if is_analyst else unhealthy
    if not is_analyst and len(sensors) <= _CARDS:
        cards = sensors
    values = {
        "sensors": sensors,
        "healthy": len(sensors) - len(unhealthy),
        "cards": cards[:_CARDS],
        "more_sensors": max(0, len(cards) - _CARDS),
        "rejecting": sum(sensor.is_rejecting for sensor in sensors),
        "open_cases": open_cases(console.catalogue, timeout=QUERY_SECONDS),
        "is_centre": is_centre(console.catalogue),
        "open": {
            name: sum(count for sort, count in still.items() if sort[0] == name)
            for name in VERDICTS
        },
        "not_open": [("not-triage", state) for state in sorted(CLOSED)],
        "week": {verdict: recent.get((verdict,), 0) for verdict in VERDICTS},
        "rows": [listed(view, row) for row in latest.rows],
        "sees_devices": is_analyst,
        "analysis": analysis(view, now, still) if is_analyst else None,
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
    counts = incident_counts(
        console.catalogue, IncidentFilter(), ["verdict"], timeout=QUERY_SECONDS
    )  # fmt: skip
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
    shown = repr((sorted(counts.items()), console.triage.counts(), newest, said, silent))
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
