"""The Grafana dashboard over the Prometheus metrics of live captures."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
_SENSORS = 'instance=~"$instance"'


@dataclass(frozen=True)
class Query:
    """A query in PromQL, whose ``$sensors`` stands for the chosen sensors, and its legend."""

    text: str
    legend: str

    @property
    def expression(self) -> str:
        """The query as Grafana sends it."""
        return self.text.replace("$sensors", _SENSORS)


@dataclass(frozen=True)
class Panel:
    """A panel: `kind` is a type of Grafana, `unit` one of its units, `width` counts of 24 columns.
    `bad` is the value from which it is red."""

    title: str
    kind: str
    unit: str
    queries: tuple[Query, ...]
    help: str
    width: int = 12
    bad: float | None = None


PANELS: tuple[Panel, ...] = (
    Panel(
        "Unhealthy sensors", "stat", "short",
        (Query("count(sum by (instance) (netwatch_troubles{$sensors}) > 0) or vector(0)", ""),),
        "Sensors whose /healthz answers 503 now.", 4, 1,
    ),
    Panel(
        "Open violations", "stat", "short",
        (Query('sum(netwatch_incidents_open{$sensors, verdict="violation"})', ""),),
        "Reported incidents that a ban forbids and that are open now.", 4,
    ),
    Panel(
        "Packets dropped, 1 h", "stat", "short",
        (Query("sum(increase(netwatch_packets_dropped_total{$sensors}[1h]))", ""),),
        "Packets that the kernel dropped: what they carried was not seen.", 4, 1,
    ),
    Panel(
        "Flows with a name, 1 h", "stat", "percentunit",
        (Query('sum(increase(netwatch_flows_total{$sensors, reading="named"}[1h]))'
               " / sum(increase(netwatch_flows_total{$sensors}[1h]))", ""),),
        "The share of flows whose name could be read. No incident says little where it is low.", 4,
    ),
    Panel(
        "Oldest alert not delivered", "stat", "s",
        (Query("max(netwatch_output_oldest_seconds{$sensors})", ""),),
        "How long the oldest alert has waited for its receiver.", 4, 300,
    ),
    Panel(
        "Rows lost by the store, 24 h", "stat", "short",
        (Query("sum(increase(netwatch_store_rows_lost_total{$sensors}[24h]))", ""),),
        "Observations, flows and claims that could not be kept.", 4, 1,
    ),
    Panel(
        "Incidents by verdict", "timeseries", "short",
        (Query("sum by (verdict) (increase(netwatch_incidents_total{$sensors}[$__rate_interval]))",
               "{{verdict}}"),),
        "Incidents that were reported, by what the ban says.",
    ),
    Panel(
        "Ended incidents by outcome", "timeseries", "short",
        (Query("sum by (kind, outcome)"
               " (increase(netwatch_incidents_closed_total{$sensors}[$__rate_interval]))",
               "{{kind}}, {{outcome}}"),),
        "What they looked like, and what came of them: `blocked` says that a block works.",
    ),
    Panel(
        "Flows by whether a name could be read", "timeseries", "short",
        (Query("sum by (reading) (rate(netwatch_flows_total{$sensors}[$__rate_interval]))",
               "{{reading}}"),),
        "Flows a second. All but `named` are blind spots, by their reason.",
    ),
    Panel(
        "Names observed", "timeseries", "short",
        (Query("sum by (evidence) (rate(netwatch_observations_total{$sensors}[$__rate_interval]))",
               "{{evidence}}"),),
        "Names a second, by what carried them.",
    ),
    Panel(
        "Packets and drops", "timeseries", "pps",
        (Query("sum by (instance) (rate(netwatch_packets_total{$sensors}[$__rate_interval]))",
               "{{instance}} received"),
         Query("sum by (instance)"
               " (rate(netwatch_packets_dropped_total{$sensors}[$__rate_interval]))",
               "{{instance}} dropped")),
        "Packets a second that arrived, and that the kernel dropped.",
    ),
    Panel(
        "Traffic", "timeseries", "bps",
        (Query("8 * sum by (instance)"
               " (rate(netwatch_packet_bytes_total{$sensors}[$__rate_interval]))",
               "{{instance}}"),),
        "Bits a second as they were on the wire.",
    ),
    Panel(
        "Troubles", "timeseries", "short",
        (Query("sum by (instance, trouble) (netwatch_troubles{$sensors}) > 0",
               "{{instance}} {{trouble}}"),),
        "Why a sensor is unhealthy.",
    ),
    Panel(
        "Alerts that wait", "timeseries", "short",
        (Query("sum by (instance, output) (netwatch_output_waiting{$sensors})",
               "{{instance}} {{output}}"),),
        "Alerts that are not delivered yet, by output.",
    ),
    Panel(
        "Attempts that failed", "timeseries", "short",
        (Query("sum by (output) (rate(netwatch_output_failures_total{$sensors}[$__rate_interval]))",
               "{{output}}"),),
        "Attempts at delivery a second that failed.",
    ),
    Panel(
        "Tables, filled", "timeseries", "percentunit",
        (Query("max by (instance, table) (netwatch_table_entries{$sensors}"
               " / netwatch_table_entries_limit{$sensors})", "{{instance}} {{table}}"),),
        "How full the bounded tables are. Behind a full one, entries are evicted.",
    ),
    Panel(
        "Evictions", "timeseries", "short",
        (Query("sum by (instance, table)"
               " (rate(netwatch_table_evictions_total{$sensors}[$__rate_interval])) > 0",
               "{{instance}} {{table}}"),),
        "Entries a second that were evicted from tables.",
    ),
    Panel(
        "Rows kept and lost by the store", "timeseries", "short",
        (Query("sum by (instance) (rate(netwatch_store_rows_total{$sensors}[$__rate_interval]))",
               "{{instance}} kept"),
         Query("sum by (instance)"
               " (rate(netwatch_store_rows_lost_total{$sensors}[$__rate_interval]))",
               "{{instance}} lost")),
        "Rows a second that were written to the store, and that it lost.",
    ),
)  # fmt: skip
"""All panels, in their order."""

_STAT_HEIGHT, _HEIGHT, _COLUMNS = 4, 8, 24


def dashboard() -> dict[str, Any]:
    """The dashboard, for import and for provisioning: its data source is a variable, which begins
    as the first Prometheus."""
    return {
        "title": "netwatch",
        "uid": "netwatch",
        "description": "Live captures of netwatch: incidents, blind spots, health and delivery.",
        "tags": ["netwatch"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "1m",
        "timezone": "browser",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "DS_PROMETHEUS",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                    "refresh": 1,
                },
                {
                    "name": "instance",
                    "label": "Sensor",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": "label_values(netwatch_build_info, instance)",
                    "includeAll": True,
                    "multi": True,
                    "current": {"text": "All", "value": "$__all"},
                    "refresh": 2,
                },
            ]
        },
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    x = y = height = 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > _COLUMNS:
            x, y = 0, y + height
        height = _STAT_HEIGHT if panel.kind == "stat" else _HEIGHT
        yield {
            "id": number,
            "title": panel.title,
            "description": panel.help,
            "type": panel.kind,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": panel.width, "h": height},
            "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
            "options": _options(panel),
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "datasource": SOURCE,
                    "expr": query.expression,
                    "legendFormat": query.legend or "__auto",
                    "range": panel.kind != "stat",
                    "instant": panel.kind == "stat",
                }
                for index, query in enumerate(panel.queries)
            ],
        }
        x += panel.width


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"color": "text" if panel.bad is None else "green", "value": None}
    ]
    if panel.bad is not None:
        steps.append({"color": "red", "value": panel.bad})
    return {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {"colorMode": "value", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
