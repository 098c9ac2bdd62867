"""Checks of the shipped signatures: where their grades come from, and that they accuse nobody.

They apply to the rules that came with netwatch, and to no rule of a site's own files, which count
as their authors wrote them. Each check is a row of `LINT_RULES` in `netwatch.rules.lint`.
"""

from collections.abc import Iterator

from netwatch.core.flow import BYPASS_CATEGORIES
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.rules.catalog import Catalog, Hit
from netwatch.rules.embedded_hosts import EMBEDDED_HOSTS
from netwatch.rules.lint_rule import Finding
from netwatch.rules.shared_zones import public_suffixes
from netwatch.rules.signature import Rule
from netwatch.rules.sources import SOURCES, families

MIN_IGNORED = 10
"""Names under `tests: ignore` that a shipped app needs: look-alikes, and hosts that pages embed."""


def unknown_sources(catalog: Catalog) -> Iterator[Finding]:
    """Source tags without a row in `netwatch.rules.sources`."""
    for rule in _shipped_rules(catalog):
        for tag in rule.sources:
            if tag not in SOURCES:
                hint = did_you_mean(tag, SOURCES)
                yield (
                    rule,
                    f"{rule.text} names the unknown source '{tag}'; expected one of"
                    f" netwatch/rules/sources.py{hint}",
                )


def verified_by_many(catalog: Catalog) -> Iterator[Finding]:
    """Rules whose owner nobody confirmed although several independent sources agree."""
    for rule in _shipped_rules(catalog):
        found = families(rule.sources, rule.app.id)
        if not rule.marks.verified and len(found) > 1:
            yield (
                rule,
                f"{rule.text} has 'verified: false', but {len(found)} independent sources"
                f" ({', '.join(sorted(found))}) agree; expected one of the two",
            )


def few_ignored_names(catalog: Catalog) -> Iterator[Finding]:
    """Apps with too few names that they must not match."""
    for app_id, signature in catalog.signatures.items():
        count = len({each.name for each in signature.examples if not each.wanted})
        if count < MIN_IGNORED and any(rule.marks.shipped for rule in signature.rules):
            yield (
                signature,
                f"app '{app_id}' has {count} names under 'tests: ignore'; expected at least"
                f" {MIN_IGNORED} look-alikes and hosts that pages embed",
            )


def covered_by_aliases(catalog: Catalog) -> Iterator[Finding]:
    """Rules for names that the CDN tails of the app cover with the same result."""
    for rule in _shipped_rules(catalog):
        cover = _cover(catalog, rule)
        if cover:
            yield (
                rule,
                f"{rule.text} is not needed: it is {cover.rule.text} under the CDN tail"
                f" {cover.tail} of the app's 'aliases' ({cover.rule.file}:{cover.rule.line})",
            )


def _cover(catalog: Catalog, rule: Rule) -> Hit | None:
    """The match of the name without this rule, if it is one under a CDN tail that is as strong."""
    if rule.kind == "glob":
        return None
    hits = (hit for hit in catalog.hits(rule.name) if hit.rule is not rule)
    cover = next(hits, None)
    if cover is None or not cover.tail:
        return None
    same = (cover.rule.app.id, cover.rule.role) == (rule.app.id, rule.role)
    stronger = CONFIDENCE_RANK[cover.rule.grade.value] >= CONFIDENCE_RANK[rule.grade.value]
    marked = rule.marks.cap or not rule.marks.verified or rule.marks.embed_reachable
    if not same or not stronger or (marked and cover.rule.marks != rule.marks):
        return None
    return cover


def embedded_hosts(catalog: Catalog) -> Iterator[Finding]:
    """Rules that give a host which others call more than its row in `EMBEDDED_HOSTS` allows."""
    for row in EMBEDDED_HOSTS.values():
        rule = next(catalog.matching_rules(row.host), None)
        if rule is None or not rule.marks.shipped:
            continue
        value = rule.grade.value
        if CONFIDENCE_RANK[value] > CONFIDENCE_RANK[row.most]:
            yield (
                rule,
                f"{rule.text} gives {row.host} the grade {value}, but it is called by"
                f" {row.callers}; expected at most {row.most}",
            )


def unproved_zones(catalog: Catalog) -> Iterator[Finding]:
    """Whole zones whose every name would prove the app. An app has a site, links that people share,
    files or an API for developers in its zones, so only names that the app alone calls may give
    `confirmed`. The zones of apps that hide names serve nothing else."""
    for rule in _shipped_rules(catalog):
        if (
            rule.kind != "suffix"
            or rule.role != "exclusive"
            or rule.app.category in BYPASS_CATEGORIES
        ):
            continue
        if rule.grade.value != "confirmed" and not rule.grade.lone_family:
            continue
        if public_suffixes().privatesuffix(rule.name) == rule.name:
            yield (
                rule,
                f"{rule.text} lets every name of a zone prove the app; expected"
                " 'embed_reachable: true', and rules for the names that only the app calls",
            )


def _shipped_rules(catalog: Catalog) -> Iterator[Rule]:
    return (rule for rule in catalog.rules() if rule.marks.shipped)
