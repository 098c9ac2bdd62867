"""The first pages of those who oversee: of an auditor each ban with its answer, trend, last gap and
next review; of a data protection officer who looked at whom, requests of persons, what is deleted
next, and what was erased.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from netwatch.console.audit import Entry
from netwatch.console.filter_bar import WHOLE_DAYS, filter_bar
from netwatch.console.pages.oversight import journal_rows, kept_data
from netwatch.console.pages.reports import PERIOD, being_made, chosen_days, days_until_review
from netwatch.console.rendering import address_of
from netwatch.console.view import Answer, Page, View
from netwatch.report.collect import Wanted
from netwatch.report.labels import Summary, summary
from netwatch.report.page import report_language
from netwatch.report.values import BanReport
from netwatch.store.incident_rows import DAY

LOOKS = ("incident", "plain words", "case", "device", "person", "list", "export", "identify")
"""The actions of the audit by which somebody sees data on people."""

DAYS = 30
"""Days of the audit that the page of the data protection officer is about."""

MONTH = 30
"""Days in which a person has to be answered (GDPR article 12 (3): a month)."""

MAX_ROWS = 5000
"""Rows of the audit that are read for it, the newest."""

_SHOWN = 10
_PERSONS = 3
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BanOverview:
    """A ban: what the first page of a report says of it, its last day without a capture, and the
    days until its review, negative once it is over; None if there is none."""

    summary: Summary
    last_gap: str
    review: date | None
    review_in: int | None
    address: str


def show_bans(view: View) -> Answer:
    """The first page of an auditor."""
    chosen = chosen_days(view)
    wanted = Wanted(chosen.first, chosen.last)
    report = view.console.reports.shown(wanted)
    if report is None:
        return being_made(view, wanted)
    used = report_language(view.language.code)
    now, pairs = view.console.now(), view.query.kept(PERIOD)
    bans = {ban.id: ban for ban in view.console.config.policy.bans}
    rows = [
        BanOverview(
            summary(report, each, used),
            _last_gap(each),
            bans[each.id].review,
            days_until_review(bans[each.id], now),
            address_of(f"/bans/{each.id}", pairs),
        )
        for each in report.bans
        if each.id in bans
    ]
    span = [("from", chosen.first.isoformat()), ("to", chosen.last.isoformat())]
    values = {"bar": filter_bar(view, PERIOD, WHOLE_DAYS), "chosen": chosen, "rows": rows,
              "made": report.made, "span": span}  # fmt: skip
    return Page("overview", values, status=400 if chosen.problem else 200)


def _last_gap(ban: BanReport) -> str:
    return max((day for week in ban.weeks for day in week.missing), default="")


@dataclass(frozen=True, slots=True)
class Looker:
    """An account that looked at people: how often, at how many of them, the last ones by device
    with the address of each, and when last (ns)."""

    account: str
    role: str
    looks: int
    persons: int
    shown: tuple[tuple[str, str], ...]
    last: int
    address: str


@dataclass(frozen=True, slots=True)
class PersonRequest:
    """A person whose data was opened, by their device: since when (ns), until when they have to be
    answered, whether that is over, and whether a copy was made."""

    device: str
    opened: int
    due: int
    is_over: bool
    is_copied: bool
    address: str


def show_oversight(view: View) -> Answer:
    """The first page of a data protection officer."""
    now = view.console.now()
    entries = view.console.audit.newest(MAX_ROWS, start=max(0, now - DAYS * DAY))
    lookers = _lookers(entries)
    journal = journal_rows(view)
    values = {
        "lookers": lookers[:_SHOWN],
        "accounts": view.console.names.shown({each.account for each in lookers}),
        "more_lookers": max(0, len(lookers) - _SHOWN),
        "requests": _requests(entries, now)[:_SHOWN],
        "kept": [(each, _next_deletion(each.oldest, each.seconds)) for each in kept_data(view)],
        "erased": [row for row in journal if row[2] == "erase"][:_SHOWN],
        "now": now,
        "days": DAYS,
        "is_cut": len(entries) == MAX_ROWS,
    }
    return Page("oversight", values)


def _lookers(entries: Iterable[Entry]) -> list[Looker]:
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.action in LOOKS and entry.subject != "nobody":
            found.setdefault((entry.account, entry.role), []).append(entry)
    persons = {
        looker: tuple(dict.fromkeys(row.subject.partition(", ")[0] for row in rows))
        for looker, rows in found.items()
    }
    lookers = [
        Looker(
            account,
            role,
            len(rows),
            len(persons[account, role]),
            tuple(
                (
                    device := each.removeprefix("device "),
                    address_of("/person", [("device", device)]),
                )
                for each in persons[account, role][:_PERSONS]
            ),
            rows[0].time,
            address_of("/audit", [("range", "30d"), ("account", account)]),
        )
        for (account, role), rows in found.items()
    ]
    return sorted(lookers, key=lambda each: -each.looks)


def _requests(entries: Iterable[Entry], now: int) -> list[PersonRequest]:
    opened: dict[str, int] = {}
    copied: set[str] = set()
    for entry in entries:
        if entry.action == "person" and entry.subject != "nobody":
            opened[entry.subject.removeprefix("device ")] = entry.time
        elif entry.action == "export" and _detail(entry).get("path") == "/person.json":
            copied.add(entry.subject.removeprefix("device "))
    return [
        PersonRequest(
            device,
            at,
            at + MONTH * DAY,
            now > at + MONTH * DAY,
            device in copied,
            address_of("/person", [("device", device)]),
        )
        for device, at in sorted(opened.items(), key=lambda each: each[1])
    ]


def _detail(entry: Entry) -> Mapping[str, Any]:
    found = json.loads(entry.detail) if entry.detail else {}
    return found if isinstance(found, dict) else {}


def _next_deletion(oldest: int | None, seconds: int | None) -> int | None:
    """When the oldest row of a kind is due (ns)."""
    return None if oldest is None or seconds is None else oldest + seconds * _SECOND
