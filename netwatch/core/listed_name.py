"""Names as public lists have them: blocklists, routing lists, response policy zones.

`netwatch.lists` reads the lists, `netwatch.rules.drift` and `netwatch.rules.draft` compare them
with the catalogue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from netwatch.core.errors import Problem

ListedKind = Literal["host", "suffix", "glob", "pattern"]


@dataclass(frozen=True, slots=True)
class ListedName:
    """An entry of a list; `file` and `line` are where it is written.

    A `host` is that name alone, a `suffix` the name and all below it, a `glob` is a name in which
    ``*`` is any text inside one label. A `pattern` (keyword, regular expression) names nobody's
    zone and is compared with nothing. `attributes` are what the list says of the entry, without
    ``@`` or ``$``.
    """

    kind: ListedKind
    name: str
    file: str
    line: int
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NameList:
    """A list that was read.

    `path` is how the user called it, `format` the id of its format, `digest` the SHA-256 of its
    content, with that of the files it includes. `names` are without duplicates, and without those
    that the list itself takes out again; `exceptions` are the names that it takes out. With
    `exceptions_prevail` an exception also holds for listed names below it. `skipped` counts
    entries that are no names by what they are. `problems` are lines that could not be read, at most
    `netwatch.lists.findings.MAX_PROBLEMS` of them; `bad_lines` is how many there were.
    """

    path: str
    format: str
    digest: str
    names: tuple[ListedName, ...]
    exceptions: tuple[ListedName, ...]
    exceptions_prevail: bool
    skipped: Mapping[str, int]
    problems: tuple[Problem, ...]
    bad_lines: int
