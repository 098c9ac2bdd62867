"""Plain names, one a line. A name is that host alone; ``*.name`` and ``.name`` are a name with all
below it. Comments begin with ``#``, ``;`` or ``!``."""

import re

from netwatch.lists.findings import Findings, Lines

_NAME = re.compile(r"(?:\*?\.)?[\w*-]+(?:\.[\w*-]+)+\.?\s*(?:[#;!].*)?\Z")


def recognises(line: str) -> bool:
    """Whether a line is a name. Other formats have such lines too."""
    return _NAME.match(line) is not None


def read(lines: Lines, findings: Findings) -> None:
    """Read all entries of a list."""
    for number, line in lines:
        text = re.split(r"[#;!]", line, maxsplit=1)[0].strip()
        if text:
            findings.add("host", text, number)
