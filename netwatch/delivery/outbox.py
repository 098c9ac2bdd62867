"""The outbox: every alert on disk before anyone is sent it, one cursor an output.

An SQLite database in WAL mode. An alert is committed and synced by `put`; a cursor moves
when its output has delivered, and need not be synced: a cursor that is lost to a power
failure costs a repetition, not an alert. An alert is deleted when all outputs are past
it. The outbox is bounded in bytes and age: where it is full, or an alert is too old, the
oldest go first, and each output that still wanted them counts them as dropped.

A `Spool` is one connection, for one thread at a time; several, also of several
processes, may be open on one file.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.sinks.base import SEVERITIES, VERDICTS, Outbox, Output, Record, rank

FILE = "outbox.sqlite"
"""The database in the folder of the spool."""

MAX_BATCH_BYTES = 4 << 20
"""Bytes of alerts that are taken out at once."""

VERSION = 1
"""Of the tables below, as SQLite's ``user_version``."""

_TABLES = """
CREATE TABLE alert (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    time REAL NOT NULL,
    verdict INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    output TEXT,
    record TEXT NOT NULL
);
CREATE TABLE output (
    name TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    format TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    configured INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    retried INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'idle',
    reason TEXT NOT NULL DEFAULT '',
    last_sent REAL
);
"""
# An alert for one output alone was sent for again by a person: no filter holds it back.
_WANTED = """alert.seq > output.cursor AND (alert.output = output.name OR (
    alert.output IS NULL AND alert.verdict >= output.verdict
    AND alert.severity >= output.severity))"""


class DamagedError(NetwatchError):
    """The file is there and is no sound database."""


@dataclass(frozen=True, slots=True)
class Row:
    """An alert in the outbox; `time` is when it was put there, in s since the epoch."""

    seq: int
    key: str
    time: float
    record: Record


@dataclass(frozen=True, slots=True)
class Status:
    """An output as the outbox knows it: alerts queued, when the oldest of these was put
    there (s since the epoch), delivered, attempts that failed, dead letters, alerts
    dropped because they were too old or too many; `state` is one of `STATES`, `reason`
    says why, `last_sent` when the receiver last took something."""

    name: str
    type: str
    format: str
    configured: bool
    queued: int
    oldest: float | None
    sent: int
    retried: int
    dead: int
    dropped: int
    state: str
    reason: str
    last_sent: float | None


STATES = ("idle", "retrying", "paused")
"""What an output does: its last attempt went well, it tries again by itself, or it waits
for a person."""


def key_of(record: Record) -> str:
    """What names an alert to receivers: the id of the incident, and a hash of all that is
    told of it but the sensor, so that only what says the same is a repetition."""
    told = {name: value for name, value in record.items() if name != "sensor"}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return f"{record.get('id', '')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Spool:
    """One connection to the outbox. `sync` is whether what is committed has to survive a
    power failure; `patience` how long to wait for another writer, in s. Raises
    `NetwatchError` where there is none and `create` is false, or it cannot be opened, and
    `DamagedError`; the methods raise `sqlite3.Error`."""

    def __init__(
        self, outbox: Outbox, *, create: bool = False, sync: bool = True, patience: float = 5.0
    ) -> None:
        folder = outbox.folder
        self.path = folder / FILE
        self._max_bytes = outbox.max_bytes
        try:
            if create:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            elif not self.path.exists():
                raise NetwatchError(f"{folder} has no outbox: nothing was delivered from there yet")
            self._db = sqlite3.connect(
                self.path, timeout=patience, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            told = error.strerror if isinstance(error, OSError) else error
            raise NetwatchError(f"the outbox in {folder} cannot be opened: {told}") from None
        try:
            self._prepare(sync)
        except sqlite3.Error as error:
            self._db.close()
            damaged = error.sqlite_errorname in ("SQLITE_NOTADB", "SQLITE_CORRUPT")
            kind = DamagedError if damaged else NetwatchError
            raise kind(f"the outbox in {folder} cannot be opened: {error}") from None
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, sync: bool) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
        self._db.execute(f"PRAGMA journal_size_limit = {MAX_BATCH_BYTES}")
        self._db.execute("PRAGMA wal_autocheckpoint = 250")
        self._page = int(self._db.execute("PRAGMA page_size").fetchone()[0])
        if self._version() == VERSION:
            return
        with self._write():
            version = self._version()
            if version == 0:
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise NetwatchError(f"{self.path} was written by another version of netwatch")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextlib.contextmanager
    def _write(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def configure(self, outputs: Sequence[Output]) -> None:
        """Make these the outputs that alerts are kept for. One that is new gets what comes
        from now on; one that is gone keeps its counts and holds nothing back."""
        with self._write():
            self._db.execute("UPDATE output SET configured = 0")
            for each in outputs:
                self._db.execute(
                    "INSERT INTO output (name, type, format, verdict, severity, cursor, configured)"
                    " VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(seq), 0) FROM sqlite_sequence"
                    " WHERE name = 'alert'), 1) ON CONFLICT (name) DO UPDATE SET type ="
                    " excluded.type, format = excluded.format, verdict = excluded.verdict,"
                    " severity = excluded.severity, configured = 1",
                    (each.name, each.type, each.format, each.min_verdict, each.min_severity),
                )

    def put(self, records: Sequence[Record], now: float, output: str | None = None) -> int:
        """Write alerts, for all outputs or for one alone, in one transaction; how many older
        ones had to go for them. Raises `sqlite3.Error`."""
        rows = [
            (
                key_of(record),
                now,
                rank(VERDICTS, record.get("verdict")),
                rank(SEVERITIES, record.get("severity")),
                output,
                json.dumps(record, separators=(",", ":")),
            )
            for record in records
        ]
        gone = 0
        with self._write():
            self._db.executemany(
                "INSERT INTO alert (key, time, verdict, severity, output, record)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            while self.used() > self._max_bytes:
                first, last = self._span()
                if first is None or last is None:
                    break
                gone += self._forget(first + (last - first) // 50)
        return gone

    def used(self) -> int:
        """Bytes of the file that hold something."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        return int(pages - free) * self._page

    def _span(self) -> tuple[int | None, int | None]:
        first, last = self._db.execute("SELECT min(seq), max(seq) FROM alert").fetchone()
        return first, last

    def _forget(self, seq: int) -> int:
        """Delete all alerts up to `seq`; how many of these some output still wanted."""
        wanted = self._db.execute(
            "SELECT count(DISTINCT alert.seq) FROM alert, output WHERE alert.seq <= ?"
            f" AND output.configured AND {_WANTED}",
            (seq,),
        ).fetchone()[0]
        self._db.execute(
            "UPDATE output SET dropped = dropped + (SELECT count(*) FROM alert WHERE"
            f" alert.seq <= :seq AND {_WANTED}), cursor = max(cursor, :seq)",
            {"seq": seq},
        )
        self._db.execute("DELETE FROM alert WHERE seq <= ?", (seq,))
        return int(wanted)

    def tidy(self, before: float) -> int:
        """Delete what all outputs are past, and what was put there before the time `before`;
        how many of the latter some output still wanted."""
        passed = self._db.execute("SELECT min(cursor) FROM output WHERE configured").fetchone()[0]
        old = self._db.execute("SELECT max(seq) FROM alert WHERE time < ?", (before,)).fetchone()[0]
        first, _ = self._span()
        if first is None or max(passed or 0, old or 0) < first:
            return 0
        with self._write():
            return self._forget(max(passed or 0, old or 0))

    def next(self, name: str, limit: int) -> list[Row]:
        """What is next for an output: at most `limit` alerts in the order they were put.
        Where nothing is, its cursor moves past what it does not want."""
        newest = self._db.execute("SELECT max(seq) FROM alert").fetchone()[0]
        found: list[Row] = []
        size = 0
        for seq, key, time, text in self._db.execute(
            "SELECT alert.seq, alert.key, alert.time, alert.record FROM alert, output"
            f" WHERE output.name = ? AND {_WANTED} ORDER BY alert.seq LIMIT ?",
            (name, limit),
        ):
            size += len(text)
            if found and size > MAX_BATCH_BYTES:
                break
            found.append(Row(seq, key, time, json.loads(text)))
        if not found and newest is not None:
            self._db.execute(
                "UPDATE output SET cursor = ? WHERE name = ? AND cursor < ?", (newest, name, newest)
            )
        return found

    def advance(
        self,
        name: str,
        cursor: int,
        *,
        sent: int,
        retried: int,
        dead: int,
        dropped: int,
        now: float,
    ) -> None:
        """Note what became of a batch; `cursor` is the last alert before which nothing is
        left to send."""
        self._db.execute(
            "UPDATE output SET cursor = max(cursor, ?), sent = sent + ?, retried = retried + ?,"
            " dead = dead + ?, dropped = dropped + ?, last_sent = CASE WHEN ? THEN ? ELSE"
            " last_sent END WHERE name = ?",
            (cursor, sent, retried, dead, dropped, sent, now, name),
        )

    def state(self, name: str, state: str, reason: str) -> None:
        """Note what an output does, one of `STATES`, and why."""
        self._db.execute(
            "UPDATE output SET state = ?, reason = ? WHERE name = ?", (state, reason, name)
        )

    def shrink(self) -> None:
        """Give back the space of the write-ahead log, for a disk that is full; what cannot be
        given back stays."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def status(self) -> list[Status]:
        """All outputs that were ever configured, by name."""
        rows = self._db.execute(
            "SELECT name, type, format, configured, (SELECT count(*) FROM alert WHERE"
            f" {_WANTED}), (SELECT min(time) FROM alert WHERE {_WANTED}), sent, retried, dead,"
            " dropped, state, reason, last_sent FROM output ORDER BY name"
        )
        return [
            Status(name, kind, form, bool(configured), *counts)
            for name, kind, form, configured, *counts in rows
        ]


def set_aside(folder: Path, now: float) -> Path:
    """Rename a damaged outbox and what belongs to it, so that a new one can begin; its new
    name."""
    path = folder / FILE
    aside = path.with_name(f"{FILE}.damaged-{int(now)}")
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(FILE + ending).rename(aside.with_name(aside.name + ending))
    return aside
