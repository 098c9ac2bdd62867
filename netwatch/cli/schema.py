"""``netwatch schema``: the JSON Schema of a record, for programs that read it, or of a file."""

import argparse
import sys
from collections.abc import Sequence

_EXAMPLES = """examples:
  netwatch schema alert >alert.json          the records of `scan --format jsonl`
  netwatch schema observation                the records of `names --format jsonl`
  netwatch schema case                       the records of `store query cases --format jsonl`
  netwatch schema --for config >config.json  netwatch.yaml, for an editor
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; its `func` returns the exit status."""
    from netwatch.formats.registry import FILE_SCHEMAS, SCHEMAS

    parser = groups.add_parser(
        "schema",
        help="print the JSON Schema of a record or a file",
        description="Print the JSON Schema of a record, as in `scan --format jsonl`, or of a file"
        " that you write, for your editor.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    named = parser.add_mutually_exclusive_group(required=True)
    named.add_argument(
        "record", metavar="RECORD", nargs="?", choices=SCHEMAS, help=", ".join(SCHEMAS)
    )
    named.add_argument(
        "--for",
        dest="file",
        metavar="FILE",
        choices=(*FILE_SCHEMAS, *SCHEMAS),
        help=f"{', '.join(FILE_SCHEMAS)}: netwatch.yaml, the file of an app or of a shipped ban,"
        " the rows of an inventory; or a RECORD",
    )
    parser.set_defaults(func=schema)


def schema(args: argparse.Namespace) -> int:
    """Run ``netwatch schema`` and return the exit status."""
    from netwatch.formats.registry import schema_text

    sys.stdout.write(schema_text(args.record or args.file))
    return 0
