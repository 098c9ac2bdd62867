"""Options of dnsmasq(8) that name domains: ``address=/name/…``, ``server=/name/…``, ``local=``.

Each name stands for itself and all below it. ``server=/name/#`` sends a name to the usual servers,
which makes it an exception. Other options of a configuration file name no domain.
"""

import re

from netwatch.core.listed_name import ListedKind
from netwatch.lists.findings import Findings, Lines

_OPTION = re.compile(
    r"(?:--)?(?P<option>address|server|local|ipset|nftset|rev-server)\s*=\s*/(?P<names>.*)/"
    r"(?P<value>[^/]*)\Z"
)
_OTHER = re.compile(r"(?:--)?[a-z][a-z0-9-]*\s*(?:=.*)?\Z")


def recognises(line: str) -> bool:
    """Whether a line can be one of this format only."""
    return _OPTION.match(line) is not None


def read(lines: Lines, findings: Findings) -> None:
    """Read all entries of a list."""
    for number, line in lines:
        # A comment begins the line or follows white space; in `/#` it is a value.
        text = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if not text:
            continue
        match = _OPTION.match(text)
        if match is None:
            if _OTHER.match(text):
                findings.skip("another option of dnsmasq")
            else:
                findings.fault(number, "an option such as address=/name/", line)
            continue
        exception = match["option"] == "server" and match["value"] == "#"
        for name in match["names"].split("/"):
            if name in ("", "#"):
                findings.skip("an option for all domains or for single labels")
            else:
                # `*name` is a name with any text before it, inside of a label too.
                kind: ListedKind = "pattern" if name[0] == "*" and name[:2] != "*." else "suffix"
                findings.add(kind, name, number, exception=exception)
