"""The process of a store's writer: what it has in common with whoever starts it, and the host of a
live capture's, which forks it anew.

The process that captures has threads by the time a writer dies, and a process with threads cannot
be forked safely. So a host without any is forked at the start. It keeps the socket that facts are
sent to, so that whoever sends them finds the next writer at the same address.
"""

import contextlib
import ctypes
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.core.system.kernel import yield_to_others
from netwatch.core.system.workers import ENDINGS, WorkerProcess
from netwatch.rules.bans import ban_contents
from netwatch.store import service
from netwatch.store.messages import Described
from netwatch.store.run_rows import VersionHashes
from netwatch.store.writer import RunDescription, Writer

WRITER = "netwatch store writer"
"""The name of the process."""

NICENESS = 10
"""The niceness of the writer, at least: where a capture needs the same core, it comes first."""


class _Counts(ctypes.Structure):
    """What `netwatch.store.service.Counts` says; all processes of a run have it in memory."""

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


def run_description(command: str, config: Config) -> RunDescription:
    """The run of a command by a configuration."""
    sensor = config.sensor
    if command == "names":
        return RunDescription(command, sensor.name, None, is_named=sensor.is_named)
    versions = VersionHashes(sensor.version, sensor.signatures, sensor.bans, sensor.policy)
    contents = ban_contents(config.policy.bans, config.catalog)
    return RunDescription(command, sensor.name, versions, contents, sensor.is_named)


def listen(listener: socket.socket, folder: Path) -> str:
    """Have the socket of a writer listen in a folder of its own; its address."""
    address = str(folder / "facts")
    listener.bind(address)
    listener.listen(256)
    return address


def no_socket(error: OSError) -> NetwatchError:
    """What to raise where there is no place for the folder of the socket."""
    return NetwatchError(
        f"{error.filename}: {error.strerror}; the variable TMPDIR names the folder for temporary"
        " files"
    )


@contextlib.contextmanager
def closing_folder(listener: socket.socket) -> Iterator[None]:
    """Remove the folder of the socket at the end. That nobody reads what is answered any more is
    no error: the other process has died, and all that it had sent was taken."""
    folder = Path(listener.getsockname()).parent
    try:
        with contextlib.suppress(BrokenPipeError):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def died(place: str, status: int | None) -> str:
    """The sentence on a writer that has died."""
    return f"the writer of the store {place} died unexpectedly (exit status {status})"


@dataclass(frozen=True, slots=True)
class Start:
    """Fork a writer. It goes on with `run` (None: it begins one), and describes clients by
    `described`."""

    run: int | None
    described: Described


@dataclass(frozen=True, slots=True)
class Exited:
    """The writer has ended, with an exit status, negative where a signal ended it."""

    status: int | None


MakeWriter = Callable[[Start], Writer]


class WriterHost:
    """Starts the host; no thread may run yet. One writer runs at a time. Processes that are forked
    from now on may send facts until they end, whatever becomes of this one."""

    def __init__(
        self,
        listener: socket.socket,
        counts: service.Counts,
        make_writer: MakeWriter,
        maintain: service.Maintain,
    ) -> None:
        # The workers have this end, too: it is closed when nobody may send facts any more.
        senders, self._senders = Pipe(duplex=False)
        work = partial(_host, self._senders, listener, counts, make_writer, maintain, senders)
        self._process = WorkerProcess(
            work, name="netwatch store writer host", is_forked=True, ignored=ENDINGS, daemon=False
        )
        senders.close()

    def start(self, request: Start) -> Connection:
        """Fork a writer; the pipe to it. Raises `OSError` and `EOFError` where the host is gone."""
        self._process.send(request)
        return Connection(recv_handle(self._process.connection))

    def exited(self, timeout: float) -> Exited | None:
        """How the writer ended; None where it still runs after `timeout` seconds. Raises `EOFError`
        or `OSError` where the host is gone."""
        if not self._process.connection.poll(timeout):
            return None
        answer: Exited = self._process.connection.recv()
        return answer

    def kill(self) -> None:
        """End the writer at once. Raises `OSError` where the host is gone."""
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
                    continue  # It was to end a writer that had ended by itself.
                work = partial(_write, listener, counts, make_writer, request, maintain, senders)
                writer = WorkerProcess(work, name=WRITER, is_forked=True, ignored=ENDINGS)
                with contextlib.closing(writer.connection):
                    send_handle(pipe, writer.connection.fileno(), os.getppid())
                while writer.sentinel not in wait([writer.sentinel, pipe]):
                    pipe.recv()
                    writer.kill()
                pipe.send(Exited(writer.join()))
            except (EOFError, OSError):
                # The process that captures is gone, which the writer notices, too.
                break
        if writer is not None:
            writer.join()


def _write(
    listener: socket.socket,
    counts: service.Counts,
    make_writer: MakeWriter,
    request: Start,
    maintain: service.Maintain,
    senders: Connection,
    control: Connection,
) -> None:
    service.serve(control, listener, counts, partial(make_writer, request), maintain, senders)
