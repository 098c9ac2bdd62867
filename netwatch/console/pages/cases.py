"""The list of cases, which are incidents as all sensors of a fleet saw them, and one of them: who
saw what, when, and what speaks for it that it is one. The filtered list is a file as well."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from netwatch.console.lists import (
    all_rows,
    csv_file,
    cursor_of,
    cursor_text,
    json_file,
    known_names,
    tidied,
    time_inputs,
)
from netwatch.console.pages.incidents import COLUMNS, NAMES, QUERY_SECONDS, WORDS, pseudonym
from netwatch.console.view import Answer, Page, Redirect, View, bad_request, not_found
from netwatch.formats.values import epoch_ns
from netwatch.store.case_pages import (
    CaseFilter,
    CasePage,
    CaseRow,
    case_page,
    case_row,
    is_centre,
)
from netwatch.store.incident_pages import PAGE, Cursor

PROOFS = ("community_id", "time")
"""What speaks for it that the incidents of a case are one."""

FILTERS = ("from", "to", *WORDS, *NAMES, "sensor", "joined")
"""The values of an address that filter the list."""

_COUNTS = ("lookups", "handshakes", "flows", "bytes_out", "bytes_in")

CASE_COLUMNS = (*COLUMNS, "joined_by", "sensors", "seen_by", *_COUNTS)
"""The columns of the CSV file: those of incidents, how many sensors saw it and which, and counts
that are not added up where sensors saw the same flows."""

_SHOWN_SENSORS = 2


@dataclass(frozen=True, slots=True)
class ListedCase:
    """A case of the list. `device` is a pseudonym before an auditor. `sensors` is how many saw it,
    `seen_by` are those that its record names."""

    id: str
    first_seen: str
    last_seen: str
    verdict: str
    severity: str
    confidence: str
    app: str
    device: str
    network: str
    ban: str
    kind: str
    outcome: str
    state: str
    joined_by: str
    sensors: int
    seen_by: tuple[str, ...]
    zone: ZoneInfo
    lookups: int
    handshakes: int
    flows: int
    bytes_out: int
    bytes_in: int

    @property
    def first_sensors(self) -> tuple[str, ...]:
        """The sensors that the list names."""
        return self.seen_by[:_SHOWN_SENSORS]

    @property
    def more(self) -> int:
        """How many others saw it."""
        return self.sensors - len(self.first_sensors)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one sensor saw of a case; times are by its own clock, and `first` and `last` (ns) by
    that of the centre."""

    sensor: str
    incident: str
    verdict: str
    confidence: str
    state: str
    first_seen: str
    last_seen: str
    first: int
    last: int
    clock_offset: float
    device: str
    network: str
    counts: Mapping[str, int]
    community_ids: int
    shared: int


def show(view: View) -> Answer:
    """One page of the list, the newest cases first."""
    query = view.query
    if (tidy := tidied(view, FILTERS)) is not None:
        return tidy
    page = _page(view, PAGE, cursor_of(view))
    pairs = query.kept(FILTERS)
    following = page.following
    config = view.console.config
    values = {
        "rows": [listed(view, row) for row in page.rows],
        "older": [*pairs, ("after", cursor_text(following))] if following else [],
        "is_first": not query.text("after"),
        "pairs": pairs,
        "wanted": {name: query.text(name) for name in FILTERS} | time_inputs(view),
        "choices": {**WORDS, "joined": PROOFS},
        "networks": sorted({scope.network.name for scope in config.networks.scopes}),
        "bans": sorted({ban.id for ban in config.policy.bans}),
        "sees_devices": view.role == "analyst",
        "is_centre": is_centre(view.console.catalogue),
    }
    return Page("cases", values, detail={"filter": dict(pairs)})


def export_csv(view: View) -> Answer:
    """The filtered list as CSV, which is safe to open in a spreadsheet."""
    rows = (listed(view, row) for row in _all(view))
    return csv_file(view, "cases", FILTERS, CASE_COLUMNS, rows)


def export_lines(view: View) -> Answer:
    """The filtered list as JSON lines: the records as `store query cases` prints them."""
    return json_file(view, "cases", FILTERS, (row.record for row in _all(view)))


def _all(view: View) -> Iterator[CaseRow]:
    # What cannot be read is refused here, before anything is sent.
    _page(view, 1, None)
    return all_rows(partial(_page, view))


def _page(view: View, size: int, after: Cursor | None) -> CasePage:
    return case_page(
        view.console.catalogue, wanted_cases(view), after, size=size, timeout=QUERY_SECONDS
    )


def one(view: View) -> Answer:
    """One case. The id of one of its incidents, or one that it had before, leads to it as well."""
    row = _asked(view)
    record = json.loads(row.record)
    subject = f"{_device_of(row)}, case {row.id}"
    if row.id != view.path["id"]:
        return Redirect(f"/cases/{row.id}", subject=subject)
    sightings = [_sighting(each) for each in record["seen_by"]]
    moments = [(each.first, each, True) for each in sightings]
    moments += [(each.last, each, False) for each in sightings if each.last > each.first]
    values = {
        "case": record,
        "sightings": sightings,
        "devices_differ": len({(each.device, each.network) for each in sightings}) > 1,
        "timeline": sorted(moments, key=lambda each: (each[0], not each[2], each[1].sensor)),
        "differ": len({each.verdict for each in sightings}) > 1,
        "zone": view.console.zone_of(record["ban"]["id"]),
    }
    return Page("case", values, subject)


def person(view: View) -> str:
    """Whom the page on the case that the address names is about. Raises `Refused` where there is
    none."""
    return _device_of(_asked(view))


def _asked(view: View) -> CaseRow:
    row = case_row(view.console.catalogue, view.path["id"])
    if row is None:
        raise not_found(view.say("There is no such case."))
    return row


def _device_of(row: CaseRow) -> str:
    """The device of a case, in the words of the audit."""
    device = json.loads(row.record)["device"]
    return f"device {device['id'] or device['ip']}"


def wanted_cases(view: View) -> CaseFilter:
    """What the address asks for. Raises `Refused` for a value that cannot be."""
    query = view.query
    sets = known_names(view, (*NAMES, "sensor"))
    for name, words in WORDS.items():
        if word := query.word(name, words):
            sets["status" if name == "state" else name] = frozenset({word})
    if word := query.word("joined", PROOFS):
        sets["joined_by"] = frozenset({word})
    since, until = query.moment("from"), query.moment("to")
    if since is not None and until is not None and until < since:
        raise bad_request(view.say("The end of the time is before its begin."))
    return CaseFilter(since=since, until=until, seen=1, **sets)


def listed(view: View, row: CaseRow) -> ListedCase:
    """A row as this role may see it."""
    record = json.loads(row.record)
    device, counts = record["device"], record["counts"]
    name = str(device["id"] or device["ip"] or "")
    return ListedCase(
        row.id, record["first_seen"], record["last_seen"], record["verdict"], record["severity"],
        record["confidence"], record["app"]["name"],
        name if view.role == "analyst" else pseudonym(view, name),
        record["network"]["name"] or "", record["ban"]["id"], record["kind"]["value"],
        record["outcome"], record["status"], record["joined_by"] or "", row.sensors,
        tuple(dict.fromkeys(each["sensor"] for each in record["seen_by"])),
        view.console.zone_of(record["ban"]["id"]), **{each: counts[each] for each in _COUNTS},
    )  # fmt: skip


def _sighting(seen: Mapping[str, Any]) -> Sighting:
    offset = round(seen["clock_offset"] * 1_000_000_000)
    return Sighting(
        sensor=seen["sensor"],
        incident=seen["incident"],
        verdict=seen["verdict"],
        confidence=seen["confidence"],
        state=seen["status"],
        first_seen=seen["first_seen"],
        last_seen=seen["last_seen"],
        first=epoch_ns(seen["first_seen"]) - offset,
        last=epoch_ns(seen["last_seen"]) - offset,
        clock_offset=seen["clock_offset"],
        device=seen["device"] or "",
        network=seen["network"] or "",
        counts=seen["counts"],
        community_ids=seen["community_ids"],
        shared=seen["shared_community_ids"],
    )
