"""``netwatch signatures``: show the catalogue of apps, and check signature files.

Results go to standard output, counts and errors to standard error. The exit status of ``match`` is
like grep's: 1 if a name matches no rule. Mistakes in a file give exit status 2.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from netwatch.cli import (
    signature_drift,
    signature_export,
    signature_import,
    signature_update,
)
from netwatch.cli.group import Group, add_store_option
from netwatch.cli.printing import (
    Lines,
    print_columns,
    print_error,
    print_line,
    print_message,
    print_record,
    print_value,
)
from netwatch.core.addresses import ip_text
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.tabular import aligned
from netwatch.core.text import quantity
from netwatch.core.user_yaml import Problems, did_you_mean
from netwatch.rules import bans
from netwatch.rules.catalog import Catalog
from netwatch.rules.explain import MatchRecords, app_record, rule_record
from netwatch.rules.lint import check_examples, lint
from netwatch.rules.lint_shipped import lint_packs
from netwatch.rules.load import BUILTIN, load_signatures, read_signatures
from netwatch.rules.signature import Signature

MAX_LINE = 4096
"""Bytes of a line of names on standard input, at most."""

_GROUP = """examples:
  netwatch signatures list                     list all known apps
  netwatch signatures show tiktok              show the rules of one app, and the bans that name it
  netwatch signatures match v16.tiktok.com     show which rule matches a name, and why
  netwatch signatures lint ./signatures/       check your own files before you use them
  netwatch signatures drift --app vk list.txt  how a public list and the signatures differ
  netwatch signatures export --as rpz --ban be-fed-tiktok-2023  names for a resolver to block
  netwatch signatures update                   install the newest signed set
"""
_MATCH = """examples:
  netwatch signatures match nottiktok.com tiktok.com.example.org
  netwatch signatures match --format jsonl www.tiktok.com | jq .rule
  netwatch signatures match - <names.txt         names from standard input, one a line

exit status: 0 every name matches a rule; 1 a name matches none; 2 usage or configuration error
"""
_FILES = """examples:
  netwatch signatures {word}                      the signatures of the configuration
  netwatch signatures {word} ./signatures/        only your own files
  netwatch signatures {word} builtin ./mine.yaml  your own file on top of the shipped ones

exit status: 0 no problem was found; 2 there are problems, each shown as file:line: problem
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group; `parents` have the common options."""
    group = Group(
        groups,
        parents,
        "signatures",
        help="show and check the catalogue of apps",
        description="The catalogue: the known apps, their names, and the sources that list them.",
        epilog=_GROUP,
    )
    group.command("list", _list, "list the apps")
    showing = group.command("show", _show, "show the rules of an app, and the bans that name it")
    matching = group.command("match", _match, "show which rule matches a name, and why", _MATCH)
    lints, tests = _FILES.format(word="lint"), _FILES.format(word="test")
    linting = group.command(
        "lint", _lint, "check signature files with all lint rules", lints, table=False
    )
    testing = group.command(
        "test", _test, "check the example names in signature files", tests, table=False
    )
    signature_drift.add(group, _catalog)
    signature_import.add(group, _catalog)
    signature_export.add(group)
    _add_feedback(group)
    showing.add_argument("app", metavar="APP", help="the id or name of an app, as shown by list")
    matching.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="a host name, a URL, or - for names from standard input, one a line",
    )
    signature_update.add(group)
    signature_update.add_publish(group)
    for parser in (linting, testing):
        parser.add_argument(
            "paths",
            metavar="PATH",
            nargs="*",
            help="a signature file, a folder, or builtin (default: the configuration's)",
        )


def _catalog(args: argparse.Namespace) -> Catalog:
    from netwatch.config import load_catalog

    return load_catalog(args.config)


def _list(args: argparse.Namespace) -> int:
    signatures = _catalog(args).signatures.values()
    signature_update.print_installed(args)
    if args.format == "jsonl":
        _jsonl({"app": app_record(item.app), "rules": len(item.rules)} for item in signatures)
        return 0
    rows = [("APP", "NAME", "VENDOR", "CATEGORY", "RULES")]
    for item in signatures:
        app = item.app
        rows.append((app.id, app.name, app.vendor, app.category, str(len(item.rules))))
    print_columns(rows)
    return 0


def _show(args: argparse.Namespace) -> int:
    catalog = _catalog(args)
    signature = _find_signature(catalog, args.app)
    if signature is None:
        expected = "expected an app id (see netwatch signatures list)"
        hint = did_you_mean(args.app.lower(), catalog.signatures, cutoff=0.5)
        print_message(f"netwatch: {expected}, found '{args.app}'{hint}")
        return 2
    ban_ids = _bans(catalog, signature.app.id)
    if args.format == "jsonl":
        record = {
            "app": app_record(signature.app),
            "domains": [rule_record(rule) for rule in signature.rules],
            "aliases": [alias.tail for alias in signature.aliases],
            "asns": [{"number": asn.number, "name": asn.name} for asn in signature.asns],
            "addresses": list(map(ip_text, signature.addresses)),
            "bans": ban_ids,
        }
        _jsonl([record])
        return 0
    app = signature.app
    print_line(f"{app.id}: {app.name} ({app.vendor}, {app.category})")
    print_line(signature.file)
    print_line()
    rules = signature.rules
    rows = [(rule.text, rule.role, rule.grade.value) for rule in rules]
    head, *lines = aligned([("RULE", "ROLE", "GRADE"), *rows])
    print_line(head)
    for rule, line in zip(rules, lines, strict=True):
        print_line(line)
        because = (
            f"because of {', '.join(rule.grade.conditions)}; " if rule.grade.conditions else ""
        )
        print_value("  ", f"{because}sources: {', '.join(rule.sources)}")
    if signature.aliases:
        tails = ", ".join(alias.tail for alias in signature.aliases)
        print_value("CDN tails of its zones: ", tails)
    for asn in signature.asns:
        print_line(f"AS{asn.number}  {asn.name}")
    if signature.addresses:
        print_value("addresses: ", " ".join(map(ip_text, signature.addresses)))
    print_line()
    print_value("bans: ", ", ".join(ban_ids) or "no pack names this app")
    return 0


def _find_signature(catalog: Catalog, word: str) -> Signature | None:
    """The signature of the app that has this id or this name, in upper or lower case."""
    folded = word.casefold()
    named = (
        signature
        for signature in catalog.signatures.values()
        if signature.app.name.casefold() == folded
    )
    return catalog.signatures.get(folded) or next(named, None)


def _match(args: argparse.Namespace) -> int:
    records = MatchRecords(_catalog(args))
    unmatched = False
    problems: list[Problem] = []
    with Lines() as lines:
        for raw in _given_names(args.names, problems):
            record = records.record(raw)
            unmatched |= "rule" not in record
            if args.format == "jsonl":
                lines.record(record)
            else:
                for label, text in _matched(record):
                    lines.value(label, text)
    for problem in problems:
        print_error(str(problem))
    return 2 if problems else 1 if unmatched else 0


def _matched(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The record of a name as labels and texts for people."""
    if "rule" not in record:
        yield "", f"{record['name']}: no rule matches"
    else:
        app = record["app"]
        by = f"{app['id']} ({app['name']}), {record['role']}, by {record['rule']}"
        yield "", f"{record['name']}: {by}"
        yield "  where    ", f"{record['file']}:{record['line']}"
        yield "  sources  ", ", ".join(record["sources"])
        if "decide" in record:
            yield "  decided  ", record["decide"]
        yield "  grade    ", f"{record['grade']}: {'; '.join(record['grade_reasons'])}"
    yield "  why      ", record["why"]


def _given_names(words: Iterable[str], problems: list[Problem]) -> Iterator[bytes]:
    """The names on the command line, with those from standard input instead of ``-``. Lines that
    are too long are noted."""
    for word in words:
        if word == "-":
            yield from _lines_of_input(problems)
        else:
            yield _host_of(word).encode("utf-8", "surrogateescape")


def _host_of(word: str) -> str:
    """A name, or the host of a given URL."""
    if "://" not in word:
        return word
    try:
        return urlsplit(word).hostname or word
    except ValueError:  # an IPv6 address without its bracket
        return word


def _lines_of_input(problems: list[Problem]) -> Iterator[bytes]:
    """The lines of standard input that are neither empty nor comments, without white space."""
    stream = sys.stdin.buffer
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            message = f"expected a name of at most {MAX_LINE:,} bytes, found a longer line"
            problems.append(Problem("standard input", number, 0, message))
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            continue
        name = line.strip()
        if name and not name.startswith(b"#"):
            yield name


def _lint(args: argparse.Namespace) -> int:
    catalog, problems = _read(args)
    problems |= {*lint(catalog)}
    if not args.paths or BUILTIN in args.paths:
        problems |= _pack_problems()
    apps = quantity(len(catalog.signatures), "app")
    return _report(problems, f"{apps}, {quantity(_count(catalog.rules()), 'rule')}")


def _pack_problems() -> set[Problem]:
    try:
        return {*lint_packs(load_signatures([BUILTIN], Path()))}
    except ConfigError as error:
        return set(error.problems)


def _test(args: argparse.Namespace) -> int:
    catalog, problems = _read(args)
    problems |= {*check_examples(catalog)}
    names = sum(len(signature.examples) for signature in catalog.signatures.values())
    apps = quantity(len(catalog.signatures), "app")
    return _report(problems, f"{apps}, {quantity(names, 'example name')}")


def _read(args: argparse.Namespace) -> tuple[Catalog, set[Problem]]:
    """The signatures without mistakes in their form, and the mistakes."""
    problems = Problems()
    if args.paths:
        return read_signatures(args.paths, Path(), problems), set(problems.found)
    try:
        return _catalog(args), set()
    except ConfigError as error:
        return Catalog([], ""), set(error.problems)


def _report(problems: set[Problem], checked: str) -> int:
    for problem in sorted(problems):
        print_line(str(problem))
    count = quantity(len(problems), "problem") if problems else "no problems"
    print_message(f"netwatch: {checked}, {count}")
    return 2 if problems else 0


def _bans(catalog: Catalog, app: str) -> list[str]:
    """The ids of the packs that name an app, among those whose apps are all in the catalogue."""
    found = []
    for ban_id in bans.pack_ids():
        try:
            pack = bans.load_pack(ban_id, catalog)
        except ConfigError:
            continue
        if app in pack.ban.apps:
            found.append(ban_id)
    return found


def _count(items: Iterable[object]) -> int:
    return sum(1 for _ in items)


def _jsonl(records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        print_record(record)


_FEEDBACK_SCHEMA = "netwatch.feedback/1"
"""The schema of a record."""

_FEEDBACK = """examples:
  netwatch signatures feedback                               the rules with false alarms
  netwatch signatures feedback --format jsonl >feedback.jsonl  to send to the maintainer

In the console, analysts close incidents as justified or as false alarms. Both are counted by the
rule of the strongest evidence and by the versions of the signatures and of netwatch that judged.
Nothing else is exported: no device, network, name, time, reason or account.
"""


def _add_feedback(group: Group) -> None:
    """Register the command."""
    parser = group.command(
        "feedback", _feedback, "export the rules that raised false alarms", _FEEDBACK
    )
    add_store_option(parser)


def _feedback(args: argparse.Namespace) -> int:
    from netwatch.cli.console import opened_database

    with opened_database(args, "signatures feedback") as database:
        from netwatch.console.triage import Triage

        found = Triage(database).by_rule()
    if args.format == "jsonl":
        with Lines() as lines:
            for each in found:
                lines.record({"schema": _FEEDBACK_SCHEMA, **asdict(each)})
    elif found:
        print_columns([
            ("APP", "RULE", "FALSE", "JUSTIFIED", "SIGNATURES", "NETWATCH"),
            *(
                (each.app, each.rule, str(each.false), str(each.justified), each.signatures,
                 each.netwatch)
                for each in found
            ),
        ])  # fmt: skip
    else:
        print_message("netwatch: no incident was closed as a false alarm in the console")
    return 0
