"""``netwatch policy document``: what a controller has to keep or to publish, as drafts in Markdown,
filled in from the configuration.
"""

import argparse

from netwatch.cli.group import Group
from netwatch.cli.terminal import output
from netwatch.config import load

DOCUMENTS = ("dpia", "record", "notice")
"""The documents, as `netwatch.explain.documents` has them."""

_EXAMPLES = """examples:
  netwatch policy document dpia                    the impact assessment (GDPR article 35)
  netwatch policy document record -o record.md     the record of processing (article 30)
  netwatch policy document notice --lang fr        the notice to staff (articles 13 and 14)

exit status: 0 done; 1 the file could not be written; 2 usage or configuration error
"""


def add(group: Group) -> None:
    """Register the command."""
    from netwatch.language.language import LANGUAGES

    parser = group.command(
        "document",
        document,
        "write a draft of the impact assessment, the record of processing or the notice to staff",
        _EXAMPLES,
        table=False,
    )
    parser.add_argument("document", choices=DOCUMENTS, metavar="DOCUMENT", help="%(choices)s")
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        default="en",
        metavar="LANGUAGE",
        help="the language: %(choices)s (default en)",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write to FILE (default: standard output)"
    )


def document(args: argparse.Namespace) -> int:
    """Run ``netwatch policy document`` and return the exit status."""
    from netwatch.explain.documents import documents, markdown
    from netwatch.explain.subject import CATALOGUES
    from netwatch.language.language import language

    config = load(args.config)
    spoken = language(args.lang, CATALOGUES)
    made = documents()[args.document](config, spoken)
    with output(args.output) as stream:
        stream.writelines(f"{line}\n" for line in markdown(made, spoken))
    return 0
