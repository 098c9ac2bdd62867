"""``netwatch signatures drift`` and ``import``: the catalogue beside public lists.

Results go to standard output; what was read of each list, bad lines and what a person must decide
go to standard error. Lists come from files, never from the network.
"""

import argparse
import datetime
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.cli.group import Group
from netwatch.cli.printing import print_columns, print_line, print_message, print_record
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.listed_name import NameList
from netwatch.core.text import quantity
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import App
from netwatch.lists.reader import MAX_LIST_BYTES, read_list
from netwatch.lists.registry import LIST_FORMATS
from netwatch.rules.catalog import Catalog
from netwatch.rules.draft import Draft, make_draft
from netwatch.rules.drift import CHANGES, AppDrift, Change, Difference, Drift, compare
from netwatch.rules.signature import Rule
from netwatch.rules.sources import SOURCES, families

SHOWN = 20
"""Differences of a kind that the table shows for an app, unless the user says otherwise."""

_LISTS = """LIST is a file, or - for standard input. Its format is recognised by its content. A
URL is not fetched: download the list, and look at it, first.
"""
_DRIFT = f"""{_LISTS}
examples:
  netwatch signatures drift --app tiktok --source v2fly data/tiktok
  netwatch signatures drift hosts.txt filter.txt        whichever apps the lists name
  netwatch signatures drift --format jsonl --app vk vk.txt | jq 'select(.change == "lacking")'

exit status: 0 done, whatever the differences; 1 a list could not be read; 2 usage or
configuration error
"""
_IMPORT = f"""{_LISTS}
examples:
  netwatch signatures import data/tiktok --app tiktok --source v2fly -o tiktok.yaml
  netwatch signatures import list.txt --app acme \\
    --name Acme --vendor acme --category video -o acme.yaml

exit status: 0 done; 1 the list could not be read; 2 usage or configuration error, or FILE exists
"""
_TITLES: dict[Change, str] = {
    "lacking": "listed, and no rule takes it",
    "partial": "listed with all below it, of which rules take a part",
    "other-app": "listed, and taken by a rule of another app",
    "shared": "listed, but many owners share it",
    "ours-only": "a rule that the list does not have",
    "stale-source": "a rule that names the list as a source, which does not have it",
    "excepted": "a rule whose name the list takes out",
    "unsourced": "a rule that the list has, without a source of its family",
}
_TAG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


def add(group: Group, catalog: Callable[[argparse.Namespace], Catalog]) -> None:
    """Register the commands; `catalog` reads the catalogue of the configuration."""
    drifting = group.command(
        "drift",
        lambda args: _drift(args, catalog(args)),
        "show how public lists and the signatures differ",
        _DRIFT,
    )
    importing = group.command(
        "import",
        lambda args: _import(args, catalog(args)),
        "make a draft of a signature file from a public list",
        _IMPORT,
        table=False,
    )
    drifting.add_argument(
        "lists", metavar="LIST", nargs="+", help="a file, or - for standard input"
    )
    drifting.add_argument("--app", metavar="ID", help="the app that all names of the lists are of")
    drifting.add_argument(
        "--limit",
        metavar="N",
        type=_limit,
        default=SHOWN,
        help=f"differences of a kind that the table shows for an app (default {SHOWN}, 0 for all)",
    )
    importing.add_argument("list", metavar="LIST", help="a file, or - for standard input")
    importing.add_argument("--app", metavar="ID", required=True, help="the id of the app")
    for option, what in (("name", "name"), ("vendor", "vendor"), ("category", "category")):
        importing.add_argument(
            f"--{option}", metavar="TEXT", help=f"the {what} of an app that is not in the catalogue"
        )
    importing.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the draft to FILE, which must not exist (default: standard output)",
    )
    for parser in (drifting, importing):
        parser.add_argument(
            "--source",
            metavar="TAG",
            help="the tag by which rules name the list as a source (default: the name of the file)",
        )
        parser.add_argument(
            "--as",
            dest="list_format",
            choices=tuple(LIST_FORMATS),
            metavar="FORMAT",
            help=f"the format of the list, if not its content decides: {', '.join(LIST_FORMATS)}",
        )


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of differences, 0 or more")
    return int(text)


def _drift(args: argparse.Namespace, catalog: Catalog) -> int:
    if args.app is not None:
        _known_app(catalog, args.app)
    drifts = []
    status = 0
    for path in args.lists:
        source = _source(args.source, path)
        try:
            listing = _read(path, args.list_format)
        except ConfigError as error:
            _print_problems(error.problems)
            status = 1
            continue
        drift = compare(catalog, listing, source, args.app)
        _describe_list(listing, drift.patterns)
        drifts.append(drift)
    merged = _merge(drifts)
    if args.format == "jsonl":
        for record in _records(drifts, merged):
            print_record(record)
    elif drifts:
        _print_table(drifts, merged, args.limit)
    return status


def _known_app(catalog: Catalog, app_id: str) -> App:
    signature = catalog.signatures.get(app_id)
    if signature is None:
        hint = did_you_mean(app_id, catalog.signatures, cutoff=0.5)
        expected = "expected an app id (see netwatch signatures list)"
        raise ConfigError([Problem("--app", 0, 0, f"{expected}, found '{app_id}'{hint}")])
    return signature.app


def _source(given: str | None, path: str) -> str:
    """The tag of a list: the given one, else made from the name of its file."""
    if given is None:
        stem = "standard-input" if path == "-" else Path(path).stem.lower()
        return re.sub("[^a-z0-9]+", "-", stem).strip("-") or "list"
    if not _TAG.match(given) or len(given) > 64:
        expected = "expected a word of a-z, 0-9 and single hyphens that begins with a letter"
        raise ConfigError([Problem("--source", 0, 0, f"{expected}, found '{given}'")])
    return given


def _read(path: str, list_format: str | None) -> NameList:
    if re.match(r"[a-z][a-z0-9+.-]*://", path):
        message = "a URL is not fetched: expected a file that was downloaded from it"
        raise ConfigError([Problem(path, 0, 0, message)])
    if path != "-":
        return read_list(path, list_format)
    raw = sys.stdin.buffer.read(MAX_LIST_BYTES + 1)
    if len(raw) > MAX_LIST_BYTES:
        message = f"expected at most {MAX_LIST_BYTES:,} bytes, found more"
        raise ConfigError([Problem("standard input", 0, 0, message)])
    return read_list("standard input", list_format, raw)


def _describe_list(listing: NameList, patterns: int) -> None:
    """Say on standard error what was read, and which lines were not."""
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
    _print_problems(listing.problems)
    if listing.bad_lines > len(listing.problems):
        more = listing.bad_lines - len(listing.problems)
        print_message(f"netwatch: {listing.path}: {quantity(more, 'more bad line')}")


def _print_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        print_message(str(problem))


@dataclass(slots=True)
class _Merged:
    """A difference that one or several lists have: each with its source and place."""

    change: Change
    app: str
    kind: str
    name: str
    rule: Rule | None
    places: list[tuple[str, str, int]]

    @property
    def families(self) -> list[str]:
        """The families of the lists, sorted."""
        return sorted(families([source for source, _, _ in self.places], self.app))


def _merge(drifts: Sequence[Drift]) -> list[_Merged]:
    """The differences of all lists, those of several families first."""
    found: dict[tuple[str, str, str, str], _Merged] = {}
    for drift in drifts:
        for each in drift.differences:
            key = (each.app, each.change, each.kind, each.name)
            merged = found.setdefault(key, _merged(each))
            merged.places.append((drift.source, each.file, each.line))
    order = {change: at for at, change in enumerate(CHANGES)}
    return sorted(
        found.values(),
        key=lambda each: (
            each.app,
            order[each.change],
            -len(each.families),
            each.name,
            each.kind,
        ),
    )


def _merged(each: Difference) -> _Merged:
    return _Merged(each.change, each.app, each.kind, each.name, each.rule, [])


def _records(drifts: Sequence[Drift], merged: Iterable[_Merged]) -> Iterator[dict[str, Any]]:
    for drift in drifts:
        listing = drift.listing
        head = {"list": listing.path, "source": drift.source}
        yield {
            "record": "list",
            **head,
            "format": listing.format,
            "sha256": listing.digest,
            "names": len(listing.names) - drift.patterns,
            "exceptions": len(listing.exceptions),
            "patterns": drift.patterns,
            "of_no_app": drift.of_no_app,
            "skipped": dict(sorted(listing.skipped.items())),
            "bad_lines": listing.bad_lines,
        }
        for app in drift.apps:
            yield {"record": "app", **head, "family": drift.family(app.app), **_counts(app)}
    for each in merged:
        record: dict[str, Any] = {
            "record": "difference",
            "change": each.change,
            "app": each.app,
            "kind": each.kind,
            "name": each.name,
            "families": each.families,
            "places": [
                {"source": source, "file": file, "line": line} for source, file, line in each.places
            ],
        }
        if each.rule is not None:
            rule = each.rule
            record["rule"] = {
                "text": rule.text,
                "app": rule.app.id,
                "role": rule.role,
                "sources": list(rule.sources),
                "file": rule.file,
                "line": rule.line,
            }
        yield record


def _counts(app: AppDrift) -> dict[str, Any]:
    coverage = app.coverage
    return {
        "app": app.app,
        "listed": app.listed,
        "have": app.have,
        "coverage": None if coverage is None else round(coverage, 4),
        "rules": app.rules,
        "confirmed": app.confirmed,
        "changes": dict(app.changes),
    }


def _print_table(drifts: Sequence[Drift], merged: Sequence[_Merged], limit: int) -> None:
    rows: list[tuple[str, ...]] = []
    rows.append(("LIST", "FAMILY", "APP", "LISTED", "HAVE", "COVERAGE", "RULES", "CONFIRMED"))
    for drift in drifts:
        for app in drift.apps:
            counts = (app.listed, app.have, _percent(app.coverage), app.rules, app.confirmed)
            family = drift.family(app.app)
            rows.append((drift.listing.path, family, app.app, *map(str, counts)))
    if len(rows) > 1:
        print_columns(rows)
    for drift in drifts:
        if drift.of_no_app:
            count = quantity(drift.of_no_app, "name")
            print_line(f"{drift.listing.path}: {count} of no known app, not compared")
    groups: dict[tuple[str, Change], list[_Merged]] = {}
    for each in merged:
        groups.setdefault((each.app, each.change), []).append(each)
    for (app_id, change), group in groups.items():
        print_line()
        print_line(f"{app_id}: {change}, {_TITLES[change]} ({len(group):,})")
        shown = group[: limit or None]
        print_columns([_row(each) for each in shown], indent=2)
        if len(group) > len(shown):
            print_line(f"  and {len(group) - len(shown):,} more (--limit 0, --format jsonl)")


def _row(each: _Merged) -> tuple[str, ...]:
    _, file, line = each.places[0]
    about = ", ".join(each.families)
    if each.change in ("other-app", "partial") and each.rule is not None:
        about += f"; here: {each.rule.text} ({each.rule.app.id}, {each.rule.role})"
    elif each.change in ("stale-source", "ours-only", "unsourced", "excepted") and each.rule:
        about += f"; sources: {', '.join(each.rule.sources)}"
    return f"{each.kind} {each.name}", f"{file}:{line}", about


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _import(args: argparse.Namespace, catalog: Catalog) -> int:
    app = _app(args, catalog)
    source = _source(args.source, args.list)
    if not _TAG.match(source):
        message = f"expected --source, since '{source}' (from the name of the file) is no tag"
        raise ConfigError([Problem(args.list, 0, 0, message)])
    if args.output and os.path.lexists(args.output):
        raise _exists(args.output)
    try:
        listing = _read(args.list, args.list_format)
    except ConfigError as error:
        _print_problems(error.problems)
        return 1
    today = datetime.datetime.now(datetime.UTC).date()
    draft = make_draft(catalog, listing, app, source, today)
    _describe_list(listing, sum(listed.kind == "pattern" for listed in listing.names))
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
    elif not _TAG.match(args.app):
        message = f"expected a word of a-z, 0-9 and single hyphens, found '{args.app}'"
        problems.append(Problem("--app", 0, 0, message))
    else:
        for key, value in given.items():
            if not value or (key != "name" and not _TAG.match(value)):
                message = f"expected the {key} of '{args.app}', which is not in the catalogue"
                problems.append(Problem(f"--{key}", 0, 0, message))
    if problems:
        raise ConfigError(problems)
    return App(args.app, args.name, args.vendor, args.category)


def _report_draft(draft: Draft, args: argparse.Namespace, app: App, source: str) -> None:
    """Say on standard error what is not in a draft, and what a person must decide."""
    for listed, reason in draft.left_out:
        print_message(
            f"{listed.file}:{listed.line}: left out {listed.kind} {listed.name}: {reason}"
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
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
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
