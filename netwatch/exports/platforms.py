"""Formats of platforms that exchange indicators: STIX, MISP and Microsoft Defender.

STIX 2.1: a bundle with the authority, one indicator for each rule and period of the ban, and a note
that describes the file.

Only here does a consumer learn the days of a ban from the file itself (``valid_from``,
``valid_until``). Ids follow from ban, rule and period (UUIDv5), so the same object has the same id
in a newer file; section 2.9 of the specification recommends random ones and does not forbid these.

MISP: one event with an attribute for each name, as the REST API and the web pages import it.

A domain with all below it has the type ``domain``, a single name ``hostname``. There is no
wildcard: what is exported from MISP to a sensor decides whether a domain has those below it. The
ids follow from ban and name (RFC 9562 section 5.5), so that an import updates the event.

Microsoft Defender for Endpoint: indicators as the CSV file that its portal imports.

A ``DomainName`` is blocked with all names below it, also if the rule is a single host. The ban's
last day is ``ExpirationTime``. The portal takes `PORTAL_LIMIT` rows in a file.
"""

import csv
import io
import json
import re
from datetime import datetime
from typing import Any
from uuid import uuid5

from netwatch.core.period import days_text
from netwatch.core.tabular import CsvWriter
from netwatch.exports.export_format import (
    EVERYWHERE,
    Blocklist,
    Export,
    ExportFormat,
    blocklist,
    glob_pattern,
    heading,
    time_text,
)
from netwatch.exports.sensors import NAMESPACE
from netwatch.rules.signature import Rule

_COMPARISON = re.compile(r"domain-name:value (=|LIKE|MATCHES) '((?:[^'\\]|\\.)*)'")

_TYPES = {"suffix": "domain", "host": "hostname"}

PORTAL_LIMIT = 500
"""Rows that the portal imports from one file."""

COLUMNS = (
    "IndicatorType",
    "IndicatorValue",
    "ExpirationTime",
    "Action",
    "Severity",
    "Title",
    "Description",
    "RecommendedActions",
    "RbacGroups",
    "Category",
    "MitreTechniques",
    "GenerateAlert",
)
_SEVERITIES = {"low": "Low", "medium": "Medium", "high": "High", "critical": "High"}


def _write_stix(export: Export, rules: tuple[Rule, ...]) -> str:
    periods = export.periods or [(None, None)]
    author = _object(export, "identity", "author")
    author["name"] = export.ban.authority or export.title if export.ban else "netwatch"
    author["identity_class"] = "organization"
    objects = [author]
    for rule in rules:
        objects += [_indicator(export, rule, *period, author["id"]) for period in periods]
    note = _object(export, "note", "heading")
    note["created_by_ref"] = author["id"]
    note["content"] = "\n".join(heading(export, STIX))
    note["object_refs"] = [part["id"] for part in objects]
    objects.append(note)
    bundle_id = f"bundle--{uuid5(NAMESPACE, f'bundle {export.title} {export.selection.digest}')}"
    bundle = {"type": "bundle", "id": bundle_id, "objects": objects}
    return json.dumps(bundle, indent=2, ensure_ascii=False) + "\n"


def _object(export: Export, kind: str, what: str) -> dict[str, Any]:
    """The properties that all objects have. One was created when the ban began, which is the same
    in every file, and modified at the moment of this one."""
    begins = [start for start, _ in export.periods if start]
    created = min(export.time, *begins) if begins else export.time
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid5(NAMESPACE, f'{export.title} {what}')}",
        "created": time_text(created),
        "modified": time_text(export.time),
    }


def _indicator(
    export: Export, rule: Rule, start: datetime | None, end: datetime | None, author: str
) -> dict[str, Any]:
    made = _object(export, "indicator", f"{rule.text} {start}")
    valid_from = start or _earliest(export, end)
    made["created_by_ref"] = author
    made["name"] = f"{rule.app.name}: {rule.name}"
    made["description"] = f"Rule {rule.text}, role {rule.role}, of {export.title}"
    made["indicator_types"] = ["unknown"]
    made["pattern"] = f"[{_pattern(rule)}]"
    made["pattern_type"] = "stix"
    made["valid_from"] = time_text(valid_from)
    if end is not None:
        made["valid_until"] = time_text(end)
    made["labels"] = [f"app:{rule.app.id}", f"role:{rule.role}"]
    return made


def _earliest(export: Export, end: datetime | None) -> datetime:
    """Instead of an open start, which STIX lacks: the time of the export, or if the period ended
    before it, the start of that day."""
    if end is None or export.time < end:
        return export.time
    return end.replace(year=end.year - 1, day=min(end.day, 28))


def _pattern(rule: Rule) -> str:
    if rule.kind == "glob":
        escaped = glob_pattern(rule.name).replace("\\", "\\\\")
        return f"domain-name:value MATCHES '{escaped}'"
    exact = f"domain-name:value = '{rule.name}'"
    return f"{exact} OR domain-name:value LIKE '%.{rule.name}'" if rule.kind == "suffix" else exact


def _read_stix(text: str) -> Blocklist:
    exact: list[str] = []
    below: list[str] = []
    patterns: dict[str, None] = {}
    for part in json.loads(text)["objects"]:
        for operator, value in _COMPARISON.findall(part.get("pattern", "")):
            if operator == "=":
                exact.append(value)
            elif operator == "LIKE":
                below.append(value.removeprefix("%."))
            else:
                patterns[value.replace("\\\\", "\\")] = None
    return blocklist(exact, below, patterns)


STIX = ExportFormat(
    "threat intelligence platforms that read STIX 2.1",
    _write_stix,
    _read_stix,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    EVERYWHERE,
    "each platform decides what it does with an indicator; `%.` in LIKE is any text",
)


def _write_misp(export: Export, rules: tuple[Rule, ...]) -> str:
    ban = export.ban
    attributes = [_attribute(export, rule) for rule in rules]
    text = _base(export, "heading", "comment", "Other", "\n".join(heading(export, MISP)))
    days = f", {days_text(ban.days, ban.timezone)}" if ban else ""
    event = {
        "uuid": str(uuid5(NAMESPACE, f"misp {export.title}")),
        "info": f"netwatch: {export.title}{days}",
        "date": export.time.strftime("%Y-%m-%d"),
        "timestamp": _seconds(export),
        "threat_level_id": "4",
        "analysis": "2",
        "distribution": "0",
        "published": False,
        "Tag": [{"name": f"netwatch:app={app.id}"} for app in export.selection.apps],
        "Attribute": [*attributes, text],
    }
    return json.dumps({"Event": event}, indent=2, ensure_ascii=False) + "\n"


def _attribute(export: Export, rule: Rule) -> dict[str, Any]:
    kind = _TYPES[rule.kind]
    made = _base(export, rule.text, kind, "Network activity", rule.name)
    made["to_ids"] = True
    made["comment"] = f"{rule.app.name}, role {rule.role}"
    return made


def _base(export: Export, what: str, kind: str, category: str, value: str) -> dict[str, Any]:
    return {
        "uuid": str(uuid5(NAMESPACE, f"misp {export.title} {what}")),
        "type": kind,
        "category": category,
        "value": value,
        "to_ids": False,
        "distribution": "5",
        "timestamp": _seconds(export),
        "comment": "",
    }


def _seconds(export: Export) -> str:
    return str(int(export.time.timestamp()))


def _read_misp(text: str) -> Blocklist:
    attributes = json.loads(text)["Event"]["Attribute"]
    domains = [attribute["value"] for attribute in attributes if attribute["type"] == "domain"]
    hosts = (attribute["value"] for attribute in attributes if attribute["type"] == "hostname")
    return blocklist([*domains, *hosts], domains)


MISP = ExportFormat(
    "MISP",
    _write_misp,
    _read_misp,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    EVERYWHERE,
    "whether a domain includes the names below it depends on the export of MISP",
)


def _write_defender(export: Export, rules: tuple[Rule, ...]) -> str:
    ban, stream = export.ban, io.StringIO()
    writer = CsvWriter(stream, "\r\n")
    writer.row(COLUMNS)
    ends = [end for _, end in export.periods]
    expires = ends[-1].strftime("%Y-%m-%dT%H:%M:%S.0Z") if ends and ends[-1] else ""
    severity = _SEVERITIES[ban.severity] if ban else "Medium"
    basis = f"; {ban.authority}; {ban.legal_basis}" if ban else ""
    for rule in rules:
        says = (
            f"{rule.text}, role {rule.role}{basis}; signatures {export.signatures}, sha256"
            f" {export.selection.digest[:16]}, netwatch {export.netwatch}"
        )
        row = ("DomainName", rule.name, expires, "Block", severity, f"netwatch {export.title}")
        writer.row((*row, says, "", "", "UnwantedSoftware", "", "TRUE"))
    return stream.getvalue()


def _read_defender(text: str) -> Blocklist:
    rows = list(csv.DictReader(io.StringIO(text)))
    names = [row["IndicatorValue"] for row in rows if row["Action"] == "Block"]
    return blocklist(names, names)


DEFENDER = ExportFormat(
    "Microsoft Defender for Endpoint",
    _write_defender,
    _read_defender,
    {"host": "wider", "suffix": "exact", "glob": "none"},
    frozenset({"tls-sni", "http-host"}),
    f"the portal imports {PORTAL_LIMIT} rows from a file: export apps one by one if there are"
    " more; only devices with Defender are covered",
    max_rows=PORTAL_LIMIT,
)
