"""The runs in a store, with their captures, their incidents, the clients by number (including those
with sealed addresses), and the time for which the facts of a capture are complete, so that judging
them again judges everything that was seen.

The events of a capture are numbered without gaps. If numbers are missing, rows were lost, or
deleted because of their age or with a device. Everything after the last gap is complete; in a
capture that is still running, or whose end was not stored, everything before its end.

What is recorded is which version judged which time, if all facts of it are there, and the incidents
that were found. An incident that would be withdrawn stays: readers of a report see that it was
found once, and by which bans.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from netwatch.config import Config
from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.formats.values import json_line
from netwatch.rejudge.differences import Difference
from netwatch.rules.bans import ban_contents
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.hour_rows import add_judged, replace_one_of
from netwatch.store.incident_rows import remove_incidents, store_incidents
from netwatch.store.observation_rows import StoredClient, stored_client
from netwatch.store.run_rows import VersionHashes, version_with
from netwatch.store.views import FACT_TABLES

if TYPE_CHECKING:
    from netwatch.privacy import Sealing

ROWS = 100
"""Incidents that are fetched at a time; a record has some 10 kB."""

OPEN_FLOWS = 900_000_000_000
"""How long before the end of a running capture flows may still be open, so that their end is not
stored yet, in ns."""

OneOfCells = Counter[tuple[int, str, str, int, int]]
"""How many flow records are ``one-of-k``, by the number of their capture, network and its class,
the hour since the epoch, and k."""

_TIMES = {"observation": "time", "flow": "last", "claim": "time"}


@dataclass(frozen=True, slots=True)
class StoredCapture:
    """A capture by its number. It is `complete` if everything that was seen in it was stored;
    `first` and `last` are the times of its packets (ns), None if it has none."""

    number: int
    complete: bool
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run of a sensor by its number. Its captures are in the order in which they were judged.
    `is_named` is whether ids of its incidents contain the name of the sensor."""

    number: int
    command: str
    sensor: str
    captures: tuple[StoredCapture, ...]
    is_named: bool = False


def stored_runs(
    catalogue: Catalogue,
    since: int | None = None,
    until: int | None = None,
    *,
    include_names: bool = False,
) -> list[StoredRun]:
    """The runs, in order, that have a capture with packets from `since` up to, but not including,
    `until` (ns). Runs of ``names`` have no incidents; they are left out unless `include_names`."""
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


def stored_incidents(catalogue: Catalogue, run: int) -> Iterator[tuple[int, AlertRecord]]:
    """The incidents of a run, in the order in which they were written: when each began (ns), and
    the record of its alert."""
    incident = tables.incident.c
    statement = (
        select(incident.first_seen, incident.record)
        .where(incident.run == run)
        .order_by(incident.position)
    )
    with catalogue.database.reading() as connection:
        for part in connection.execution_options(yield_per=ROWS).execute(statement).partitions():
            for row in part:
                yield row.first_seen, json.loads(row.record)


def _overlaps(capture: StoredCapture, since: int | None, until: int | None) -> bool:
    if capture.first is None or capture.last is None:
        return True  # It is still running, and what it has seen so far is not noted.
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
    """Facts are complete from `since` up to, but not including, `until` (ns); None means open."""

    since: int | None
    until: int | None


def complete_spans(sql: Any, captures: Iterable[StoredCapture]) -> dict[int, CompleteSpan]:
    """The complete time of each capture that has one; `sql` executes a DuckDB statement."""
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
    """The parts of a run, as judged coverage has them, with the time for which all facts are
    there."""
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


class Recording:
    """Records the decisions of `config` on incidents that began from `since` up to, but not
    including, `until` (ns). `recorded` and `partial` count the runs that were judged completely and
    partly; `changes` counts what was stored, by kind, and incidents that were withdrawn and
    stay."""

    def __init__(
        self, catalogue: Catalogue, config: Config, since: int | None, until: int | None
    ) -> None:
        sensor = config.sensor
        self._catalogue = catalogue
        self._hashes = VersionHashes(sensor.version, sensor.signatures, sensor.bans, sensor.policy)
        self._contents = ban_contents(config.policy.bans, config.catalog)
        self._since, self._until = since, until
        self.recorded = self.partial = 0
        self.changes: Counter[str] = Counter()

    def run_ended(
        self,
        run: StoredRun,
        differences: Sequence[Difference],
        spans: dict[int, CompleteSpan],
        one_of: OneOfCells,
    ) -> None:
        """A run was judged, with these differences; `spans` is the time for which the facts of its
        captures are complete, `one_of` its flow records that are ``one-of-k``. Raises
        `NetwatchError`."""
        parts = complete_parts(run, spans)
        found: list[tuple[int, AlertRecord, str]] = []
        old: list[str] = []
        for difference in differences:
            self.changes[difference.change] += 1
            if difference.after is None:
                continue
            found.append((run.number, difference.after, json_line(difference.after)))
            if difference.before is not None and difference.before["id"] != difference.after["id"]:
                old.append(difference.before["id"])
        with self._catalogue.database.writing(numbers=True) as connection:
            incident = tables.incident.c
            for id_ in old:
                remove_incidents(connection, (incident.run == run.number) & (incident.id == id_))
            if found:
                store_incidents(connection, found)
            version = version_with(connection, self._hashes, self._contents)
            for part, span in parts:
                since, until = _later(span.since, self._since), _earlier(span.until, self._until)
                if since is None or until is None or since < until:
                    add_judged(connection, run.number, version, part=part, since=since, until=until)
                    its = [
                        (network, kind, hour, names, flows)
                        for (capture, network, kind, hour, names), flows in one_of.items()
                        if part in (0, capture)
                    ]
                    replace_one_of(connection, run.number, part, its, since, until)
        is_whole = parts and all(span == CompleteSpan(None, None) for _, span in parts)
        if is_whole and (run.command == "live" or len(parts) == len(run.captures)):
            self.recorded += 1
        else:
            self.partial += 1

    def end(self, user: str) -> None:
        """Note in the journal who recorded what."""
        detail = {**self.changes, "runs": self.recorded + self.partial, "bans": self._hashes.bans}
        self._catalogue.add_journal(user, "rejudge", detail)


def _later(first: int | None, second: int | None) -> int | None:
    return max((each for each in (first, second) if each is not None), default=None)


def _earlier(first: int | None, second: int | None) -> int | None:
    return min((each for each in (first, second) if each is not None), default=None)
