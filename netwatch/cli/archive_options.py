"""The options of ``scan`` for archives: ``--ledger`` and ``--cluster``."""

import argparse

from netwatch.capture.files import STDIN
from netwatch.core.errors import ConfigError, Problem


def add_archive_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``scan`` for archives."""
    group = parser.add_argument_group("archives")
    group.add_argument(
        "--ledger",
        metavar="URL",
        help="keep the result of each capture in this folder or bucket (s3://…): a run that was"
        " ended goes on, and later runs read only what is new or changed",
    )
    group.add_argument(
        "--ledger-key",
        metavar="FILE",
        help="sign the results in the ledger with the key in this file, and trust those of earlier"
        " runs that are (default: ledger.key in $STATE_DIRECTORY, or else in netwatch below"
        " $XDG_STATE_HOME or ~/.local/state; made if it is not there)",
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
    group.add_argument(
        "--cluster-cert", metavar="FILE", help="the certificate that this process shows it"
    )
    group.add_argument("--cluster-key", metavar="FILE", help="the key of this certificate")


def is_archive(args: argparse.Namespace) -> bool:
    """Whether a scan is one of an archive. Raises `ConfigError` for options that do not fit."""
    tls = (args.cluster_ca, args.cluster_cert, args.cluster_key)
    if any(tls) and not (args.cluster or "").startswith("tls://"):
        raise _usage("--cluster-ca, --cluster-cert and --cluster-key need --cluster tls://…")
    if args.ledger_key is not None and args.ledger is None:
        raise _usage("--ledger-key needs --ledger")
    if args.ledger is None and args.cluster is None:
        return False
    if args.store or args.store_path is not None:
        raise _usage(
            "--store does not go with --ledger or --cluster: a store takes what one process reads"
        )
    if STDIN in args.paths:
        raise _usage("standard input cannot be kept in a ledger: name files")
    if args.cluster is not None:
        from netwatch.cluster.dask_cluster import LOCAL, check_address

        check_address(args.cluster)
        if args.cluster != LOCAL and args.ledger is None:
            raise _usage("--cluster needs --ledger, a folder or bucket that all workers reach")
    return True


def _usage(text: str) -> ConfigError:
    return ConfigError([Problem("netwatch scan", 0, 0, text)])
