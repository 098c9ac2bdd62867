"""``netwatch doctor``: checks whether this machine can capture, whether the configuration has
mistakes, and whether each part that it names works: sets, store, console, fleet, outputs, and the
languages of texts for people.

Each finding is one line: ``ok``, ``warn`` or ``bad``, the latter two with a remedy. A check changes
nothing. A new one is a function in the module of its concern and a row of `CHECKS`.
"""

import argparse
import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from netwatch.cli import COMMANDS
from netwatch.cli.printing import print_line, print_value

if TYPE_CHECKING:
    from netwatch.cli.doctor.finding import Finding

CHECKS = (
    "configuration:check_packet_loop",
    "configuration:check_privileges",
    "configuration:check_interfaces",
    "configuration:check_logs",
    "configuration:check",
    "configuration:check_updates",
    "store:check",
    "console:check",
    "fleet:check",
    "fleet:check_centre",
    "configuration:check_outputs",
    "console:check_languages",
)
"""All checks, as module and function, in the order in which they run. One whose part is not
configured gives no finding. The configuration is checked first, so that a later check of a part
with mistakes adds nothing."""

_EXAMPLES = """examples:
  netwatch doctor                     this machine, and every part of the configuration
  netwatch doctor -i eth1 -i eth2     try to capture on these interfaces
  netwatch doctor -c site.yaml
  netwatch doctor /var/log/unbound.log    can this log be read, and what is it

exit status:
  0  no problem was found; lines that begin with warn are worth a look
  1  there are problems (the lines that begin with bad)
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Add the parser of the command. It sets `func`, which takes the parsed arguments and
    returns the exit status."""
    parser = groups.add_parser(
        "doctor",
        help=COMMANDS["doctor"].summary,
        description="Checks whether this machine can capture, whether the configuration has"
        " mistakes, and whether each part that it names works: sets, store, console, fleet,"
        " outputs. Nothing is changed, no alert is sent, and servers get a few seconds to answer.",
        epilog=_EXAMPLES,
        parents=list(parents),
    )
    parser.add_argument(
        "-i",
        "--interface",
        metavar="IFACE",
        action="append",
        default=[],
        help="an interface to try; may be repeated (default: all that are up)",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="logs that `live --source logs` is to read",
    )
    parser.set_defaults(func=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Run ``netwatch doctor``; returns the exit status."""
    all_ok = True
    for finding in _findings(args):
        all_ok = all_ok and finding.level != "bad"
        print_value(f"{finding.level:<4} {finding.subject:<13} ", finding.text)
        for line in finding.todo:
            print_line(f"{'':<4} {'':<13} {line}")
    return 0 if all_ok else 1


def _findings(args: argparse.Namespace) -> "Iterator[Finding]":
    for check in CHECKS:
        # Not at the top: the help does not need the checked parts.
        module, _, function = check.partition(":")
        yield from getattr(importlib.import_module(f"{__name__}.{module}"), function)(args)
