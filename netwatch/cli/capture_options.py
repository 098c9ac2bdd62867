"""The options of ``netwatch scan`` and ``netwatch names``: of all captures, of archives
(``--ledger`` and ``--cluster``), and of logs, which ``netwatch live`` has too.

The table of log formats is imported only if an option names one.
"""

import argparse
from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import TYPE_CHECKING, TypeVar

from netwatch.capture.files import STDIN
from netwatch.core.errors import ConfigError

if TYPE_CHECKING:
    from netwatch.logs import LogOptions

T = TypeVar("T")

DELIVER_TIMEOUT = 300
"""Seconds that ``--deliver`` waits for the receivers by default."""

FAIL_ON = {"violation": {"violation"}, "advisory": {"violation", "advisory"}}
"""The values of ``--fail-on``, each with the verdicts for which the exit status is 3."""


def add_archive_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``scan`` for archives."""
    group = parser.add_argument_group("archives")
    group.add_argument(
        "--ledger",
        metavar="URL",
        help="keep the result of each capture in this folder or bucket (s3://…): an"
        " interrupted run resumes, and later runs read only what is new or changed",
    )
    group.add_argument(
        "--ledger-key",
        metavar="FILE",
        help="sign the results in the ledger with the key in this file, and trust earlier results"
        " signed with it (default: ledger.key in $STATE_DIRECTORY, or in netwatch below"
        " $XDG_STATE_HOME or ~/.local/state; created if missing)",
    )
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="let the workers of a Dask cluster read: tls://HOST:PORT, or local to start one with"
        " --jobs workers; needs --ledger, which all workers reach, unless it is local",
    )
    group.add_argument(
        "--cluster-ca", metavar="FILE", help="the authority of the certificates of the cluster"
    )
    group.add_argument("--cluster-cert", metavar="FILE", help="the certificate of this process")
    group.add_argument("--cluster-key", metavar="FILE", help="the key of this certificate")


def is_archive(args: argparse.Namespace) -> bool:
    """Whether a scan is for an archive. Raises `ConfigError` for options that do not fit."""
    tls = (args.cluster_ca, args.cluster_cert, args.cluster_key)
    if any(tls) and not (args.cluster or "").startswith("tls://"):
        raise _usage("--cluster-ca, --cluster-cert and --cluster-key need --cluster tls://…")
    if args.ledger_key is not None and args.ledger is None:
        raise _usage("--ledger-key needs --ledger")
    if args.ledger is None and args.cluster is None:
        return False
    if args.store or args.store_path is not None:
        raise _usage(
            "--store does not go with --ledger or --cluster: a store is written by one process"
        )
    if STDIN in args.paths:
        raise _usage("standard input cannot be kept in a ledger: name files")
    if args.cluster is not None:
        from netwatch.cluster.workers import LOCAL, check_address

        check_address(args.cluster)
        if args.cluster != LOCAL and args.ledger is None:
            raise _usage("--cluster needs --ledger, a folder or bucket that all workers reach")
    return True


def _usage(text: str) -> ConfigError:
    return ConfigError.of("netwatch scan", text)


def add_log_options(parser: argparse._ActionsContainer, *, beside_captures: bool = True) -> None:
    """The arguments for reading logs and, with `beside_captures`, whether to read them."""
    parser.add_argument(
        "--as",
        dest="log_format",
        metavar="FORMAT",
        type=_format,
        help="read files other than captures as logs of this format, instead of detecting it"
        " (dnsmasq, suricata-eve and others; a wrong name lists all)",
    )
    parser.add_argument(
        "--year",
        metavar="YEAR",
        type=_year,
        help="the year of log times without one (default: it follows from when the file was"
        " written)",
    )
    parser.add_argument(
        "--timezone",
        metavar="ZONE",
        type=_zone,
        help="the time zone of log times without one, as Europe/Brussels or +01:00 (default UTC)",
    )
    if not beside_captures:
        return
    parser.add_argument(
        "--only",
        choices=("captures", "logs"),
        help="read only files of this kind",
    )


def log_options(args: argparse.Namespace) -> "LogOptions":
    """The log options in the arguments."""
    from netwatch.logs import LogOptions

    return LogOptions(args.log_format, args.year, args.timezone, getattr(args, "only", None))


def _format(text: str) -> str:
    from netwatch.logs.registry import format_of

    return _checked(format_of, text)


def _year(text: str) -> int:
    from netwatch.logs.times import year_of

    return _checked(year_of, text)


def _zone(text: str) -> tzinfo:
    from netwatch.logs.times import zone_of

    return _checked(zone_of, text)


def _checked(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
        help="keep what was seen in the store of the configuration, or in"
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
    """The arguments of ``scan`` only."""
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
        raise argparse.ArgumentTypeError(
            f"expected a number from 1 to {MOST_WORKERS}, found {text!r}"
        )
    return int(text)


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 86_400:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds from 0 to 86400, found {text!r}"
        )
    return int(text)
