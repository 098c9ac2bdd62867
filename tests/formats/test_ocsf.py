import json
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from support.made_records import ALERT, BLOCKED, FULL_ALERT, ITEM
from support.siem import hostile_records, one_line, shown

from netwatch.formats import jsonl, ocsf
from netwatch.formats.registry import OCSF


@cache
def validator() -> Draft202012Validator:
    """Of the class in 1.8.0 with the profile that findings name."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF))
    return Draft202012Validator(schema.get_class_schema("detection_finding", ["security_control"]))


@cache
def captions(attribute: str) -> dict[int, str]:
    """What the schema calls the numbers of an attribute."""
    found = get_ocsf_schema(version=OCSF)["classes"]["detection_finding"]
    enum = found["attributes"][attribute]["enum"]
    return {int(number): value["caption"] for number, value in enum.items()}


def finding_of(alert):
    finding = json.loads(one_line(ocsf.render(jsonl.alert_record(alert))))
    validator().validate(finding)
    return finding


@pytest.mark.parametrize("alert", [ALERT, FULL_ALERT, BLOCKED], ids=["bare", "full", "blocked"])
def test_finding_is_valid_by_the_schema(alert) -> None:
    finding = finding_of(alert)
    assert finding["type_uid"] == finding["class_uid"] * 100 + finding["activity_id"]
    for attribute in ("activity", "severity", "confidence", "status", "action", "disposition"):
        caption = "activity_name" if attribute == "activity" else attribute
        assert captions(f"{attribute}_id")[finding[f"{attribute}_id"]] == finding[caption]


def test_schema_rejects_unknown_keys() -> None:
    assert not validator().is_valid(
        {**ocsf.detection_finding(jsonl.alert_record(ALERT)), "verdict": "x"}
    )


@pytest.mark.parametrize(
    ("status", "type_uid"), [("open", 200401), ("update", 200402), ("closed", 200403)]
)
def test_status_is_the_activity(status, type_uid: int) -> None:
    finding = finding_of(replace(ALERT, status=status))
    assert finding["type_uid"] == type_uid
    assert finding["status"] == "New"
    judged = "-session-reached" if status == "update" else ""
    assert finding["metadata"]["uid"] == f"3f1c-{status}-confirmed{judged}"
    assert finding["finding_info"]["uid"] == finding["metadata"]["correlation_uid"] == "3f1c"


def test_severity_and_confidence() -> None:
    severities = ("low", "medium", "high", "critical")
    assert [finding_of(replace(ALERT, severity=each))["severity_id"] for each in severities] == [
        2,
        3,
        4,
        5,
    ]
    grades = ("possible", "probable", "confirmed")
    assert [finding_of(replace(ALERT, confidence=each))["confidence_id"] for each in grades] == [
        1,
        2,
        3,
    ]


def test_exempt_contact_is_not_an_alert() -> None:
    finding = finding_of(FULL_ALERT)
    assert finding["is_alert"] is False
    assert (finding["severity"], finding["status"]) == ("Informational", "Suppressed")
    assert finding["disposition"] == "Logged"
    assert finding["unmapped"]["exemption"]["approved_by"] == "CISO"
    assert finding_of(ALERT)["is_alert"] is True
    assert finding_of(ALERT)["disposition"] == "Detected"


def test_blocked_contact_was_denied_by_something_else() -> None:
    finding = finding_of(BLOCKED)
    assert (finding["action"], finding["disposition"]) == ("Denied", "Blocked")
    assert finding["finding_info"]["types"] == ["violation", "lookup"]
    assert finding["finding_info"]["title"] == "Contact with a banned app blocked: TikTok"
    assert finding["unmapped"]["outcome"] == "blocked"
    assert finding["unmapped"]["blocked_by"] == ["NXDOMAIN"]
    assert finding["unmapped"]["kind"]["reasons"] == ["Only lookups, no handshake."]
    assert finding_of(replace(BLOCKED, verdict="exempt"))["disposition"] == "Blocked"


@pytest.mark.parametrize("outcome", ["reached", "attempted", "unknown"])
def test_contact_that_was_not_blocked_was_observed(outcome) -> None:
    finding = finding_of(replace(BLOCKED, outcome=outcome))
    assert (finding["action"], finding["disposition"]) == ("Observed", "Detected")


def test_who_what_when_and_which_rule() -> None:
    finding = finding_of(FULL_ALERT)
    assert (finding["start_time"], finding["time"]) == (1678406400123, 1678406500123)
    assert finding["duration"] == 100_000
    assert finding["count"] == 5
    assert finding["policy"] == {
        "uid": "be-fed-tiktok-2023",
        "name": "be-fed-tiktok-2023",
        "desc": "Decision 2023/12 art. 3",
        "group": {"name": "BE-FED"},
        "is_applied": True,
    }
    assert finding["device"] == {
        "type_id": 0,
        "type": "Unknown",
        "uid": "lab-07",
        "ip": "10.20.0.7",
        "mac": "02:00:00:00:00:ab",
        "hostname": "lab07",
        "owner": {"name": "R. Doe"},
        "is_personal": False,
        "zone": "hq",
        "vlan_uid": "30",
    }
    assert finding["finding_info"]["analytic"]["desc"] == "suffix tiktok.com"
    assert finding["finding_info"]["data_sources"] == ["dns-query", "tls-sni"]


def test_evidence_servers_and_flows() -> None:
    finding = finding_of(FULL_ALERT)
    by_name: dict[str, list] = {}
    for entry in finding["evidences"]:
        by_name.setdefault(entry["name"], []).append(entry)
    assert by_name["dns-query"][0]["query"] == {"hostname": "tiktok.com"}
    assert by_name["tls-sni"][0]["dst_endpoint"] == {"hostname": "v16-webapp.tiktok.com"}
    assert by_name["tls-sni"][0]["data"]["packet"] == 21
    assert [entry["dst_endpoint"]["ip"] for entry in by_name["destination"]] == [
        "192.0.2.80",
        "2001:db8::80",
    ]
    assert by_name["destination"][0]["dst_endpoint"]["autonomous_system"]["number"] == 64496
    flows = [entry["connection_info"]["community_uid"] for entry in by_name["flow"]]
    assert flows == ["1:abc", "1:def"]
    observed = {(each["type"], each["value"]) for each in finding["observables"]}
    assert ("Hostname", "v16-webapp.tiktok.com") in observed
    assert ("MAC Address", "02:00:00:00:00:ab") in observed
    assert ("IP Address", "2001:db8::80") in observed


def test_personal_devices_and_added_keys() -> None:
    device = replace(ALERT.device, device_class="personal")
    finding = finding_of(
        replace(ALERT, device=device, evidence=(ITEM,), extra={"left_out": {"names": 1}})
    )
    assert finding["device"]["is_personal"] is True
    assert finding["unmapped"]["left_out"] == {"names": 1}


@cache
def full_finding():
    """What the finding of every example is compared with, made once."""
    return finding_of(FULL_ALERT)


@given(hostile_records(FULL_ALERT))
def test_hostile_text_cannot_break_a_finding_or_forge_a_field(record) -> None:
    finding = json.loads(one_line(ocsf.render(record)))
    assert list(finding) == list(full_finding())
    assert finding["is_alert"] is False
    assert finding["unmapped"]["names"] == [shown(name) for name in record["names"]]
    assert finding["policy"]["uid"] == shown(record["ban"]["id"])
    hosts = [each["dst_endpoint"] for each in finding["evidences"] if each["name"] == "tls-sni"]
    assert hosts == [{"hostname": shown(record["evidence"][0]["name"])}]


@given(hostile_records(ALERT))
def test_findings_with_hostile_text_are_valid_by_the_schema(record) -> None:
    validator().validate(json.loads(ocsf.render(record)))
