"""Rules of Clash, Surge and Quantumult: ``DOMAIN-SUFFIX,name``, also as the items of a YAML list.

``DOMAIN`` is one name, ``DOMAIN-SUFFIX`` a name with all below it, other kinds are patterns, or
rules about addresses and programs. Items without a kind are those of a ``behavior: domain``
provider, in which ``+.name`` is a name with all below it.
"""

import re

from netwatch.core.listed_name import ListedKind
from netwatch.lists.findings import Findings, Lines

_KINDS: dict[str, ListedKind] = {
    "DOMAIN": "host",
    "HOST": "host",
    "DOMAIN-SUFFIX": "suffix",
    "HOST-SUFFIX": "suffix",
    "DOMAIN-KEYWORD": "pattern",
    "HOST-KEYWORD": "pattern",
    "DOMAIN-REGEX": "pattern",
    "DOMAIN-WILDCARD": "pattern",
    "HOST-WILDCARD": "pattern",
}
_OTHERS = re.compile(r"[A-Z][A-Z0-9-]*\Z")
_MARKED = re.compile(
    r"(?:-\s+)?[\"']?(?:(?:DOMAIN|HOST)(?:-[A-Z]+)?,\s*\S|IP-CIDR6?,|\+\.)|payload:\s*\Z", re.I
)


def recognises(line: str) -> bool:
    """Whether a line can be one of this format only."""
    return _MARKED.match(line) is not None


def read(lines: Lines, findings: Findings) -> None:
    """Read all entries of a list."""
    for number, line in lines:
        text = re.split(r"(?:^|\s)(?:#|//)", line, maxsplit=1)[0].strip()
        text = text.removeprefix("- ").strip().strip("\"'")
        if not text or text.lower() == "payload:":
            continue
        kind, comma, rest = text.partition(",")
        kind, value = kind.strip().upper(), rest.partition(",")[0].strip()
        if not comma:
            if text.startswith("+."):
                findings.add("suffix", text[2:], number)
            else:
                findings.add("host", text, number)
        elif kind in _KINDS and value:
            findings.add(_KINDS[kind], value, number)
        elif _OTHERS.match(kind):
            findings.skip("a rule that is not about names")
        else:
            findings.fault(number, "a rule such as DOMAIN-SUFFIX,name", line)
