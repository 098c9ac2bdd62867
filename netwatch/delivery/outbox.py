"""The outbox: stores every alert on disk before it is sent, with one cursor per output.

`OutboxDatabase.put` commits and syncs alerts. An output's cursor moves when it has delivered, and
need not be synced: a cursor lost in a power failure causes a duplicate, not a loss. An alert is
deleted when all outputs have passed it. The outbox is limited in size and age: if it is full or an
alert expires, the oldest alerts are evicted, and every output that still had to send them counts
them as dropped. Ages are measured by `netwatch.delivery.outbox_file`.
"""

import contextlib
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, cast

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import DamagedFileError, quick_check, transaction
from netwatch.delivery import deferred, outbox_file
from netwatch.delivery.deferred import PENDING, DeferredAlert, decode, deduplication_key, encode
from netwatch.delivery.outbox_file import FILE, AgeClock, lock_use, open_database, prepare_folder
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.sinks.base import severity_rank, verdict_rank

MAX_BATCH_BYTES = 4 << 20
"""Bytes of alerts that `OutboxDatabase.next_batch` returns at once."""

STATES = ("idle", "retrying", "paused", "stopped")
"""The state of an output: its last attempt succeeded, it will be retried automatically, somebody
must correct something first, or nothing delivers its alerts now."""


@dataclass(frozen=True, slots=True)
class QueuedAlert:
    """An alert in the outbox. `number` increases with every alert, `key` identifies duplicates, and
    `waited` is how long ago the alert was stored, in s. With `is_repeat`, the output has delivered
    it before, and must not send it again. `recipients` are the ones to send it to, empty for all of
    the output."""

    number: int
    key: str
    waited: float
    record: AlertRecord
    is_repeat: bool = False
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadableAlert:
    """A stored text that is not an alert's record, and why it is not."""

    number: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """An output as stored in the outbox: how many alerts are queued, when the oldest of these was
    stored (s since the epoch), and how many alerts were delivered, attempts failed, alerts became
    dead letters, and alerts were dropped because they were too old, too many or lost in a damaged
    outbox. `repeated` of the delivered ones had been delivered before, and so many repeats were
    `skipped`. `state` is one of `STATES`, `reason` explains it, and `last_sent` is when the
    receiver last accepted an alert."""

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
    repeated: int
    skipped: int
    state: str
    reason: str
    last_sent: float | None


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _exclusive(method: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A method of `OutboxDatabase` that waits while another thread is in one."""

    @functools.wraps(method)
    def wrapped(*args: Parameters.args, **keys: Parameters.kwargs) -> Result:
        with cast(OutboxDatabase, args[0]).mutex:
            return method(*args, **keys)

    return wrapped


class OutboxDatabase:
    """One connection to the outbox. Several connections, also from several processes, may be open
    at once. Another thread may close it at any time; then methods raise `sqlite3.ProgrammingError`.

    The constructor raises what `open_database` raises; all methods raise `sqlite3.Error`, and
    `DamagedFileError` for content that netwatch has not written. `durable` and `busy_timeout` are
    explained there.
    """

    def __init__(
        self,
        options: OutboxOptions,
        *,
        create: bool = False,
        durable: bool = True,
        busy_timeout: float = 5.0,
    ) -> None:
        self.mutex = threading.RLock()
        self._max_bytes = options.max_bytes
        if create:
            prepare_folder(options.folder)
        elif not (options.folder / FILE).exists():
            raise NetwatchError(
                f"{options.folder}: has no outbox; nothing was delivered from there yet"
            )
        self._use_lock = lock_use(options.folder)
        try:
            self._db = open_database(
                options.folder, create=create, durable=durable, busy_timeout=busy_timeout
            )
            try:
                self._page_size = int(self._db.execute("PRAGMA page_size").fetchone()[0])
                self._clock = AgeClock(self._db)
            except BaseException:
                self._db.close()
                raise
        except BaseException:
            os.close(self._use_lock)
            raise

    def close(self) -> None:
        """Close the connection. Never raises, even for a damaged file."""
        with self.mutex:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            if self._use_lock >= 0:
                os.close(self._use_lock)
                self._use_lock = -1

    @_exclusive
    def check(self) -> None:
        """Verify all pages. Raises `DamagedFileError` if one is damaged."""
        quick_check(self._db)

    @_exclusive
    def configure(self, outputs: Sequence[Output]) -> None:
        """Set the outputs that alerts are stored for. A new output receives alerts from now on. One
        that was removed retains its counts, but alerts are no longer stored for it."""
        with transaction(self._db):
            self._clock.save()
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

    @_exclusive
    def put(
        self,
        records: Sequence[AlertRecord],
        *,
        output: str | None = None,
        once: bool = False,
        waited: Sequence[float] = (),
    ) -> int:
        """Store alerts, for all outputs or for one only, in one transaction. With `once`, an output
        does not send those that it has delivered before. `waited` is how long each has waited
        already, in s. Returns how many older alerts were evicted to make room and would still have
        been sent."""
        now = self._clock.now()
        rows = [
            (
                deduplication_key(record),
                now - (waited[position] if waited else 0.0),
                verdict_rank(record),
                severity_rank(record),
                output,
                once,
                encode(record),
            )
            for position, record in enumerate(records)
        ]
        evicted = 0
        with transaction(self._db):
            self._db.executemany(
                "INSERT INTO alert (key, stored, verdict, severity, output, once, record)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._clock.save()
            while (
                self.used_bytes() > self._max_bytes
                and (count := deferred.evict(self._db)) is not None
            ):
                evicted += count
        return evicted

    @_exclusive
    def put_deferred(
        self, records: Sequence[AlertRecord], output: str, recipients: tuple[str, ...]
    ) -> None:
        """Store alerts for some recipients of an output."""
        now = self._clock.now()
        with transaction(self._db):
            deferrals = [deferred.Deferral(record, now, recipients) for record in records]
            deferred.add(self._db, output, deferrals)

    @_exclusive
    def deferred_batches(self, output: str, limit: int) -> list[list[DeferredAlert]]:
        """The alerts of an output that wait for single recipients, see `deferred.batches`."""
        return deferred.batches(self._db, output, limit, self._clock.now())

    @_exclusive
    def settle_deferred(
        self,
        output: str,
        finished: Collection[int],
        restricted: Sequence[tuple[int, tuple[str, ...]]],
        *,
        sent: Sequence[str],
        **counts: int,
    ) -> None:
        """Record an attempt for single recipients. `sent` are the keys of alerts that somebody got;
        one that others had already got does not count again. `counts` are as in
        `record_attempt`."""
        with transaction(self._db):
            deferred.settle(self._db, finished, restricted)
            new = [key for key in sent if not outbox_file.is_delivered(self._db, output, key)]
            self._count_attempt(output, 0, new, bool(sent), **counts)

    @_exclusive
    def add_dropped(self, lost: Mapping[str, int]) -> None:
        """Count alerts, by output, that were lost before they could be stored."""
        with transaction(self._db):
            self._db.executemany(
                "UPDATE output SET dropped = dropped + ? WHERE name = ?",
                [(count, name) for name, count in lost.items()],
            )

    def used_bytes(self) -> int:
        """Bytes of the database in use."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        return int(pages - free) * self._page_size

    @_exclusive
    def clean_up(self, max_age: float) -> int:
        """Delete the alerts that all outputs have passed and those that have waited longer than
        `max_age`, in s. Returns how many of the latter an output still had to send."""
        self._clock.save()
        return deferred.clean_up(self._db, self._clock.now() - max_age)

    @_exclusive
    def next_batch(self, output: str, limit: int) -> list[QueuedAlert | UnreadableAlert]:
        """The next alerts for an output in the order in which they were stored: at most `limit`,
        and at most `MAX_BATCH_BYTES` unless a single one is larger. If there is none, the cursor
        moves past the alerts that the output's filter excludes."""
        newest = self._db.execute("SELECT max(seq) FROM alert").fetchone()[0]
        now = self._clock.now()
        batch: list[QueuedAlert | UnreadableAlert] = []
        size = 0
        for number, key, stored, once, text in self._db.execute(
            "SELECT alert.seq, alert.key, alert.stored, alert.once, alert.record FROM alert, output"
            f" WHERE output.name = ? AND {PENDING} ORDER BY alert.seq LIMIT ?",
            (output, limit),
        ):
            text = str(text)
            size += len(text)
            if batch and size > MAX_BATCH_BYTES:
                break
            try:
                record = decode(text, key)
            except ValueError as error:
                batch.append(UnreadableAlert(number, text, str(error)))
                continue
            if not isinstance(stored, float):
                raise DamagedFileError(f"the time of alert {number} is no number")
            is_repeat = bool(once) and outbox_file.is_delivered(self._db, output, key)
            batch.append(QueuedAlert(number, key, max(0.0, now - stored), record, is_repeat))
        if not batch and newest is not None:
            self._db.execute(
                "UPDATE output SET cursor = ? WHERE name = ? AND cursor < ?",
                (newest, output, newest),
            )
        return batch

    @_exclusive
    def record_attempt(
        self,
        output: str,
        cursor: int,
        *,
        sent: Sequence[str] = (),
        retried: int = 0,
        dead: int = 0,
        dropped: int = 0,
        skipped: int = 0,
        for_others: Sequence[tuple[QueuedAlert, tuple[str, ...]]] = (),
    ) -> None:
        """Move an output's cursor to the number `cursor`, up to which nothing is left to send, note
        the keys of the alerts that were `sent`, and add to the output's counts. `for_others` are
        alerts that only wait for some recipients, and for which."""
        now = self._clock.now()
        deferrals = [
            deferred.Deferral(alert.record, now - alert.waited, recipients)
            for alert, recipients in for_others
        ]
        counts = {"retried": retried, "dead": dead, "dropped": dropped, "skipped": skipped}
        with transaction(self._db):
            deferred.add(self._db, output, deferrals)
            self._count_attempt(output, cursor, sent, bool(sent), **counts)

    def _count_attempt(
        self,
        output: str,
        cursor: int,
        sent: Sequence[str],
        was_accepted: bool,
        *,
        retried: int = 0,
        dead: int = 0,
        dropped: int = 0,
        skipped: int = 0,
    ) -> None:
        limit = outbox_file.limit_for(self._max_bytes)
        repeated = outbox_file.remember(self._db, output, sent, limit) if sent else 0
        self._db.execute(
            "UPDATE output SET cursor = max(cursor, ?), sent = sent + ?, retried = retried + ?,"
            " dead = dead + ?, dropped = dropped + ?, repeated = repeated + ?,"
            " skipped = skipped + ?, last_sent = CASE WHEN ? THEN ? ELSE last_sent END"
            " WHERE name = ?",
            (
                cursor,
                len(sent),
                retried,
                dead,
                dropped,
                repeated,
                skipped,
                was_accepted,
                time.time(),
                output,
            ),
        )

    @_exclusive
    def set_state(self, output: str, state: str, reason: str) -> None:
        """Set an output's state, one of `STATES`, and the reason for it."""
        self._db.execute(
            "UPDATE output SET state = ?, reason = ? WHERE name = ?", (state, reason, output)
        )

    @_exclusive
    def truncate_wal(self) -> None:
        """Release the space of the write-ahead log when the disk is full, as far as possible."""
        # If this fails, the next attempt releases it, and a writer that cannot write reports it.
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @_exclusive
    def status(self) -> list[OutputStatus]:
        """All outputs that were ever configured, by name."""
        rows = self._db.execute(
            f"SELECT name, type, format, configured, (SELECT count(*) FROM alert WHERE {PENDING})"
            " + (SELECT count(*) FROM deferred WHERE deferred.output = name), (SELECT min(stored)"
            f" FROM (SELECT stored FROM alert WHERE {PENDING} UNION ALL SELECT stored FROM deferred"
            " WHERE deferred.output = name)), sent, retried, dead, dropped, repeated, skipped,"
            " state, reason, last_sent FROM output ORDER BY name"
        )
        now, age_now = time.time(), self._clock.now()
        found = []
        for name, kind, form, configured, queued, stored, *counts in rows:
            if not all(isinstance(count, int) for count in counts[:6]):
                raise DamagedFileError(f"the counts of the output {name} are not numbers")
            oldest = None if stored is None else now - max(0.0, age_now - stored)
            found.append(OutputStatus(name, kind, form, bool(configured), queued, oldest, *counts))
        return found
