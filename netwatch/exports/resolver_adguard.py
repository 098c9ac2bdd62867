"""AdGuard Home, and what else reads the syntax of DNS filters of AdGuard: ``||name^`` is a domain
with all below it, ``|name^`` a name from its first letter to its last, and text between slashes a
regular expression. ``@@`` before an entry lets its names pass."""

import re
from dataclasses import replace

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.exports.glob_patterns import glob_pattern
from netwatch.exports.heading import comments, joined
from netwatch.exports.resolver_hosts import LOOKUP
from netwatch.rules.signature import Rule

_DOMAIN = re.compile(r"\|\|([^*^|/]+)\^")
_NAME = re.compile(r"\|([^*^|/]+)\^")
_PATTERN = re.compile(r"/(.+)/")


def _entry(rule: Rule) -> str:
    if rule.kind == "glob":
        return f"/{glob_pattern(rule.name)}/"
    return f"||{rule.name}^" if rule.kind == "suffix" else f"|{rule.name}^"


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
    spared = (f"@@{_entry(rule)}" for rule in ADGUARD.spared(export))
    return joined([*comments(export, ADGUARD), *map(_entry, rules), *spared])


def _read(text: str) -> Blocklist:
    lines = [line for line in text.splitlines() if not line.startswith("!")]
    spared = [line.removeprefix("@@") for line in lines if line.startswith("@@")]
    return replace(_entries(lines), spared=_entries(spared))


def _entries(lines: list[str]) -> Blocklist:
    def found(form: re.Pattern[str]) -> list[str]:
        return [each[1] for line in lines if (each := form.fullmatch(line))]

    domains = found(_DOMAIN)
    return blocklist([*domains, *found(_NAME)], domains, found(_PATTERN))


ADGUARD = ExportFormat(
    "AdGuard Home and AdGuard DNS",
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    LOOKUP,
    "a resolver stops only the lookups that it gets, not those of encrypted DNS elsewhere",
    comment="!",
    is_resolver=True,
    spares=frozenset({"host", "suffix", "glob"}),
)
