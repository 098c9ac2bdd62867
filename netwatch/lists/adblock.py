"""Filter lists of AdGuard and uBlock Origin, as far as they name whole hosts.

``||name^`` is a name with all below it, ``|https://name^`` that name, ``@@`` before it makes an
exception, which wins over every filter that covers the same name. A line that is a name alone is
that name, and a line of a hosts file is one too (AdGuard's syntax for DNS filters). Modifiers
(``$third-party``) become attributes. Filters of paths and of parts of pages say nothing about a
whole name.
"""

import re

from netwatch.core.listed_name import ListedKind
from netwatch.lists import hosts
from netwatch.lists.findings import Findings, Lines

_MARKED = re.compile(r"@@|\|\|?\S|\[Adblock|\S*#[@?$%]*#")
_FILTER = re.compile(
    r"(?P<exception>@@)?(?P<start>\|\|(?:[a-z]+://)?|\|[a-z]+://|[a-z]+://)?(?P<name>[^/^|$,\s]+)"
    r"(?P<end>\^?\|?|/|\^\*)(?:\$(?P<modifiers>\S*))?\Z"
)
_COSMETIC = re.compile(r"#[@?$%]*#")


def recognises(line: str) -> bool:
    """Whether a line can be one of this format only."""
    return _MARKED.match(line) is not None


def read(lines: Lines, findings: Findings) -> None:
    """Read all entries of a list."""
    for number, line in lines:
        text = line.strip()
        if not text or text[0] in "![" or text.startswith("# ") or text == "#":
            continue
        if _COSMETIC.search(text):
            findings.skip("a filter of parts of a page")
            continue
        if hosts.recognises(text):
            hosts.read(iter([(number, text)]), findings)
            continue
        _read_filter(text, number, findings)


def _read_filter(text: str, number: int, findings: Findings) -> None:
    match = _FILTER.match(text)
    if match is None:
        if text.startswith("/") or "/" in text or "|" in text or "^" in text or "*" in text:
            findings.skip("a filter of paths")
        else:
            findings.fault(number, "a filter such as ||name^", text)
        return
    start, name = match["start"] or "", match["name"]
    if not start and ("*" in name or "." not in name):
        findings.skip("a filter of paths")
        return
    kind: ListedKind = "suffix" if start.startswith("||") else "host"
    modifiers = tuple(filter(None, (match["modifiers"] or "").split(",")))
    name = name.partition(":")[0]
    if "badfilter" in modifiers:
        findings.cancel(kind, name, number)
    else:
        exception = match["exception"] is not None
        findings.add(kind, name, number, modifiers, exception=exception)
