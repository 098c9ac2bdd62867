"""Which runs a store has, with their captures, the incidents that they gave, who the numbers of
clients stand for (also if their addresses are sealed), and for which time the facts of a capture
are complete, so that to judge them again is to judge all that was seen.

The events of a capture are numbered without a gap. If numbers are missing, rows were lost, or
deleted because of their age or with a device. What comes after the last gap is complete; of a
capture that goes on, or whose end was not stored, what comes before its end.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from netwatch.core.errors import NetwatchError
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.stored_observations import StoredClient, stored_client

if TYPE_CHECKING:
    from netwatch.privacy.options import Sealing
from collections.abc import Iterable

from netwatch.store.views import FACT_TABLES

ROWS = 100
"""Incidents that are fetched at a time; a record has some 10 kB."""

OPEN_FLOWS = 900_000_000_000
"""How long before the end of a capture that goes on flows may be open, of which the end is no fact
yet, ns."""

_TIMES = {"observation": "time", "flow": "last", "claim": "time"}


@dataclass(frozen=True, slots=True)
class StoredCapture:
    """A capture by its number. It is `complete` if all that was seen of it was stored, and `first`
    and `last` are the times of its packets (ns), None if it has none."""

    number: int
    complete: bool
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run of a sensor by its number. Its captures are in the order in which they were judged.
    `is_named` says that ids of its incidents contain the name of the sensor."""

    number: int
    command: str
    sensor: str
    captures: tuple[StoredCapture, ...]
    is_named: bool = False


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """An incident of a run: when it began (ns), and the record of its alert."""

    id: str
    first_seen: int
    record: dict[str, Any]


def stored_runs(
    catalogue: Catalogue,
    since: int | None = None,
    until: int | None = None,
    *,
    include_names: bool = False,
) -> list[StoredRun]:
    """The runs with a capture that has packets from `since` up to, but without, `until` (ns), in
    their order. Runs of ``names`` have no incidents; they are left out unless `include_names`."""
    run, capture = tables.run.c, tables.capture.c
    with catalogue.database.reading() as connection:
        runs = {
            row.id: row
            for row in connection.execute(select(run.id, run.command, run.sensor, run.named)).all()
        }
        rows = connection.execute(
            select(capture.run, capture.id, capture.state, capture.first, capture.last,
                   capture.lost_rows).order_by(capture.run, capture.position)
        ).all()  # fmt: skip
    captures: dict[int, list[StoredCapture]] = {}
    for row in rows:
        complete = row.state == "complete" and not row.lost_rows
        captures.setdefault(row.run, []).append(
            StoredCapture(row.id, complete, row.first, row.last)
        )
    return [
        StoredRun(
            number,
            runs[number].command,
            runs[number].sensor,
            tuple(its),
            bool(runs[number].named),
        )
        for number, its in sorted(captures.items())
        if (include_names or runs[number].command != "names")
        and any(_overlaps(each, since, until) for each in its)
    ]


def stored_incidents(catalogue: Catalogue, run: int) -> Iterator[StoredIncident]:
    """The incidents of a run, in the order in which they were written."""
    incident = tables.incident.c
    statement = (
        select(incident.id, incident.first_seen, incident.record)
        .where(incident.run == run)
        .order_by(incident.position)
    )
    with catalogue.database.reading() as connection:
        for part in connection.execution_options(yield_per=ROWS).execute(statement).partitions():
            for row in part:
                yield StoredIncident(row.id, row.first_seen, json.loads(row.record))


def _overlaps(capture: StoredCapture, since: int | None, until: int | None) -> bool:
    if capture.first is None or capture.last is None:
        return True  # It goes on, and what it has seen so far is not noted.
    return (since is None or capture.last >= since) and (until is None or capture.first < until)


def read_clients(
    catalogue: Catalogue, sealing: "Sealing | None"
) -> tuple[dict[int, StoredClient], frozenset[str]]:
    """The clients by number, and the pseudonyms of those that no key of `sealing` unseals."""
    client = tables.client.c
    found: dict[int, StoredClient] = {}
    unknown: set[str] = set()
    statement = select(
        client.number, client.ip, client.mac, client.network, client.pseudonym, client.sealed
    )
    with catalogue.database.reading() as connection:
        for row in connection.execute(statement):
            ip, mac = row.ip, row.mac
            if row.sealed is not None and sealing is not None:
                try:
                    identity = sealing.unseal_client(row.sealed)
                except NetwatchError:
                    pass
                else:
                    ip, mac = identity.ip, identity.mac
            if ip is None:
                unknown.add(row.pseudonym or "")
            else:
                found[row.number] = stored_client(ip, mac, network=row.network)
    return found, frozenset(unknown)


@dataclass(frozen=True, slots=True)
class CompleteSpan:
    """Facts are complete from `since` up to, but without, `until` (ns); None is open."""

    since: int | None
    until: int | None


def complete_spans(sql: Any, captures: Iterable[StoredCapture]) -> dict[int, CompleteSpan]:
    """The complete time of each capture that has one; `sql` executes a statement of DuckDB."""
    rows = " UNION ALL ".join(
        f"SELECT capture, sequence, {_TIMES[table]} AS time FROM netwatch.{table}_rows"
        " SEMI JOIN netwatch.chosen ON capture = value"
        for table in FACT_TABLES
    )
    found = sql(
        "WITH steps AS (SELECT capture, sequence, time, sequence - coalesce(lag(sequence) OVER"
        f" (PARTITION BY capture ORDER BY sequence), -1) AS step FROM ({rows})),"
        " gaps AS (SELECT capture, max(CASE WHEN step <> 1 THEN sequence END) AS gap, max(time) AS"
        " last FROM steps GROUP BY capture)"
        " SELECT g.capture, g.last, (SELECT max(s.time) FROM steps s WHERE s.capture = g.capture"
        " AND s.sequence <= g.gap) FROM gaps g"
    ).fetchall()
    seen = {capture: (last, gap) for capture, last, gap in found}
    spans = {}
    for each in captures:
        if each.number not in seen:
            if each.first is None and each.complete:
                spans[each.number] = CompleteSpan(None, None)
            continue
        last, gap = seen[each.number]
        until = None if each.complete else last - OPEN_FLOWS
        since = None if gap is None else gap + 1
        if since is None or until is None or since < until:
            spans[each.number] = CompleteSpan(since, until)
    return spans


def complete_parts(
    run: StoredRun, spans: dict[int, CompleteSpan]
) -> list[tuple[int, CompleteSpan]]:
    """The parts of a run, as of judged coverage, with the time of which all facts are there."""
    if run.command != "live":
        return [
            (capture.number, spans[capture.number])
            for capture in run.captures
            if capture.number in spans
        ]
    if any(capture.number not in spans for capture in run.captures):
        return []
    found = [spans[capture.number] for capture in run.captures]
    begins = [each.since for each in found if each.since is not None]
    ends = [each.until for each in found if each.until is not None]
    whole = CompleteSpan(max(begins, default=None), min(ends, default=None))
    if whole.since is not None and whole.until is not None and whole.since >= whole.until:
        return []
    return [(0, whole)]
