"""The document of the API: it is OpenAPI 3.1, has every operation, and says how answers are."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from support.console_walk import prepare
from support.consoles import HOST, NAMES, Client, Visitor
from support.examples import examples
from support.programs_of_api import program

from netwatch.console import period_reports, tokens
from netwatch.console.api_document import document
from netwatch.console.application import Application
from netwatch.console.console import Console
from netwatch.console.routes import ROUTES

DOCUMENT = document(ROUTES)
ANSWERS = {
    "incidents": "incidents", "cases": "cases", "devices": "devices", "coverage": "coverage",
    "coverage/hours": "hours", "bypasses": "bypasses", "bans": "bans", "sensors": "sensors",
    "health": "health",
    "bans/be-fed-tiktok-2023": "ban", "openapi.json": "openapi",
    "bans/be-fed-tiktok-2023/answer?from=2023-03-20&to=2023-03-21": "answer",
}  # fmt: skip
"""Paths, and the operation that each is of."""


def references(value: Any) -> Iterator[str]:
    """All references of a document."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref" and isinstance(each, str):
                yield each
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_it_has_every_operation_and_no_other() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    found = {
        (path, method.upper()): operation
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
    }
    assert set(found) == {(route.path, route.method) for route in ROUTES if route.operation}
    ids = [operation["operationId"] for operation in found.values()]
    assert len(ids) == len(set(ids)) > 10
    for (path, method), operation in found.items():
        in_path = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
        assert in_path == (["id"] if "{id}" in path else [])
        assert ("requestBody" in operation) == (method == "PATCH")


def test_its_references_lead_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 5
    for reference in found:
        at: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]
        assert isinstance(at, dict), reference


def test_answers_are_as_it_says(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(period_reports, "WAIT_SECONDS", 60.0)
    prepare(console)
    asking = program(console, "analyst")
    operations = {
        each["operationId"]: each for path in DOCUMENT["paths"].values() for each in path.values()
    }
    for place, name in ANSWERS.items():
        answer = asking.get(place)
        assert answer.status_code == 200, (place, answer.text[:300])
        check(answer.json(), operations[name]["responses"]["200"])
    check(asking.get("incidents?x=1").json(), operations["incidents"]["responses"]["400"])
    records = asking.get("cases").json()["records"]
    assert records
    check(asking.get(f"cases/{records[0]['id']}").json(), operations["case"]["responses"]["200"])
    (record, *_) = asking.records("incidents")
    decided = asking.patch(f"incidents/{record['id']}", {"state": "in-work", "note": "so"})
    check(decided.json(), operations["decide"]["responses"]["200"])
    wrong = asking.patch(f"incidents/{record['id']}", {"state": "false"})
    check(wrong.json(), operations["decide"]["responses"]["400"])
    shown = asking.get(f"incidents/{record['id']}/triage").json()
    check(shown, operations["triage"]["responses"]["200"])
    assert shown == decided.json()
    assert set(operations) == {
        *ANSWERS.values(), "case", "incident", "report", "decide", "triage",
    }  # fmt: skip
    place = "report?from=2023-03-20&to=2023-03-21"
    report = program(console, "auditor").get(place).json()
    check(report, operations["report"]["responses"]["200"])


def check(value: Any, response: dict[str, Any]) -> None:
    """A value is as a response of the document."""
    (content,) = response["content"].values()
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("role", NAMES)
def test_its_page_asks_for_nothing_elsewhere(role: str, console: Console) -> None:
    visitor = Visitor(console)
    assert visitor.sign_in(NAMES[role]).status_code == 303
    text = visitor.get("/api/v1/").text
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code>" in text
    assert 'href="/api/v1/openapi.json"' in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert json.loads(visitor.get("/api/v1/openapi.json").text) == DOCUMENT


def test_no_made_up_request_breaks_it(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that schemathesis makes from the document: no answer is a defect of the server, and
    none is other than the document says."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from hypothesis import HealthCheck, given

    monkeypatch.setattr(tokens, "MAX_REQUESTS", 1_000_000)
    monkeypatch.setattr(period_reports, "WAIT_SECONDS", 60.0)
    prepare(console)
    application = Application(console, is_secure=False).asgi()
    client = Client(application, f"http://{HOST}", "127.0.0.1")
    asking = program(console, "analyst")
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    statuses: set[int] = set()
    for result in schema.get_all_operations():
        operation = result.ok()

        @examples(250, deadline=None, suppress_health_check=[*HealthCheck])
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            request = case.as_transport_kwargs(base_url=f"http://{HOST}")
            sent = {name: request[name] for name in ("json", "data") if request.get(name)}
            answer = client.request(
                case.method,
                request["url"],
                params=request.get("params"),
                **sent,
                headers={"Content-Type": "application/json", **asking.headers},
            )
            statuses.add(answer.status_code)
            responses = DOCUMENT["paths"][case.path][case.method.lower()]["responses"]
            assert str(answer.status_code) in responses, (request, answer.text[:500])
            assert answer.status_code != 503, (request, answer.text[:500])
            check(answer.json(), responses[str(answer.status_code)])

        ask()
    assert {200, 400, 404} <= statuses
