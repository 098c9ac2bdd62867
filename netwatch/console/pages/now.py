"""What an administrator sees first: what is open, how the sensors are, what waits, what is due."""

import hashlib

from sqlalchemy import func, select

from netwatch.console.answers import Answer, Events, Page
from netwatch.console.console import Console
from netwatch.console.pages.bans import days_until_review
from netwatch.console.pages.incidents import QUERY_SECONDS, listed
from netwatch.console.pages.sensors import SILENT, cursor, shown_sensors
from netwatch.console.view import View
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_pages import is_centre, open_cases
from netwatch.store.incident_pages import IncidentFilter, incident_counts, incident_page
from netwatch.store.incident_rows import DAY, VERDICTS

OPEN = frozenset({"open", "update"})
REVIEW_DAYS = 60
_LATEST = 10
_CARDS = 6  # more sensors than this are on their own page, and here those that are not well


def show(view: View) -> Answer:
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
    unhealthy = sorted((each for each in sensors if not each.is_healthy), key=cursor)
    cards = sensors if len(sensors) <= _CARDS else unhealthy
    values = {
        "sensors": sensors,
        "healthy": len(sensors) - len(unhealthy),
        "cards": cards[:_CARDS],
        "more_sensors": max(0, len(cards) - _CARDS),
        "rejecting": sum(each.is_rejecting for each in sensors),
        "open_cases": open_cases(console.catalogue, timeout=QUERY_SECONDS),
        "is_centre": is_centre(console.catalogue),
        "open": {verdict: open_now.get((verdict,), 0) for verdict in VERDICTS},
        "week": {verdict: recent.get((verdict,), 0) for verdict in VERDICTS},
        "rows": [listed(view, row) for row in latest.rows],
        "sees_devices": view.role == "analyst",
        "reviews": _reviews(view, now),
        "signatures": console.config.catalog.version,
        "set_age": _set_age(view, now),
        "last_capture": _last_capture(view),
        "now": now,
        "state": _state(console),
    }
    return Page("now", values)


def events(view: View) -> Answer:
    """Events for the script of the page: an incident is new or ended, or a sensor said something
    or fell silent."""
    console, session = view.console, view.who.session

    def state() -> str | None:
        return _state(console) if console.sessions.is_open(session) else None

    return Events(state, view.query.text("state"))


def _state(console: Console) -> str:
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
    silent = [each.heard is None or now - each.heard > SILENT for each in said]
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
