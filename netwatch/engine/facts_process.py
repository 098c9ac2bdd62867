"""The process of a store's writer: started for captures that end, with the counts of a run's rows,
and kept by a host for a live capture (`netwatch.engine.live_facts`).

By the time a writer dies, the capturing process has threads, and a process with threads cannot be
forked safely. So a host without threads is forked at the start. It keeps the socket that facts are
sent to, so that senders find the next writer at the same address.

A store describes clients by their address and MAC, or sealed, under a pseudonym. Alerts call a
device by a pseudonym if its class says so: the class in the inventory, otherwise its network's
(`netwatch.privacy.Privacy.device`). The same class decides here, but a client of the store has no
time. It is sealed if it may ever be a device of such a class: data sealed in vain can be read with
the key, data stored in clear cannot be taken back.
"""

import contextlib
import ctypes
import importlib
import ipaddress
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, Self

from netwatch.capture.files import CaptureFile
from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import PrivateFolder
from netwatch.core.statistics import RunStatistics
from netwatch.core.system.kernel import yield_to_others
from netwatch.core.system.workers import ENDINGS, DiedError, WorkerProcess
from netwatch.engine.fact_sinks import FactSink, QueuedSink, WriterConnection
from netwatch.engine.judge import HidingApps
from netwatch.engine.record_facts import EventRecorder, Recorder
from netwatch.inventory.devices import possible_classes
from netwatch.rules.bans import ban_contents
from netwatch.store import messages, service, writer
from netwatch.store.messages import ClientKey, Described, Known
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress, VersionHashes
from netwatch.store.writer import RunDescription, Writer

WRITER = "netwatch store writer"
"""The name of the process."""

NICENESS = 10
"""The niceness of the writer, at least: if a capture needs the same core, it comes first."""

END_TIMEOUT = 600.0
"""How long to wait for a silent writer when the run has ended, in s."""


class _Counts(ctypes.Structure):
    """The counts of `netwatch.store.service.Counts`, in memory shared by all processes of a run."""

    _fields_ = (
        ("claim", ctypes.c_char * 1024),
        *(
            (name, ctypes.c_longlong)
            for name in (
                "stored", "claimed", "lost", "received", "decided", "decisions_lost", "steps",
            )
        ),
    )  # fmt: skip


def new_counts() -> Any:
    """Counts that are shared with the processes that are forked from now on."""
    return RawValue(_Counts)


def load_arrow() -> None:
    """Load Arrow in this process, before others are forked that need it, too. It allocates memory
    like all else, unless the user has chosen otherwise: its own allocator keeps most of what is
    freed, takes huge pages, which the system clears, and has a thread, which forking would lose."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    for name in ("pyarrow.compute", "pyarrow.parquet"):
        importlib.import_module(name)


def run_description(command: str, config: Config) -> RunDescription:
    """The run of a command by a configuration."""
    sensor = config.sensor
    if command == "names":
        return RunDescription(command, sensor.name, None, is_named=sensor.is_named)
    versions = VersionHashes(sensor.version, sensor.signatures, sensor.bans, sensor.policy)
    contents = ban_contents(config.policy.bans, config.catalog)
    return RunDescription(command, sensor.name, versions, contents, sensor.is_named)


def listen(listener: socket.socket, folder: Path) -> str:
    """Have a writer's socket listen in a folder of its own; returns its address."""
    address = str(folder / "facts")
    listener.bind(address)
    listener.listen(256)
    return address


def no_socket(error: OSError) -> NetwatchError:
    """What to raise if there is no place for the socket's folder."""
    return NetwatchError(
        f"{error.filename}: {error.strerror}; the variable TMPDIR names the folder for temporary"
        " files"
    )


@contextlib.contextmanager
def closing_folder(listener: socket.socket) -> Iterator[None]:
    """Remove the socket's folder at the end. It is not an error if nobody reads the answers any
    more: the other process has died, and everything that it had sent was taken."""
    folder = Path(listener.getsockname()).parent
    try:
        with contextlib.suppress(BrokenPipeError):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def died(place: str, status: int | None) -> str:
    """The message about a writer that has died."""
    return f"the writer of the store {place} died unexpectedly (exit status {status})"


@dataclass(frozen=True, slots=True)
class Start:
    """Fork a writer. It continues `run` (None: it begins one), and describes clients by
    `described`."""

    run: int | None
    described: Described


@dataclass(frozen=True, slots=True)
class Exited:
    """The writer has ended, with an exit status, negative if a signal ended it."""

    status: int | None


MakeWriter = Callable[[Start], Writer]


class WriterHost:
    """Starts the host; no thread may run yet. One writer runs at a time. Processes that are forked
    from now on may send facts until they end, whatever happens to this one."""

    def __init__(
        self,
        listener: socket.socket,
        counts: service.Counts,
        make_writer: MakeWriter,
        maintain: service.Maintain,
    ) -> None:
        # The workers have this end, too: it is closed when nobody can send facts any more.
        senders, self._senders = Pipe(duplex=False)
        work = partial(_host, self._senders, listener, counts, make_writer, maintain, senders)
        self._process = WorkerProcess(
            work, name="netwatch store writer host", is_forked=True, ignored=ENDINGS, daemon=False
        )
        senders.close()

    def start(self, request: Start) -> Connection:
        """Fork a writer; returns the pipe to it. Raises `OSError` and `EOFError` if the host is
        gone."""
        self._process.send(request)
        return Connection(recv_handle(self._process.connection))

    def exited(self, timeout: float) -> Exited | None:
        """How the writer ended; None if it still runs after `timeout` seconds. Raises `EOFError` or
        `OSError` if the host is gone."""
        if not self._process.connection.poll(timeout):
            return None
        answer: Exited = self._process.connection.recv()
        return answer

    def kill(self) -> None:
        """Kill the writer. Raises `OSError` if the host is gone."""
        self._process.send(None)

    def stop(self, timeout: float) -> None:
        """End the host, once the writer has ended by itself, or after a time (s)."""
        self._senders.close()
        self._process.end(timeout)


def _host(
    others: Connection,
    listener: socket.socket,
    counts: service.Counts,
    make_writer: MakeWriter,
    maintain: service.Maintain,
    senders: Connection,
    pipe: Connection,
) -> None:
    """Fork writers until the pipe is closed, and the last one has ended."""
    yield_to_others(max(0, NICENESS - os.getpriority(os.PRIO_PROCESS, 0)))
    others.close()
    writer = None
    with closing_folder(listener):
        while True:
            try:
                request = pipe.recv()
                if request is None:
                    continue  # It was to kill a writer that had already ended.
                work = partial(_serve, listener, counts, make_writer, request, maintain, senders)
                writer = WorkerProcess(work, name=WRITER, is_forked=True, ignored=ENDINGS)
                with contextlib.closing(writer.connection):
                    send_handle(pipe, writer.connection.fileno(), os.getppid())
                while writer.sentinel not in wait([writer.sentinel, pipe]):
                    pipe.recv()
                    writer.kill()
                pipe.send(Exited(writer.join()))
            except (EOFError, OSError):
                # The capturing process is gone, which the writer notices, too.
                break
        if writer is not None:
            writer.join()


def _serve(
    listener: socket.socket,
    counts: service.Counts,
    make_writer: MakeWriter,
    request: Start,
    maintain: service.Maintain,
    senders: Connection,
    control: Connection,
) -> None:
    service.serve(control, listener, counts, partial(make_writer, request), maintain, senders)


def description(config: Config) -> tuple[writer.Locate, writer.Seal | None, HidingApps]:
    """How a configuration describes clients and seals claims about them, and which apps hide
    names."""
    privacy = config.privacy
    seal = privacy.sealing.seal_claim if privacy is not None else None
    return partial(_locate, config), seal, HidingApps(config)


def described(config: Config, command: str) -> Described:
    """The same as a message to the writer of a store, with what it needs to judge."""
    run, known = run_description(command, config), known_addresses(config)
    return Described(*description(config), run.versions, run.contents, known)


def known_addresses(config: Config) -> Known:
    """What a configuration says of addresses."""
    ranges = [each for scope in config.networks.scopes for each in scope.ranges]
    return Known(ranges, config.devices.entries)


def _locate(config: Config, key: ClientKey) -> ClientAddress:
    """A client with its network; sealed if it may have a pseudonym."""
    found = writer.located(key)
    network = config.networks.find(key.ip, key.vlan) if key.ip else None
    name, kind = (network.name, network.device_class) if network is not None else (None, None)
    privacy = config.privacy
    if privacy is None:
        return ClientAddress(found.ip, found.mac, name, kind)
    possible = possible_classes(config.devices, key.ip, key.mac, network)
    is_anybody = network is None and not possible.is_always_listed and _may_be_anybody(key.ip)
    if not is_anybody and not any(map(privacy.covers, possible.classes)):
        return ClientAddress(found.ip, found.mac, name, kind)
    sealed = privacy.sealing.seal_client(name or "", found.ip or "", found.mac)
    return ClientAddress(None, None, name, kind, sealed.pseudonym, sealed.sealed)


def _may_be_anybody(ip: bytes) -> bool:
    """Whether an address does not tell the network: devices of all classes have one until they get
    another (``0.0.0.0``, ``::``), or besides it (``fe80::/10``, ``169.254.0.0/16``)."""
    if not ip:
        return True
    address = ipaddress.ip_address(ip)
    return address.is_unspecified or address.is_link_local


@dataclass(frozen=True, slots=True)
class Recording:
    """Where the facts of a run go: the address of its writer's socket. It can be sent to other
    processes. If it `is_live`, the recorder never waits for the writer."""

    address: str
    is_live: bool = False

    def event_recorder(
        self, position: int, files: Sequence[CaptureFile], statistics: RunStatistics
    ) -> EventRecorder:
        """A recorder of the log in `files`, which is at `position` of the run."""
        return EventRecorder(self._sink(), position, files, statistics)

    def recorder(
        self, position: int, files: Sequence[CaptureFile], statistics: RunStatistics
    ) -> Recorder:
        """A recorder of the capture in `files`, which is at `position` of the run."""
        return Recorder(self._sink(), position, files, statistics)

    def _sink(self) -> FactSink:
        return QueuedSink(self.address) if self.is_live else WriterConnection(self.address)


class FactsProcess:
    """The writer of a store for one run, in a process of its own. A context manager, which stops
    the writer. Raises `ConfigError` and `NetwatchError` if the store cannot be opened.

    `report` takes a sentence as soon as the writer fails; `failed` is true from then on.
    """

    def __init__(
        self,
        options: StoreOptions,
        command: str,
        config: Config,
        report: Callable[[str], None],
    ) -> None:
        load_arrow()
        self._report = report
        self._place = options.shown
        self._counts = new_counts()
        self.failed = False
        try:
            self._folder = PrivateFolder(is_short=True)
        except OSError as error:
            raise no_socket(error) from None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                run = run_description(command, config)
                self._start(listener, partial(writer.Writer, options, run, *description(config)))
        except BaseException:
            self._folder.remove()
            raise

    def _start(self, listener: socket.socket, make_writer: Callable[[], writer.Writer]) -> None:
        address = listen(listener, self._folder.path)
        work = partial(_write, listener, self._counts, make_writer)
        self._process = WorkerProcess(work, name=WRITER, ignored=ENDINGS)
        answer = self._receive()
        if isinstance(answer, messages.Failed):
            self._stop()
            raise answer.error
        if answer is None:
            self._stop()
            raise NetwatchError(f"the writer of the store {self._place} died unexpectedly")
        self.recording = Recording(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def stored(self) -> int:
        """Rows in files that readers can see."""
        return int(self._counts.stored)

    def poll(self) -> None:
        """Process the writer's messages."""
        while not self.failed and self._process.connection.poll():
            self._take(self._receive())

    def send(self, message: object) -> None:
        """Send a message of the run."""
        self.poll()
        if self.failed:
            return
        try:
            self._process.send(message)
        except OSError:
            self._take(self._receive())

    def end(self, recorded: int) -> messages.Ended | None:
        """End the run, with so many recorded rows; None if the writer has failed, which was
        reported."""
        self.send(messages.End())
        while not self.failed:
            answer = self._receive()
            if isinstance(answer, messages.Ended):
                after = self._receive()
                if isinstance(after, messages.Failed):
                    self._report(f"the store could not be compacted: {after.error}")
                self._process.join()
                return answer
            self._take(answer)
        lost = recorded - self.stored
        self._report(
            f"the store {self._place}: {lost} of {recorded} rows of this run were lost,"
            " and its captures are not complete there"
        )
        return None

    def _receive(self) -> object:
        """The next message of the writer; None if it has died."""
        try:
            return self._process.receive()
        except DiedError:
            return None

    def _take(self, answer: object) -> None:
        self.failed = True
        if isinstance(answer, messages.Failed):
            self._report(f"the store cannot be written to: {answer.error}")
            return
        self._report(died(self._place, self._process.status))

    def _stop(self) -> None:
        # It writes what it has received, and then ends.
        self._process.end(END_TIMEOUT)
        self._folder.remove()


def _write(
    listener: socket.socket,
    counts: service.Counts,
    make_writer: Callable[[], writer.Writer],
    control: Connection,
) -> None:
    # The other process may be gone by the end of this one.
    with closing_folder(listener):
        service.serve(control, listener, counts, make_writer)
