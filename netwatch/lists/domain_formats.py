"""Lists of domains as such: plain names, the rules of Clash and its relatives, and v2fly's
domain-list-community."""

import re

from netwatch.core.listed_name import ListedKind
from netwatch.lists.findings import Findings, Lines

_PLAIN_NAME = re.compile(r"(?:\*?\.)?[\w*-]+(?:\.[\w*-]+)+\.?\s*(?:[#;!].*)?\Z")


def is_plain_line(line: str) -> bool:
    """Whether a line is a name. Other formats have such lines too."""
    return _PLAIN_NAME.match(line) is not None


def read_plain(lines: Lines, findings: Findings) -> None:
    """Plain names, one a line. A name is that host alone; ``*.name`` and ``.name`` are a name with
    all below it. Comments begin with ``#``, ``;`` or ``!``."""
    for number, line in lines:
        text = re.split(r"[#;!]", line, maxsplit=1)[0].strip()
        if text:
            findings.add("host", text, number)


_CLASH_KINDS: dict[str, ListedKind] = {
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
_CLASH_OTHER = re.compile(r"[A-Z][A-Z0-9-]*\Z")
_CLASH_LINE = re.compile(
    r"(?:-\s+)?[\"']?(?:(?:DOMAIN|HOST)(?:-[A-Z]+)?,\s*\S|IP-CIDR6?,|\+\.)|payload:\s*\Z", re.I
)


def is_clash_line(line: str) -> bool:
    """Whether a line can be one of rules of Clash only."""
    return _CLASH_LINE.match(line) is not None


def read_clash(lines: Lines, findings: Findings) -> None:
    """Rules of Clash, Surge and Quantumult: ``DOMAIN-SUFFIX,name``, also as items of a YAML list.

    ``DOMAIN`` is one name, ``DOMAIN-SUFFIX`` a name with all below it, other kinds are patterns, or
    rules about addresses and programs. Items without a kind are those of a ``behavior: domain``
    provider, in which ``+.name`` is a name with all below it.
    """
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
        elif kind in _CLASH_KINDS and value:
            findings.add(_CLASH_KINDS[kind], value, number)
        elif _CLASH_OTHER.match(kind):
            findings.skip("a rule that is not about names")
        else:
            findings.fault(number, "a rule such as DOMAIN-SUFFIX,name", line)


_DOMAIN_LIST_PREFIXES: dict[str, ListedKind] = {
    "full": "host",
    "domain": "suffix",
    "keyword": "pattern",
    "regexp": "pattern",
    "regex": "pattern",
}
_DOMAIN_LIST_LINE = re.compile(r"(?:full|domain|keyword|regexp?|include):\S|[\w.-]+\s+[@&][\w!-]+")
_DOMAIN_LIST_ENTRY = "a name, or one of full:, domain:, keyword:, regexp: and include:"


def is_domain_list_line(line: str) -> bool:
    """Whether a line can be one of v2fly's format only."""
    return _DOMAIN_LIST_LINE.match(line) is not None


def read_domain_list(lines: Lines, findings: Findings) -> None:
    """The format of v2fly's domain-list-community: one entry a line, files that include each other.

    ``full:`` is one name; ``domain:``, and a line without a prefix, a name with all below it;
    ``keyword:`` and ``regexp:`` are patterns. Attributes (``@ads``) follow. ``include:`` names a
    file beside the list, and may choose from it by attributes (``@cn``, ``@-ads``). ``&`` puts an
    entry into another list too, which has no meaning for this one.
    """
    for number, line in lines:
        words = line.partition("#")[0].split()
        if not words:
            continue
        head, *rest = words
        marks = tuple(word[1:] for word in rest if word[0] == "@" and len(word) > 1)
        if any(word[0] not in "@&" for word in rest):
            findings.fault(number, f"{_DOMAIN_LIST_ENTRY}, with attributes behind it", line)
            continue
        prefix, colon, value = head.partition(":")
        if not colon:
            findings.add("suffix", head, number, marks)
        elif prefix == "include" and value:
            wanted = tuple(mark for mark in marks if mark[0] != "-")
            unwanted = tuple(mark[1:] for mark in marks if mark[0] == "-")
            findings.include(value, number, wanted, unwanted)
        elif prefix in _DOMAIN_LIST_PREFIXES and value:
            findings.add(_DOMAIN_LIST_PREFIXES[prefix], value, number, marks)
        else:
            findings.fault(number, _DOMAIN_LIST_ENTRY, line)
