"""How the catalogue and a public list differ: what is in one of them and not in the other.

A listed name counts as one that we have if a rule takes it, also a rule for a zone above it. A list
is about one app if the caller says so. Otherwise a listed name belongs to the app of the rule that
takes it, or of rules for other names of its registrable domain; names of no app are only counted,
since a list of trackers has a million of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from netwatch.core.names import ListedName, NameList
from netwatch.rules.catalog import Catalog, literal_tail
from netwatch.rules.grade import families
from netwatch.rules.shared_zones import SHARED_ZONES, public_suffixes
from netwatch.rules.signature import Rule

Change = Literal[
    "lacking",
    "partial",
    "other-app",
    "shared",
    "ours-only",
    "stale-source",
    "excepted",
    "unsourced",
]
CHANGES: tuple[Change, ...] = get_args(Change)
"""The kinds of differences, in the order of reports.

Of listed names: no rule takes it (`lacking`); rules take a part of what is below it (`partial`); a
rule of another app takes it (`other-app`); it is a public suffix or a shared zone (`shared`). Of
rules: the list lacks it (`ours-only`), although the rule names the list as a source
(`stale-source`), or takes it out itself (`excepted`); the list has it, and no source of the rule is
of its family (`unsourced`)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference about an app: a listed name, or a rule. `file` and `line` are where it is
    written; `rule` is the rule concerned, None if there is none."""

    change: Change
    app: str
    kind: str
    name: str
    file: str
    line: int
    rule: Rule | None = None


@dataclass(slots=True)
class AppDrift:
    """Counts for one app and one list. Of its `listed` names `have` are taken by a rule of the app.
    Of its `rules` the list has `confirmed`, entirely or names below them."""

    app: str
    listed: int = 0
    have: int = 0
    rules: int = 0
    confirmed: int = 0
    changes: dict[Change, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))

    @property
    def coverage(self) -> float | None:
        """The share of listed names that we have, 0 to 1, without shared zones; None if there
        are none."""
        count = self.listed - self.changes["shared"]
        return self.have / count if count else None


@dataclass(frozen=True, slots=True)
class Drift:
    """One list compared with the catalogue. `of_no_app` are names that were compared with no app,
    `patterns` entries that are not names."""

    listing: NameList
    source: str
    apps: tuple[AppDrift, ...]
    differences: tuple[Difference, ...]
    of_no_app: int
    patterns: int

    def family(self, app_id: str) -> str:
        """The family of the list as a source of names of an app."""
        (family,) = families([self.source], app_id)
        return family


def compare(catalog: Catalog, listing: NameList, source: str, app_id: str | None = None) -> Drift:
    """Compare a list with the catalogue. `source` is the tag that rules name the list by, `app_id`
    the app that all its names belong to, if they do."""
    return _Comparison(catalog, listing, source, app_id).run()


def why_shared(name: str) -> str:
    """Why a name cannot belong to a single app; empty if it can."""
    if name in SHARED_ZONES:
        return SHARED_ZONES[name]
    return "a public suffix" if public_suffixes().is_public(name) else ""


def tails(name: str) -> Iterator[str]:
    """A name and all domains above it with at least two labels."""
    while "." in name:
        yield name
        name = name.partition(".")[2]


class _Comparison:
    def __init__(
        self, catalog: Catalog, listing: NameList, source: str, app_id: str | None
    ) -> None:
        self._catalog = catalog
        self._listing = listing
        self._source = source
        self._app_id = app_id
        self._drifts: dict[str, AppDrift] = {}
        self._differences: list[Difference] = []
        self._of_no_app = 0
        self._touched: set[tuple[str, str]] = set()
        self._below = _rules_below(catalog)

    def run(self) -> Drift:
        if self._app_id is not None:
            self._drift(self._app_id)
        patterns = 0
        for listed in self._listing.names:
            if listed.kind == "pattern":
                patterns += 1
            else:
                self._compare_listed(listed)
        index = _ListIndex(self._listing)
        for app_id, drift in self._drifts.items():
            for rule in self._catalog.signatures[app_id].rules:
                self._compare_rule(rule, drift, index)
        order = {change: at for at, change in enumerate(CHANGES)}
        differences = sorted(
            self._differences,
            key=lambda difference: (
                difference.app,
                order[difference.change],
                difference.name,
                difference.kind,
            ),
        )
        apps = tuple(drift for _, drift in sorted(self._drifts.items()))
        return Drift(
            self._listing, self._source, apps, tuple(differences), self._of_no_app, patterns
        )

    def _drift(self, app_id: str) -> AppDrift:
        if app_id not in self._drifts:
            self._drifts[app_id] = AppDrift(app_id)
        return self._drifts[app_id]

    def _compare_listed(self, listed: ListedName) -> None:
        taking, whole = self._taking_rule(listed)
        below = self._below.get(listed.name) if not whole and listed.kind == "suffix" else None
        app_id = self._app_id or (taking or below or self._neighbour(listed.name) or _NOBODY).app_id
        if not app_id:
            self._of_no_app += 1
            return
        drift = self._drift(app_id)
        drift.listed += 1
        change: Change
        if taking is not None and taking.app_id != app_id:
            change = "other-app"
        elif whole:
            drift.have += 1
            return
        elif listed.kind != "glob" and why_shared(listed.name):
            change = "shared"
        elif taking is not None or below is not None:
            change = "partial"
        else:
            change = "lacking"
        concerned = taking or below
        rule = concerned.rule if concerned else None
        self._add(drift, change, listed.kind, listed.name, listed, rule)

    def _taking_rule(self, listed: ListedName) -> "tuple[_Owner | None, bool]":
        """The rule that takes a listed name, and whether it takes everything that the entry
        covers."""
        if listed.kind == "glob":
            rules = [
                rule
                for rule in self._catalog.matching_rules(literal_tail(listed.name))
                if rule.kind == "suffix"
            ]
            whole = next(iter(rules), None)
            if whole is None:
                same = self._catalog.matching_rules(listed.name.replace("*", "x"))
                whole = next((rule for rule in same if rule.name == listed.name), None)
            if whole is not None:
                self._touch([*rules, whole])
            return (_Owner(whole), True) if whole else (None, False)
        matching = list(self._catalog.matching_rules(listed.name))
        self._touch(matching)
        if not matching:
            return None, False
        if listed.kind == "host":
            return _Owner(matching[0]), True
        zone = next((rule for rule in matching if rule.kind == "suffix"), None)
        return _Owner(zone or matching[0]), zone is not None

    def _touch(self, rules: Iterable[Rule]) -> None:
        self._touched.update((rule.kind, rule.name) for rule in rules)

    def _neighbour(self, name: str) -> "_Owner | None":
        """A rule for another name of the registrable domain of `name`, or above or below it."""
        return next((self._below[tail] for tail in tails(name) if tail in self._below), None)

    def _compare_rule(self, rule: Rule, drift: AppDrift, index: "_ListIndex") -> None:
        drift.rules += 1
        state = index.state(rule)
        is_named = (rule.kind, rule.name) in self._touched
        if state == "excepted":
            self._add(drift, "excepted", rule.kind, rule.name, rule, rule)
        elif state == "listed" or is_named:
            drift.confirmed += 1
            family = families([self._source], rule.app.id)
            # A zone above the name says nothing about a rule that distinguishes this name from the
            # others.
            if is_named and not family <= families(rule.sources, rule.app.id):
                self._add(drift, "unsourced", rule.kind, rule.name, rule, rule)
        else:
            is_stale = self._source in rule.sources
            change: Change = "stale-source" if is_stale else "ours-only"
            self._add(drift, change, rule.kind, rule.name, rule, rule)

    def _add(
        self,
        drift: AppDrift,
        change: Change,
        kind: str,
        name: str,
        at: ListedName | Rule,
        rule: Rule | None,
    ) -> None:
        drift.changes[change] += 1
        self._differences.append(Difference(change, drift.app, kind, name, at.file, at.line, rule))


class _Owner:
    """A rule, with the id of its app; empty if it has none."""

    __slots__ = ("app_id", "rule")

    def __init__(self, rule: Rule | None) -> None:
        self.rule = rule
        self.app_id = rule.app.id if rule else ""


_NOBODY = _Owner(None)


def _rules_below(catalog: Catalog) -> Mapping[str, _Owner]:
    """For each domain at or above the name of a rule, up to its registrable domain, a rule there.
    Domains with rules of several apps are left out."""
    owners: dict[str, _Owner] = {}
    several: set[str] = set()
    suffixes = public_suffixes()
    for rule in catalog.rules():
        name = literal_tail(rule.name) if rule.kind == "glob" else rule.name
        registrable = suffixes.privatesuffix(name)
        for tail in tails(name):
            if tail in SHARED_ZONES or registrable is None:
                break
            owner = owners.setdefault(tail, _Owner(rule))
            if owner.app_id != rule.app.id:
                several.add(tail)
            if tail == registrable:
                break
    return {tail: owner for tail, owner in owners.items() if tail not in several}


class _ListIndex:
    """Whether a list has the name of a rule."""

    def __init__(self, listing: NameList) -> None:
        self._prevail = listing.exceptions_prevail
        self._names: dict[str, set[str]] = defaultdict(set)
        for listed in listing.names:
            self._names[listed.kind].add(listed.name)
        self._exceptions: dict[str, set[str]] = defaultdict(set)
        for exception in listing.exceptions:
            self._exceptions[exception.kind].add(exception.name)

    def state(self, rule: Rule) -> Literal["listed", "excepted", "absent"]:
        """Whether the list has the name itself or a zone at or above it."""
        name = literal_tail(rule.name) if rule.kind == "glob" else rule.name
        listed = rule.kind in ("host", "glob") and rule.name in self._names[rule.kind]
        if rule.kind == "host" and name in self._exceptions["host"]:
            return "excepted"
        for tail in tails(name):
            listed = listed or tail in self._names["suffix"]
            if tail in self._exceptions["suffix"] and (self._prevail or not listed):
                return "excepted"
        return "listed" if listed else "absent"
