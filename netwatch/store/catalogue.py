"""The catalogue: all reads and writes of its tables apart from queries.

A run (one call of ``scan``, ``names`` or ``live``) stores captures; their rows are in files that
are registered here. All times are ns since the epoch. Every method is one transaction, so a killed
process leaves a consistent catalogue.

**Storing a capture again.** A capture is identified by the hash of its content. Of several complete
captures with the same content only the newest is shown (`shown_captures`). An ended run removes the
runs that it replaces (`netwatch.store.run_rows`).
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.coverage.judged import HourCounts
from netwatch.store import catalogue_tables as tables
from netwatch.store.database import Database
from netwatch.store.hour_rows import (
    Losses,
    add_hours,
    add_judged,
    change_judge,
    store_coverage,
    store_losses,
)
from netwatch.store.incident_rows import store_incidents
from netwatch.store.run_rows import (
    ClientAddress,
    ClientKey,
    VersionHashes,
    add_clients,
    find_clients,
    note_heard,
    supersede,
    version_with,
)
from netwatch.store.statements import chunks

REMEMBERED = 262_144
"""Clients whose number is cached."""

CaptureState = Literal["complete", "partial"]


class StaleFilesError(NetwatchError):
    """Files that were to be replaced are no longer in the catalogue: another process replaced
    them."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a capture; `sha256` is empty if it could not be read again."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of facts: its `path` below the store, and its content. `bucket` is None for a landing
    file; `first` and `last` are the times of its rows."""

    path: str
    table: str
    day: str
    bucket: int | None
    rows: int
    bytes: int
    first: int
    last: int
    created: int
    sha256: str


class Catalogue:
    """The catalogue of a store, for one process; a context manager, which closes it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._numbers: dict[tuple[str, ClientKey], int] = {}
        self._last_entry: int | None = None
        self._forgotten = 0

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Runs and captures

    def version_id(self, hashes: VersionHashes, contents: Mapping[str, str] | None = None) -> int:
        """The number of a version, which is stored when it is first used. `contents` are the
        contents of its bans (`netwatch.rules.bans`)."""
        with self.database.writing(numbers=True) as connection:
            return version_with(connection, hashes, contents or {})

    def begin_run(
        self,
        command: str,
        sensor: str,
        version: int | None = None,
        hold: Callable[[Connection, int], None] | None = None,
        *,
        is_named: bool = False,
    ) -> int:
        """The number of a new run; what it sees is judged by `version`, if given. `hold` is called
        with the number before any other process sees the run. `is_named` means that ids of its
        incidents contain the name of the sensor."""
        with self.database.writing() as connection:
            run = _insert(
                connection,
                tables.run,
                started=time.time_ns(),
                command=command,
                sensor=sensor,
                version=version,
                named=int(is_named),
            )
            if version is not None:
                add_judged(connection, run, version)
            if hold is not None:
                hold(connection, run)
            return run

    def judged_from(
        self, run: int, hashes: VersionHashes, contents: Mapping[str, str], at: int
    ) -> None:
        """Note that a live run is judged by this version from a time (ns) on."""
        column = tables.hour_judged.c
        with self.database.writing(numbers=True) as connection:
            version = version_with(connection, hashes, contents)
            now = select(column.version).where(column.run == run, column.until.is_(None))
            if has_run(connection, run) and connection.execute(now).scalar() != version:
                change_judge(connection, run, version, at)

    def add_hours(self, run: int, parts: Mapping[int, HourCounts]) -> None:
        """Add counts by network and hour to what is stored for a run."""
        with self.database.writing() as connection:
            if has_run(connection, run):
                add_hours(connection, run, parts)

    def store_losses(self, run: int, position: int, losses: Losses) -> None:
        """Store the losses of the capture at a position of a run (`ALL`: of all of them); totals
        replace earlier ones."""
        with self.database.writing() as connection:
            if has_run(connection, run):
                store_losses(connection, run, position, losses)

    def end_run(self, run: int) -> None:
        """Mark a run as ended and remove the runs that it replaces."""
        with self.database.writing(numbers=True) as connection:
            row = tables.run.c.id == run
            connection.execute(update(tables.run).where(row).values(ended=time.time_ns()))
            supersede(connection, run)

    def begin_capture(
        self, run: int, position: int, sources: Sequence[SourceFile], content: str = ""
    ) -> int:
        """The number of a new capture of a run. `content` is the hash of all its sources, empty
        if it is not known yet (`end_capture` can give it)."""
        with self.database.writing() as connection:
            return _insert(
                connection,
                tables.capture,
                run=run,
                position=position,
                sources=_sources(sources),
                content=content,
                state="open",
                lost_rows=0,
            )

    def end_capture(
        self,
        capture: int,
        state: CaptureState,
        first: int | None,
        last: int | None,
        *,
        lost_rows: int = 0,
        sources: Sequence[SourceFile] | None = None,
        content: str | None = None,
    ) -> None:
        """Mark a capture as ended: `complete` if all its rows are in files that are registered.
        `first` and `last` are the times of its packets."""
        more: dict[str, Any] = {}
        if sources is not None:
            more["sources"] = _sources(sources)
        if content is not None:
            more["content"] = content
        with self.database.writing() as connection:
            end_capture(connection, capture, state, first, last, lost_rows=lost_rows, more=more)

    def shown_captures(self) -> list[int]:
        """The captures whose rows queries show, by run and place in it: of several with the same
        content, the newest complete one, and others only if none is complete."""
        columns = tables.capture.c
        with self.database.reading() as connection:
            rows = connection.execute(
                select(columns.id, columns.content, columns.state).order_by(
                    columns.run, columns.position, columns.id
                )
            ).all()
        newest: dict[str, int] = {}
        for row in rows:
            if row.content and row.state == "complete":
                newest[row.content] = row.id
        return [row.id for row in rows if newest.get(row.content, row.id) == row.id]

    def capture_sensors(self) -> dict[int, str]:
        """The sensor that stored each capture."""
        capture, run = tables.capture.c, tables.run.c
        with self.database.reading() as connection:
            rows = connection.execute(
                select(capture.id, run.sensor).join_from(
                    tables.capture, tables.run, capture.run == run.id
                )
            )
            return {row.id: row.sensor for row in rows}

    def sensors(self) -> frozenset[str]:
        """The sensors that stored anything."""
        with self.database.reading() as connection:
            found = connection.execute(select(tables.run.c.sensor).distinct())
            return frozenset(found.scalars())

    def run_sensors(self, runs: Iterable[int]) -> dict[int, str]:
        """The sensor of each of these runs."""
        column, found = tables.run.c, {}
        with self.database.reading() as connection:
            for part in chunks(sorted({*runs})):
                rows = connection.execute(
                    select(column.id, column.sensor).where(column.id.in_(part))
                )
                found.update({row.id: row.sensor for row in rows})
        return found

    def has_sensor(self, sensor: str) -> bool:
        """Whether a run is that of a sensor."""
        statement = select(tables.run.c.id).where(tables.run.c.sensor == sensor).limit(1)
        with self.database.reading() as connection:
            return connection.execute(statement).first() is not None

    def capture_numbers(self) -> list[int]:
        """All captures. Rows of other captures belong to replaced runs, and compaction drops
        them."""
        with self.database.reading() as connection:
            return list(
                connection.execute(select(tables.capture.c.id).order_by(tables.capture.c.id))
                .scalars()
                .all()
            )

    # Clients

    def client_numbers(self, clients: Sequence[ClientAddress], sensor: str) -> list[int]:
        """The numbers of clients that a sensor saw, in their order: random, from 1 to 2^31 - 1, and
        the same as long as the catalogue has the client. New ones are stored. Looked-up numbers are
        cached, until clients are deleted or there are too many."""
        self._forget_deleted()
        if len(self._numbers) >= REMEMBERED:
            self._numbers.clear()
        unknown = {
            client.key: client for client in clients if (sensor, client.key) not in self._numbers
        }
        if unknown:
            with self.database.reading() as connection:
                found = find_clients(connection, list(unknown.values()), sensor)
            if len(found) < len(unknown):
                with self.database.writing(numbers=True) as connection:
                    found = find_clients(connection, list(unknown.values()), sensor)
                    missing = [unknown[key] for key in unknown if key not in found]
                    found |= add_clients(connection, missing, sensor)
            self._numbers.update(((sensor, key), number) for key, number in found.items())
        return [self._numbers[sensor, client.key] for client in clients]

    def forgotten_clients(self) -> int:
        """A number that changes when numbers of clients must be looked up again."""
        self._forget_deleted()
        return self._forgotten

    def _forget_deleted(self) -> None:
        """Look clients up again if another process may have deleted some, according to the
        journal."""
        with self.database.reading() as connection:
            entry = connection.execute(select(func.max(tables.journal.c.id))).scalar()
        if entry != self._last_entry:
            self._last_entry = entry
            self._forgotten += 1
            self._numbers.clear()

    # Files

    def register_files(self, files: Sequence[FileRow]) -> None:
        """Make files visible to readers."""
        self.replace_files(files, ())

    def replace_files(self, new: Sequence[FileRow], old: Sequence[str]) -> None:
        """Replace the files with the paths `old` by others, at once. Raises `StaleFilesError`,
        without changing anything, if one of those is not in the catalogue."""
        with self.database.writing() as connection:
            replace_files(connection, new, old)

    def has_file(self, path: str) -> bool:
        """Whether readers can see the file at a path."""
        with self.database.reading() as connection:
            wanted = select(tables.file.c.path).where(tables.file.c.path == path)
            return connection.execute(wanted).first() is not None

    def files(
        self,
        table: str,
        since: int | None = None,
        until: int | None = None,
        buckets: Iterable[int] | None = None,
    ) -> list[FileRow]:
        """The files with rows of a table from `since` up to, but without, `until`, by day, bucket
        and path; with `buckets`, the files of these buckets and all landing files."""
        columns = tables.file.c
        wanted = [columns.table == table]
        if since is not None:
            wanted.append(columns.last >= since)
        if until is not None:
            wanted.append(columns.first < until)
        if buckets is not None:
            wanted.append(or_(columns.bucket.is_(None), columns.bucket.in_([*buckets])))
        with self.database.reading() as connection:
            rows = connection.execute(
                select(tables.file).where(*wanted).order_by(columns.day, columns.path)
            ).all()
        files = [FileRow(**row._mapping) for row in rows]
        files.sort(key=lambda file: (file.day, -1 if file.bucket is None else file.bucket))
        return files

    # Decisions

    def add_incidents(self, run: int, alerts: Iterable[tuple[AlertRecord, str]]) -> None:
        """Store alerts of a run, each with the JSON line as it was written, without its end. An
        alert replaces an earlier one with the same id, as the next state of the same incident. If
        the run was replaced meanwhile, nothing is stored."""
        with self.database.writing() as connection:
            if has_run(connection, run):
                store_incidents(connection, ((run, *alert) for alert in alerts))

    def add_coverage(
        self, run: int, part: int, first: int | None, last: int | None, record: str
    ) -> None:
        """Store the record of the coverage of a run, or of the hour `part` of a live one; it
        replaces one of the same part."""
        with self.database.writing() as connection:
            if has_run(connection, run):
                store_coverage(connection, run, part, first, last, record)

    def add_evidence(self, run: int, incident: str | None, file: SourceFile) -> None:
        """Store where packets are: the evidence capture of an incident, or a whole capture."""
        with self.database.writing() as connection:
            if has_run(connection, run):
                _insert(
                    connection,
                    tables.evidence,
                    run=run,
                    incident=incident,
                    path=file.path,
                    size=file.size,
                    sha256=file.sha256,
                    stored=time.time_ns(),
                )

    def set_sensor_status(self, name: str, status: Mapping[str, Any]) -> None:
        """Store the status of a live sensor; it replaces the previous one."""
        with self.database.writing() as connection:
            note_heard(connection, name, time.time_ns(), status)

    def add_journal(self, user: str, action: str, detail: Mapping[str, Any]) -> None:
        """Note what was erased, pruned or identified, and by whom; never the person concerned."""
        with self.database.writing() as connection:
            _insert(
                connection,
                tables.journal,
                time=time.time_ns(),
                user=user,
                action=action,
                detail=json.dumps(detail, ensure_ascii=False, separators=(",", ":")),
            )


def end_capture(
    connection: Connection,
    capture: int,
    state: CaptureState,
    first: int | None,
    last: int | None,
    *,
    lost_rows: int = 0,
    more: Mapping[str, Any] | None = None,
) -> None:
    """`Catalogue.end_capture` within a transaction; `more` are columns to set."""
    values = {"state": state, "first": first, "last": last, "lost_rows": lost_rows, **(more or {})}
    row = tables.capture.c.id == capture
    connection.execute(update(tables.capture).where(row).values(values))


def replace_files(connection: Connection, new: Sequence[FileRow], old: Sequence[str]) -> None:
    """`Catalogue.replace_files` within a transaction."""
    removed = 0
    for paths in chunks(old):
        removed += connection.execute(
            delete(tables.file).where(tables.file.c.path.in_(paths))
        ).rowcount
    if removed != len({*old}):
        raise StaleFilesError("files were replaced by another process meanwhile")
    if new:
        names = tables.file.c.keys()
        rows = [{name: getattr(row, name) for name in names} for row in new]
        connection.execute(insert(tables.file), rows)


def _insert(connection: Connection, table: Any, **values: Any) -> int:
    """Insert a row; returns its number."""
    result = connection.execute(insert(table).values(values))
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def has_run(connection: Connection, run: int) -> bool:
    """Whether a run exists: a later one may have replaced it."""
    return (
        connection.execute(select(tables.run.c.id).where(tables.run.c.id == run)).first()
        is not None
    )


def _sources(sources: Sequence[SourceFile]) -> str:
    records = [
        {"path": source.path, "size": source.size, "sha256": source.sha256} for source in sources
    ]
    return json.dumps(records, ensure_ascii=False, separators=(",", ":"))
