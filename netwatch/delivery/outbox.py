"""The outbox: stores every alert on disk before it is sent, with one cursor an output.

`OutboxDatabase.put` commits and syncs alerts. An output's cursor moves when it has delivered, and
need not be synced: a cursor lost in a power failure causes a duplicate, not a loss. An alert is
deleted when all outputs have passed it. The outbox is limited in size and age: if it is full or an
alert expires, the oldest alerts are evicted, and every output that still had to send them counts
them as dropped.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from netwatch.core.alert import AlertRecord
from netwatch.delivery.outbox_file import open_database, transaction
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.sinks.ranking import severity_rank, verdict_rank

MAX_BATCH_BYTES = 4 << 20
"""Bytes of alerts that `OutboxDatabase.next_batch` returns at once."""

STATES = ("idle", "retrying", "paused")
"""The state of an output: its last attempt succeeded, it will be retried automatically, or somebody
has to correct something first."""

_EVICTION_STEPS = 50

# An alert for one output only was replayed by a person, so no filter applies to it.
_PENDING = """alert.seq > output.cursor AND (alert.output = output.name OR (
    alert.output IS NULL AND alert.verdict >= output.verdict
    AND alert.severity >= output.severity))"""


@dataclass(frozen=True, slots=True)
class QueuedAlert:
    """An alert in the outbox. `number` increases with every alert, `key` identifies duplicates, and
    `time` is when the alert was stored, in s since the epoch."""

    number: int
    key: str
    time: float
    record: AlertRecord


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """An output as the outbox knows it: how many alerts are queued, when the oldest of these was
    stored (s since the epoch), and how many alerts were delivered, attempts failed, alerts became
    dead letters and alerts were dropped because they were too old or too many. `state` is one of
    `STATES`, `reason` explains it, and `last_sent` is when the receiver last accepted an alert."""

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


def deduplication_key(record: AlertRecord) -> str:
    """The key by which receivers recognise a duplicate: the id of the incident and a hash of the
    rest of the record except the sensor, so only a record that says the same is a duplicate."""
    content = {name: value for name, value in record.items() if name != "sensor"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"{record.get('id', '')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class OutboxDatabase:
    """One connection to the outbox, for one thread at a time. Several connections, from several
    processes too, may be open at once.

    The constructor raises what `open_database` raises; all methods raise `sqlite3.Error`. `durable`
    and `busy_timeout` are explained there.
    """

    def __init__(
        self,
        options: OutboxOptions,
        *,
        create: bool = False,
        durable: bool = True,
        busy_timeout: float = 5.0,
    ) -> None:
        self._max_bytes = options.max_bytes
        self._db = open_database(
            options.folder, create=create, durable=durable, busy_timeout=busy_timeout
        )
        self._page_size = int(self._db.execute("PRAGMA page_size").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def configure(self, outputs: Sequence[Output]) -> None:
        """Set the outputs that alerts are stored for. A new output receives alerts from now on. One
        that was removed retains its counts, but alerts are no longer stored for it."""
        with transaction(self._db):
            self._db.execute("UPDATE output SET configured = 0")
            for output in outputs:
                self._db.execute(
                    "INSERT INTO output (name, type, format, verdict, severity, cursor, configured)"
                    " VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(seq), 0) FROM sqlite_sequence"
                    " WHERE name = 'alert'), 1) ON CONFLICT (name) DO UPDATE SET type ="
                    " excluded.type, format = excluded.format, verdict = excluded.verdict,"
                    " severity = excluded.severity, configured = 1",
                    (
                        output.name,
                        output.type,
                        output.format,
                        output.min_verdict,
                        output.min_severity,
                    ),
                )

    def put(self, records: Sequence[AlertRecord], now: float, output: str | None = None) -> int:
        """Store alerts, for all outputs or for one only, in one transaction. Returns how many older
        alerts were evicted to make room and would still have been sent."""
        rows = [
            (
                deduplication_key(record),
                now,
                verdict_rank(record),
                severity_rank(record),
                output,
                json.dumps(record, separators=(",", ":")),
            )
            for record in records
        ]
        evicted = 0
        with transaction(self._db):
            self._db.executemany(
                "INSERT INTO alert (key, time, verdict, severity, output, record)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            while self.used_bytes() > self._max_bytes:
                first, last = self._number_range()
                if first is None or last is None:
                    break
                evicted += self._delete_up_to(first + (last - first) // _EVICTION_STEPS)
        return evicted

    def used_bytes(self) -> int:
        """Bytes of the database that are in use."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        return int(pages - free) * self._page_size

    def _number_range(self) -> tuple[int | None, int | None]:
        first, last = self._db.execute("SELECT min(seq), max(seq) FROM alert").fetchone()
        return first, last

    def _delete_up_to(self, number: int) -> int:
        """Delete all alerts up to `number`. Returns how many of these an output still had to send;
        it counts them as dropped."""
        pending = self._db.execute(
            "SELECT count(DISTINCT alert.seq) FROM alert, output WHERE alert.seq <= ?"
            f" AND output.configured AND {_PENDING}",
            (number,),
        ).fetchone()[0]
        self._db.execute(
            "UPDATE output SET dropped = dropped + (SELECT count(*) FROM alert WHERE"
            f" alert.seq <= :number AND {_PENDING}), cursor = max(cursor, :number)",
            {"number": number},
        )
        self._db.execute("DELETE FROM alert WHERE seq <= ?", (number,))
        return int(pending)

    def clean_up(self, expired_before: float) -> int:
        """Delete the alerts that all outputs have passed and those stored before the time
        `expired_before`. Returns how many of the latter an output still had to send."""
        passed = self._db.execute("SELECT min(cursor) FROM output WHERE configured").fetchone()[0]
        expired = self._db.execute(
            "SELECT max(seq) FROM alert WHERE time < ?", (expired_before,)
        ).fetchone()[0]
        first, _ = self._number_range()
        last = max(passed or 0, expired or 0)
        if first is None or last < first:
            return 0
        with transaction(self._db):
            return self._delete_up_to(last)

    def next_batch(self, output: str, limit: int) -> list[QueuedAlert]:
        """The next alerts for an output in the order in which they were stored: at most `limit`,
        and at most `MAX_BATCH_BYTES` unless a single one is larger. If there is none, the cursor
        moves past the alerts that the output's filter excludes."""
        newest = self._db.execute("SELECT max(seq) FROM alert").fetchone()[0]
        batch: list[QueuedAlert] = []
        size = 0
        for number, key, time, text in self._db.execute(
            "SELECT alert.seq, alert.key, alert.time, alert.record FROM alert, output"
            f" WHERE output.name = ? AND {_PENDING} ORDER BY alert.seq LIMIT ?",
            (output, limit),
        ):
            size += len(text)
            if batch and size > MAX_BATCH_BYTES:
                break
            batch.append(QueuedAlert(number, key, time, json.loads(text)))
        if not batch and newest is not None:
            self._db.execute(
                "UPDATE output SET cursor = ? WHERE name = ? AND cursor < ?",
                (newest, output, newest),
            )
        return batch

    def record_attempt(
        self,
        output: str,
        cursor: int,
        *,
        sent: int,
        retried: int,
        dead: int,
        dropped: int,
        now: float,
    ) -> None:
        """Move an output's cursor to the number `cursor`, up to which nothing is left to send, and
        add to its counts."""
        self._db.execute(
            "UPDATE output SET cursor = max(cursor, ?), sent = sent + ?, retried = retried + ?,"
            " dead = dead + ?, dropped = dropped + ?, last_sent = CASE WHEN ? THEN ? ELSE"
            " last_sent END WHERE name = ?",
            (cursor, sent, retried, dead, dropped, sent, now, output),
        )

    def set_state(self, output: str, state: str, reason: str) -> None:
        """Set an output's state, one of `STATES`, and the reason for it."""
        self._db.execute(
            "UPDATE output SET state = ?, reason = ? WHERE name = ?", (state, reason, output)
        )

    def truncate_wal(self) -> None:
        """Release the space of the write-ahead log when the disk is full, as far as possible."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def status(self) -> list[OutputStatus]:
        """All outputs that were ever configured, by name."""
        rows = self._db.execute(
            "SELECT name, type, format, configured, (SELECT count(*) FROM alert WHERE"
            f" {_PENDING}), (SELECT min(time) FROM alert WHERE {_PENDING}), sent, retried, dead,"
            " dropped, state, reason, last_sent FROM output ORDER BY name"
        )
        return [
            OutputStatus(name, kind, form, bool(configured), *counts)
            for name, kind, form, configured, *counts in rows
        ]
