"""STIX 2.1: a bundle with the authority, one indicator for each rule and period of the ban, and a
note that says what the file is.

Only here does a consumer learn the days of a ban from the file itself (``valid_from``,
``valid_until``). Ids follow from ban, rule and period (UUIDv5), so the same object has the same id
in a newer file; section 2.9 of the specification recommends random ones and does not forbid these.
"""

import json
import re
from datetime import datetime
from typing import Any
from uuid import uuid5

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import EVERYWHERE, Export, ExportFormat, time_text
from netwatch.exports.glob_patterns import glob_pattern
from netwatch.exports.heading import heading
from netwatch.exports.sensor_sigma import NAMESPACE
from netwatch.rules.signature import Rule

_COMPARISON = re.compile(r"domain-name:value (=|LIKE|MATCHES) '((?:[^'\\]|\\.)*)'")


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
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
    note["object_refs"] = [each["id"] for each in objects]
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
    """In place of an open begin, which STIX does not have: the moment of the export, or where the
    period ended before it, the begin of that day."""
    if end is None or export.time < end:
        return export.time
    return end.replace(year=end.year - 1, day=min(end.day, 28))


def _pattern(rule: Rule) -> str:
    if rule.kind == "glob":
        escaped = glob_pattern(rule.name).replace("\\", "\\\\")
        return f"domain-name:value MATCHES '{escaped}'"
    exact = f"domain-name:value = '{rule.name}'"
    return f"{exact} OR domain-name:value LIKE '%.{rule.name}'" if rule.kind == "suffix" else exact


def _read(text: str) -> Blocklist:
    exact: list[str] = []
    below: list[str] = []
    patterns: dict[str, None] = {}
    for each in json.loads(text)["objects"]:
        for operator, value in _COMPARISON.findall(each.get("pattern", "")):
            if operator == "=":
                exact.append(value)
            elif operator == "LIKE":
                below.append(value.removeprefix("%."))
            else:
                patterns[value.replace("\\\\", "\\")] = None
    return blocklist(exact, below, patterns)


STIX = ExportFormat(
    "threat intelligence platforms that read STIX 2.1",
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    EVERYWHERE,
    "what a platform does with an indicator is its own decision; `%.` in LIKE is any text",
)
