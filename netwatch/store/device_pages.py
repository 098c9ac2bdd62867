"""Lists of devices that have incidents, a page at a time, and in which weeks they had some."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, tuple_

from netwatch.core.dataclass import dataclass
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
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


def device_days(
    catalogue: Catalogue,
    devices: Sequence[str],
    since: int,
    until: int,
    *,
    timeout: float | None = None,
) -> dict[tuple[str, int], int]:
    """How many shown incidents each device had, by device and day (UTC, since the epoch), of those
    that began from `since` up to, but without, `until` (ns). Raises `NetwatchError`."""
    column = tables.incident.c
    day = column.first_seen // DAY
    statement = (
        select(column.device, day, func.count())
        .where(
            column.shown == 1,
            column.device.in_(sorted(devices)),
            column.first_seen >= since,
            column.first_seen < until,
        )
        .group_by(column.device, day)
    )
    with catalogue.database.reading(timeout) as connection:
        return {
            (device, int(number)): int(count)
            for device, number, count in connection.execute(statement)
        }
