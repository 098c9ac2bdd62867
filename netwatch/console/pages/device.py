"""The devices that have incidents (which ones, how often, and in which weeks), and one of them: its
incidents, the names of banned apps that it showed, how much of it could not be read, and where its
name comes from.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from netwatch.charts.heat_map import DeviceWeeks, heat_map
from netwatch.console.filter_bar import (
    TIMES,
    FilterBar,
    excluding,
    filter_bar,
    local_text,
    span_of,
    tidied,
    time_inputs,
    utc_text,
)
from netwatch.console.list_looks import Column, look_of, plain_look, usual_columns
from netwatch.console.lists import known_names, offers, saved_of
from netwatch.console.pages.hidden_lookups import of_device
from netwatch.console.pages.incidents import (
    QUERY_SECONDS,
    TOTAL_SECONDS,
    listed,
    mistake_of,
    place_of,
)
from netwatch.console.rendering import figure
from netwatch.console.view import (
    Answer,
    Page,
    Refused,
    View,
    bad_request,
    detail_of,
    not_found,
)
from netwatch.core.addresses import ip_text, mac_text, parse_ip
from netwatch.core.errors import NetwatchError
from netwatch.core.filter_words import EXCLUDES, WORDS
from netwatch.core.period import local_spans
from netwatch.explain import wording
from netwatch.explain.subject import CATALOGUES
from netwatch.formats.bypass import BypassRecord, day_number
from netwatch.inventory.entry_table import Entry
from netwatch.language.language import language
from netwatch.language.sentences import mark
from netwatch.report import labels
from netwatch.report.page import report_language
from netwatch.store.bypass_rows import client_names, kept_records
from netwatch.store.database import QueryTimeoutError
from netwatch.store.device_facts import DeviceFacts
from netwatch.store.incident_pages import (
    NO_WORDS,
    DeviceFilter,
    DevicePage,
    DeviceRow,
    IncidentFilter,
    IncidentRow,
    device_networks,
    device_page,
    device_weeks,
    incident_page,
)
from netwatch.store.incident_rows import DAY
from netwatch.store.judged_coverage import uncaptured
from netwatch.store.list_totals import device_total
from netwatch.store.statements import Filter, Place, client_places, device_clients

COLUMNS = (
    Column("device", mark("Device"), sorts=True),
    Column("network", mark("Network")),
    Column("first_seen", mark("First seen"), sorts=True),
    Column("last_seen", mark("Last seen"), sorts=True),
    Column("violation", mark("Violations"), is_number=True, sorts=True),
    Column("advisory", mark("Advisories"), is_number=True, sorts=True),
    Column("exempt", mark("Exempt"), is_number=True, sorts=True),
)
"""The columns of the list of devices."""

_NEWEST = "-last_seen"

DEVICE_FILTERS = (
    "range", "from", "to", "device", "network", "verdict",
    *excluding("device", "network", "verdict"),
)  # fmt: skip
"""The values of an address that filter the list of devices."""

WEEKS = 26
"""Weeks that the picture shows, unless the address has a period."""


FILTERS = ("range", *TIMES, "network", "sensor")
"""The values of an address that say for which period the page is, and of which of several devices
with this id."""

SPAN = 31 * DAY
"""The period before the last incident that is shown unless the address says another one, in ns."""

_RECENT = 50
_PLACES = 200


def show_devices(view: View) -> Answer:
    """One page of the list, the device seen last first."""
    query, problem, place, catalogue = view.query, "", "", view.console.catalogue
    try:
        if (tidy := tidied(view, DEVICE_FILTERS, usual_columns(COLUMNS))) is not None:
            return tidy
        wanted = _wanted(view)
        look = look_of(view, COLUMNS, _NEWEST, DEVICE_FILTERS)
        page = device_page(
            catalogue, wanted, _cursor(view), sort=look.sort, is_ascending=not look.is_descending,
            timeout=QUERY_SECONDS,
        )  # fmt: skip
        total = device_total(catalogue, wanted, TOTAL_SECONDS)
    except Refused as refused:
        problem, place, wanted = mistake_of(refused), place_of(refused), DeviceFilter()
        page, total = DevicePage((), None), None
        look = plain_look(view, COLUMNS, _NEWEST, DEVICE_FILTERS)
    shared = shared_ids(view, [row.device for row in page.rows])
    pairs = query.kept(DEVICE_FILTERS)
    following = page.following
    older = (
        [*pairs, *look.pairs, ("after", _cursor_text(following, look.sort))] if following else []
    )
    values = {
        "problem": problem,
        "problem_at": place,
        "bar": filter_bar(view, DEVICE_FILTERS, total=total, look=look.pairs),
        **saved_of(view, "/devices"),
        "query": "" if problem else urlencode([*pairs, *look.pairs]),
        "look": look,
        "rows": page.rows,
        "older": older,
        "is_first": not query.text("after"),
        "pairs": pairs,
        "wanted": {name: query.text(name) for name in DEVICE_FILTERS} | time_inputs(view),
        "verdicts": WORDS["verdict"],
        "offers": offers(view, "devices"),
        "shared": shared,
        "figure": _picture(view, page.rows, wanted, shared) if page.rows else None,
    }
    status = 400 if problem else 200
    return Page("devices", values, status=status, detail={"filter": detail_of(pairs)})


def _wanted(view: View) -> DeviceFilter:
    names = ("network", "verdict", *excluding("device", "network", "verdict"))
    found = known_names(view, names, WORDS)
    since, until = span_of(view)
    return DeviceFilter(
        since,
        until,
        found.get("network", NO_WORDS),
        found.get("verdict", NO_WORDS),
        view.query.text("device"),
        {
            name.removeprefix(EXCLUDES): words
            for name, words in found.items()
            if name.startswith(EXCLUDES)
        },
    )


def everybody(_: View) -> str:
    """The list is about everyone with incidents: why it is looked at is asked for all together."""
    return "devices"


def shared_ids(view: View, devices: Sequence[str]) -> frozenset[str]:
    """The ids that are of a device of its own in each of several networks: sites have equal
    addresses. A row of the inventory is one device in all of them."""
    found = device_networks(view.console.catalogue, devices, timeout=QUERY_SECONDS)
    entries = view.console.config.devices.entries
    return frozenset(
        device
        for device, networks in found.items()
        if len(networks) > 1 and entries.with_id(device) is None
    )


def _picture(
    view: View, rows: Sequence[DeviceRow], wanted: DeviceFilter, shared: frozenset[str]
) -> object:
    last = max(row.last_seen for row in rows)
    until = wanted.until if wanted.until is not None else last + 1
    since = wanted.since
    if since is None:
        since = max(0, until - WEEKS * 7 * DAY)
    weeks: dict[str, Counter[date]] = {}
    devices = list(dict.fromkeys(row.device for row in rows))
    places = {(row.device, row.network) for row in rows}
    counts = device_weeks(
        view.console.catalogue, devices, since, until, view.zone, timeout=QUERY_SECONDS
    )
    for (device, network, monday), count in counts.items():
        name = device
        if device in shared:
            if (device, network) not in places:
                continue
            name = f"{device} ({network})"
        weeks.setdefault(name, Counter())[monday] += count
    values = [DeviceWeeks(name, found) for name, found in weeks.items()]
    return _drawn(view, values, since, until)


def _drawn(view: View, values: Sequence[DeviceWeeks], since: int, until: int) -> object:
    """The picture of devices by week in a period (ns), in the viewer's time zone."""
    days = local_spans(since, until, view.zone) or local_spans(since, since + 1, view.zone)
    first, last = (day - timedelta(days=day.weekday()) for day in (days[0][0], days[-1][0]))
    blank = uncaptured(view.console.catalogue, [span for _, span in days], QUERY_SECONDS)
    missing = [day for (day, _), is_blank in zip(days, blank, strict=True) if is_blank]
    return figure(view, heat_map(values, first, last, view.language, missing))


def _own_picture(
    view: View, device: str, since: int, until: int, network: str, sensor: str
) -> object:
    """The picture of one device by week in a period (ns)."""
    counts = device_weeks(
        view.console.catalogue, [device], since, until, view.zone,
        network=network, sensor=sensor, timeout=QUERY_SECONDS,
    )  # fmt: skip
    weeks: Counter[date] = Counter()
    for (*_, monday), count in counts.items():
        weeks[monday] += count
    return _drawn(view, [DeviceWeeks(device, weeks)], since, until)


def _listing(device: str, network: str, since: int, until: int) -> FilterBar:
    """The list of a device's incidents, which its values filter further."""
    own = [("device", device), *([("network", network)] if network else [])]
    times = zip(TIMES, map(utc_text, (since, until)), strict=True)
    return FilterBar("/incidents", (), (*own, *times), (), (), None)


def _cursor(view: View) -> tuple[int, str, str] | None:
    text = view.query.text("after")
    if not text:
        return None
    moment, _, rest = text.partition(".")
    device, slash, network = rest.rpartition("/")
    if not slash or not (moment.isascii() and moment.isdigit()) or len(moment) > 18:
        raise bad_request(
            view.say("This place in the list cannot be read: begin at the first page.")
        )
    return int(moment), device, network


def _cursor_text(row: DeviceRow, sort: str) -> str:
    number = 0 if sort == "device" else getattr(row, sort)
    return f"{number}.{row.device}/{row.network}"


def show(view: View) -> Answer:
    """The page of a device."""
    if (tidy := tidied(view, FILTERS)) is not None:
        return tidy
    device = view.path["id"]
    catalogue = view.console.catalogue
    network, sensor = view.query.one("network"), view.query.one("sensor")
    if sensor and not catalogue.has_sensor(sensor):
        raise not_found(view.say("There is no such sensor."))
    wanted = IncidentFilter(
        device=frozenset({device}),
        network=frozenset({network} if network else ()),
        sensor=frozenset({sensor} if sensor else ()),
    )
    latest = incident_page(catalogue, wanted, size=1, timeout=QUERY_SECONDS).rows
    entry = view.console.config.devices.entries.with_id(device)
    networks = device_networks(catalogue, [device], timeout=QUERY_SECONDS)[device]
    hidden_last = kept_records(catalogue, devices={device}, limit=1, timeout=QUERY_SECONDS)
    if not networks and entry is None and not hidden_last:
        raise not_found(view.say("No incident and no row of the inventory has such a device."))
    since, until = _period(view, latest, hidden_last)
    wanted = replace(wanted, since=since, until=until)
    page = incident_page(catalogue, wanted, size=_RECENT, timeout=QUERY_SECONDS)
    rows = (*latest, *page.rows)
    records = [json.loads(row.record) for row in rows]
    sensors = catalogue.run_sensors(row.run for row in rows)
    texts = language(view.language.code, CATALOGUES)
    seen = [
        (record, sensors[row.run])
        for row, record in zip(rows, records, strict=True)
        if row.run in sensors
    ]
    known = _known(view, device, entry, seen)
    places = _places(known, networks)
    facts, reason = _facts(view, device, known, since, until)
    # A picture of several devices as one would accuse each of them of what the others did.
    is_one = network or entry is not None or len(places) < 2
    picture = _own_picture(view, device, since, until, network, sensor) if is_one else None
    values = {
        "device": device,
        "network": network,
        "sensor": sensor,
        "places": places if len(places) > 1 or network or sensor else (),
        "entry": entry,
        "ips": [ip_text(ip) for ip in entry.ips] if entry else [],
        "mac": ", ".join(map(mac_text, entry.macs)) if entry else "",
        "found_by": _bindings(records),
        "bindings": {code: texts.say(text) for code, text in wording.BINDINGS.items()},
        "rows": [listed(view, row) for row in page.rows],
        "more": page.following is not None,
        "period": (since, until),
        "bar": filter_bar(view, FILTERS),
        "listing": _listing(device, network, since, until),
        "wanted": time_inputs(view) if view.query.kept(TIMES) else {
            "from": local_text(view, since), "to": local_text(view, until),
        },
        "figure": picture,
        "facts": facts,
        "reasons": labels.reasons(report_language(view.language.code)),
        "hidden": of_device(view, _names(view, device, known), since, until, network, sensor),
        "apps": _apps(view, facts),
        "reason": reason,
    }  # fmt: skip
    detail: dict[str, object] = {"period": [utc_text(since), utc_text(until)]}
    if network or sensor:
        detail |= {"network": network, "sensor": sensor}
    return Page("device", values, f"device {device}", detail=detail)


def person(view: View) -> str:
    """Whom the page is about. Raises `Refused` where it names nobody."""
    if not view.path["id"]:
        raise not_found()
    return f"device {view.path['id']}"


def _names(view: View, device: str, known: Mapping[Place, Sequence[int]]) -> set[str]:
    """What the device may be called where it has no row of the inventory: by an address, MAC or
    pseudonym of its clients."""
    numbers = [number for found in known.values() for number in found]
    return {device, *client_names(view.console.catalogue, numbers)}


def _period(
    view: View, latest: Sequence[IncidentRow], hidden: Sequence[BypassRecord]
) -> tuple[int, int]:
    """The period of the page (ns): that of the address, else the days before the last incident,
    or the last day on which it hid its lookups if there is none."""
    since, until = span_of(view)
    if until is None:
        last = latest[0].last_seen if latest else view.console.now()
        if not latest and hidden:
            last = day_number(hidden[0]) * DAY
        until = (last // DAY + 1) * DAY
    if since is None:
        since = max(0, until - SPAN)
    return since, max(until, since + 1)


def _known(
    view: View,
    device: str,
    entry: Entry | None,
    records: Sequence[tuple[Mapping[str, Any], str]],
) -> dict[Place, list[int]]:
    """The clients (numbers) that may be the device, by where they are."""
    catalogue = view.console.catalogue
    addresses = [(ip, None) for ip in entry.ips] if entry else []
    if entry:
        addresses += [(None, mac) for mac in entry.macs]  # type: ignore[misc]
    wanted = Filter(device=device, addresses=tuple(addresses))
    seen = {
        (who["ip"], who["mac"], record["network"]["name"], sensor)
        for record, sensor in records
        if (who := record["device"])["ip"] or who["mac"]
    }
    return client_places(catalogue, device_clients(catalogue, wanted, seen))


def _places(known: Mapping[Place, object], networks: Sequence[str]) -> list[Place]:
    """Where the device is known: by its facts, and by incidents in `networks`."""
    found = [*known]
    seen = {place.network for place in found}
    found += [Place(network, "") for network in networks if network not in seen]
    return found[:_PLACES]


def _facts(
    view: View, device: str, known: Mapping[Place, Sequence[int]], since: int, until: int
) -> tuple[DeviceFacts | None, str]:
    """What the facts say, or a sentence on why that is not known. Facts of what may be several
    devices are not put together."""
    console = view.console
    network, sensor = view.query.text("network"), view.query.text("sensor")
    chosen = {
        place: numbers
        for place, numbers in known.items()
        if network in ("", place.network) and sensor in ("", place.sensor)
    }
    clients = [number for numbers in chosen.values() for number in numbers]
    if not clients:
        return None, view.say("The store has no facts of an address of this device.")
    by_one_sensor = len({place.sensor for place in chosen}) == 1
    if len(chosen) > 1 and not (by_one_sensor and parse_ip(device) is None):
        return None, view.say("This may be about several devices: choose one above.")
    banned = {app for ban in console.config.policy.bans for app in (*ban.apps, *ban.bypass)}

    def is_banned(name: str) -> bool:
        match = console.config.catalog.match(console.config.strip_search_suffix(name))
        return match is not None and match.app.id in banned

    try:
        found = console.device_facts.read(clients, since, until, is_banned, QUERY_SECONDS)
    except QueryTimeoutError:
        return None, view.say("The names took too long to read. Ask for a shorter period.")
    except NetwatchError as error:
        console.report(str(error))
        return None, view.say("The facts of the store cannot be read now.")
    return found, ""


def _apps(view: View, facts: DeviceFacts | None) -> Mapping[str, str]:
    """The name of the app of each name."""
    config = view.console.config
    found = {}
    for seen in facts.names if facts else ():
        match = config.catalog.match(config.strip_search_suffix(seen.name))
        if match is not None:
            found[seen.name] = match.app.name
    return found


def _bindings(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Where the name of the device came from in its incidents, each source once."""
    found: dict[str, Mapping[str, Any]] = {}
    for record in records:
        binding = record.get("binding")
        if binding and binding["source"] != "address":
            found.setdefault(json.dumps(binding, sort_keys=True), binding)
    return list(found.values())[:10]
