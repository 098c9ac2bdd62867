"""Starts the writer of a store, and says what became of the rows of a run."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, Self

from netwatch.capture.files import CaptureFile
from netwatch.config import Config
from netwatch.core.dataclass import dataclass
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.engine.client_description import description
from netwatch.engine.fact_sinks import QueuedSink, WriterConnection
from netwatch.engine.forking import begin_worker, forking
from netwatch.engine.record_facts import Recorder
from netwatch.store import compaction, messages, service, writer
from netwatch.store.catalogue import Catalogue, VersionHashes
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_removal import FactRemoval
from netwatch.store.options import Retention, StoreOptions
from netwatch.store.pruning import Pruning

END_TIMEOUT = 600.0
"""How long to wait for a writer that says nothing when the run has ended, in s."""

LIVE_END_TIMEOUT = 20.0
"""The same at the end of a live capture, in s."""


class _Counts(ctypes.Structure):
    """Rows of the run that are stored, and rows that the writer has lost; both processes have it in
    their memory."""

    _fields_ = (("stored", ctypes.c_longlong), ("lost", ctypes.c_longlong))


@dataclass(frozen=True, slots=True)
class Recording:
    """Where the facts of a run go: the address of the socket of its writer. It can be sent to other
    processes. Where it `is_live`, whoever records never waits for the writer."""

    address: str
    is_live: bool = False

    def recorder(
        self, position: int, files: Sequence[CaptureFile], statistics: RunStatistics
    ) -> Recorder:
        """A recorder of the capture in `files`, which is at `position` of the run."""
        sink = QueuedSink(self.address) if self.is_live else WriterConnection(self.address)
        return Recorder(sink, position, files, statistics)


WRITER_NICENESS = 10
"""By how much the priority of a live capture's writer is below that of the capture."""


class FactsProcess:
    """The writer of a store for one run, in a process of its own. It is a context: at its end the
    writer is stopped. Raises `ConfigError` and `NetwatchError` where the store cannot be opened.

    `report` takes a sentence as soon as the writer fails; `failed` is true from then on.
    """

    def __init__(
        self,
        options: StoreOptions,
        command: str,
        config: Config,
        report: Callable[[str], None],
    ) -> None:
        self._report = report
        self._place = options.path
        self._is_live = command == "live"
        self._counts: Any = RawValue(_Counts)
        self.problem = ""
        self.failed = False
        self._folder = tempfile.mkdtemp(prefix="netwatch-")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                self._start(listener, options, _description(command, config), config)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _start(
        self,
        listener: socket.socket,
        options: StoreOptions,
        run: writer.RunDescription,
        config: Config,
    ) -> None:
        address = os.path.join(self._folder, "facts")  # noqa: PTH118 - an address, not a path
        listener.bind(address)
        listener.listen(256)
        with forking() as context:
            self._control, theirs = context.Pipe()
            maintain = partial(_maintain, options) if self._is_live else None
            make = partial(writer.Writer, options, run, *description(config))
            self._process = context.Process(
                target=_write,
                args=(theirs, self._control, listener, self._counts, make, maintain),
                name="netwatch store writer",
                daemon=True,
            )
            self._process.start()
            theirs.close()
            del theirs
        answer = self._receive()
        if isinstance(answer, messages.Failed):
            self._stop()
            raise answer.error
        if answer is None:
            self._stop()
            raise NetwatchError(f"the writer of the store {self._place} died unexpectedly")
        self.recording = Recording(address, self._is_live)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def stored(self) -> int:
        """Rows in files that readers see."""
        return int(self._counts.stored)

    @property
    def lost(self) -> int:
        """Rows that the writer could not keep."""
        return int(self._counts.lost)

    def poll(self) -> None:
        """Notice what the writer has said."""
        while not self.failed and self._control.poll():
            self._take(self._receive())

    def send(self, message: object) -> None:
        """Send a message of the run."""
        self.poll()
        if self.failed:
            return
        try:
            self._control.send(message)
        except OSError:
            self._take(self._receive())

    def end(self, recorded: int) -> messages.Ended | None:
        """End the run, of which so many rows were recorded; None where the writer has failed, which
        was reported."""
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

    def end_live(self) -> None:
        """End the run; what the writer says then is reported."""
        self.send(messages.End())
        while not self.failed:
            answer = self._receive()
            if isinstance(answer, messages.Ended):
                return
            self._take(answer)

    def kill(self) -> None:
        """End the writer at once."""
        self._process.kill()

    def _receive(self) -> object:
        """The next message of the writer; None where it has died."""
        try:
            return self._control.recv()
        except (EOFError, OSError):
            return None

    def _take(self, answer: object) -> None:
        if isinstance(answer, messages.Trouble):
            self.problem = answer.problem
            now = f"cannot be written to: {self.problem}" if self.problem else "is written to again"
            self._report(f"the store {now}")
            return
        self.failed = True
        if isinstance(answer, messages.Failed):
            self.problem = str(answer.error)
            self._report(f"the store cannot be written to: {answer.error}")
            return
        self._process.join(1)
        self.problem = (
            f"the writer of the store {self._place} died unexpectedly"
            f" (exit status {self._process.exitcode})"
        )
        self._report(self.problem)

    def _stop(self) -> None:
        self._control.close()
        # It writes what it has got, and ends by itself.
        self._process.join(LIVE_END_TIMEOUT if self._is_live else END_TIMEOUT)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        shutil.rmtree(self._folder, ignore_errors=True)


def _write(
    control: Connection,
    other: Connection,
    listener: socket.socket,
    counts: service.Counts,
    make_writer: Callable[[], writer.Writer],
    maintain: service.Maintain | None,
) -> None:
    begin_worker()
    if maintain is not None:
        # Where a live capture and its store need the same core, the capture comes first.
        os.nice(WRITER_NICENESS)
    # A service manager sends these to all processes. The one that started this ends it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    other.close()
    # The other process may be gone by the end of this one.
    folder = Path(listener.getsockname()).parent
    try:
        with contextlib.suppress(BrokenPipeError):
            service.serve(control, listener, counts, make_writer, maintain)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _maintain(options: StoreOptions) -> None:
    """Compact and prune a store, and sweep what killed processes left."""
    files = FactFiles(options.path)
    with Catalogue.open(options) as catalogue:
        compaction.compact(files, catalogue)
        compaction.sweep(files, catalogue)
        if options.retention != Retention():
            pruning = Pruning(FactRemoval(catalogue, files), options.retention, time.time())
            pruning.prune("live")


def _description(command: str, config: Config) -> writer.RunDescription:
    sensor = config.sensor
    versions = None
    if command != "names":
        versions = VersionHashes(sensor.version, sensor.signatures, sensor.bans, sensor.policy)
    return writer.RunDescription(command, sensor.name, versions)
