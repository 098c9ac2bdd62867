"""Unbound: local zones answer NXDOMAIN for a domain and all below it, local data gives one name the
unspecified address. The file is one for ``include:``."""

import re

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.exports.heading import comments, joined
from netwatch.exports.resolver_hosts import LOOKUP
from netwatch.rules.signature import Rule

_ZONE = re.compile(r'local-zone: "(.+)\." always_nxdomain')
_PASSING = re.compile(r'local-zone: "(.+)\." always_transparent')
_DATA = re.compile(r'local-data: "(\S+)\. 300 IN A(?:AAA)? \S+"')


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
    entries = ["server:"]
    for rule in rules:
        if rule.kind == "suffix":
            entries.append(f'local-zone: "{rule.name}." always_nxdomain')
        else:
            entries.append(f'local-data: "{rule.name}. 300 IN A 0.0.0.0"')
            entries.append(f'local-data: "{rule.name}. 300 IN AAAA ::"')
    entries += [f'local-zone: "{rule.name}." always_transparent' for rule in UNBOUND.spared(export)]
    return joined([*comments(export, UNBOUND), *entries])


def _read(text: str) -> Blocklist:
    lines = text.splitlines()
    zones = [found[1] for line in lines if (found := _ZONE.fullmatch(line))]
    hosts = [found[1] for line in lines if (found := _DATA.fullmatch(line))]
    spared = [found[1] for line in lines if (found := _PASSING.fullmatch(line))]
    return blocklist([*zones, *hosts], zones, spared=blocklist(spared, spared), longest=True)


UNBOUND = ExportFormat(
    "Unbound",
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    LOOKUP,
    "a resolver stops only the lookups that it gets, not those of encrypted DNS elsewhere, and"
    " local zones do not apply to the targets of aliases",
    comment="#",
    is_resolver=True,
    spares=frozenset({"host", "suffix"}),
)
