"""``netwatch signatures drift``: the catalogue compared with public lists.

Differences go to standard output, information about each list to standard error.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from netwatch.cli.group import Group
from netwatch.cli.printing import print_columns, print_line, print_record
from netwatch.cli.signature_import import (
    A_LIST,
    LISTS_HELP,
    add_list_options,
    describe_list,
    print_problems,
    read_given,
    source_tag,
)
from netwatch.core.errors import ConfigError
from netwatch.core.text import quantity
from netwatch.core.user_yaml import did_you_mean
from netwatch.rules.catalog import Catalog
from netwatch.rules.drift import CHANGES, AppDrift, Change, Difference, Drift, compare
from netwatch.rules.grade import families
from netwatch.rules.signature import Rule

SHOWN = 20
"""Differences of a kind to show for an app in the table, by default."""

_DRIFT = f"""{LISTS_HELP}
examples:
  netwatch signatures drift --app tiktok --source v2fly data/tiktok
  netwatch signatures drift hosts.txt filter.txt        whichever apps the lists name
  netwatch signatures drift --format jsonl --app vk vk.txt | jq 'select(.change == "lacking")'

exit status: 0 done, whatever the differences; 1 a list could not be read; 2 usage or
configuration error
"""
_TITLES: dict[Change, str] = {
    "lacking": "listed, and no rule matches it",
    "partial": "listed with all names below it, and rules match only some of them",
    "other-app": "listed, and matched by a rule of another app",
    "shared": "listed, but many owners share it",
    "ours-only": "a rule that the list does not have",
    "stale-source": "a rule that names the list as a source, which does not have it",
    "excepted": "a rule whose name the list excepts",
    "unsourced": "a rule that the list has, without a source of its family",
}


def add(group: Group, catalog: Callable[[argparse.Namespace], Catalog]) -> None:
    """Register the command; `catalog` reads the catalogue of the configuration."""
    parser = group.command(
        "drift",
        lambda args: _drift(args, catalog(args)),
        "show how public lists and the signatures differ",
        _DRIFT,
    )
    parser.add_argument("lists", metavar="LIST", nargs="+", help=A_LIST)
    parser.add_argument(
        "--app", metavar="ID", help="the app to which all names of the lists belong"
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=_limit,
        default=SHOWN,
        help=f"how many differences of each kind to show for an app (default {SHOWN}, 0 for all)",
    )
    add_list_options(parser)


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(
            f"expected a number of differences, 0 or more, found {text!r}"
        )
    return int(text)


def _drift(args: argparse.Namespace, catalog: Catalog) -> int:
    if args.app is not None:
        _require_app(catalog, args.app)
    drifts = []
    status = 0
    for path in args.lists:
        source = source_tag(args.source, path)
        try:
            listing = read_given(path, args.list_format)
        except ConfigError as error:
            print_problems(error.problems)
            status = 1
            continue
        drift = compare(catalog, listing, source, args.app)
        describe_list(listing, drift.patterns)
        drifts.append(drift)
    merged = _merge(drifts)
    if args.format == "jsonl":
        for record in _records(drifts, merged):
            print_record(record)
    elif drifts:
        _print_table(drifts, merged, args.limit)
    return status


def _require_app(catalog: Catalog, app_id: str) -> None:
    if app_id not in catalog.signatures:
        hint = did_you_mean(app_id, catalog.signatures, cutoff=0.5)
        expected = "expected an app id (see netwatch signatures list)"
        raise ConfigError.of("--app", f"{expected}, found '{app_id}'{hint}")


@dataclass(slots=True)
class _Merged:
    """A difference found in one or several lists: each with its source and place."""

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
