"""What is kept and for how long, what is due, and what was erased, pruned and identified."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from netwatch.console.answers import Answer, Page
from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.view import View
from netwatch.store import catalogue_tables as tables
from netwatch.store.incident_rows import DAY

_SECOND = 1_000_000_000
_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of data: since when there is some (ns), how long it is kept (s), and how many rows are
    older than that now; what stays for ever has no `seconds`."""

    what: str
    rows: int
    oldest: int | None
    seconds: int | None
    due: int


def show(view: View) -> Answer:
    """The page of retention."""
    values = {"kept": _kept(view), "journal": _journal(view)}
    return Page("retention", values)


def _kept(view: View) -> list[Kept]:
    retention, say, now = view.console.config.retention, view.say, view.console.now()
    file, days, evidence = tables.file.c, tables.incident_day.c, tables.evidence.c
    found = []
    with view.console.catalogue.database.reading(QUERY_SECONDS) as connection:
        keep = retention.observations if retention else None
        rows, oldest = connection.execute(select(func.sum(file.rows), func.min(file.first))).one()
        due = select(func.sum(file.rows)).where(file.last < _limit(now, keep))
        found.append(
            Kept(say("Observations, flows and claims"), int(rows or 0), oldest, keep,
                 int(connection.execute(due).scalar() or 0))
        )  # fmt: skip
        keep = retention.incidents if retention else None
        rows, day = connection.execute(select(func.sum(days.incidents), func.min(days.day))).one()
        due = select(func.sum(days.incidents)).where(days.day < _limit(now, keep) // DAY)
        found.append(
            Kept(say("Incidents"), int(rows or 0), None if day is None else int(day) * DAY, keep,
                 int(connection.execute(due).scalar() or 0))
        )  # fmt: skip
        keep = retention.evidence if retention else None
        ours = evidence.incident.is_not(None)
        rows, oldest = connection.execute(
            select(func.count(), func.min(evidence.stored)).where(ours)
        ).one()
        due = select(func.count()).where(ours, evidence.stored < _limit(now, keep))
        found.append(
            Kept(say("Evidence captures"), int(rows), oldest, keep,
                 int(connection.execute(due).scalar_one()))
        )  # fmt: skip
    return found


def _limit(now: int, keep: int | None) -> int:
    """Rows before this moment (ns) are due."""
    return 0 if keep is None else now - keep * _SECOND


def _journal(view: View) -> list[tuple[int, str, str, Mapping[str, Any]]]:
    journal = tables.journal
    with view.console.catalogue.database.reading(QUERY_SECONDS) as connection:
        rows = connection.execute(
            select(journal).order_by(journal.c.id.desc()).limit(_ENTRIES)
        ).all()
    return [(row.time, row.user, row.action, json.loads(row.detail)) for row in rows]
