"""What a live capture reads, opened before anything else is started: packet sources and logs.

Interfaces are opened by the first process, while it still has the privileges to do so, and are
inherited by the workers; a file or pipe is opened by the worker that reads it. There are as many
sources as workers: one, or with ``--fanout`` several rings that share packets.

Sockets for logs are also opened by the first process. Log files are opened by the worker: a
rotation makes new ones at any time, so the user who reads them needs permission in any case. The
formats of logs are only imported if logs are read.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from netwatch.capture.block import LIVE_SOURCES, LiveSource, Source
from netwatch.capture.files import STDIN, open_source
from netwatch.core.errors import CaptureError, NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.logs import LogOptions

if TYPE_CHECKING:
    from netwatch.flow_export.known_exporters import Exporters
    from netwatch.logs.live.feed import LogFeed
    from netwatch.logs.live.receivers import Receivers

FILE = "file"
"""The source that reads captures and pipes instead of interfaces."""

LOGS = "logs"
"""The source that reads logs instead of packets."""

FLOWS = "flows"
"""The same source, for flow records: their names are in logs."""

SOURCE_NAMES = (*LIVE_SOURCES, FILE, LOGS, FLOWS)
"""The values of ``--source``."""


class SourceOpener(Protocol):
    """Gives a worker its source. It is made before the worker process is forked."""

    def open(self) -> Source:
        """The source, ready to be read; raises `CaptureError`."""
        ...

    def release(self) -> None:
        """Close the source in a process that does not read it."""
        ...


@dataclass(frozen=True, slots=True)
class InterfaceOpener:
    """Interfaces that are already open."""

    source: LiveSource

    def open(self) -> Source:
        """The source, which was opened before."""
        return cast(Source, self.source)

    def release(self) -> None:
        """Close the descriptors of this process; the worker has its own."""
        self.source.detach()


@dataclass(frozen=True, slots=True)
class FileOpener:
    """A capture or pipe that the worker opens. `stdin` is a duplicate of standard input, if that is
    to be read: `multiprocessing` closes the original in a worker."""

    path: str
    stdin: int | None = None

    def open(self) -> Source:
        """Open the file; raises `CaptureError`."""
        if self.stdin is not None:
            sys.stdin = open(self.stdin, encoding="utf-8")  # noqa: PTH123, SIM115 - a descriptor
        return open_source(self.path)

    def release(self) -> None:
        """Does nothing: nothing has been opened yet."""


def source_openers(
    source: str, interfaces: Sequence[str], fanout: int, options: Mapping[str, Any]
) -> list[SourceOpener]:
    """One opener per worker; interfaces have been opened when this returns.

    `options` are passed to the source. Raises `CaptureError`.
    """
    if source == FILE:
        if fanout > 1:
            raise CaptureError(f"--source {source} does not support --fanout, only ring does")
        if len(interfaces) > 1:
            raise CaptureError("--source file reads one capture or pipe; give a single -i")
        path = interfaces[0]
        return [FileOpener(path, _duplicate_stdin() if path == STDIN else None)]
    if fanout > 1:
        if source != "ring":
            raise CaptureError(f"--source {source} does not support --fanout, only ring does")
        from netwatch.capture.ring_source import open_worker_sources

        sources = open_worker_sources(interfaces, fanout, **options)
        return [InterfaceOpener(cast(LiveSource, ring)) for ring in sources]
    return [InterfaceOpener(LIVE_SOURCES[source](interfaces, **options))]


def _duplicate_stdin() -> int | None:
    """A duplicate of standard input that workers inherit; None if it is closed."""
    try:
        return os.dup(sys.stdin.fileno()) if sys.stdin is not None else None
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class LogOpener:
    """The logs at `paths`, and the sockets of `receivers`."""

    paths: tuple[str, ...]
    receivers: "Receivers"
    options: LogOptions

    def open(self, saved: Mapping[str, str], statistics: RunStatistics) -> "LogFeed":
        """Begin to read where an earlier run ended."""
        from netwatch.logs.live.feed import LogFeed

        return LogFeed(self.paths, self.receivers, self.options, statistics, saved)

    def release(self) -> None:
        """Close the sockets in a process that does not read them."""
        self.receivers.detach()


def log_opener(
    arguments: Sequence[str], options: LogOptions, exporters: "Exporters | None" = None
) -> LogOpener:
    """The opener of the logs that a user has named; flow records are accepted from `exporters`.
    Raises `NetwatchError` for an address that cannot be listened on, and for an existing file that
    is not a log."""
    from netwatch.logs.live.receivers import Receivers
    from netwatch.logs.live.source import is_receiver, parse

    addresses = [parse(argument) for argument in arguments if is_receiver(argument)]
    paths = tuple(dict.fromkeys(argument for argument in arguments if not is_receiver(argument)))
    for path in paths:
        _check(path, options)
    options = replace(options, exporters=exporters)
    return LogOpener(paths, Receivers(addresses, exporters), options)


def _check(path: str, options: LogOptions) -> None:
    from netwatch.logs.live.followed_log import opened
    from netwatch.logs.live.written import head_of, recognised
    from netwatch.logs.recognise import SAMPLE_BYTES

    try:
        file = opened(path)
    except OSError:
        # It is read as another user, who may be allowed to; otherwise this is reported while it
        # runs.
        return
    with contextlib.closing(file):
        head = head_of(file)
        found = recognised(file, head, options.format)
    if found.doubt:
        raise NetwatchError(f"{path}: {found.doubt}")
    if found.is_capture:
        raise NetwatchError(f"{path}: is a capture, which --source file reads")
    if found.format is None and len(head) == SAMPLE_BYTES:
        reason = found.hint or "is no log of a format that netwatch knows; --as FORMAT names one"
        raise NetwatchError(f"{path}: {reason}")


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The options of ``netwatch live``.

    `source` is a name of `netwatch.live.source_openers.SOURCE_NAMES`, `source_options` are passed
    to it. If it reads logs, `interfaces` are paths and addresses of receivers, and `logs` are the
    user's options for logs. `config` is the path of the configuration, `output` the path of the
    records; None is where `netwatch.config.load` looks, and standard output. `metrics` (host and
    port) overrides the address in the configuration.
    """

    interfaces: tuple[str, ...]
    source: str
    config: str | None = None
    fanout: int = 1
    source_options: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    format: str = "table"
    output: str | None = None
    state: str | None = None
    evidence: str | None = None
    metrics: tuple[str, int] | None = None
    logs: LogOptions = field(default_factory=LogOptions)

    @property
    def reads_logs(self) -> bool:
        """Whether logs are read, not packets."""
        return self.source in (LOGS, FLOWS)

    @property
    def live(self) -> bool:
        """Whether what is read happens now: it does not come from a file with packets."""
        return self.source != FILE
