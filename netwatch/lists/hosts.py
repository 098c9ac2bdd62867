"""Hosts files (hosts(5)): an address, and the names that have it."""

import re

from netwatch.lists.findings import Findings, Lines

_ENTRY = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]+(?:%\w+)?)\s+\S")


def recognises(line: str) -> bool:
    """Whether a line can be one of this format only."""
    return _ENTRY.match(line) is not None


def read(lines: Lines, findings: Findings) -> None:
    """Read all entries of a list."""
    for number, line in lines:
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not _ENTRY.match(text):
            findings.fault(number, "an address and a host name", line)
            continue
        for name in text.split()[1:]:
            findings.add("host", name, number)
