"""The options of commands that read logs, which say how they are read.

The table of formats is imported only where an option names one.
"""

import argparse
from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from netwatch.logs.options import LogOptions

T = TypeVar("T")


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


def _format(text: str) -> str:
    from netwatch.logs.options import format_of

    return _checked(format_of, text)


def _year(text: str) -> int:
    from netwatch.logs.options import year_of

    return _checked(year_of, text)


def _zone(text: str) -> tzinfo:
    from netwatch.logs.options import zone_of

    return _checked(zone_of, text)


def _checked(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
