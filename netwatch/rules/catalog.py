"""The catalogue: all signatures in use, and which rule matches a name.

A rule matches a name at label boundaries: a `host` exactly that name, a `suffix` the name and all
names below it, a `glob` names with as many labels as it has, where each ``*`` is any text inside
one label. Of several matching rules the most specific one wins: host, then glob, then suffix; of
globs the one with the most letters besides its wildcards, of suffixes the longest. A lookup walks
the labels of the name, never the rules, so its cost does not grow with the number of rules.

An app may name CDN tails under which its zones appear (`aliases`). A name at or below a zone of the
app followed by such a tail is matched as if the tail were not there: rules more specific than the
zone (an ``embed`` host in it, say) apply under the tail too. As a suffix it is as long as the zone
and the tail together, so an explicit rule for such a name comes first.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from netwatch.core.errors import Problem
from netwatch.core.user_yaml import Problems, did_you_mean
from netwatch.core.verdict import App, Match
from netwatch.rules.rule_names import MAX_NAME, IdsInside, NamesInside
from netwatch.rules.signature import Rule, Signature

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
"""The first character of a host name's label."""

_ROLES_WITH_ALIASES = ("exclusive", "vendor")


class Hit(NamedTuple):
    """A rule that matches a name, and the CDN tail of the name that the rule itself does not
    contain; empty if the rule matches the whole name."""

    rule: Rule
    tail: str = ""


@dataclass(frozen=True, slots=True)
class RuleIndex:
    """The rules of a catalogue by what lookups compare: hosts and suffixes by their names, globs by
    their literal tails. `zones` returns the domains of `Catalog.encoded_zones`, `rebuild` makes the
    catalogue in another process. Both are None unless the index was compiled."""

    hosts: Mapping[str, Rule]
    suffixes: Mapping[str, Rule]
    globs: Mapping[str, Sequence[Rule]]
    zones: Callable[[], Sequence[bytes]] | None = None
    rebuild: "Callable[[], Catalog] | None" = None


class Catalog:
    """The signatures in use; it does not change after loading.

    `signatures` has each app once, by its id. `version` is a short hash of the files that they were
    read from, wherever these are. `complete` is False if some files had mistakes: then an app may
    be missing only because of them. `index` has the rules of `signatures`, and is built by default.
    `undecided` are rules of an installed set that take names in common zones without a decision: an
    earlier release installed it.
    """

    __slots__ = (
        "_addresses",
        "_apps_of_tail",
        "_contained",
        "_glob_tails",
        "_globs",
        "_globs_by_letter",
        "_groups",
        "_hosts",
        "_ids",
        "_index",
        "_suffixes",
        "_zones",
        "complete",
        "signatures",
        "undecided",
        "version",
    )

    def __init__(
        self,
        signatures: Sequence[Signature],
        version: str,
        complete: bool = True,
        index: RuleIndex | None = None,
        undecided: Sequence[Problem] = (),
    ) -> None:
        self.signatures = MappingProxyType(
            {
                signature.app.id: signature
                for signature in sorted(signatures, key=lambda signature: signature.app.id)
            }
        )
        self.version = version
        self.complete = complete
        self.undecided = tuple(undecided)
        self._index = index or _index_of(self.signatures.values())
        self._hosts, self._suffixes = self._index.hosts, self._index.suffixes
        self._globs = self._index.globs
        self._glob_tails = frozenset(self._globs)
        self._globs_by_letter: dict[str, dict[str, list[Rule]]] = {}
        self._contained: NamesInside | None = None
        self._ids: IdsInside | None = None
        self._zones: Sequence[bytes] | None = None
        self._groups: dict[str, set[str]] | None = None
        self._addresses: dict[bytes, App] = {}
        self._apps_of_tail: dict[str, tuple[str, ...]] = {}
        for signature in self.signatures.values():
            self._addresses.update(dict.fromkeys(signature.addresses, signature.app))
            for alias in signature.aliases:
                apps = self._apps_of_tail.get(alias.tail, ())
                self._apps_of_tail[alias.tail] = (*apps, signature.app.id)

    def __reduce__(self) -> tuple[Callable[..., "Catalog"], tuple[Any, ...]]:
        if self._index.rebuild is not None:
            return self._index.rebuild, ()
        return Catalog, (list(self.signatures.values()), self.version, self.complete)

    def match(self, name: str) -> Match | None:
        """The match of the most specific rule for a name that `netwatch.core.names` normalised;
        None if no rule matches."""
        hit = next(self.hits(name), None)
        return hit.rule.match if hit else None

    def matching_rules(self, name: str) -> Iterator[Rule]:
        """All rules that match a name, the most specific first."""
        for hit in self.hits(name):
            yield hit.rule

    def hits(self, name: str) -> Iterator[Hit]:
        """All rules that match a name, each with the CDN tail that it is under, the most specific
        first.

        Only the end of a name longer than any host name is compared, which bounds the work; it is
        still below the zone that a suffix names.
        """
        fits = len(name) <= MAX_NAME
        if not fits:
            name = name[-MAX_NAME - 1 :].partition(".")[2]
        tails = _tails(name)
        if self._apps_of_tail.keys().isdisjoint(tails):
            return map(Hit, self._rules_of(name, tails, fits))
        return iter(self._hits_under_tails(name, tails, fits))

    def _rules_of(self, name: str, tails: Sequence[str], fits: bool) -> Iterator[Rule]:
        if fits:
            if (rule := self._hosts.get(name)) is not None:
                yield rule
            if not self._glob_tails.isdisjoint(tails):
                yield from self._matching_globs(name, tails)
        for tail in tails:
            if (rule := self._suffixes.get(tail)) is not None:
                yield rule

    def _matching_globs(self, name: str, tails: Sequence[str]) -> list[Rule]:
        # A zone may have dozens of globs, most of which begin with another letter.
        first = name[:1] if name[:1] in _LETTERS else "*"
        globs = [
            rule
            for tail in tails
            if tail in self._glob_tails
            for rule in self._globs_beginning(tail, first)
            if glob_matches(rule.name, name)
        ]
        return sorted(globs, key=lambda rule: (-_literal_length(rule.name), rule.name))

    def _globs_beginning(self, tail: str, first: str) -> list[Rule]:
        """The globs of a tail that begin with this letter or with their wildcard."""
        groups = self._globs_by_letter.setdefault(tail, {})
        if first not in groups:
            groups[first] = [
                rule for rule in self._globs.get(tail, ()) if rule.name[0] in (first, "*")
            ]
        return groups[first]

    def _hits_under_tails(self, name: str, tails: Sequence[str], fits: bool) -> list[Hit]:
        """The hits for a name that ends with a CDN tail of some app, in their order."""
        ordered: list[tuple[int, bool, Hit]] = []
        for rule in self._rules_of(name, tails, fits):
            length = len(rule.name) if rule.kind == "suffix" else MAX_NAME + 1
            ordered.append((-length, False, Hit(rule)))
        for tail in tails:
            apps = self._apps_of_tail.get(tail)
            if not apps:
                continue
            before = name[: -len(tail) - 1]
            for rule in self._rules_in_zones(before, apps, fits):
                length = len(f"{rule.name}.{tail}") if rule.kind == "suffix" else len(name)
                ordered.append((-length, True, Hit(rule, tail)))
        return [hit for *_, hit in sorted(ordered, key=lambda ranked: ranked[:2])]

    def _rules_in_zones(self, name: str, apps: Sequence[str], fits: bool) -> Sequence[Rule]:
        """The rules that match a name followed by a CDN tail of these apps: the rules for their
        zones, and all more specific ones."""
        rules = list(self._rules_of(name, _tails(name), fits))
        while rules and not (_has_aliases(rules[-1]) and rules[-1].app.id in apps):
            rules.pop()
        return rules

    def longest_inside(self, name: str) -> Rule | None:
        """The host or suffix with the longest name anywhere in `name`, also across label
        boundaries; None if there is none. Of several names of the same length, the first in
        order."""
        if self._contained is None:
            self._contained = NamesInside([*self._hosts.values(), *self._suffixes.values()])
        return self._contained.longest(name)

    def id_inside(self, name: str) -> str | None:
        """The first id of an app anywhere in `name`; short ids are left out."""
        if self._ids is None:
            self._ids = IdsInside(self.signatures)
        return self._ids.first(name)

    def zones(self) -> frozenset[str]:
        """A set of domains such that every name that a rule matches is one of them, or below
        one."""
        return frozenset().union(self._hosts, self._suffixes, self.further_zones())

    def further_zones(self) -> frozenset[str]:
        """The domains of `zones` that are not the name of a host or suffix."""
        under_tails = {
            f"{rule.name}.{alias.tail}"
            for signature in self.signatures.values()
            for alias in signature.aliases
            for rule in signature.rules
            if _has_aliases(rule)
        }
        return frozenset().union(self._globs, under_tails)

    def encoded_zones(self) -> Sequence[bytes]:
        """The domains of `zones` as bytes, for the packet loop. They are built once, although each
        capture of a run needs them."""
        if self._zones is None:
            make = self._index.zones or self._encode_zones
            self._zones = make()
        return self._zones

    def _encode_zones(self) -> list[bytes]:
        # A name of both a host and a suffix comes twice, which takes far less memory than a set of
        # all names.
        names = itertools.chain(self._hosts, self._suffixes, self.further_zones())
        return [name.encode() for name in names]

    def apps(self) -> Mapping[str, App]:
        """The apps by their ids, sorted."""
        return {app_id: signature.app for app_id, signature in self.signatures.items()}

    def apps_by_address(self) -> Mapping[bytes, App]:
        """The apps with servers at packed addresses, according to the signatures."""
        return self._addresses

    def rules(self) -> Iterator[Rule]:
        """All rules, app by app, in the order of the files."""
        for signature in self.signatures.values():
            yield from signature.rules

    def resolve_apps(
        self, words: Iterable[tuple[int, str]], file: str, problems: Problems
    ) -> frozenset[str]:
        """The ids of the apps that a ban or an exemption names.

        A word is an app id, ``vendor:`` and a vendor, or ``category:`` and a category; each comes
        with its line in `file`. A word that names no app is noted in `problems`, unless the
        catalogue is not `complete`.
        """
        groups = self._groups
        if groups is None:
            groups = self._groups = _groups_of(self.apps())
        chosen: set[str] = set()
        for line, word in words:
            if word in groups:
                chosen |= groups[word]
            elif self.complete:
                problems.add(
                    file,
                    line,
                    "expected an app id, vendor:… or category:… (see netwatch signatures list),"
                    f" found unknown app '{word}'{did_you_mean(word, groups, cutoff=0.5)}",
                )
        return frozenset(chosen)


def _groups_of(apps: Mapping[str, App]) -> dict[str, set[str]]:
    """The ids of apps by the words that name them in a ban."""
    groups: dict[str, set[str]] = {}
    for app_id, app in apps.items():
        for word in (app_id, f"vendor:{app.vendor}", f"category:{app.category}"):
            groups.setdefault(word, set()).add(app_id)
    return groups


def _index_of(signatures: Iterable[Signature]) -> RuleIndex:
    hosts: dict[str, Rule] = {}
    suffixes: dict[str, Rule] = {}
    globs: dict[str, list[Rule]] = {}
    for signature in signatures:
        for rule in signature.rules:
            if rule.kind == "glob":
                globs.setdefault(literal_tail(rule.name), []).append(rule)
            else:
                (hosts if rule.kind == "host" else suffixes)[rule.name] = rule
    return RuleIndex(hosts, suffixes, globs)


def _tails(name: str) -> list[str]:
    """A name and its parent domains, the longest first."""
    tails = [name]
    dot = name.find(".")
    while dot >= 0:
        tails.append(name[dot + 1 :])
        dot = name.find(".", dot + 1)
    return tails


def _has_aliases(rule: Rule) -> bool:
    return rule.kind == "suffix" and rule.role in _ROLES_WITH_ALIASES


def literal_tail(glob: str) -> str:
    """The complete labels after the last wildcard of a glob."""
    return glob.rpartition("*")[2].partition(".")[2]


def _literal_length(glob: str) -> int:
    return len(glob) - glob.count("*")


def glob_matches(glob: str, name: str) -> bool:
    """Whether a name has the labels of a glob, in time proportional to both."""
    globs, labels = glob.split("."), name.split(".")
    return len(globs) == len(labels) and all(map(_label_matches, globs, labels))


def _label_matches(glob: str, label: str) -> bool:
    first, *literals = glob.split("*")
    if not literals:
        return glob == label
    last, end = literals.pop(), len(label)
    end -= len(last)
    if not label.startswith(first) or not label.endswith(last) or end < len(first):
        return False
    # Between two wildcards the first match of a literal is as good as any later one.
    at = len(first)
    for literal in literals:
        at = label.find(literal, at, end)
        if at < 0:
            return False
        at += len(literal)
    return True
