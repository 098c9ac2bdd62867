"""``netwatch doctor``: checks whether this machine can capture, whether the configuration has
mistakes, and whether each part that it names works: sets, store, console, fleet, outputs, and the
languages of texts for people.

Each finding is one line: ``ok``, ``warn`` or ``bad``, the latter two with what to do about it. A
check changes nothing. A new one is a function and a row of `netwatch.cli.doctor.checks.CHECKS`.
"""

import argparse
from collections.abc import Sequence

from netwatch.cli import COMMANDS, HelpFormatter

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
        formatter_class=HelpFormatter,
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
    """Run ``netwatch doctor``; the exit status."""
    # Not at the top: the help needs none of what is checked.
    from netwatch.cli.doctor.checks import CHECKS
    from netwatch.cli.printing import print_line

    all_ok = True
    for check in CHECKS:
        for finding in check(args):
            all_ok = all_ok and finding.level != "bad"
            print_line(f"{finding.level:<4} {finding.subject:<13} {finding.text}")
            for line in finding.todo:
                print_line(f"{'':<4} {'':<13} {line}")
    return 0 if all_ok else 1
