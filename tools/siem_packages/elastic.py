"""What Elasticsearch and Kibana import: the pipeline, the index template and the dashboard of
docs/siem, and a detection rule for each kind of incident."""

import json
from typing import Any
from uuid import uuid5

from dashboards.kibana import INDEX

from netwatch.exports.sensors import NAMESPACE
from siem_packages.archive import Files
from siem_packages.importing import Call, Login, script
from siem_packages.tables import KINDS, MEANING, level, shipped

_VIOLATION = 'netwatch.verdict: "violation"'
_NOT_BLOCKED = (
    'netwatch.confidence: ("confirmed" or "probable") and not netwatch.outcome: "blocked"'
)
_RISKS = {"low": 21, "medium": 47, "high": 73, "critical": 99}
MANY_DEVICES = 10
"""The number of devices within a day from which an app spreads."""

_IMPORT = script(
    "Import the pipeline, the index template, the dashboard and the detection rules.",
    ("ES", "KIBANA"),
    Login("API_KEY", "header", "Authorization: ApiKey "),
    "kbn-xsrf",
    (
        Call("$ES/_ingest/pipeline/netwatch", "pipeline.json"),
        Call("$ES/_index_template/netwatch", "index-template.json"),
        Call("$KIBANA/api/saved_objects/_import", "dashboard.ndjson", upload=True),
        Call("$KIBANA/api/detection_engine/rules/_import", "detection-rules.ndjson", upload=True),
    ),
)


def files() -> Files:
    """The package, by paths below its folder."""
    return {
        "README.md": shipped("elastic.md"),
        "import.sh": _IMPORT,
        "pipeline.json": shipped("elastic/pipeline.json"),
        "index-template.json": shipped("elastic/index-template.json"),
        "dashboard.ndjson": shipped("elastic/dashboard.ndjson"),
        "detection-rules.ndjson": "".join(f"{json.dumps(rule)}\n" for rule in detection_rules()),
    }


def detection_rules() -> list[dict[str, Any]]:
    """The rules, as Kibana exports them. All are off until somebody turns them on.

    An alert is indexed again when its incident goes on, so a rule looks for new ids: Kibana shows
    each incident once for each rule, with any licence."""
    rules = [
        _new_incidents(
            kind,
            f"Banned app contacted: {MEANING[kind]}",
            f'{_VIOLATION} and netwatch.kind.value: "{kind}" and {_NOT_BLOCKED}',
            level(kind),
        )
        for kind in KINDS
    ]
    blocked = f'{_VIOLATION} and netwatch.outcome: "blocked"'
    advisory = 'netwatch.verdict: "advisory"'
    return [
        *rules,
        _new_incidents("blocked", "Contact with a banned app that a block stopped", blocked, "low"),
        _new_incidents("advisory", "App contacted that a ban advises against", advisory, "low"),
        _many_devices(),
    ]


def _new_incidents(what: str, title: str, query: str, severity: str) -> dict[str, Any]:
    return _rule(what, title, query, severity) | {
        "type": "new_terms",
        "new_terms_fields": ["event.id"],
        "history_window_start": "now-30d",
    }


def _many_devices() -> dict[str, Any]:
    title = f"Banned app contacted by {MANY_DEVICES} devices within a day"
    return _rule("many devices", title, f"{_VIOLATION} and {_NOT_BLOCKED}", "high") | {
        "type": "threshold",
        "threshold": {
            "field": ["network.application"],
            "value": 1,
            "cardinality": [{"field": "device.id", "value": MANY_DEVICES}],
        },
        "from": "now-1d",
        "interval": "1h",
    }


def _rule(what: str, title: str, query: str, severity: str) -> dict[str, Any]:
    return {
        "rule_id": str(uuid5(NAMESPACE, f"elastic rule {what}")),
        "name": f"netwatch: {title}",
        "description": f"{title}. The alert has the ban, the device, the evidence and its packets.",
        "author": ["netwatch"],
        "tags": ["netwatch"],
        "enabled": False,
        "severity": severity,
        "risk_score": _RISKS[severity],
        "false_positives": ["An exemption that is not registered"],
        "index": [INDEX],
        "language": "kuery",
        "query": query,
        "timestamp_override": "event.ingested",
        "from": "now-10m",
        "to": "now",
        "interval": "5m",
        "max_signals": 1000,
    }
