"""The list of incidents: filters in the address, fifty a page, and the filtered list as a file.

A filter of a list can be given a name, and forgotten.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from netwatch.console.lists import (
    MAX_FILTER_NAME,
    SavedFilter,
    all_rows,
    csv_file,
    cursor_of,
    cursor_text,
    json_file,
    known_names,
    tidied,
    time_inputs,
)
from netwatch.console.rendering import address_of
from netwatch.console.view import Answer, Page, Redirect, View, bad_request, parse_pairs
from netwatch.store.incident_pages import (
    PAGE,
    Cursor,
    IncidentFilter,
    IncidentPage,
    IncidentRow,
    incident_page,
)

QUERY_SECONDS = 8.0
"""Seconds that the query of a page may take."""

WORDS = {
    "verdict": ("violation", "advisory", "exempt"),
    "confidence": ("confirmed", "probable", "possible"),
    "kind": ("session", "background", "embed", "lookup"),
    "outcome": ("reached", "attempted", "blocked", "unknown"),
    "state": ("open", "update", "closed"),
}
"""The filters that have fixed words."""

NAMES = ("app", "device", "network", "ban")
"""The filters that have names."""

FILTERS = ("from", "to", *WORDS, *NAMES)
"""The values of an address that filter the list."""

COLUMNS = ("first_seen", "last_seen", "id", "verdict", "severity", "confidence", "app", "device",
           "network", "ban", "kind", "outcome", "state")  # fmt: skip
"""The columns of the CSV file."""

LISTS = {"/incidents": FILTERS}
"""The lists whose filters can be saved, and the values of their addresses."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An incident of the list. `device` is a pseudonym before an auditor, and `ip` is empty.
    `sensor` is what saw it."""

    id: str
    first_seen: str
    last_seen: str
    verdict: str
    severity: str
    confidence: str
    app: str
    device: str
    ip: str
    network: str
    sensor: str
    ban: str
    kind: str
    outcome: str
    state: str
    zone: ZoneInfo


def show(view: View) -> Answer:
    """One page of the list, the newest incidents first."""
    query = view.query
    if (tidy := tidied(view, FILTERS)) is not None:
        return tidy
    page = _page(view, PAGE, cursor_of(view))
    pairs = query.kept(FILTERS)
    config = view.console.config
    following = page.following
    values = {
        "rows": [listed(view, row) for row in page.rows],
        "older": [*pairs, ("after", cursor_text(following))] if following else [],
        "is_first": not query.text("after"),
        "pairs": pairs,
        "saved": view.console.filters.of(view.who.account, "/incidents"),
        "query": urlencode(pairs),
        "wanted": {name: query.text(name) for name in FILTERS} | time_inputs(view),
        "choices": WORDS,
        "networks": sorted({scope.network.name for scope in config.networks.scopes}),
        "bans": sorted({ban.id for ban in config.policy.bans}),
        "sees_devices": view.role == "analyst",
    }
    return Page("incidents", values, detail={"filter": dict(pairs)})


def export_csv(view: View) -> Answer:
    """The filtered list as CSV, which is safe to open in a spreadsheet."""
    rows = (listed(view, row) for row in _all(view))
    return csv_file(view, "incidents", FILTERS, COLUMNS, rows)


def export_lines(view: View) -> Answer:
    """The filtered list as JSON lines: the records as `scan --format jsonl` wrote them."""
    return json_file(view, "incidents", FILTERS, (row.record for row in _all(view)))


def _all(view: View) -> Iterator[IncidentRow]:
    # What cannot be read is refused here, before anything is sent.
    _page(view, 1, None)
    return all_rows(partial(_page, view))


def _page(view: View, size: int, after: Cursor | None) -> IncidentPage:
    return incident_page(
        view.console.catalogue, wanted_incidents(view), after, size=size, timeout=QUERY_SECONDS
    )


def wanted_incidents(view: View) -> IncidentFilter:
    """What the address asks for. Raises `Refused` for a value that cannot be."""
    query = view.query
    sets = known_names(view, NAMES)
    for name, words in WORDS.items():
        if word := query.word(name, words):
            sets["status" if name == "state" else name] = frozenset({word})
    return IncidentFilter(since=query.moment("from"), until=query.moment("to"), **sets)


def listed(view: View, row: IncidentRow) -> Listed:
    """A row as this role may see it."""
    record = json.loads(row.record)
    device, kind = record["device"], record.get("kind") or {}
    sees_devices = view.role == "analyst"
    name = str(device["id"] or device["ip"] or "")
    return Listed(
        row.id, record["first_seen"], record["last_seen"], record["verdict"], record["severity"],
        record["confidence"], record["app"]["name"],
        name if sees_devices else pseudonym(view, name),
        (device["ip"] or "") if sees_devices and device["ip"] != name else "",
        record["network"]["name"] or "", record["sensor"]["name"] or "", record["ban"]["id"],
        kind.get("value") or "",
        record.get("outcome") or "unknown", record["status"],
        view.console.zone_of(record["ban"]["id"]),
    )  # fmt: skip


def pseudonym(view: View, device: str) -> str:
    """What a device is called before who may not know it: the same name for the same device."""
    digest = hmac.new(view.console.pseudonym_key, device.encode(), hashlib.sha256)
    return f"d-{digest.hexdigest()[:12]}"


def save(view: View) -> Answer:
    """Keep the filter of a list under a name."""
    page, name = _page_and_name(view)
    given = parse_pairs(view.form.text("query"))
    pairs = [(key, value) for key, value in given if key in LISTS[page] and value]
    if not pairs:
        raise bad_request(view.say("There is no filter to save."))
    saved = SavedFilter(name, urlencode(pairs))
    if not view.console.filters.save(view.who.account, page, saved):
        raise bad_request(view.say("There are too many saved filters: remove one."))
    return Redirect(address_of(page, pairs))


def remove(view: View) -> Answer:
    """Forget a filter."""
    page, name = _page_and_name(view)
    view.console.filters.remove(view.who.account, page, name)
    return Redirect(page)


def _page_and_name(view: View) -> tuple[str, str]:
    page, name = view.form.text("page"), " ".join(view.form.text("name").split())
    if page not in LISTS:
        raise bad_request()
    if not 0 < len(name) <= MAX_FILTER_NAME:
        number = view.language.number(MAX_FILTER_NAME)
        raise bad_request(
            view.say("The name of a filter has up to %(most)s characters.", most=number)
        )
    return page, name
