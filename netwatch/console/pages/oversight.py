"""What oversight asks: what is kept and for how long, what is due, and what was erased, pruned and
identified; the configuration that the console uses, read only, and whether the files on the disk
still say the same and are valid; and the audit: who looked at whom and why, what was exported, who
signed in.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select

from netwatch.config import Config, load
from netwatch.console.audit import Entry, entry_record
from netwatch.console.lists import csv_file, json_file, tidied, time_inputs
from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.rendering import periods_of, words
from netwatch.console.view import Answer, Page, View
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.formats.values import json_line
from netwatch.rules.bans import words_in
from netwatch.store import catalogue_tables as tables
from netwatch.store.incident_rows import DAY

_SECOND = 1_000_000_000
_ENTRIES = 100

MAX_PROBLEMS = 50
"""Mistakes in files that are shown."""

PAGE = 50
"""Rows of a page."""

FILTERS = ("from", "to", "account", "action", "subject")
"""The values of an address that filter the list."""

ACTIONS = (
    "incident", "plain words", "device", "person", "list", "export", "identify", "purpose",
    "sign-in", "sign-in failed", "sign-in limited", "sign-out", "sign-out everywhere",
    "password changed", "account added", "account removed", "role changed",
)  # fmt: skip
"""What rows are about."""

_COLUMNS = ("number", "time", "account", "role", "action", "subject", "purpose", "detail",
            "address", "hash")  # fmt: skip
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of data: since when there is some (ns), how long it is kept (s), and how many rows are
    older than that now; what stays for ever has no `seconds`."""

    what: str
    rows: int
    oldest: int | None
    seconds: int | None
    due: int


def show_retention(view: View) -> Answer:
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


def show_configuration(view: View) -> Answer:
    """The page of the configuration."""
    config = view.console.config
    now = view.console.now()
    problems, is_current = _check(config)
    kept = config.retention
    called = words(view.language)
    values = {
        "config": config,
        "problems": problems[:MAX_PROBLEMS],
        "more_problems": len(problems) > MAX_PROBLEMS,
        "is_current": is_current,
        "networks": [
            (scope.network.name, called[scope.network.device_class],
             ", ".join(map(str, scope.ranges)), scope.network.authority or "")
            for scope in config.networks.scopes
        ],
        "bans": [
            (ban.id, words_in(ban, view.language.code).authority, periods_of(ban, view.language),
             called[config.policy.state(ban, now)])
            for ban in config.policy.bans
        ],
        "devices": config.devices.entries.count_at(now),
        "outputs": [(output.name, output.type) for output in config.outputs],
        "retention": [
            (view.say("Observations, flows and claims"), kept.observations if kept else None),
            (view.say("The same of personal devices and guests"), kept.personal if kept else None),
            (view.say("Incidents and coverage"), kept.incidents if kept else None),
            (view.say("Evidence captures"), kept.evidence if kept else None),
        ],
    }  # fmt: skip
    return Page("configuration", values)


def _check(config: Config) -> tuple[list[str], bool]:
    """The mistakes in the files as they are now, and whether they still say what is in use."""
    try:
        found = load(config.path)
    except ConfigError as error:
        return [str(problem) for problem in error.problems], False
    except NetwatchError as error:
        return [str(error)], False
    return [], found.version == config.version


def show_audit(view: View) -> Answer:
    """One page of the audit, the newest rows first."""
    query = view.query
    if (tidy := tidied(view, FILTERS)) is not None:
        return tidy
    after = query.text("after")
    before = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else None
    rows = _rows(view, PAGE + 1, before)
    pairs = query.kept(FILTERS)
    older = [*pairs, ("after", str(rows[PAGE - 1].number))] if len(rows) > PAGE else []
    is_whole = not pairs and before is None
    values = {
        "rows": rows[:PAGE],
        "accounts": view.console.names.shown({row.account for row in rows}),
        "older": older,
        "is_first": before is None,
        "pairs": pairs,
        "wanted": {name: query.text(name) for name in FILTERS} | time_inputs(view),
        "actions": ACTIONS,
        "head": rows[0].hash if rows and is_whole else "",
    }
    return Page("audit", values, detail={"filter": dict(pairs)})


def _rows(view: View, limit: int, before: int | None) -> list[Entry]:
    query = view.query
    account = query.text("account")
    return view.console.audit.newest(
        limit, before, accounts=view.console.names.called(account) if account else (),
        action=query.text("action"),
        subject=query.text("subject"), start=query.moment("from"), end=query.moment("to"),
    )  # fmt: skip


def export_csv(view: View) -> Answer:
    """The filtered rows as CSV."""
    rows = (
        replace(row, account=accounts[row.account])
        for rows in _all(view)
        for accounts in [view.console.names.shown({row.account for row in rows})]
        for row in rows
    )
    return csv_file(view, "audit", FILTERS, _COLUMNS, rows)


def export_lines(view: View) -> Answer:
    """The filtered rows as JSON lines, with the hashes of the chain."""
    records = (
        json_line(entry_record(row, names))
        for rows in _all(view)
        for names in [view.console.names.of({row.account for row in rows})]
        for row in rows
    )
    return json_file(view, "audit", FILTERS, records)


def _all(view: View) -> Iterator[list[Entry]]:
    # What cannot be read is refused here, before anything is sent.
    _rows(view, 1, None)
    return _behind(view)


def _behind(view: View) -> Iterator[list[Entry]]:
    before = None
    while rows := _rows(view, _BATCH, before):
        yield rows
        before = rows[-1].number
