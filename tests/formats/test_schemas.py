"""The shipped schemas describe all that is written, and nothing that is not."""

import io
import json
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from support.made_records import ALERT, BARE, FULL, FULL_ALERT
from support.observing import record_of
from support.paths import ROOT
from support.siem import hostile_records, one_line, shown

from netwatch.cli import main
from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage
from netwatch.formats import coverage, jsonl
from netwatch.formats.alert_summary import render_within
from netwatch.formats.registry import FILE_SCHEMAS, SCHEMAS, schema_text
from netwatch.formats.values import json_line
from netwatch.store.case_members import Member
from netwatch.store.case_record import case_line, make_case

IDENTIFIED = {"id": "3f1c" * 8, "community_ids": ("1:YWJj",)}


def closed(schema):
    """The schema, which forbids whatever it does not name."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema and "type" in schema:
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [closed(each) for each in schema]
    return schema


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(closed(schema))


def scanned(*arguments: str, capsys) -> list:
    main([*arguments, "-q", "--format", "jsonl", "-c", str(ROOT / "pcaps" / "netwatch.yaml")])
    return [json.loads(line) for line in io.StringIO(capsys.readouterr().out)]


def test_sample_records_are_valid(capsys) -> None:
    *alerts, report = scanned("scan", str(ROOT / "pcaps"), "--coverage", capsys=capsys)
    observations = scanned("names", str(ROOT / "pcaps"), capsys=capsys)
    assert len(alerts) > 10
    assert len(observations) > 100
    for name, records in (("alert", alerts), ("observation", observations), ("coverage", [report])):
        for record in records:
            validator(name).validate(record)


@pytest.mark.parametrize("alert", [ALERT, FULL_ALERT], ids=["bare", "full"])
@pytest.mark.parametrize("status", ["open", "update", "closed"])
def test_alerts(alert, status) -> None:
    record = jsonl.alert_record(replace(alert, status=status, **IDENTIFIED))
    validator("alert").validate(record)


def test_shortened_alerts_are_valid() -> None:
    extra = {"left_out": {"names": 3}, "evidence_file": "proof/a.pcapng"}
    names = tuple(f"{number}.tiktok.com" for number in range(200))
    record = jsonl.alert_record(replace(FULL_ALERT, **IDENTIFIED, names=names, extra=extra))
    shortened = json.loads(render_within(json_line, record, 3000))
    assert "shortened" in shortened
    validator("alert").validate(shortened)


def test_cases() -> None:
    alert = jsonl.alert_record(replace(FULL_ALERT, **IDENTIFIED))
    members = [
        Member.of(name, alert, json_line(alert), offset) for name, offset in (("a", 0), ("b", 5))
    ]
    for part in (members[:1], members):
        validator("case").validate(json.loads(case_line(make_case(part))))


@pytest.mark.parametrize("obs", [BARE, FULL], ids=["bare", "full"])
def test_observations(obs) -> None:
    validator("observation").validate(record_of(obs))


def test_coverage() -> None:
    found = Coverage()
    found.add(Network("hq", "service"), "ws-1", "named")
    found.add(Network("hq", "service"), "ws-1", "ech")
    found.add(None, "", "vpn")
    validator("coverage").validate(coverage.report_record(found.report(3, {"not-ip": 1})))


@pytest.mark.parametrize(
    ("key", "value"),
    [("status", "new"), ("first_seen", "2023-03-10 00:00"), ("id", 7), ("names", None)],
)
def test_schema_rejects_invalid_records(key: str, value: object) -> None:
    record = jsonl.alert_record(replace(FULL_ALERT, **IDENTIFIED))
    assert not validator("alert").is_valid({**record, key: value})
    assert not validator("alert").is_valid({k: v for k, v in record.items() if k != key})


def test_schema_allows_additional_keys() -> None:
    record = jsonl.alert_record(replace(ALERT, **IDENTIFIED, extra={"later": 1}))
    Draft202012Validator(json.loads(schema_text("alert"))).validate(record)


def as_text(value):
    """A value as a strict reader of JSON finds its texts."""
    if isinstance(value, dict):
        return {key: as_text(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_text(each) for each in value]
    return shown(value) if isinstance(value, str) else value


@given(hostile_records(replace(FULL_ALERT, **IDENTIFIED)))
def test_hostile_text_cannot_break_a_record_or_forge_a_field(record) -> None:
    found = json.loads(one_line(json_line(record)))
    validator("alert").validate(found)
    assert found == as_text(record)


def test_each_schema_is_shipped() -> None:
    assert {path.stem for path in (ROOT / "netwatch" / "schemas").iterdir()} == {
        *SCHEMAS,
        *FILE_SCHEMAS,
    }
