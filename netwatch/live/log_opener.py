"""Gives a worker the logs that it reads: paths to follow, and sockets that are open already.

Sockets are opened by the first process, while it may have the privileges to do so. Files are opened
by the worker: a rotation makes new ones at any time, so the user who reads them has to be allowed
to in any case.

The formats of logs are imported only where logs are read.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.core.errors import CaptureError, NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.logs.options import LogOptions

if TYPE_CHECKING:
    from netwatch.logs.live.feed import LogFeed
    from netwatch.logs.receiving.receivers import Receivers


@dataclass(frozen=True, slots=True)
class LogOpener:
    """The logs at `paths`, and the sockets of `receivers`."""

    paths: tuple[str, ...]
    receivers: "Receivers"
    options: LogOptions

    def open(self, saved: Mapping[str, str], statistics: RunStatistics) -> "LogFeed":
        """Begin to read where an earlier run has ended."""
        from netwatch.logs.live.feed import LogFeed

        return LogFeed(self.paths, self.receivers, self.options, statistics, saved)

    def release(self) -> None:
        """Close the sockets in a process that does not read them."""
        self.receivers.detach()


def log_opener(arguments: Sequence[str], options: LogOptions) -> LogOpener:
    """The opener of the logs that a user has named. Raises `NetwatchError` for an address that
    cannot be listened at, and for a file that exists and is no log."""
    from netwatch.logs.receiving.address import is_receiver, parse
    from netwatch.logs.receiving.receivers import Receivers

    addresses = [parse(argument) for argument in arguments if is_receiver(argument)]
    paths = tuple(dict.fromkeys(each for each in arguments if not is_receiver(each)))
    for path in paths:
        _check(path, options)
    return LogOpener(paths, Receivers(addresses), options)


def _check(path: str, options: LogOptions) -> None:
    from netwatch.logs.live.written import recognised
    from netwatch.logs.nul_bytes import read_head
    from netwatch.logs.recognise import SAMPLE_BYTES

    if not Path(path).is_file():
        return
    try:
        with Path(path).open("rb") as file:
            head = read_head(lambda size, at: os.pread(file.fileno(), size, at), SAMPLE_BYTES)
    except OSError:
        # It is read as another user, who may be allowed to; else that is said while it runs.
        return
    try:
        found = recognised(head, options.format)
    except CaptureError as error:
        raise NetwatchError(f"{path}: {error}") from None
    if found.doubt:
        raise NetwatchError(f"{path}: {found.doubt}")
    if found.is_capture:
        raise NetwatchError(f"{path}: is a capture, which --source file reads")
    if found.format is None and len(head) == SAMPLE_BYTES:
        reason = found.hint or "is no log of a format that netwatch knows; --as FORMAT names one"
        raise NetwatchError(f"{path}: {reason}")
