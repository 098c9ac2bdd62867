"""Worker processes that are forked from this one, with all that it has loaded, and the pipes
between.

`multiprocessing` has all of this and more, but to import it takes as long as to scan some fifty
thousand packets. Messages are pickled, one behind the other.
"""

import contextlib
import gc
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from netwatch.core.errors import NetwatchError


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Where processes are forked.

    What exists by now is not looked at by their garbage collectors, which would write to its pages
    and so copy them. An interrupt from the keyboard waits until the end: Python would lose one that
    comes amid a fork.
    """
    gc.freeze()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        gc.unfreeze()


def begin_worker() -> None:
    """The first thing that a forked process does: it leaves interrupts from the keyboard to the
    process that forked it, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def sendable(error: Exception) -> Exception:
    """An exception as it is, or what it says where it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # An exception may have anything in it, and what it says is kept.
        return NetwatchError(f"a worker process failed: {error!r}")
    return error


class Channel:
    """Both directions between two processes: one end of two pipes, by their descriptors."""

    def __init__(self, reads: int, writes: int) -> None:
        self._from: BinaryIO = os.fdopen(reads, "rb")
        self._to = writes

    def send(self, message: object) -> None:
        """Send a message. Raises `OSError` where the other process has ended."""
        self.send_packed(pickle.dumps(message))

    def send_packed(self, packed: bytes) -> None:
        """Send a message that is pickled already."""
        rest = memoryview(packed)
        while rest:
            rest = rest[os.write(self._to, rest) :]

    def receive(self) -> Any:
        """The next message, however long it takes. Raises `EOFError` where the other process has
        ended."""
        try:
            return pickle.load(self._from)
        except pickle.UnpicklingError as error:
            raise EOFError from error  # It has ended amid a message.

    @property
    def reads(self) -> int:
        """The descriptor that tells whether there is anything to receive."""
        return self._from.fileno()

    def close(self) -> None:
        """Close this end."""
        if not self._from.closed:
            self._from.close()
            os.close(self._to)


class WorkerProcess:
    """A forked process that does `work` with its channel, and ends. `others` are channels of this
    process that are not its business.

    Make it where forking is safe (`netwatch.engine.forking.forking`).
    """

    def __init__(self, work: Callable[[Channel], None], others: Iterable[Channel]) -> None:
        reads, theirs_writes = os.pipe()
        theirs_reads, writes = os.pipe()
        self._status: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            status = 1
            try:
                os.close(reads)
                os.close(writes)
                for other in others:
                    other.close()
                begin_worker()
                work(Channel(theirs_reads, theirs_writes))
                status = 0
            finally:
                # Nothing that the first process has yet to write, or to delete, concerns this one.
                os._exit(status)
        os.close(theirs_reads)
        os.close(theirs_writes)
        self.channel = Channel(reads, writes)

    def join(self) -> int:
        """Wait until the process has ended; its exit status, negative where a signal ended it."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status

    def kill(self) -> None:
        """End the process at once, unless it was waited for."""
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
