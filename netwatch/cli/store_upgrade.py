"""``store upgrade``: bring the catalogue of an older netwatch up to date."""

import argparse
import sys

from netwatch.cli.common_options import add_store_option
from netwatch.cli.group import Group
from netwatch.cli.printing import print_message
from netwatch.cli.store import store_options
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.text import quantity

_EPILOG = """examples:
  netwatch backup /srv/backup/before && netwatch store upgrade
  netwatch store upgrade --yes            in a script

It says what will be done, and asks. What scan, live, a centre and the others find older they bring
up to date by themselves, which takes a while for a large store, and say so.

exit status: 0 done, or nothing to do; 1 not confirmed; 2 it cannot ask, or usage is wrong
"""


def add_upgrade(group: Group) -> None:
    """Add ``store upgrade``."""
    parser = group.command(
        "upgrade",
        _upgrade,
        "bring the store of an older netwatch up to date",
        _EPILOG,
        table=False,
    )
    add_store_option(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _upgrade(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch.store.catalogue_tables import SCHEMA_VERSION
    from netwatch.store.examine import needed_upgrade, upgrade

    found = needed_upgrade(options)
    if found is None:
        print_message(f"the store is up to date (schema {SCHEMA_VERSION}): nothing to do")
        return 0
    print_message(f"{found.place} is of an older netwatch: schema {found.schema}, this one has"
                  f" {SCHEMA_VERSION}. Steps:")  # fmt: skip
    for version, what in found.steps:
        print_message(f"  {version}  {what}")
    rows = ", ".join(quantity(count, name) for name, count in found.rows.items())
    print_message(f"The catalogue has {found.bytes:,} bytes: {rows}. It is changed in one"
                  " transaction; then files of facts are written anew, one by one. An older"
                  " netwatch cannot read the store afterwards, nor may it write now.")  # fmt: skip
    print_message("Make a backup first: netwatch backup FOLDER")
    if not args.yes and not _is_confirmed():
        print_message("nothing was changed")
        return 1
    upgrade(options)
    return 0


def _is_confirmed() -> bool:
    """Ask once, on a terminal. Raises `ConfigError` where there is none."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError([Problem("netwatch store upgrade", 0, 0, "cannot ask where there is no"
                                   " terminal: 'netwatch store upgrade --yes'")])  # fmt: skip
    print_message("Upgrade? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
