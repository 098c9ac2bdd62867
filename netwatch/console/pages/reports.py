"""The reports for the authority: which periods there are, and each as a page, a PDF or JSON."""

import time
from collections.abc import Iterator
from datetime import date, timedelta

from sqlalchemy import func, select

from netwatch.console.answers import Answer, Download, Page, bad_request
from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.period_reports import days_of
from netwatch.console.view import View
from netwatch.core.errors import ConfigError
from netwatch.core.period import day_at
from netwatch.report.collect import Wanted, common_timezone
from netwatch.report.pdf import require_weasyprint
from netwatch.store import catalogue_tables as tables
from netwatch.store.incident_rows import DAY

MAX_MONTHS = 24
"""Months that are listed, the last ones."""


def show(view: View) -> Answer:
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
    if ban and ban not in {each.id for each in view.console.config.policy.bans}:
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
        raise bad_request(view.say("PDF needs the extra netwatch[report] on the server.")) from None


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
    months = _months_between(day_at(int(first), zone), day_at(int(last), zone))
    return list(months)[:MAX_MONTHS]


def _months_between(first: date, last: date) -> Iterator[tuple[date, date]]:
    begin = last.replace(day=1)
    while begin >= first.replace(day=1):
        following = (begin + timedelta(days=32)).replace(day=1)
        yield begin, following - timedelta(days=1)
        begin = (begin - timedelta(days=1)).replace(day=1)
