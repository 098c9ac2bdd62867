"""The host of a live capture's writer: a process that forks it, and forks it anew.

The process that captures has threads by the time a writer dies, and a process with threads cannot
be forked safely. So a host without any is forked at the start. It keeps the socket that facts are
sent to, so that whoever sends them finds the next writer at the same address.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle

from netwatch.core.system.processes import yield_to_others
from netwatch.engine.forking import forking
from netwatch.engine.writer_process import WRITER, begin_writer, closing_folder
from netwatch.store import service
from netwatch.store.messages import Described
from netwatch.store.writer import Writer

NICENESS = 10
"""The niceness of the writer, at least: where a capture needs the same core, it comes first."""


@dataclass(frozen=True, slots=True)
class Start:
    """Fork a writer; the handle of its pipe follows. It goes on with `run` (None: it begins one),
    and describes clients by `described`."""

    run: int | None
    described: Described


@dataclass(frozen=True, slots=True)
class Exited:
    """The writer has ended, with an exit status as `multiprocessing` has it."""

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
        context = multiprocessing.get_context("fork")
        with forking():
            self._pipe, theirs = context.Pipe()
            # The workers have this end, too: it is closed when nobody may send facts any more.
            senders, self._senders = context.Pipe(duplex=False)
            ours = (self._pipe, self._senders)
            self._process = context.Process(
                target=_host,
                args=(theirs, ours, listener, counts, make_writer, maintain, senders),
                name="netwatch store writer host",
            )
            self._process.start()
            theirs.close()
            senders.close()

    def start(self, request: Start, theirs: Connection) -> None:
        """Fork a writer that has the end `theirs` of a pipe, which is closed here. Raises `OSError`
        where the host is gone."""
        try:
            self._pipe.send(request)
            send_handle(self._pipe, theirs.fileno(), self._process.pid)
        finally:
            theirs.close()

    def exited(self, timeout: float) -> Exited | None:
        """How the writer ended; None where it still runs after `timeout` seconds. Raises `EOFError`
        or `OSError` where the host is gone."""
        if not self._pipe.poll(timeout):
            return None
        answer: Exited = self._pipe.recv()
        return answer

    def kill(self) -> None:
        """End the writer at once. Raises `OSError` where the host is gone."""
        self._pipe.send(None)

    def stop(self, timeout: float) -> None:
        """End the host, once the writer has ended by itself, or after a time (s)."""
        self._senders.close()
        self._pipe.close()
        self._process.join(timeout)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _host(
    pipe: Connection,
    others: Iterable[Connection],
    listener: socket.socket,
    counts: service.Counts,
    make_writer: MakeWriter,
    maintain: service.Maintain,
    senders: Connection,
) -> None:
    """Fork writers until the pipe is closed, and the last one has ended."""
    begin_writer()
    yield_to_others(max(0, NICENESS - os.getpriority(os.PRIO_PROCESS, 0)))
    for other in others:
        other.close()
    with closing_folder(listener):
        while True:
            try:
                request = pipe.recv()
                if request is None:
                    continue  # It was to end a writer that had ended by itself.
                control = Connection(recv_handle(pipe))
            except (EOFError, OSError):
                return
            context = multiprocessing.get_context("fork")
            with forking():
                make = partial(make_writer, request)
                args = (control, pipe, listener, counts, make, maintain, senders)
                writer = context.Process(target=_write, args=args, name=WRITER)
                writer.start()
            control.close()
            while writer.sentinel not in wait([writer.sentinel, pipe]):
                try:
                    pipe.recv()
                except (EOFError, OSError):
                    # The process that captures is gone, which the writer notices, too.
                    writer.join()
                    return
                writer.kill()
            writer.join()
            pipe.send(Exited(writer.exitcode))


def _write(
    control: Connection,
    host: Connection,
    listener: socket.socket,
    counts: service.Counts,
    make_writer: Callable[[], Writer],
    maintain: service.Maintain,
    senders: Connection,
) -> None:
    host.close()
    service.serve(control, listener, counts, make_writer, maintain, senders)
