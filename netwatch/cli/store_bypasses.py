"""The records ``bypasses`` of ``netwatch store query``: days on which devices hid their lookups."""

import argparse
from itertools import islice
from typing import TYPE_CHECKING

from netwatch.cli.terminal import note, output

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.formats.bypass import BypassRecord
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.options import StoreOptions
    from netwatch.store.statements import Filter


def write(
    args: argparse.Namespace,
    catalogue: "Catalogue",
    options: "StoreOptions",
    config: "Config",
    wanted: "Filter",
) -> None:
    """Write those that match a filter."""
    from netwatch.engine.facts_process import known_addresses
    from netwatch.formats.bypass import write_bypasses
    from netwatch.store.bypass_days import bypass_records

    known = known_addresses(config)
    findings = bypass_records(catalogue, options, wanted.since, wanted.until, known)
    if findings.unread:
        note(
            args,
            f"the first {findings.unread} days were not looked at: they have too many flows;"
            " ask for them with --until, or have 'netwatch store compact' judge them",
        )
    found = (each for each in findings.found if _matches(each, wanted))
    with output(args.output) as stream:
        write_bypasses(args.format, stream, islice(found, wanted.limit))


def _matches(found: "BypassRecord", wanted: "Filter") -> bool:
    device = found["device"]
    if wanted.networks and device["network"] not in wanted.networks:
        return False
    return not wanted.device or device["id"].lower() == wanted.device.lower()
