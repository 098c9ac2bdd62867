"""What a signature file may say, read into frozen values.

One file describes one app: its names with the role each plays, its networks, and the
names it must and must not take. What is wrong in the form of a file is found here,
whoever reads it and why; what needs a look at other files or at the public suffix list
is `netwatch.rules.lint`'s.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePath
from typing import Literal, get_args

import idna

from netwatch.core.names import normalise_name
from netwatch.core.user_yaml import Fields, Problems, YamlMapping
from netwatch.core.verdict import App, Match, Role

Kind = Literal["host", "glob", "suffix"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of rules, the most specific first."""

MAX_NAME = 253
"""Letters of the longest host name in text form (RFC 1035 section 2.3.4)."""

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_GLOB_LABEL = re.compile(r"(?!-)[a-z0-9_*-]{1,63}(?<!-)\Z")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a signature: which names it takes, as what, and who says so.

    `match` is what is told of a name that it takes; `file` and `line` are where it
    stands.
    """

    kind: Kind
    name: str
    match: Match
    sources: tuple[str, ...]
    file: str
    line: int

    @property
    def app(self) -> App:
        """The app whose rule it is."""
        return self.match.app

    @property
    def role(self) -> Role:
        """What a name it takes is to the app."""
        return self.match.role


@dataclass(frozen=True, slots=True)
class Asn:
    """An autonomous system that the vendor alone uses."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Example:
    """A name that the signature must take (`wanted`) or must leave alone."""

    name: str
    wanted: bool
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Signature:
    """An app with its rules, networks and examples; `file` and `line` are where the app
    is introduced. `addresses` are those of its servers, packed: they tell what a flow
    without a name was, and are no part of a verdict."""

    app: App
    rules: tuple[Rule, ...]
    asns: tuple[Asn, ...]
    examples: tuple[Example, ...]
    file: str
    line: int
    addresses: tuple[bytes, ...] = ()


def read_signature(mapping: YamlMapping, file: str, problems: Problems) -> Signature | None:
    """The signature in the mapping of a file, or None where it names no app.

    Mistakes are noted in `problems`; rules that are sound are kept all the same, so that
    one reading tells all mistakes.
    """
    fields = Fields(mapping, file, problems, "a signature")
    app = App(
        id=_slug(fields, "app", "the app's id, a word like tiktok"),
        name=fields.text("name", required="the app's name as people write it"),
        vendor=_slug(fields, "vendor", "a word like bytedance"),
        category=_slug(fields, "category", "a word like video"),
    )
    stem = PurePath(file).stem
    if app.id and app.id != stem:
        fields.add_problem("app", f"app '{app.id}' must stand in a file of its name, {app.id}.yaml")
    fields.sequence("domains", required="the names of the app, at least one")
    if fields.mapping.get("domains") == []:
        fields.add_problem("domains", "'domains' is empty, at least one name is expected")
    rules = fields.build_each("domains", lambda rule: _rule(rule, app), "a domain")
    asns = fields.build_each("asns", _asn, "an AS")
    addresses = _addresses(fields)
    examples = _examples(fields)
    fields.reject_unknown()
    if not app.id:
        return None
    line = fields.line_of("app")
    return Signature(app, tuple(rules), tuple(asns), examples, file, line, addresses)


def _slug(fields: Fields, key: str, expected: str) -> str:
    text = fields.text(key, required=expected)
    if text and not _SLUG.match(text):
        fields.add_problem(key, f"'{key}' is '{text}', expected a-z, 0-9 and single hyphens")
        return ""
    return text


_ROLES: tuple[str, ...] = get_args(Role)
_ROLE_EXPECTED = f"one of {', '.join(_ROLES)}"


def _rule(fields: Fields, app: App) -> Rule | None:
    kinds = [kind for kind in KINDS if fields.has(kind)]
    names = {kind: fields.text(kind) for kind in KINDS}
    role = fields.choice("role", _ROLES, None, required=_ROLE_EXPECTED)
    sources = tuple(tag for _, tag in fields.texts("sources"))
    if not sources:
        fields.add_problem(
            "sources", "a domain needs 'sources': at least one tag that says who names it"
        )
    fields.reject_unknown()
    if len(kinds) != 1:
        found = f", not {' and '.join(kinds)}" if kinds else ""
        fields.add_problem(None, f"a domain needs one of suffix, host or glob{found}")
        return None
    kind = kinds[0]
    fault = name_fault(names[kind], kind)
    if fault:
        fields.add_problem(kind, f"{kind} '{names[kind]}' {fault}")
        return None
    if role is None:
        return None
    match = Match(app, f"{kind} {names[kind]}", role)
    return Rule(kind, names[kind], match, sources, fields.file, fields.line_of(kind))


def name_fault(name: str, kind: Kind) -> str:
    """What keeps `name` from being the name of a rule of that kind; empty if nothing does.

    Host names are those of RFC 952 and RFC 1123 section 2.1, with the underscore that
    real zones use, in the spelling of `netwatch.core.names`.
    """
    if not name.isascii():
        spelled = normalise_name(name.encode())
        known = spelled.isascii() and "\\" not in spelled
        return f"is not ASCII: write its A-label form{f', {spelled}' if known else ''}"
    if name != name.lower():
        return f"has capitals: write {name.lower()}"
    if name.endswith("."):
        return f"ends with a dot: write {name.rstrip('.')}"
    if "*" in name and kind != "glob":
        return f"has a *, which only a glob may: write glob, or name the {kind} without it"
    if "*" not in name and kind == "glob":
        return "has no *: write host"
    if len(name) > MAX_NAME:
        return f"has {len(name)} letters, a host name has at most {MAX_NAME}"
    labels = name.split(".")
    shape = _GLOB_LABEL if kind == "glob" else _LABEL
    for label in labels:
        if not shape.match(label):
            return f"is no host name: '{label}' is not 1 to 63 letters, digits, hyphens inside or _"
        if label.startswith("xn--") and "*" not in label:
            try:
                idna.decode(label)
            except UnicodeError:
                return f"is no host name: '{label}' is not a sound A-label"
    if "*" in "".join(labels[-2:]):
        return "has a * in its registrable domain: write out at least the last two labels"
    if len(labels) < 2:
        return "is a single label, at least two are expected"
    if labels[-1].isdigit():
        return "is an address, a name is expected"
    return ""


def _asn(fields: Fields) -> Asn | None:
    number = fields.value("number", required="the AS number, without AS before it")
    name = fields.text("name", required="whom the AS belongs to")
    fields.reject_unknown()
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 1 << 32:
        fields.add_problem("number", f"'number' is {number!r}, expected 1 to 4294967295 (RFC 6793)")
        return None
    return Asn(number, name)


def _addresses(fields: Fields) -> tuple[bytes, ...]:
    found: dict[bytes, int] = {}
    for line, text in fields.texts("addresses"):
        try:
            packed = ip_address(text).packed
        except ValueError:
            message = f"'{text}' is no IP address, expected one like 192.0.2.53 or 2001:db8::53"
            fields.problems.add(fields.file, line, message)
            continue
        if packed in found:
            message = f"address {text} stands twice (first in line {found[packed]})"
            fields.problems.add(fields.file, line, message)
        found.setdefault(packed, line)
    return tuple(found)


def _examples(fields: Fields) -> tuple[Example, ...]:
    tests = fields.nested("tests", "the tests")
    if tests is None:
        return ()
    found = [
        Example(normalise_name(name.encode()), wanted, fields.file, line)
        for key, wanted in (("match", True), ("ignore", False))
        for line, name in tests.texts(key)
    ]
    tests.reject_unknown()
    return tuple(found)
