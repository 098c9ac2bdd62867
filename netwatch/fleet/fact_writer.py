"""Writes the facts of a sensor into its spool, and into its own store if it has one.

It replaces the writer of a store in the process that writes facts (`netwatch.store.service`), so
its queues, their limits and its restarts are the same.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.config import Config
from netwatch.engine.facts_process import Start, run_description
from netwatch.engine.live_facts import Destination, maintain
from netwatch.fleet.fact_batch import FactBatch, RunKey, pack
from netwatch.fleet.spool import RunNote, SpoolWriter
from netwatch.formats.bypass import BypassRecord
from netwatch.store import messages
from netwatch.store.fact_tables import TIME_COLUMN, batches_of, chunk_schema, combined
from netwatch.store.hour_rows import LossCounter, Losses, LossKind
from netwatch.store.messages import ClientKey
from netwatch.store.opening import UseLock
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress
from netwatch.store.writer import LOCATED, Locate, RunDescription, Seal, Writer, sealed_claims

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 30_000
"""Rows after which a batch is written; some 0.5 MB."""

MOST_ROWS = 60_000
"""Rows of a batch at most."""

BATCH_SECONDS = 2.5
"""Seconds after which a batch is written, however few rows it has."""


def _with_own_clients(
    rows: "pa.Table", clients: "Sequence[ClientAddress]"
) -> "tuple[pa.Table, list[ClientAddress]]":
    """Rows with the clients that they name, by their places among these."""
    import pyarrow as pa

    column = rows["client"].combine_chunks().dictionary_encode()
    if len(column.dictionary) == len(clients):
        return rows, list(clients)
    at = rows.schema.get_field_index("client")
    places = column.indices.cast(pa.int32())
    named = [clients[place] for place in column.dictionary.to_pylist()]
    return rows.set_column(at, rows.schema.field(at), places), named


@dataclass(slots=True)
class _Waiting:
    """Unwritten rows of a table and capture, and the place of each client."""

    since: float
    batches: "list[pa.RecordBatch]" = field(default_factory=list)
    places: dict[ClientAddress, int] = field(default_factory=dict)
    rows: int = 0


def _nothing() -> None:
    """Does nothing."""


def _unmaintained(_: messages.Known) -> Sequence[BypassRecord]:
    """A spool has nothing to compact."""
    return ()


class FactWriter:
    """Writes one run to the spool in `folder`. `started` is the beginning of the run (ns). The
    sensor's own `store` gets the same messages. Methods raise `NetwatchError` if writing fails, and
    try again when they are called again."""

    def __init__(
        self,
        folder: Path,
        run: RunDescription,
        started: int,
        locate: Locate,
        seal: Seal | None = None,
        store: Callable[[], Writer] | None = None,
    ) -> None:
        self._spool = SpoolWriter(folder)
        self._started = started
        self._description = run
        self._locate, self._seal = locate, seal
        self._located: dict[ClientKey, ClientAddress] = {}
        self._waiting: dict[tuple[str, int], _Waiting] = {}
        self._unsent: list[tuple[str, int, bytes]] = []
        self._spooled = 0
        self._note = RunNote(folder)
        self._ended = set[int]()
        self._known_lost: dict[tuple[int, bool], int] = {}
        self._added = 0
        self._progress: Callable[[], None] = _nothing
        self._mark_killed()
        self._store = store() if store is not None else None
        self.run = self._store.run if self._store is not None else 1

    def _mark_killed(self) -> None:
        """Report that a run whose process was killed is incomplete, and since when."""
        found = self._note.read()
        if found is None:
            return
        if found.run["started"] == self._started:
            self._note.resume(found)
            return
        losses = LossCounter()
        losses.add_killed(found.last, found.unseen)
        for position in found.positions:
            run = {**found.run, "position": position}
            about = {"losses": losses.take(), "all": False, "adds": True, "run": run}
            ended = {"whole": False, "first": found.first, "last": found.last, "lost_rows": 0}
            for table, content in (("loss", about), ("capture", {**ended, "run": run})):
                line = json.dumps(content, separators=(",", ":")).encode()
                self._unsent.append((table, 1, line))
        self._note.remove()

    @property
    def stored(self) -> int:
        """Rows on disk: in the store, or without one in the spool."""
        return self._store.stored if self._store is not None else self._spooled

    @property
    def known(self) -> messages.Known:
        """What the configuration says of addresses."""
        return self._store.known if self._store is not None else messages.Known()

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        waiting = sum(chunk.rows for chunk in self._waiting.values())
        return max(waiting, self._store.waiting if self._store is not None else 0)

    def take(self, message: object) -> None:
        """Process a message."""
        if self._store is not None:
            self._store.take(message)
        match message:
            case messages.Chunk():
                self._add(message)
            case messages.HourCoverage(part, first, last, line):
                self._put_record("coverage", {"part": part, "first": first, "last": last,
                                              "record": json.loads(line)}, 0)  # fmt: skip
            case messages.CaptureEnded():
                self._end_capture(message)
            case messages.CaptureLosses(position, losses):
                self._put_losses(losses, position, of_all=False, adds=False)
            case messages.OneOfNames(position, found):
                self._put_record("oneofk", {"flows": found}, position)
            case messages.RunLosses(losses):
                self._put_losses(losses, 0, of_all=True, adds=False)
            case messages.Described():
                # The waiting rows were judged as before.
                self._collect(lambda *_: True)
                if message.versions is not None:
                    self._description = replace(
                        self._description, versions=message.versions, contents=message.contents
                    )
                self._locate, self._seal = message.locate, message.seal
                self._located.clear()
            case _:
                pass  # Alerts and the status of the sensor reach the centre in other ways.

    def _end_capture(self, message: messages.CaptureEnded) -> None:
        self._ended.add(message.position)
        self._put_record(
            "capture",
            {
                "whole": message.is_whole,
                "first": message.first,
                "last": message.last,
                "lost_rows": message.lost_rows,
            },
            message.position,
        )

    def _run_key(self, position: int) -> RunKey:
        found = self._description.versions
        versions = None
        if found is not None:
            versions = (found.netwatch, found.signatures, found.bans, found.configuration)
        return RunKey(
            started=self._started,
            command=self._description.command,
            versions=versions,
            position=position,
            contents=self._description.contents,
        )

    def _put_losses(self, losses: Losses, position: int, *, of_all: bool, adds: bool) -> None:
        """Report losses: in total, or (`adds`) in addition to earlier ones."""
        content = {"losses": losses, "all": of_all, "adds": adds}
        self._put_record("loss", content, position)
        if not adds:
            self._known_lost[position, of_all] = sum(losses.get("rows", {}).values()) + sum(
                losses.get("killed", {}).values()
            )

    def lose(self, kind: LossKind, count: int) -> None:
        """Note that data of the run was lost, among what was seen last."""
        if self._store is not None:
            self._store.lose(kind, count)
        losses = LossCounter()
        losses.add(kind, self._note.last or time.time_ns(), count)
        self._put_losses(losses.take(), 0, of_all=True, adds=True)
        self._added += count

    def note_progress(
        self, progress: Callable[[], None], claim: Callable[[str, int], None]
    ) -> None:
        """From now on `progress` is called with each file that is written, and `claim` before files
        of the store are registered."""
        self._progress = progress
        if self._store is not None:
            self._store.note_progress(progress, claim)

    def has_file(self, path: str) -> bool:
        """Whether readers of the store can see the file at a path."""
        return self._store is not None and self._store.has_file(path)

    def _put_record(self, table: str, record: dict[str, object], position: int) -> None:
        if table == "capture":
            self._collect(lambda key, _: key[1] == position)
        content = {**record, "run": self._run_key(position).record()}
        self._unsent.append((table, 1, json.dumps(content, separators=(",", ":")).encode()))

    def _add(self, chunk: messages.Chunk) -> None:
        import pyarrow as pa

        clients = list(map(self._described, chunk.clients))
        hidden = {place for place, client in enumerate(clients) if client.sealed is not None}
        self._note.positions.add(chunk.position)
        key = (chunk.table, chunk.position)
        waiting = self._waiting.setdefault(key, _Waiting(time.monotonic()))
        numbers = [waiting.places.setdefault(client, len(waiting.places)) for client in clients]
        layout = chunk_schema(chunk.table)
        at = layout.get_field_index("client")
        for batch in batches_of(chunk.table, chunk.stream):
            if hidden and chunk.table == "claim" and self._seal is not None:
                batch = sealed_claims(batch, hidden, self._seal)
            places = pa.array(numbers, pa.int32()).take(batch.column("client"))
            waiting.batches.append(batch.set_column(at, layout.field(at), places))
            waiting.rows += batch.num_rows
            self._note.see(batch.column(TIME_COLUMN[chunk.table]))

    def _described(self, key: ClientKey) -> ClientAddress:
        found = self._located.get(key)
        if found is None:
            if len(self._located) >= LOCATED:
                self._located.clear()
            found = self._located[key] = self._locate(key)
        return found

    def _collect(self, is_due: Callable[[tuple[str, int], _Waiting], bool]) -> None:
        """Make batches of the rows that are due."""
        import pyarrow as pa

        for key in [key for key, waiting in self._waiting.items() if is_due(key, waiting)]:
            table, position = key
            waiting = self._waiting.pop(key)
            if not waiting.rows:
                continue
            rows = combined(pa.Table.from_batches(waiting.batches, chunk_schema(table)))
            clients, run = list(waiting.places), self._run_key(position)
            # What came while nothing could be written is more than a centre accepts at once.
            for at in range(0, waiting.rows, MOST_ROWS):
                part, named = _with_own_clients(rows.slice(at, MOST_ROWS), clients)
                batch = FactBatch(table, run, named, part)
                self._unsent.append((table, part.num_rows, pack(batch)))

    def write_due(self) -> None:
        """Write tables that have enough rows for a batch, or have waited long enough."""
        now = time.monotonic()
        self._collect(
            lambda _, waiting: waiting.rows >= BATCH_ROWS or now - waiting.since >= BATCH_SECONDS
        )
        self._write()
        if self._store is not None:
            self._store.write_due()

    def flush(self) -> None:
        """Write all rows."""
        self._collect(lambda *_: True)
        self._write()
        if self._store is not None:
            self._store.flush()

    def _write(self) -> None:
        if self._unsent and self._note.positions:
            self._note.write(self._run_key(0).record())
        while self._unsent:
            table, rows, content = self._unsent[0]
            self._spool.put(table, rows, content)
            self._unsent.pop(0)
            if table in ("observation", "flow", "claim"):
                self._spooled += rows
            self._progress()

    def end(self, expected: int = 0) -> messages.Ended:
        """Write what is waiting, and end the run. Captures whose end was not reported are
        incomplete: their worker was killed."""
        first, last = self._note.first, self._note.last
        for position in sorted(self._note.positions - self._ended):
            if last is not None:
                losses = LossCounter()
                losses.add_killed(last, last)
                self._put_losses(losses.take(), position, of_all=False, adds=True)
            self._end_capture(messages.CaptureEnded(position, False, first, last))
        self._collect(lambda *_: True)
        self._write()
        if self._store is None:
            late = expected - self._spooled - sum(self._known_lost.values()) - self._added
            if late > 0:
                self.lose("late", late)
                self._write()
        self._note.remove()
        if self._store is not None:
            return self._store.end(expected)
        return messages.Ended(self._spooled, ())

    def compact(self) -> None:
        """Compact the store, if there is one."""
        if self._store is not None:
            self._store.compact()

    def close(self) -> None:
        """Close the store, if there is one."""
        if self._store is not None:
            self._store.close()


def spool_destination(config: Config) -> Destination:
    """The destination of the facts of a sensor of a fleet."""
    assert config.fleet is not None
    folder, store = config.fleet.spool.folder, config.store
    run = run_description("live", config)
    return Destination(
        "the spool" if store is None else "the store",
        str(folder) if store is None else store.path,
        partial(_make_writer, folder, store, run, time.time_ns()),
        _unmaintained if store is None else partial(maintain, store),
        nullcontext if store is None else partial(UseLock, store),
    )


def _make_writer(
    folder: Path, store: StoreOptions | None, run: RunDescription, started: int, request: Start
) -> FactWriter:
    how = request.described
    writer = None
    if store is not None:
        writer = partial(
            Writer, store, run, how.locate, how.seal, how.hides, resumed=request.run,
            known=how.known,
        )  # fmt: skip
    return FactWriter(folder, run, started, how.locate, how.seal, writer)
