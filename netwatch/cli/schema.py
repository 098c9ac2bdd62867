"""``netwatch schema``: what a record holds, for programs that read it."""

import argparse
import sys
from collections.abc import Sequence

_EXAMPLES = """examples:
  netwatch schema alert >alert.json          what `scan --format jsonl` writes
  netwatch schema observation                what `names --format jsonl` writes
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; it sets `func`, which gives the exit status."""
    from netwatch.formats.schemas import SCHEMAS

    parser = groups.add_parser(
        "schema",
        help="the JSON Schema of a record",
        description="The JSON Schema of a record of --format jsonl.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("record", metavar="RECORD", choices=SCHEMAS, help=", ".join(SCHEMAS))
    parser.set_defaults(func=schema)


def schema(args: argparse.Namespace) -> int:
    """Run ``netwatch schema``; the exit status."""
    from netwatch.formats.schemas import text

    sys.stdout.write(text(args.record))
    return 0
