"""What makes a sound signature file a bad signature.

The form of a file is checked where it is read; here rules are held against the public
suffix list, against zones that many owners share, against the other apps, and against
the names that the file itself says it must and must not take.
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from netwatch.core.errors import Problem
from netwatch.rules.catalog import Catalog, literal_tail
from netwatch.rules.shared_zones import SHARED_ZONES
from netwatch.rules.signature import Rule

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_TELLING = 4
"""Letters that a label with a wildcard must have to tell an app in a shared zone."""

_ENDINGS = frozenset({"com", "net", "org"})
"""How the names of owners end that a network puts before its own zone."""


def lint(catalog: Catalog) -> list[Problem]:
    """What is wrong with the rules and examples of a catalogue, in file and line order."""
    return sorted({*rule_problems(catalog), *example_problems(catalog)})


def rule_problems(catalog: Catalog) -> Iterator[Problem]:
    """Rules that take what is not their app's."""
    names: dict[str, Rule] = {}
    for rule in catalog.rules():
        fault = _reach(rule)
        if fault:
            yield Problem(rule.file, rule.line, 0, f"{rule.match.rule} {fault}")
        first = names.setdefault(rule.name, rule)
        if first.app.id != rule.app.id:
            yield Problem(
                rule.file,
                rule.line,
                0,
                f"{rule.match.rule} is a name of app '{first.app.id}' too"
                f" ({first.file}:{first.line}); one app only can have it",
            )
    for rule in catalog.rules():
        for wider in _above(catalog, rule):
            if wider.app.vendor != rule.app.vendor:
                yield Problem(
                    wider.file,
                    wider.line,
                    0,
                    f"{wider.match.rule} swallows {rule.match.rule} of app '{rule.app.id}'"
                    f" ({rule.file}:{rule.line}), whose vendor is another",
                )


def _above(catalog: Catalog, rule: Rule) -> Iterator[Rule]:
    if rule.kind == "glob":
        taking = catalog.taking(literal_tail(rule.name))
        return (wider for wider in taking if wider.kind == "suffix")
    return (wider for wider in catalog.taking(rule.name) if wider.name != rule.name)


def example_problems(catalog: Catalog) -> Iterator[Problem]:
    """Examples that the catalogue does not bear out.

    A wanted name must go to this app; an unwanted one must be taken by no rule of it,
    not even by one that loses to another app's.
    """
    for id, signature in catalog.signatures.items():
        for example in signature.examples:
            taking = list(catalog.taking(example.name))
            own = next((rule for rule in taking if rule.app.id == id), None)
            message = ""
            if not example.wanted and own:
                message = f"'{example.name}' must not match, but {own.match.rule} takes it"
            elif example.wanted and not taking:
                message = f"'{example.name}' must match, but no rule takes it"
            elif example.wanted and taking[0].app.id != id:
                winner = taking[0]
                message = (
                    f"'{example.name}' must match '{id}', but {winner.match.rule} of"
                    f" '{winner.app.id}' ({winner.file}:{winner.line}) takes it"
                )
            if message:
                yield Problem(example.file, example.line, 0, message)


def _reach(rule: Rule) -> str:
    """Why a rule takes more than an app can own; empty where it does not."""
    suffixes = public_suffixes()
    zone = literal_tail(rule.name) if rule.kind == "glob" else rule.name
    reason = SHARED_ZONES.get(zone)
    if rule.kind == "glob":
        if public_suffixes(only_icann=True).is_public(zone):
            return "has a * in its registrable domain: name that domain"
        label = rule.name.removesuffix(f".{zone}").rpartition(".")[2]
        if (reason or suffixes.is_public(zone)) and len(label) - label.count("*") < _TELLING:
            why = reason or "a public suffix, below which anybody can register"
            return f"tells no app: {zone} is {why}; write out more of '{label}'"
        return ""
    if reason:
        return f"takes a shared zone whole: {zone} is {reason}; name the host below it"
    if suffixes.is_public(zone):
        return "is a public suffix, below which anybody can register: name a domain below it"
    owner, _, above = zone.partition(".")
    if owner in _ENDINGS and above in SHARED_ZONES:
        return f"tells no app: {above} is {SHARED_ZONES[above]}, and '{owner}' is no owner"
    return ""


@cache
def public_suffixes(only_icann: bool = False) -> "PublicSuffixList":
    """The public suffix list (publicsuffix.org) as its package ships it, read once.

    With `only_icann` without the zones that companies have entered, such as CDNs'.
    """
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=only_icann)
