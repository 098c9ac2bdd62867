"""Squid: access lists by the name that a client asks the proxy for, as a file for ``include``.

A name with a leading dot is a domain with all below it, without one that name alone. Patterns are
POSIX regular expressions in a list of their own.
"""

import re
from dataclasses import replace

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.exports.glob_patterns import glob_pattern
from netwatch.exports.heading import comments, joined
from netwatch.rules.signature import Rule

_UNSAFE = re.compile("[^A-Za-z0-9]+")
_USE = (
    "include this file before the first http_access that allows",
    "inside TLS that is not intercepted Squid knows the name of CONNECT alone; with squid-openssl"
    " and ssl_bump peek, write ssl::server_name in place of dstdomain and terminate what matches",
)


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
    name = f"netwatch_{_UNSAFE.sub('_', export.title)}"
    lines = comments(export, SQUID, *_USE)
    stopped, entries = _lists(name, rules)
    spared, exceptions = _lists(f"{name}_others", SQUID.spared(export))
    denied = (" ".join((each, *(f"!{other}" for other in spared))) for each in stopped)
    return joined([*lines, *entries, *exceptions, *(f"http_access deny {each}" for each in denied)])


def _lists(name: str, rules: tuple[Rule, ...]) -> tuple[list[str], list[str]]:
    """The names of the lists of some rules, and their lines."""
    names: dict[str, None] = {}
    lines = []
    for rule in rules:
        if rule.kind == "glob":
            names[f"{name}_patterns"] = None
            lines.append(f"acl {name}_patterns dstdom_regex -i {glob_pattern(rule.name)}")
        else:
            names[name] = None
            dot = "." if rule.kind == "suffix" else ""
            lines.append(f"acl {name} dstdomain {dot}{rule.name}")
    return list(names), lines


def _read(text: str) -> Blocklist:
    rows = [line.split() for line in text.splitlines()]
    denied = {word for row in rows if row[:2] == ["http_access", "deny"] for word in row[2:]}
    spared = {word.removeprefix("!") for word in denied if word.startswith("!")}
    return replace(_entries(rows, denied), spared=_entries(rows, spared))


def _entries(rows: list[list[str]], lists: set[str]) -> Blocklist:
    exact: list[str] = []
    below: list[str] = []
    patterns: list[str] = []
    for row in rows:
        match row:
            case ["acl", name, "dstdomain", domain] if name in lists:
                (below if domain.startswith(".") else exact).append(domain.removeprefix("."))
            case ["acl", name, "dstdom_regex", "-i", pattern] if name in lists:
                patterns.append(pattern)
    return blocklist([*exact, *below], below, patterns)


SQUID = ExportFormat(
    "Squid",
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    frozenset({"http-host", "tls-sni"}),
    "a proxy stops only what is sent through it, and no QUIC",
    comment="#",
    spares=frozenset({"host", "suffix", "glob"}),
)
