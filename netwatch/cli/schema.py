"""``netwatch schema``: the JSON Schema of a record, for programs that read it."""

import argparse
import sys
from collections.abc import Sequence

_EXAMPLES = """examples:
  netwatch schema alert >alert.json          the records of `scan --format jsonl`
  netwatch schema observation                the records of `names --format jsonl`
  netwatch schema case                       the records of `store query cases --format jsonl`
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; its `func` returns the exit status."""
    from netwatch.formats.schemas import SCHEMAS

    parser = groups.add_parser(
        "schema",
        help="print the JSON Schema of a record",
        description="Print the JSON Schema of a record, as `scan --format jsonl` prints one.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("record", metavar="RECORD", choices=SCHEMAS, help=", ".join(SCHEMAS))
    parser.set_defaults(func=schema)


def schema(args: argparse.Namespace) -> int:
    """Run ``netwatch schema`` and return the exit status."""
    from netwatch.formats.schemas import text

    sys.stdout.write(text(args.record))
    return 0
