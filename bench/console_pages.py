"""What there is to click in a console over a made store, and to ask of its API: the addresses of
each page."""

import base64
import json
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from netwatch.console.filter_bar import MOMENTS, WHOLE_DAYS
from netwatch.console.list_looks import DESCENDING, LOOK, Column
from netwatch.console.pages import device as device_page
from netwatch.console.pages import hidden_lookups, oversight, overview, reports
from netwatch.console.pages import incidents as incidents_page
from netwatch.console.pages import sensors as sensor_pages
from netwatch.console.routes import ROUTES, Route, may
from netwatch.console.triage import STATES
from netwatch.core.filter_words import EXCLUDES, WORDS
from netwatch.store.cases import case_page
from netwatch.store.catalogue import Catalogue
from netwatch.store.fleet_sensors import roster
from netwatch.store.incident_pages import IncidentFilter, IncidentRow, incident_page
from netwatch.store.incident_rows import DAY

NO_PAGES = {
    "/sign-in/provider", "/sign-in/callback", "/now/events", "/incidents/{id}/packets.pcapng"
}  # fmt: skip
"""Routes that need a provider that signs people in, one that never ends, and packets, which the
made store has none of."""

API = "/api/v1/"

NOBODY = ("none-such", "10.99.99.99", "02:00:00:00:ff:ff")
"""Words for a device that is not in the store."""

MONTH = ("2023-08-01", "2023-08-30")
YEAR = ("2023-03-20", "2024-03-18")
"""Days, which pages count to their end."""

_OF_LIST = (*LOOK, "after")

READS: dict[str, tuple[str, ...]] = {
    "/sign-in": ("next",),
    "/overview": reports.PERIOD,
    "/now/events": ("state", "after"),
    "/incidents": (*incidents_page.FILTERS, *_OF_LIST),
    "/incidents.csv": (*incidents_page.FILTERS, *_OF_LIST),
    "/incidents.jsonl": (*incidents_page.FILTERS, *_OF_LIST),
    "/incidents/{id}/plain": ("text",),
    "/cases": (*incidents_page.CASE_FILTERS, *_OF_LIST),
    "/cases.csv": (*incidents_page.CASE_FILTERS, *_OF_LIST),
    "/cases.jsonl": (*incidents_page.CASE_FILTERS, *_OF_LIST),
    "/devices": (*device_page.DEVICE_FILTERS, *_OF_LIST),
    "/devices/{id:path}": device_page.FILTERS,
    "/sensors": ("state", "not-state", "range", "name", "after"),
    "/blind-spots": reports.COVERAGE_FILTERS,
    "/hidden-lookups": reports.COVERAGE_FILTERS,
    "/bans/{id}": reports.PERIOD,
    "/exemptions": reports.EXEMPTION_FILTERS,
    "/reports": reports.PERIOD,
    "/reports/report.html": (*reports.PERIOD, "ban"),
    "/reports/report.pdf": (*reports.PERIOD, "ban"),
    "/reports/report.json": (*reports.PERIOD, "ban"),
    "/person": ("device",),
    "/person.json": ("device",),
    "/audit": (*oversight.FILTERS, "after"),
    "/audit.csv": oversight.FILTERS,
    "/audit.jsonl": oversight.FILTERS,
}
"""What pages read of their address, besides the language and the zone; a test holds pages to it.
Operations of the API say it themselves."""


_OF_DAYS = (reports.__name__, overview.__name__, hidden_lookups.__name__)
"""The modules of pages about whole days."""


def names_of(route: Route) -> tuple[str, ...]:
    """The names of the values that an address of a route may have."""
    if route.operation is not None:
        return tuple(parameter.name for parameter in route.operation.parameters)
    return READS.get(route.path, ())


class Words:
    """The values to try in addresses, by name, and what else is known of a store."""

    def __init__(self, catalogue: Catalogue, bans: Sequence[str]) -> None:
        newest = incident_page(catalogue, IncidentFilter()).rows
        middle = incident_page(catalogue, IncidentFilter(until=_middle(catalogue))).rows
        last = case_page(catalogue, IncidentFilter()).rows
        self.rows = [newest[0], newest[-1], middle[0], middle[-1]]
        self.cases = [last[0], last[-1]] if last else []
        self.devices = [*dict.fromkeys(_value(row, "device") for row in self.rows)]
        self.bans = bans
        names = sorted(each.name for each in roster(catalogue))
        self.sensors = names[:1]
        device, network = _value(middle[0], "device"), _value(middle[0], "network")
        own = [device, _device(middle[0], "ip"), _device(middle[0], "mac"), *NOBODY]
        self._known: dict[str, Sequence[str]] = {
            **WORDS,
            "app": [_value(middle[0], "app"), "none-such"],
            "device": [self.devices[0], *own],
            "network": [network],
            "ban": [bans[0]],
            "sensor": [*names[:1], "none-such"],
            "name": ["tiktok.com", "none.example", "*none*", "*tiktok*"],
            "joined": ["time", "community_id"],
            "triage": STATES,
            "assignee": ["analyst", "none-such"],
            "account": ["analyst", "none-such"],
            "action": ["device", "none-such"],
            "subject": [f"device {device}", "none-such"],
            "text": ["fr"],
            "next": ["/account"],
            "limit": ["500"],
        }
        row = middle[-1]
        place = f"{row.first_seen}.{row.id}"
        self._own: dict[str, dict[str, Sequence[str]]] = {
            "/incidents": {"sort": _sorts(incidents_page.SHOWN), "after": [place],
                           "columns": _columns(incidents_page.SHOWN)},
            "/cases": {"sort": _sorts(incidents_page.CASES_SHOWN), "after": [place],
                       "columns": _columns(incidents_page.CASES_SHOWN)},
            "/devices": {"sort": _sorts(device_page.COLUMNS),
                         "columns": _columns(device_page.COLUMNS),
                         "after": [f"{row.first_seen}.{device}/{network}"]},
            "/sensors": {"name": ["sensor-00"], "state": sensor_pages.STATES,
                         "not-state": sensor_pages.STATES, "after": ["m"]},
            "/audit": {"range": ["24h", "7d", "30d"], "after": ["100"]},
            "/audit.csv": {"range": ["24h", "7d", "30d"]},
            "/audit.jsonl": {"range": ["24h", "7d", "30d"]},
        }  # fmt: skip
        self._own |= {f"/{name}.{kind}": self._own[f"/{name}"]
                      for name in ("incidents", "cases") for kind in ("csv", "jsonl")}  # fmt: skip
        cursors: dict[str, list[object]] = {
            "incidents": [row.first_seen, row.run, 0], "cases": [row.first_seen, row.id],
            "devices": [row.first_seen, device, network], "coverage": [row.first_seen, 0],
            "coverage/hours": [f"{YEAR[0]}T00:00:00Z", network],
            "bypasses": [row.first_seen // DAY, network, "", device],
        }  # fmt: skip
        self._own |= {
            f"{API}{name}": {"after": [_cursor(place)]} for name, place in cursors.items()
        }

    def of(self, route: Route, name: str) -> Sequence[str]:
        """The values of a name to try for a route."""
        own = self._own.get(route.path, {})
        if name in own:
            return own[name]
        if route.operation is not None:
            (parameter,) = (each for each in route.operation.parameters if each.name == name)
            if words := parameter.schema.get("enum"):
                return [str(word) for word in words]
        if name == "range":
            return WHOLE_DAYS if route.endpoint.__module__ in _OF_DAYS else MOMENTS
        found = self._known.get(name.removeprefix(EXCLUDES))
        if found is None:
            raise SystemExit(f"{route.path} reads '{name}': say in `Words` what to try")
        if name.startswith(EXCLUDES):
            return [word for word in found if word != "none-such"] or found
        return found

    def places(self, route: Route) -> Sequence[str]:
        """The places that a path stands for."""
        ids = [row.id for row in self.rows]
        of_bans = [route.path.replace("{id}", ban) for ban in self.bans]
        found: dict[str, Sequence[str]] = {
            "/cases/{id}": [f"/cases/{row.id}" for row in self.cases],
            "/devices/{id:path}": [f"/devices/{quote(each)}" for each in self.devices],
            "/sensors/{name:path}": [f"/sensors/{name}" for name in self.sensors],
            "/bans/{id}": of_bans, f"{API}bans/{{id}}": of_bans,
            f"{API}bans/{{id}}/answer": of_bans,
            f"{API}cases/{{id}}": [f"{API}cases/{row.id}" for row in self.cases],
            "/lists/{ban}/{file}": [f"/lists/{ban}/fortigate.txt" for ban in self.bans],
        }  # fmt: skip
        if route.path in found:
            return found[route.path]
        if "incidents/{id}" in route.path:
            return [route.path.replace("{id}", each) for each in ids]
        if "{" in route.path:
            raise SystemExit(f"{route.path} has no place: add one to `Words`")
        return [route.path]


def addresses(catalogue: Catalogue, bans: Sequence[str]) -> dict[str, list[str]]:
    """The addresses of each page and operation by its path in `ROUTES`: with no filter, with each
    filter alone, and with several; at the begin of a list and far behind it. Pages of a report have
    a month, besides their usual period. The table of routes is gone through, so that there is no
    route without an address."""
    words = Words(catalogue, bans)
    return {
        route.path: _addresses(route, words)
        for route in ROUTES
        if route.method == "GET" and route.path not in NO_PAGES
    }


_OFTEN = ("device", "app", "name", "verdict", "sort", "triage", "sensor")
"""What people filter by within a period."""


def _addresses(route: Route, words: Words) -> list[str]:
    places, names = words.places(route), names_of(route)
    if not places:
        return []
    spans = [("since", "until"), ("from", "to")]
    periods = [dict(zip(pair, days, strict=True))
               for pair in spans if pair[0] in names for days in (MONTH, YEAR)]  # fmt: skip
    alone = [{name: word} for name in names if name not in ("since", "until", "from", "to")
             for word in words.of(route, name)]  # fmt: skip
    several = [{**period, name: words.of(route, name)[0]} for period in periods[:1]
               for name in names if name in _OFTEN]  # fmt: skip
    if {"verdict", "confidence", "network"} <= {*names}:
        several.append({"verdict": "violation", "confidence": "confirmed", "state": "closed",
                        "network": words.of(route, "network")[0], **periods[0]})  # fmt: skip
        several += [{"verdict": word, "sort": sort} for word in WORDS["verdict"]
                    for sort in (words.of(route, "sort") if "sort" in names else ())]  # fmt: skip
    filters = [*periods, *alone, *several]
    if is_of_report(route):
        # Each other period, and each ban, is a report of its own, which is waited for.
        return [*([] if "report" in route.path else places), _address(places[0], periods[0])]
    if is_file(route):
        # A file is as large as what is asked for: it is that of a device, or of a month.
        filters = [each for each in filters if "device" in each] or [*periods[:1], *alone] or [{}]
        return [_address(place, each) for place in places[:1] for each in filters]
    return [*places, *(_address(places[0], each) for each in filters)]


def _sorts(columns: Sequence[Column]) -> list[str]:
    names = [column.name for column in columns if column.sorts]
    return [sign + name for name in names for sign in ("", DESCENDING)]


def _columns(columns: Sequence[Column]) -> list[str]:
    return [",".join(column.name for column in columns[1:])]


def _cursor(place: list[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _middle(catalogue: Catalogue) -> int:
    first = incident_page(catalogue, IncidentFilter(), size=1, oldest_first=True).rows[0]
    last = incident_page(catalogue, IncidentFilter(), size=1).rows[0]
    return (first.first_seen + last.first_seen) // 2


def _device(row: IncidentRow, name: str) -> str:
    return str(json.loads(row.record)["device"][name])


def _value(row: IncidentRow, name: str) -> str:
    record = json.loads(row.record)
    found = record[name]
    return str(found["name"] if name == "network" else found["id"])


def _address(path: str, pairs: dict[str, str]) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def clicks_of(role: str, known: dict[str, list[str]]) -> list[tuple[Route, str]]:
    """What a role may click, and its programs may ask: all addresses of its pages, without those
    that filter by a person whom the role does not see."""
    return [
        (route, each)
        for route in ROUTES
        if route.path in known and route.method == "GET" and may(route, role)
        for each in known[route.path]
        if not any(f"{person.name}=" in each and role not in person.roles
                   for person in route.people)
    ]  # fmt: skip


def is_of_report(route: Route) -> bool:
    """Whether a route shows a report on a period, which another process makes."""
    names = {*names_of(route)}
    return bool(names) and names <= {*reports.PERIOD, "ban"}


def is_file(route: Route) -> bool:
    """Whether a route gives a file that is made while it is sent: it is as large as what is asked
    for."""
    return route.audited == "export" and route.operation is None
