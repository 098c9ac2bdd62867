"""The options of commands that read logs, which say how they are read.

The table of formats is imported only where an option names one, or a file may be a log.
"""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from netwatch.capture.files import CaptureFile, has_capture_name
from netwatch.core.patterns import pattern

if TYPE_CHECKING:
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.core.statistics import RunStatistics
    from netwatch.logs.log_files import Log
    from netwatch.logs.options import LogOptions

FIRST_YEAR, LAST_YEAR = 1990, 2100
"""The years that ``--year`` takes."""

_OFFSET = pattern(r"([+-])(\d\d):?(\d\d)")


def add_log_options(parser: argparse._ActionsContainer, *, beside_captures: bool = True) -> None:
    """The arguments that say how logs are read, and with `beside_captures` whether they are."""
    parser.add_argument(
        "--as",
        dest="log_format",
        metavar="FORMAT",
        type=_format,
        help="read what is no capture as a log of this format, instead of recognising it"
        " (dnsmasq, suricata-eve and others; a wrong name lists all)",
    )
    parser.add_argument(
        "--year",
        metavar="YEAR",
        type=_year,
        help="the year of times in logs that have none (default: it follows from when the file was"
        " written)",
    )
    parser.add_argument(
        "--timezone",
        metavar="ZONE",
        type=_zone,
        help="the time zone of times in logs that have none, as Europe/Brussels or +01:00 (default"
        " UTC)",
    )
    if not beside_captures:
        return
    parser.add_argument(
        "--only",
        choices=("captures", "logs"),
        help="leave the files of the other kind alone",
    )


def log_options(args: argparse.Namespace) -> "LogOptions":
    """What the arguments say of logs."""
    from netwatch.logs.options import LogOptions

    return LogOptions(args.log_format, args.year, args.timezone, getattr(args, "only", None))


def divided(
    files: Sequence[CaptureFile], options: "LogOptions"
) -> "tuple[Sequence[CaptureFile], Sequence[Log]]":
    """The captures and the logs among files (see `netwatch.logs.log_files.divide`)."""
    if all(file.error is not None or has_capture_name(file.path) for file in files):
        # To import all formats takes longer than to read a small capture.
        return ([] if options.only == "logs" else files), ()
    from netwatch.logs.log_files import divide

    return divide(files, options)


def observations(paths: Sequence[str], statistics: "RunStatistics") -> "Iterator[ObservationBatch]":
    """The observations of all captures and logs that paths lead to, for commands that look at
    traffic by the way. A batch is valid until the next one is asked for."""
    from netwatch.capture.files import find_captures
    from netwatch.engine import jobs
    from netwatch.engine.capture_files import group_files
    from netwatch.engine.log_units import LogUnit
    from netwatch.logs.options import LogOptions

    options = LogOptions()
    captures, logs = divided(find_captures(paths), options)
    units = [LogUnit(log, options) for log in logs]
    yield from jobs.names(list(group_files(captures, continuous=False)), statistics, logs=units)


def _format(text: str) -> str:
    from netwatch.logs.registry import LOG_FORMATS

    if text not in LOG_FORMATS:
        known = ", ".join(sorted(LOG_FORMATS))
        raise argparse.ArgumentTypeError(f"the formats of logs are: {known}")
    return text


def _year(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not FIRST_YEAR <= int(text) <= LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{text!r} is not a year from {FIRST_YEAR} to {LAST_YEAR}")
    return int(text)


def _zone(text: str) -> tzinfo:
    if text in ("UTC", "Z"):
        return UTC
    offset = _OFFSET.fullmatch(text)
    if offset is not None and int(offset[2]) < 24 and int(offset[3]) < 60:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time zone; expected a name like Europe/Brussels, or an offset like"
            " +01:00"
        ) from None
