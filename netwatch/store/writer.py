"""The writer of a store: a process of its own that takes rows from those that read captures.

Sockets bound what is under way: whoever reads a capture waits where the writer is behind, and
nothing is lost. The writer alone has the catalogue open. It numbers captures and clients, puts rows
into landing files, and hashes the files that captures were read from. What it cannot write it says
at once, and ends.

A row counts as stored when its file is in the catalogue. Where the process that reads a capture
dies, the capture is `partial`; where the writer dies, captures stay `open`, and the other side
knows how many rows were stored.
"""

import contextlib
import hashlib
import json
import pickle
import socket
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.dataclass import dataclass
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.store import compaction, messages
from netwatch.store.catalogue import Catalogue, ClientAddress, SourceFile, VersionHashes
from netwatch.store.fact_files import FactFiles
from netwatch.store.landing import Landing, numbered
from netwatch.store.observation_rows import ClientKey
from netwatch.store.options import StoreOptions

if TYPE_CHECKING:
    import pyarrow as pa

HASH_BLOCK = 1 << 20
"""Bytes that are hashed at a time."""

LOCATED = 262_144
"""Clients whose description is remembered."""

Locate = Callable[[ClientKey], ClientAddress]
"""Describes a client for the catalogue: its addresses, or a pseudonym."""

Seal = Callable[[bytes], bytes]
"""Encrypts the JSON of a claim about a client that has a pseudonym."""


@dataclass(frozen=True, slots=True)
class RunDescription:
    """The run whose rows are stored; `versions` is None where nothing is judged."""

    command: str
    sensor: str
    versions: VersionHashes | None


@dataclass(slots=True)
class _Capture:
    """A capture that is being stored."""

    number: int
    paths: Sequence[str]
    sources: "Future[list[SourceFile]] | None"
    ended: messages.CaptureEnded | None = None
    rows: int = 0


def located(key: ClientKey) -> ClientAddress:
    """A client by its addresses, of no network. One that has no IP address yet has an empty one."""
    mac = mac_text(key.mac) if key.mac is not None else None
    return ClientAddress(ip_text(key.ip) if key.ip else "", mac)


class Writer:
    """Writes one run to a store. Raises `ConfigError` and `NetwatchError` where that cannot be
    opened; every method raises `NetwatchError` where it cannot be written to."""

    def __init__(
        self,
        options: StoreOptions,
        run: RunDescription,
        locate: Locate,
        seal: Seal | None = None,
    ) -> None:
        self._catalogue = Catalogue.open(options, create=True)
        self._files = FactFiles(options.path)
        self._landing = Landing(self._files, self._catalogue)
        self._locate = locate
        self._seal = seal
        self._located: dict[ClientKey, ClientAddress] = {}
        self._hashing = ThreadPoolExecutor(1)
        self._captures: dict[int, _Capture] = {}
        self._coverage: messages.CoverageRecord | None = None
        version = self._catalogue.version_id(run.versions) if run.versions else None
        self._run = self._catalogue.begin_run(run.command, run.sensor, version)

    @property
    def stored(self) -> int:
        """Rows in files that readers see."""
        return self._landing.stored

    def take(self, message: object) -> None:
        """Do what a message asks for."""
        match message:
            case messages.CaptureBegun():
                self._begin_capture(message)
            case messages.Chunk():
                self._add_rows(message)
            case messages.CaptureEnded():
                self._captures[message.position].ended = message
            case messages.Incidents(lines):
                self._catalogue.add_incidents(
                    self._run, [(json.loads(line), line) for line in lines]
                )
            case messages.CoverageRecord():
                self._coverage = message
            case messages.EvidenceFile(incident, path):
                self._catalogue.add_evidence(self._run, incident, hashed_file(path))
            case messages.Flush():
                self._landing.flush()
            case _:
                raise AssertionError(message)

    def end(self) -> messages.Ended:
        """Write what is waiting, and end the run."""
        self._landing.flush()
        partial = list[str]()
        for _, capture in sorted(self._captures.items()):
            if not self._end_capture(capture):
                partial += capture.paths
        self._add_coverage()
        self._catalogue.end_run(self._run)
        return messages.Ended(self._landing.stored, partial)

    def compact(self) -> None:
        """Compact the days that rows were written for, and sweep what a killed process left."""
        compaction.compact(self._files, self._catalogue, self._landing.days)
        compaction.sweep(self._files, self._catalogue)

    def close(self) -> None:
        """Close the catalogue, without ending the run."""
        self._hashing.shutdown(wait=False, cancel_futures=True)
        self._catalogue.close()

    def _add_coverage(self) -> None:
        """Store the coverage of the run, whose time is that of all its captures."""
        if self._coverage is None:
            return
        ended = [each.ended for each in self._captures.values() if each.ended is not None]
        first = min((each.first for each in ended if each.first is not None), default=None)
        last = max((each.last for each in ended if each.last is not None), default=None)
        self._catalogue.add_coverage(self._run, 0, first, last, self._coverage.line)

    def _begin_capture(self, message: messages.CaptureBegun) -> None:
        named = [SourceFile(path, 0, "") for path in message.paths]
        number = self._catalogue.begin_capture(self._run, message.position, named)
        sources = self._hashing.submit(hashed_files, message.paths) if message.paths else None
        self._captures[message.position] = _Capture(number, message.paths, sources)

    def _add_rows(self, chunk: messages.Chunk) -> None:
        import pyarrow as pa

        capture = self._captures[chunk.position]
        clients = list(map(self._described, chunk.clients))
        numbers = self._catalogue.client_numbers(clients)
        hidden = {place for place, client in enumerate(clients) if client.sealed is not None}
        with pa.ipc.open_stream(chunk.stream) as reader:
            for batch in reader:
                if hidden and chunk.table == "claim" and self._seal is not None:
                    batch = _sealed(batch, hidden, self._seal)
                rows = numbered(batch, chunk.table, capture.number, numbers)
                self._landing.add(chunk.table, rows)
        capture.rows += chunk.rows

    def _described(self, key: ClientKey) -> ClientAddress:
        found = self._located.get(key)
        if found is None:
            if len(self._located) >= LOCATED:
                self._located.clear()
                self._catalogue.forget_clients()
            found = self._located[key] = self._locate(key)
        return found

    def _end_capture(self, capture: _Capture) -> bool:
        """Whether all rows of a capture are stored."""
        sources = capture.sources.result() if capture.sources is not None else []
        ended = capture.ended
        is_whole = ended is not None and ended.is_whole and not ended.lost_rows
        self._catalogue.end_capture(
            capture.number,
            "complete" if is_whole else "partial",
            ended.first if ended is not None else None,
            ended.last if ended is not None else None,
            lost_rows=ended.lost_rows if ended is not None else 0,
            sources=sources or None,
            content=content_hash(sources),
        )
        for source in sources:
            if source.sha256:
                path = str(Path(source.path).absolute())
                self._catalogue.add_evidence(
                    self._run, None, SourceFile(path, source.size, source.sha256)
                )
        return is_whole


def hashed_file(path: str) -> SourceFile:
    """A file with its size and SHA-256; 0 and empty where it cannot be read again."""
    try:
        with Path(path).open("rb") as stream:
            digest, size = hashlib.sha256(), 0
            while block := stream.read(HASH_BLOCK):
                digest.update(block)
                size += len(block)
    except (OSError, ValueError):
        return SourceFile(path, 0, "")
    return SourceFile(path, size, digest.hexdigest())


def hashed_files(paths: Sequence[str]) -> list[SourceFile]:
    """Several files with their sizes and hashes."""
    return list(map(hashed_file, paths))


def _sealed(batch: "pa.RecordBatch", hidden: Collection[int], seal: Seal) -> "pa.RecordBatch":
    """Claims of which those about these clients (places in the chunk) are sealed."""
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
    """The hash of a capture in these files: that of the file, or one of all hashes; empty where a
    file cannot be read again."""
    if not sources or not all(source.sha256 for source in sources):
        return ""
    if len(sources) == 1:
        return sources[0].sha256
    return hashlib.sha256("".join(source.sha256 for source in sources).encode()).hexdigest()


def serve(
    control: Connection,
    listener: socket.socket,
    options: StoreOptions,
    run: RunDescription,
    locate: Locate = located,
    seal: Seal | None = None,
) -> None:
    """The life of the writer process: it opens the store, takes messages until the run ends or
    the process that started it does, and answers over `control`."""
    try:
        writer = Writer(options, run, locate, seal)
    except (ConfigError, NetwatchError) as error:
        control.send(messages.Failed(error))
        return
    with contextlib.closing(writer):
        control.send(messages.Opened())
        try:
            _Service(control, listener, writer).run()
        except NetwatchError as error:
            with contextlib.suppress(OSError):
                control.send(messages.Failed(error))


@dataclass(slots=True)
class _Service:
    """Takes the messages of all connections in turn."""

    control: Connection
    listener: socket.socket
    writer: Writer
    readers: list[Connection] = field(default_factory=list)
    is_ending: bool = False
    is_abandoned: bool = False
    reported: int = 0

    def run(self) -> None:
        """Until the run has ended."""
        while True:
            # Those that read captures have all connected before the end is asked for. Where the
            # process that started this one is gone, nobody is waited for.
            is_last = self.is_ending and (self.is_abandoned or not self.readers)
            sources: list[Any] = [self.listener, *self.readers]
            if not self.is_ending:
                sources.append(self.control)
            ready = wait(sources, 0.0 if is_last else None)
            if is_last and not ready:
                break
            each: Any
            for each in ready:
                if each is self.listener:
                    accepted, _ = self.listener.accept()
                    self.readers.append(Connection(accepted.detach()))
                elif each is self.control:
                    self._receive_control()
                else:
                    self._receive(each)
        ended = self.writer.end()
        with contextlib.suppress(OSError):
            self.control.send(ended)
        self.writer.compact()

    def _receive_control(self) -> None:
        try:
            message: Any = self.control.recv()
        except (EOFError, OSError):
            # The process that started this one has died: what it had sent is stored.
            self.is_ending = self.is_abandoned = True
            return
        if isinstance(message, messages.End):
            self.is_ending = True
        else:
            self.writer.take(message)

    def _receive(self, reader: Connection) -> None:
        try:
            message = reader.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self.readers.remove(reader)
            reader.close()
            return
        self.writer.take(message)
        if self.writer.stored != self.reported:
            self.reported = self.writer.stored
            with contextlib.suppress(OSError):
                self.control.send(messages.Stored(self.reported))
