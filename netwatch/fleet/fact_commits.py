"""Commits what sensors send from their spools: batches of facts, records of coverage, the ends of
captures.

Batches are read and their rows written to files first (`FactCommits.prepare`), which one
transaction makes visible (`finish`).

Files of a spool are taken in order. The catalogue has the last stored one of each epoch of a
sensor, which is updated in the transaction that registers the files of facts. So a batch that is
sent again, or was stored by a centre that was killed before it could confirm it, is recognised. One
that arrives before its predecessor is not accepted, since the number could not tell later that one
is missing: the sensor sends both again.
"""

import json
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, select, update

from netwatch.core.errors import NetwatchError
from netwatch.coverage.judged import OneOf
from netwatch.fleet.border import (
    MAX_POSITION,
    UNLIMITED,
    BorderError,
    Outside,
    SensorLimits,
    number,
    read_coverage,
    span,
    text,
)
from netwatch.fleet.envelope import Envelope, EnvelopeError
from netwatch.fleet.fact_batch import FactBatch, RunKey, read_run, unpack
from netwatch.fleet.sensor_records import SensorNumbers, read_losses, read_one_of
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import (
    CaptureState,
    Catalogue,
    FileRow,
    end_capture,
    replace_files,
)
from netwatch.store.claims import without_flows
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import TIME_COLUMN
from netwatch.store.flow_rows import FlowNames
from netwatch.store.hour_counting import Hidden, Hides, HourCounter
from netwatch.store.hour_rows import (
    ALL,
    Losses,
    add_hours,
    add_losses,
    lost_positions,
    shifted,
    store_coverage,
    store_losses,
)
from netwatch.store.landing import Landing, numbered
from netwatch.store.opening import UseLock, open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.statements import upsert

GROUP_BYTES = 64 << 20
"""Bytes of rows in memory after which they are written to files."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Up to which `sequence` an epoch of a sensor is stored."""

    sensor: str
    epoch: str
    sequence: int


@dataclass(slots=True)
class Committed:
    """The result of a commit: the `progress` of every epoch that was sent, which messages were
    `refused` with the reasons, how many rows of each sensor and how many batches were stored, how
    many batches were repeated, and by sensor its reports on what is not its own."""

    progress: list[Progress]
    refused: list[tuple[int, str]]
    rows: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    repeated: int = 0
    outside: dict[str, Outside] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """A sensor's statement about a run from `first` to `last` (ns): the `coverage` of a part of it,
    its losses (`losses`; `of_all` captures, and with `adds` in addition to earlier ones), its flow
    records that are ``one-of-k`` (`one_of`), or if all are None how its capture has ended."""

    run: RunKey
    first: int | None
    last: int | None
    coverage: dict[str, Any] | None = None
    losses: Losses | None = None
    one_of: OneOf | None = None
    of_all: bool = False
    adds: bool = False
    part: int = 0
    lost_rows: int = 0
    is_whole: bool = False


class FactCommits:
    """Stores the facts of sensors; flows get their names by `flow_key`, `hides` knows the apps that
    hide names, `limits` what sensors may report on. For one thread at a time. Raises `ConfigError`
    and `NetwatchError` if the store cannot be opened."""

    def __init__(
        self,
        options: StoreOptions,
        flow_key: bytes,
        hides: Hides | None = None,
        limits: SensorLimits = UNLIMITED,
    ) -> None:
        self._flow_names = FlowNames(flow_key)
        self._limits = limits
        self._hides = hides
        self._hidden: Hidden = OrderedDict()
        self._offsets: Mapping[str, int] = {}
        self._catalogue = open_catalogue(options, create=True)
        self._lock = UseLock(options)
        self._files = FactFiles(options.path)
        self._numbers = SensorNumbers(self._catalogue)
        self._prepared: tuple[_Transaction, Committed] | None = None

    def close(self) -> None:
        """Close the catalogue."""
        self._lock.close()
        self._catalogue.close()

    def prepare(
        self, envelopes: Sequence[Envelope], offsets: Mapping[str, int] | None = None
    ) -> None:
        """Read what was sent and write its rows to files; `offsets` are how far the clocks of
        sensors are ahead (ns), by which coverage is corrected. Raises `NetwatchError`."""
        self._offsets = offsets or {}
        self._prepared = None
        epochs = {(sent.sensor, epoch) for sent in envelopes if (epoch := epoch_of(sent))}
        with self._catalogue.database.reading() as connection:
            transaction = _Transaction(
                stored_sequences(connection, sorted(epochs)), self._hidden.copy()
            )
        result, now, size = Committed([], []), time.time_ns(), 0
        contents: list[tuple[str, FactBatch | _Record]] = []
        for position, envelope in enumerate(envelopes):
            try:
                if transaction.takes(envelope):
                    # Refused content counts as stored: it will not be better when it comes again.
                    transaction.note(envelope)
                    content, outside = self._limited(envelope.sensor, _read(envelope, now))
                    if outside:
                        result.outside.setdefault(envelope.sensor, Outside()).networks.update(
                            outside
                        )
                    contents.append((envelope.sensor, content))
                    result.batches += 1
                    size += content.rows.nbytes if isinstance(content, FactBatch) else 0
                else:
                    result.repeated += 1
            except BorderError as error:
                result.refused.append((position, str(error)))
            if size > GROUP_BYTES:
                self._add(contents, transaction, result)
                contents, size = [], 0
        self._add(contents, transaction, result)
        self._prepared = transaction, result

    def _limited(
        self, sensor: str, content: FactBatch | _Record
    ) -> tuple[FactBatch | _Record, set[str]]:
        """The part of a content that counts, and its networks that are not the sensor's own."""
        if isinstance(content, FactBatch):
            clients, outside = self._limits.clients(sensor, content.clients)
            return replace(content, clients=clients), outside
        if content.one_of is not None:
            one_of, outside = self._limits.one_of(sensor, content.one_of)
            return replace(content, one_of=one_of), outside
        if content.coverage is None:
            return content, set()
        coverage, outside = self._limits.coverage(sensor, content.coverage)
        return replace(content, coverage=coverage), outside

    def refuse(self, envelope: Envelope) -> None:
        """Make an unstorable message count as stored. Raises `NetwatchError`."""
        self._prepared = None
        with self._catalogue.database.reading() as connection:
            key = envelope.sensor, epoch_of(envelope)
            transaction = _Transaction(stored_sequences(connection, [key]), self._hidden.copy())
        result = Committed([], [])
        try:
            if transaction.takes(envelope):
                transaction.note(envelope)
        except BorderError:
            transaction.stored.clear()  # It names no epoch that could continue.
        self._prepared = transaction, result

    def _add(
        self,
        contents: Sequence[tuple[str, FactBatch | _Record]],
        transaction: "_Transaction",
        result: Committed,
    ) -> None:
        """Write what was read to files."""
        self._numbers.load({(sensor, each.run, _needs_capture(each)) for sensor, each in contents})
        landing = Landing(self._files, self._catalogue, transaction.add_files)
        for sensor, content in contents:
            if isinstance(content, FactBatch):
                self._add_rows(sensor, content, landing, transaction)
                result.rows[sensor] += int(content.rows.num_rows)
            elif content.losses is not None:
                losses = shifted(content.losses, self._offsets.get(sensor, 0))
                found = replace(content, losses=losses)
                transaction.losses.append((self._numbers.run(sensor, content.run), found))
            elif content.one_of is not None:
                run = self._numbers.run(sensor, content.run)
                capture = self._numbers.capture(sensor, content.run)
                part = 0 if content.run.command == "live" else capture
                self._hours(sensor, run, transaction).add_one_of(part, content.one_of)
            elif content.coverage is None:
                run = self._numbers.run(sensor, content.run)
                capture = self._numbers.capture(sensor, content.run)
                transaction.ended.append((run, capture, content))
            else:
                found = _corrected(content, self._offsets.get(sensor, 0))
                transaction.coverage.append((self._numbers.run(sensor, content.run), found))
        landing.flush()

    def finish(self) -> Committed:
        """Store what was prepared, all or, with `NetwatchError`, nothing of it; then it must be
        prepared again."""
        if self._prepared is None:
            raise NetwatchError("nothing is prepared: another process had begun")
        (transaction, result), self._prepared = self._prepared, None
        if transaction.is_needed:
            transaction.run(self._catalogue)
        self._hidden = transaction.hidden
        result.progress = [Progress(*key, sequence) for key, sequence in transaction.stored.items()]
        return result

    def _add_rows(
        self, sensor: str, batch: FactBatch, landing: Landing, transaction: "_Transaction"
    ) -> None:
        capture = self._numbers.capture(sensor, batch.run)
        numbers = self._catalogue.client_numbers(batch.clients, sensor)
        from pyarrow import compute

        networks = [client.network_and_class for client in batch.clients]
        run = self._numbers.run(sensor, batch.run)
        times = batch.rows[TIME_COLUMN[batch.table]]
        offset = self._offsets.get(sensor, 0)
        self._numbers.judge(sensor, batch.run, compute.min_max(times).as_py()["min"] - offset)
        hours = self._hours(sensor, run, transaction)
        # A sensor with an older netwatch sends hashes of the ends of a flow.
        rows = without_flows(batch.rows) if batch.table == "claim" else batch.rows
        for part in self._flow_names.renamed(rows, capture).to_batches():
            landing.add(batch.table, numbered(part, batch.table, capture, numbers))
            is_live = batch.run.command == "live"
            hours.add(0 if is_live else capture, capture, batch.table, part, networks)

    def _hours(self, sensor: str, run: int, transaction: "_Transaction") -> HourCounter:
        """The counter of the hours of a run, by the clock here."""
        return transaction.hours.setdefault(
            run, HourCounter(self._hides, transaction.hidden, self._offsets.get(sensor, 0))
        )

    def forget(self, before: int) -> None:
        """Forget epochs of which nothing was stored since a time (ns)."""
        table = tables.fleet_batch
        with self._catalogue.database.writing() as connection:
            connection.execute(table.delete().where(table.c.time < before))


class _Transaction:
    """What one commit writes to the catalogue. `stored` has the last sequence of each epoch, at
    first as it was read, `coverage` records of coverage, each with the number of its run, `losses`
    the losses, each with the number of its run, `ended` how captures have ended, each with the
    numbers of its run and its own, `hours` the counts of each run, and `hidden` the flows to apps
    that hide names, as they will be after it."""

    def __init__(self, stored: dict[tuple[str, str], int], hidden: Hidden) -> None:
        self.stored = stored
        self.hidden = hidden
        self._before = dict(stored)
        self.coverage: list[tuple[int, _Record]] = []
        self.losses: list[tuple[int, _Record]] = []
        self.ended: list[tuple[int, int, _Record]] = []
        self.hours: dict[int, HourCounter] = {}
        self._files: list[FileRow] = []
        self.is_needed = False

    def takes(self, envelope: Envelope) -> bool:
        """Whether a file is neither already stored nor ahead of a missing one. Raises
        `EnvelopeError` if it does not name its predecessor."""
        epoch, after = epoch_of(envelope), envelope.fields.get("after")
        if not epoch or type(after) is not int or not 0 <= after < envelope.sequence:
            raise EnvelopeError("the envelope has no valid 'epoch' and 'after'")
        return after <= self.stored[envelope.sensor, epoch] < envelope.sequence

    def note(self, envelope: Envelope) -> None:
        """A file is stored by this transaction."""
        self.stored[envelope.sensor, epoch_of(envelope)] = envelope.sequence
        self.is_needed = True

    def add_files(self, files: Sequence[FileRow]) -> None:
        """Register files with the rest."""
        self._files += files

    def run(self, catalogue: Catalogue) -> None:
        """Write everything. Raises `NetwatchError`, also if another process has stored something of
        these sensors since the stored state was read: one of a killed centre, whose last
        transaction had begun."""
        with catalogue.database.writing() as connection:
            # Written rows stay locked, so what is read then is final.
            self._write(connection, self._before, lambda new: {"time": new.time})
            if stored_sequences(connection, self.stored) != self._before:
                raise NetwatchError("facts of the same sensors were stored by another process")
            replace_files(connection, self._files, ())
            for run, counter in self.hours.items():
                add_hours(connection, run, counter.parts)
            for number, record in self.coverage:
                line = json.dumps(record.coverage, separators=(",", ":"))
                store_coverage(connection, number, record.part, record.first, record.last, line)
            for number, record in self.losses:
                _store_losses(connection, number, record)
            for run, number, record in self.ended:
                position = record.run.position
                is_whole = record.is_whole and not (
                    lost_positions(connection, run) & {ALL, position}
                )
                state: CaptureState = "complete" if is_whole else "partial"
                end_capture(
                    connection, number, state, record.first, record.last, lost_rows=record.lost_rows
                )
            self._write(
                connection,
                self.stored,
                lambda new: {"sequence": new.sequence, "time": new.time},
            )

    def _write(
        self,
        connection: Connection,
        sequences: Mapping[tuple[str, str], int],
        changes: Callable[[Any], Mapping[str, Any]],
    ) -> None:
        now = time.time_ns()
        rows = [
            {"sensor": sensor, "epoch": epoch, "sequence": sequences[sensor, epoch], "time": now}
            for (sensor, epoch), sequence in self.stored.items()
            if sequence
        ]
        upsert(connection, tables.fleet_batch, rows, changes)


def stored_sequences(
    connection: Connection, epochs: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """The last stored sequence of each epoch of a sensor; 0 if none is."""
    found = dict.fromkeys(epochs, 0)
    column = tables.fleet_batch.c
    statement = select(column.sensor, column.epoch, column.sequence)
    for epoch in sorted({epoch for _, epoch in epochs}):
        for row in connection.execute(statement.where(column.epoch == epoch)):
            if (row.sensor, row.epoch) in found:
                found[row.sensor, row.epoch] = row.sequence
    return found


def epoch_of(envelope: Envelope) -> str:
    """The epoch of a message's spool; empty if it names none."""
    try:
        return text(envelope.fields.get("epoch"), 40)
    except BorderError:
        return ""


def _needs_capture(content: FactBatch | _Record) -> bool:
    """Whether something belongs to a capture, and not to its run as a whole."""
    return isinstance(content, FactBatch) or (content.coverage is None and content.losses is None)


def _corrected(record: _Record, offset: int) -> _Record:
    """A record of a sensor whose clock is so far ahead (ns), by the clock here."""
    first, last = (
        None if time is None else max(0, time - offset) for time in (record.first, record.last)
    )
    return replace(record, first=first, last=last)


def _store_losses(connection: Connection, run: int, record: _Record) -> None:
    """Store the losses of a run; captures that have already ended are then not complete."""
    assert record.losses is not None
    position = ALL if record.of_all else record.run.position
    store = add_losses if record.adds else store_losses
    store(connection, run, position, record.losses)
    capture = tables.capture.c
    concerned = (capture.run == run) & (capture.state == "complete")
    if not record.of_all:
        concerned &= capture.position == position
    connection.execute(update(tables.capture).where(concerned).values(state="partial"))


def _read(envelope: Envelope, now: int) -> FactBatch | _Record:
    """The content of a message that came at `now` (ns). Raises `BorderError` for unstorable
    content."""
    table = envelope.fields.get("table")
    if envelope.kind == "facts" and isinstance(table, str) and table in TIME_COLUMN:
        return unpack(table, envelope.payload, now)
    if table not in ("coverage", "capture", "loss", "oneofk"):
        raise EnvelopeError("the content belongs to no table known here")
    record = envelope.value()
    if not isinstance(record, dict):
        raise EnvelopeError("the content is not a JSON object")
    run = read_run(record.get("run"), now)
    if table == "loss":
        of_all, adds = record.get("all") is True, record.get("adds") is True
        losses = read_losses(record.get("losses"))
        return _Record(run=run, first=None, last=None, losses=losses, of_all=of_all, adds=adds)
    if table == "oneofk":
        return _Record(run=run, first=None, last=None, one_of=read_one_of(record.get("flows")))
    first, last = span(record.get("first"), record.get("last"), now)
    if table == "coverage":
        part = number(record.get("part", 0), MAX_POSITION)
        coverage = read_coverage(record.get("record"))
        return _Record(run=run, first=first, last=last, coverage=coverage, part=part)
    lost = number(record.get("lost_rows", 0))
    is_whole = record.get("whole") is True and not lost
    return _Record(run=run, first=first, last=last, lost_rows=lost, is_whole=is_whole)
