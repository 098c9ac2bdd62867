"""Deletes what is older than its retention, by the days of rows, and evidence captures that
netwatch wrote.

A day of facts is deleted as a whole when its last moment is older than the retention. On the
remaining days, the rows of clients in networks of the classes `PERSONAL` are deleted if their
retention is shorter; files are then rewritten. Rows of clients that are no longer in the catalogue,
left by a killed erasure, are deleted too. If pruning is killed in between, run it again: each step
is complete by itself.

Evidence captures, and the files of log lines next to them, are recognised by their name and their
first block. A user's own captures are never deleted, whatever their names and wherever they are.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from netwatch.coverage.judged import BLOCK, HOUR
from netwatch.store import catalogue_tables as tables
from netwatch.store.bypass_rows import PERSONAL, forget_old
from netwatch.store.catalogue import FileRow
from netwatch.store.fact_tables import FactRemoval, Removed
from netwatch.store.fleet_sensors import forget_silences
from netwatch.store.hour_rows import remove_coverage, remove_hours_before
from netwatch.store.incident_rows import remove_incidents
from netwatch.store.options import Retention
from netwatch.store.statements import chunks

NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{32}\.(pcapng|lines)")
"""Names from `netwatch.incidents.evidence_folder`."""

_SECTION = b"\x0a\x0d\x0d\x0a"
_APPLICATION = b"netwatch "
_LINES = b"# netwatch "

_HOUR, _DAY = 3600, 86_400
_SECOND = 1_000_000_000
_NEVER = 1 << 63


def is_evidence_capture(path: Path) -> bool:
    """Whether a file is an evidence capture of netwatch, or has log lines as evidence: a regular
    file with such a name, whose section header (draft-ietf-opsawg-pcapng section 4.1) or first
    lines say that netwatch wrote it for the incident in its name."""
    if not NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
            if path.suffix == ".lines":
                text = head + stream.read(1 << 16)
                return text.startswith(_LINES) and path.stem.partition("-")[2].encode() in text
            if not head.startswith(_SECTION):
                return False
            order = "little" if head[8:12] == b"\x4d\x3c\x2b\x1a" else "big"
            length = int.from_bytes(head[4:8], order)  # type: ignore[arg-type]
            block = stream.read(min(length, 1 << 16))
    except OSError:
        return False
    incident = path.stem.partition("-")[2]
    return _APPLICATION in block and incident.encode() in block


def delete_evidence(path: Path, left: list[str]) -> int | None:
    """Delete the evidence of an incident; returns the number of files, None if the file is there
    and cannot be deleted. Sentences on what is not deleted are added to `left`."""
    if not is_evidence_capture(path):
        if path.exists():
            left.append(f"{path}: is not a file that netwatch wrote, and was left")
        return 0
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        left.append(f"{path}: {error.strerror}")
        return None
    return 1


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted, or would be: `rows` of facts, of which `personal` because of the shorter
    retention, files, incidents, records of coverage, evidence captures, clients, times in which a
    sensor was silent, and days on which devices hid their lookups. Cases go with their
    incidents."""

    rows: int = 0
    personal: int = 0
    files: int = 0
    incidents: int = 0
    coverage: int = 0
    evidence: int = 0
    clients: int = 0
    silences: int = 0
    bypasses: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing to delete."""
        return self == Pruned()


class Pruning:
    """Prunes the store of `facts` by `retention`, as of `now` (s since the epoch). Every method
    raises `NetwatchError`."""

    def __init__(self, facts: FactRemoval, retention: Retention, now: float) -> None:
        self._facts = facts
        self._catalogue = facts.catalogue
        self._retention = retention
        self._now = int(now)
        self._concerned: set[int] = set()

    def prune(self, user: str, *, dry_run: bool = False) -> Pruned:
        """Delete what is too old; with `dry_run` only count. `user` is noted in the journal. While
        another process is storing facts, only those clients without facts are deleted whose facts
        were deleted now: others may be so new that their first facts are not stored yet."""
        if not dry_run:
            self._facts.remove_retired()
        whole = [file for file in self._facts.all_files() if self._is_old(file.day)]
        stale = [file for file in self._facts.all_files() if not self._is_old(file.day)]
        if not dry_run:
            for file in whole:
                self._concerned |= self._clients_of(file)
        total = self._remove_whole(whole, dry_run=dry_run)
        personal = Removed()
        clients = self._personal_clients()
        known = self._client_numbers()
        since = self._unknown_since()
        for file in stale:
            numbers = clients if self._is_old(file.day, self._retention.personal) else set()
            expected = known if file.created >= since else None
            if numbers or expected is not None:
                personal += self._remove_rows(file, numbers, expected, dry_run=dry_run)
        pruned = Pruned(
            rows=total.rows + personal.rows,
            personal=personal.rows,
            files=total.files,
            incidents=self._prune_table(
                tables.incident, "last_seen", remove_incidents, dry_run=dry_run
            ),
            silences=self._prune_silences(dry_run=dry_run),
            bypasses=forget_old(self._catalogue, self._retention, self._now, dry_run=dry_run),
            coverage=self._prune_table(tables.coverage, "last", remove_coverage, dry_run=dry_run),
            evidence=self._prune_evidence(dry_run=dry_run),
            clients=0,
        )
        if dry_run:
            return pruned
        self._prune_hours()
        return self._delete_clients(user, pruned)

    def _is_old(self, day: str, keep: int | None = None) -> bool:
        """Whether the last moment of a day (UTC) is older than a retention, by default the one of
        facts."""
        keep = self._retention.observations if keep is None else keep
        if keep is None:
            return False
        end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
        return end.timestamp() <= self._now - keep

    def _remove_whole(self, files: list[FileRow], *, dry_run: bool) -> Removed:
        if not dry_run:
            return self._facts.whole(files)
        return Removed(sum(file.rows for file in files), len(files))

    def _unknown_since(self) -> int:
        """From when on (ns) files may have rows of clients that are not in the catalogue: all may
        after an erasure, which may have been killed, and those written since clients were deleted,
        from what a writer had in memory."""
        column = tables.journal.c
        with self._catalogue.database.reading() as connection:
            latest = dict(
                connection.execute(
                    select(column.action, func.max(column.time)).group_by(column.action)
                ).all()
            )
        if latest.get("erase", 0) > time.time_ns() - 2 * _DAY * _SECOND:
            return 0
        return int(latest.get("prune", _NEVER))

    def _clients_of(self, file: FileRow) -> set[int]:
        from pyarrow import compute

        column = self._facts.read(file, ["client"]).column("client")
        return set(compute.unique(column).to_pylist())

    def _remove_rows(
        self, file: FileRow, numbers: set[int], known: set[int] | None, *, dry_run: bool
    ) -> Removed:
        """Remove rows of these clients, and of those that are not among the known ones."""
        import pyarrow as pa
        from pyarrow import compute

        def chosen(table: "pa.Table") -> "pa.Array":
            found = set(compute.unique(table.column("client")).to_pylist())
            unknown = found - known if known is not None else set()
            # A client is stored before its facts, so it may only be newer than what is known.
            gone = (found & numbers) | (unknown - self._client_numbers() if unknown else set())
            self._concerned |= gone
            return compute.is_in(
                table.column("client"), value_set=pa.array(sorted(gone), pa.int32())
            )

        if dry_run:
            rows = compute.sum(chosen(self._facts.read(file, ["client"]))).as_py() or 0
            return Removed(rows, 1 if rows else 0)
        return self._facts.rows(file, chosen, ["client"])

    def _personal_clients(self) -> set[int]:
        if self._retention.personal is None:
            return set()
        column = tables.client.c
        with self._catalogue.database.reading() as connection:
            query = select(column.number).where(column["class"].in_(PERSONAL))
            return set(connection.execute(query).scalars())

    def _client_numbers(self) -> set[int]:
        with self._catalogue.database.reading() as connection:
            return set(connection.execute(select(tables.client.c.number)).scalars())

    def _prune_table(
        self, table: Any, last: str, remove: Callable[[Connection, Any], int], *, dry_run: bool
    ) -> int:
        keep = self._retention.incidents
        if keep is None:
            return 0
        old = table.c[last] <= (self._now - keep) * _SECOND
        if dry_run:
            with self._catalogue.database.reading() as connection:
                count = select(func.count()).select_from(table).where(old)
                return int(connection.execute(count).scalar_one())
        with self._catalogue.database.writing() as connection:
            return remove(connection, old)

    def _prune_hours(self) -> None:
        """Delete hours as old as incidents' retention, in whole blocks."""
        if self._retention.incidents is None:
            return
        oldest = (self._now - self._retention.incidents) * _SECOND // HOUR // BLOCK
        with self._catalogue.database.writing() as connection:
            remove_hours_before(connection, oldest)

    def _prune_silences(self, *, dry_run: bool) -> int:
        """Delete silences that ended before incidents' retention."""
        keep = self._retention.incidents
        if keep is None:
            return 0
        return forget_silences(self._catalogue, (self._now - keep) * _SECOND, dry_run=dry_run)

    def _prune_evidence(self, *, dry_run: bool) -> int:
        """Delete evidence captures by the day of their incident, never a user's own captures: of
        these only the reference is deleted."""
        keep = self._retention.evidence
        if keep is None:
            return 0
        count = 0
        for number, path, began in self._evidence():
            if began > self._now - keep:
                continue
            is_ours = is_evidence_capture(path)
            count += is_ours
            if dry_run:
                continue
            if is_ours:
                path.unlink(missing_ok=True)
            with self._catalogue.database.writing() as connection:
                connection.execute(delete(tables.evidence).where(tables.evidence.c.id == number))
        return count

    def _evidence(self) -> Iterator[tuple[int, Path, float]]:
        """The evidence captures with their times (s): the name of one of netwatch's tells when its
        incident began."""
        with self._catalogue.database.reading() as connection:
            rows = connection.execute(select(tables.evidence)).all()
        for row in rows:
            path, began = Path(row.path), row.stored / _SECOND
            if row.incident is not None:
                try:
                    found = datetime.strptime(path.name[:16], "%Y%m%dT%H%M%SZ")
                    began = found.replace(tzinfo=UTC).timestamp()
                except ValueError:
                    pass
            yield row.id, path, began

    def _is_storing(self) -> bool:
        """Whether a run may be storing facts now. A killed one stays open for ever, so it counts
        for a day, or for an hour after the last file."""
        run, now = tables.run.c, time.time_ns()
        with self._catalogue.database.reading() as connection:
            last = connection.execute(select(func.max(tables.file.c.created))).scalar() or 0
            found = select(run.id).where(run.ended.is_(None))
            if last < now - _HOUR * _SECOND:
                found = found.where(run.started > now - _DAY * _SECOND)
            return connection.execute(found).first() is not None

    def _delete_clients(self, user: str, pruned: Pruned) -> Pruned:
        """Delete clients without facts, and write the journal, in one transaction."""
        candidates = self._client_numbers()
        if self._is_storing():
            candidates &= self._concerned
        for file in self._facts.all_files():
            if not candidates:
                break
            candidates -= self._clients_of(file)
        unused = sorted(candidates)
        with self._catalogue.database.writing() as connection:
            clients = 0
            for part in chunks(unused):
                which = tables.client.c.number.in_(part)
                clients += connection.execute(delete(tables.client).where(which)).rowcount
            done = Pruned(**{**_counts(pruned), "clients": clients})
            if not done.is_nothing:
                connection.execute(
                    insert(tables.journal).values(
                        time=time.time_ns(),
                        user=user,
                        action="prune",
                        detail=json.dumps(_counts(done)),
                    )
                )
        return done


def _counts(pruned: Pruned) -> dict[str, int]:
    return {name: getattr(pruned, name) for name in Pruned.__dataclass_fields__}
