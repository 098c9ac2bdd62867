"""Sigma: rules by which a SIEM finds the names in logs that it has, one rule a kind of log.

A rule has a list of names and a list of ends of names; a pattern is a regular expression. The ids
follow from ban and kind of log (RFC 9562 section 5.5), so that a newer file replaces an older one.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

import yaml

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import EVERYWHERE, Export, ExportFormat
from netwatch.exports.glob_patterns import glob_pattern
from netwatch.exports.heading import comments, heading, joined
from netwatch.rules.signature import Rule

NAMESPACE = UUID("5a0b0b46-60a5-5b8c-9d5c-3c1b8a7d2f10")
"""The namespace of the ids of what is exported, for all formats."""

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
"""A kind of log, its source as Sigma names it, and the field with the name."""


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
    documents = [_rule(export, rules, *log) for log in _LOGS]
    texts = [yaml.safe_dump(each, sort_keys=False, width=100) for each in documents]
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
        "date": _day(export),
        "logsource": logsource,
        "detection": {**selections, **spared, "condition": condition},
        "falsepositives": ["Pages that embed a part of the app"],
        "level": ban.severity if ban else "medium",
    }


def _day(export: Export) -> str:
    return export.time.strftime("%Y-%m-%d")


def _selections(
    rules: tuple[Rule, ...], field: str, prefix: str
) -> dict[str, dict[str, list[str]]]:
    """The names, ends of names and patterns that there are."""
    names = [rule.name for rule in rules if rule.kind != "glob"]
    ends = [f".{rule.name}" for rule in rules if rule.kind == "suffix"]
    patterns = [glob_pattern(rule.name) for rule in rules if rule.kind == "glob"]
    found = {
        f"{prefix}names": {field: names},
        f"{prefix}domains": {f"{field}|endswith": ends},
        f"{prefix}patterns": {f"{field}|re": patterns},
    }
    return {key: value for key, value in found.items() if any(value.values())}


def _read(text: str) -> Blocklist:
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
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    EVERYWHERE,
    "it finds what the logs of the SIEM have, and blocks nothing",
    comment="#",
    spares=frozenset({"host", "suffix", "glob"}),
)
