"""The Kibana dashboard over the data stream of alerts, as saved objects.

The visualizations are of the kinds that Kibana has had since its version 5 (aggregations of
Elasticsearch), which every later version imports.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DATA_VIEW = "netwatch-alerts"
INDEX = "logs-netwatch.alert-*"
DASHBOARD = "netwatch-dashboard"


@dataclass(frozen=True)
class Panel:
    """A panel: `kind` is ``over time``, ``top`` or ``number``. `field` is what alerts are counted
    by, `query` (KQL) which ones; `width` counts of 48 columns."""

    id: str
    title: str
    kind: str
    field: str = ""
    query: str = ""
    size: int = 10
    width: int = 24


PANELS: tuple[Panel, ...] = (
    Panel("violations", "Violations", "number", query='netwatch.verdict: "violation"', width=12),
    Panel("confirmed", "Confirmed violations", "number",
          query='netwatch.verdict: "violation" and netwatch.confidence: "confirmed"', width=12),
    Panel("blocked", "Violations that a block stopped", "number",
          query='netwatch.verdict: "violation" and netwatch.outcome: "blocked"', width=12),
    Panel("exempt", "Exempt", "number", query='netwatch.verdict: "exempt"', width=12),
    Panel("verdicts", "Incidents by verdict", "over time", "netwatch.verdict"),
    Panel("kinds", "Incidents by kind", "over time", "netwatch.kind.value"),
    Panel("apps", "Apps", "top", "netwatch.app.name"),
    Panel("networks", "Networks", "top", "network.name"),
    Panel("bans", "Bans", "top", "rule.id"),
    Panel("devices", "Devices with most violations", "top", "device.id",
          'netwatch.verdict: "violation"', 20),
    Panel("names", "Names", "top", "destination.domain", size=20),
    Panel("sensors", "Sensors", "top", "observer.name"),
)  # fmt: skip
"""All panels, in their order."""

_COLUMNS, _HEIGHT, _NUMBER_HEIGHT = 48, 15, 8


def saved_objects() -> Iterator[dict[str, Any]]:
    """The data view, the visualizations and the dashboard."""
    yield {
        "type": "index-pattern",
        "id": DATA_VIEW,
        "attributes": {"title": INDEX, "name": "netwatch alerts", "timeFieldName": "@timestamp"},
        "references": [],
    }
    for panel in PANELS:
        yield _visualization(panel)
    yield _dashboard()


def _visualization(panel: Panel) -> dict[str, Any]:
    return {
        "type": "visualization",
        "id": f"netwatch-{panel.id}",
        "attributes": {
            "title": f"netwatch: {panel.title}",
            "description": "",
            "uiStateJSON": "{}",
            "version": 1,
            "visState": _text(_state(panel)),
            "kibanaSavedObjectMeta": {
                "searchSourceJSON": _text(
                    {
                        "query": {"query": panel.query, "language": "kuery"},
                        "filter": [],
                        "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
                    }
                )
            },
        },
        "references": [
            {
                "id": DATA_VIEW,
                "name": "kibanaSavedObjectMeta.searchSourceJSON.index",
                "type": "index-pattern",
            }
        ],
    }


def _state(panel: Panel) -> dict[str, Any]:
    # An alert is indexed again when its incident goes on, so incidents are counted by their id.
    incidents = _aggregation(
        "1", "cardinality", "metric", field="event.id", customLabel="Incidents"
    )
    title = f"netwatch: {panel.title}"
    if panel.kind == "number":
        return {
            "title": title,
            "type": "metric",
            "aggs": [incidents],
            "params": {"addTooltip": True, "addLegend": False, "type": "metric",
                       "metric": {"labels": {"show": False}, "style": {"fontSize": 48}}},
        }  # fmt: skip
    if panel.kind == "top":
        terms = _aggregation("2", "terms", "bucket", **_terms(panel))
        return {
            "title": title,
            "type": "table",
            "aggs": [incidents, terms],
            "params": {"perPage": 10, "showTotal": False, "showPartialRows": False},
        }
    time = _aggregation(
        "2", "date_histogram", "segment", field="@timestamp", interval="auto", min_doc_count=0
    )
    terms = _aggregation("3", "terms", "group", **_terms(panel))
    return {
        "title": title,
        "type": "histogram",
        "aggs": [incidents, time, terms],
        "params": {
            "type": "histogram",
            "addTooltip": True,
            "addLegend": True,
            "legendPosition": "bottom",
            "seriesParams": [
                {"show": True, "type": "histogram", "mode": "stacked", "valueAxis": "ValueAxis-1",
                 "data": {"id": "1", "label": "Incidents"}}
            ],
            "categoryAxes": [
                {"id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": True,
                 "scale": {"type": "linear"}, "labels": {"show": True}, "title": {}}
            ],
            "valueAxes": [
                {"id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left",
                 "show": True, "scale": {"type": "linear", "mode": "normal"},
                 "labels": {"show": True}, "title": {"text": "Incidents"}}
            ],
        },
    }  # fmt: skip


def _aggregation(number: str, kind: str, schema: str, **params: Any) -> dict[str, Any]:
    return {"id": number, "enabled": True, "type": kind, "schema": schema, "params": params}


def _terms(panel: Panel) -> Mapping[str, Any]:
    return {"field": panel.field, "orderBy": "1", "order": "desc", "size": panel.size,
            "otherBucket": False, "customLabel": panel.title}  # fmt: skip


def _dashboard() -> dict[str, Any]:
    placed, references = [], []
    x = y = height = 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > _COLUMNS:
            x, y = 0, y + height
        height = _NUMBER_HEIGHT if panel.kind == "number" else _HEIGHT
        reference = f"panel_{number}"
        grid = {"x": x, "y": y, "w": panel.width, "h": height, "i": str(number)}
        placed.append(
            {"gridData": grid, "panelIndex": str(number), "panelRefName": reference,
             "embeddableConfig": {}, "title": panel.title}
        )  # fmt: skip
        references.append(
            {"id": f"netwatch-{panel.id}", "name": reference, "type": "visualization"}
        )
        x += panel.width
    return {
        "type": "dashboard",
        "id": DASHBOARD,
        "attributes": {
            "title": "netwatch",
            "description": "Incidents that netwatch reported.",
            "panelsJSON": _text(placed),
            "optionsJSON": _text({"useMargins": True, "hidePanelTitles": False}),
            "timeRestore": True,
            "timeFrom": "now-30d",
            "timeTo": "now",
            "version": 1,
            "kibanaSavedObjectMeta": {
                "searchSourceJSON": _text(
                    {"query": {"query": "", "language": "kuery"}, "filter": []}
                )
            },
        },
        "references": references,
    }


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
