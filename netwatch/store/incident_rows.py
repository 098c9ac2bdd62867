"""Writes and deletes rows of incidents, and with them what is derived from the rows.

Of an incident that several runs found, the row of the newest run is shown. How many shown incidents
there are of each sort on each day (`incident_day`), and of each device (`incident_device`), is kept
beside the rows, in the same transaction: new rows are added to the counts, and where a row changes
or goes, its day and its device are counted anew. One that goes is taken out of its case as well.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, delete, func, insert, literal, select, update

from netwatch.core.alert import AlertRecord
from netwatch.formats.values import epoch_ns
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_rows import remove_members
from netwatch.store.chunks import chunks
from netwatch.store.upsert import upsert

DAY = 86_400 * 10**9
"""A day in ns."""

SORTS = ("verdict", "confidence", "kind", "outcome", "status", "app", "ban", "network")
"""The columns by which incidents are counted on a day."""

VERDICTS = ("violation", "advisory", "exempt")
"""The verdicts by which the incidents of a device are counted."""


class _Place(NamedTuple):
    """Where an incident is counted."""

    day: int
    device: str


def store_incidents(
    connection: Connection, run: int, alerts: Iterable[tuple[AlertRecord, str]]
) -> None:
    """Store alerts of a run, each with its line of JSON. An alert with the id of one before
    replaces it, as the next state of the same incident."""
    incidents = tables.incident
    following = connection.execute(
        select(func.coalesce(func.max(incidents.c.position), -1)).where(incidents.c.run == run)
    ).scalar_one()
    written = [(str(record["id"]), _values(record, text)) for record, text in alerts]
    newest, own = _known(connection, run, {identity for identity, _ in written})
    new: dict[str, dict[str, Any]] = {}
    changed: set[_Place] = set()
    hidden: set[str] = set()
    for identity, values in written:
        if identity in new:
            new[identity] |= values
        elif identity in own:
            row = (incidents.c.run == run) & (incidents.c.id == identity)
            connection.execute(update(incidents).where(row).values(values))
            changed |= {own[identity], _place(values)}
        else:
            following += 1
            shown = newest.get(identity, -1) < run
            if shown and identity in newest:
                hidden.add(identity)
            new[identity] = {
                "run": run, "id": identity, "position": following, "shown": int(shown), **values,
            }  # fmt: skip
    for part in chunks(sorted(hidden)):
        row = incidents.c.id.in_(part) & (incidents.c.shown == 1)
        changed |= {
            _place(found._mapping)
            for found in connection.execute(
                select(incidents.c.first_seen, incidents.c.device).where(row)
            )
        }
        connection.execute(update(incidents).where(row).values(shown=0))
    if new:
        connection.execute(insert(incidents), [*new.values()])
        _count_new(connection, [values for values in new.values() if values["shown"]])
    recount(connection, changed)


def remove_incidents(connection: Connection, where: Any) -> int:
    """Delete the incidents for which `where` holds; how many. Where another run found the same
    incident, its row is shown now."""
    incidents = tables.incident
    removed = connection.execute(
        select(
            incidents.c.run,
            incidents.c.id,
            incidents.c.shown,
            incidents.c.first_seen,
            incidents.c.device,
        ).where(where)
    ).all()
    connection.execute(delete(incidents).where(where))
    remove_members(connection, [(row.run, row.id) for row in removed])
    changed = {_place(row._mapping) for row in removed if row.shown}
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


def recount(connection: Connection, places: Iterable[tuple[int, str]]) -> None:
    """Count the shown incidents of days (UTC, since the epoch) and devices anew."""
    places = [*places]
    incident, days, devices = tables.incident.c, tables.incident_day, tables.incident_device
    for day in sorted({day for day, _ in places}):
        connection.execute(delete(days).where(days.c.day == day))
        sorts = [incident[name] for name in SORTS]
        connection.execute(
            insert(days).from_select(
                ["day", *SORTS, "incidents"],
                select(literal(day), *sorts, func.count())
                .where(
                    incident.shown == 1,
                    incident.first_seen >= day * DAY,
                    incident.first_seen < (day + 1) * DAY,
                )
                .group_by(*sorts),
            )
        )
    for part in chunks(sorted({device for _, device in places})):
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
    """Decide anew which rows are shown, and count all: for a catalogue that had no counts."""
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


def _known(
    connection: Connection, run: int, ids: set[str]
) -> tuple[dict[str, int], dict[str, _Place]]:
    """The newest run of each incident that there is, and where those of `run` are counted."""
    incident = tables.incident.c
    newest: dict[str, int] = {}
    own: dict[str, _Place] = {}
    for part in chunks(sorted(ids)):
        for row in connection.execute(
            select(incident.id, incident.run, incident.first_seen, incident.device).where(
                incident.id.in_(part)
            )
        ):
            newest[row.id] = max(row.run, newest.get(row.id, row.run))
            if row.run == run:
                own[row.id] = _place(row._mapping)
    return newest, own


def _count_new(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add new rows to the counts."""
    days: Counter[tuple[Any, ...]] = Counter()
    devices: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        days[row["first_seen"] // DAY, *(row[name] for name in SORTS)] += 1
        key = row["device"], row["network"]
        device = devices.setdefault(
            key,
            {
                "device": row["device"],
                "network": row["network"],
                "first_seen": row["first_seen"],
                "last_seen": row["last_seen"],
                **dict.fromkeys(VERDICTS, 0),
            },
        )
        device["first_seen"] = min(device["first_seen"], row["first_seen"])
        device["last_seen"] = max(device["last_seen"], row["last_seen"])
        if row["verdict"] in VERDICTS:
            device[row["verdict"]] += 1
    if not rows:
        return
    upsert(
        connection,
        tables.incident_day,
        [
            {"day": day, **dict(zip(SORTS, sorts, strict=True)), "incidents": count}
            for (day, *sorts), count in days.items()
        ],
        lambda new: {"incidents": tables.incident_day.c.incidents + new.incidents},
    )
    column = tables.incident_device.c
    upsert(
        connection,
        tables.incident_device,
        [*devices.values()],
        lambda new: {
            "first_seen": case(
                (new.first_seen < column.first_seen, new.first_seen), else_=column.first_seen
            ),
            "last_seen": case(
                (new.last_seen > column.last_seen, new.last_seen), else_=column.last_seen
            ),
            **{name: column[name] + new[name] for name in VERDICTS},
        },
    )


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
        "first_seen": epoch_ns(record["first_seen"]),
        "last_seen": epoch_ns(record["last_seen"]),
        "record": text,
    }
