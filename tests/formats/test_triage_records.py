"""What people decided, as each format has it: an update of the incident, and no new alert."""

import json

import jsonschema
import pytest
from support.made_alerts import record

from netwatch.formats import csv
from netwatch.formats.alert_summary import event_uid
from netwatch.formats.registry import RENDERERS, schema_text

SAID = {"state": "false", "by": "u-0123456789ab", "at": "2023-03-21T09:00:00.000Z"}
PLAIN = {**record(0), "id": "0" * 32}
DECIDED = {**PLAIN, "triage": SAID}


def test_the_schema_has_it() -> None:
    schema = json.loads(schema_text("alert"))["properties"]["triage"]
    jsonschema.Draft202012Validator(schema).validate(SAID)
    for wrong in ({"state": "closed"}, {"by": "ben"}, {"at": 3}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate(SAID | wrong)


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_says_the_state(name: str) -> None:
    line = RENDERERS[name](DECIDED)
    for text in SAID.values():
        assert text in line
    assert "u-0123456789ab" not in RENDERERS[name](PLAIN)


def test_columns_have_it() -> None:
    row = dict(zip(csv.ALERT_COLUMNS, csv.alert_row(DECIDED), strict=True))
    assert {name: row[f"triage_{name}"] for name in SAID} == SAID


def test_it_is_no_new_alert() -> None:
    ecs, plain = (json.loads(RENDERERS["ecs"](each)) for each in (DECIDED, PLAIN))
    assert (ecs["event"]["kind"], ecs["event"]["action"]) == ("event", "triage-false")
    assert plain["event"]["kind"] == "alert"
    assert ecs["event"]["id"] == plain["event"]["id"]
    ocsf, plain = (json.loads(RENDERERS["ocsf"](each)) for each in (DECIDED, PLAIN))
    assert (ocsf["is_alert"], plain["is_alert"]) == (False, True)
    assert (ocsf["status"], ocsf["status_id"], ocsf["activity_name"]) == ("Suppressed", 3, "Update")
    assert ocsf["finding_info"]["uid"] == plain["finding_info"]["uid"]
    assert ocsf["metadata"]["uid"] != plain["metadata"]["uid"]
    assert RENDERERS["cef"](DECIDED).split("|")[4] == "triage"
    assert RENDERERS["leef"](DECIDED).split("|")[4] == "triage"


def test_each_decision_has_its_own_id() -> None:
    later = {**PLAIN, "triage": SAID | {"at": "2023-03-22T09:00:00.000Z"}}
    assert len({event_uid(each) for each in (PLAIN, DECIDED, later)}) == 3
