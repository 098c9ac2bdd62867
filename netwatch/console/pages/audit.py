"""The audit: who looked at whom and why, what was exported, who signed in."""

from collections.abc import Iterator
from dataclasses import replace

from netwatch.console.answers import Answer, Page
from netwatch.console.audit import Entry, entry_record
from netwatch.console.lists import csv_file, json_file, tidied, time_inputs
from netwatch.console.view import View
from netwatch.formats.values import json_line

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


def show(view: View) -> Answer:
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
