"""What oversight asks: what is held on one person, as GDPR article 15 asks, also as a file, and of
whom a pseudonym is; what is kept and for how long, what is due, and what was erased, pruned and
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
from netwatch.console.filter_bar import filter_bar, span_of, tidied, time_inputs
from netwatch.console.held import Held, HeldKind, copies, held, looks_at, overview
from netwatch.console.lists import csv_file, joined, json_file
from netwatch.console.pages.incidents import QUERY_SECONDS, listed, mistake_of, place_of
from netwatch.console.rendering import periods_of, words
from netwatch.console.view import Answer, Download, Page, Refused, View, bad_request
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.explain.subject import notice_of
from netwatch.formats.values import json_line, rfc3339
from netwatch.rules.bans import words_in
from netwatch.store import catalogue_tables as tables
from netwatch.store.bypass_rows import forget_old
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.incident_rows import DAY
from netwatch.store.person import Identity, identify, stored_clients, write_journal

_SECOND = 1_000_000_000
_ENTRIES = 100

MAX_PROBLEMS = 50
"""Mistakes in files that are shown."""

PAGE = 50
"""Rows of a page."""

FILTERS = ("range", "from", "to", "account", "action", "subject")
"""The values of an address that filter the list."""

_RANGES = ("24h", "7d", "30d")

ACTIONS = (
    "incident", "plain words", "device", "person", "list", "export", "identify", "purpose",
    "triage", "exemption draft",
    "sign-in", "sign-in failed", "sign-in limited", "sign-out", "sign-out everywhere",
    "password changed", "account added", "account removed", "role changed", "filter shared",
    "filter unshared", "token added",
    "token removed",
)  # fmt: skip
"""What rows are about."""

_COLUMNS = ("number", "time", "account", "role", "action", "subject", "purpose", "detail",
            "address", "hash")  # fmt: skip
_BATCH = 500

SCHEMA = "netwatch.person/1"
"""The schema of the file, with its version."""

_SHOWN = 50


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
    values = {"kept": kept_data(view), "journal": journal_rows(view)}
    return Page("retention", values)


def kept_data(view: View) -> list[Kept]:
    """What is kept, by kind."""
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
        hidden = tables.bypass.c
        rows, day = connection.execute(select(func.count(), func.min(hidden.day))).one()
    keep = retention.incidents if retention else None
    old = 0
    if retention is not None:
        old = forget_old(view.console.catalogue, retention, now // _SECOND, dry_run=True)
    first = None if day is None else int(day) * DAY
    found.append(Kept(say("Hidden lookups"), int(rows), first, keep, old))
    return found


def _limit(now: int, keep: int | None) -> int:
    """Rows before this moment (ns) are due."""
    return 0 if keep is None else now - keep * _SECOND


def journal_rows(view: View) -> list[tuple[int, str, str, Mapping[str, Any]]]:
    """The newest rows of the journal of the store: when, by whom, what, and its detail."""
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
    query, problem, place = view.query, "", ""
    after = query.text("after")
    before = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else None
    try:
        if (tidy := tidied(view, FILTERS)) is not None:
            return tidy
        rows = _rows(view, PAGE + 1, before)
    except Refused as refused:
        rows, problem, place = [], mistake_of(refused), place_of(refused)
    pairs = query.kept(FILTERS)
    older = [*pairs, ("after", str(rows[PAGE - 1].number))] if len(rows) > PAGE else []
    is_whole = not pairs and before is None
    values = {
        "problem": problem,
        "problem_at": place,
        "bar": filter_bar(view, FILTERS, _RANGES),
        "rows": rows[:PAGE],
        "accounts": view.console.names.shown({row.account for row in rows}),
        "older": older,
        "is_first": before is None,
        "pairs": pairs,
        "wanted": {name: query.text(name) for name in FILTERS} | time_inputs(view),
        "actions": ACTIONS,
        "head": rows[0].hash if rows and is_whole else "",
    }
    status = 400 if problem else 200
    return Page("audit", values, status=status, detail={"filter": dict(pairs)})


def _rows(view: View, limit: int, before: int | None) -> list[Entry]:
    query = view.query
    account, (start, end) = query.text("account"), span_of(view)
    return view.console.audit.newest(
        limit, before, accounts=view.console.names.called(account) if account else (),
        action=query.text("action"),
        subject=query.text("subject"), start=start, end=end,
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


@dataclass(frozen=True, slots=True)
class ShownKind:
    """A kind of data in words: what it is, why it is kept, and for how long where that is no time
    after its date."""

    kind: HeldKind
    what: str
    why: str
    rule: str


def show_person(view: View) -> Answer:
    """The form, and for a device what is held on it."""
    device = view.query.text("device")
    if not device:
        return Page("person", _values(), subject="nobody")
    return Page("person", _values(_shown(view, device)), subject=f"device {device}")


def export_person(view: View) -> Answer:
    """All that is held on a device, as one JSON file: the copy of GDPR article 15 (3)."""
    device = view.query.text("device")
    if not device:
        raise bad_request(view.say("The address has no device."))
    found = held(view.console, device, QUERY_SECONDS)
    return Download(
        "person.json", "application/json", joined(_file(view, found)), f"device {device}"
    )


def identify_pseudonym(view: View) -> Answer:
    """Of whom a pseudonym is. It is in the journal of the store and in the audit before it is
    shown."""
    console, text = view.console, view.form.text("pseudonym")
    reason = view.form.text("reason")
    privacy = console.config.privacy
    found, message = None, ""
    if not text or not reason:
        message = view.say("A pseudonym and a reason are needed.")
    elif privacy is None:
        message = view.say("The configuration has no key of pseudonyms.")
    else:
        try:
            write_journal(console.catalogue, view.who.account, text, reason)
            found = identify(
                text, privacy.keys, console.config.devices.entries,
                stored_clients(console.catalogue, privacy.sealing),
                console.config.networks.scopes,
            )  # fmt: skip
            message = "" if found else view.say("It is not known whose pseudonym this is.")
        except NetwatchError as error:
            message = str(error)
    values = _values(found=found, pseudonym=text, message=message, reason=reason)
    detail = {"reason": reason, "found": found is not None}
    status = 200 if found else 422
    return Page("person", values, f"pseudonym {text[:80] or '-'}", status, detail=detail)


def _values(
    shown: Mapping[str, Any] | None = None,
    found: Identity | None = None,
    pseudonym: str = "",
    message: str = "",
    reason: str = "",
) -> dict[str, object]:
    return {
        "held": shown,
        "found": found,
        "pseudonym": pseudonym,
        "message": message,
        "reason": reason,
    }


def _shown(view: View, device: str) -> dict[str, Any]:
    """What the page says of a device."""
    found = held(view.console, device, QUERY_SECONDS)
    wanted = IncidentFilter(device=frozenset(found.ids))
    page = incident_page(view.console.catalogue, wanted, size=_SHOWN, timeout=QUERY_SECONDS)
    texts = _texts(view)
    # Together, with the newest first: who looks often must not hide the others.
    times: dict[tuple[str, ...], list[int]] = {}
    for each in found.looks:
        key = (each.account, each.role, each.action, each.purpose)
        times.setdefault(key, []).append(each.time)
    looks = [(at[0], *key, len(at)) for key, at in times.items()]
    return {
        "device": device,
        "kinds": [ShownKind(kind, *texts[kind.code], _rule(view, kind)) for kind in found.kinds],
        "places": len({(kind.network, kind.sensor) for kind in found.kinds if kind.network}),
        "looks": looks[:_SHOWN],
        "accounts": view.console.names.shown({account for account, *_ in [*times][:_SHOWN]}),
        "more_looks": len(looks[_SHOWN:]),
        "incidents": [listed(view, row) for row in page.rows],
        "more": page.following is not None,
        "notice": notice_of(view.console.config),
        "bases": [
            (ban.id, words_in(ban, view.language.code).legal_basis)
            for ban in view.console.config.policy.bans
        ],
        "recipients": [output.name for output in view.console.config.outputs],
    }


def _texts(view: View) -> dict[str, tuple[str, str]]:
    """Of each kind of data what it is, and why it is kept."""
    say = view.say
    again = say("to judge again if signatures or bans change, and to show how much could be read")
    verdict = say("to show whether a ban was complied with, and by what evidence")
    return {
        "inventory": (
            say("Rows of the inventory: id, addresses, host name, owner"),
            say("to tell devices and their classes apart"),
        ),
        "client": (say("Addresses, MACs and their network"), say("facts refer to them")),
        "observation": (say("Observations: names that it showed, and servers"), again),
        "flow": (say("Flows: with whom, when and how much, without content"), again),
        "claim": (
            say("Address claims: which address and host name it had"),
            say("to find the device behind an address"),
        ),
        "incident": (say("Incidents"), verdict),
        "case": (say("Cases: incidents as several sensors saw them"), verdict),
        "triage": (
            say("What was decided of its incidents: states, reasons and notes"),
            say("to follow up alarms, and to find false ones"),
        ),
        "evidence": (
            say("Evidence captures: the packets that prove an incident"),
            say("so that others can verify an incident"),
        ),
        "coverage": (
            say("Records of coverage: flows of the device with and without a name"),
            say("to show what could not be seen"),
        ),
        "bypass": (
            say("Days on which its lookups were not visible, with addresses that it contacted"),
            say("to show what could not be seen"),
        ),
        "audit": (
            say("Rows of the audit: who looked at it"), say("to show who looked at it, and why"),
        ),
    }  # fmt: skip


def _rule(view: View, kind: HeldKind) -> str:
    say = view.say
    return {
        "time": "",
        "facts": say("as long as there are facts of them"),
        "yours": say("as long as it is in your file"),
        "record": say("not deleted by netwatch"),
    }[kind.rule]


def _file(view: View, found: Held) -> Iterator[bytes]:
    """The file, piece by piece."""
    console = view.console
    notice = notice_of(console.config)
    head = {
        "schema": SCHEMA,
        "device": found.device,
        "known_as": [*found.ids],
        "made": rfc3339(console.now(), 0),
        "controller": notice.controller,
        "contact": notice.contact,
        "supervisor": notice.supervisor,
        "purposes": [
            {"ban": ban.id, "legal_basis": ban.legal_basis} for ban in console.config.policy.bans
        ],
        "recipients": [output.name for output in console.config.outputs],
        "kinds": [overview(kind) for kind in found.kinds],
    }
    yield json_line(head).removesuffix("}").encode()
    for name, values in copies(console, found):
        yield f',\n"{name}":['.encode()
        for number, value in enumerate(values):
            text = json_line(value) if isinstance(value, dict) else json_line({"path": value})
            yield f"{',' if number else ''}\n{text}".encode()
        yield b"]"
    entries = looks_at(console, found.ids)
    names = console.names.of({entry.account for entry in entries})
    looks = ",\n".join(json_line(entry_record(entry, names)) for entry in entries)
    yield f',\n"looks":[{looks}]}}\n'.encode()
