"""Suricata: for each rule an alert on DNS queries, and on the server's name in TLS, QUIC and HTTP.

Values of ``dns.query``, ``tls.sni`` and ``quic.sni`` are in the letters of the packet, so their
contents are compared without case; ``http.host`` is in lower case already, and Suricata refuses
``nocase`` there. A domain is compared behind a dot that ``dotprefix`` puts before the name.

The id of a signature (sid) follows from ban, protocol and rule: `FIRST_SID` and the first 28 bits
of a hash, in steps of 4, and 0 to 3 for the protocol. Of two rules with one hash, which is rare,
the second in order gets the next number.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import date

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import EVERYWHERE, Export, ExportFormat
from netwatch.exports.glob_patterns import glob_pattern, longest_literal
from netwatch.exports.heading import comments, joined
from netwatch.rules.signature import Rule

FIRST_SID = 3_000_000_000
"""The smallest sid; the largest is `LAST_SID`. No list of others uses these."""

LAST_SID = FIRST_SID + 4 * (1 << 28) - 1

BUFFERS = (("dns", "dns.query"), ("tls", "tls.sni"), ("quic", "quic.sni"), ("http", "http.host"))
"""The protocols and the buffers in which Suricata has the name."""

MAX_EXCEPTIONS = 6000
"""Characters of the exceptions of one rule: Suricata reads rules of at most 8,191 bytes."""

_SEVERITIES = {"low": 3, "medium": 2, "high": 1, "critical": 1}
_META = re.compile("[^A-Za-z0-9._:-]+")
_ENTRY = re.compile(
    r"^alert \w+ .*?\((?:.*?; )?(?:dns\.query|tls\.sni|quic\.sni|http\.host);"
    r' (?P<dot>dotprefix; )?content:"(?P<content>[^"]+)";(?: nocase;)?'
    r'(?: startswith;)?(?: endswith;)?(?: pcre:"/(?P<pcre>.+?)/i";)?'
)

_PASSING_NAME = re.compile(r'content:!"\.([^"]+)";(?: nocase;)?( startswith;)? endswith')
_PASSING_PATTERN = re.compile(r'pcre:!"/\^\\\.(.+?)/i"')


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
    taken: set[int] = set()
    spared, written = SURICATA.spared(export), 0
    lines = comments(export, SURICATA, "replace alert by drop where Suricata is in line")
    for rule in rules:
        number = _number(export.title, rule)
        while number in taken:
            number = (number + 1) % (1 << 28)
        taken.add(number)
        exceptions = _exceptions(rule, spared)
        written += len(exceptions)
        for at in range(len(BUFFERS)):
            lines.append(_line(export, rule, exceptions, at, FIRST_SID + 4 * number + at))
    if written < len(spared):
        lines.insert(0, f"# no room for {len(spared) - written} of the names that are let pass")
    return joined(lines)


def _exceptions(rule: Rule, spared: Sequence[Rule]) -> list[Rule]:
    """Of the rules that are spared those below a domain, as many as one line has room for."""
    if rule.kind != "suffix":
        return []
    found, used = [], 0
    for each in spared:
        if each.name.endswith(f".{rule.name}"):
            used += len(_exception(each, " nocase;")) + 2
            if used > MAX_EXCEPTIONS:
                break
            found.append(each)
    return found


def _line(export: Export, rule: Rule, exceptions: Sequence[Rule], at: int, sid: int) -> str:
    protocol, buffer = BUFFERS[at]
    priority = _SEVERITIES[export.ban.severity] if export.ban else 2
    nocase = "" if buffer == "http.host" else " nocase;"
    matches = [_match(rule, nocase), *(_exception(each, nocase) for each in exceptions)]
    options = [
        f'msg:"netwatch {export.title} {rule.app.id} in {buffer}"',
        f"{buffer}; {'; '.join(matches)}",
        "classtype:policy-violation",
        f"priority:{priority}",
        f"sid:{sid}",
        "rev:1",
        f"metadata:{', '.join(_metadata(export, rule))}",
    ]
    return f"alert {protocol} any any -> any any ({'; '.join(options)};)"


def _match(rule: Rule, nocase: str) -> str:
    """The keywords that compare the buffer with a rule, without the last semicolon."""
    if rule.kind == "suffix":
        return f'dotprefix; content:".{rule.name}";{nocase} endswith'
    if rule.kind == "host":
        return f'content:"{rule.name}";{nocase} startswith; endswith'
    literal = longest_literal(rule.name)
    return f'content:"{literal}";{nocase} pcre:"/{glob_pattern(rule.name)}/i"'


def _exception(rule: Rule, nocase: str) -> str:
    """The keywords that compare the buffer, which has a dot before the name, with a rule whose
    names are not meant."""
    if rule.kind == "glob":
        return f'pcre:!"/^\\.{glob_pattern(rule.name)[1:]}/i"'
    starts = "" if rule.kind == "suffix" else " startswith;"
    return f'content:!".{rule.name}";{nocase}{starts} endswith'


def _metadata(export: Export, rule: Rule) -> list[str]:
    words = [f"netwatch_app {rule.app.id}", f"netwatch_role {rule.role}"]
    words.append(f"netwatch_rule {rule.kind}:{_META.sub('_', rule.name)}")
    if export.ban is not None:
        words.append(f"netwatch_ban {export.title}")
        for first, last in export.ban.days:
            words += [f"ban_from {_day(first)}"] if first else []
            words += [f"ban_until {_day(last)}"] if last else []
    return words


def _day(day: date) -> str:
    """A day as the metadata of others' rules have it."""
    return day.strftime("%Y_%m_%d")


def _number(title: str, rule: Rule) -> int:
    text = f"{title} {rule.text}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 4


def _read(text: str) -> Blocklist:
    """The names of all buffers together: each rule is written for all of them."""
    exact: list[str] = []
    below: list[str] = []
    patterns: list[str] = []
    passing: list[str] = []
    for line in text.splitlines():
        found = _ENTRY.match(line)
        if found is None:
            continue
        if found["pcre"]:
            patterns.append(found["pcre"])
        elif found["dot"]:
            below.append(found["content"][1:])
            for name, start in _PASSING_NAME.findall(line):
                passing.append(f"^{re.escape(name)}$" if start else rf"(^|\.){re.escape(name)}$")
            passing += (f"^{pattern}" for pattern in _PASSING_PATTERN.findall(line))
        else:
            exact.append(found["content"])
    spared = blocklist(patterns=dict.fromkeys(passing))
    return blocklist([*exact, *below], below, dict.fromkeys(patterns), spared)


SURICATA = ExportFormat(
    "Suricata 7 and newer",
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    EVERYWHERE,
    "names in encrypted hellos, in answers, in aliases and behind SOCKS are not seen",
    comment="#",
    spares=frozenset({"host", "suffix", "glob"}),
)
