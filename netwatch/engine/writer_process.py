"""What the process of a store's writer, and whoever starts it, have in common."""

import contextlib
import ctypes
import shutil
import signal
import socket
from collections.abc import Iterator
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.engine.forking import begin_worker
from netwatch.rules.ban_contents import ban_contents
from netwatch.store.run_rows import VersionHashes
from netwatch.store.writer import RunDescription

WRITER = "netwatch store writer"
"""The name of the process."""


class _Counts(ctypes.Structure):
    """What `netwatch.store.service.Counts` says; all processes of a run have it in memory."""

    _fields_ = tuple(
        (name, ctypes.c_longlong)
        for name in ("stored", "lost", "received", "decided", "decisions_lost", "steps")
    )


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


def begin_writer() -> None:
    """The first thing that the process does. A service manager sends signals to all processes, and
    the one that started this one ends it."""
    begin_worker()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


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
