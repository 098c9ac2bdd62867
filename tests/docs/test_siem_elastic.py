"""The packages for Elastic and OpenSearch: in the types of their own clients, with queries that
Kibana's parser reads and that find the alerts they are about, imported by their scripts."""

import ipaddress
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from siem_packages import elastic, opensearch
from siem_packages.archive import Files
from support.siem_imports import (
    Record,
    import_server,
    kibana_queries,
    sample_records,
    selects,
    type_problems,
    values,
)

RULES = elastic.detection_rules()
TYPES = {
    "elastic": ("@elastic/elasticsearch", "estypes.IndicesPutIndexTemplateRequest"),
    "opensearch": ("@opensearch-project/opensearch", "API.Indices_PutIndexTemplate_RequestBody"),
}
PACKAGES: dict[str, Callable[[], Files]] = {
    "elastic": elastic.files,
    "opensearch": opensearch.files,
}


def template(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(PACKAGES[name]()["index-template.json"])
    return content


def requests(name: str) -> list[tuple[str, str, Any]]:
    """What is sent to the server, with the types of its client. The types of OpenSearch refuse the
    value of a `set` processor, which the server takes, so they are not asked about pipelines."""
    named = {"name": "netwatch"} if name == "elastic" else {}
    asked = [(*TYPES[name], {**named, **template(name)})]
    if name == "elastic":
        pipeline = {"id": "netwatch", **json.loads(elastic.files()["pipeline.json"])}
        asked.append((TYPES[name][0], "estypes.IngestPutPipelineRequest", pipeline))
    return asked


@pytest.mark.parametrize("name", PACKAGES)
def test_requests_are_of_the_types_of_the_client(name: str, tmp_path: Path) -> None:
    assert type_problems(tmp_path, requests(name)) == ""


@pytest.mark.parametrize("name", PACKAGES)
def test_the_types_refuse_what_is_wrong(name: str, tmp_path: Path) -> None:
    module, used, content = requests(name)[0]
    wrong = json.dumps(content).replace('"type": "ip"', '"type": "address"', 1)
    wrong = wrong.replace('"index_patterns"', '"index_pattern"')
    problems = type_problems(tmp_path, [(module, used, json.loads(wrong))])
    assert "address" in problems or "index_pattern" in problems


def mapped(properties: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in properties.items():
        if "properties" in value:
            yield from mapped(value["properties"], f"{path}{key}.")
        else:
            yield f"{path}{key}", value["type"]


def test_values_of_records_are_of_the_types_of_the_mapping() -> None:
    parse = {
        "ip": ipaddress.ip_address, "long": int,
        "date": datetime.fromisoformat, "date_nanos": datetime.fromisoformat,
    }  # fmt: skip
    found = set()
    for path, kind in mapped(template("elastic")["template"]["mappings"]["properties"]):
        for record in sample_records("ecs"):
            for value in values(record, path):
                parse[kind](value)
                found.add(path)
    assert {"@timestamp", "event.severity", "source.ip", "netwatch.ban.from"} <= found


def test_opensearch_has_no_components_of_elastic_and_a_keyword_for_each_text() -> None:
    ours, theirs = template("opensearch"), template("elastic")
    assert set(theirs) - set(ours) == {"composed_of", "ignore_missing_component_templates"}
    message, texts = ours["template"]["mappings"]["dynamic_templates"]
    assert message["message"]["mapping"] == {"type": "text"}
    assert texts["texts"]["mapping"]["type"] == "keyword"


def wanted(record: Record) -> set[str]:
    """What an alert is about, as the rules are named."""
    told = record["netwatch"]
    if told["verdict"] != "violation":
        return {told["verdict"]} - {"exempt"}
    if told["outcome"] == "blocked":
        return {"blocked"}
    return {told["kind"]["value"], "many devices"}


def test_rules_find_the_alerts_that_they_are_about() -> None:
    about = ("session", "background", "embed", "lookup", "blocked", "advisory", "many devices")
    queries = dict(zip(about, kibana_queries([rule["query"] for rule in RULES]), strict=True))
    records = sample_records("ecs")
    found = [{name for name, query in queries.items() if selects(query, r)} for r in records]
    assert found == [wanted(record) for record in records]
    assert set.union(*found) == set(about)


def test_rules_are_off_and_report_an_incident_once() -> None:
    assert not any(rule["enabled"] for rule in RULES)
    assert len({rule["rule_id"] for rule in RULES}) == len(RULES)
    assert len({rule["name"] for rule in RULES}) == len(RULES)
    for rule in RULES[:-1]:
        assert (rule["type"], rule["new_terms_fields"]) == ("new_terms", ["event.id"])
    threshold = RULES[-1]["threshold"]
    fields = [*threshold["field"], threshold["cardinality"][0]["field"], "event.id"]
    assert all(values(record, field) for record in sample_records("ecs") for field in fields)


def written(files: Files, folder: Path) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "import.sh"


@pytest.mark.needs("curl")
def test_elastic_is_imported_by_one_command(tmp_path: Path) -> None:
    files = elastic.files()
    script = written(files, tmp_path)
    with import_server({}) as server:
        done = server.run(script, ES=server.address, KIBANA=server.address, API_KEY="secret==")
    assert done.returncode == 0, done.stderr
    assert [request for request, _, _ in server.seen] == [
        "PUT /_ingest/pipeline/netwatch",
        "PUT /_index_template/netwatch",
        "POST /api/saved_objects/_import?overwrite=true",
        "POST /api/detection_engine/rules/_import?overwrite=true",
    ]
    assert {headers["Authorization"] for _, headers, _ in server.seen} == {"ApiKey secret=="}
    assert [body.decode() for _, _, body in server.seen[:2]] == [
        files["pipeline.json"], files["index-template.json"],
    ]  # fmt: skip
    for (_, headers, body), name in zip(
        server.seen[2:], ("dashboard.ndjson", "detection-rules.ndjson"), strict=True
    ):
        kind = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
        (part,) = message_from_bytes(kind + body).get_payload()  # type: ignore[misc]
        assert headers["kbn-xsrf"] == "true"
        assert part.get_payload(decode=True).decode() == files[name]  # type: ignore[union-attr]


@pytest.mark.needs("curl")
@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("/_index_template", (400, '{"error":"no"}')),
        ("/api/saved_objects", (200, '{"success":false,"errors":[]}')),
    ],
)
def test_a_refused_import_ends_the_script(
    tmp_path: Path, address: str, answer: tuple[int, str]
) -> None:
    script = written(opensearch.files(), tmp_path)
    with import_server({address: answer}) as server:
        places = {"OPENSEARCH": server.address, "DASHBOARDS": server.address}
        done = server.run(script, **places, LOGIN='admin:pass"word\\')
    assert done.returncode == 1
    assert answer[1] in done.stderr
    assert address in server.seen[-1][0]
    assert {headers["Authorization"] for _, headers, _ in server.seen} == {
        "Basic YWRtaW46cGFzcyJ3b3JkXA=="
    }
