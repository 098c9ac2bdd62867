"""The dashboards for Grafana and Kibana ask for what netwatch exposes, and only for that."""

import contextlib
import io
import json
import re
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from dashboards import grafana, kibana
from dashboards.__main__ import files
from support.paths import PCAPS, ROOT
from support.programs import search_path

from netwatch.cli import main
from netwatch.watch.metrics import METRICS

_SCRAPED = {"instance", "job"}
_GROUPING = re.compile(r"\bby \(([a-z, ]+)\)")
_SELECTOR = re.compile(r"\b(netwatch_\w+)\{([^}]*)\}")
_INTERVAL = "$__rate_interval"


def queries() -> list[grafana.Query]:
    return [query for panel in grafana.PANELS for query in panel.queries]


def test_files_are_what_the_tables_say() -> None:
    for name, text in files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, "run: make docs-tables"


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.text)
def test_metrics_and_labels_of_grafana_exist(query: grafana.Query) -> None:
    labels = {metric.name: set(metric.labels) | _SCRAPED for metric in METRICS}
    found = _SELECTOR.findall(query.expression)
    assert {name for name, _ in found} == set(re.findall(r"netwatch_\w+", query.expression))
    for name, selector in found:
        known = labels[name]  # the name as Prometheus has it, with _total
        assert {each.partition("=")[0].strip(" !~") for each in selector.split(",")} <= known
        for group in _GROUPING.findall(query.expression):
            assert {each.strip() for each in group.split(",")} <= known
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert any(label in group for group in _GROUPING.findall(query.expression))


@pytest.mark.needs("promtool")
def test_prometheus_reads_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.expression.replace(_INTERVAL, "5m")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)],
        capture_output=True, text=True, check=False, env={"PATH": search_path()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_panels_do_not_overlap() -> None:
    placed = [panel["gridPos"] for panel in grafana.dashboard()["panels"]]
    board = next(each for each in kibana.saved_objects() if each["type"] == "dashboard")
    cells = [panel["gridData"] for panel in json.loads(board["attributes"]["panelsJSON"])]
    for grid in (placed, cells):
        for (i, one), (j, other) in product(enumerate(grid), enumerate(grid)):
            assert i == j or not overlap(one, other)


def fields_of(record: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in record.items():
        name = f"{prefix}{key}"
        found |= fields_of(value, f"{name}.") if isinstance(value, dict) else {name}
    return found


@pytest.fixture(scope="module")
def fields() -> dict[str, set[str]]:
    """The fields of the ECS records of the sample captures, with the texts they have."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main(["scan", "-q", "-c", str(PCAPS / "netwatch.yaml"), "--format", "ecs", str(PCAPS)])
    found: dict[str, set[str]] = {}
    for line in output.getvalue().splitlines():
        record = json.loads(line)
        for field in fields_of(record):
            value: Any = record
            for key in field.split("."):
                value = value[key]
            found.setdefault(field, set()).add(value if isinstance(value, str) else "")
    assert found
    return found


def test_fields_and_words_of_kibana_are_in_records(fields: dict[str, set[str]]) -> None:
    for panel in kibana.PANELS:
        assert not panel.field or panel.field in fields
        for field, word in re.findall(r'([\w.]+): "([^"]*)"', panel.query):
            assert word in fields[field], (field, word)


def test_saved_objects_refer_to_each_other() -> None:
    objects = list(kibana.saved_objects())
    known = {(each["type"], each["id"]) for each in objects}
    assert len(known) == len(objects)
    for each in objects:
        names = {reference["name"] for reference in each["references"]}
        text = json.dumps(each["attributes"])
        assert all((ref["type"], ref["id"]) in known for ref in each["references"])
        assert all(name in text for name in names)
    template = json.loads((ROOT / "docs/siem/elastic/index-template.json").read_text())
    assert kibana.INDEX in template["index_patterns"]
