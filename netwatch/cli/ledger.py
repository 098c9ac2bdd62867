"""``netwatch ledger``: what is kept of the archives that ``scan --ledger`` has read."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from netwatch.cli.group import Group
from netwatch.cli.printing import print_columns, print_line, print_message, print_record
from netwatch.core.errors import NetwatchError
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.cluster.ledger import LedgerStatus, PlanStatus

PRUNE_DAYS = 90
"""Days without a run after which `prune` deletes a plan by default."""

_EPILOG = """examples:
  netwatch ledger status s3://archive/ledger       units done, missing and failed, by run
  netwatch ledger status done/ --format jsonl      the same as records
  netwatch ledger prune done/ --days 30 --dry-run  what no run of the last 30 days needs
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "ledger",
        help="what is done of the archives that `scan --ledger` reads",
        description="What `scan --ledger` has kept of each capture of an archive.",
        epilog=_EPILOG,
    )
    status = group.command("status", _status, "show what is done, missing and failed, by run")
    status.add_argument("ledger", metavar="URL", help="the folder or URL of the ledger")
    prune = group.command("prune", _prune, "delete what no run of late needs", table=False)
    prune.add_argument("ledger", metavar="URL", help="the folder or URL of the ledger")
    prune.add_argument(
        "--days",
        metavar="N",
        type=_days,
        default=PRUNE_DAYS,
        help=f"keep what runs of the last N days named (default {PRUNE_DAYS}), and the last run",
    )
    prune.add_argument("--dry-run", action="store_true", help="only show what would be deleted")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 0 to 36500")
    return int(text)


def _status(args: argparse.Namespace) -> int:
    from netwatch.cluster.ledger import status
    from netwatch.cluster.storage import open_storage

    storage = open_storage(args.ledger)
    found = status(storage)
    if not (found.plans or found.results):
        raise NetwatchError(f"{storage.shown}: there is no ledger; `scan --ledger` makes one")
    if args.format == "jsonl":
        for plan in found.plans:
            print_record({"record": "plan"} | asdict(plan) | {"began": _time(plan.began)})
        totals = {key: value for key, value in asdict(found).items() if key != "plans"}
        print_record({"record": "ledger", "ledger": storage.shown, **totals})
    else:
        _print(found, storage.shown)
    return 0


def _print(found: "LedgerStatus", shown: str) -> None:
    print_line(f"ledger {shown}")
    print_line()
    rows: list[tuple[str, ...]] = [
        ("began", "units", "done", "missing", "failed", "to read", "results", "configuration")
    ]
    rows += [_row(plan) for plan in found.plans]
    print_columns(rows)
    print_line()
    for version in sorted({plan.version for plan in found.plans}):
        print_line(f"{'version':<10} {version}")
    print_line(f"{'results':<10} {found.results:,}, {quantity(found.result_bytes, 'byte')}")
    orphaned = f"{found.orphaned:,}, {quantity(found.orphaned_bytes, 'byte')}, named by no run"
    print_line(f"{'orphaned':<10} {orphaned}")
    left = f"{found.leftovers:,}, {quantity(found.leftover_bytes, 'byte')}"
    print_line(f"{'runs':<10} {left}, of runs that go on or were killed")
    if found.foreign:
        print_line(f"{'foreign':<10} {quantity(found.foreign, 'object')} that are no part of it")
    for plan in found.plans[:1]:
        for failure in plan.failures:
            print_line(f"{'failed':<10} {failure.reason}")


def _row(plan: "PlanStatus") -> tuple[str, ...]:
    numbers = (plan.units, plan.done, plan.missing, plan.failed, plan.missing_bytes)
    texts = [f"{number:,}" for number in (*numbers, plan.result_bytes)]
    return _time(plan.began), *texts, plan.configuration


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _prune(args: argparse.Namespace) -> int:
    from netwatch.cluster.ledger import unneeded
    from netwatch.cluster.storage import open_storage

    storage = open_storage(args.ledger)
    objects = unneeded(storage, args.days)
    for each in objects:
        if args.dry_run:
            print_line(each.name)
        else:
            storage.remove(each.name)
    done = "would be deleted" if args.dry_run else "deleted"
    size = quantity(sum(each.size for each in objects), "byte")
    print_message(f"netwatch: {quantity(len(objects), 'object')}, {size}, {done}")
    return 0
