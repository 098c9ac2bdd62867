"""The format of v2fly's domain-list-community: one entry a line, files that include each other.

``full:`` is one name; ``domain:``, and a line without a prefix, a name with all below it;
``keyword:`` and ``regexp:`` are patterns. Attributes (``@ads``) follow. ``include:`` names a file
beside the list, and may choose from it by attributes (``@cn``, ``@-ads``). ``&`` puts an entry into
another list too, which has no meaning for this one.
"""

import re

from netwatch.core.listed_name import ListedKind
from netwatch.lists.findings import Findings, Lines

_PREFIXES: dict[str, ListedKind] = {
    "full": "host",
    "domain": "suffix",
    "keyword": "pattern",
    "regexp": "pattern",
    "regex": "pattern",
}
_MARKED = re.compile(r"(?:full|domain|keyword|regexp?|include):\S|[\w.-]+\s+[@&][\w!-]+")
_EXPECTED = "a name, or one of full:, domain:, keyword:, regexp: and include:"


def recognises(line: str) -> bool:
    """Whether a line can be one of this format only."""
    return _MARKED.match(line) is not None


def read(lines: Lines, findings: Findings) -> None:
    """Read all entries of a list."""
    for number, line in lines:
        words = line.partition("#")[0].split()
        if not words:
            continue
        head, *rest = words
        marks = tuple(word[1:] for word in rest if word[0] == "@" and len(word) > 1)
        if any(word[0] not in "@&" for word in rest):
            findings.fault(number, f"{_EXPECTED}, with attributes behind it", line)
            continue
        prefix, colon, value = head.partition(":")
        if not colon:
            findings.add("suffix", head, number, marks)
        elif prefix == "include" and value:
            wanted = tuple(mark for mark in marks if mark[0] != "-")
            unwanted = tuple(mark[1:] for mark in marks if mark[0] == "-")
            findings.include(value, number, wanted, unwanted)
        elif prefix in _PREFIXES and value:
            findings.add(_PREFIXES[prefix], value, number, marks)
        else:
            findings.fault(number, _EXPECTED, line)
