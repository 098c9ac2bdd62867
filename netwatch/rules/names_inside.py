"""Which name of a rule is a part of another name, as in `nottiktok.com` or `tiktok.com.example`.

It is needed for every name that no rule matches, to say why, so its cost must not grow with the
number of rules. A name of a rule is inside of another one if its first label ends at a dot there,
and what follows begins like the rest of it.
"""

from collections.abc import Iterable

from netwatch.rules.rule_name import MAX_LABEL, MAX_NAME
from netwatch.rules.signature import Rule

_BEFORE = 3
"""Letters before a dot by which most dots are distinguished from the first ones of rules."""

MIN_ID = 4
"""Letters of an app's id from which a name that contains it is more than chance."""


class IdsInside:
    """Finds the id of an app that a name contains. Of several it is the first in their order."""

    __slots__ = ("_ids",)

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = [app_id for app_id in ids if len(app_id) >= MIN_ID]

    def first(self, name: str) -> str | None:
        """The id that is in `name`, None where there is none."""
        for app_id in self._ids:
            if app_id in name:
                return app_id
        return None


class NamesInside:
    """Finds the longest name of `rules` that another name contains. Every name of a rule has at
    least two labels."""

    __slots__ = ("_dots", "_first_labels", "_rules", "_sizes")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._first_labels: set[str] = set()
        # What is around the first dot of a rule. Few other dots have the same around.
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

    def longest(self, name: str) -> Rule | None:
        """The rule with the longest name that is in `name`; the first in the order of names and
        kinds among those of one length; None where there is none."""
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

    def _beginning_at(self, name: str, start: int, dot: int) -> Iterable[Rule]:
        while 0 <= dot < start + MAX_NAME:
            for rule in self._rules.get(name[start:dot], ()):
                if name.startswith(rule.name, start):
                    yield rule
            dot = name.find(".", dot + 1)


def _order(rule: Rule) -> tuple[int, str, str]:
    return -len(rule.name), rule.name, rule.kind
