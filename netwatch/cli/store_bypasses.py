"""The records ``hidden-lookups`` of ``netwatch store query``: days on which devices hid their
lookups."""

import argparse
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from netwatch.cli.terminal import note, output

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.formats.bypass import BypassRecord
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.options import StoreOptions
    from netwatch.store.statements import Filter


def stored(
    args: argparse.Namespace,
    catalogue: "Catalogue",
    options: "StoreOptions",
    config: "Config",
    wanted: "Filter",
) -> Iterator["BypassRecord"]:
    """Those of a store that match a filter; days that are over and were not judged are counted."""
    from netwatch.config.store_questions import device_ids
    from netwatch.engine.facts_process import known_addresses
    from netwatch.store.bypass_days import bypass_records

    known, now = known_addresses(config), time.time_ns()
    findings = bypass_records(catalogue, options, wanted.since, wanted.until, known, now=now)
    if findings.unread:
        note(
            args,
            f"the first {findings.unread} days were not looked at: they have too many flows;"
            " ask for them with --until, or have 'netwatch store compact' judge them",
        )
    ids = device_ids(config, wanted.device)
    found = (
        each
        for each in findings.found
        if (not wanted.networks or each["device"]["network"] in wanted.networks)
        and (not ids or each["device"]["id"].lower() in ids)
    )
    return islice(found, wanted.limit)


def write(args: argparse.Namespace, found: Iterator["BypassRecord"]) -> None:
    """Write records in the format that is asked for."""
    from netwatch.formats.bypass import write_bypasses
    from netwatch.formats.registry import RENDERERS

    with output(args.output) as stream:
        if args.format in ("table", "jsonl", "csv"):
            write_bypasses(args.format, stream, found)
        else:
            stream.writelines(f"{RENDERERS[args.format](each)}\n" for each in found)
