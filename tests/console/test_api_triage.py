"""Programs decide what incidents are: with a token, within its networks, and in the audit."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.consoles import Visitor
from support.programs_of_api import Program, program

from netwatch.console.application import MAX_BODY
from netwatch.console.console import Console
from netwatch.console.triage import MAX_NOTE

PROBLEM = "application/problem+json"


def records_of(console: Console) -> list[dict[str, Any]]:
    return program(console, "analyst", name="reader").records("incidents")


def test_a_decision_is_answered_and_in_the_audit(console: Console) -> None:
    record = records_of(console)[0]
    asking = program(console, "analyst", name="soar", purpose="weekly triage")
    place = f"incidents/{record['id']}"
    first = asking.get(f"{place}/triage").json()
    assert first == {"incident": record["id"], "state": "new", "assignee": None, "changed": None,
                     "version": 0, "history": []}  # fmt: skip
    answer = asking.patch(place, {"state": "in-work", "assignee": "ben", "note": "asks"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["state"], found["assignee"]) == ("in-work", "ben")
    (change,) = found["history"]
    assert (change["account"], change["note"]) == ("token:soar", "asks")
    row = list(console.audit.entries())[-1]
    device = record["device"]["id"]
    assert (row.action, row.account, row.purpose) == ("triage", "token:soar", "weekly triage")
    assert row.subject == f"device {device}, incident {record['id']}"
    assert json.loads(row.detail) == {
        "path": f"/api/v1/{place}", "before": "new", "state": "in-work", "assignee": "ben",
        "note": "asks",
    }  # fmt: skip
    # What is left out stays, and null is nobody.
    assert asking.patch(place, {"assignee": None}).json()["assignee"] is None
    again = asking.patch(place, {"note": "more"}).json()
    assert (again["state"], again["assignee"]) == ("in-work", None)
    # The record is what the store has, whatever was decided.
    assert asking.get(place).json() == record


def test_a_version_keeps_others_from_being_overwritten(console: Console) -> None:
    record = records_of(console)[0]
    asking, place = program(console, "analyst"), f"incidents/{record['id']}"
    version = asking.patch(place, {"state": "seen", "version": 0}).json()["version"]
    assert version > 0
    refused = asking.patch(place, {"state": "in-work", "version": 0})
    assert refused.status_code == 409
    assert refused.headers["content-type"] == PROBLEM
    assert asking.patch(place, {"state": "in-work", "version": version}).status_code == 200
    # An entity tag of what is read says nothing of what is written.
    tag = asking.get(f"{place}/triage").headers["etag"]
    assert asking.patch(place, {"note": "x"}, {"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("sent", "name", "said"),
    [
        ({}, "state", "expected one of new, seen, in-work"),
        ({"state": "closed"}, "state", "expected one of new, seen, in-work"),
        ({"state": "false"}, "reason", "expected a reason"),
        ({"state": 3}, "state", "expected one of new"),
        ({"stat": "seen"}, "stat", "did you mean 'state'?"),
        ({"state": "seen", "assignee": "bem"}, "assignee", "did you mean 'ben'?"),
        ({"state": "new", "assignee": "ben"}, "assignee", "expected none"),
        ({"state": "seen", "note": "x" * (MAX_NOTE + 1)}, "note", "at most 1000"),
        ({"state": "seen", "note": "a\0"}, "note", "without a NUL"),
        ({"state": "seen", "note": "\ud800"}, "note", "expected a text"),
        ({"state": "seen", "version": "1"}, "version", "a number"),
        ({"state": "seen", "version": True}, "version", "a number"),
    ],
)
def test_what_cannot_be_decided_is_named(sent: Any, name: str, said: str, console: Console) -> None:
    record = records_of(console)[0]
    rows = console.audit.verify().rows
    answer = program(console, "analyst").patch(f"incidents/{record['id']}", sent)
    assert answer.status_code == 400
    (wrong,) = answer.json()["parameters"]
    assert wrong["name"] == name
    assert said in wrong["detail"]
    assert console.triage.decided() == frozenset()
    assert console.audit.verify().rows == rows


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 400),
        (b"[]", {}, 400),
        (b"{", {}, 400),
        (b'{"state": "seen"}\xff', {}, 400),
        (b"[" * 60_000, {}, 400),
        (b'{"state": "seen"}', {"Content-Type": "text/plain"}, 415),
        (b"state=seen", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b" " * (MAX_BODY + 1), {}, 413),
    ],
)
def test_a_body_that_is_no_object_is_refused(
    content: bytes, headers: dict[str, str], status: int, console: Console
) -> None:
    record = records_of(console)[0]
    answer = program(console, "analyst").patch(f"incidents/{record['id']}", content, headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["detail"]
    assert console.triage.decided() == frozenset()


def test_a_session_decides_nothing_here(console: Console, visit: Callable[[str], Visitor]) -> None:
    record = records_of(console)[0]
    analyst = visit("analyst")
    analyst.open(f"/incidents/{record['id']}")
    place = f"/api/v1/incidents/{record['id']}"
    assert analyst.get(place).status_code == 200
    answer = analyst.client.request("PATCH", place, json={"state": "seen"})
    assert answer.status_code == 401
    assert console.triage.decided() == frozenset()


def test_a_token_decides_within_its_networks(console: Console) -> None:
    records = records_of(console)
    asking = program(console, "analyst", "byod")
    for record in records:
        is_own = record["network"]["name"] == "byod"
        place = f"incidents/{record['id']}"
        assert asking.patch(place, {"state": "seen"}).status_code == (200 if is_own else 404)
        assert asking.get(f"{place}/triage").status_code == (200 if is_own else 404)
    own = {each["id"] for each in records if each["network"]["name"] == "byod"}
    assert console.triage.decided() == own
    assert {each["id"] for each in asking.records("incidents?triage=seen")} == own
    assert asking.records("incidents?triage=new") == []


def test_incidents_are_filtered_as_in_the_console(console: Console) -> None:
    records = records_of(console)
    asking = program(console, "analyst")
    for record, state in zip(records, ("seen", "false", "seen"), strict=False):
        change = {"state": state, "assignee": "ben", "reason": "so"}
        assert asking.patch(f"incidents/{record['id']}", change).status_code == 200
    assert asking.records("incidents?triage=new") == records[3:]
    assert asking.records("incidents?triage=seen") == [records[0], records[2]]
    assert asking.records("incidents?triage=false&assignee=ben") == [records[1]]
    assert asking.records("incidents?assignee=nobody") == []
    assert asking.lines("incidents?triage=new", 2) == asking.lines("incidents", 2)[3:]
    assert asking.get("incidents?triage=gone").status_code == 400


def test_what_a_role_may_not_it_may_not_with_a_token(console: Console) -> None:
    record = records_of(console)[0]
    for role in ("admin", "auditor", "dpo"):
        asking: Program = program(console, role)
        assert asking.patch(f"incidents/{record['id']}", {"state": "seen"}).status_code == 403
    assert console.triage.decided() == frozenset()
