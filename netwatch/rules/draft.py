"""A public list as the draft of a signature file, with the origin of each name.

A list shows that names go together, but not whose they are. So every rule of a draft is exclusive
with ``verified: false``, which caps what it proves, and a name that cannot belong to one app is
left out with its reason. A list's host stays a host: a rule covers everything below a domain only
if the list says so.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from netwatch.core.errors import Problem
from netwatch.core.names import ListedName, NameList
from netwatch.core.text import escaped, quantity
from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import App
from netwatch.core.yaml_reader import parse_yaml
from netwatch.rules.catalog import Catalog, literal_tail
from netwatch.rules.drift import tails, why_shared
from netwatch.rules.lint import lint
from netwatch.rules.load import with_signature
from netwatch.rules.rule_names import name_fault
from netwatch.rules.shared_zones import why_common
from netwatch.rules.signature import read_signature

MAX_EXAMPLES = 3
"""Names of a draft under ``tests``, of those that match and of look-alikes each."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A signature file as text. `left_out` has the entries that are not in it, each with the
    reason; `held_back` those that only a person can add, because most devices contact them or they
    belong to a government; `excepted` the exceptions of lists that are below a rule of the draft,
    which has no exceptions; `open_questions` are for a person to decide before `signatures lint`
    accepts the file."""

    text: str
    rules: int
    left_out: tuple[tuple[ListedName, str], ...]
    held_back: tuple[tuple[ListedName, str], ...]
    excepted: tuple[ListedName, ...]
    open_questions: tuple[Problem, ...]


def make_draft(
    catalog: Catalog, listings: Sequence[NameList], app: App, source: str, day: datetime.date
) -> Draft:
    """The draft of a file for `app` with the names of lists that no rule takes yet. `source` is
    the tag of the lists, `day` the day on which they were read."""
    left_out: list[tuple[ListedName, str]] = []
    held_back: list[tuple[ListedName, str]] = []
    found: dict[tuple[str, str], ListedName] = {}
    for listed in (listed for listing in listings for listed in listing.names):
        reason = _why_not(catalog, listed, app)
        if reason is None:
            common = why_common(_probe(listed))
            if common:
                held_back.append((listed, common))
            else:
                found.setdefault((listed.kind, listed.name), listed)
        elif reason:
            left_out.append((listed, reason))
    chosen = _without_covered([*found.values()])
    count = len(left_out) + len(held_back)
    text = "".join(_lines(chosen, listings, app, source, day, count))
    zones = {listed.name for listed in chosen if listed.kind == "suffix"}
    excepted = (
        listed
        for listing in listings
        for listed in listing.exceptions
        if listed.kind != "pattern" and any(tail in zones for tail in tails(_probe(listed)))
    )
    questions = _check(catalog, text, app) if chosen else ()
    return Draft(text, len(chosen), tuple(left_out), tuple(held_back), tuple(excepted), questions)


def _probe(listed: ListedName) -> str:
    """The name; of a glob, the part without wildcards."""
    return literal_tail(listed.name) if listed.kind == "glob" else listed.name


def _why_not(catalog: Catalog, listed: ListedName, app: App) -> str | None:
    """Why a listed name is not in the draft, None if it is; empty if we already have it."""
    if listed.kind == "pattern":
        return "a pattern, which names no domain"
    if listed.kind == "glob":
        fault = name_fault(listed.name, "glob")
        if fault or why_shared(literal_tail(listed.name)):
            return fault or "its zone belongs to many owners"
    else:
        fault = name_fault(listed.name, listed.kind)
        shared = fault or why_shared(listed.name)
        if shared:
            return shared
    matching = catalog.matching_rules(_probe(listed))
    if listed.kind != "host":
        matching = (rule for rule in matching if rule.kind == "suffix")
    taking = next(matching, None)
    if taking is None:
        return None
    if taking.app.id == app.id:
        return ""
    return f"{taking.text} gives it to the app '{taking.app.id}' ({taking.file}:{taking.line})"


def _without_covered(chosen: list[ListedName]) -> list[ListedName]:
    """The names not covered by a suffix of the list."""
    zones = {listed.name for listed in chosen if listed.kind == "suffix"}
    kept = []
    for listed in chosen:
        above = tails(_probe(listed))
        if listed.kind == "suffix":
            next(above)
        if not any(tail in zones for tail in above):
            kept.append(listed)
    return sorted(kept, key=lambda listed: (listed.kind != "suffix", listed.kind, listed.name))


def _lines(
    chosen: list[ListedName],
    listings: Sequence[NameList],
    app: App,
    source: str,
    day: datetime.date,
    left_out: int,
) -> Iterator[str]:
    for listing in listings:
        of = f"{escaped(listing.path)} ({listing.format})"
        yield f"# A draft from the list {of}, source {source}, read on {day}.\n"
        yield f"# SHA-256 of the list: {listing.digest}\n"
    were = quantity(left_out, "entry was", "entries were")
    yield f"# {were} left out. No one has verified that these names belong to the app\n"
    yield "# alone: a person must, before verified: false goes.\n"
    yield f"app: {app.id}\n"
    yield f"name: {_quoted(app.name)}\n"
    yield f"vendor: {app.vendor}\ncategory: {app.category}\ndomains:\n"
    for listed in chosen:
        name = f'"{listed.name}"' if listed.kind == "glob" else listed.name
        yield f"  - {{{listed.kind}: {name}, role: exclusive, verified: false,"
        yield f" sources: [{source}]}}\n"
    names = [listed.name for listed in chosen if listed.kind != "glob"][:MAX_EXAMPLES]
    if names:
        lookalikes = [f"not{name}" for name in names if name.count(".") == 1]
        lookalikes += [f"{name}.example.org" for name in names]
        yield f"tests:\n  match: [{', '.join(names)}]\n"
        yield f"  ignore: [{', '.join(lookalikes)}]\n"


def _quoted(text: str) -> str:
    dumped: str = yaml.safe_dump(text, allow_unicode=True, default_style='"', width=1 << 20)
    return dumped.strip()


def _check(catalog: Catalog, text: str, app: App) -> tuple[Problem, ...]:
    """The findings of lint with the draft on top of the catalogue that it does not have without
    it."""
    problems = Problems()
    mapping = parse_yaml(text, f"{app.id}.yaml", problems, rows_of="domains")
    signature = mapping and read_signature(mapping, f"{app.id}.yaml", problems)
    if not signature:
        return tuple(problems.found)
    together = with_signature(catalog, signature, problems)
    found = {*problems.found, *lint(together)}
    return tuple(sorted(found - {*lint(catalog)}))
