"""Formats for network sensors and SIEMs: Suricata, Zeek and Sigma.

Suricata: for each rule an alert on DNS queries, and on the server's name in TLS, QUIC and HTTP.

Values of ``dns.query``, ``tls.sni`` and ``quic.sni`` are spelled as in the packet, so their
contents are compared without case; ``http.host`` is already in lower case, and Suricata refuses
``nocase`` there. A domain is compared after a dot that ``dotprefix`` puts before the name.

The id of a signature (sid) follows from ban, protocol and rule: `FIRST_SID` and the first 28 bits
of a hash, in steps of 4, and 0 to 3 for the protocol. If two rules have the same hash, which is
rare, the second in order gets the next number.

Zeek: a file of the intelligence framework, with one name per row (``Intel::DOMAIN``).

Sigma: rules by which a SIEM finds the names in its logs, one rule per kind of log.

A rule has a list of names and a list of suffixes; a pattern is a regular expression. The ids follow
from ban and kind of log (RFC 9562 section 5.5), so that a newer file replaces an older one.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID, uuid5

import yaml

from netwatch.core.text import escaped
from netwatch.exports.export_format import (
    EVERYWHERE,
    Blocklist,
    Export,
    ExportFormat,
    blocklist,
    comments,
    glob_pattern,
    heading,
    joined,
    longest_literal,
)
from netwatch.rules.signature import Rule

FIRST_SID = 3_000_000_000
"""The smallest sid; the largest is `LAST_SID`. No public list uses these."""

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

_FIELDS = "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc"

NAMESPACE = UUID("5a0b0b46-60a5-5b8c-9d5c-3c1b8a7d2f10")
"""The namespace of the ids in all export formats."""

_LOGS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("DNS queries", {"category": "dns"}, "query"),
    (
        "DNS queries in Sysmon",
        {"product": "windows", "category": "dns_query"},
        "QueryName",
    ),
    ("requests through a proxy", {"category": "proxy"}, "cs-host"),
    ("TLS handshakes in Zeek", {"product": "zeek", "service": "ssl"}, "server_name"),
)
"""A kind of log, its source in Sigma's terms, and the field with the name."""


def _write_suricata(export: Export, rules: tuple[Rule, ...]) -> str:
    taken: set[int] = set()
    spared, written = SURICATA.spared(export), 0
    lines = comments(export, SURICATA, "replace alert with drop if Suricata is inline")
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
    """The spared rules that are below a domain, as many as fit into one line."""
    if rule.kind != "suffix":
        return []
    found, used = [], 0
    for other in spared:
        if other.name.endswith(f".{rule.name}"):
            used += len(_exception(other, " nocase;")) + 2
            if used > MAX_EXCEPTIONS:
                break
            found.append(other)
    return found


def _line(export: Export, rule: Rule, exceptions: Sequence[Rule], at: int, sid: int) -> str:
    protocol, buffer = BUFFERS[at]
    priority = _SEVERITIES[export.ban.severity] if export.ban else 2
    nocase = "" if buffer == "http.host" else " nocase;"
    matches = [_match(rule, nocase), *(_exception(exception, nocase) for exception in exceptions)]
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
    names are excepted."""
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
            words += [f"ban_from {_day_suricata(first)}"] if first else []
            words += [f"ban_until {_day_suricata(last)}"] if last else []
    return words


def _day_suricata(day: date) -> str:
    """A day in the form of other rule sets' metadata."""
    return day.strftime("%Y_%m_%d")


def _number(title: str, rule: Rule) -> int:
    text = f"{title} {rule.text}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 4


def _read_suricata(text: str) -> Blocklist:
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
    _write_suricata,
    _read_suricata,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    EVERYWHERE,
    "names in encrypted hellos, in answers, in aliases and behind SOCKS are not seen",
    comment="#",
    spares=frozenset({"host", "suffix", "glob"}),
)


def _write_zeek(export: Export, _: tuple[Rule, ...]) -> str:
    source = f"netwatch:{export.title}"
    authority = export.ban.authority if export.ban else "no ban"
    desc = escaped(authority).replace("\t", " ")
    rows = [f"{name}\tIntel::DOMAIN\t{source}\t{desc}" for name in export.selection.names]
    # Zeek skips lines with a hash before the one of the fields, and after it.
    return joined([*comments(export, ZEEK_INTEL), _FIELDS, *rows])


def _read_zeek(text: str) -> Blocklist:
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return blocklist(row[0] for row in rows if row[1:2] == ["Intel::DOMAIN"])


ZEEK_INTEL = ExportFormat(
    "the intelligence framework of Zeek",
    _write_zeek,
    _read_zeek,
    {"host": "exact", "suffix": "narrower", "glob": "none"},
    EVERYWHERE,
    "Zeek compares only whole names: a name below a domain is seen only if it is listed itself",
    comment="#",
)


def _write_sigma(export: Export, rules: tuple[Rule, ...]) -> str:
    documents = [_rule(export, rules, *log) for log in _LOGS]
    texts = [yaml.safe_dump(document, sort_keys=False, width=100) for document in documents]
    return joined(comments(export, SIGMA)) + "---\n".join(texts)


def _rule(
    export: Export, rules: tuple[Rule, ...], what: str, logsource: dict[str, str], field: str
) -> dict[str, Any]:
    ban = export.ban
    title = f"{', '.join(app.name for app in export.selection.apps)} in {what}"
    selections = _selections(rules, field, "")
    spared = _selections(SIGMA.spared(export), field, "others_")
    condition = " or ".join(selections)
    if spared:
        condition = f"({condition}) and not ({' or '.join(spared)})"
    return {
        "title": title if len(title) <= 256 else f"{export.title} in {what}",
        "id": str(uuid5(NAMESPACE, f"sigma {export.title} {what}")),
        "status": "stable",
        "description": "\n".join(heading(export, SIGMA)),
        "author": ban.authority if ban else "netwatch",
        "date": export.time.strftime("%Y-%m-%d"),
        "logsource": logsource,
        "detection": {**selections, **spared, "condition": condition},
        "falsepositives": ["Pages that embed a part of the app"],
        "level": ban.severity if ban else "medium",
    }


def _selections(
    rules: tuple[Rule, ...], field: str, prefix: str
) -> dict[str, dict[str, list[str]]]:
    """The existing names, suffixes and patterns."""
    names = [rule.name for rule in rules if rule.kind != "glob"]
    ends = [f".{rule.name}" for rule in rules if rule.kind == "suffix"]
    patterns = [glob_pattern(rule.name) for rule in rules if rule.kind == "glob"]
    found = {
        f"{prefix}names": {field: names},
        f"{prefix}domains": {f"{field}|endswith": ends},
        f"{prefix}patterns": {f"{field}|re": patterns},
    }
    return {key: value for key, value in found.items() if any(value.values())}


def _read_sigma(text: str) -> Blocklist:
    return replace(_entries(text, spared=False), spared=_entries(text, spared=True))


def _entries(text: str, *, spared: bool) -> Blocklist:
    exact: set[str] = set()
    below: set[str] = set()
    patterns: set[str] = set()
    for key, value in _values(text, spared):
        _, _, modifier = key.partition("|")
        if modifier == "endswith":
            below.add(value.removeprefix("."))
        else:
            (patterns if modifier == "re" else exact).add(value)
    return blocklist(exact, below, sorted(patterns))


def _values(text: str, spared: bool) -> Iterator[tuple[str, str]]:
    """The fields of all rules, each with one of its values: those of exceptions, or the others."""
    for document in yaml.safe_load_all(text):
        for name, selection in document["detection"].items():
            if isinstance(selection, dict) and name.startswith("others_") == spared:
                for key, values in selection.items():
                    yield from ((key, value) for value in values)


SIGMA = ExportFormat(
    "a SIEM, by way of pySigma",
    _write_sigma,
    _read_sigma,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    EVERYWHERE,
    "it finds what the logs of the SIEM have, and blocks nothing",
    comment="#",
    spares=frozenset({"host", "suffix", "glob"}),
)
