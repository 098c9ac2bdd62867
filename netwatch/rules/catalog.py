"""Which rule takes a name.

A rule takes a name at label boundaries: a `host` that very name, a `suffix` the name
and all below it, a `glob` names of as many labels as it has, where each ``*`` stands for
any letters inside one label. Of several the most specific wins: host, then glob, then
suffix; of globs the one with most letters beside its wildcards, of suffixes the longest.
Look-ups walk the labels of the name, never the rules, so a hundred thousand rules cost
what a hundred do.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import App, Match
from netwatch.rules.signature import MAX_NAME, Rule, Signature


class Catalog:
    """The signatures in use, never changed once loaded.

    `signatures` holds each app once, by its id; `version` is a short hash of the files
    they were read from, the same for the same files wherever they lie.
    """

    __slots__ = ("_addresses", "_asns", "_globs", "_hosts", "_suffixes", "signatures", "version")

    def __init__(self, signatures: Sequence[Signature], version: str) -> None:
        self.signatures = MappingProxyType(
            {each.app.id: each for each in sorted(signatures, key=lambda each: each.app.id)}
        )
        self.version = version
        self._hosts: dict[str, Rule] = {}
        self._suffixes: dict[str, Rule] = {}
        self._globs: dict[str, list[tuple[re.Pattern[str], Rule]]] = {}
        self._asns: dict[int, tuple[App, ...]] = {}
        self._addresses: dict[bytes, App] = {}
        for signature in self.signatures.values():
            for rule in signature.rules:
                self._enter(rule)
            self._addresses.update(dict.fromkeys(signature.addresses, signature.app))
            for asn in signature.asns:
                self._asns[asn.number] = (*self._asns.get(asn.number, ()), signature.app)

    def __reduce__(self) -> tuple[type["Catalog"], tuple[list[Signature], str]]:
        return Catalog, (list(self.signatures.values()), self.version)

    def _enter(self, rule: Rule) -> None:
        if rule.kind == "glob":
            globs = self._globs.setdefault(literal_tail(rule.name), [])
            globs.append((re.compile(_pattern(rule.name)), rule))
        else:
            (self._hosts if rule.kind == "host" else self._suffixes)[rule.name] = rule

    def match(self, name: str) -> Match | None:
        """What the catalogue says of a name in the spelling of `netwatch.core.names`."""
        rule = next(self.taking(name), None)
        return rule.match if rule else None

    def taking(self, name: str) -> Iterator[Rule]:
        """All rules that take a name, the one that wins first.

        Of a name longer than any host name only the end is looked at, so that the work
        is bounded; what stands there is still below the zone that a suffix names.
        """
        whole = len(name) <= MAX_NAME
        if not whole:
            name = name[-MAX_NAME - 1 :].partition(".")[2]
        tails = [name]
        while "." in tails[-1]:
            tails.append(tails[-1].partition(".")[2])
        if whole:
            if (rule := self._hosts.get(name)) is not None:
                yield rule
            globs = [
                rule
                for tail in tails
                for pattern, rule in self._globs.get(tail, ())
                if pattern.fullmatch(name)
            ]
            yield from sorted(globs, key=lambda rule: (-_letters(rule.name), rule.name))
        for tail in tails:
            if (rule := self._suffixes.get(tail)) is not None:
                yield rule

    def zones(self) -> frozenset[str]:
        """Domains of which every name that a rule takes is one, or below one."""
        return frozenset().union(self._hosts, self._suffixes, self._globs)

    def apps(self) -> Mapping[str, App]:
        """The apps by their ids, in order."""
        return {id: each.app for id, each in self.signatures.items()}

    def apps_of_asn(self, number: int) -> tuple[App, ...]:
        """The apps whose vendor alone uses this AS."""
        return self._asns.get(number, ())

    def app_of_address(self, ip: bytes) -> App | None:
        """The app that has a server at this packed address, by the signatures."""
        return self._addresses.get(ip)

    def rules(self) -> Iterator[Rule]:
        """All rules, app by app, as the files have them."""
        for signature in self.signatures.values():
            yield from signature.rules

    def select(
        self, words: Iterable[tuple[int, str]], file: str, problems: Problems
    ) -> frozenset[str]:
        """The ids of the apps that the words of a ban or an exemption name.

        A word is an app id, ``vendor:`` or ``category:`` and theirs; each comes with its
        line in `file`. A word that names no app is noted in `problems`.
        """
        groups: dict[str, set[str]] = {}
        for id, app in self.apps().items():
            for word in (id, f"vendor:{app.vendor}", f"category:{app.category}"):
                groups.setdefault(word, set()).add(id)
        chosen: set[str] = set()
        for line, word in words:
            if word in groups:
                chosen |= groups[word]
                continue
            near = difflib.get_close_matches(word, groups, 1, cutoff=0.5)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            problems.add(
                file,
                line,
                f"no app is '{word}'{hint} (an app id, vendor:… or category:… is expected;"
                " netwatch signatures list shows them)",
            )
        return frozenset(chosen)


def literal_tail(glob: str) -> str:
    """The whole labels behind the last wildcard of a glob."""
    return glob.rpartition("*")[2].partition(".")[2]


def _letters(glob: str) -> int:
    return len(glob) - glob.count("*")


def _pattern(glob: str) -> str:
    """A regular expression for a glob that takes time in proportion to the name.

    The first place where a piece between two wildcards fits is as good as any later one,
    so no choice is ever taken back but within the piece before the label's end.
    """
    labels = []
    for label in glob.split("."):
        first, *pieces = (re.escape(piece) for piece in label.split("*"))
        inner = "".join(f"(?>[^.]*?{piece})" for piece in pieces[:-1] if piece)
        last = f"[^.]*{pieces[-1]}" if pieces else ""
        labels.append(first + inner + last)
    return r"\.".join(labels)
