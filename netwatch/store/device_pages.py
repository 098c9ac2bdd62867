"""Lists of devices that have incidents, a page at a time, and in which weeks they had some."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, case, func, literal, select, tuple_

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.chunks import chunks
from netwatch.store.incident_pages import NO_WORDS, PAGE
from netwatch.store.incident_rows import DAY


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices are wanted: with an incident from `since` up to, but without, `until` (ns), in
    one of `network`, with `text` in their id, and with incidents of one of the verdicts."""

    since: int | None = None
    until: int | None = None
    network: frozenset[str] = NO_WORDS
    verdict: frozenset[str] = NO_WORDS
    text: str = ""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device in a network: when its first and last incidents were (ns), and how many it has of
    each verdict, ever."""

    device: str
    network: str
    first_seen: int
    last_seen: int
    violation: int
    advisory: int
    exempt: int


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Some devices, and the last of them if there are more."""

    rows: tuple[DeviceRow, ...]
    following: DeviceRow | None


def device_page(
    catalogue: Catalogue,
    wanted: DeviceFilter,
    after: tuple[int, str, str] | None = None,
    *,
    size: int = PAGE,
    timeout: float | None = None,
) -> DevicePage:
    """A page of devices, the one seen last first. `after` is `last_seen`, `device` and `network` of
    the last row of the page before. Raises `NetwatchError`, and `QueryTimeoutError` after
    `timeout` s."""
    table = tables.incident_device
    column = table.c
    key = tuple_(column.last_seen, column.device, column.network)
    statement = select(*(column[name] for name in DeviceRow.__dataclass_fields__))
    if wanted.since is not None:
        statement = statement.where(column.last_seen >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(column.first_seen < wanted.until)
    if wanted.network:
        statement = statement.where(column.network.in_(sorted(wanted.network)))
    if wanted.verdict:
        number: Any = sum((column[name] for name in sorted(wanted.verdict)), 0)
        statement = statement.where(number > 0)
    if wanted.text:
        text = func.lower(column.device)
        statement = statement.where(text.contains(wanted.text.lower(), autoescape=True))
    if after is not None:
        statement = statement.where(key < tuple_(*after))
    order = (column.last_seen.desc(), column.device.desc(), column.network.desc())
    with catalogue.database.reading(timeout) as connection:
        found = connection.execute(statement.order_by(*order).limit(size + 1)).all()
    rows = tuple(DeviceRow(*row) for row in found)
    return DevicePage(rows[:size], rows[size - 1] if len(rows) > size else None)


def device_networks(
    catalogue: Catalogue, devices: Sequence[str], *, timeout: float | None = None
) -> dict[str, list[str]]:
    """The networks in which each of these devices has shown incidents, in the order of names.
    Raises `NetwatchError`, and `QueryTimeoutError` after `timeout` s."""
    column = tables.incident_device.c
    found: dict[str, list[str]] = {device: [] for device in devices}
    with catalogue.database.reading(timeout) as connection:
        for part in chunks(sorted(found)):
            rows = connection.execute(
                select(column.device, column.network)
                .where(column.device.in_(part))
                .order_by(column.device, column.network)
            )
            for device, network in rows:
                found[device].append(network)
    return found


def device_weeks(
    catalogue: Catalogue,
    devices: Sequence[str],
    since: int,
    until: int,
    *,
    network: str = "",
    sensor: str = "",
    timeout: float | None = None,
) -> dict[tuple[str, int], int]:
    """How many shown incidents each device had, by device and the Monday of the week (UTC, days
    since the epoch), of those that began from `since` up to, but without, `until` (ns); those in a
    `network`, and that a `sensor` saw, where these are given. Raises `NetwatchError`, and
    `QueryTimeoutError` after `timeout` s."""
    place: list[ColumnElement[bool]] = []
    if network:
        place.append(tables.incident.c.network == network)
    if sensor:
        run = tables.run.c
        place.append(tables.incident.c.run.in_(select(run.id).where(run.sensor == sensor)))
    with catalogue.database.reading(timeout) as connection:
        device = tables.incident_device.c
        of_devices = device.device.in_(sorted(devices))
        first, last = connection.execute(
            select(func.min(device.first_seen), func.max(device.last_seen)).where(of_devices)
        ).one()
        if first is None or first >= until or last < since:
            return {}
        since, until = max(since, first), min(until, last + 1)
        rows = connection.execute(_weekly(of_devices, since, until, place))
        return {(name, begin // DAY): count for name, begin, count in rows if count}


def _weekly(
    of_devices: ColumnElement[bool], since: int, until: int, place: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    """The incidents of devices by week. To count a range of the index for each week is five times
    as fast as to put all incidents into groups."""
    week = select(literal(monday(since // DAY) * DAY, BigInteger).label("begin")).cte(
        "week", recursive=True
    )
    following = week.c.begin + 7 * DAY
    week = week.union_all(select(following).where(following < until))
    end = week.c.begin + 7 * DAY
    incident = tables.incident.c
    device = select(tables.incident_device.c.device).where(of_devices).distinct().subquery()
    count = (
        select(func.count())
        .where(
            incident.shown == 1,
            incident.device == device.c.device,
            incident.first_seen >= case((week.c.begin < since, since), else_=week.c.begin),
            incident.first_seen < case((end > until, until), else_=end),
            *place,
        )
        .scalar_subquery()
    )
    return select(device.c.device, week.c.begin, count).select_from(
        device.join(week, literal(True))
    )


def monday(day: int) -> int:
    """The Monday of the week of a day (UTC), both as days since the epoch, a Thursday."""
    return day - (day + 3) % 7
