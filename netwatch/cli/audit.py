"""``netwatch audit``: who looked at what in the console, and whether that record is sound."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

from netwatch.cli.group import Group, add_store_option
from netwatch.cli.printing import Lines, print_columns, print_line, print_message
from netwatch.cli.terminal import output
from netwatch.cli.users import opened
from netwatch.core.text import quantity

_EPILOG = """examples:
  netwatch audit list                              the newest rows last
  netwatch audit list --limit 1000 --format jsonl
  netwatch audit verify                            is the chain of rows unbroken?
  netwatch audit verify --head 3f6c…               and is the row with this hash still there?
  netwatch audit export audit.jsonl

Each row has a hash over itself and the row before it. Without --head, `verify` cannot exclude that
rows were cut off at the end, or that all of them were replaced. Give it a hash that was noted
where the operators of the console cannot change it: each report has one, and `netwatch serve`
writes one to the journal or to syslog, at least every quarter of an hour if there is a new row:
  journalctl | grep 'audit: row'

exit status of verify: 0 sound; 3 the chain is broken, and the row is named
"""

_FAILED = 3


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "audit",
        help="show, verify and export who looked at what",
        description="The audit of the console: every page on a person, every export, every"
        " sign-in, every change of an account.",
        epilog=_EPILOG,
    )
    parser = group.command("list", _list, "list the last rows")
    parser.add_argument("--limit", type=_count, default=50, metavar="N", help="rows (default 50)")
    parser.add_argument(
        "--account",
        default="",
        metavar="NAME",
        help="only of this account, or of all that had this name at a provider",
    )
    parser.add_argument("--subject", default="", metavar="TEXT", help="only about this subject")
    add_store_option(parser)
    parser = group.command("verify", _verify, "compare each row with its hash", table=False)
    parser.add_argument("--head", default="", metavar="HASH", help="a hash that was noted earlier")
    add_store_option(parser)
    parser = group.command(
        "export", _export, "write all rows with their hashes as JSON lines", table=False
    )
    parser.add_argument("file", metavar="FILE", help="the file; - is standard output")
    add_store_option(parser)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to 1,000,000")
    return int(text)


def _list(args: argparse.Namespace) -> int:
    with opened(args, "audit list") as (_, audit):
        from netwatch.console.audit import entry_record

        accounts = audit.names.called(args.account) if args.account else ()
        rows = audit.newest(args.limit, accounts=accounts, subject=args.subject)[::-1]
        names = audit.names.of({row.account for row in rows})
        called = audit.names.shown({row.account for row in rows})
    if args.format == "jsonl":
        with Lines() as lines:
            for row in rows:
                lines.record(entry_record(row, names))
    elif rows:
        shown = [
            (str(row.number), _time(row.time), called[row.account], row.role, row.action,
             row.subject, row.purpose)
            for row in rows
        ]  # fmt: skip
        head = ("ROW", "TIME", "ACCOUNT", "ROLE", "ACTION", "SUBJECT", "PURPOSE")
        print_columns([head, *shown])
    else:
        print_message("netwatch: the audit has no such row")
    return 0


def _time(moment: int) -> str:
    return datetime.fromtimestamp(moment // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _verify(args: argparse.Namespace) -> int:
    with opened(args, "audit verify") as (_, audit):
        found = audit.verify(args.head.lower())
    if found.problem:
        print_line(f"the audit is BROKEN: {found.problem}")
        print_line(f"{quantity(found.rows, 'row')} before that {_are(found.rows)} sound")
        return _FAILED
    print_line(f"the audit is sound: {quantity(found.rows, 'row')}, hash of the last one:")
    print_line(found.head)
    if not args.head and found.rows:
        print_message(
            "netwatch: no --head was given, so rows may have been cut off at the end, or the whole"
            " audit replaced: compare it with a hash from a report, the journal or syslog"
        )
    return 0


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _export(args: argparse.Namespace) -> int:
    from netwatch.formats.values import json_line

    with opened(args, "audit export") as (_, audit):
        from netwatch.console.audit import entry_record

        with output(None if args.file == "-" else args.file) as stream:
            count, names = 0, dict[str, tuple[str, ...]]()
            for row in audit.entries():
                if row.account not in names:
                    names |= audit.names.of([row.account])
                stream.write(f"{json_line(entry_record(row, names))}\n")
                count += 1
    if args.file != "-":
        print_message(f"netwatch: wrote {quantity(count, 'row')} to {args.file}")
    return 0
