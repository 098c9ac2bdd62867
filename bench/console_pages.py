"""What there is to click in a console over a made store, and to ask of its API: the addresses of
each page."""

import json
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from netwatch.console.pages import incidents as incidents_page
from netwatch.console.routes import ROUTES, Route, may
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_pages import IncidentFilter, IncidentRow, incident_page

NO_PAGES = {"/sign-in/provider", "/sign-in/callback", "/now/events"}
"""Routes that need a provider that signs people in, and one that never ends."""

API = "/api/v1/"

NOBODY = ("none-such", "10.99.99.99", "02:00:00:00:ff:ff")
"""Words for a device that is not in the store."""

_WORDS = {("state" if name == "status" else name): words for name, words in
          incidents_page.WORDS.items()}  # fmt: skip

MONTH = ("2023-08-01", "2023-08-30")
YEAR = ("2023-03-20", "2024-03-18")
"""Days, which pages count to their end."""


def addresses(catalogue: Catalogue, bans: Sequence[str]) -> dict[str, list[str]]:
    """The addresses of each page by its path in `ROUTES`: with no filter, with each filter alone,
    and with several; at the begin of a list and far behind it."""
    newest = incident_page(catalogue, IncidentFilter()).rows
    middle = incident_page(catalogue, IncidentFilter(until=_middle(catalogue))).rows
    known = [newest[0], newest[-1], middle[0], middle[-1]]
    devices = [_value(row, "device") for row in known]
    month = dict(zip(("from", "to"), (f"{day}T00:00:00Z" for day in MONTH), strict=True))
    days = dict(zip(("from", "to"), MONTH, strict=True))
    year = dict(zip(("from", "to"), YEAR, strict=True))
    after = f"{middle[-1].first_seen}.{middle[-1].id}"
    lists: list[dict[str, str]] = [{}, {"after": after}, month]
    lists += [{name: word} for name, words in incidents_page.WORDS.items() for word in words]
    lists += [{name: _value(middle[0], name)} for name in incidents_page.NAMES]
    lists += [{"verdict": "violation", "confidence": "confirmed", "state": "closed", **month},
              {"app": "none-such"}, {"device": "none-such"}]  # fmt: skip
    network = _value(middle[0], "network")
    return {
        **_of_api(known, network, bans[0], days, year),
        "/incidents": [_address("/incidents", each) for each in lists],
        "/incidents/{id}": [f"/incidents/{row.id}" for row in known],
        "/incidents/{id}/plain": [f"/incidents/{row.id}/plain" for row in known],
        "/incidents/{id}/exemption": [f"/incidents/{row.id}/exemption" for row in known],
        "/devices": [
            _address("/devices", each)
            for each in (
                {},
                month,
                {"device": devices[0]},
                {"network": network},
                {"verdict": "violation"},
                {"verdict": "exempt"},
                {"network": network, "verdict": "advisory", **month},
            )
        ],
        "/devices/{id:path}": [
            _address(f"/devices/{quote(each)}", span)
            for each in dict.fromkeys(devices)
            for span in ({}, month)
        ],
        "/blind-spots": [_address("/blind-spots", each) for each in ({}, days, year)],
        "/bans/{id}": [_address(f"/bans/{ban}", each) for ban in bans for each in ({}, days, year)],
        "/exemptions": [_address("/exemptions", each) for each in ({}, days)],
        "/reports": ["/reports", _address("/reports", days)],
        # A made store is not that of a centre: it has no sensors and no cases.
        "/cases/{id}": [],
        "/sensors/{name:path}": [],
        "/lists/{ban}/{file}": [f"/lists/{ban}/fortigate.txt" for ban in bans],
        "/person": [
            "/person",
            *(
                _address("/person", {"device": each})
                for each in (devices[0], _device(newest[0], "ip"))
            ),
        ],
        "/audit": [
            _address("/audit", each)
            for each in ({}, {"account": "analyst"}, {"action": "device"}, month)
        ],
    }


def _of_api(
    known: Sequence[IncidentRow], network: str, ban: str, days: dict[str, str], year: dict[str, str]
) -> dict[str, list[str]]:
    """The same of the API: by each filter, by words of a device, by some that nobody has."""
    device, span = _value(known[2], "device"), dict(zip(("since", "until"), MONTH, strict=True))
    words: dict[str, Sequence[str]] = {
        **{name: _WORDS[name] for name in _WORDS},
        "app": [_value(known[2], "app"), "vendor:bytedance"],
        "network": [network],
        "ban": [ban],
        "device": [device, _device(known[2], "ip"), _device(known[2], "mac"), *NOBODY],
        "name": ["tiktok.com", "none.example", "*none*"],
    }
    lists: list[dict[str, str]] = [{}, {"limit": "500"}, span]
    lists += [{name: word} for name in words for word in words[name]]
    lists += [{"device": device, "verdict": "exempt", **span}, {"app": "none-such"}]
    few = [{}, {"limit": "500"}, span, {"network": network}]
    devices = [*few, {"verdict": "violation"}, {"device": device[:4]}, {"device": NOBODY[0]}]
    coverage = [*few, *({"device": each} for each in (device, *NOBODY))]
    found = {
        "incidents": [_address("incidents", each) for each in lists],
        "incidents/{id}": [f"incidents/{row.id}" for row in known],
        "incidents/{id}/triage": [f"incidents/{row.id}/triage" for row in known],
        "cases": [_address("cases", each) for each in lists],
        "cases/{id}": [],
        "devices": [_address("devices", each) for each in devices],
        "coverage": [_address("coverage", each) for each in coverage],
        "coverage/hours": [_address("coverage/hours", each) for each in few],
        "bans/{id}": [f"bans/{ban}"],
        "bans/{id}/answer": [_address(f"bans/{ban}/answer", each) for each in (days, year)],
        "report": [_address("report", each) for each in (days, {**year, "ban": ban})],
    }
    return {f"{API}{path}": [f"{API}{each}" for each in found[path]] for path in found}


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
    """What a role may click: all addresses of its pages."""
    found = []
    for route in ROUTES:
        if route.method != "GET" or route.path in NO_PAGES or not may(route, role):
            continue
        if route.audited == "export" and route.operation is None:
            continue
        if "{" in route.path and route.path not in known:
            raise SystemExit(f"{route.path} has no address: add one to `addresses`")
        found += [(route, each) for each in known.get(route.path, [route.path])]
    return found
