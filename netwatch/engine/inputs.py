"""What paths lead to, as the units of a run: captures, each of one file or more, and logs.

The formats of logs are imported only where an option names one, or a file may be a log.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from netwatch.capture.files import CaptureFile, find_captures, has_capture_name, may_be_text
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.engine.capture_files import Capture, LogUnit, group_files
from netwatch.logs.options import LogOptions

if TYPE_CHECKING:
    from netwatch.logs.log_files import Log


def find_units(
    paths: Sequence[str],
    options: LogOptions,
    *,
    continuous: bool = False,
    by_day: bool = False,
    counts_flows: bool = False,
) -> tuple[list[Capture], list[LogUnit]]:
    """The captures and the logs that `paths` lead to, which are as `find_captures` takes them. With
    `continuous` and `by_day` captures consist of several files (see `group_files`); with
    `counts_flows` the coverage of the flows in logs is wanted. Raises `ConfigError` for a URL that
    no installed package opens."""
    captures, logs = divided(find_captures(paths), options)
    units = [LogUnit(log, options, counts_flows) for log in logs]
    return list(group_files(captures, continuous, by_day)), units


def divided(
    files: Sequence[CaptureFile], options: LogOptions
) -> "tuple[Sequence[CaptureFile], Sequence[Log]]":
    """The captures and the logs among files (see `netwatch.logs.log_files.divide`)."""
    if all(
        file.error is not None or (has_capture_name(file.path) and not may_be_text(file))
        for file in files
    ):
        # To import all formats takes longer than to read a small capture.
        return ([] if options.only == "logs" else files), ()
    from netwatch.logs.log_files import divide

    return divide(files, options)


def observations(paths: Sequence[str], statistics: RunStatistics) -> Iterator[ObservationBatch]:
    """The observations of all captures and logs that paths lead to, for commands that look at
    traffic by the way. A batch is valid until the next one is asked for."""
    from netwatch.engine import jobs

    captures, logs = find_units(paths, LogOptions())
    yield from jobs.names(captures, statistics, logs=logs)
