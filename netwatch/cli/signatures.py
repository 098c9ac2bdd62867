"""``netwatch signatures``: look into the catalogue, and hold signature files to its rules.

What is asked for goes to standard output, what is said about it to standard error. The
exit status is that of grep where a name is looked for (1: one of them is no app's), and 2
where a file is wrong.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from netwatch.cli.group import Group
from netwatch.core.addresses import ip_text
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.names import normalise_name
from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import App
from netwatch.rules import bans
from netwatch.rules.catalog import Catalog
from netwatch.rules.explain import why
from netwatch.rules.lint import example_problems, rule_problems
from netwatch.rules.load import gather
from netwatch.rules.signature import Rule

_GROUP = """examples:
  netwatch signatures list                     the apps that are known
  netwatch signatures show tiktok              the names of one, and which bans speak of it
  netwatch signatures match v16.tiktok.com     which rule takes a name, and why
  netwatch signatures lint ./signatures/       before own files are put to use
"""
_MATCH = """examples:
  netwatch signatures match nottiktok.com tiktok.com.example.org
  netwatch signatures match --format jsonl www.tiktok.com | jq .rule

exit status: 0 every name is some app's; 1 one is not; 2 usage or configuration is wrong
"""
_FILES = """examples:
  netwatch signatures {word}                      what the configuration has in use
  netwatch signatures {word} ./signatures/        own files by themselves
  netwatch signatures {word} builtin ./mine.yaml  own files laid over the shipped ones

exit status: 0 all is well; 2 something is not, told as file:line: what is expected
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group; `parents` hold the common options."""
    group = Group(
        groups,
        parents,
        "signatures",
        help="the catalogue of apps and their names",
        description="The catalogue: which apps are known, by which names, and who says so.",
        epilog=_GROUP,
    )
    group.command("list", _list, "list the apps")
    showing = group.command("show", _show, "show an app: its rules, its networks, its bans")
    matching = group.command("match", _match, "tell which rule takes a name and why", _MATCH)
    lints, tests = _FILES.format(word="lint"), _FILES.format(word="test")
    linting = group.command("lint", _lint, "hold files to all rules", lints, table=False)
    testing = group.command("test", _test, "try the names in the files", tests, table=False)
    showing.add_argument("app", metavar="APP", help="an app's id, as list shows it")
    matching.add_argument("names", metavar="NAME", nargs="+", help="a host name")
    for parser in (linting, testing):
        parser.add_argument(
            "paths", metavar="PATH", nargs="*", help="a file or folder of signatures, or builtin"
        )


def _catalog(args: argparse.Namespace) -> Catalog:
    from netwatch.config import load_catalog

    return load_catalog(args.config)


def _list(args: argparse.Namespace) -> int:
    signatures = _catalog(args).signatures.values()
    if args.format == "jsonl":
        _jsonl({**_app(each.app), "rules": len(each.rules)} for each in signatures)
        return 0
    rows = [("APP", "NAME", "VENDOR", "CATEGORY", "RULES")]
    for each in signatures:
        app = each.app
        rows.append((app.id, app.name, app.vendor, app.category, str(len(each.rules))))
    _columns(rows)
    return 0


def _show(args: argparse.Namespace) -> int:
    catalog = _catalog(args)
    signature = catalog.signatures.get(args.app)
    if signature is None:
        problems = Problems()
        catalog.select([(0, args.app)], "APP", problems)
        message = problems.found[0].message if problems.found else "give one app by its id"
        print(f"netwatch: {message}", file=sys.stderr)
        return 2
    speaking = _bans(catalog, args.app)
    if args.format == "jsonl":
        _jsonl(
            [
                {
                    **_app(signature.app),
                    "domains": [_rule(rule) for rule in signature.rules],
                    "asns": [{"number": asn.number, "name": asn.name} for asn in signature.asns],
                    "addresses": list(map(ip_text, signature.addresses)),
                    "bans": speaking,
                }
            ]
        )
        return 0
    app = signature.app
    print(f"{app.id}: {app.name} ({app.vendor}, {app.category})")
    print(f"{signature.file}\n")
    rows = [("RULE", "ROLE", "SOURCES")]
    rows += [(rule.match.rule, rule.role, ", ".join(rule.sources)) for rule in signature.rules]
    _columns(rows)
    for asn in signature.asns:
        print(f"AS{asn.number}  {asn.name}")
    if signature.addresses:
        print(f"addresses: {' '.join(map(ip_text, signature.addresses))}")
    print(f"\nbans: {', '.join(speaking) or 'no pack speaks of it'}")
    return 0


def _match(args: argparse.Namespace) -> int:
    catalog = _catalog(args)
    missed = False
    for given in args.names:
        name = normalise_name(given.encode("utf-8", "surrogateescape"))
        rule = next(catalog.taking(name), None)
        missed |= rule is None
        record: dict[str, Any] = {"name": name}
        if rule:
            record |= {**_app(rule.app), **_rule(rule), "file": rule.file, "line": rule.line}
        record["why"] = why(catalog, name)
        if args.format == "jsonl":
            _jsonl([record])
        elif rule:
            print(f"{name}: {rule.app.id} ({rule.app.name}), {rule.role}, by {rule.match.rule}")
            print(f"  where    {rule.file}:{rule.line}")
            print(f"  sources  {', '.join(rule.sources)}")
            print(f"  why      {record['why']}")
        else:
            print(f"{name}: no rule takes it")
            print(f"  why      {record['why']}")
    return 1 if missed else 0


def _lint(args: argparse.Namespace) -> int:
    catalog, found = _gathered(args)
    found |= {*rule_problems(catalog), *example_problems(catalog)}
    return _report(found, f"{len(catalog.signatures)} apps, {_count(catalog.rules())} rules")


def _test(args: argparse.Namespace) -> int:
    catalog, found = _gathered(args)
    found |= {*example_problems(catalog)}
    names = sum(len(each.examples) for each in catalog.signatures.values())
    return _report(found, f"{len(catalog.signatures)} apps, {names} names tried")


def _gathered(args: argparse.Namespace) -> tuple[Catalog, set[Problem]]:
    """What the files hold that is sound in form, and what is not."""
    problems = Problems()
    if args.paths:
        return gather(args.paths, Path(), problems), set(problems.found)
    try:
        return _catalog(args), set()
    except ConfigError as error:
        return Catalog([], ""), set(error.problems)


def _report(found: Iterable[Problem], what: str) -> int:
    lines = sorted(found)
    for problem in lines:
        print(problem)
    print(
        f"netwatch: {what}, {len(lines) or 'no'} problem{'s'[: len(lines) != 1]}", file=sys.stderr
    )
    return 2 if lines else 0


def _bans(catalog: Catalog, app: str) -> list[str]:
    """The packs that speak of an app, of those whose apps the catalogue has."""
    speaking = []
    for ban_id in bans.pack_ids():
        try:
            pack = bans.load_pack(ban_id, catalog)
        except ConfigError:
            continue
        if app in pack.ban.apps:
            speaking.append(ban_id)
    return speaking


def _app(app: App) -> dict[str, Any]:
    fields = ("id", "name", "vendor", "category")
    return {"app": {field: getattr(app, field) for field in fields}}


def _rule(rule: Rule) -> dict[str, Any]:
    return {"rule": rule.match.rule, "role": rule.role, "sources": list(rule.sources)}


def _count(items: Iterable[object]) -> int:
    return sum(1 for _ in items)


def _jsonl(records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        print(json.dumps(record, ensure_ascii=False))


def _columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Rows in aligned columns, the last one ragged, or right-aligned where it counts."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    counts = all(row[-1].isdigit() for row in rows[1:])
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        print("  ".join([*cells, row[-1].rjust(widths[-1]) if counts else row[-1]]))
