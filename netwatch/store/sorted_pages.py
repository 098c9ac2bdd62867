"""Lists of incidents and cases sorted by a column instead of by time. Sorted by words, incidents
with the same word follow each other, newest first. Sorted by the number of contacts, ties are
broken by time: newest first in descending order, oldest first in ascending order.

Each word is read as a separate list through the index of time, so no other order needs an index.
There may be many devices: those with few incidents are read together, one with many as a separate
list. Contacts have an index, used by lists without a filter; a filtered list sorts the matching
entries of the index of time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, func, select, tuple_

from netwatch.core.filter_words import WORDS
from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import case_page, cases_by_id, matching_cases
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_pages import (
    FEW,
    INCIDENT_COLUMNS,
    NO_WORDS,
    PAGE,
    Cursor,
    DeviceFilter,
    IncidentFilter,
    IncidentPage,
    IncidentRow,
    incident_counts,
    incident_page,
    incidents_of_devices,
    matching_devices,
    matching_incidents,
)
from netwatch.store.statements import CHUNK


@dataclass(frozen=True, slots=True)
class Order:
    """An order: by time where `column` is ``first_seen``, else by its words (A to Z, or as
    `netwatch.core.filter_words` has them) and then the newest first. `is_reversed` is the other way
    round: by time the oldest first."""

    column: str = "first_seen"
    is_reversed: bool = False

    def sorted(self, words: Sequence[str]) -> list[str]:
        """Words in this order."""
        fixed = WORDS.get(self.column, ())
        known = {word: number for number, word in enumerate(fixed)}
        return sorted(
            words,
            key=lambda word: (known.get(word, len(known)), word.casefold(), word),
            reverse=self.is_reversed,
        )


def sorted_incidents(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    order: Order,
    after: Cursor | None = None,
    *,
    size: int = PAGE,
    timeout: float | None = None,
) -> IncidentPage:
    """A page of incidents in an order. Raises `NetwatchError`, and `QueryTimeoutError` for a query
    that takes more than `timeout` s."""
    if order.column == "first_seen":
        return incident_page(
            catalogue, wanted, after, size=size, oldest_first=order.is_reversed, timeout=timeout
        )
    if order.column == "contacts":
        return _by_contacts(catalogue, wanted, order, after, size, timeout)
    if order.column == "device":
        found = [*_by_device(catalogue, wanted, order, after, size + 1, timeout)]
        return _page(found, size)
    # Words that none of the chosen ones has are passed over: to look at each costs more.
    counts = incident_counts(
        catalogue, replace(wanted, chosen=None), [order.column], timeout=timeout
    )
    words = order.sorted([word for (word,) in counts])
    return _by_words(incident_page, catalogue, wanted, order, words, after, size, timeout)


def sorted_cases(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    order: Order,
    after: Cursor | None = None,
    *,
    size: int = PAGE,
    timeout: float | None = None,
) -> IncidentPage:
    """The same of cases."""
    if order.column == "first_seen":
        return case_page(
            catalogue, wanted, after, size=size, oldest_first=order.is_reversed, timeout=timeout
        )
    if order.column == "contacts":
        return _cases_by_contacts(catalogue, wanted, order, after, size, timeout)
    column = tables.fleet_case.c[order.column]
    with catalogue.database.reading(timeout) as connection:
        every = replace(wanted, chosen=None)
        statement = matching_cases(catalogue, select(column), every).distinct()
        words = order.sorted([*connection.execute(statement).scalars()])
    return _by_words(case_page, catalogue, wanted, order, words, after, size, timeout)


def _by_words(
    page: Callable[..., IncidentPage],
    catalogue: Catalogue,
    wanted: IncidentFilter,
    order: Order,
    words: Sequence[str],
    after: Cursor | None,
    size: int,
    timeout: float | None,
) -> IncidentPage:
    """The rows with each word in turn. A word that has gone since the last page is passed over."""
    found: list[tuple[str, IncidentRow]] = []
    for word in words if after is None else _from(order, words, after.word):
        part = replace(wanted, **{order.column: frozenset({word})})  # type: ignore[arg-type]
        place = after if after is not None and word == after.word else None
        left = size + 1 - len(found)
        rows = page(catalogue, part, place, size=left, timeout=timeout).rows
        found += [(word, row) for row in rows]
        if len(found) > size:
            break
    return _page(found, size)


def _from(order: Order, words: Sequence[str], first: str) -> list[str]:
    """The words from one on, which may be none of them."""
    every = order.sorted([*{*words, first}])
    return [word for word in every[every.index(first) :] if word in words]


def _page(found: Sequence[tuple[str, IncidentRow]], size: int) -> IncidentPage:
    page = IncidentPage.of([row for _, row in found], size)
    if page.following is None:
        return page
    return replace(page, following=replace(page.following, word=found[size - 1][0]))


def _by_contacts(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    order: Order,
    after: Cursor | None,
    size: int,
    timeout: float | None,
) -> IncidentPage:
    """A page by the number of contacts. Without a filter it is read from their index. Else the
    wanted incidents are sorted, which are read from the index of time, or that of devices if these
    have few. What is computed is in no index, so that the database takes the right one."""
    column = tables.incident.c
    contacts = column.contacts if wanted == IncidentFilter() else column.contacts + 0
    key = (contacts, column.first_seen, column.id)
    with catalogue.database.reading(timeout) as connection:
        statement = select(*key)
        if wanted.device and incidents_of_devices(connection, wanted) > FEW:
            statement = statement.where(column.device.concat("").in_(sorted(wanted.device)))
            wanted = replace(wanted, device=NO_WORDS)
        statement = _placed(matching_incidents(connection, statement, wanted), key, order, after)
        found = connection.execute(statement.limit(size + 1)).all()
        ids = [row.id for row in found]
        rows = connection.execute(
            select(*INCIDENT_COLUMNS).where(column.id.in_(ids), column.shown + 0 == 1)
        )
        known = {row.id: IncidentRow(*row) for row in rows}
    return _page([(str(row[0]), known[row.id]) for row in found], size)


def _cases_by_contacts(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    order: Order,
    after: Cursor | None,
    size: int,
    timeout: float | None,
) -> IncidentPage:
    """The same of cases, which have one index for all filters."""
    column = tables.fleet_case.c
    key = (column.contacts, column.first_seen, column.id)
    statement = _placed(matching_cases(catalogue, select(*key), wanted), key, order, after).limit(
        size + 1
    )
    with catalogue.database.reading(timeout) as connection:
        found = connection.execute(statement).all()
        known = cases_by_id(connection, [row.id for row in found])
    return _page([(str(row[0]), known[row.id]) for row in found], size)


def _placed(
    statement: Select[Any], key: tuple[Any, ...], order: Order, after: Cursor | None
) -> Select[Any]:
    """A statement in the order of a key that begins with a number, behind a place."""
    if after is not None:
        place = tuple_(int(after.word), after.first_seen, after.id)
        is_behind = tuple_(*key) < place if order.is_reversed else tuple_(*key) > place
        statement = statement.where(is_behind)
    return statement.order_by(*(each.desc() if order.is_reversed else each for each in key))


def _by_device(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    order: Order,
    after: Cursor | None,
    most: int,
    timeout: float | None,
) -> Iterator[tuple[str, IncidentRow]]:
    """At most so many incidents, each with its device."""
    column = tables.incident.c
    with catalogue.database.reading(timeout) as connection:
        devices = _devices(connection, wanted, order, after)
    for part, are_few in _together(devices):
        own = replace(wanted, device=frozenset(part))
        place = after if after is not None and after.word in part else None
        if not are_few:
            page = incident_page(catalogue, own, place, size=most, timeout=timeout)
            rows = [(part[0], row) for row in page.rows]
        else:
            key = column.device.desc() if order.is_reversed else column.device
            statement = matching_incidents(
                catalogue.database.engine, select(column.device, *INCIDENT_COLUMNS), own
            )
            if place is not None:
                behind = tuple_(column.first_seen, column.id) < tuple_(place.first_seen, place.id)
                statement = statement.where((column.device != place.word) | behind)
            statement = statement.order_by(key, column.first_seen.desc(), column.id.desc())
            with catalogue.database.reading(timeout) as connection:
                found = connection.execute(statement.limit(most))
                rows = [(device, IncidentRow(*row)) for device, *row in found]
        yield from rows
        most -= len(rows)
        if most <= 0:
            return


def _together(devices: Sequence[tuple[str, int]]) -> Iterator[tuple[list[str], bool]]:
    """Devices that are read together, and whether they have few incidents; one that has many is
    alone."""
    part: list[str] = []
    incidents = 0
    for device, count in devices:
        if part and (incidents + count > FEW or len(part) == CHUNK):
            yield part, incidents <= FEW
            part, incidents = [], 0
        part.append(device)
        incidents += count
    if part:
        yield part, incidents <= FEW


def _devices(
    connection: Connection, wanted: IncidentFilter, order: Order, after: Cursor | None
) -> list[tuple[str, int]]:
    """The devices that may have wanted incidents, each with how many it has in all, in an order
    that is that of the database: by the code points of their ids."""
    table = tables.incident_device.c
    column: Any = table.device
    count = func.sum(table.violation + table.advisory + table.exempt)
    excluded = {
        name: words for name, words in wanted.excluded.items() if name in ("device", "network")
    }
    filtered = DeviceFilter(wanted.since, wanted.until, wanted.network, wanted.verdict,
                            excluded=excluded)  # fmt: skip
    statement = matching_devices(select(column, count), filtered).group_by(column)
    if wanted.device:
        statement = statement.where(column.in_(sorted(wanted.device)))
    if wanted.sensor:
        every = replace(wanted, device=NO_WORDS)
        seen = matching_incidents(connection, select(tables.incident.c.device), every)
        statement = statement.where(column.in_(seen))
    if after is not None:
        is_behind = column <= after.word if order.is_reversed else column >= after.word
        statement = statement.where(is_behind)
    found = connection.execute(statement.order_by(column.desc() if order.is_reversed else column))
    return [(device, int(number)) for device, number in found]
