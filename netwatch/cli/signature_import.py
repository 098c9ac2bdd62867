"""``netwatch signatures import``: a public list as the draft of a signature file.

The draft goes to standard output or to a new file. What is not in it, and what a person must
decide, goes to standard error.
"""

import argparse
import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli.group import Group
from netwatch.cli.list_input import (
    A_LIST,
    LISTS_HELP,
    TAG,
    add_list_options,
    describe_list,
    print_problems,
    read_given,
    source_tag,
)
from netwatch.cli.printing import print_line, print_message
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.system.opening import O_CLOEXEC
from netwatch.core.text import quantity
from netwatch.core.verdict import App
from netwatch.lists.reader import DRAFTED
from netwatch.rules.catalog import Catalog
from netwatch.rules.sources import SOURCES

if TYPE_CHECKING:
    from netwatch.rules.draft import Draft

_IMPORT = f"""{LISTS_HELP}
examples:
  netwatch signatures import data/tiktok --app tiktok --source v2fly -o tiktok.yaml
  netwatch signatures import list.txt --app acme \\
    --name Acme --vendor acme --category video -o acme.yaml

exit status: 0 done; 1 the list could not be read; 2 usage or configuration error, or FILE exists
"""


def add(group: Group, catalog: Callable[[argparse.Namespace], Catalog]) -> None:
    """Register the command; `catalog` reads the catalogue of the configuration."""
    parser = group.command(
        "import",
        lambda args: _import(args, catalog(args)),
        "make a draft of a signature file from a public list",
        _IMPORT,
        table=False,
    )
    parser.add_argument("list", metavar="LIST", help=A_LIST)
    parser.add_argument("--app", metavar="ID", required=True, help="the id of the app")
    for word in ("name", "vendor", "category"):
        what = f"the {word} of an app that is not in the catalogue"
        parser.add_argument(f"--{word}", metavar="TEXT", help=what)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the draft to FILE, which must not exist (default: standard output)",
    )
    add_list_options(parser)


def _import(args: argparse.Namespace, catalog: Catalog) -> int:
    app = _app(args, catalog)
    source = source_tag(args.source, args.list)
    if not TAG.match(source):
        message = f"expected --source, since '{source}' (from the name of the file) is no tag"
        raise ConfigError([Problem(args.list, 0, 0, message)])
    if args.output and os.path.lexists(args.output):
        raise _exists(args.output)
    try:
        listing = read_given(args.list, args.list_format, DRAFTED)
    except ConfigError as error:
        print_problems(error.problems)
        return 1
    # Imported here, because it imports the YAML library, and other commands import this module.
    from netwatch.rules.draft import make_draft

    today = datetime.datetime.now(datetime.UTC).date()
    draft = make_draft(catalog, listing, app, source, today)
    describe_list(listing, sum(listed.kind == "pattern" for listed in listing.names))
    _report_draft(draft, args, app, source)
    if not draft.rules:
        return 0
    if args.output:
        _write_new(args.output, draft.text)
    else:
        for line in draft.text.splitlines():
            print_line(line)
    return 0


def _app(args: argparse.Namespace, catalog: Catalog) -> App:
    """The app of the catalogue, or the one that the options describe."""
    given = {"name": args.name, "vendor": args.vendor, "category": args.category}
    known = catalog.signatures.get(args.app)
    problems = []
    if known is not None:
        for key, value in given.items():
            if value not in (None, getattr(known.app, key)):
                expected = f"expected '{getattr(known.app, key)}' as in {known.file}:{known.line}"
                problems.append(Problem(f"--{key}", 0, 0, f"{expected}, found '{value}'"))
        if not problems:
            return known.app
    elif not TAG.match(args.app):
        message = f"expected a word of a-z, 0-9 and single hyphens, found '{args.app}'"
        problems.append(Problem("--app", 0, 0, message))
    else:
        for key, value in given.items():
            if not value or (key != "name" and not TAG.match(value)):
                message = f"expected the {key} of '{args.app}', which is not in the catalogue"
                problems.append(Problem(f"--{key}", 0, 0, message))
    if problems:
        raise ConfigError(problems)
    return App(args.app, args.name, args.vendor, args.category)


def _report_draft(draft: "Draft", args: argparse.Namespace, app: App, source: str) -> None:
    """Say on standard error what is not in a draft, and what a person must decide."""
    for listed, reason in draft.left_out:
        print_message(
            f"{listed.file}:{listed.line}: left out {listed.kind} {listed.name}: {reason}"
        )
    for listed, reason in draft.held_back:
        print_message(
            f"netwatch: decide: {listed.file}:{listed.line}: {listed.kind} {listed.name} is held"
            f" back: it is in {reason}; add it by hand, with 'decide:' and the reason, if only this"
            " app uses it"
        )
    if not draft.rules:
        print_message("netwatch: the list has no new name for this app; nothing was written")
        return
    print_message(f"netwatch: a draft of {quantity(draft.rules, 'rule')} for {app.id}")
    if source not in SOURCES:
        print_message(f"netwatch: decide: '{source}' is no known source (see --source)")
    expected = f"{app.id}.yaml"
    if args.output and Path(args.output).name != expected:
        print_message(f"netwatch: decide: the file must be called {expected} before it is used")
    for problem in draft.open_questions:
        print_message(f"netwatch: decide: {problem}")


def _write_new(path: str, text: str) -> None:
    """Write a file that does not exist. What was written in part is removed again."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_CLOEXEC, 0o666)
    except FileExistsError:
        raise _exists(path) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        os.unlink(path)  # noqa: PTH108 - the file that was just created
        error.filename = path
        raise


def _exists(path: str) -> ConfigError:
    message = "exists, and is not overwritten: expected a path where there is no file"
    return ConfigError([Problem(path, 0, 0, message)])
