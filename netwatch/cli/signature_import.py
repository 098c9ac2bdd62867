"""``netwatch signatures import``: a public list as the draft of a signature file; and the common
parts of `import` and `drift` for lists: options, reading, messages.

The draft goes to standard output or to a new file. Lists come from files, never from the network.
What was read from each list, the unreadable lines, what is not in a draft, and what a person must
decide, goes to standard error.
"""

import argparse
import datetime
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli.group import Group
from netwatch.cli.printing import print_error, print_line, print_message
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.names import ListedName, NameList
from netwatch.core.system.files import O_CLOEXEC
from netwatch.core.text import quantity
from netwatch.core.verdict import App
from netwatch.lists.reader import COMPARED, DRAFTED, LIST_FORMATS, Bounds, read_list
from netwatch.rules.catalog import Catalog
from netwatch.rules.grade import SOURCES

if TYPE_CHECKING:
    from netwatch.rules.draft import Draft

LISTS_HELP = """LIST is a file, or - for standard input. Its format is recognised by its content. A
URL is not fetched: download the list, and look at it, first.
"""
"""The text on lists in the help of both commands."""

A_LIST = "a file, or - for standard input"
"""The help of an argument that names a list."""

TAG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
"""The syntax of a source tag, an app id, a vendor or a category."""

_IMPORT = f"""{LISTS_HELP}
examples:
  netwatch signatures import data/tiktok --app tiktok --source v2fly -o tiktok.yaml
  netwatch signatures import list.txt --app acme \\
    --name Acme --vendor acme --category video -o acme.yaml
  netwatch signatures import --format suricata local.rules --only tiktok --app tiktok

exit status: 0 done; 1 a list could not be read; 2 usage or configuration error, or FILE exists
"""

_ALIASES = {"adguard": "adblock"}
"""Other names of formats, by which their users know them."""


def add_list_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the options that describe a list; `names` are further names of ``--as``."""
    parser.add_argument(
        "--source",
        metavar="TAG",
        help="how rules name the list as a source (default: the name of the file)",
    )
    parser.add_argument(
        "--as",
        *names,
        dest="list_format",
        type=lambda word: _ALIASES.get(word, word),
        choices=tuple(LIST_FORMATS),
        metavar="FORMAT",
        help="the format of the list (default: by its content): "
        + ", ".join([*LIST_FORMATS, "adguard (adblock)"]),
    )


def source_tag(given: str | None, path: str) -> str:
    """The tag of a list: the given one, otherwise made from the name of its file."""
    if given is None:
        stem = "standard-input" if path == "-" else Path(path).stem.lower()
        return re.sub("[^a-z0-9]+", "-", stem).strip("-") or "list"
    if not TAG.match(given) or len(given) > 64:
        expected = "expected a word of a-z, 0-9 and single hyphens that begins with a letter"
        raise ConfigError.of("--source", f"{expected}, found '{given}'")
    return given


def read_given(path: str, list_format: str | None, bounds: Bounds = COMPARED) -> NameList:
    """The list in a file, or on standard input for ``-``, within `bounds`. Raises
    `ConfigError` if it cannot be read."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path):
        message = "a URL is not fetched: expected a file that was downloaded from it"
        raise ConfigError.of(path, message)
    if path != "-":
        return read_list(path, list_format, bounds=bounds)
    raw = sys.stdin.buffer.read(bounds.bytes + 1)
    if len(raw) > bounds.bytes:
        message = f"expected at most {bounds.bytes:,} bytes, found more"
        raise ConfigError.of("standard input", message)
    return read_list("standard input", list_format, raw, bounds)


def describe_list(listing: NameList, patterns: int) -> None:
    """Report on standard error what was read, and which lines were not."""
    parts = [f"{listing.format}, {quantity(len(listing.names) - patterns, 'name')}"]
    if listing.exceptions:
        parts.append(quantity(len(listing.exceptions), "exception"))
    if patterns:
        parts.append(f"{quantity(patterns, 'pattern')} not compared")
    parts += [f"{what}: {count:,}" for what, count in sorted(listing.skipped.items())]
    if listing.bad_lines:
        parts.append(quantity(listing.bad_lines, "bad line"))
    print_message(f"netwatch: {listing.path}: {'; '.join(parts)}")
    if listing.format == "plain" and all(listed.kind == "host" for listed in listing.names):
        hint = "every name is read as one host; --as domain-list reads it with all names below it"
        print_message(f"netwatch: {listing.path}: {hint}")
    print_problems(listing.problems)
    if listing.bad_lines > len(listing.problems):
        more = listing.bad_lines - len(listing.problems)
        print_message(f"netwatch: {listing.path}: {quantity(more, 'more bad line')}")


def print_problems(problems: Iterable[Problem]) -> None:
    """Print mistakes on standard error."""
    for problem in problems:
        print_error(str(problem))


def add(group: Group, catalog: Callable[[argparse.Namespace], Catalog]) -> None:
    """Register the command; `catalog` reads the catalogue of the configuration."""
    parser = group.command(
        "import",
        lambda args: _import(args, catalog(args)),
        "make a draft of a signature file from a public list",
        _IMPORT,
        table=False,
    )
    parser.add_argument("lists", metavar="LIST", nargs="+", help=A_LIST)
    parser.add_argument("--app", metavar="ID", required=True, help="the id of the app")
    parser.add_argument(
        "--only",
        metavar="TEXT",
        help="only entries of which the list says TEXT: in the message of a Suricata rule, the"
        " source or description of a Zeek indicator, the protocol of nDPI, an attribute",
    )
    for word in ("name", "vendor", "category"):
        what = f"the {word} of an app that is not in the catalogue"
        parser.add_argument(f"--{word}", metavar="TEXT", help=what)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the draft to FILE, which must not exist (default: standard output)",
    )
    add_list_options(parser, "--format")


def _import(args: argparse.Namespace, catalog: Catalog) -> int:
    app = _app(args, catalog)
    source = source_tag(args.source, args.lists[0])
    if len(args.lists) > 1 and args.source is None:
        raise ConfigError.of("--source", "expected how rules name these lists, found no --source")
    if not TAG.match(source):
        message = f"expected --source, since '{source}' (from the name of the file) is no tag"
        raise ConfigError.of(args.lists[0], message)
    if args.output and os.path.lexists(args.output):
        raise _exists(args.output)
    listings = []
    for path in args.lists:
        try:
            listing = read_given(path, args.list_format, DRAFTED)
        except ConfigError as error:
            print_problems(error.problems)
            continue
        describe_list(listing, sum(listed.kind == "pattern" for listed in listing.names))
        listings.append(_only(listing, args.only) if args.only else listing)
    if not listings:
        return 1
    # Imported here, because it imports the YAML library, and other commands import this module.
    from netwatch.rules.draft import make_draft

    today = datetime.datetime.now(datetime.UTC).date()
    draft = make_draft(catalog, listings, app, source, today)
    _report_draft(draft, args, app, source)
    if draft.rules:
        _put_out(draft.text, args.output)
    return int(len(listings) < len(args.lists))


def _only(listing: NameList, wanted: str) -> NameList:
    """The list without the entries about which it does not say `wanted`; they are counted."""

    def is_wanted(listed: ListedName) -> bool:
        return any(wanted.casefold() in said.casefold() for said in listed.attributes)

    names = tuple(filter(is_wanted, listing.names))
    if count := len(listing.names) - len(names):
        entries = quantity(count, "entry", "entries")
        print_message(f"netwatch: {listing.path}: {entries} left out, without '{wanted}'")
    return replace(listing, names=names, exceptions=tuple(filter(is_wanted, listing.exceptions)))


def _put_out(text: str, output: str | None) -> None:
    if output:
        _write_new(output, text)
    else:
        for line in text.splitlines():
            print_line(line)


def _app(args: argparse.Namespace, catalog: Catalog) -> App:
    """The app in the catalogue, or the one that the options describe."""
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
    """Report on standard error what is not in a draft, and what a person must decide."""
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
    for listed in draft.excepted:
        print_message(
            f"netwatch: decide: {listed.file}:{listed.line}: the list excepts {listed.kind}"
            f" {listed.name}, and a rule of the draft takes it"
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
    """Write a new file. A partly written one is removed again."""
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
    message = "exists already and is not overwritten; give another path"
    return ConfigError.of(path, message)
