"""The devices that have incidents: which ones, how often, and in which weeks."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta

from netwatch.charts.heat_map import DeviceWeeks, heat_map
from netwatch.console.answers import Answer, Page, bad_request
from netwatch.console.figures import figure
from netwatch.console.lists import known_names, tidied, time_inputs
from netwatch.console.pages.incidents import QUERY_SECONDS, WORDS
from netwatch.console.view import View
from netwatch.store.incident_pages import (
    DeviceFilter,
    DeviceRow,
    device_networks,
    device_page,
    device_weeks,
    monday,
)
from netwatch.store.incident_rows import DAY

FILTERS = ("from", "to", "device", "network", "verdict")
"""The values of an address that filter the list."""

WEEKS = 26
"""Weeks that the picture shows, unless the address has a period."""

_EPOCH = date(1970, 1, 1)


def show(view: View) -> Answer:
    """One page of the list, the device seen last first."""
    query = view.query
    if (tidy := tidied(view, FILTERS)) is not None:
        return tidy
    network, verdict = known_names(view, ("network",)), query.word("verdict", WORDS["verdict"])
    wanted = DeviceFilter(
        query.moment("from"),
        query.moment("to"),
        network.get("network", frozenset()),
        frozenset({verdict} if verdict else ()),
        query.text("device"),
    )
    catalogue = view.console.catalogue
    page = device_page(catalogue, wanted, _cursor(view), timeout=QUERY_SECONDS)
    shared = shared_ids(view, [row.device for row in page.rows])
    pairs = query.kept(FILTERS)
    following = page.following
    older = [*pairs, ("after", _cursor_text(following))] if following else []
    values = {
        "rows": page.rows,
        "older": older,
        "is_first": not query.text("after"),
        "pairs": pairs,
        "wanted": {name: query.text(name) for name in FILTERS} | time_inputs(view),
        "verdicts": WORDS["verdict"],
        "networks": sorted({each.network.name for each in view.console.config.networks.scopes}),
        "shared": shared,
        "figure": _picture(view, page.rows, wanted, shared) if page.rows else None,
    }
    return Page("devices", values, detail={"filter": dict(pairs)})


def everybody(_: View) -> str:
    """The list is about all who have incidents: why it is looked at is asked for all together."""
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


def weeks_of(
    view: View,
    devices: Sequence[str],
    since: int,
    until: int,
    *,
    network: str = "",
    sensor: str = "",
) -> tuple[list[DeviceWeeks], date, date]:
    """The incidents of devices by week, with the first and the last Monday of a period (ns); in a
    `network`, and as a `sensor` saw them, where these are given."""
    counts = device_weeks(
        view.console.catalogue, devices, since, until,
        network=network, sensor=sensor, timeout=QUERY_SECONDS,
    )  # fmt: skip
    weeks: dict[str, dict[date, int]] = defaultdict(dict)
    for (device, begin), count in counts.items():
        weeks[device][_day(begin)] = count
    values = [DeviceWeeks(device, weeks[device]) for device in devices]
    return values, _day(monday(since // DAY)), _day(monday((until - 1) // DAY))


def _picture(
    view: View, rows: Sequence[DeviceRow], wanted: DeviceFilter, shared: frozenset[str]
) -> object:
    last = max(row.last_seen for row in rows)
    until = wanted.until if wanted.until is not None else last + 1
    since = wanted.since
    if since is None:
        since = max(0, until - WEEKS * 7 * DAY)
    devices = list(dict.fromkeys(row.device for row in rows if row.device not in shared))
    values, first, end = weeks_of(view, devices, since, until)
    for row in rows:
        if row.device in shared:
            (one,), *_ = weeks_of(view, [row.device], since, until, network=row.network)
            values.append(DeviceWeeks(f"{row.device} ({row.network})", one.weeks))
    drawn = [each for each in values if each.weeks]
    return figure(view, heat_map(drawn, first, max(first, end), view.language))


def _day(number: int) -> date:
    """A day by its number since the epoch."""
    return _EPOCH + timedelta(days=number)


def _cursor(view: View) -> tuple[int, str, str] | None:
    text = view.query.text("after")
    if not text:
        return None
    moment, _, rest = text.partition(".")
    device, slash, network = rest.rpartition("/")
    if not slash or not (moment.isascii() and moment.isdigit()) or len(moment) > 18:
        raise bad_request(view.say("The place in the list cannot be read: begin at its start."))
    return int(moment), device, network


def _cursor_text(row: DeviceRow) -> str:
    return f"{row.last_seen}.{row.device}/{row.network}"
