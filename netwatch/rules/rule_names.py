"""Names of rules: their syntax, and which of them is a part of another name, as in `nottiktok.com`
or `tiktok.com.example`.

The latter is needed for every name that no rule matches, to explain why, so its cost must not grow
with the number of rules. A rule's name is contained in another one if its first label ends at a dot
there, and what follows begins like the rest of it.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from netwatch.core.names import normalise_name
from netwatch.core.user_yaml import describe

if TYPE_CHECKING:
    from netwatch.rules.signature import Rule


MAX_NAME = 253
"""The length of the longest host name in text form (RFC 1035 section 2.3.4)."""

MAX_LABEL = 63
"""The length of the longest label of a host name (RFC 1035 section 2.3.4)."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_GLOB_LABEL = re.compile(r"(?!-)[a-z0-9_*-]{1,63}(?<!-)\Z")

_BEFORE = 3
"""Letters before a dot that distinguish most dots from the first dots of rules."""

MIN_ID = 4
"""Minimum length of an app's id for a name that contains it to be more than chance."""


def name_fault(name: str, kind: str) -> str:
    """Why `name` cannot be the name of a rule of that kind; empty if it can.

    `kind` is host, glob or suffix. Host names follow RFC 952 and RFC 1123 section 2.1, with the
    underscore that real zones use, normalised by `netwatch.core.names`.
    """
    if not name.isascii():
        a_label = normalise_name(name.encode())
        valid = a_label.isascii() and "\\" not in a_label
        return f"is not ASCII: expected its A-label form{f', {a_label}' if valid else ''}"
    if name != name.lower():
        return f"has capitals: expected {name.lower()}"
    if name.endswith("."):
        return f"ends with a dot: expected {name.rstrip('.')}"
    if "*" in name and kind != "glob":
        return f"has a *: expected a glob, or a {kind} without it"
    if "*" not in name and kind == "glob":
        return "has no *: expected a host"
    if len(name) > MAX_NAME:
        return f"has {len(name)} letters: expected at most {MAX_NAME}"
    labels = name.split(".")
    shape = _GLOB_LABEL if kind == "glob" else _LABEL
    for label in labels:
        if not shape.match(label):
            expected = "1 to 63 letters, digits, _ and inner hyphens"
            return f"is not a host name: expected labels of {expected}, found {describe(label)}"
        if label.startswith("xn--") and "*" not in label:
            import idna  # not at the top: a catalogue from the cache is not read again

            try:
                idna.decode(label)
            except UnicodeError:
                return f"is not a host name: expected a valid A-label, found {describe(label)}"
    if "*" in "".join(labels[-2:]):
        return "has a * in its registrable domain: expected the last two labels written out"
    if len(labels) < 2:
        return "is a single label: expected at least two"
    if labels[-1].isdigit():
        return "is an address: expected a name"
    return ""


class IdsInside:
    """Finds the id of an app that a name contains; of several, the first in their order."""

    __slots__ = ("_ids",)

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = [app_id for app_id in ids if len(app_id) >= MIN_ID]

    def first(self, name: str) -> str | None:
        """The id that is in `name`, None if there is none."""
        for app_id in self._ids:
            if app_id in name:
                return app_id
        return None


class NamesInside:
    """Finds the longest name of `rules` that another name contains. Every rule's name has at least
    two labels."""

    __slots__ = ("_dots", "_first_labels", "_rules", "_sizes")

    def __init__(self, rules: Iterable["Rule"]) -> None:
        self._first_labels: set[str] = set()
        # The characters around the first dot of a rule. Few other dots have the same.
        self._dots: set[str] = set()
        self._sizes: tuple[int, ...] = ()
        # The rules by their names without the last label.
        self._rules: dict[str, list[Rule]] = {}
        for rule in rules:
            label = rule.name.partition(".")[0]
            self._first_labels.add(label)
            self._dots.add(rule.name[max(0, len(label) - _BEFORE) : len(label) + 2])
            self._rules.setdefault(rule.name.rpartition(".")[0], []).append(rule)
        self._sizes = tuple({len(around) - 2 for around in self._dots})

    def longest(self, name: str) -> "Rule | None":
        """The rule with the longest name contained in `name`; the first in the order of names and
        kinds among those of the same length; None if there is none."""
        found: list[Rule] = []
        dot = name.find(".")
        begin = 0
        while dot >= 0:
            for size in self._sizes:
                if name[dot - size : dot + 2] in self._dots:
                    for start in range(max(begin, dot - MAX_LABEL), dot):
                        if name[start:dot] in self._first_labels:
                            found += self._beginning_at(name, start, dot)
                    break
            begin, dot = dot + 1, name.find(".", dot + 1)
        return min(found, key=_order, default=None) if found else None

    def _beginning_at(self, name: str, start: int, dot: int) -> Iterable["Rule"]:
        while 0 <= dot < start + MAX_NAME:
            for rule in self._rules.get(name[start:dot], ()):
                if name.startswith(rule.name, start):
                    yield rule
            dot = name.find(".", dot + 1)


def _order(rule: "Rule") -> tuple[int, str, str]:
    return -len(rule.name), rule.name, rule.kind
