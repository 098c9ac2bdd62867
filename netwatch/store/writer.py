"""Writes one run to a store: numbers captures and clients, puts rows into landing files, and hashes
the files that captures were read from.

Of the processes of a run, only this one has the catalogue open (`netwatch.store.service`). A row
counts as stored when its file is in the catalogue.
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netwatch.capture.files import capture_file, open_file
from netwatch.capture.locations import is_url
from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.errors import NetwatchError
from netwatch.store import compaction, messages
from netwatch.store.bypass_rows import note_told
from netwatch.store.catalogue import SourceFile, has_run
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import TIME_COLUMN, batches_of
from netwatch.store.hour_counting import Hides, HourCounter, NetworkClass
from netwatch.store.hour_rows import (
    ALL,
    LossCounter,
    LossKind,
    add_hours,
    add_losses,
    lost_positions,
    lost_rows,
)
from netwatch.store.landing import Landing, numbered
from netwatch.store.messages import ClientKey
from netwatch.store.opening import (
    UseLock,
    forget_run,
    mark_killed,
    note_run,
    note_written,
    open_captures,
    open_catalogue,
    written_span,
)
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress, VersionHashes

if TYPE_CHECKING:
    import pyarrow as pa

HASH_BLOCK = 1 << 20
"""Bytes that are hashed at a time."""

LOCATED = 262_144
"""Clients that are cached, at most, unless one chunk has more."""

Locate = Callable[[ClientKey], ClientAddress]
"""Describes a client for the catalogue: its addresses, or a pseudonym."""

Seal = Callable[[bytes], bytes]
"""Encrypts the JSON of a claim about a client with a pseudonym."""


@dataclass(frozen=True, slots=True)
class RunDescription:
    """The run whose rows are stored; `versions` is None if nothing is judged, and `contents` are
    the contents of its bans (`netwatch.rules.bans`). `is_named` means that ids of its incidents
    contain the name of the sensor."""

    command: str
    sensor: str
    versions: VersionHashes | None
    contents: Mapping[str, str] = field(default_factory=dict)
    is_named: bool = False


@dataclass(slots=True)
class _Capture:
    """A capture that is being stored. If it `is_resumed`, the writer that began it has died;
    `lost_rows` are those that are not counted elsewhere."""

    number: int
    paths: Sequence[str]
    sources: "Future[list[SourceFile]] | None"
    is_resumed: bool = False
    ended: messages.CaptureEnded | None = None
    lost_rows: int = 0


class _Client(NamedTuple):
    """A client of the catalogue: its number, its network, and whether its addresses are sealed."""

    number: int
    network: NetworkClass | None
    is_sealed: bool


def located(key: ClientKey) -> ClientAddress:
    """A client by its addresses, in no network. The address is empty if it has no IP address
    yet."""
    mac = mac_text(key.mac) if key.mac is not None else None
    return ClientAddress(ip_text(key.ip) if key.ip else "", mac)


class Writer:
    """Writes one run to a store; `resumed` is the number of a run whose writer has died. Raises
    `ConfigError` and `NetwatchError` if the store cannot be opened; all methods raise
    `NetwatchError` if it cannot be written to."""

    run: int
    """Its number in the catalogue."""

    known: messages.Known
    """What the configuration says of addresses."""

    def __init__(
        self,
        options: StoreOptions,
        run: RunDescription,
        locate: Locate,
        seal: Seal | None = None,
        hides: Hides | None = None,
        *,
        resumed: int | None = None,
        known: messages.Known | None = None,
    ) -> None:
        self.known = known or messages.Known()
        self._catalogue = open_catalogue(options, create=True)
        self._lock = UseLock(options)
        self._files = FactFiles(options.path)
        self._is_live = run.command == "live"
        self._landing = Landing(self._files, self._catalogue, divides=not self._is_live)
        self._sensor = run.sensor
        self._hours = HourCounter(hides)
        self._first_seen: int | None = None
        self._last_seen: int | None = None
        self._locate = locate
        self._seal = seal
        self._clients: dict[ClientKey, _Client] = {}
        self._clients_forgotten = 0
        self._hashing = ThreadPoolExecutor(1)
        self._captures: dict[int, _Capture] = {}
        self._coverage: messages.CoverageRecord | None = None
        # Captures that the previous writer began, by their position.
        self._begun_before: dict[int, int] = {}
        if resumed is not None:
            self.run = resumed
            self._lock.hold_run(resumed)
            self._begun_before = open_captures(self._catalogue.database, resumed)
            with self._catalogue.database.reading() as connection:
                self._first_seen, self._last_seen = written_span(connection, resumed)
            return
        mark_killed(self._catalogue, self._lock)
        version = None
        if run.versions is not None:
            version = self._catalogue.version_id(run.versions, run.contents)
        self.run = self._catalogue.begin_run(
            run.command,
            run.sensor,
            version,
            lambda connection, number: note_run(connection, self._lock, number),
            is_named=run.is_named,
        )

    @property
    def stored(self) -> int:
        """Rows in files that readers can see."""
        return self._landing.stored

    def note_progress(
        self, progress: Callable[[], None], claim: Callable[[str, int], None]
    ) -> None:
        """From now on `progress` is called with each file that is written, and `claim` before files
        are registered (`netwatch.store.landing.Landing`)."""
        self._landing.progress, self._landing.claim = progress, claim

    def has_file(self, path: str) -> bool:
        """Whether readers can see the file at a path."""
        return self._catalogue.has_file(path)

    def take(self, message: object) -> None:
        """Process a message."""
        match message:
            case messages.CaptureBegun():
                self._begin_capture(message)
            case messages.Chunk():
                self._add_rows(message)
            case messages.CaptureLosses(position, losses):
                self._catalogue.store_losses(self.run, position, losses)
            case messages.OneOfNames(position, found):
                number = self._captures[position].number
                self._hours.add_one_of(0 if self._is_live else number, found)
            case messages.RunLosses(losses):
                self._catalogue.store_losses(self.run, ALL, losses)
            case messages.HourCoverage(part, first, last, line):
                self._catalogue.add_coverage(self.run, part, first, last, line)
            case messages.SensorStatus(sensor, status):
                self._catalogue.set_sensor_status(sensor, status)
            case messages.Described():
                self._describe(message)
            case messages.CaptureEnded():
                self._captures[message.position].ended = message
            case messages.Incidents(lines):
                self._catalogue.add_incidents(
                    self.run, [(json.loads(line), line) for line in lines]
                )
            case messages.CoverageRecord():
                self._coverage = message
            case messages.BypassesTold(ids):
                note_told(self._catalogue, ids)
            case messages.EvidenceFile(incident, path):
                self._catalogue.add_evidence(self.run, incident, hashed_file(path))
            case _:
                raise AssertionError(message)

    @property
    def waiting(self) -> int:
        """Rows that have not been written yet."""
        return self._landing.waiting

    def write_due(self) -> None:
        """Write tables that have enough rows for a file. The next call retries what fails."""
        before = self._landing.stored
        self._landing.write_due()
        if self._hours.is_large:
            self.flush()
        elif self._landing.stored != before:
            self._store_hours()

    def flush(self) -> None:
        """The same for all rows."""
        self._landing.flush()
        self._store_hours()

    def _store_hours(self) -> None:
        """Store the hours of rows, and up to when facts are written."""
        if not self._hours.parts:
            return
        with self._catalogue.database.writing() as connection:
            if has_run(connection, self.run):
                add_hours(connection, self.run, self._hours.parts)
                note_written(connection, self.run, self._first_seen, self._last_seen)
        self._hours.clear()

    def lose(self, kind: LossKind, count: int) -> None:
        """Note that data of the run was lost, among what was seen last."""
        losses = LossCounter()
        losses.add(kind, self._last_seen or time.time_ns(), count)
        with self._catalogue.database.writing() as connection:
            if has_run(connection, self.run):
                add_losses(connection, self.run, ALL, losses.take())

    def _lose_flows(self, positions: Sequence[int]) -> None:
        """Note the loss of the flows that a killed worker of a live capture had in memory, so that
        it has not reported the end of the capture."""
        if not self._is_live or self._last_seen is None:
            return
        losses = LossCounter()
        losses.add_killed(self._last_seen, self._last_seen)
        with self._catalogue.database.writing() as connection:
            for position in positions if has_run(connection, self.run) else ():
                add_losses(connection, self.run, position, losses.take())

    def _describe(self, message: messages.Described) -> None:
        """Describe clients by another configuration, which also judges from now on."""
        self._locate, self._seal = message.locate, message.seal
        self._hours.hides, self.known = message.hides, message.known
        self._clients.clear()
        if message.versions is not None:
            at = time.time_ns() if self._last_seen is None else self._last_seen + 1
            self._catalogue.judged_from(self.run, message.versions, message.contents, at)

    def end(self, expected: int = 0) -> messages.Ended:
        """Write what is waiting, and end the run. So many rows are `expected` from this writer on;
        rows that are missing and not counted as lost came too late, and are noted at the first
        resumed capture, if there is one."""
        self.flush()
        partial = list[str]()
        self._resume_rest()
        captures = sorted(self._captures.items())
        self._lose_flows([position for position, each in captures if each.ended is None])
        counted = sum(each.ended.lost_rows for _, each in captures if each.ended)
        missing = max(0, expected - self._landing.stored - counted)
        if missing and captures:
            resumed = (each for _, each in captures if each.is_resumed)
            next(resumed, captures[0][1]).lost_rows = missing
        with self._catalogue.database.reading() as connection:
            late = expected - self._landing.stored - lost_rows(connection, self.run)
        if late > 0:
            self.lose("late", late)
        with self._catalogue.database.reading() as connection:
            positions = lost_positions(connection, self.run)
        for position, capture in captures:
            if not self._end_capture(capture, has_losses=bool(positions & {position, ALL})):
                partial += capture.paths
        self._add_coverage()
        self._catalogue.end_run(self.run)
        with self._catalogue.database.writing() as connection:
            forget_run(connection, self.run)
        self._lock.ended_run(self.run)
        return messages.Ended(self._landing.stored, partial)

    def compact(self) -> None:
        """Compact the days that rows were written for, and remove what a killed process left."""
        compaction.compact(self._files, self._catalogue, self._landing.days)
        compaction.sweep(self._files, self._catalogue)

    def close(self) -> None:
        """Close the catalogue, without ending the run."""
        self._hashing.shutdown(wait=False, cancel_futures=True)
        if not self._is_live:
            self._lock.ended_run(self.run)
        self._lock.close()
        self._catalogue.close()

    def _add_coverage(self) -> None:
        """Store the coverage of the run, whose time spans all its captures."""
        if self._coverage is None:
            return
        ended = [capture.ended for capture in self._captures.values() if capture.ended is not None]
        first = min((each.first for each in ended if each.first is not None), default=None)
        last = max((each.last for each in ended if each.last is not None), default=None)
        self._catalogue.add_coverage(self.run, 0, first, last, self._coverage.line)

    def _begin_capture(self, message: messages.CaptureBegun) -> None:
        named = [SourceFile(path, 0, "") for path in message.paths]
        number = self._begun_before.pop(message.position, None)
        is_resumed = number is not None
        if number is None:
            number = self._catalogue.begin_capture(self.run, message.position, named)
        sources = self._hashing.submit(hashed_files, message.paths) if message.paths else None
        self._captures[message.position] = _Capture(number, message.paths, sources, is_resumed)

    def _resume_rest(self) -> None:
        """Captures that ended before the previous writer died end here, too."""
        for position, number in self._begun_before.items():
            self._captures.setdefault(position, _Capture(number, (), None, is_resumed=True))

    def _add_rows(self, chunk: messages.Chunk) -> None:
        capture = self._captures[chunk.position]
        clients = self._clients_of(chunk.clients)
        numbers = [client.number for client in clients]
        networks = [client.network for client in clients]
        hidden = set[int]()
        if chunk.table == "claim":
            hidden = {place for place, client in enumerate(clients) if client.is_sealed}
        for batch in batches_of(chunk.table, chunk.stream):
            if hidden and self._seal is not None:
                batch = sealed_claims(batch, hidden, self._seal)
            rows = numbered(batch, chunk.table, capture.number, numbers)
            self._landing.add(chunk.table, rows)
            self._count(capture.number, chunk.table, batch, networks)

    def _count(
        self,
        capture: int,
        table: str,
        rows: "pa.RecordBatch",
        networks: Sequence[NetworkClass | None],
    ) -> None:
        from pyarrow import compute

        part = 0 if self._is_live else capture
        self._hours.add(part, capture, table, rows, networks)
        if rows.num_rows:
            span = compute.min_max(rows.column(TIME_COLUMN[table])).as_py()
            self._first_seen = min(span["min"], self._first_seen or span["min"])
            self._last_seen = max(span["max"], self._last_seen or span["max"])

    def _clients_of(self, keys: Sequence[ClientKey]) -> list[_Client]:
        """The clients with these keys; those that are not known are looked up, and stored."""
        forgotten = self._catalogue.forgotten_clients()
        if forgotten != self._clients_forgotten or len(self._clients) >= LOCATED:
            self._clients.clear()
            self._clients_forgotten = forgotten
        known = self._clients
        if unknown := [key for key in keys if key not in known]:
            found = list(map(self._locate, unknown))
            numbers = self._catalogue.client_numbers(found, self._sensor)
            for key, number, each in zip(unknown, numbers, found, strict=True):
                known[key] = _Client(number, each.network_and_class, each.sealed is not None)
        return [known[key] for key in keys]

    def _end_capture(self, capture: _Capture, *, has_losses: bool) -> bool:
        """Whether all rows of a capture are stored."""
        sources = capture.sources.result() if capture.sources is not None else []
        ended = capture.ended
        lost = capture.lost_rows + (ended.lost_rows if ended is not None else 0)
        is_whole = ended is not None and ended.is_whole and not lost and not capture.is_resumed
        is_whole &= not has_losses
        self._catalogue.end_capture(
            capture.number,
            "complete" if is_whole else "partial",
            ended.first if ended is not None else self._first_seen,
            ended.last if ended is not None else self._last_seen,
            lost_rows=lost,
            sources=sources or None,
            content=content_hash(sources),
        )
        for source in sources:
            if source.sha256:
                path = source.path if is_url(source.path) else str(Path(source.path).absolute())
                self._catalogue.add_evidence(
                    self.run, None, SourceFile(path, source.size, source.sha256)
                )
        return is_whole


def hashed_file(path: str) -> SourceFile:
    """A file, local or at a URL, with its size and SHA-256; 0 and empty if it cannot be read
    again."""
    digest, size = hashlib.sha256(), 0
    try:
        stream, _ = open_file(capture_file(path))
        try:
            buffer = memoryview(bytearray(HASH_BLOCK))
            while got := stream.readinto(buffer):  # type: ignore[attr-defined]
                digest.update(buffer[:got])
                size += got
        finally:
            stream.close()
    except (OSError, NetwatchError):
        return SourceFile(path, 0, "")
    return SourceFile(path, size, digest.hexdigest())


def hashed_files(paths: Sequence[str]) -> list[SourceFile]:
    """Several files with their sizes and hashes."""
    return list(map(hashed_file, paths))


def sealed_claims(batch: "pa.RecordBatch", hidden: Collection[int], seal: Seal) -> "pa.RecordBatch":
    """Claims, sealed if they are about these clients (places in the chunk)."""
    import pyarrow as pa

    places, claims = batch.column("client").to_pylist(), batch.column("claim").to_pylist()
    column = pa.array(
        [
            seal(claim) if place in hidden else claim
            for place, claim in zip(places, claims, strict=True)
        ],
        pa.binary(),
    )
    at = batch.schema.get_field_index("claim")
    return batch.set_column(at, batch.schema.field(at), column)


def content_hash(sources: Sequence[SourceFile]) -> str:
    """The hash of a capture in these files: the file's, or a hash of all hashes; empty if a file
    cannot be read again."""
    if not sources or not all(source.sha256 for source in sources):
        return ""
    if len(sources) == 1:
        return sources[0].sha256
    return hashlib.sha256("".join(source.sha256 for source in sources).encode()).hexdigest()
