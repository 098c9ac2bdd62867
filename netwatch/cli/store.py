"""``netwatch store``: what is kept, questions to it, and whether it is whole.

Each command opens the store of the configuration, or the one of ``--store-path``. What needs the
libraries of a store is imported when a command runs.
"""

import argparse
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netwatch.cli.group import Group

if TYPE_CHECKING:
    from netwatch.store.options import StoreOptions
from netwatch.config import Config
from netwatch.coverage.judged import Wanted, says
from netwatch.rules.bans import ban_contents

SUBCOMMANDS = (
    "netwatch.cli.store_status:add_status",
    "netwatch.cli.store_query:add_query",
    "netwatch.cli.store_sql:add_sql",
    "netwatch.cli.store_status:add_verify",
    "netwatch.cli.store_status:add_compact",
    "netwatch.cli.store_status:add_upgrade",
    "netwatch.cli.store_privacy:add_prune",
    "netwatch.cli.store_privacy:add_erase",
    "netwatch.cli.store_privacy:add_identify",
    "netwatch.cli.store_privacy:add_key",
)
"""The functions that add the subcommands to their `Group`, in the order of the help. Each parser
that they make gets the options of `add_store_options`."""

_EPILOG = """examples:
  netwatch store status                              what is kept: days, rows, bytes
  netwatch store query incidents --since 7d          the alerts of the last week
  netwatch store query observations --name tiktok.com --since 2023-03-01 --until 2023-03-31
  netwatch store query incidents --app tiktok --format csv -o march.csv
  netwatch store sql tables                          the tables for SQL
  netwatch store sql 'SELECT name, count(*) FROM observation GROUP BY name ORDER BY 2 DESC LIMIT 20'
  netwatch store verify                              is every file there and whole?
  netwatch store prune --dry-run                     what is older than its retention?
  netwatch store erase --device 10.30.0.9            leave nothing of a person
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "store",
        help="stored results of captures: status, queries, SQL",
        description="The results that `scan --store`, `names --store` and `live` have stored.",
        epilog=_EPILOG,
    )
    for place in SUBCOMMANDS:
        module, _, function = place.partition(":")
        getattr(importlib.import_module(module), function)(group)


def store_options(args: argparse.Namespace) -> "StoreOptions":
    """The store that a command is for. Raises `ConfigError`."""
    from netwatch import config
    from netwatch.cli.run_store import chosen_store
    from netwatch.store.options import require_extra

    require_extra("netwatch store")
    return chosen_store(args, config.load_store(args.config))


def ban_judges(config: Config) -> dict[str, Wanted]:
    """Of each ban of a configuration, whether a version has judged by it."""
    sensor = config.sensor
    contents = ban_contents(config.policy.bans, config.catalog)
    return {
        ban: says(ban, content, sensor.signatures, sensor.bans) for ban, content in contents.items()
    }
