"""The devices that hid their lookups, day by day, as rows of the catalogue: which days were judged,
what was found, and which of it the outputs have.

A record is kept as long as incidents are; one of a personal or guest network as long as facts of
such networks, from which it was counted. How many devices could be judged stays, without those of
such networks.

Outputs are told of a finding once. The process that tells them claims it first; if it ends before
it notes that they have it, another one claims it after `CLAIM`, and the outbox leaves out what was
delivered before.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, or_, select, tuple_, update

from netwatch.coverage.bypass import DeviceKey
from netwatch.formats.bypass import BypassRecord, day_number
from netwatch.formats.values import json_line
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import Retention
from netwatch.store.statements import Filter, Position, chunks, insert_rows

CLAIM = 3600
"""Seconds after which another process may tell the outputs of what was claimed."""

NEWS_DAYS = 8
"""Days back that outputs are told of: what is found in an older past is no news."""

PERSONAL = ("personal", "guest")
"""The classes of networks whose clients have the retention `personal`."""

_SECOND = 1_000_000_000
_DAY = 86_400


class JudgedDay(NamedTuple):
    """A day that was judged: the rows of facts that there were, and the devices that could be
    judged, of which `personal` in personal and guest networks."""

    rows: int
    devices: int
    personal: int


def fact_rows(catalogue: Catalogue) -> dict[int, int]:
    """Flows and observations by day (since the epoch). Raises `NetwatchError`."""
    file = tables.file.c
    statement = select(func.min(file.first), func.sum(file.rows)).group_by(file.day)
    with catalogue.database.reading() as connection:
        found = connection.execute(statement.where(file.table.in_(("flow", "observation"))))
        return {first // (_DAY * _SECOND): int(rows) for first, rows in found}


def judged_days(catalogue: Catalogue) -> dict[int, JudgedDay]:
    """The days that were judged, since the epoch. Raises `NetwatchError`."""
    day = tables.bypass_day.c
    with catalogue.database.reading() as connection:
        found = connection.execute(select(day.day, day.rows, day.devices, day.personal))
        return {number: JudgedDay(*rest) for number, *rest in found}


def hiding_devices(catalogue: Catalogue) -> dict[int, set[DeviceKey]]:
    """The devices that hid their lookups, by day. Raises `NetwatchError`."""
    bypass = tables.bypass.c
    hiding: defaultdict[int, set[DeviceKey]] = defaultdict(set)
    with catalogue.database.reading() as connection:
        for day, *key in connection.execute(
            select(bypass.day, bypass.network, bypass.sensor, bypass.device)
        ):
            hiding[day].add(DeviceKey(*key))
    return hiding


def kept_records(
    catalogue: Catalogue,
    first: int | None = None,
    end: int | None = None,
    *,
    devices: Collection[str] | None = None,
    networks: Collection[str] | None = None,
    limit: int | None = None,
    timeout: float | None = None,
) -> list[BypassRecord]:
    """The records of days (since the epoch) from `first` up to, but without, `end`, by day, network
    and device: of these devices and networks, and the last `limit` ones. Raises `NetwatchError`,
    and `QueryTimeoutError` after `timeout` s."""
    bypass = tables.bypass.c
    statement = select(bypass.record)
    if first is not None:
        statement = statement.where(bypass.day >= first)
    if end is not None:
        statement = statement.where(bypass.day < end)
    if devices is not None:
        statement = statement.where(bypass.device.in_(sorted(devices)))
    if networks is not None:
        statement = statement.where(bypass.network.in_(sorted(networks)))
    order = statement.order_by(
        bypass.day.desc(), bypass.network.desc(), bypass.sensor.desc(), bypass.device.desc()
    )
    with catalogue.database.reading(timeout) as connection:
        found = connection.execute(order.limit(limit)).scalars().all()
    return [json.loads(line) for line in reversed(found)]


def bypasses_after(
    catalogue: Catalogue,
    wanted: Filter,
    after: Position | None = None,
    *,
    timeout: float | None = None,
) -> Iterator[tuple[str, Position]]:
    """The records that match a filter behind a position (day, network, sensor and device), each as
    its JSON line with its own. Raises `NetwatchError`, and `QueryTimeoutError` after `timeout`
    s."""
    from netwatch.store.views import streamed  # It loads DuckDB, which a writer does not need.

    bypass = tables.bypass.c
    place = (bypass.day, bypass.network, bypass.sensor, bypass.device)
    statement = select(bypass.record, *place).order_by(*place)
    first, end = days_between(wanted.since, wanted.until)
    if first is not None:
        statement = statement.where(bypass.day >= first)
    if end is not None:
        statement = statement.where(bypass.day < end)
    if wanted.networks:
        statement = statement.where(bypass.network.in_(sorted(wanted.networks)))
    if after is not None:
        statement = statement.where(tuple_(*place) > after)
    found = 0
    for text, *position in streamed(catalogue, statement, timeout):
        if wanted.device_ids and position[-1].lower() not in wanted.device_ids:
            continue
        yield text, tuple(position)
        found += 1
        if found == wanted.limit:
            return


def days_between(since: int | None, until: int | None) -> tuple[int | None, int | None]:
    """The first day (since the epoch) that begins from `since` (ns) on, and the first that does not
    begin before `until`; None where there is no such bound."""
    first = None if since is None else -(-since // (_DAY * _SECOND))
    return first, None if until is None else -(-until // (_DAY * _SECOND))


def keep_days(
    catalogue: Catalogue, days: Mapping[int, JudgedDay], found: Iterable[BypassRecord]
) -> None:
    """Keep days that were judged, with what was found on them. What was found before and is not
    any more is deleted; what still is, outputs are not told again. Raises `NetwatchError`."""
    by_day: defaultdict[int, list[BypassRecord]] = defaultdict(list)
    for record in found:
        by_day[day_number(record)].append(record)
    with catalogue.database.writing() as connection:
        for day, judged in sorted(days.items()):
            _keep_day(connection, day, judged, by_day[day])


def _keep_day(
    connection: Connection, day: int, judged: JudgedDay, records: Sequence[BypassRecord]
) -> None:
    column, of_day = tables.bypass.c, tables.bypass_day.c
    before = select(column.id, column.claimed, column.told).where(column.day == day)
    told = {id_: rest for id_, *rest in connection.execute(before)}
    connection.execute(delete(tables.bypass).where(column.day == day))
    connection.execute(delete(tables.bypass_day).where(of_day.day == day))
    insert_rows(connection, tables.bypass_day, [{"day": day, **judged._asdict()}])
    rows = []
    for record in records:
        device = record["device"]
        claimed, at = told.get(record["id"], (None, None))
        rows.append(
            {"id": record["id"], "day": day, "network": device["network"],
             "class": device["class"], "sensor": device.get("sensor", ""),
             "device": device["id"], "record": json_line(record), "claimed": claimed, "told": at}
        )  # fmt: skip
    insert_rows(connection, tables.bypass, rows)


def claim_news(catalogue: Catalogue) -> list[BypassRecord]:
    """Claim the findings that outputs have not been told of. Raises `NetwatchError`."""
    now, column = time.time_ns(), tables.bypass.c
    is_new = (
        column.told.is_(None)
        & or_(column.claimed.is_(None), column.claimed < now - CLAIM * _SECOND)
        & (column.day >= now // (_DAY * _SECOND) - NEWS_DAYS)
    )
    order = (column.day, column.network, column.sensor, column.device)
    with catalogue.database.reading() as connection:
        if connection.execute(select(column.id).where(is_new).limit(1)).first() is None:
            return []
    with catalogue.database.writing(numbers=True) as connection:
        rows = connection.execute(select(column.id, column.record).where(is_new).order_by(*order))
        found = {id_: json.loads(record) for id_, record in rows}
        for part in chunks([*found]):
            these = update(tables.bypass).where(column.id.in_(part))
            connection.execute(these.values(claimed=now))
    return [*found.values()]


def note_told(catalogue: Catalogue, ids: Sequence[str]) -> None:
    """The outputs have these findings. Raises `NetwatchError`."""
    column = tables.bypass.c
    with catalogue.database.writing() as connection:
        for part in chunks(ids):
            these = update(tables.bypass).where(column.id.in_(part))
            connection.execute(these.values(told=time.time_ns()))


def forget_old(
    catalogue: Catalogue, retention: Retention, now: int, *, dry_run: bool = False
) -> int:
    """Delete what is older than its retention as of `now` (s), or with `dry_run` only count it;
    returns how many findings. Raises `NetwatchError`."""
    column, of_day = tables.bypass.c, tables.bypass_day.c
    old: list[Any] = []
    before, personal = _first_kept(retention.incidents, now), _first_kept(retention.personal, now)
    if before is not None:
        old.append(column.day < before)
    if personal is not None:
        old.append(column["class"].in_(PERSONAL) & (column.day < personal))
    if not old:
        return 0
    if dry_run:
        with catalogue.database.reading() as connection:
            count = select(func.count()).select_from(tables.bypass).where(or_(*old))
            return int(connection.execute(count).scalar_one())
    with catalogue.database.writing() as connection:
        removed = int(connection.execute(delete(tables.bypass).where(or_(*old))).rowcount)
        if before is not None:
            connection.execute(delete(tables.bypass_day).where(of_day.day < before))
        if personal is not None:
            connection.execute(
                update(tables.bypass_day)
                .where(of_day.day < personal, of_day.personal > 0)
                .values(devices=of_day.devices - of_day.personal, personal=0)
            )
    return removed


def _first_kept(keep: int | None, now: int) -> int | None:
    """The first day whose last moment is younger than a retention (s); None without one."""
    return None if keep is None else (now - keep) // _DAY


def erase_bypasses(connection: Connection, is_mentioned: Any) -> int:
    """Delete the findings that mention a person; returns how many."""
    column = tables.bypass.c
    rows = connection.execute(select(column.id, column.day, column.record)).all()
    ids = []
    for id_, day, record in rows:
        begin = day * _DAY * _SECOND
        if is_mentioned(json.loads(record), begin, begin + _DAY * _SECOND - 1):
            ids.append(id_)
    for part in chunks(ids):
        connection.execute(delete(tables.bypass).where(column.id.in_(part)))
    return len(ids)


class HidingCount(NamedTuple):
    """How many devices of a network hid their lookups, and on how many days of theirs."""

    network: str
    devices: int
    days: int


def hiding_counts(
    catalogue: Catalogue,
    first: int,
    end: int,
    networks: Collection[str] | None = None,
    timeout: float | None = None,
) -> list[HidingCount]:
    """The counts on days (since the epoch) from `first` up to, but without, `end`, by network, in
    all of them or in these. Raises `NetwatchError`, and `QueryTimeoutError` after `timeout` s."""
    bypass = tables.bypass.c
    each = (bypass.network, bypass.sensor, bypass.device)
    statement = select(*each, func.count()).where(bypass.day >= first, bypass.day < end)
    if networks is not None:
        statement = statement.where(bypass.network.in_(sorted(networks)))
    devices, days = Counter[str](), Counter[str]()
    with catalogue.database.reading(timeout) as connection:
        for network, _, _, count in connection.execute(statement.group_by(*each)):
            devices[network] += 1
            days[network] += count
    return [HidingCount(name, devices[name], days[name]) for name in sorted(devices)]


def client_names(catalogue: Catalogue, numbers: Sequence[int]) -> set[str]:
    """The addresses, MACs and pseudonyms of clients. Raises `NetwatchError`."""
    client, found = tables.client.c, set[str]()
    with catalogue.database.reading() as connection:
        for part in chunks(numbers):
            these = select(client.ip, client.mac, client.pseudonym).where(client.number.in_(part))
            for row in connection.execute(these):
                found.update(text for text in row if text)
    return found
