"""Why a rule takes a name, or why none does, in words for people."""

from netwatch.rules.catalog import Catalog
from netwatch.rules.signature import Rule

_TELLING = 4
"""Letters that an app's id needs for a name that holds it to be more than chance."""


def why(catalog: Catalog, name: str) -> str:
    """One sentence on what the catalogue makes of a name in its one spelling."""
    taking = list(catalog.taking(name))
    if not taking:
        return _why_none(catalog, name)
    winner, *losers = taking
    reason = _why_one(winner, name)
    if losers:
        lost = ", ".join(f"{rule.match.rule} ({rule.app.id}, {rule.role})" for rule in losers)
        reason += f"; more specific than {lost}"
    return reason


def _why_one(rule: Rule, name: str) -> str:
    if rule.kind == "host":
        return "it is that very name"
    if rule.kind == "glob":
        return "it has the same labels, each * standing for letters inside one"
    if name == rule.name:
        return "it is the zone itself"
    return f"it stands below {rule.name} at a label boundary"


def _why_none(catalog: Catalog, name: str) -> str:
    """The longest name of a rule that it tells, and why that is not enough."""
    told = [rule for rule in catalog.rules() if rule.kind != "glob" and rule.name in name]
    if not told:
        return _why_not_near(catalog, name)
    near = max(told, key=lambda rule: len(rule.name))
    if not name.endswith(near.name):
        return f"{near.name} ({near.app.id}) stands inside it, but its end tells the owner"
    if name.endswith(f".{near.name}"):
        return f"{near.match.rule} ({near.app.id}) takes that very name, not what is below it"
    labels = name.split(".")[-near.name.count(".") - 1 :]
    return (
        f"{near.name} ({near.app.id}) is only the end of the label '{labels[0]}',"
        f" so {'.'.join(labels)} is another's domain"
    )


def _why_not_near(catalog: Catalog, name: str) -> str:
    for id in catalog.signatures:
        if len(id) >= _TELLING and id in name:
            return f"it tells '{id}', but is no zone or host of that app"
    return "no rule has a name like it"
