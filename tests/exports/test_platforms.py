"""STIX, Sigma and MISP read by their own libraries; MISP and Defender, for which there is no server
here, also compared with files."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import stix2
import yaml
from pymisp import MISPEvent
from sigma.backends.splunk import SplunkBackend
from sigma.collection import SigmaCollection
from sigma.rule import SigmaRule
from sigma.validation import SigmaValidator
from sigma.validators.core import validators
from stix2patterns.validator import run_validator
from support.exported import TIME, example, shipped

from netwatch.core.verdict import BanPeriod
from netwatch.exports.export_format import EXPORTS, Export
from netwatch.exports.platforms import COLUMNS

GOLDEN = Path(__file__).parent / "golden"
BANS = ("be-fed-tiktok-2023", "us-va-tiktok-2022")


def written(form: str, export: Export) -> str:
    return EXPORTS[form].text(export)


@pytest.mark.parametrize("ban", BANS)
def test_stix_is_a_valid_bundle(ban: str) -> None:
    _, export = shipped(ban)
    bundle = stix2.parse(written("stix", export), allow_custom=False)
    kinds = [each.type for each in bundle.objects]
    assert export.ban is not None
    rules, periods = export.selection.rules, export.ban.periods
    assert kinds == ["identity", *["indicator"] * (len(rules) * len(periods)), "note"]
    assert len({each.id for each in bundle.objects}) == len(kinds)
    for each in bundle.objects:
        if each.type == "indicator":
            assert run_validator(each.pattern, stix_version="2.1") == []
    assert export.ban.id in bundle.objects[-1].content


def test_stix_has_the_days_of_the_ban(tmp_path: Path) -> None:
    _, export = example(tmp_path)
    bundle = stix2.parse(written("stix", export))
    found = {
        (each.valid_from, each.get("valid_until"))
        for each in bundle.objects
        if each.type == "indicator"
    }
    # A day begins at midnight in Brussels: an hour before UTC in winter, two in summer.
    assert found == {
        (datetime(2023, 3, 9, 23, tzinfo=UTC), datetime(2023, 9, 10, 22, tzinfo=UTC)),
        (datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC)),
    }
    assert all(each.created == datetime(2023, 3, 9, 23, tzinfo=UTC) for each in bundle.objects)
    assert all(each.modified == TIME for each in bundle.objects)


@pytest.mark.parametrize("end", [None, date(2024, 2, 29)])
def test_stix_of_an_open_begin(end: date | None, tmp_path: Path) -> None:
    _, export = example(tmp_path)
    assert export.ban is not None
    export = replace(export, ban=replace(export.ban, periods=(BanPeriod(None, end),)))
    first = next(each for each in stix2.parse(written("stix", export)).objects[1:])
    assert first.valid_from < first.get("valid_until", datetime.max.replace(tzinfo=UTC))


def test_stix_without_a_ban(tmp_path: Path) -> None:
    _, export = example(tmp_path)
    bundle = stix2.parse(written("stix", replace(export, ban=None)))
    assert bundle.objects[1].valid_from == TIME
    assert "valid_until" not in bundle.objects[1]


@pytest.mark.parametrize("spare", [False, True])
@pytest.mark.parametrize("ban", BANS)
def test_sigma_rules_are_valid(ban: str, spare: bool) -> None:
    text = written("sigma", replace(shipped(ban)[1], spare=spare))
    rules = SigmaCollection.from_yaml(text)
    assert len(rules.rules) == 4
    assert not [each for each in rules.rules if each.errors]
    # Those of tags compare with lists from the network, and these rules have no tags.
    chosen = [
        each for name, each in validators.items() if "attack" not in name and "d3" not in name
    ]
    assert len(chosen) > 20
    assert [str(each) for each in SigmaValidator(chosen).validate_rules(iter(rules.rules))] == []


def test_sigma_queries_have_names_ends_and_patterns(tmp_path: Path) -> None:
    text = written("sigma", example(tmp_path)[1])
    query = SplunkBackend().convert(SigmaCollection.from_yaml(text))[0]
    for part in ('"video.example"', '"*.video.example"', '"app.cdn.example"', "^p16-"):
        assert part in query, query
    rule = SigmaCollection.from_yaml(text).rules[0]
    assert isinstance(rule, SigmaRule)
    assert str(rule.level).lower() == "high"
    assert len(list(yaml.safe_load_all(text))) == 4


@pytest.mark.parametrize(
    ("form", "file"), [("misp", "our-rule.json"), ("defender-csv", "our-rule.csv")]
)
def test_files_are_as_written_down(form: str, file: str, tmp_path: Path) -> None:
    _, export = example(tmp_path)
    text = written(form, export)
    assert text == (GOLDEN / file).read_bytes().decode(), text


@pytest.mark.parametrize("ban", BANS)
def test_misp_is_an_event_for_its_library(ban: str, tmp_path: Path) -> None:
    _, export = shipped(ban)
    file = tmp_path / "event.json"
    file.write_text(written("misp", export), encoding="utf-8")
    event = MISPEvent()
    event.load_file(str(file))
    rules = EXPORTS["misp"].rules(export.selection, "exact")
    # The library knows which categories a type of attribute may have.
    assert [each.value for each in event.attributes[:-1]] == [rule.name for rule in rules]
    assert all(each.to_ids for each in event.attributes[:-1])


def test_misp_has_ids_of_its_own(tmp_path: Path) -> None:
    event: dict[str, Any] = json.loads(written("misp", example(tmp_path)[1]))["Event"]
    attributes = event["Attribute"]
    assert [each["type"] for each in attributes] == ["hostname", "domain", "comment"]
    assert len({event["uuid"], *(each["uuid"] for each in attributes)}) == 4


def test_defender_expires_after_the_last_day(tmp_path: Path) -> None:
    text = written("defender-csv", example(tmp_path)[1])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert {row["ExpirationTime"] for row in rows} == {"2026-12-31T23:00:00.0Z"}
    assert {row["IndicatorType"] for row in rows} == {"DomainName"}
    _, open_ended = shipped("be-fed-tiktok-2023")
    assert {
        row["ExpirationTime"]
        for row in csv.DictReader(io.StringIO(written("defender-csv", open_ended)))
    } == {""}
