"""What Grafana and Prometheus load: the dashboard of docs/siem with the file that provisions it,
and alerts on the health of sensors and on violations, for either of the two."""

from dataclasses import dataclass
from typing import Any

import yaml

from siem_packages.archive import Files
from siem_packages.tables import shipped


@dataclass(frozen=True)
class Alert:
    """An alert: it fires when the query has had a result for so long. For Grafana, no value of a
    result may be 0. The summary is a template that both read alike, without a dollar, which
    Grafana's provisioning would replace."""

    name: str
    query: str
    hold: str
    severity: str
    summary: str


ALERTS: tuple[Alert, ...] = (
    Alert("NetwatchDown", '1 - up{job="netwatch"} > 0', "2m", "critical",
          "{{ .Labels.instance }} does not answer: nobody knows what it would have seen"),
    Alert("NetwatchUnhealthy", "sum by (instance, trouble) (netwatch_troubles) > 0", "2m",
          "warning", "{{ .Labels.instance }}: {{ .Labels.trouble }}"),
    Alert("NetwatchViolation",
          'sum by (instance) (netwatch_incidents_open{verdict="violation"}) > 0', "0s", "info",
          "{{ .Labels.instance }} reported a contact that a ban forbids"),
)  # fmt: skip
"""All alerts."""

PATH = "/etc/grafana/netwatch"
"""Where the dashboard is put, which its provider names."""

_PROVIDER = {
    "apiVersion": 1,
    "providers": [
        {"name": "netwatch", "type": "file", "allowUiUpdates": True, "options": {"path": PATH}}
    ],
}


def files() -> Files:
    """The package, by paths below its folder."""
    return {
        "README.md": shipped("grafana.md"),
        "netwatch/netwatch.json": shipped("grafana/netwatch.json"),
        "provisioning/dashboards/netwatch.yaml": _text(_PROVIDER),
        "provisioning/alerting/netwatch.yaml": _text(_grafana_rules()),
        "prometheus/netwatch.rules.yml": _text(_prometheus_rules()),
    }


def _prometheus_rules() -> dict[str, Any]:
    rules = [
        {
            "alert": each.name,
            "expr": each.query,
            "for": each.hold,
            "labels": {"severity": each.severity},
            "annotations": {"summary": each.summary},
        }
        for each in ALERTS
    ]
    return {"groups": [{"name": "netwatch", "rules": rules}]}


def _grafana_rules() -> dict[str, Any]:
    """The alerts for Grafana's own alerting, which takes the data source from its environment."""
    rules = [
        {
            "uid": each.name.lower(),
            "title": each.name,
            "condition": "A",
            "data": [
                {
                    "refId": "A",
                    "relativeTimeRange": {"from": 600, "to": 0},
                    "datasourceUid": "$NETWATCH_PROMETHEUS_UID",
                    "model": {"refId": "A", "expr": each.query, "instant": True},
                }
            ],
            "for": each.hold,
            "noDataState": "OK",
            "execErrState": "Error",
            "labels": {"severity": each.severity},
            "annotations": {"summary": each.summary},
        }
        for each in ALERTS
    ]
    group = {"orgId": 1, "name": "netwatch", "folder": "netwatch", "interval": "1m"}
    return {"apiVersion": 1, "groups": [{**group, "rules": rules}]}


def _text(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=1000)
