"""Squid: access lists by the name that a client asks the proxy for, as a file for ``include``.

A name with a leading dot is a domain with all below it, without one that name alone. Patterns are
POSIX regular expressions in a list of their own.
"""

import re

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
    kinds: dict[str, None] = {}
    for rule in rules:
        if rule.kind == "glob":
            kinds[f"{name}_patterns"] = None
            lines.append(f"acl {name}_patterns dstdom_regex -i {glob_pattern(rule.name)}")
        else:
            kinds[name] = None
            dot = "." if rule.kind == "suffix" else ""
            lines.append(f"acl {name} dstdomain {dot}{rule.name}")
    return joined([*lines, *(f"http_access deny {each}" for each in kinds)])


def _read(text: str) -> Blocklist:
    exact: list[str] = []
    below: list[str] = []
    patterns: list[str] = []
    for line in text.splitlines():
        match line.split():
            case ["acl", _, "dstdomain", name]:
                (below if name.startswith(".") else exact).append(name.removeprefix("."))
            case ["acl", _, "dstdom_regex", "-i", pattern]:
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
)
