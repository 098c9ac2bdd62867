"""The logs among the files that a user named, and what their records say, in order of time.

`divide` tells captures from logs by their content, and puts files together that are one log.
`items` reads one log. This is what the engine sees of logs; how a file is read is in `log_file`.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import tzinfo
from typing import Literal

from netwatch.capture.files import CaptureFile
from netwatch.core.dataclass import dataclass
from netwatch.core.statistics import RunStatistics
from netwatch.logs.log_file import LogFile, Progress
from netwatch.logs.records import LogEntry


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What the user said of logs: the format of all of them (``--as``), the year and the zone of
    times that have none (``--year``, ``--timezone``), and whether only captures or only logs are
    read (``--only``). None where he said nothing."""

    format: str | None = None
    year: int | None = None
    zone: tzinfo | None = None
    only: Literal["captures", "logs"] | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """One log: its files in order of time, and the format of each."""

    files: tuple[CaptureFile, ...]
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogItem:
    """One thing that a record says. `source` is the path of the file, `line` the number of the
    record in it from 1, `record` the record as it is in the file, with what carried it."""

    source: str
    format: str
    line: int
    record: bytes
    entry: LogEntry


def divide(
    files: Sequence[CaptureFile], options: LogOptions
) -> tuple[list[CaptureFile], list[Log]]:
    """The captures among files, with whatever else is to be reported as unread or skipped, and the
    logs."""
    if options.format is None:
        return list(files), []
    return [], [Log((file,), (options.format,)) for file in files]


def items(
    log: Log,
    options: LogOptions,
    statistics: RunStatistics,
    *,
    zones: Collection[bytes] | None,
    progress: Progress | None = None,
) -> Iterator[LogItem]:
    """What the records of a log say, in order of time. With `zones` only names that may be in one
    of these domains, and all flows and claims; None gives all."""
    for file, name in zip(log.files, log.formats, strict=True):
        opened = LogFile(file, name, options.year, options.zone, statistics)
        for line, record, entry in opened.entries(progress):
            yield LogItem(file.path, name, line, record, entry)
