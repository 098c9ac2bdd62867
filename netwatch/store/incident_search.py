"""Incidents by the filter of a query, in the order of time and then of the output of their run, or
by severity or contacts, behind a position, without reading those that are not wanted.

The days with incidents of the wanted sorts that were seen since the begin of the period are looked
up in `incident_day` first. A device is known by the words of `netwatch.store.incident_words`, names
by theirs: then incidents are read in spans of time that have some hundred of them, and of each only
those are read in whose record such a name is. What is read is compared with the filter once more.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select, tuple_

from netwatch.core.filter_words import DESCENDING, SEVERITIES
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.chosen_incidents import seen_by
from netwatch.store.incident_rows import DAY, SORTS
from netwatch.store.incident_words import devices_called, names_matching
from netwatch.store.statements import (
    Filter,
    Position,
    among,
    chunks,
    fits,
    is_device,
    pairs_among,
    word_conditions,
)

_AT_ONCE = 4096
"""Rows to read at once."""

_SOME = 400
"""Incidents with a name to look for in one span, and to read at once."""

_FEW = 2000
"""Incidents of devices to read and sort, at most; of more, those of all devices are read in the
order of time, without their records."""

_FEW_IN_CASES = 5000
"""The same of incidents that cases are looked for by."""

_ALWAYS = (-(1 << 63), (1 << 63) - 1)

_Span = tuple[int, int]


def incidents_after(
    catalogue: Catalogue,
    wanted: Filter,
    after: Position | None = None,
    *,
    timeout: float | None = None,
) -> Iterator[tuple[str, Position]]:
    """The records of the shown incidents behind a position (when it began, run, and place in its
    output), each as its JSON line with its own. By severity its place among these comes first; by
    contacts a position is their number, when it began, and the id. Raises `QueryTimeoutError` after
    `timeout` s."""
    if is_by_severity(wanted):
        yield from by_severity(wanted, after, partial(incidents_after, catalogue, timeout=timeout))
        return
    does_fit = fits(wanted, lambda word, record: is_device(word, record["device"]))
    with catalogue.database.reading(timeout) as connection:
        search = _Search(connection, wanted, after)
        with closing(search.by_contacts() if wanted.sort else search.rows()) as rows:
            yield from fitting(rows, wanted, does_fit)


def is_by_severity(wanted: Filter) -> bool:
    """Whether records are wanted by severity."""
    return wanted.sort.removeprefix(DESCENDING) == "severity"


def by_severity(
    wanted: Filter,
    after: Position | None,
    found: Callable[[Filter, Position | None], Iterator[tuple[str, Position]]],
) -> Iterator[tuple[str, Position]]:
    """The records of a filter, which `found` gives in the order of time, one severity after the
    other. Behind the known ones are those that only a newer netwatch knows."""
    parts = [replace(wanted, sort="", severities=frozenset({word})) for word in SEVERITIES]
    unknown = wanted.excluded.get("severity", frozenset()) | {*SEVERITIES}
    parts.append(replace(wanted, sort="", excluded={**wanted.excluded, "severity": unknown}))
    if wanted.sort.startswith(DESCENDING):
        parts.reverse()
    left = wanted.limit
    for place, part in enumerate(parts):
        if after is not None and place < after[0]:
            continue
        if wanted.severities and not part.severities & wanted.severities:
            continue
        begin = after[1:] if after is not None and place == after[0] else None
        for text, position in found(replace(part, limit=left), begin):
            yield text, (place, *position)
            if not text:
                return
            if left is not None:
                left -= 1
        if left == 0:
            return


def contacts_in_order(
    connection: Connection, table: Table, statement: Select[Any], wanted: Filter, after: Any
) -> Generator[Any, None, None]:
    """The rows of incidents or cases that a statement over their table wants (the record, the
    number of contacts, when it began, and its id), in the order of these: of those with most
    contacts first the newest, else the oldest. An index has what is compared, so that records are
    read once they are sorted, and positions some at a time."""
    column = table.c
    is_reversed = wanted.sort.startswith(DESCENDING)
    # The index of contacts has nothing that filters compare; a sum is in none.
    is_plain = replace(wanted, sort="", limit=None, most_read=None) == Filter()
    contacts = column.contacts if is_plain else column.contacts + 0
    key = (contacts, column.first_seen, column.id)
    order = [each.desc() if is_reversed else each for each in key]
    size = _AT_ONCE
    if not wanted.looks_inside:
        size = min(size, wanted.limit or size)
    elif wanted.most_read is not None:
        size = min(size, wanted.most_read)
    statement = statement.with_only_columns(*key).order_by(*order).limit(size)
    while True:
        behind = statement
        if after is not None:
            place = tuple_(*after)
            behind = statement.where(tuple_(*key) < place if is_reversed else tuple_(*key) > place)
        positions = connection.execute(behind).all()
        for part in chunks(positions, _SOME):
            ids = [position[-1] for position in part]
            of_ids = select(column.id, column.record).where(among(connection, column.id, ids))
            if "shown" in column:
                of_ids = of_ids.where(column.shown + 0 == 1)
            records = {row.id: row.record for row in connection.execute(of_ids)}
            for position in part:
                yield records[position[-1]], *position
        if len(positions) < size:
            return
        after = positions[-1]


def fitting(
    rows: Iterable[Any], wanted: Filter, does_fit: Callable[[str], bool]
) -> Iterator[tuple[str, Position]]:
    """The rows (the record, and its position) that a filter wants, as many as it does. Where
    `Filter.most_read` ends it, the last record is empty: more may follow behind its position."""
    found = 0
    for read, (text, *position) in enumerate(rows, 1):
        if not wanted.looks_inside or does_fit(text):
            yield text, tuple(position)
            found += 1
            if found == wanted.limit:
                return
        if wanted.looks_inside and read == wanted.most_read:
            yield "", tuple(position)
            return


@dataclass(frozen=True, slots=True)
class _Devices:
    """The wanted devices, and how many incidents they have."""

    ids: Sequence[str]
    incidents: int


def _devices_called(connection: Connection, word: str) -> _Devices:
    ids = devices_called(connection, word)
    column = tables.incident_device.c
    count = func.sum(column.violation + column.advisory + column.exempt)
    statement = select(count).where(among(connection, column.device, ids))
    return _Devices(ids, int(connection.execute(statement).scalar() or 0))


def cases_to_look_at(connection: Connection, wanted: Filter) -> list[str] | None:
    """The ids of the cases that may be of the device of a filter, or have one of its names, by
    their incidents; None if these are many, so that others are soon read in the order of time."""
    incident, named, member = (
        table.c for table in (tables.incident, tables.incident_named, tables.fleet_case_incident)
    )
    found: set[str] | None = None
    of_incidents = select(member.case).join_from(
        tables.incident,
        tables.fleet_case_incident,
        (member.incident == incident.id) & (member.run == incident.run),
    )
    if wanted.device:
        devices = _devices_called(connection, wanted.device)
        if devices.incidents <= _FEW_IN_CASES:
            # For the index; an incident that another run found as well may be hidden.
            of_devices = incident.shown.in_((0, 1)) & among(
                connection, incident.device, devices.ids
            )
            found = {*connection.execute(of_incidents.where(of_devices)).scalars()}
    if wanted.names:
        names = names_matching(connection, wanted.names)
        if names.incidents <= _FEW_IN_CASES:
            at = (named.run == incident.run) & (named.position == incident.position)
            of_names = of_incidents.join(tables.incident_named, at).where(
                among(connection, named.number, names.numbers)
            )
            also = {*connection.execute(of_names).scalars()}
            found = also if found is None else found & also
    return None if found is None else sorted(found)


class _Search:
    def __init__(self, connection: Connection, wanted: Filter, after: Position | None) -> None:
        self._connection = connection
        self._wanted = wanted
        self._after = after

    def rows(self) -> Generator[Any, None, None]:
        """Rows that may be wanted: the record, and the position."""
        devices = None
        if self._wanted.device:
            devices = _devices_called(self._connection, self._wanted.device)
            if not devices.incidents:
                return
        if self._wanted.names:
            named = names_matching(self._connection, self._wanted.names)
            if devices is None or named.incidents <= devices.incidents:
                yield from self._named(named.numbers, named.incidents)
                return
        chosen = self._wanted.chosen
        are_few = chosen is not None and chosen.size is not None and chosen.size <= _FEW
        for begin, end in self._spans():
            if are_few or (devices is not None and devices.incidents <= _FEW):
                yield from self._of_few(begin, end, None if devices is None else devices.ids)
            else:
                yield from self._of_all(begin, end, None if devices is None else devices.ids)

    def by_contacts(self) -> Generator[Any, None, None]:
        """The same by contacts: the record, and the position."""
        wanted, incident = self._wanted, tables.incident.c
        statement = self._matching(incident.shown)
        if wanted.device:
            devices = _devices_called(self._connection, wanted.device)
            # What is computed is in no index, so it is not that of devices.
            device = incident.device if devices.incidents <= _FEW else incident.device.concat("")
            statement = statement.where(among(self._connection, device, devices.ids))
        if wanted.names:
            named, column = names_matching(self._connection, wanted.names), tables.incident_named.c
            if named.incidents <= _FEW_IN_CASES:
                places = select(column.run, column.position).where(
                    among(self._connection, column.number, named.numbers)
                )
                statement = statement.where(tuple_(incident.run, incident.position).in_(places))
        after, self._after = self._after, None
        spans = [*self._spans()]
        if spans:
            begin, end = spans[0][0], spans[-1][1]
            if (begin, end) != _ALWAYS:
                statement = statement.where(incident.first_seen >= begin, incident.first_seen < end)
            yield from contacts_in_order(
                self._connection, tables.incident, statement, wanted, after
            )

    def _spans(self) -> Iterator[_Span]:
        """The times (ns) in which wanted incidents began: consecutive days together."""
        wanted, day = self._wanted, tables.incident_day.c
        first, end = _ALWAYS
        if self._after is not None:
            first = self._after[0]
        if wanted.until is not None:
            end = wanted.until
        if first >= end:
            return
        has_words = wanted.words or wanted.excluded
        # What sensors saw is listed once.
        if wanted.sensors or wanted.excluded_sensors or (wanted.since is None and not has_words):
            yield first, end
            return
        statement = select(day.day).where(day.day >= first // DAY, day.day <= (end - 1) // DAY)
        if wanted.since is not None:
            statement = statement.where(day.last_seen >= wanted.since)
        excluded = {name: words for name, words in wanted.excluded.items() if name in SORTS}
        statement = statement.where(*word_conditions(day, wanted.words, excluded))
        days = self._connection.execute(statement.distinct().order_by(day.day)).scalars().all()
        start = 0
        for index in range(1, len(days) + 1):
            if index == len(days) or days[index] > days[index - 1] + 1:
                yield max(first, days[start] * DAY), min(end, (days[index - 1] + 1) * DAY)
                start = index

    def _of_few(self, begin: int, end: int, devices: Sequence[str] | None) -> Iterator[Any]:
        """The incidents of some devices, or the chosen ones, that began in a span, which are sorted
        without their records. A sum is in no index, so SQLite takes that of devices or ids."""
        incident = tables.incident.c
        began, *others = (incident.first_seen + 0, *_PLACE[1:])
        shown = incident.shown + 0 if devices is None else incident.shown
        statement = self._matching(shown).with_only_columns(began, *others)
        statement = statement.where(began >= begin, began < end)
        if devices is not None:
            statement = statement.where(among(self._connection, incident.device, devices))
        if self._after is not None:
            statement = statement.where(tuple_(began, *others) > self._after)
        yield from self._at(self._connection.execute(statement.order_by(began, *others)).all())

    def _of_all(self, begin: int, end: int, devices: Sequence[str] | None) -> Iterator[Any]:
        """The same of all devices, or of some with many: in the order of time, by the index that
        has all that is compared. What is computed is in no index, so it is not that of devices."""
        incident = tables.incident.c
        statement = self._matching(incident.shown).where(
            incident.first_seen >= begin, incident.first_seen < end
        )
        if devices is not None:
            statement = statement.where(
                among(self._connection, incident.device.concat(""), devices)
            )
        if self._after is not None:
            statement = statement.where(tuple_(*_PLACE) > self._after)
        size = _AT_ONCE
        if self._wanted.limit is not None:
            size = min(size, self._wanted.limit)
            if not self._wanted.looks_inside:
                statement = statement.limit(self._wanted.limit)
        statement = statement.order_by(*_PLACE).execution_options(yield_per=size)
        with self._connection.execute(statement) as rows:
            yield from rows

    def _matching(self, shown: Any) -> Select[Any]:
        wanted, incident = self._wanted, tables.incident.c
        statement = select(incident.record, *_PLACE).where(shown == 1)
        if wanted.since is not None:
            statement = statement.where(incident.last_seen >= wanted.since)
        statement = statement.where(*word_conditions(incident, wanted.words, wanted.excluded_words))
        are_few = shown is not incident.shown  # else they are read by the index of time
        sensors = wanted.sensors, wanted.excluded_sensors
        statement = statement.where(*seen_by(self._connection, *sensors, are_few=are_few))
        return statement if wanted.chosen is None else statement.where(wanted.chosen.condition)

    def _named(self, numbers: Sequence[int], incidents: int) -> Iterator[Any]:
        """The incidents with one of the names with these numbers, in whole so many."""
        if not numbers:
            return
        column = tables.incident_named.c
        place = (column.first_seen, column.run, column.position)
        statement = select(*place).where(among(self._connection, column.number, numbers))
        statement = statement.distinct().order_by(*place)
        if self._after is not None:
            statement = statement.where(tuple_(*place) > self._after)
        for begin, end in self._spans_of_some(incidents):
            began = (column.first_seen >= begin, column.first_seen < end)
            yield from self._at(self._connection.execute(statement.where(*began)).all())

    def _spans_of_some(self, incidents: int) -> Iterator[_Span]:
        """The spans in parts of a length in which some hundred of so many incidents began, if they
        were spread evenly over the time of all."""
        column = tables.incident_day.c
        first, last = self._connection.execute(
            select(func.min(column.day), func.max(column.day))
        ).one()
        if first is None:
            return
        length = max(1, (last + 1 - first) * DAY * _SOME // incidents)
        for begin, end in self._spans():
            begin, end = max(begin, first * DAY), min(end, (last + 1) * DAY)
            for start in range(begin, end, length):
                yield start, min(start + length, end)

    def _at(self, places: Sequence[Any]) -> Iterator[Any]:
        """The wanted ones of the incidents at these positions, some at a time."""
        incident = tables.incident.c
        place = (incident.run, incident.position)
        for part in chunks(places, min(self._wanted.limit or _AT_ONCE, _SOME)):
            pairs = [(run, position) for _, run, position in part]
            # Of the indexes, only that by place is of use here.
            statement = self._matching(incident.shown + 0).where(
                pairs_among(self._connection, place, pairs)
            )
            if self._wanted.until is not None:
                statement = statement.where(incident.first_seen < self._wanted.until)
            yield from sorted(self._connection.execute(statement), key=lambda row: tuple(row[1:]))


_PLACE = (tables.incident.c.first_seen, tables.incident.c.run, tables.incident.c.position)
