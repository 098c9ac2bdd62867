"""``netwatch explain``: one incident as a page, every step from the packet to the clause."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from netwatch.cli import COMMANDS, HelpFormatter
from netwatch.cli.printing import print_line, print_record
from netwatch.core.errors import NetwatchError
from netwatch.explain.page import page
from netwatch.explain.sources import Found, from_alerts
from netwatch.explain.steps import explanation

_EXAMPLES = """examples:
  netwatch explain 6a10b1da                     from the store of this user
  netwatch explain 6a10b1da --store-path /var/lib/netwatch/store
  netwatch explain 6a10b1da --alerts alerts.jsonl
  netwatch scan office.pcap --format jsonl | netwatch explain 6a10b1da --alerts -
  netwatch explain proof/20230320T081240Z-6a10b1daae3f5b238e691360caf39bae.pcapng

exit status: 0 done; 1 the source cannot be read; 2 there is no such incident, or usage or
configuration error
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; `parents` have the common options."""
    parser = groups.add_parser(
        "explain",
        help=COMMANDS["explain"].summary,
        description="Shows one incident as a page: every step from the packet to the clause, what"
        " it does not prove, and what would refute it.",
        epilog=_EXAMPLES,
        parents=list(parents),
        formatter_class=HelpFormatter,
    )
    parser.add_argument("id", metavar="ID", help="the id of an incident, or how it begins")
    parser.add_argument(
        "--alerts", metavar="FILE", help="read alerts that were written as JSON lines; - is a pipe"
    )
    parser.add_argument(
        "--format", choices=("text", "jsonl"), default="text", help="format (default text)"
    )
    parser.set_defaults(func=explain)


def explain(args: argparse.Namespace) -> int:
    """Run ``netwatch explain`` and return the exit status."""
    found = _found(args)
    incident = explanation(found.record, found.files)
    if args.format == "jsonl":
        print_record(dict(found.record))
        return 0
    for line in page(incident, found.origin):
        print_line(line)
    return 0


def _found(args: argparse.Namespace) -> Found:
    if args.alerts == "-":
        return from_alerts(sys.stdin, "standard input", args.id)
    try:
        with Path(args.alerts).open(encoding="utf-8", errors="surrogateescape") as stream:
            return from_alerts(stream, args.alerts, args.id)
    except OSError as error:
        raise NetwatchError(f"{args.alerts}: {error.strerror}") from None
