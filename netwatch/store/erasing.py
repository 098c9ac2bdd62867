"""Erases a person from a store: evidence captures, facts, and their rows in the catalogue.

Their identity is deleted last. If the erasure is killed before that, run it again: everything that
is left is found by the same words. Each step is complete by itself (`netwatch.store.fact_tables`),
and the next call finds the finished steps done. The journal gets its entry in the transaction that
deletes the clients; it says how much was erased, and never whose. If there was nothing, there is no
entry: reports count entries as erased persons.

SQLite overwrites what it deletes (``secure_delete``); afterwards the file is rewritten (VACUUM) and
the write-ahead log is emptied, so that nothing is left in free pages either. PostgreSQL rewrites
the tables (VACUUM FULL).
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, delete, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from netwatch.core.alert import EVIDENCE_KEYS
from netwatch.core.errors import NetwatchError
from netwatch.store import catalogue_tables as tables
from netwatch.store.bypass_rows import erase_bypasses
from netwatch.store.claims import claim_record
from netwatch.store.fact_files import LEFTOVER_AGE, TEMPORARY
from netwatch.store.fact_tables import TIME_COLUMN, FactRemoval, Removed
from netwatch.store.incident_rows import remove_incidents
from netwatch.store.person import ALWAYS, Person
from netwatch.store.pruning import delete_evidence
from netwatch.store.statements import chunks
from netwatch.store.tables import FACTS

if TYPE_CHECKING:
    from netwatch.privacy import Sealing

_PERSONAL_TABLES = (
    tables.client,
    tables.incident,
    tables.incident_device,
    tables.incident_device_word,
    tables.incident_name,
    tables.incident_named,
    tables.fleet_case,
    tables.fleet_case_incident,
    tables.fleet_case_word,
    tables.bypass,
    tables.coverage,
    tables.evidence,
    tables.file,
    tables.journal,
)
_PASSES = 20
_WORDS = frozenset(
    {"evidence", "transport", "source", "dns_type", "dns_rcode", "tls_version", "tls_alpn",
     "tls_ja4", "tls_ech", "quic_version", "name_status", "client_sent", "server_sent", "kind",
     "checksum", "client_checksums", "server_checksums"}
)  # fmt: skip
"""Columns of words defined by protocols, and of the names of captures: they do not contain
people."""


_COUNTED = ("rows", "incidents", "clients", "evidence", "coverage", "bypasses", "journal",
            "alerts", "filters", "triage", "audit")  # fmt: skip
"""The counts of an erasure in its journal entry."""


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was erased. `kept` are users' captures that may have their packets: they are not
    netwatch's to delete. `left` are sentences on what could not be erased now."""

    rows: int
    files: int
    incidents: int
    clients: int
    evidence: int
    coverage: int
    bypasses: int
    journal: int
    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def counts(self) -> Mapping[str, int]:
        """The counts, by what was counted."""
        names = ("rows", "files", "incidents", "clients", "evidence", "coverage", "bypasses",
                 "journal")  # fmt: skip
        return {name: getattr(self, name) for name in names}


class StoreErasure:
    """Erases `person` from the store of `facts`; `sealing` reads what is sealed. `step` is called
    with the name of each step before it begins. All methods raise `NetwatchError`."""

    def __init__(
        self,
        facts: FactRemoval,
        person: Person,
        sealing: "Sealing | None" = None,
        step: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._facts = facts
        self._catalogue = facts.catalogue
        self._person = person
        self._sealing = sealing
        self._step = step
        self._left: list[str] = []
        # Files never change, so one that was searched has none of their rows.
        self._clean: set[str] = set()

    def records(self) -> list[Mapping[str, Any]]:
        """The records of their incidents, as stored."""
        return [json.loads(row.record) for row in self._incidents()]

    def count(self) -> Mapping[str, int]:
        """The counts of what would be erased: rows, incidents and clients."""
        rows = 0
        for file in self._facts.all_files():
            from pyarrow import compute

            table = self._facts.read(file)
            rows += compute.sum(self._chosen(table, file.table)).as_py() or 0
        return {
            "rows": rows,
            "incidents": len(self._incidents()),
            "clients": len(self._person.numbers),
        }

    def erase(self, user: str, detail: Mapping[str, Any]) -> Erased:
        """Erase them; `user` requested it, `detail` is added to the journal entry."""
        self._step("evidence")
        evidence = self._erase_evidence()
        self._step("facts")
        removed = self._erase_facts()
        self._step("coverage")
        coverage = self._erase_coverage()
        self._step("bypasses")
        with self._catalogue.database.writing() as connection:
            bypasses = erase_bypasses(connection, self._person.is_mentioned)
        self._step("journal")
        journal = self._erase_journal()
        self._step("catalogue")
        counts = {"rows": removed.rows, "evidence": evidence, "coverage": coverage,
                  "bypasses": bypasses, "journal": journal}  # fmt: skip
        incidents, clients = self._erase_rows(user, {**detail, **counts})
        self._step("late facts")
        removed += self._erase_facts()
        self._step("leftovers")
        self._remove_leftovers()
        self._name_captures()
        self._step("vacuum")
        self._vacuum()
        return Erased(
            rows=removed.rows,
            files=removed.files,
            incidents=incidents,
            clients=clients,
            evidence=evidence,
            coverage=coverage,
            bypasses=bypasses,
            journal=journal,
            kept=tuple(self._captures_kept()),
            left=tuple(self._left),
        )

    # Facts

    def _erase_facts(self) -> Removed:
        """Erase their rows from all files, until no file has any: another process may replace files
        meanwhile."""
        total = Removed()
        self._facts.remove_retired()
        for _ in range(_PASSES):
            files = [file for file in self._facts.all_files() if file.path not in self._clean]
            if not files:
                return total
            for file in files:
                columns = [each.name for each in FACTS[file.table] if each.name not in _WORDS]
                chosen = partial(self._chosen, kind=file.table)
                total += self._facts.rows(file, chosen, columns)
                self._clean.add(file.path)
        self._left.append("the store is being written to faster than it can be searched")
        return total

    def _chosen(self, table: Any, kind: str) -> Any:
        """Which rows of a table are theirs or mention them."""
        import pyarrow as pa
        from pyarrow import compute

        time_name = TIME_COLUMN[kind]
        chosen = self._person.rows(table, time_name)
        if kind != "claim":
            return chosen
        times, claims = table.column(time_name).to_pylist(), table.column("claim").to_pylist()
        mentions = [
            self._person.is_mentioned(claim_record(claim, self._sealing), moment, moment)
            for moment, claim in zip(times, claims, strict=True)
        ]
        return compute.or_(chosen, pa.array(mentions, pa.bool_()))

    def _remove_leftovers(self) -> None:
        """Remove files that are not in the catalogue, left by a killed writer: those with rows of
        theirs, and those that cannot belong to a running writer."""
        self._facts.remove_retired()
        for table in FACTS:
            found = list(self._facts.files.walk(table))
            with self._catalogue.database.reading() as connection:
                known = set(connection.execute(select(tables.file.c.path)).scalars())
            for path, age in found:
                if path in known:
                    continue
                if path.endswith(TEMPORARY):
                    is_over = age >= LEFTOVER_AGE or not _is_being_written(path)
                    if not is_over:
                        self._left.append(f"{path} is being written: erase again")
                else:
                    is_over = age >= LEFTOVER_AGE or self._is_hers(path, table)
                if is_over:
                    self._facts.files.remove(path)

    def _is_hers(self, path: str, table: str) -> bool:
        """Whether an unregistered file has rows of theirs, or is not a whole file."""
        from pyarrow import compute, lib, parquet

        try:
            with self._facts.files.open(path) as stream:
                rows = parquet.read_table(stream)
        except (lib.ArrowException, OSError):
            return True
        return bool(compute.any(self._chosen(rows, table)).as_py())

    # The catalogue

    def _incidents(self) -> list[Any]:
        """The rows of their incidents, and of incidents that mention them."""
        column = tables.incident.c
        with self._catalogue.database.reading() as connection:
            rows = connection.execute(
                select(column.run, column.id, column.first_seen, column.last_seen, column.record)
            ).all()
        return [
            row
            for row in rows
            if self._person.is_mentioned(json.loads(row.record), row.first_seen, row.last_seen)
        ]

    def _erase_evidence(self) -> int:
        """Delete the evidence captures of their incidents, first the files. For incidents that were
        never closed, only their records name the files."""
        count = 0
        incidents = self._incidents()
        ids = {row.id for row in incidents}
        column = tables.evidence.c
        with self._catalogue.database.reading() as connection:
            rows = connection.execute(
                select(column.id, column.incident, column.path).where(column.incident.is_not(None))
            ).all()
        for row in rows:
            if row.incident not in ids:
                continue
            deleted = delete_evidence(Path(row.path), self._left)
            if deleted is None:
                continue
            count += deleted
            with self._catalogue.database.writing() as connection:
                connection.execute(delete(tables.evidence).where(column.id == row.id))
        for incident in incidents:
            record = json.loads(incident.record)
            paths = [Path(text) for key in EVIDENCE_KEYS if (text := record.get(key))]
            count += sum(delete_evidence(path, self._left) or 0 for path in paths)
        return count

    def _erase_coverage(self) -> int:
        """Remove their devices from the records of coverage; the sums stay."""
        count = 0
        column = tables.coverage.c
        with self._catalogue.database.writing() as connection:
            for row in connection.execute(select(tables.coverage)).all():
                record = json.loads(row.record)
                first = row.first if row.first is not None else -(1 << 63)
                last = row.last if row.last is not None else (1 << 63) - 1
                changed = False
                for network in record.get("networks", ()):
                    kept = [
                        device
                        for device in network.get("devices", ())
                        if not self._person.is_mentioned(device.get("id"), first, last)
                    ]
                    changed |= len(kept) < len(network.get("devices", ()))
                    network["devices"] = kept
                if changed:
                    count += 1
                    line = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
                    place = (column.run == row.run) & (column.part == row.part)
                    connection.execute(update(tables.coverage).where(place).values(record=line))
        return count

    def _erase_journal(self) -> int:
        """Remove pseudonyms and reasons from entries that mention them: whose a pseudonym was, and
        why someone asked."""
        count, column = 0, tables.journal.c
        with self._catalogue.database.writing() as connection:
            for row in connection.execute(select(tables.journal)).all():
                detail = json.loads(row.detail or "{}")
                if not self._person.is_mentioned(detail, *ALWAYS):
                    continue
                kept = {
                    name: value
                    for name, value in detail.items()
                    if not self._person.is_mentioned([name, value], *ALWAYS) and name != "reason"
                }
                line = json.dumps({**kept, "erased": True}, ensure_ascii=False)
                connection.execute(
                    update(tables.journal).where(column.id == row.id).values(detail=line)
                )
                count += 1
        return count

    def _erase_rows(self, user: str, detail: Mapping[str, Any]) -> tuple[int, int]:
        """Delete incidents and clients and write the journal, in one transaction."""
        incidents = [(row.run, row.id) for row in self._incidents()]
        numbers = sorted(self._person.numbers)
        numbers += [each for each in self._person.shared if not self._has_rows(each)]
        with self._catalogue.database.writing() as connection:
            for run, identity in incidents:
                column = tables.incident.c
                place = (column.run == run) & (column.id == identity)
                remove_incidents(connection, place)
            clients = _delete_numbers(connection, tables.client, numbers)
            entry = {**detail, "incidents": len(incidents), "clients": clients}
            if is_erasure(entry):
                connection.execute(
                    insert(tables.journal).values(
                        time=time.time_ns(),
                        user=user,
                        action="erase",
                        detail=json.dumps(entry, ensure_ascii=False),
                    )
                )
        return len(incidents), clients

    def _has_rows(self, number: int) -> bool:
        """Whether any fact belongs to a client."""
        from pyarrow import compute

        return any(
            compute.any(
                compute.equal(self._facts.read(file, ["client"]).column("client"), number)
            ).as_py()
            for file in self._facts.all_files()
        )

    def _captures_kept(self) -> Iterator[str]:
        """Users' captures that runs read, which may have their packets."""
        column = tables.evidence.c
        with self._catalogue.database.reading() as connection:
            paths = connection.execute(
                select(column.path).where(column.incident.is_(None)).distinct()
            ).scalars()
            yield from sorted(path for path in paths if os.path.exists(path))  # noqa: PTH110

    def _name_captures(self) -> None:
        """Report which captures are named after them: their names are in everybody's facts."""
        with self._catalogue.database.reading() as connection:
            texts = set(connection.execute(select(tables.capture.c.sources)).scalars())
        paths = {source["path"] for each in texts for source in json.loads(each)}
        named = [path for path in sorted(paths) if self._person.is_mentioned(path, *ALWAYS)]
        if named:
            self._left.append(
                "the names of captures mention the person, and are stored with their facts:"
                f" {', '.join(named)}"
            )

    def _vacuum(self) -> None:
        problem = vacuum(self._catalogue.database.engine)
        if problem:
            self._left.append(problem)


def _is_being_written(path: str) -> bool:
    """Whether the process whose number is in the name of a temporary file still runs."""
    number = path.removesuffix(TEMPORARY).rpartition(".")[2]
    try:
        os.kill(int(number), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def vacuum(
    engine: Any, named: Collection[Table] = _PERSONAL_TABLES, what: str = "the catalogue"
) -> str:
    """Rewrite the tables that name people, so that nothing deleted remains in their files; SQLite
    rewrites all. Returns why that was not possible, or an empty text."""
    if engine.dialect.name == "postgresql":
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for table in named:
                    connection.execute(text(f"VACUUM FULL {table.name}"))
        except SQLAlchemyError as error:
            raise NetwatchError(f"{what} cannot be rewritten: {error}") from error
        return ""
    # Not through SQLAlchemy, which begins a transaction, in which VACUUM is not allowed.
    database = engine.raw_connection()
    try:
        database.execute("VACUUM")
        busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise NetwatchError(f"{what} cannot be rewritten: {error}") from error
    finally:
        database.close()
    if busy[0]:
        return (
            f"{what} is in use by another process, so that its write-ahead log may still have what"
            " was deleted: erase again when that has ended"
        )
    return ""


def _delete_numbers(connection: Connection, table: Table, numbers: Collection[int]) -> int:
    deleted = 0
    for part in chunks(sorted(numbers)):
        deleted += connection.execute(delete(table).where(table.c.number.in_(part))).rowcount
    return deleted


def is_erasure(detail: Mapping[str, Any]) -> bool:
    """Whether anything was erased, from the detail of a journal entry."""
    return any(detail.get(name) for name in _COUNTED)


def refuse_reason(person: Person, reason: str) -> str:
    """Why a reason is not allowed in the journal; empty if it is."""
    if person.is_mentioned(reason, *ALWAYS):
        return "the reason names the person, and the journal must not contain them"
    return ""
