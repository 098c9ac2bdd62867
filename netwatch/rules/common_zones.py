"""Zones that most devices contact, that belong to governments, or that are private: no list of
names, and no signed set, can say alone that one belongs to an app.

Such a name in a signature needs ``decide:`` with a person's reason. The zones, and how they were
compiled, are in ``common_zones.yaml``.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from netwatch.core.errors import Problem
from netwatch.rules.catalog import literal_tail
from netwatch.rules.lint_rule import UNDECIDED
from netwatch.rules.shared_zones import SHARED_ZONES, public_suffixes
from netwatch.rules.signature import Rule

PATH = Path(__file__).with_name("common_zones.yaml")


class CommonZone(NamedTuple):
    """A zone, and why it is common, in words that complete "ZONE is …". Of a zone with
    `has_customers` names below it may be those of somebody else: a site in a cloud."""

    name: str
    why: str
    has_customers: bool


def why_common(name: str) -> str:
    """Why a name needs a person's decision, in words that complete "NAME is in …"; empty if it is
    in no such zone, or the name of a customer of a platform."""
    zone = _find(name)
    if zone is None or (zone.has_customers and _is_customers(name, zone.name)):
        return ""
    return f"{zone.name}, {zone.why}"


def undecided(rule: Rule) -> str:
    """What is wrong with a rule for a name in a common zone without a decision; empty if nothing
    is."""
    if rule.decide:
        return ""
    common = why_common(literal_tail(rule.name) if rule.kind == "glob" else rule.name)
    if not common:
        return ""
    return (
        f"{rule.text} is in {common}; expected 'decide:' with the reason why the app"
        f" '{rule.app.id}' may claim it"
    )


def undecided_rules(rules: Iterable[Rule]) -> Iterator[Problem]:
    """The rules that lack a decision, as problems of their files."""
    for rule in rules:
        message = undecided(rule)
        if message:
            yield Problem(rule.file, rule.line, 0, f"{message} [{UNDECIDED}]")


def _find(name: str) -> CommonZone | None:
    """The zone that a name is in. Of a million names few are, so most are told by two labels."""
    zones, last, second = _zones()
    labels = name.split(".")
    if labels[-1] not in last and (len(labels) < 2 or labels[-2] not in second):
        return None
    for start in range(len(labels)):
        zone = ".".join(labels[start:])
        # The country of a zone such as gov.* is its last label.
        found = zones.get(zone) or zones.get(".".join([*labels[start:-1], "*"]))
        if found is not None:
            return found
    return None


def _is_customers(name: str, zone: str) -> bool:
    """Whether a name in a zone is at or below a zone that many owners share, or a suffix of the
    private section of the public suffix list. Whose it is then is told by the label before that,
    and no rule may take the whole."""
    labels = name.split(".")
    above = [".".join(labels[at:]) for at in range(len(labels) - zone.count("."))]
    if not SHARED_ZONES.keys().isdisjoint(above):
        return True
    return any(map(public_suffixes().is_public, above))


@cache
def _zones() -> tuple[Mapping[str, CommonZone], frozenset[str], frozenset[str]]:
    """The zones by name, those that are one label, and the last label but one of the others."""
    import yaml  # most commands need no zones, since the catalogue is from the cache

    groups = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    zones = {
        zone: CommonZone(zone, group["why"], group.get("has_customers", False))
        for group in groups.values()
        for zone in group["zones"]
    }
    several = [zone.split(".") for zone in zones if "." in zone]
    return (
        zones,
        frozenset(zone for zone in zones if "." not in zone),
        frozenset(labels[-2] for labels in several),
    )
