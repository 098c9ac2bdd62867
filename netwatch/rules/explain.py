"""Which rule matches a name and why, or why no rule does: as a record, and in words for people."""

from typing import Any

from netwatch.core.names import normalise_name
from netwatch.core.verdict import App
from netwatch.rules.catalog import Catalog, Hit
from netwatch.rules.signature import Rule


class MatchRecords:
    """The records of names by the rules of a catalogue; many names have the same rule."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # A rule is identified by its kind and name.
        self._of_rules: dict[tuple[str, str], dict[str, Any]] = {}

    def record(self, raw: bytes) -> dict[str, Any]:
        """The record of a name in any spelling. If no rule matches, it only has ``name`` and
        ``why``."""
        name = normalise_name(raw)
        rule, why = explain_name(self._catalog, name)
        if rule is None:
            return {"name": name, "why": why}
        fields = self._of_rules.get((rule.kind, rule.name))
        if fields is None:
            place = {"file": rule.file, "line": rule.line}
            fields = {"app": app_record(rule.app), **rule_record(rule), **place}
            self._of_rules[rule.kind, rule.name] = fields
        return {"name": name, **fields, "why": why}


def app_record(app: App) -> dict[str, Any]:
    """An app as a record."""
    return {"id": app.id, "name": app.name, "vendor": app.vendor, "category": app.category}


def rule_record(rule: Rule) -> dict[str, Any]:
    """A rule as a record, without its app."""
    grade = rule.grade
    decided = {"decide": rule.decide} if rule.decide else {}
    return {
        "rule": rule.text,
        "role": rule.role,
        "grade": grade.value,
        "grade_reasons": list(grade.reasons),
        "sources": list(rule.sources),
        **decided,
    }


def explain_name(catalog: Catalog, name: str) -> tuple[Rule | None, str]:
    """The rule of the catalogue that matches a normalised name, or None, and the reason as one
    sentence."""
    matching = [*catalog.hits(name)]
    if not matching:
        return None, _why_no_match(catalog, name)
    winner, *losers = matching
    reason = _why_match(winner, name)
    if losers:
        reason += f"; more specific than {', '.join(map(_rule_text, losers))}"
    return winner.rule, reason


def _rule_text(hit: Hit) -> str:
    under = f" under {hit.tail}" if hit.tail else ""
    return f"{hit.rule.text}{under} ({hit.rule.app.id}, {hit.rule.role})"


def _why_match(hit: Hit, name: str) -> str:
    if hit.tail:
        return _why_alias(hit, name)
    rule = hit.rule
    if rule.kind == "host":
        return "the name is exactly this host"
    if rule.kind == "glob":
        return "the name has the same labels, where each * is any text inside one label"
    if name == rule.name:
        return "the name is the zone itself"
    return f"the name is below {rule.name} at a label boundary"


def _why_alias(hit: Hit, name: str) -> str:
    rule, tail = hit
    if rule.kind != "suffix":
        host = name.removesuffix(f".{tail}")
        return f"the name is {host} under the CDN tail {tail}"
    place = "is" if name == f"{rule.name}.{tail}" else "is below"
    under = f"zone {rule.name} under the CDN tail {tail}"
    return f"the name {place} {rule.name}.{tail}: {under}"


def _why_no_match(catalog: Catalog, name: str) -> str:
    """The rule with the longest name contained in the given name, and why it does not match."""
    near = catalog.longest_inside(name)
    if near is None:
        return _why_nothing_similar(catalog, name)
    if not name.endswith(near.name):
        return f"it contains {near.name} ({near.app.id}), but the end of a name tells its owner"
    if name.endswith(f".{near.name}"):
        return f"{near.text} ({near.app.id}) matches exactly that name, and none below it"
    labels = name.split(".")[-near.name.count(".") - 1 :]
    return (
        f"{near.name} ({near.app.id}) is only the end of the label '{labels[0]}',"
        f" so {'.'.join(labels)} is a domain of another owner"
    )


def _why_nothing_similar(catalog: Catalog, name: str) -> str:
    app_id = catalog.id_inside(name)
    if app_id:
        return f"it contains '{app_id}', but is not a name of that app"
    return "no rule has a similar name"
