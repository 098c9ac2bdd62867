"""Worker processes that are forked from this one, with all that it has loaded."""

import contextlib
import gc
import pickle
import signal
from collections.abc import Iterator

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
