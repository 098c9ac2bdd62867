"""What is decided of incidents: the form of one, that of a selection of the list, and an exemption
to copy; and the rules with false alarms, for who maintains signatures.

A change is in the audit under its person, in one transaction, and goes to the outputs that the
configuration names.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from netwatch.console.exemption_draft import Draft, draft, examine
from netwatch.console.pages import incident as incident_page
from netwatch.console.pages.incident import device_of
from netwatch.console.rendering import address_of
from netwatch.console.triage import MAX_NOTE, MAX_REASON, Change, OutdatedError
from netwatch.console.triage_form import change_of, form_of, problem_of, state_words, told
from netwatch.console.view import (
    MAX_VALUE,
    Answer,
    Page,
    Redirect,
    View,
    bad_request,
    not_found,
    parse_pairs,
)
from netwatch.core.alert import AlertRecord
from netwatch.store.incident_pages import PAGE, incident_row


def decide(view: View) -> Answer:
    """Change the state of one incident, and go back to its page."""
    record, change = record_at(view), change_of(view)
    problem = problem_of(view, change)
    if not problem:
        version = view.form.text("version")
        expected = int(version) if version.isascii() and version.isdigit() else None
        try:
            make_change(view, record, change, expected)
        except OutdatedError:
            problem = view.say(
                "Somebody else has changed this incident in the meantime: see below."
            )
        else:
            return Redirect(f"/incidents/{record['id']}#triage")
    page = incident_page.show(view, problem)
    return replace(page, status=422, detail={"refused": True})


def make_change(
    view: View, record: AlertRecord, change: Change, version: int | None = None
) -> None:
    """Change the triage of an incident, with a row in the audit. Outputs are told of a new state.
    Raises `OutdatedError`."""
    console, who, account = view.console, view.who, view.who.account
    purpose = who.purpose or console.sessions.purpose(who.session, device_of(record))
    with console.database.together():
        before, after = console.triage.change(
            record, change, account, version, is_to_tell=bool(console.options.triage_outputs)
        )
        console.audit.add(
            "triage", account=account, role=who.role, subject=subject_of(record), purpose=purpose,
            address=view.address, detail={"path": view.place, **told(before, after, change)},
        )  # fmt: skip
    if after.state != before.state:
        console.tell_triage()


def record_at(view: View) -> AlertRecord:
    """The record of the incident that the address names. Raises `Refused` if there is none."""
    row = incident_row(view.console.catalogue, view.path["id"])
    if row is None:
        raise not_found(view.say("There is no such incident."))
    record: AlertRecord = json.loads(row.record)
    return record


def subject_of(record: AlertRecord) -> str:
    """Whom and what a change is about, for the audit."""
    return f"{device_of(record)}, incident {record['id']}"


# The selection of a list.


def persons_of_selection(view: View) -> tuple[str, ...]:
    """Whom a change of several incidents is about; nobody as long as it is only being asked
    for."""
    change = change_of(view)
    if problem_of(view, change):
        return ()
    return tuple(dict.fromkeys(map(device_of, _selected(view))))


def _selected(view: View) -> list[AlertRecord]:
    """The records of the incidents that a form selects. Raises `Refused` for too many, and for one
    that there is not."""
    ids = list(dict.fromkeys(value for name, value in view.form.pairs if name == "incident"))
    if len(ids) > PAGE:
        raise bad_request()
    rows = [incident_row(view.console.catalogue, identity) for identity in ids]
    if None in rows:
        raise not_found(view.say("There is no such incident."))
    return [json.loads(row.record) for row in rows if row is not None]


def decide_all(view: View) -> Answer:
    """Change the state of the selected incidents, each with its own row of the audit, and go back
    to the list. Asks for the change if there is none yet."""
    records, change = _selected(view), change_of(view)
    back = parse_pairs(view.written("back"))
    is_asked = any(name == "note" for name, _ in view.raw_form)
    problem = problem_of(view, change) if is_asked else ""
    if not records:
        return Redirect(address_of("/incidents", [*back]))
    if problem or not is_asked:
        values = {
            "form": form_of(view, change, problem),
            "incidents": [record["id"] for record in records],
            "back": view.written("back"),
            "most": (MAX_REASON, MAX_NOTE),
        }
        return Page("triage", values, status=422 if problem else 200)
    for record in records:
        make_change(view, record, change)
    return Redirect(address_of("/incidents", [*back]))


# An exemption to copy.


def show_exemption(view: View) -> Answer:
    """An exemption that would have covered an incident, as YAML to copy."""
    record = record_at(view)
    return _exemption(view, record, draft(record, view.console.zone_of(record["ban"]["id"]).key))


def write_exemption(view: View) -> Answer:
    """The same with what a form says."""
    record = record_at(view)
    found = draft(record, view.console.zone_of(record["ban"]["id"]).key)
    given = {name: view.written(name) for name in ("start", "end", "reason", "approved_by")}
    too_long = [name for name, text in given.items() if len(text) > MAX_VALUE]
    found = replace(found, **given, apps=() if view.form.text("apps") == "all" else found.apps)
    return _exemption(view, record, found, too_long)


def _exemption(
    view: View, record: AlertRecord, found: Draft, too_long: Sequence[str] = ()
) -> Answer:
    examined = examine(found, record, view.console.config)
    problems = [*examined.problems]
    if too_long:
        most = view.language.number(MAX_VALUE)
        problems.append(view.say("A text has at most %(most)s characters.", most=most))
    values = {
        "incident": record["id"],
        "app": record["app"]["name"],
        "draft": found,
        "problems": problems,
        "notes": examined.notes,
        "why_not": examined.why_not,
        "file": view.console.config.path or "netwatch.yaml",
    }
    return Page("exemption", values, subject_of(record), status=422 if problems else 200)


# What went wrong.


def show_false_alarms(view: View) -> Answer:
    """How many incidents have each state, and the rules with false alarms."""
    triage, called = view.console.triage, state_words(view)
    values = {
        "counts": [(state, called[state], count) for state, count in triage.counts().items()],
        "rules": triage.by_rule(),
        "app_name": view.console.app_name,
        "sees_list": view.role in ("analyst", "auditor"),
    }
    return Page("false_alarms", values)
