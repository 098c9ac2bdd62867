"""The records ``bypasses`` of ``netwatch store query``: days on which devices hid their lookups."""

import argparse
from itertools import islice
from typing import TYPE_CHECKING

from netwatch.cli.terminal import note, output

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.coverage.bypass import Finding
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
    from netwatch.formats.bypass import write_bypasses
    from netwatch.report.bypasses import known_addresses
    from netwatch.store.untold import bypass_findings

    known = known_addresses(config)
    findings = bypass_findings(catalogue, options, wanted.since, wanted.until, known)
    if findings.unread:
        note(
            args,
            f"the first {findings.unread} days were not looked at: they have too many flows;"
            " ask for them with --until",
        )
    found = (each for each in findings.found if _matches(each, wanted))
    with output(args.output) as stream:
        write_bypasses(args.format, stream, islice(found, wanted.limit))


def _matches(finding: "Finding", wanted: "Filter") -> bool:
    device = finding.bypass.own.device
    if wanted.networks and device.network not in wanted.networks:
        return False
    return not wanted.device or device.device.lower() == wanted.device.lower()
