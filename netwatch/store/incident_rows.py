"""Writes and deletes rows of incidents, and the data derived from them.

If several runs found an incident, the row of the newest run is shown. The number of shown incidents
of each sort on each day (`incident_day`), and of each device (`incident_device`), is kept with the
rows, in the same transaction: what a stored row adds to the counts, and what it replaces takes from
them, is applied; when rows are deleted, their days and devices are counted again. A deleted
incident is also removed from its case.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from netwatch.core.alert import AlertRecord, contacts_of
from netwatch.formats.values import epoch_ns
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_rows import remove_members
from netwatch.store.incident_words import Words
from netwatch.store.statements import MANY, among, chunks, upsert

DAY = 86_400 * 10**9
"""A day in ns."""

SORTS = (
    "verdict", "confidence", "kind", "outcome", "status", "app", "ban", "network", "severity",
)  # fmt: skip
"""The columns by which incidents are counted on a day."""

VERDICTS = ("violation", "advisory", "exempt")
"""The verdicts by which the incidents of a device are counted."""

_AT_ONCE = 500
"""Records to read at once."""

_Row = Mapping[str, Any]


class _Removed(NamedTuple):
    """An incident that is deleted."""

    run: int
    id: str
    shown: int
    first_seen: int
    device: str


class _Place(NamedTuple):
    """Where an incident is counted."""

    day: int
    device: str


def store_incidents(connection: Connection, alerts: Iterable[tuple[int, AlertRecord, str]]) -> None:
    """Store alerts, each with its run and its JSON line. An alert replaces an earlier one with the
    same run and id, as the next state of the same incident."""
    write_incidents(connection, alerts).write(connection)


def write_incidents(
    connection: Connection, alerts: Iterable[tuple[int, AlertRecord, str]]
) -> "Counts":
    """The same without the counts, which must be written in the same transaction."""
    incidents, counts = tables.incident, Counts()
    written: dict[str, dict[int, dict[str, Any]]] = {}
    for run, record, text in alerts:
        written.setdefault(str(record["id"]), {})[run] = _values(record, text)
    if not written:
        return counts
    known = _known(connection, [*written])
    new = {
        run
        for identity, of_runs in written.items()
        for run in of_runs
        if run not in known[identity]
    }
    places = _last_places(connection, sorted(new))
    words = counts.words
    hidden, rows = [], []
    for identity, of_runs in written.items():
        before = known[identity]
        newest = max(*before, *of_runs, -1)
        shown = next((row for row in before.values() if row["shown"]), None)
        if shown is None:
            counts.add(of_runs[newest])
        elif shown["run"] != newest:
            hidden.append(identity)
            counts.remove(shown)
            counts.add(of_runs[newest])
        elif newest in of_runs:
            counts.replace(shown, of_runs[newest])
        for run, values in of_runs.items():
            record, began = values.pop("alert"), values["first_seen"]
            if run in before:
                old = before[run]
                position = old["position"]
                words.replace(run, position, (old["first_seen"], old["record"]), began, record)
            else:
                position = places[run] = places[run] + 1
                words.add(run, position, began, record)
            values |= {
                "run": run,
                "id": identity,
                "position": position,
                "shown": int(run == newest),
            }
            rows.append(values)
    for part in chunks(hidden):
        row = incidents.c.id.in_(part) & (incidents.c.shown == 1)
        connection.execute(update(incidents).where(row).values(shown=0))
    upsert(
        connection,
        incidents,
        rows,
        lambda new: {name: new[name] for name in rows[0] if name not in ("run", "id")},
    )
    return counts


def remove_incidents(connection: Connection, where: Any) -> int:
    """Delete the incidents for which `where` holds; returns how many. If another run found the same
    incident, its row is now shown."""
    incidents = tables.incident
    removed = _forget_words(connection, where)
    connection.execute(delete(incidents).where(where))
    remove_members(connection, [(row.run, row.id) for row in removed])
    changed = {_Place(row.first_seen // DAY, row.device) for row in removed if row.shown}
    for part in chunks(sorted({row.id for row in removed if row.shown})):
        others = connection.execute(
            select(incidents.c.id, func.max(incidents.c.run).label("run"))
            .where(incidents.c.id.in_(part))
            .group_by(incidents.c.id)
        ).all()
        for other in others:
            row = (incidents.c.id == other.id) & (incidents.c.run == other.run)
            connection.execute(update(incidents).where(row).values(shown=1))
            changed |= {
                _place(found._mapping)
                for found in connection.execute(
                    select(incidents.c.first_seen, incidents.c.device).where(row)
                )
            }
    recount(connection, changed)
    return len(removed)


def _forget_words(connection: Connection, where: Any) -> list[_Removed]:
    """Remove the words of incidents; returns the incidents. They may be all that there are, with
    large records, so these are read some at a time."""
    column, words, found = tables.incident.c, Words(), []
    names = (*_Removed._fields, "position", "record")
    statement = select(*(column[name] for name in names)).where(where)
    for row in connection.execute(statement.execution_options(yield_per=_AT_ONCE)):
        words.remove(row.run, row.position, row.first_seen, row.record)
        found.append(_Removed(*row[:-2]))
    words.write(connection)
    return found


def recount(connection: Connection, places: Iterable[tuple[int, str]]) -> None:
    """Count the shown incidents of days (UTC, since the epoch) and devices again."""
    places = [*places]
    recount_days(connection, {day for day, _ in places})
    _recount_devices(connection, sorted({device for _, device in places}))


def recount_days(connection: Connection, numbers: Iterable[int]) -> None:
    """Count the shown incidents of days again."""
    incident, days = tables.incident.c, tables.incident_day
    for day in sorted(numbers):
        connection.execute(delete(days).where(days.c.day == day))
        sorts = [incident[name] for name in SORTS]
        connection.execute(
            insert(days).from_select(
                ["day", *SORTS, "incidents", "last_seen"],
                select(literal(day), *sorts, func.count(), func.max(incident.last_seen))
                .where(
                    incident.shown == 1,
                    incident.first_seen >= day * DAY,
                    incident.first_seen < (day + 1) * DAY,
                )
                .group_by(*sorts),
            )
        )


def _recount_devices(connection: Connection, names: Sequence[str]) -> None:
    incident, devices = tables.incident.c, tables.incident_device
    for part in chunks(names):
        connection.execute(delete(devices).where(devices.c.device.in_(part)))
        connection.execute(
            insert(devices).from_select(
                ["device", "network", "first_seen", "last_seen", *VERDICTS],
                select(
                    incident.device,
                    incident.network,
                    func.min(incident.first_seen),
                    func.max(incident.last_seen),
                    *(_number_of(verdict) for verdict in VERDICTS),
                )
                .where(incident.shown == 1, incident.device.in_(part))
                .group_by(incident.device, incident.network),
            )
        )


def recount_all(connection: Connection) -> None:
    """Decide again which rows are shown, and count all: for a catalogue without counts."""
    incidents = tables.incident
    newest = (
        select(incidents.c.id, func.max(incidents.c.run).label("run"))
        .group_by(incidents.c.id)
        .subquery()
    )
    is_newest = (
        select(newest.c.id)
        .where(newest.c.id == incidents.c.id, newest.c.run == incidents.c.run)
        .exists()
    )
    connection.execute(update(incidents).values(shown=case((is_newest, 1), else_=0)))
    rows = connection.execute(
        select(incidents.c.first_seen, incidents.c.device).where(incidents.c.shown == 1)
    )
    recount(connection, {_place(row._mapping) for row in rows})


def _known(connection: Connection, ids: Sequence[str]) -> dict[str, dict[int, dict[str, Any]]]:
    """The existing rows of incidents, by id and run."""
    incident = tables.incident.c
    found: dict[str, dict[int, dict[str, Any]]] = {identity: {} for identity in ids}
    names = (
        "id", "run", "position", "shown", *SORTS, "device", "first_seen", "last_seen", "record",
    )  # fmt: skip
    statement = select(*(incident[name] for name in names))
    for part in chunks(ids, MANY):
        rows = connection.execute(statement.where(among(connection, incident.id, part))).all()
        for row in rows:
            found[row[0]][row[1]] = dict(zip(names, row, strict=True))
    return found


def _last_places(connection: Connection, runs: Sequence[int]) -> dict[int, int]:
    """The last place in the output of each run; -1 if it has none."""
    incident, found = tables.incident.c, dict.fromkeys(runs, -1)
    # A query for each run, which an index answers: grouping would read all rows of the runs.
    last = (
        select(func.max(incident.position))
        .where(incident.run == tables.run.c.id)
        .correlate(tables.run)
        .scalar_subquery()
    )
    for part in chunks(runs):
        for row in connection.execute(
            select(tables.run.c.id, last.label("last")).where(tables.run.c.id.in_(part))
        ):
            if row.last is not None:
                found[row.id] = row.last
    return found


class Counts:
    """Changes of the counts of days and devices because of new, changed and deleted rows. The work
    depends on these rows, not on the number of rows of a day."""

    def __init__(self) -> None:
        self.words = Words()
        self._days: Counter[tuple[Any, ...]] = Counter()
        self._ends: dict[tuple[Any, ...], int] = {}
        self._devices: dict[tuple[str, str], dict[str, Any]] = {}
        self._again: set[str] = set()

    def add(self, row: _Row) -> None:
        """A row is shown."""
        self._count_day(row)
        self._count_device(row, 1)

    def remove(self, row: _Row) -> None:
        """A row is no longer shown. The span of its device without it must be looked up."""
        self._days[_sort(row)] -= 1
        self._again.add(row["device"])

    def replace(self, old: _Row, new: _Row) -> None:
        """A row that is shown becomes another."""
        self._days[_sort(old)] -= 1
        self._count_day(new)
        is_wider = old["first_seen"] >= new["first_seen"] and old["last_seen"] <= new["last_seen"]
        if is_wider and (old["device"], old["network"]) == (new["device"], new["network"]):
            self._count_device(new, 1)
            self._count_device(old, -1)
        else:
            self._again |= {old["device"], new["device"]}

    def _count_day(self, row: _Row) -> None:
        sort = _sort(row)
        self._days[sort] += 1
        self._ends[sort] = max(row["last_seen"], self._ends.get(sort, 0))

    def _count_device(self, row: _Row, by: int) -> None:
        first, last = row["first_seen"], row["last_seen"]
        key = row["device"], row["network"]
        device = self._devices.get(key)
        if device is None:
            device = self._devices[key] = {
                "device": key[0],
                "network": key[1],
                "first_seen": first,
                "last_seen": last,
                **dict.fromkeys(VERDICTS, 0),
            }
        if first < device["first_seen"]:
            device["first_seen"] = first
        if last > device["last_seen"]:
            device["last_seen"] = last
        if row["verdict"] in VERDICTS:
            device[row["verdict"]] += by

    def write(self, connection: Connection) -> None:
        """Write the counts, once the rows are written. Concurrent writers wait for the rows of a
        day until the end of the transaction; all write in the same order, so there is no
        deadlock."""
        days = tables.incident_day
        changed = {
            sort: count for sort, count in sorted(self._days.items()) if count or sort in self._ends
        }
        upsert(
            connection,
            days,
            [
                {
                    "day": sort[0],
                    **dict(zip(SORTS, sort[1:], strict=True)),
                    "incidents": count,
                    "last_seen": self._ends.get(sort, 0),
                }
                for sort, count in changed.items()
            ],
            lambda new: {
                "incidents": days.c.incidents + new.incidents,
                "last_seen": _later(days.c.last_seen, new.last_seen),
            },
        )
        if any(count < 0 for count in changed.values()):
            of_days = days.c.day.in_({day for day, *_ in changed})
            connection.execute(delete(days).where(of_days, days.c.incidents <= 0))
        column = tables.incident_device.c
        upsert(
            connection,
            tables.incident_device,
            [row for _, row in sorted(self._devices.items()) if row["device"] not in self._again],
            lambda new: {
                "first_seen": case(
                    (new.first_seen < column.first_seen, new.first_seen), else_=column.first_seen
                ),
                "last_seen": _later(column.last_seen, new.last_seen),
                **{name: column[name] + new[name] for name in VERDICTS},
            },
        )
        _recount_devices(connection, sorted(self._again))
        self.words.write(connection)


def _later(one: Any, other: Any) -> Any:
    return case((one < other, other), else_=one)


def _sort(row: _Row) -> tuple[Any, ...]:
    """The day of an incident and what it is counted by: the key of `incident_day`."""
    return row["first_seen"] // DAY, *_sorts(row)


_sorts = itemgetter(*SORTS)


def _number_of(verdict: str) -> Any:
    return func.sum(case((tables.incident.c.verdict == verdict, 1), else_=0))


def _place(values: Any) -> _Place:
    return _Place(values["first_seen"] // DAY, values["device"])


def _values(record: AlertRecord, text: str) -> dict[str, Any]:
    return {
        "status": record["status"],
        "verdict": record["verdict"],
        "confidence": record["confidence"],
        "kind": record["kind"]["value"],
        "outcome": record["outcome"],
        "app": record["app"]["id"],
        "ban": record["ban"]["id"],
        "device": record["device"]["id"] or "",
        "network": record["network"]["name"] or "",
        "severity": record["severity"],
        "contacts": contacts_of(record),
        "first_seen": epoch_ns(record["first_seen"]),
        "last_seen": epoch_ns(record["last_seen"]),
        "record": text,
        "alert": record,
    }
