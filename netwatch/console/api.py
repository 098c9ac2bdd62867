"""The API for programs: incidents, cases, devices, coverage, bans and their answers, reports,
sensors and the health of all, as JSON.

Records are those of `netwatch store query`, to the byte, by the same words. Who may ask for what is
in `netwatch.console.routes`, and so is what the audit has of it. What is read is here,
what is decided in `netwatch.console.api_triage`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import func, select

from netwatch import __version__
from netwatch.config.store_questions import (
    WrongWordsError,
    coverage_records,
    judged_hours,
    read_filter,
    refuse_unknown,
)
from netwatch.console.api_operations import (
    MAX_CURSOR,
    MAX_RECORDS,
    RECORDS,
    Operation,
    Parameter,
    body,
    cursor_of,
    page,
    wanted_records,
    words_of,
    wrong_parameters,
)
from netwatch.console.pages import incidents as incident_pages
from netwatch.console.pages import reports, sensors
from netwatch.console.triage import STATES
from netwatch.console.triage_form import chosen_by
from netwatch.console.view import Answer, Refused, View, not_found
from netwatch.core.filter_words import (
    DESCENDING,
    EXCLUDED,
    EXCLUDES,
    SORTS,
    TRIAGE,
    VERDICTS,
    WORDS,
)
from netwatch.core.period import day_at, parse_moment
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import Ban
from netwatch.formats.values import json_line, rfc3339
from netwatch.report.collect import Wanted
from netwatch.report.files import record as report_record
from netwatch.rules.bans import ban_record
from netwatch.rules.policy import state_on
from netwatch.store import catalogue_tables as tables
from netwatch.store.bypass_days import unjudged_days
from netwatch.store.bypass_rows import bypasses_after
from netwatch.store.cases import case_row, cases_after
from netwatch.store.fleet_sensors import Applied
from netwatch.store.incident_pages import DeviceFilter, device_page, incident_row
from netwatch.store.incident_search import incidents_after
from netwatch.store.statements import Filter, Position

BEING_MADE_SECONDS = 3
"""After how long a program asks again for an answer that is being made, in s."""

ANSWER_KEYS = ("id", "answer", "coverage", "totals")
"""What the answer for a ban has of the record of a report. The bound of hidden contacts takes long
to count, so that only the report has it."""


MAX_READ = 2_500
"""Incidents and cases that are read for one answer where no index says which are wanted, as one of
names that are left out."""


def _seconds() -> float:
    """How long a query may take, in s."""
    return incident_pages.QUERY_SECONDS


def _wanted(view: View, records: str) -> Filter:
    """The filter of a request, with one record more than it asks for, within the networks of the
    token."""
    console, words = view.console, words_of(view)
    try:
        wanted = read_filter(records, words, console.config, console.now())
        wanted = _within(view, wanted)
        limited = bool(view.who.networks)
        refuse_unknown(console.catalogue, console.config, wanted, is_limited=limited)
    except WrongWordsError as error:
        raise wrong_parameters(error.problems) from None
    # By contacts, records that follow each other are not near each other on the disk.
    most = MAX_READ // 3 if _sort(wanted) == "contacts" else MAX_READ
    return replace(wanted, limit=wanted_records(view) + 1, most_read=most)


def _within(view: View, wanted: Filter) -> Filter:
    return replace(wanted, networks=_networks(view, wanted.networks))


def _networks(view: View, asked: frozenset[str]) -> frozenset[str]:
    """The networks of an answer: those that are asked for, which must be some of the token, or all
    of the token."""
    own = view.who.networks
    if own and not asked <= own:
        raise Refused(403, f"This token is limited to the networks {', '.join(sorted(own))}.")
    return asked or own


def _incidents(view: View) -> Answer:
    wanted = replace(_wanted(view, "incidents"), chosen=chosen_by(view))
    kinds = {"": (int, int, int), "contacts": (int, int, str)}
    after = cursor_of(view, kinds.get(_sort(wanted), (int, int, int, int)))
    found = incidents_after(view.console.catalogue, wanted, after, timeout=_seconds())
    return page(view, "incidents", ((text, position, {}) for text, position in found))


def _sort(wanted: Filter) -> str:
    """The column that records are sorted by; empty: by time."""
    return wanted.sort.removeprefix(DESCENDING)


def _incident(view: View) -> Answer:
    row = incident_row(view.console.catalogue, view.path["id"])
    record = json.loads(row.record) if row is not None else {}
    own = view.who.networks
    if row is None or (own and record["network"]["name"] not in own):
        raise not_found(NO_INCIDENT)
    return body(view, f"{row.record}\n", f"{_device_of(record)}, incident {row.id}")


def _device_of(record: Mapping[str, Any]) -> str:
    device = record["device"]
    return f"device {device['id'] or device['ip']}"


NO_INCIDENT = "There is no such incident; expected an id of /api/v1/incidents."
NO_CASE = "There is no such case; expected an id of /api/v1/cases, or of one of its incidents."


def person_of_incident(view: View) -> str:
    """Whom an answer about an incident is about."""
    row = incident_row(view.console.catalogue, view.path["id"])
    if row is None:
        raise not_found(NO_INCIDENT)
    return _device_of(json.loads(row.record))


def _cases(view: View) -> Answer:
    wanted = replace(_wanted(view, "cases"), chosen=chosen_by(view, of_cases=True))
    after = cursor_of(view, (int, int, str) if _sort(wanted) else (int, str))
    found = cases_after(view.console.catalogue, wanted, after, timeout=_seconds())
    return page(view, "cases", ((text, position, {}) for text, position in found))


def _case(view: View) -> Answer:
    row = case_row(view.console.catalogue, view.path["id"])
    if row is None:
        raise not_found(NO_CASE)
    return body(view, f"{row.record}\n", f"{_device_of(json.loads(row.record))}, case {row.id}")


def person_of_case(view: View) -> str:
    """Whom an answer about a case is about."""
    row = case_row(view.console.catalogue, view.path["id"])
    if row is None:
        raise not_found(NO_CASE)
    return _device_of(json.loads(row.record))


def _devices(view: View) -> Answer:
    words = words_of(view)
    names = ("since", "until", "network", "verdict", *_EXCLUDED_DEVICES)
    words = {name: words[name] for name in names if name in words}
    console = view.console
    try:
        wanted = _within(view, read_filter("incidents", words, console.config, console.now()))
        limited = bool(view.who.networks)
        refuse_unknown(console.catalogue, console.config, wanted, is_limited=limited)
    except WrongWordsError as error:
        raise wrong_parameters(error.problems) from None
    excluded = {**wanted.excluded, "device": frozenset(view.query.all(f"{EXCLUDES}device"))}
    devices = DeviceFilter(
        wanted.since, wanted.until, wanted.networks, wanted.verdicts, view.query.text("device"),
        {name: found for name, found in excluded.items() if found},
    )  # fmt: skip
    found = device_page(
        console.catalogue, devices, cursor_of(view, (int, str, str)),
        size=MAX_RECORDS + 1, timeout=_seconds(),
    )  # fmt: skip
    rows: Iterator[tuple[str, Position, Mapping[str, Any]]] = (
        (json_line({
            "device": row.device, "network": row.network or None,
            "first_seen": rfc3339(row.first_seen, 6), "last_seen": rfc3339(row.last_seen, 6),
            **{verdict: getattr(row, verdict) for verdict in VERDICTS},
        }), (row.last_seen, row.device, row.network), {})
        for row in found.rows
    )  # fmt: skip
    return page(view, "devices", rows)


def _coverage(view: View) -> Answer:
    wanted = _wanted(view, "coverage")
    after = cursor_of(view, (int, int))
    found = coverage_records(view.console.catalogue, wanted, after, timeout=_seconds())
    return page(
        view, "coverage",
        ((text, position, {"first": first, "last": last}) for first, last, text, position in found),
    )  # fmt: skip


def _hours(view: View) -> Answer:
    wanted = _wanted(view, "coverage")
    after = cursor_of(view, (str, str))
    if after is not None:
        try:
            begin = parse_moment(str(after[0]), 0)
        except ValueError:
            expected = "expected the 'next' of an answer to the same question"
            raise wrong_parameters([("after", expected)]) from None
        wanted = replace(wanted, since=max(begin, wanted.since or 0))
    found = judged_hours(view.console.catalogue, view.console.config, wanted)
    return page(view, "hours", _after_hour(found, after))


def _after_hour(
    found: Iterator[dict[str, Any]], after: Position | None
) -> Iterator[tuple[str, Position, Mapping[str, Any]]]:
    for record in found:
        position = (record["hour"], record["network"])
        if after is None or position > after:
            yield json_line(record), position, {}


def _bypasses(view: View) -> Answer:
    wanted, catalogue = _wanted(view, "bypasses"), view.console.catalogue
    after = cursor_of(view, (int, str, str, str))
    found = bypasses_after(catalogue, wanted, after, timeout=_seconds())
    return page(
        view, "bypasses", ((text, position, {}) for text, position in found),
        unjudged=unjudged_days(catalogue, wanted.since, wanted.until, view.console.now()),
    )  # fmt: skip


def _bans(view: View) -> Answer:
    return _whole(view, [_ban_record(view, ban) for ban in view.console.config.policy.bans])


def _whole(view: View, records: Sequence[Mapping[str, Any]]) -> Answer:
    """A list that is always given as a whole."""
    lines = ",\n".join(map(json_line, records))
    return body(view, f'{{"records":[{lines}],"next":null}}\n')


def _one_ban(view: View) -> Answer:
    return body(view, f"{json_line(_ban_record(view, _ban(view, view.path['id'])))}\n")


def _ban_record(view: View, ban: Ban) -> dict[str, Any]:
    today = day_at(view.console.now(), ban.timezone)
    record = ban_record(ban, view.console.pack_of(ban.id), True)
    return {"on": str(today), "state": state_on(ban, today), **record}


def _ban(view: View, word: str) -> Ban:
    bans = {ban.id: ban for ban in view.console.config.policy.bans}
    if word not in bans:
        hint = did_you_mean(word, bans, 0.5) or "; /api/v1/bans has all of them"
        raise not_found(f"There is no ban '{word[:80]}'{hint}")
    return bans[word]


def _answer(view: View) -> Answer:
    ban = _ban(view, view.path["id"])
    first, last = reports.days_of(view, [ban])
    report = view.console.reports.shown(Wanted(first, last, (ban.id,)))
    if report is None:
        raise Refused(503, "The answer is being made; ask again.", BEING_MADE_SECONDS)
    record = report_record(report)
    (found,) = record["bans"]
    answer = {name: record[name] for name in ("first", "last", "timezone", "made")}
    answer |= {name: found[name] for name in ANSWER_KEYS}
    return body(view, f"{json.dumps(answer, separators=(',', ':'))}\n")


def _report(view: View) -> Answer:
    word = view.query.text("ban")
    try:
        if word:
            _ban(view, word)
    except Refused as refused:
        raise wrong_parameters([("ban", refused.reason)]) from None
    return reports.as_json(view)


def _sensors(view: View) -> Answer:
    states = words_of(view).get("state", ())
    found = sensors.shown_sensors(view)
    return _whole(view, [
        _sensor_record(sensor) for sensor in found if not states or sensor.state in states
    ])  # fmt: skip


def _sensor_record(sensor: sensors.ShownSensor) -> dict[str, Any]:
    record = asdict(sensor)
    for name in ("enrolled", "heard", "silent_since"):
        record[name] = _time(record[name])
    record["interfaces"] = [{"name": name, "up": up} for name, up in sensor.interfaces]
    record["outputs"] = [
        {"name": name, "waiting": waiting, "lost": lost} for name, waiting, lost in sensor.outputs
    ]
    record["published"] = [
        {"kind": each.kind, "applied": _applied(each.applied), "rejected": _applied(each.rejected)}
        for each in sensor.published
    ]
    return record


def _applied(applied: Applied | None) -> dict[str, Any] | None:
    return None if applied is None else {"version": applied.version}


def _time(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment, 3)


def _health(view: View) -> Answer:
    console = view.console
    column = tables.capture.c
    with console.catalogue.database.reading(_seconds()) as connection:
        last = connection.execute(select(func.max(column.last))).scalar()
    found = [sensor.state for sensor in sensors.shown_sensors(view)]
    record = {
        "status": "ok",
        "time": rfc3339(console.now(), 0),
        "netwatch": __version__,
        "signatures": console.config.catalog.version,
        "last_capture": None if last is None else rfc3339(int(last), 0),
        "sensors": {state: found.count(state) for state in sensors.STATES},
        "streams": {"open": console.streams.open, "refused": console.streams.refused},
    }
    return body(view, f"{json_line(record)}\n")


def _text(name: str, description: str, **more: Any) -> Parameter:
    return Parameter(name, description, {"type": "string", "maxLength": 300, **more})


def _words(name: str, description: str, words: Sequence[str] = ()) -> Parameter:
    schema = {"type": "string", "enum": [*words]} if words else {"type": "string", "maxLength": 300}
    return Parameter(name, description, schema, is_repeated=True)


_MOMENT = "a time (2023-03-20T09:00Z), a day in UTC, or an age (7d)"
_TIMES = (
    _text("since", f"only what was seen since then: {_MOMENT}"),
    _text("until", f"only what was seen before; a day is included: {_MOMENT}"),
)
_PAGES = (
    Parameter(
        "limit", "how many records the answer has at most",
        {"type": "integer", "minimum": 1, "maximum": MAX_RECORDS, "default": RECORDS},
    ),
    _text("after", "the `next` of the answer before", maxLength=MAX_CURSOR),
)  # fmt: skip
_WITHOUT = "records with these values are left out; the values are as for the filter without 'not-'"
_EXCLUDED_DEVICES = (f"{EXCLUDES}network", f"{EXCLUDES}verdict")
_NETWORK = _words("network", "a network")
_DEVICE = _text("device", "a device: its id, address, MAC, host name or owner")
_VERDICT = _words("verdict", "the verdict", VERDICTS)
_OF_INCIDENTS = (
    *_TIMES,
    _words("app", "an app, vendor:… or category:…"),
    _NETWORK,
    _words("sensor", "a sensor that saw it"),
    _words("ban", "a ban"),
    _words("name", "a domain and all names below it, or a glob such as *tiktok*"),
    _DEVICE,
    _VERDICT,
    *(_words(name, f"the {name}", WORDS[name]) for name in WORDS if name != "verdict"),
    _words("triage", "what was decided; of a case, of one of its incidents", STATES),
    _text("assignee", "the account that works on it"),
    *(_words(EXCLUDES + name, _WITHOUT, {**WORDS, **TRIAGE}.get(name, ())) for name in EXCLUDED),
    _text(
        "sort",
        "sort by severity (the gravest first) or contacts (the fewest first) instead of by time;"
        " a leading - reverses it",
        enum=[*SORTS],
    ),
    *_PAGES,
)
_DAYS = (
    _text("from", "the first day (default: 30 days before the last)", format="date"),
    _text("to", "the last day (default: that of the last capture)", format="date"),
)

_TIME = {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}


def _list(record: Mapping[str, Any], **more: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a page of records."""
    properties = {"records": {"type": "array", "items": record}, "next": _TIME, **more}
    return {"type": "object", "required": ["records", "next"], "properties": properties}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [*properties], "properties": properties}


def _named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_TIMES_OF_RECORDS = {"type": "array", "items": _TIME}

INCIDENTS = Operation(
    "incidents", "Incidents by filter, in an order", _incidents, _list(_named("alert")),
    _OF_INCIDENTS, by_network=True,
)  # fmt: skip
INCIDENT = Operation("incident", "One incident", _incident, _named("alert"), by_network=True)
CASES = Operation(
    "cases", "Cases by filter: incidents as all sensors saw them", _cases, _list(_named("case")),
    _OF_INCIDENTS,
)  # fmt: skip
CASE = Operation("case", "One case", _case, _named("case"))
DEVICES = Operation(
    "devices", "Devices with incidents, the one seen last first", _devices,
    _list(_object(
        device={"type": "string"}, network={"type": ["string", "null"]},
        first_seen={"type": "string"}, last_seen={"type": "string"},
        **dict.fromkeys(VERDICTS, _COUNT),
    )),
    (
        *_TIMES, _NETWORK, _text("device", "a part of the id"), _VERDICT,
        _words("not-network", _WITHOUT), _words("not-verdict", _WITHOUT, VERDICTS),
        _words("not-device", "an id that is left out"), *_PAGES,
    ),
    by_network=True,
)  # fmt: skip
COVERAGE = Operation(
    "coverage", "Records of coverage: of how many flows the name was read, by device", _coverage,
    _list(_named("coverage"), first=_TIMES_OF_RECORDS, last=_TIMES_OF_RECORDS),
    (*_TIMES, _NETWORK, _DEVICE, *_PAGES), by_network=True,
)  # fmt: skip
HOURS = Operation(
    "hours", "Judged coverage by hour and network, without devices", _hours,
    _list(_object(
        schema={"type": "string"}, hour={"type": "string"}, network={"type": "string"},
        captured={"type": ["number", "null"]}, lost={"type": "number"},
        judged_by={"type": "array", "items": {"type": "string"}},
        flows={"type": ["integer", "null"]}, named={"type": ["integer", "null"]},
    )),
    (*_TIMES, _NETWORK, *_PAGES), by_network=True,
)  # fmt: skip
BYPASSES = Operation(
    "bypasses", "Days on which devices hid their lookups, as they were judged", _bypasses,
    _list(_named("bypass"), unjudged=_COUNT), (*_TIMES, _NETWORK, _DEVICE, *_PAGES),
    by_network=True,
)  # fmt: skip
_BAN = _object(
    on={"type": "string"}, state={"type": "string"}, id={"type": "string"},
    authority={"type": "string"}, apps={"type": "array", "items": {"type": "string"}},
    periods={"type": "array", "items": {"type": "object"}}, timezone={"type": "string"},
)  # fmt: skip
BANS = Operation("bans", "The bans of the configuration", _bans, _list(_BAN),
                 by_network=True)  # fmt: skip
BAN = Operation("ban", "One ban", _one_ban, _BAN, by_network=True)
ANSWER = Operation(
    "answer", "Whether a ban was complied with in a period, why, and what could not be seen",
    _answer, _named("answer"), _DAYS,
)  # fmt: skip
REPORT = Operation(
    "report", "The report on a period", _report, _named("report"),
    (*_DAYS, _text("ban", "only this ban")),
)  # fmt: skip
SENSORS = Operation(
    "sensors", "The sensors, and how they are", _sensors,
    _list(_object(
        name={"type": "string"}, state={"type": "string", "enum": [*sensors.STATES]}, heard=_TIME,
        troubles={"type": "array", "items": {"type": "string"}},
    )),
    (_words("state", "the state", sensors.STATES),),
)  # fmt: skip
HEALTH = Operation(
    "health", "What runs here, and when something was captured last", _health,
    _object(
        status={"type": "string", "const": "ok"}, time={"type": "string"},
        netwatch={"type": "string"}, signatures={"type": "string"}, last_capture=_TIME,
        sensors={"type": "object", "additionalProperties": _COUNT},
        streams=_object(open=_COUNT, refused=_COUNT),
    ),
    by_network=True,
)  # fmt: skip
