"""The lint rules for signatures: what makes a well-formed signature file a bad signature.

The form of a file is checked when it is read (`netwatch.rules.signature`). Here rules are checked
against the public suffix list, against zones that many owners share, against the other apps, and
against the names that the file itself lists as matching or not matching. Checks of shipped files
only are in `netwatch.rules.lint_shipped`. A new lint rule is one function and one row of
`LINT_RULES`.
"""

from collections.abc import Iterator

from netwatch.core.errors import Problem
from netwatch.rules import lint_shipped
from netwatch.rules.catalog import Catalog, literal_tail
from netwatch.rules.shared_zones import SHARED_ZONES, UNDECIDED, Finding, LintRule, public_suffixes
from netwatch.rules.signature import Rule

MIN_LABEL = 4
"""Letters that a label with a wildcard needs to identify an app in a shared zone."""

_TOP_LABELS = frozenset({"com", "net", "org"})
"""Last labels of customers' names that a network puts in front of its own zone."""


def lint(catalog: Catalog) -> list[Problem]:
    """The findings of all lint rules, in order of file and line."""
    return _run(LINT_RULES, catalog)


def check_examples(catalog: Catalog) -> list[Problem]:
    """The findings of only the lint rules about examples, in order of file and line."""
    return _run(EXAMPLE_RULES, catalog)


def lint_set(catalog: Catalog) -> list[Problem]:
    """The findings in an installed set: of all lint rules except those about the upkeep of shipped
    files, since a set may know more sources than this release."""
    return _run(tuple(rule for rule in LINT_RULES if rule.id not in _KEEPING_RULES), catalog)


def _run(rules: tuple[LintRule, ...], catalog: Catalog) -> list[Problem]:
    return sorted(
        {
            Problem(at.file, at.line, 0, f"{message} [{rule.id}]")
            for rule in rules
            for at, message in rule.check(catalog)
        }
    )


def _shared_zones(catalog: Catalog) -> Iterator[Finding]:
    for rule in catalog.rules():
        if rule.kind != "glob" and rule.name in SHARED_ZONES:
            yield (
                rule,
                f"{rule.text} matches a whole shared zone: {rule.name} is"
                f" {SHARED_ZONES[rule.name]}; expected a name below it",
            )


def _public_suffixes(catalog: Catalog) -> Iterator[Finding]:
    for rule in catalog.rules():
        if rule.kind == "glob" or rule.name in SHARED_ZONES:
            continue
        if public_suffixes().is_public(rule.name):
            yield (
                rule,
                f"{rule.text} is a public suffix, below which anybody can register; expected a"
                " domain below it",
            )


def _common_zones(catalog: Catalog) -> Iterator[Finding]:
    from netwatch.rules.shared_zones import undecided  # most commands do not lint

    for rule in catalog.rules():
        message = undecided(rule)
        if message:
            yield rule, message


def _ownerless_labels(catalog: Catalog) -> Iterator[Finding]:
    for rule in catalog.rules():
        label, _, zone = rule.name.partition(".")
        if rule.kind != "glob" and label in _TOP_LABELS and zone in SHARED_ZONES:
            yield (
                rule,
                f"{rule.text} identifies no app: {zone} is {SHARED_ZONES[zone]}, and '{label}' is"
                " not the name of a customer; expected one more label",
            )


def _unbound_globs(catalog: Catalog) -> Iterator[Finding]:
    for rule in catalog.rules():
        if rule.kind == "glob" and _has_open_domain(rule):
            yield (
                rule,
                f"{rule.text} has a * in its registrable domain; expected that domain written out",
            )


def _unspecific_globs(catalog: Catalog) -> Iterator[Finding]:
    for rule in catalog.rules():
        if rule.kind != "glob" or _has_open_domain(rule):
            continue
        zone = literal_tail(rule.name)
        label = rule.name.removesuffix(f".{zone}").rpartition(".")[2]
        if len(label) - label.count("*") >= MIN_LABEL:
            continue
        reason = SHARED_ZONES.get(zone)
        if reason is None and public_suffixes().is_public(zone):
            reason = "a public suffix, below which anybody can register"
        if reason:
            yield (
                rule,
                f"{rule.text} identifies no app: {zone} is {reason}; expected at least {MIN_LABEL}"
                f" letters next to the * in '{label}'",
            )


def _has_open_domain(glob: Rule) -> bool:
    return public_suffixes(only_icann=True).is_public(literal_tail(glob.name))


def _duplicate_names(catalog: Catalog) -> Iterator[Finding]:
    names: dict[str, Rule] = {}
    for rule in catalog.rules():
        first = names.setdefault(rule.name, rule)
        if first.app.id != rule.app.id:
            yield (
                rule,
                f"{rule.text} is also a name of app '{first.app.id}' ({first.file}:{first.line});"
                " expected each name in one app only",
            )


def _foreign_vendors(catalog: Catalog) -> Iterator[Finding]:
    for rule in catalog.rules():
        for wider in _wider_rules(catalog, rule):
            if wider.app.vendor != rule.app.vendor:
                yield (
                    wider,
                    f"{wider.text} also matches {rule.text} of app '{rule.app.id}'"
                    f" ({rule.file}:{rule.line}), which belongs to another vendor",
                )


def _wider_rules(catalog: Catalog, rule: Rule) -> Iterator[Rule]:
    if rule.kind == "glob":
        matching = catalog.matching_rules(literal_tail(rule.name))
        return (wider for wider in matching if wider.kind == "suffix")
    return (wider for wider in catalog.matching_rules(rule.name) if wider.name != rule.name)


def _foreign_tails(catalog: Catalog) -> Iterator[Finding]:
    for signature in catalog.signatures.values():
        for alias in signature.aliases:
            if public_suffixes(only_icann=True).is_public(alias.tail):
                yield (
                    alias,
                    f"CDN tail {alias.tail} is a public suffix, below which anybody can register;"
                    " expected the zone of a CDN",
                )
            for rule in catalog.matching_rules(alias.tail):
                if rule.app.vendor != signature.app.vendor:
                    yield (
                        alias,
                        f"CDN tail {alias.tail} is a name of app '{rule.app.id}'"
                        f" ({rule.file}:{rule.line}), which belongs to another vendor; expected the"
                        " zone of a CDN",
                    )


def _unmatched_examples(catalog: Catalog) -> Iterator[Finding]:
    for app_id, signature in catalog.signatures.items():
        for example in signature.examples:
            if not example.wanted:
                continue
            winner = next(catalog.matching_rules(example.name), None)
            if winner is None:
                yield example, f"'{example.name}' must match, but no rule matches it"
            elif winner.app.id != app_id:
                yield (
                    example,
                    f"'{example.name}' must match '{app_id}', but {winner.text} of"
                    f" '{winner.app.id}' ({winner.file}:{winner.line}) matches it",
                )


def _matched_examples(catalog: Catalog) -> Iterator[Finding]:
    for app_id, signature in catalog.signatures.items():
        for example in signature.examples:
            if example.wanted:
                continue
            # A rule that loses to a more specific one of another app is also at fault.
            matching = catalog.matching_rules(example.name)
            own = next((rule for rule in matching if rule.app.id == app_id), None)
            if own:
                yield example, f"'{example.name}' must not match, but {own.text} matches it"


EXAMPLE_RULES = (
    LintRule(
        "example-not-matched",
        "error",
        "a name under `tests: match` is not matched by a rule of the app",
        _unmatched_examples,
    ),
    LintRule(
        "example-matched",
        "error",
        "a name under `tests: ignore` is matched by a rule of the app",
        _matched_examples,
    ),
)
"""The lint rules about examples, which are all that `signatures test` runs."""

LINT_RULES = (
    LintRule(
        "public-suffix",
        "error",
        "a suffix or host is a public suffix, below which anybody can register (`github.io`)",
        _public_suffixes,
    ),
    LintRule(
        "shared-zone",
        "error",
        "a suffix or host is a zone that many owners share: the apex of a CDN or cloud "
        "(`akamaized.net`)",
        _shared_zones,
    ),
    LintRule(
        UNDECIDED,
        "error",
        "a name is one of high rank, a government's, a public resolver's, an update service's, or "
        "in a private zone, and there is no `decide:` with a reason",
        _common_zones,
    ),
    LintRule(
        "shared-zone-label",
        "error",
        "a name in a shared zone begins with a label that is not a customer (`com.akamaized.net`)",
        _ownerless_labels,
    ),
    LintRule(
        "glob-domain",
        "error",
        "a glob has a `*` in its registrable domain",
        _unbound_globs,
    ),
    LintRule(
        "glob-unspecific",
        "error",
        f"a glob in a shared zone has fewer than {MIN_LABEL} letters next to its `*`",
        _unspecific_globs,
    ),
    LintRule(
        "duplicate-name",
        "error",
        "two apps have a rule for the same name",
        _duplicate_names,
    ),
    LintRule(
        "other-vendor",
        "error",
        "a rule also matches a name of an app of another vendor",
        _foreign_vendors,
    ),
    LintRule(
        "alias-tail",
        "error",
        "an entry of `aliases` is a public suffix (`com.cn`), or a name of another vendor's app",
        _foreign_tails,
    ),
    *EXAMPLE_RULES,
    LintRule(
        "unknown-source",
        "error",
        "a shipped rule names a source that is not among the [sources](#sources)",
        lint_shipped.unknown_sources,
    ),
    LintRule(
        "verified-by-many",
        "error",
        "a shipped rule has `verified: false`, and several independent sources",
        lint_shipped.verified_by_many,
    ),
    LintRule(
        "few-ignore-tests",
        "error",
        f"a shipped app has fewer than {lint_shipped.MIN_IGNORED} names under `tests: ignore`",
        lint_shipped.few_ignored_names,
    ),
    LintRule(
        "alias-covered",
        "error",
        "a shipped rule is not needed, because a zone of the app and its `aliases` give the same",
        lint_shipped.covered_by_aliases,
    ),
    LintRule(
        "embedded-host",
        "error",
        "a shipped rule gives a host that pages, other apps or servers call without the app a "
        "higher grade than a contact with it can prove",
        lint_shipped.embedded_hosts,
    ),
    LintRule(
        "unproved-zone",
        "error",
        "a shipped `exclusive` suffix is a whole registered domain, and all names in it would be "
        "`confirmed`; pages call some of them",
        lint_shipped.unproved_zones,
    ),
)
"""All lint rules, in the order of the reference."""

_KEEPING_RULES = (
    "unknown-source",
    "verified-by-many",
    "few-ignore-tests",
    "alias-covered",
    "unproved-zone",
)
