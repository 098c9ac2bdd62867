"""Which name of a rule is a part of another name, as in `nottiktok.com` or `tiktok.com.example`.

It is needed for every name that no rule matches, to say why, so its cost must not grow with the
number of rules. A name of a rule is inside of another one if its first label ends at a dot there,
and what follows begins like the rest of it.
"""

from collections.abc import Iterable

from netwatch.rules.signature import MAX_LABEL, MAX_NAME, Rule


class NamesInside:
    """Finds the longest name of `rules` that another name contains. Every name of a rule has at
    least two labels."""

    __slots__ = ("_first_labels", "_rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._first_labels: set[str] = set()
        # The rules by their names without the last label.
        self._rules: dict[str, list[Rule]] = {}
        for rule in rules:
            self._first_labels.add(rule.name.partition(".")[0])
            self._rules.setdefault(rule.name.rpartition(".")[0], []).append(rule)

    def longest(self, name: str) -> Rule | None:
        """The rule with the longest name that is in `name`; the first in the order of names and
        kinds among those of one length; None where there is none."""
        found: list[Rule] = []
        dot = name.find(".")
        begin = 0
        while dot >= 0:
            for start in range(max(begin, dot - MAX_LABEL), dot):
                if name[start:dot] in self._first_labels:
                    found += self._beginning_at(name, start, dot)
            begin, dot = dot + 1, name.find(".", dot + 1)
        return min(found, key=_order, default=None)

    def _beginning_at(self, name: str, start: int, dot: int) -> Iterable[Rule]:
        while 0 <= dot < start + MAX_NAME:
            for rule in self._rules.get(name[start:dot], ()):
                if name.startswith(rule.name, start):
                    yield rule
            dot = name.find(".", dot + 1)


def _order(rule: Rule) -> tuple[int, str, str]:
    return -len(rule.name), rule.name, rule.kind
