"""What the reader of a format finds in a list: names, exceptions, other entries, bad lines.

Names are normalised and checked here, and lines are read within bounds, so that all formats treat
both the same way.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

from netwatch.core.errors import ConfigError, Problem
from netwatch.core.names import ListedKind, ListedName, normalise_name
from netwatch.core.user_yaml import describe

MAX_NAMES = 2_000_000
"""Names in one list, including the files that it includes; further ones are only counted."""

MAX_PROBLEMS = 20
"""Bad lines of one list that are reported; further ones are only counted."""

_LABEL = r"(?!-)[a-z0-9_{star}-]{{1,63}}(?<!-)"
_NAME = re.compile(
    rf"(?=.{{4,253}}\Z)(?:{_LABEL.format(star='')}\.)+(?=[a-z])[a-z0-9-]{{2,63}}(?<!-)\Z"
)
_GLOB = re.compile(
    rf"(?=.{{4,253}}\Z)(?:{_LABEL.format(star='*')}\.)+{_LABEL.format(star='')}\."
    r"(?=[a-z])[a-z0-9-]{2,63}(?<!-)\Z"
)
_ADDRESS = re.compile(r"[0-9.]+(?:/[0-9]+)?\Z|[0-9a-f]*:[0-9a-f:.]+(?:/[0-9]+)?\Z", re.IGNORECASE)

_LOCAL = frozenset({"localhost.localdomain", "ip6-localhost", "ip6-loopback"})

Include = Callable[[str, int, tuple[str, ...], tuple[str, ...]], None]
"""Reads a file next to the list: its name, the including line, the attributes that its entries must
have, and those that they must not have."""

Lines: TypeAlias = Iterator[tuple[int, str]]
"""Lines with their numbers from 1, without line ends."""

MAX_LINE = 65_536
"""Characters in a line of a list; a longer line is a bad line."""


class Findings:
    """Collects the contents of one list. `file` is the file that is being read; `include` reads
    another one into the same findings. A list with more than `most` names raises `ConfigError`;
    without `most`, names beyond `MAX_NAMES` are only counted."""

    def __init__(self, file: str, include: Include, most: int | None = None) -> None:
        self.file = file
        self.include = include
        self._most = most
        self.names: dict[tuple[ListedKind, str], ListedName] = {}
        self.exceptions: dict[tuple[ListedKind, str], ListedName] = {}
        self.skipped: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self.bad_lines = 0
        self.wanted: tuple[str, ...] = ()
        self.unwanted: tuple[str, ...] = ()
        self._cancelled: set[tuple[ListedKind, str]] = set()

    def add(
        self,
        kind: ListedKind,
        text: str,
        line: int,
        attributes: tuple[str, ...] = (),
        *,
        exception: bool = False,
    ) -> None:
        """Add an entry, or the exception that removes it. A name with ``*`` becomes a glob, or a
        suffix if ``*`` is its whole first label."""
        if not (set(self.wanted) <= set(attributes) and not set(self.unwanted) & set(attributes)):
            self.skip("left out by the attributes of an include")
            return
        key = (kind, text) if kind == "pattern" else self._key(kind, text, line)
        if key is None:
            return
        into = self.exceptions if exception else self.names
        if key in into:
            return
        count = len(self.names) + len(self.exceptions)
        if self._most is not None and count >= self._most:
            message = f"expected a list of at most {self._most:,} names, found more"
            raise ConfigError([Problem(self.file, line, 0, message)])
        if count >= MAX_NAMES:
            self.skip("beyond the limit of names")
            return
        into[key] = ListedName(*key, self.file, line, attributes)

    def cancel(self, kind: ListedKind, text: str, line: int) -> None:
        """Note that the list withdraws exactly this entry, wherever it is."""
        key = self._key(kind, text, line)
        if key is not None:
            self._cancelled.add(key)

    def skip(self, what: str) -> None:
        """Count an entry that is not a name; `what` is its kind in the singular."""
        self.skipped[what] += 1

    def fault(self, line: int, expected: str, found: str) -> None:
        """Count a line that cannot be read, and report it if it is one of the first."""
        self.bad_lines += 1
        if len(self.problems) < MAX_PROBLEMS:
            message = f"expected {expected}, found {describe(found)}"
            self.problems.append(Problem(self.file, line, 0, message))

    def finish(self, *, exceptions_prevail: bool) -> None:
        """Drop the names that the list itself removes, and hosts covered by a suffix of the same
        name, as in a zone with ``name`` and ``*.name``."""
        for key in self._cancelled:
            self.names.pop(key, None)
        for _, name in [key for key in self.names if key[0] == "suffix"]:
            self.names.pop(("host", name), None)
        if not self.exceptions:
            return
        for key in [key for key in self.names if self._is_excepted(key, exceptions_prevail)]:
            del self.names[key]
            self.skip("taken out by an exception of the list")

    def _key(self, kind: ListedKind, text: str, line: int) -> tuple[ListedKind, str] | None:
        """Kind and normalised form of a name; None if it is not valid, which is counted."""
        raw = text.removeprefix("*.").removeprefix(".")
        if len(raw) != len(text):
            kind = "suffix"
        name = raw.lower()
        if not _NAME.match(name):
            name = normalise_name(raw.encode("utf-8", "surrogateescape"))
        if _NAME.match(name):
            if name in _LOCAL or name.endswith(".localdomain"):
                self.skip("a name of the machine itself")
                return None
            return kind, name
        if "*" in name and _GLOB.match(name):
            return "glob", name
        if _ADDRESS.match(name):
            self.skip("an address")
        elif _NAME.match(f"{name}.example"):
            self.skip("a single label")
        elif "*" in name:
            self.skip("a wildcard over whole domains")
        else:
            self.fault(line, "a host name", text)
        return None

    def _is_excepted(self, key: tuple[ListedKind, str], prevail: bool) -> bool:
        if key in self.exceptions:
            return True
        kind, name = key
        while prevail and kind != "pattern" and name:
            if ("suffix", name) in self.exceptions:
                return True
            name = name.partition(".")[2]
        return False


def split_lines(text: str) -> Lines:
    """The lines of a text. White space at the end is removed; white space at the beginning has a
    meaning in zone files."""
    start, number = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        yield number, text[start:end].rstrip()
        start = end + 1
