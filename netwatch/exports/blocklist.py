"""What a written export blocks, as the program that reads it understands the entries.

Each format has a reader of its own output. It knows nothing of signatures, so that the preview
tells what the file does and not what it was meant to do.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Blocklist:
    """Entries of an export: names that are matched alone (`exact`), domains below which all names
    are matched (`below`, without the domain itself), patterns, and networks of addresses as first
    and last packed address. `spared` are entries that let a name pass: with `longest` only where no
    longer entry stops it, else always."""

    exact: frozenset[str] = frozenset()
    below: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()
    spans: tuple[tuple[bytes, bytes], ...] = ()
    spared: "Blocklist | None" = None
    longest: bool = False

    def has(self, name: str) -> bool:
        """Whether the entries stop a name."""
        matched = self._length(name)
        if not matched or self.spared is None:
            return bool(matched)
        spared = self.spared._length(name)
        return matched > spared if self.longest else not spared

    def _length(self, name: str) -> int:
        """The length of the longest entry that matches a name, 0 where none does."""
        if name in self.exact:
            return len(name) + 1
        dot = name.find(".")
        while dot >= 0:
            if name[dot + 1 :] in self.below:
                return len(name) - dot
            dot = name.find(".", dot + 1)
        return int(any(each.search(name) for each in self.patterns))

    def has_address(self, packed: bytes) -> bool:
        """Whether an entry contains an address."""
        return any(
            len(packed) == len(first) and first <= packed <= last for first, last in self.spans
        )


def blocklist(
    exact: Iterable[str] = (),
    below: Iterable[str] = (),
    patterns: Iterable[str] = (),
    spared: Blocklist | None = None,
    *,
    longest: bool = False,
) -> Blocklist:
    """A list of names; `patterns` are regular expressions, which match anywhere in a name."""
    compiled = tuple(re.compile(each, re.IGNORECASE | re.ASCII) for each in patterns)
    return Blocklist(frozenset(exact), frozenset(below), compiled, spared=spared, longest=longest)
