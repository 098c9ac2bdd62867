"""``store compact``: many small files become few in order, and what killed processes left goes."""

import argparse

from netwatch.cli.common_options import add_store_option
from netwatch.cli.group import Group
from netwatch.cli.printing import print_line, print_record
from netwatch.cli.store import store_options
from netwatch.core.text import quantity


def add_compact(group: Group) -> None:
    """Add ``compact``."""
    parser = group.command(
        "compact", _compact, "merge small files into few that are ordered, and sweep leftovers"
    )
    add_store_option(parser)


def _compact(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch.store import landing
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.fact_files import FactFiles

    files = FactFiles(options.path)
    with Catalogue.open(options) as catalogue:
        done = landing.compact(files, catalogue)
        swept = landing.sweep(files, catalogue)
    if args.format == "jsonl":
        print_record(
            {
                "rows": done.rows,
                "written": done.written,
                "removed": done.removed,
                "swept": len(swept),
            }
        )
    else:
        print_line(
            f"{quantity(done.rows, 'row')} written to {quantity(done.written, 'file')} in place of"
            f" {quantity(done.removed, 'file')}, {quantity(len(swept), 'leftover')} removed"
        )
    return 0
