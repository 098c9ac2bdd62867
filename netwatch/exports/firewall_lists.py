"""Domain lists that firewalls fetch: external dynamic lists of PAN-OS, threat feeds of FortiOS.

Both are plain text with one entry a line, and neither has a documented form for comments, so
nothing but names is written. PAN-OS: a caret before a name is an exact match, an asterisk may only
be the whole first label, for one label or several. FortiOS: an asterisk may be anywhere in
a name, also across labels, so a pattern is a little wider there than in a signature.
"""

import re

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.exports.heading import joined
from netwatch.exports.resolver_hosts import LOOKUP
from netwatch.rules.signature import Rule

_LOST = "a firewall sees only the lookups that pass it in the clear; its list has no room for dates"


def _write_palo_alto(_: Export, rules: tuple[Rule, ...]) -> str:
    lines = []
    for rule in rules:
        lines.append(f"^{rule.name}")
        if rule.kind == "suffix":
            lines.append(f"*.{rule.name}")
    return joined(dict.fromkeys(lines))


def _read_palo_alto(text: str) -> Blocklist:
    lines = text.split()
    return blocklist(
        (line[1:] for line in lines if line.startswith("^")),
        (line[2:] for line in lines if line.startswith("*.")),
    )


def _write_fortigate(_: Export, rules: tuple[Rule, ...]) -> str:
    lines = []
    for rule in rules:
        lines.append(rule.name)
        if rule.kind == "suffix":
            lines.append(f"*.{rule.name}")
    return joined(dict.fromkeys(lines))


def _read_fortigate(text: str) -> Blocklist:
    patterns = (re.escape(line).replace(r"\*", ".*") for line in text.split() if "*" in line)
    return blocklist(
        (line for line in text.split() if "*" not in line), (), (f"^{each}$" for each in patterns)
    )


EDL = ExportFormat(
    "external dynamic lists of PAN-OS",
    _write_palo_alto,
    _read_palo_alto,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    LOOKUP,
    _LOST,
    is_resolver=True,
    product="Palo Alto",
    feed="palo-alto",
)

FORTIGATE = ExportFormat(
    "threat feeds of FortiOS",
    _write_fortigate,
    _read_fortigate,
    {"host": "exact", "suffix": "exact", "glob": "wider"},
    LOOKUP,
    _LOST,
    is_resolver=True,
    product="FortiGate",
    feed="fortigate",
)
