"""MISP: one event with an attribute for each name, as the REST API and the web pages import it.

A domain with all below it is of type ``domain``, a single name ``hostname``. There is no wildcard:
what is exported from MISP to a sensor decides whether a domain has those below it. The ids follow
from ban and name (RFC 9562 section 5.5), so that an import updates the event.
"""

import json
from typing import Any
from uuid import uuid5

from netwatch.core.period import days_text
from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import EVERYWHERE, Export, ExportFormat
from netwatch.exports.heading import heading
from netwatch.exports.sensor_sigma import NAMESPACE
from netwatch.rules.signature import Rule

_TYPES = {"suffix": "domain", "host": "hostname"}


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
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


def _read(text: str) -> Blocklist:
    attributes = json.loads(text)["Event"]["Attribute"]
    domains = [each["value"] for each in attributes if each["type"] == "domain"]
    hosts = (each["value"] for each in attributes if each["type"] == "hostname")
    return blocklist([*domains, *hosts], domains)


MISP = ExportFormat(
    "MISP",
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    EVERYWHERE,
    "what MISP hands on decides whether a domain has the names below it",
)
