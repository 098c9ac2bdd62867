"""The form of triage on the page of an incident and of a selection, and the exemption to copy."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from support.consoles import PASSWORD, Visitor, csrf_of

from netwatch.config import Config
from netwatch.console.console import Console
from netwatch.console.exemption_draft import Draft, draft, examine
from netwatch.console.triage import MAX_NOTE, MAX_REASON, Change
from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.yaml_reader import parse_yaml

Visit = Callable[[str], Visitor]


def records_of(console: Console) -> list[dict[str, Any]]:
    visitor = Visitor(console)
    visitor.sign_in("ben")
    lines = visitor.get("/incidents.jsonl").text.splitlines()
    return [json.loads(line) for line in lines]


def selected(page: str, name: str) -> str:
    """What a list of choices has chosen."""
    choices = page[page.index(f'id="t-{name}"') :]
    found = re.search(r'<option value="([^"]*)" selected', choices[: choices.index("</select>")])
    return found[1] if found else ""


def typed(page: str, name: str) -> str:
    """What a field has."""
    found = re.search(rf'<(input|textarea) id="t-{name}"([^>]*)>', page)
    assert found is not None
    if found[1] == "input":
        value = re.search(r'value="([^"]*)"', found[2])
        return html.unescape(value[1]) if value else ""
    return html.unescape(page[found.end() : page.index("</textarea>", found.end())])


def decide(visitor: Visitor, incident: str, **fields: str) -> Any:
    """Send the form as the page has it, changed."""
    page = visitor.open(f"/incidents/{incident}").text
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None
    known = {
        "csrf": csrf_of(page), "version": found[1], "state": selected(page, "state"),
        "assignee": selected(page, "assignee"), "reason": "", "note": "",
    }  # fmt: skip
    return visitor.send(f"/incidents/{incident}/triage", {**known, **fields})


def test_a_decision_is_on_the_page_and_in_the_audit(
    visit: Visit, console: Console, incident: str
) -> None:
    analyst = visit("analyst")
    page = analyst.open(f"/incidents/{incident}").text
    assert selected(page, "state") == "seen"  # what somebody would say of a new one
    assert 'class="badge triage-new"' in page
    answer = decide(analyst, incident, state="in-work", assignee="ben", note="asks\r\nthe owner")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/incidents/{incident}#triage"
    row = list(console.audit.entries())[-1]
    assert (row.action, row.account, row.purpose) == ("triage", "ben", "case 2023/17")
    assert re.fullmatch(rf"device \S+, incident {incident}", row.subject)
    detail = json.loads(row.detail)
    assert detail.pop("path") == f"/incidents/{incident}/triage"
    assert detail == {"before": "new", "state": "in-work", "assignee": "ben",
                      "note": "asks\nthe owner"}  # fmt: skip
    page = analyst.get(f"/incidents/{incident}").text
    assert (selected(page, "state"), selected(page, "assignee")) == ("in-work", "ben")
    assert typed(page, "note") == ""
    assert "asks" in page
    assert 'class="badge triage-in-work"' in page
    assert decide(analyst, incident, state="false", reason="a pixel").status_code == 303
    assert [each.state for each in console.triage.history(incident)] == ["false", "in-work"]
    assert console.audit.verify().problem == ""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": "false", "reason": " "}, "closing an incident requires one"),
        ({"note": "x" * (MAX_NOTE + 1)}, "The note has 1,001 characters"),
        ({"reason": "x" * (MAX_REASON + 1)}, "The reason has 201 characters"),
        ({"state": "new", "assignee": "ben"}, "A new incident has no assignee"),
        ({"assignee": "cleo"}, "There is no analyst “cleo”"),
        ({"version": "7"}, "Somebody else has changed this incident"),
    ],
)
def test_what_cannot_be_is_said_and_what_was_typed_stays(
    fields: dict[str, str], said: str, visit: Visit, console: Console, incident: str
) -> None:
    given = {"state": "in-work", "reason": "<b>&", "note": "one\ntwo", **fields}
    answer = decide(visit("analyst"), incident, **given)
    assert answer.status_code == 422
    assert said in answer.text
    assert selected(answer.text, "state") == given["state"]
    assert typed(answer.text, "reason") == given["reason"].strip()
    assert typed(answer.text, "note") == given["note"]
    assert console.triage.decided() == frozenset()
    row = list(console.audit.entries())[-1]
    assert (row.action, json.loads(row.detail)["refused"]) == ("triage", True)


def test_states_that_there_are_not_are_refused(
    visit: Visit, console: Console, incident: str
) -> None:
    assert decide(visit("analyst"), incident, state="gone").status_code == 400
    answer = decide(visit("analyst"), incident).status_code
    assert answer == 303
    assert console.triage.one(incident).state == "seen"


def test_nobody_decides_without_the_form_of_the_page(
    visit: Visit, console: Console, incident: str
) -> None:
    place = f"/incidents/{incident}/triage"
    for role in ("admin", "auditor", "dpo"):
        assert visit(role).post(place, {"state": "seen"}).status_code == 403
    analyst = visit("analyst")
    assert analyst.send(place, {"state": "seen"}).status_code == 403
    token = csrf_of(analyst.get("/account").text)
    fields = {"csrf": token, "state": "seen"}
    assert analyst.send(place, fields, "https://elsewhere.example").status_code == 403
    assert console.triage.decided() == frozenset()


def test_a_purpose_is_asked_and_the_form_is_sent_on(
    visit: Visit, console: Console, incident: str
) -> None:
    analyst = visit("analyst")
    fields = {"state": "seen", "note": "one\r\ntwo <b>", "version": "0"}
    page = analyst.post(f"/incidents/{incident}/triage", fields)
    assert page.status_code == 200
    assert console.triage.decided() == frozenset()
    assert "about 1 person" in page.text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    sent = {name: html.unescape(value) for name, value in hidden.items()}
    assert sent["note"] == fields["note"]
    refused = analyst.send(f"/incidents/{incident}/triage", {**sent, "purpose": "x"})
    assert refused.status_code == 422
    assert console.triage.decided() == frozenset()
    answer = analyst.send(f"/incidents/{incident}/triage", {**sent, "purpose": "case 2023/18"})
    assert answer.status_code == 303
    (change,) = console.triage.history(incident)
    assert change.note == "one\ntwo <b>"
    rows = list(console.audit.entries())[-2:]
    assert [(each.action, each.purpose) for each in rows] == [
        ("purpose", "case 2023/18"), ("triage", "case 2023/18"),
    ]  # fmt: skip
    assert analyst.get(f"/incidents/{incident}").status_code == 200


def test_a_selection_has_a_row_of_the_audit_for_each(visit: Visit, console: Console) -> None:
    records = records_of(console)[:3]
    ids = [record["id"] for record in records]
    persons = {f"device {record['device']['id']}" for record in records}
    analyst = visit("analyst")
    back = "verdict=violation&device=ws-021"
    token = csrf_of(analyst.get("/account").text)

    def send(**fields: Any) -> Any:
        given = {"csrf": token, "incident": ids, "back": back, **fields}
        return analyst.client.post("/triage", data=given, headers={"Origin": analyst.origin})

    asked = send()
    assert asked.status_code == 200
    assert "3 incidents are selected" in asked.text
    refused = send(state="false", note="n", reason="")
    assert refused.status_code == 422
    assert selected(refused.text, "state") == "false"
    assert typed(refused.text, "note") == "n"
    rows = console.audit.verify().rows
    said = send(state="false", note="", reason="a test")
    assert f"about {len(persons)} person" in said.text
    assert console.audit.verify().rows == rows
    answer = send(state="false", note="", reason="a test", purpose="case 2023/18")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/incidents?{back}"
    found = list(console.audit.entries(rows))
    assert {each.subject for each in found if each.action == "purpose"} == persons
    decided = [each for each in found if each.action == "triage"]
    assert [each.subject for each in decided] == [
        f"device {record['device']['id']}, incident {record['id']}" for record in records
    ]
    assert {each.purpose for each in decided} == {"case 2023/18"}
    assert console.triage.decided("false") == {*ids}
    # What is left out stays as it is.
    assert send(assignee="ben", note="", state="").status_code == 303
    assert console.triage.decided("false", "ben") == {*ids}
    assert send(incident=[]).status_code == 303
    assert send(incident=["0" * 32]).status_code == 404
    assert send(incident=[f"{number:032x}" for number in range(51)]).status_code == 400


def test_false_alarms_are_shown_by_rule(visit: Visit, console: Console) -> None:
    assert "No false alarm" in visit("analyst").get("/false-alarms").text
    for record in records_of(console)[:2]:
        console.triage.change(record, Change("false", reason="a secret reason"), "ben")
    for role in ("analyst", "auditor", "admin"):
        page = visit(role).get("/false-alarms").text
        assert "netwatch signatures feedback" in page
        (count, *_) = console.triage.by_rule()
        assert count.rule in html.unescape(page)
        assert "a secret reason" not in page
        assert ("/incidents?triage=false" in page) == (role != "admin")


def test_an_exemption_to_copy_is_read_as_the_configuration_is(
    visit: Visit, console: Console, sample_config: Config
) -> None:
    record = next(each for each in records_of(console) if each["device"]["id"] == "ws-021")
    analyst = visit("analyst")
    page = analyst.open(f"/incidents/{record['id']}/exemption")
    assert page.status_code == 200
    text = shown_yaml(page.text)
    assert text.startswith("exemptions:\n  - ban: be-fed-tiktok-2023\n    device: ")
    assert f"apps: [{record['app']['id']}]" in text
    assert f"from: {record['first_seen'][:10]}" in text
    assert "would not cover" not in page.text
    row = list(console.audit.entries())[-1]
    assert (row.action, row.subject) == (
        "exemption draft", f"device ws-021, incident {record['id']}",
    )  # fmt: skip
    fields = {"apps": "all", "start": "2023-01-01", "end": "2023-12-31",
              "reason": 'forensic "research": a\\b', "approved_by": "CISO"}  # fmt: skip
    answer = analyst.post(f"/incidents/{record['id']}/exemption", fields)
    written = parsed(shown_yaml(answer.text))
    assert written == {
        "ban": record["ban"]["id"], "device": "ws-021", "from": "2023-01-01",
        "until": "2023-12-31", "reason": 'forensic "research": a\\b', "approved_by": "CISO",
    }  # fmt: skip
    late = analyst.post(f"/incidents/{record['id']}/exemption", {**fields, "start": "2023-12-01"})
    assert "would not cover this incident" in late.text
    wrong = analyst.post(f"/incidents/{record['id']}/exemption", {**fields, "end": "2022-12-31"})
    assert wrong.status_code == 422
    assert "own reader" not in wrong.text
    long = analyst.post(f"/incidents/{record['id']}/exemption", {**fields, "reason": "x" * 400})
    assert long.status_code == 422
    assert console.config is sample_config


def shown_yaml(page: str) -> str:
    start = page.index('<pre id="draft"')
    return html.unescape(page[page.index(">", start) + 1 : page.index("</pre>", start)])


def parsed(text: str) -> dict[str, str]:
    problems = Problems()
    mapping = parse_yaml(text, "x.yaml", problems)
    assert mapping is not None
    assert not problems.found
    (entry,) = mapping["exemptions"]
    fields = Fields(entry, "x.yaml", problems, "it")
    return {name: fields.text(name) for name in entry}


HOSTILE = ["x\n  - ban: other", "no", "1", "- a", 'a"b', "é\u2028\u202e", "\x85", "#", "{a: b}"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_form_is_more_than_a_text(
    text: str, console: Console, sample_config: Config
) -> None:
    record = records_of(console)[0]
    found = Draft(record["ban"]["id"], record["device"]["id"], (), "", "", text, text)
    assert examine(found, record, sample_config).problems == ()
    entry = parsed(found.yaml)
    assert set(entry) == {"ban", "device", "reason", "approved_by"}
    assert len(entry["reason"]) == len(text)
    day = Draft(record["ban"]["id"], record["device"]["id"], (), text, "", "", "")
    assert examine(day, record, sample_config).problems != ()


def test_a_pseudonym_is_noted(console: Console, sample_config: Config) -> None:
    record = records_of(console)[0]
    record["device"]["id"] = "p3f9a-k7q2m5xw4n6b3c2d"
    found = examine(draft(record, "UTC"), record, sample_config)
    assert found.problems == ()
    assert len(found.notes) == 1


def test_who_has_signed_in_elsewhere_can_be_assigned(console: Console, incident: str) -> None:
    console.accounts.add("bea", "analyst", PASSWORD)
    visitor = Visitor(console)
    visitor.sign_in("bea")
    assert decide(visitor, incident, assignee="ben").status_code == 303
    assert decide(visitor, incident, assignee="bea").status_code == 303
    assert console.triage.one(incident).assignee == "bea"


def test_lists_are_filtered_by_triage(visit: Visit, console: Console) -> None:
    records = records_of(console)
    for record, (state, assignee) in zip(
        records, [("false", "ben"), ("seen", ""), ("seen", "ben")], strict=False
    ):
        console.triage.change(record, Change(state, assignee, reason="so"), "ben")
    analyst = visit("analyst")
    every = {record["id"] for record in records}
    first, second, third = (record["id"] for record in records[:3])
    for query, expected in {
        "triage=new": every - {first, second, third},
        "triage=seen": {second, third},
        "triage=false": {first},
        "triage=justified": set(),
        "assignee=ben": {first, third},
        "triage=seen&assignee=ben": {third},
        "triage=new&assignee=ben": set(),
        f"triage=new&verdict={records[0]['verdict']}": {
            record["id"] for record in records[3:] if record["verdict"] == records[0]["verdict"]
        },
        "triage=seen&from=1990-01-01T00:00:00Z&to=1990-01-02T00:00:00Z": set(),
    }.items():
        page = analyst.get(f"/incidents?{query}").text
        assert shown_ids(page) == expected, query
        total = re.search(r'<p class="total" role="status">([\d,]+) incident', page)
        assert total is not None
        assert int(total[1].replace(",", "")) == len(expected), query
        lines = analyst.get(f"/incidents.jsonl?{query}").text.splitlines()
        assert {json.loads(line)["id"] for line in lines} == expected
    assert analyst.get("/incidents?triage=gone").status_code == 400


def shown_ids(page: str) -> set[str]:
    return set(re.findall(r'name="incident" value="([0-9a-f]{32})"', page))


def test_a_list_shows_states_and_selects(visit: Visit, console: Console) -> None:
    records = records_of(console)
    console.triage.change(records[0], Change("in-work", "ben"), "ben")
    page = visit("analyst").get("/incidents").text
    assert page.count('class="badge triage-in-work"') == 1
    assert page.count('class="badge triage-new"') == len(records) - 1
    assert 'href="/incidents?assignee=ben"' in page
    assert page.count('form="bulk"') == len(records)
    auditors = visit("auditor").get("/incidents").text
    assert 'class="badge triage-in-work"' in auditors
    assert "ben" not in auditors
    assert 'id="bulk"' not in auditors
    chip = visit("analyst").get("/incidents?triage=in-work").text
    assert re.search(r'class="sub">Triage</span> <span class="chip-value">in work<', chip)


def test_an_officer_reads_what_was_decided(visit: Visit, console: Console, incident: str) -> None:
    officer = visit("dpo")
    place = f"/incidents/{incident}/plain"
    assert 'id="triage"' not in officer.open(place).text
    assert decide(visit("analyst"), incident, state="false", reason="a pixel").status_code == 303
    page = officer.get(place).text
    assert "a pixel" in page
    assert 'class="badge triage-false"' in page
    assert f'action="/incidents/{incident}/triage"' not in page
