"""The options of ``netwatch scan`` and ``netwatch names``."""

import argparse
from collections.abc import Iterable

from netwatch.cli.archive_options import add_archive_options
from netwatch.cli.log_options import add_log_options

DELIVER_TIMEOUT = 300
"""Seconds that ``--deliver`` waits for the receivers by default."""

FAIL_ON = {"violation": {"violation"}, "advisory": {"violation", "advisory"}}
"""The values of ``--fail-on``, each with the verdicts for which the exit status is 3."""


def add_capture_options(parser: argparse.ArgumentParser, formats: Iterable[str]) -> None:
    """The arguments that ``scan`` and ``names`` have."""
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="a capture or a log, a folder of them, a glob, a URL of one of these (s3://, https://"
        " and others), or - for standard input",
    )
    parser.add_argument(
        "--format",
        choices=tuple(formats),
        default="table",
        help="format of the records (default table)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the records to FILE, which is replaced only when all are written",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_jobs,
        default=1,
        help="processes that read captures and logs, or share a capture (default 1)",
    )
    parser.add_argument(
        "--continuous",
        action="store_true",
        help="the files are pieces of one capture; they are read in the order of their time",
    )
    parser.add_argument(
        "--by-day",
        action="store_true",
        help="with --continuous: only the files of one folder and one day (UTC, of their first"
        " packets) are pieces of one capture",
    )
    add_log_options(parser)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with status 1 also if a file is damaged or truncated and was read only in part",
    )
    parser.add_argument(
        "--store",
        action="store_true",
        help="keep what was seen in the store of the configuration, else in"
        " ~/.local/share/netwatch/store",
    )
    parser.add_argument(
        "--store-path",
        metavar="URL",
        help="keep it in this folder, or at this URL (implies --store)",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print errors only, no progress and no summary"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print a longer summary")


def add_scan_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``scan`` alone."""
    parser.add_argument(
        "--fail-on",
        type=str.lower,
        choices=tuple(FAIL_ON),
        metavar="VERDICT",
        help="violation: exit with status 3 if there is a violation; advisory: also if there is an"
        " advisory incident",
    )
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="report also in how many flows no name could be read, and why",
    )
    parser.add_argument(
        "--evidence",
        metavar="DIR",
        help="write the packets that prove each incident to a small capture in DIR",
    )
    parser.add_argument(
        "--deliver",
        action="store_true",
        help="deliver the alerts also to the outputs of the configuration, and wait until they"
        " are delivered",
    )
    parser.add_argument(
        "--deliver-timeout",
        metavar="SECONDS",
        type=_seconds,
        default=DELIVER_TIMEOUT,
        help=f"how long to wait (default {DELIVER_TIMEOUT}); alerts that are not delivered by"
        " then stay in the outbox",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="with --deliver: do not send to an output what it has delivered before",
    )
    add_archive_options(parser)


def _jobs(text: str) -> int:
    from netwatch.engine.jobs import MOST_WORKERS

    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_WORKERS}")
    return int(text)


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return int(text)
