"""Response policy zones (draft-vixie-dnsop-dns-rpz), as zone files (RFC 1035 section 5).

An owner below the zone is the name that a rule is about: itself, and with ``*.`` before it the
names below it. ``rpz-passthru`` is an exception. Rules about addresses and name servers name no
host.
"""

import re

from netwatch.lists.findings import Findings, Lines

_RECORD = re.compile(
    r"(?P<owner>\S+)?\s+(?:(?:\d+[smhdw]?|IN)\s+){0,2}"
    r"(?P<type>CNAME|DNAME|A|AAAA|TXT|MX|SRV|NS|SOA)\s+(?P<data>\S.*)\Z",
    re.IGNORECASE,
)
_DIRECTIVE = re.compile(
    r"\$(?P<word>TTL|ORIGIN|INCLUDE|GENERATE)\b\s*(?P<value>\S*)", re.IGNORECASE
)
_TRIGGERS = (".rpz-ip", ".rpz-client-ip", ".rpz-nsip", ".rpz-nsdname")


def recognises(line: str) -> bool:
    """Whether a line can be one of this format only."""
    return _DIRECTIVE.match(line) is not None or _RECORD.match(_uncommented(line)) is not None


def _uncommented(line: str) -> str:
    return line.partition(";")[0].rstrip()


def read(lines: Lines, findings: Findings) -> None:
    """Read all entries of a list."""
    origin = owner = ""
    is_open = False  # inside of parentheses, which only the SOA record has
    for number, line in lines:
        text = _uncommented(line)
        if is_open or not text.strip():
            is_open = is_open and ")" not in text
            continue
        directive = _DIRECTIVE.match(text)
        if directive:
            if directive["word"].upper() == "ORIGIN":
                origin = directive["value"].rstrip(".").lower()
            elif directive["word"].upper() != "TTL":
                findings.skip("another directive of a zone file")
            continue
        record = _RECORD.match(text)
        if record is None:
            findings.fault(number, "a record such as: name CNAME .", line)
            continue
        owner = record["owner"] or owner
        kind = record["type"].upper()
        if kind == "SOA":
            is_open = "(" in text and ")" not in text
            # A zone file without $ORIGIN names its zone as the owner of the SOA record.
            if owner != "@" and owner.endswith("."):
                origin = owner.rstrip(".").lower()
        elif kind != "NS" or owner != "@":
            _add(owner, record["data"], origin, number, findings)


def _add(owner: str, data: str, origin: str, number: int, findings: Findings) -> None:
    name = owner.lower()
    if name.endswith("."):
        name = name[:-1]
        if name == origin:
            return
        name = name.removesuffix(f".{origin}")
    if name in ("", "@"):
        return
    if name.endswith(_TRIGGERS):
        findings.skip("a rule about addresses or name servers")
        return
    is_exception = data.lower().rstrip(".") in ("rpz-passthru", name)
    findings.add("host", name, number, exception=is_exception)
