"""``netwatch inventory``: the inventory, updated from registers of devices."""

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from time import time_ns
from typing import TYPE_CHECKING

from netwatch.cli.group import Group
from netwatch.cli.printing import print_line, print_message, print_record
from netwatch.core.errors import ConfigError
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.refresh.run import Refreshed

_MAX_LISTED = 20
"""Devices of one kind of change to show in a table."""

_EPILOG = """examples:
  netwatch inventory refresh             read the sources, and replace the inventory
  netwatch inventory refresh --dry-run   show what would change

The sources are listed under 'devices: sources' in the configuration. Either all of them are read
and what they list is valid, or the inventory stays as it was. A device that is gone keeps its
rows with the time at which they ended. A live capture reads the new inventory by itself.
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "inventory",
        help="update the inventory from other registers of devices",
        description="The inventory of devices, from NetBox, a directory or an asset register.",
        epilog=_EPILOG,
    )
    parser = group.command("refresh", _refresh, "read the sources, and replace the inventory")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change, and write nothing"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="accept a result with fewer than half of the devices, or none",
    )


def _refresh(args: argparse.Namespace) -> int:
    from netwatch import config
    from netwatch.refresh.run import refresh

    options = config.load_refresh(args.config)
    if options is None:
        message = "expected 'devices: sources', from which the inventory is refreshed; found none"
        raise ConfigError.of(args.config or "the configuration", message)
    result = refresh(options, time_ns(), force=args.force, dry_run=args.dry_run)
    if args.format == "jsonl":
        print_record(
            {
                "file": str(result.file) if result.file else None,
                "added": result.changes.added,
                "changed": result.changes.changed,
                "removed": result.changes.removed,
                "unchanged": result.changes.unchanged,
                "left_out": result.left_out,
            }
        )
        return 0
    for line in _limited(result.left_out):
        print_message(f"netwatch: left out: {line}")
    _print_changes(result)
    return 0


def _print_changes(result: "Refreshed") -> None:
    changes = result.changes
    for word in ("added", "changed", "removed"):
        for line in _limited(getattr(changes, word)):
            print_line(f"{word:<8} {line}")
    counts = (
        f"{quantity(changes.after, 'device')}: {len(changes.added):,} added,"
        f" {len(changes.changed):,} changed, {len(changes.removed):,} removed,"
        f" {changes.unchanged:,} as before"
    )
    print_line(f"{counts}; {f'wrote {result.file}' if result.file else 'wrote nothing'}")


def _limited(lines: Sequence[str]) -> Iterator[str]:
    yield from islice(lines, _MAX_LISTED)
    if len(lines) > _MAX_LISTED:
        yield f"and {len(lines) - _MAX_LISTED:,} more; --format jsonl has all"
