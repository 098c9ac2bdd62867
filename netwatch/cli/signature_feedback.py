"""``netwatch signatures feedback``: the rules whose incidents people closed as false alarms, for
those who maintain the signatures. It has no personal data: rules, apps, counts and versions.
"""

import argparse
from dataclasses import asdict

from netwatch.cli.group import Group, add_store_option
from netwatch.cli.printing import Lines, print_columns, print_message

SCHEMA = "netwatch.feedback/1"
"""The schema of a record."""

_EPILOG = """examples:
  netwatch signatures feedback                               the rules with false alarms
  netwatch signatures feedback --format jsonl >feedback.jsonl  to send to the maintainer

In the console, analysts close incidents as justified or as false alarms. Both are counted by the
rule of the strongest evidence and by the versions of the signatures and of netwatch that judged.
Nothing else is exported: no device, network, name, time, reason or account.
"""


def add(group: Group) -> None:
    """Register the command."""
    parser = group.command(
        "feedback", _feedback, "export the rules that raised false alarms", _EPILOG
    )
    add_store_option(parser)


def _feedback(args: argparse.Namespace) -> int:
    from netwatch.cli.console import opened_database

    with opened_database(args, "signatures feedback") as database:
        from netwatch.console.triage import Triage

        found = Triage(database).by_rule()
    if args.format == "jsonl":
        with Lines() as lines:
            for each in found:
                lines.record({"schema": SCHEMA, **asdict(each)})
    elif found:
        print_columns([
            ("APP", "RULE", "FALSE", "JUSTIFIED", "SIGNATURES", "NETWATCH"),
            *(
                (each.app, each.rule, str(each.false), str(each.justified), each.signatures,
                 each.netwatch)
                for each in found
            ),
        ])  # fmt: skip
    else:
        print_message("netwatch: no incident was closed as a false alarm in the console")
    return 0
