"""Signature files, read into frozen values.

One file describes one app: its names and the role of each, its autonomous systems, and examples of
names that its rules must and must not match. Mistakes in the form of a file are found here; what
needs other files or the public suffix list is checked by `netwatch.rules.lint`.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path, PurePath
from typing import Literal, get_args

from netwatch.core.file_keys import read_section
from netwatch.core.names import normalise_name
from netwatch.core.user_yaml import Fields, Problems, YamlMapping, describe
from netwatch.core.verdict import App, Match, Role, RulePlace
from netwatch.core.yaml_scalars import Row, read_word
from netwatch.rules.grade import UNMARKED, Grade, Marks, grade, marks
from netwatch.rules.keys import CAPS, ROLES, DomainKeys, ExampleKeys, SignatureKeys
from netwatch.rules.rule_names import MAX_NAME, name_fault

Kind = Literal["host", "glob", "suffix"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds of rules, the most specific first."""

MAX_ALIASES = 64
"""CDN tails of one app, at most. Each name of its zones may be followed by each of them."""

MAX_RULES = 1_000_000
"""Rules of one app, and of all apps of a set, at most."""

MAX_SOURCES = 64
"""Sources of a rule, at most."""

MAX_EXAMPLES = 100_000
"""Names under ``tests`` of an app, at most."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a signature: the names that it matches with their role, and the sources that list
    them. `file` and `line` are where it is written, `marks` what else it states about the weight of
    its names. `decide` is a person's reason for a name in a common zone, empty if there is none."""

    kind: Kind
    name: str
    app: App
    role: Role
    sources: tuple[str, ...]
    file: str
    line: int
    marks: Marks = UNMARKED
    decide: str = ""

    @property
    def text(self) -> str:
        """The rule as messages and records show it, such as ``suffix tiktok.com``."""
        return f"{self.kind} {self.name}"

    @property
    def place(self) -> RulePlace:
        """Where the rule is written. A shipped rule's file is named as in the project, the same on
        every machine."""
        shipped = self.marks.shipped
        file = f"signatures/apps/{self.file.rpartition(os.sep)[2]}" if shipped else self.file
        return RulePlace(file, self.line, self.sources)

    @property
    def grade(self) -> Grade:
        """The confidence of a handshake with a name of the rule, and why."""
        return grade(self.role, self.marks, self.sources, self.app.id)

    @property
    def match(self) -> Match:
        """The result for a name that the rule matches. It is made on access, since a capture needs
        a few of a million rules."""
        graded = self.grade
        return Match(
            self.app,
            self.text,
            self.role,
            graded.value,
            graded.reasons,
            self.marks.embed_reachable,
            graded.lone_family,
            self.place,
        )


@dataclass(frozen=True, slots=True)
class Asn:
    """An autonomous system that only the vendor uses."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Example:
    """A name that the signature must match (`wanted`) or must not match."""

    name: str
    wanted: bool
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Alias:
    """A CDN tail under which the zones of an app appear: with ``edgesuite.net``, names at and below
    ``tiktokcdn.com.edgesuite.net`` belong to the suffix ``tiktokcdn.com``."""

    tail: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Signature:
    """An app with its rules, autonomous systems and examples; `file` and `line` are where its id is
    written. `addresses` are packed addresses of its servers: they classify flows without a name,
    and are not part of a verdict."""

    app: App
    rules: Sequence[Rule]
    asns: tuple[Asn, ...]
    examples: tuple[Example, ...]
    file: str
    line: int
    addresses: tuple[bytes, ...] = ()
    aliases: tuple[Alias, ...] = ()


def read_signature(
    mapping: YamlMapping, file: str, problems: Problems, shipped: bool = False
) -> Signature | None:
    """The signature in the mapping of a file, or None if it has no app id. `shipped` is whether
    the file came with netwatch.

    Mistakes are noted in `problems`. The signature then has the rules without mistakes, so that
    one run finds the mistakes between files too.
    """
    fields = Fields(mapping, file, problems, "a signature")
    found = read_section(SignatureKeys, fields, Path())
    app, stem = App(found.app, found.name, found.vendor, found.category), PurePath(file).stem
    if app.id and app.id != stem:
        fields.add_problem(
            "app",
            f"app '{app.id}': expected the file name {app.id}.yaml, found {PurePath(file).name}",
        )
    if found.domains is not None and len(found.domains) > MAX_RULES:
        expected = f"expected at most {MAX_RULES:,} names, found {len(found.domains):,}"
        fields.add_problem("domains", f"'domains': {expected}")
        return None
    if found.domains == []:
        fields.add_problem("domains", "'domains': expected at least one name, found an empty list")
    rules = tuple(_read_rules(fields, app, shipped))
    aliases, addresses = _aliases(found, fields), _addresses(found, fields)
    examples = _examples(found.tests, fields)
    asns = tuple(Asn(asn.number, asn.name) for asn in found.asns if asn.number is not None)
    if not app.id:
        return None
    line = fields.line_of("app")
    return Signature(app, rules, asns, examples, file, line, addresses, aliases)


_ROLE_OF: dict[str, Role] = {role: role for role in ROLES}
_KIND_OF: dict[str, Kind] = {kind: kind for kind in KINDS}

# The usual form of a domain with a valid name. Other forms mean the same, but take some five times
# longer to read.
_USUAL_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}+(?<!-))?+\."
_USUAL_ROW = re.compile(
    rf"\{{(host|suffix): ((?:{_USUAL_LABEL}){{1,126}}+[a-z][a-z0-9]{{0,62}}+),"
    rf" role: ({'|'.join(ROLES)}),"
    rf"((?: confidence: ({'|'.join(CAPS)}),)?"
    r"(?: verified: (false),)?(?: embed_reachable: (true),)?)"
    r" sources: \[([a-z][a-z0-9-]*+(?:, [a-z][a-z0-9-]*+)*+)\]\}"
)


def _read_rules(fields: Fields, app: App, shipped: bool) -> Iterator[Rule]:
    """The rules of an app without mistakes."""
    file, problems = fields.file, fields.problems
    unmarked = marks(shipped=shipped)
    source_tags: dict[str, tuple[str, ...] | None] = {}
    for line, item in fields.items("domains"):
        rule = None
        if isinstance(item, Row):
            rule = _usual_rule(item, app, file, line, source_tags, unmarked)
            item = rule or _mapping(item, file, line, problems)
        rule = rule or fields.build_item(
            line, item, lambda entry: _rule(entry, app, unmarked), "a domain"
        )
        if rule:
            yield rule


def _mapping(row: Row, file: str, line: int, problems: Problems) -> YamlMapping:
    # Imported here, because it imports the YAML library.
    from netwatch.core.yaml_reader import row_mapping

    return row_mapping(row, file, line, problems)


def _usual_rule(
    row: Row,
    app: App,
    file: str,
    line: int,
    source_tags: dict[str, tuple[str, ...] | None],
    unmarked: Marks,
) -> Rule | None:
    """The rule of a row in the usual form, None for any other. `source_tags` has the sources of
    earlier rows by their source text, None if they are not all texts. `unmarked` are the marks of a
    rule that states nothing else."""
    match = _USUAL_ROW.fullmatch(row.text)
    if match is None:
        return None
    kind, name, role, marked, cap, unverified, reachable, written = match.groups()
    if len(name) > MAX_NAME or "xn--" in name:
        return None
    if written not in source_tags:
        words = [read_word(word) for word in written.split(", ")]
        texts = tuple(word for word in words if isinstance(word, str))
        is_usual = len(texts) == len(words) <= MAX_SOURCES
        source_tags[written] = texts if is_usual else None
    sources = source_tags[written]
    if sources is None:
        return None
    chosen = unmarked
    if marked:
        chosen = marks(CAPS.get(cap), not unverified, bool(reachable), unmarked.shipped)
    return Rule(_KIND_OF[kind], name, app, _ROLE_OF[role], sources, file, line, chosen)


def _rule(fields: Fields, app: App, unmarked: Marks) -> Rule | None:
    found = read_section(DomainKeys, fields, Path())
    kinds = [kind for kind in KINDS if fields.is_set(kind)]
    if fields.mapping.get("sources") == []:
        expected = "expected at least one tag of a source that lists the name, found nothing"
        fields.add_problem("sources", f"a domain needs 'sources': {expected}")
    if len(found.sources) > MAX_SOURCES:
        expected = f"expected at most {MAX_SOURCES} tags, found {len(found.sources)}"
        fields.add_problem("sources", f"'sources': {expected}")
    if len(kinds) != 1:
        written = " and ".join(kinds) or "none"
        fields.add_problem(None, f"a domain: expected one of suffix, host or glob, found {written}")
        return None
    kind = kinds[0]
    name = str(getattr(found, kind))
    fault = name_fault(name, kind)
    if fault:
        fields.add_problem(kind, f"{kind} {describe(name)} {fault}")
        return None
    if found.role is None:
        return None
    chosen = marks(found.confidence, found.verified, found.embed_reachable, unmarked.shipped)
    place = fields.file, fields.line_of(kind)
    return Rule(kind, name, app, found.role, found.sources, *place, chosen, found.decide)


def _addresses(keys: SignatureKeys, fields: Fields) -> tuple[bytes, ...]:
    found: dict[bytes, int] = {}
    for line, text in keys.addresses:
        try:
            packed = ip_address(text).packed
        except ValueError:
            expected = "an IP address like 192.0.2.53 or 2001:db8::53"
            message = f"expected {expected}, found {describe(text)}"
            fields.problems.add(fields.file, line, message)
            continue
        if packed in found:
            message = f"duplicate address {text} (first on line {found[packed]})"
            fields.problems.add(fields.file, line, message)
        found.setdefault(packed, line)
    return tuple(found)


def _aliases(keys: SignatureKeys, fields: Fields) -> tuple[Alias, ...]:
    found: dict[str, Alias] = {}
    for line, tail in keys.aliases:
        fault = name_fault(tail, "suffix")
        if fault:
            fields.problems.add(fields.file, line, f"CDN tail {describe(tail)} {fault}")
            continue
        if tail in found:
            message = f"duplicate CDN tail {tail} (first on line {found[tail].line})"
            fields.problems.add(fields.file, line, message)
        found.setdefault(tail, Alias(tail, fields.file, line))
    if len(found) > MAX_ALIASES:
        expected = f"expected at most {MAX_ALIASES} CDN tails, found {len(found)}"
        fields.add_problem("aliases", f"'aliases': {expected}")
    return tuple(found.values())[:MAX_ALIASES]


def _examples(keys: ExampleKeys, fields: Fields) -> tuple[Example, ...]:
    found = [
        Example(normalise_name(name.encode()), wanted, fields.file, line)
        for names, wanted in ((keys.match, True), (keys.ignore, False))
        for line, name in names
    ]
    if len(found) > MAX_EXAMPLES:
        expected = f"expected at most {MAX_EXAMPLES:,} names, found {len(found):,}"
        fields.add_problem("tests", f"'tests': {expected}")
    return tuple(found[:MAX_EXAMPLES])
