"""The rules of apps that are exported, and what else their domains contain.

By default these are the names that only the apps use (role ``exclusive``). Names that a vendor's
other apps, other sites or a CDN use as well are not included: blocking these would affect others.
Neither are aliases of the app's zones at CDNs, which a client only meets in answers.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from netwatch.core.verdict import App, Role
from netwatch.rules.catalog import Catalog, glob_matches, literal_tail
from netwatch.rules.signature import Rule

ROLES: tuple[Role, ...] = get_args(Role)
"""The roles in the order of their weight."""

DEFAULT_ROLES: tuple[Role, ...] = ("exclusive",)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules of some apps with some roles.

    `rules` are sorted by name and kind; a rule below a domain that another one covers completely is
    not repeated. `names` are all of their names that are known in full: hosts and domains, and the
    examples of the signatures; a format without wildcards only has these. `others` are the rules
    below the domains of `rules` that have other roles or belong to other apps, and `spareable`
    those of them that can be let pass without letting a name of the apps pass. `addresses` are
    packed addresses of servers that the signatures name.
    """

    apps: tuple[App, ...]
    roles: tuple[Role, ...]
    rules: tuple[Rule, ...]
    names: tuple[str, ...]
    others: tuple[Rule, ...]
    spareable: tuple[Rule, ...] = ()
    addresses: tuple[bytes, ...] = ()

    @property
    def digest(self) -> str:
        """A hash of the rules, the same wherever and in any order they are written."""
        lines = "".join(f"{rule.text} {rule.role}\n" for rule in self.rules)
        return hashlib.sha256(lines.encode()).hexdigest()

    def takes(self, rule: Rule) -> bool:
        """Whether a rule belongs to these apps and roles, also one that is not repeated in
        `rules`."""
        return rule.role in self.roles and any(rule.app.id == app.id for app in self.apps)


def select(
    catalog: Catalog, apps: Iterable[str], roles: Sequence[Role] = DEFAULT_ROLES
) -> Selection:
    """The rules of apps, by their ids. Apps without a signature in the catalogue have none."""
    signatures = [catalog.signatures[app] for app in sorted(apps) if app in catalog.signatures]
    rules = [rule for signature in signatures for rule in signature.rules if rule.role in roles]
    whole = {rule.name for rule in rules if rule.kind == "suffix"}
    kept = (rule for rule in rules if not _is_below(rule, whole))
    names = {rule.name for rule in rules if rule.kind != "glob"}
    for signature in signatures:
        for example in signature.examples:
            hit = next(catalog.hits(example.name), None) if example.wanted else None
            if hit and not hit.tail and hit.rule.app == signature.app and hit.rule.role in roles:
                names.add(example.name)
    chosen = {(rule.kind, rule.name) for rule in rules}
    others = sorted(
        (
            rule
            for rule in catalog.rules()
            if (rule.kind, rule.name) not in chosen and _is_below(rule, whole)
        ),
        key=_order,
    )
    return Selection(
        tuple(signature.app for signature in signatures),
        tuple(role for role in ROLES if role in roles),
        tuple(sorted(kept, key=_order)),
        tuple(sorted(names)),
        tuple(others),
        tuple(_spareable(others, rules)),
        tuple(sorted({address for signature in signatures for address in signature.addresses})),
    )


def _order(rule: Rule) -> tuple[str, str]:
    return rule.name, rule.kind


def _spareable(others: Sequence[Rule], rules: Sequence[Rule]) -> Iterator[Rule]:
    """The rules of `others` that do not contain a name of `rules` with a rule of its own."""
    domains: set[str] = set()
    globs: dict[str, list[Rule]] = {}
    for rule in others:
        if rule.kind == "glob":
            globs.setdefault(literal_tail(rule.name), []).append(rule)
    containing: set[tuple[str, str]] = set()
    for rule in rules:
        name = rule.name.replace("*", "x")
        parents = [name]
        while (dot := parents[-1].find(".")) >= 0:
            parents.append(parents[-1][dot + 1 :])
        domains.update(parents)
        containing.update(
            (glob.kind, glob.name)
            for parent in parents
            for glob in globs.get(parent, ())
            if glob_matches(glob.name, name)
        )
    names = {rule.name for rule in rules}
    for rule in others:
        if rule.kind == "glob":
            is_free = (rule.kind, rule.name) not in containing
        else:
            is_free = rule.name not in (domains if rule.kind == "suffix" else names)
        if is_free:
            yield rule


def _is_below(rule: Rule, domains: set[str]) -> bool:
    """Whether all names of a rule are below one of `domains`, or are such a domain."""
    labels = rule.name.split(".")
    first = 1 if rule.kind == "suffix" else 0
    return any(".".join(labels[start:]) in domains for start in range(first, len(labels)))
