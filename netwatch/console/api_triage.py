"""The API of triage: what was decided of an incident, and a further decision. Only programs with a
token decide; its name is in the history and the audit.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from netwatch.console.api_operations import Operation, body, wrong_parameters
from netwatch.console.pages.triage import make_change, subject_of
from netwatch.console.triage import (
    CLOSED,
    MAX_NOTE,
    MAX_REASON,
    NEW,
    NOBODY,
    STATES,
    Change,
    OutdatedError,
)
from netwatch.console.view import Answer, Refused, View, not_found
from netwatch.core.alert import AlertRecord
from netwatch.core.text import storable
from netwatch.core.user_yaml import did_you_mean
from netwatch.formats.values import json_line, rfc3339
from netwatch.store.incident_pages import incident_row

NO_INCIDENT = "There is no such incident; expected an id of /api/v1/incidents."

_MAX_ACCOUNT = 200


def _show(view: View) -> Answer:
    record = _record(view)
    return body(view, _state(view, record), subject_of(record))


def _decide(view: View) -> Answer:
    record = _record(view)
    change, version = _wanted(view)
    try:
        make_change(view, record, change, version)
    except OutdatedError:
        raise Refused(
            409, "The incident has changed since this version: read its triage and try again."
        ) from None
    return replace(body(view, _state(view, record)), is_noted=True)


def _record(view: View) -> AlertRecord:
    """The incident of the path, within the networks of the token."""
    row = incident_row(view.console.catalogue, view.path["id"])
    record: AlertRecord = json.loads(row.record) if row is not None else {}
    own = view.who.networks
    if row is None or (own and record["network"]["name"] not in own):
        raise not_found(NO_INCIDENT)
    return record


def _state(view: View, record: AlertRecord) -> str:
    triage, identity = view.console.triage, str(record["id"])
    now = triage.one(identity)
    history = [
        {**asdict(each), "time": rfc3339(each.time, 3), "assignee": each.assignee or None}
        for each in triage.history(identity)
    ]
    state = {
        "incident": identity,
        "state": now.state,
        "assignee": now.assignee or None,
        "changed": None if now.changed is None else rfc3339(now.changed, 3),
        "version": now.version,
        "history": history,
    }
    return f"{json_line(state)}\n"


def _wanted(view: View) -> tuple[Change, int | None]:
    """The change in the body of a request, and the version that it is for. Raises `Refused`."""
    given = _object_of(view.body)
    problems = {
        name: f"expected one of {', '.join(_KEYS)}{did_you_mean(name, _KEYS)}"
        for name in given
        if name not in _KEYS
    }
    version = given.get("version")
    if version is not None and (type(version) is not int or not 0 <= version < 1 << 31):
        problems["version"] = "expected the version of the triage, a number"
    texts: dict[str, str] = {}
    for name in _TEXTS:
        value = given.get(name)
        if name == "assignee" and name in given and value is None:
            value = NOBODY
        if value is not None and not (isinstance(value, str) and storable(value) == value):
            problems[name] = "expected a text without a NUL character"
        texts[name] = str(value or "").strip()
    change = Change(**texts)
    if change.state not in ("", *STATES):
        problems["state"] = f"expected one of {', '.join(STATES)}"
    elif not problems and (found := _problem(view, change)):
        problems |= found
    if problems:
        raise wrong_parameters([(storable(name[:40]), text) for name, text in problems.items()])
    return change, version


def _object_of(content: bytes) -> Mapping[str, Any]:
    try:
        given = json.loads(content)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise Refused(400, 'The body is no JSON object; send one like {"state": "seen"}.')
    return given


def _problem(view: View, change: Change) -> dict[str, str]:
    """What is wrong with a change, by its key."""
    known = ("", NOBODY, *view.console.triage.assignees())
    if change.assignee not in known:
        return {"assignee": f"expected an analyst{did_you_mean(change.assignee, known)}"}
    return {
        "": {},
        "empty": {"state": f"expected one of {', '.join(STATES)}, an assignee or a note"},
        "reason": {"reason": f"expected a reason, which {' and '.join(CLOSED)} need"},
        "reason-length": {"reason": f"expected at most {MAX_REASON} characters"},
        "note-length": {"note": f"expected at most {MAX_NOTE} characters"},
        "new": {"assignee": f"expected none, which is the only one with {NEW}"},
    }[change.problem()]


_TEXTS = tuple(field.name for field in fields(Change))
_KEYS = (*_TEXTS, "version")

_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_STATE = {"enum": [*STATES]}


def _of_change(**more: Mapping[str, Any]) -> dict[str, Any]:
    properties = {"state": _STATE, "assignee": _MAYBE, **more}
    return {"type": "object", "required": [*properties], "properties": properties}


_SCHEMA = _of_change(
    incident=_TEXT,
    changed=_MAYBE,
    version={"type": "integer", "description": "of the last change; 0 if there is none"},
    history={
        "type": "array",
        "items": _of_change(time=_TEXT, account=_TEXT, reason=_TEXT, note=_TEXT),
        "description": "the changes, the newest first",
    },
)
_BODY = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "properties": {
        "state": {**_STATE, "description": "what is left out stays as it is"},
        "assignee": {**_MAYBE, "maxLength": _MAX_ACCOUNT, "description": "an account, or null"},
        "reason": {"type": "string", "maxLength": MAX_REASON,
                   "description": f"needed with {' and '.join(CLOSED)}"},
        "note": {"type": "string", "maxLength": MAX_NOTE},
        "version": {"type": "integer", "minimum": 0,
                    "description": "refuse if the triage has another version by now"},
    },
}  # fmt: skip

TRIAGE = Operation("triage", "What was decided of an incident", _show, _SCHEMA, by_network=True)
DECIDE = Operation(
    "decide", "Decide what an incident is; with a token only", _decide, _SCHEMA,
    by_network=True, body=_BODY,
)  # fmt: skip
