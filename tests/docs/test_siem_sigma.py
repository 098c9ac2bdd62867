"""The Sigma rules of the package: converted by pySigma, and their conditions, as it parses them,
true of the alerts that they are about."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from siem_packages import sigma
from sigma.backends.elasticsearch import ESQLBackend, LuceneBackend
from sigma.backends.splunk import SplunkBackend
from sigma.collection import SigmaCollection
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
)
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule
from sigma.validation import SigmaValidator
from sigma.validators.core import validators
from support.made_records import FULL_ALERT

from netwatch.core.alert import IncidentKind
from netwatch.core.verdict import OUTCOMES, Confidence, VerdictKind
from netwatch.formats import jsonl

KINDS = get_args(IncidentKind)
RECORD = jsonl.alert_record(FULL_ALERT)
FILES = sigma.files()
RULES = {
    path: text
    for path, text in FILES.items()
    if path.endswith(".yml") and not path.startswith("pipelines/")
}


def alert(verdict: str, kind: str, outcome: str, confidence: str) -> dict[str, Any]:
    changed = {"verdict": verdict, "kind": {"value": kind}, "outcome": outcome}
    return {**RECORD, **changed, "confidence": confidence}


def holds(condition: Any, record: dict[str, Any]) -> bool:
    """Whether a condition of pySigma is true of a record."""
    if isinstance(condition, ConditionAND):
        return all(holds(each, record) for each in condition.args)
    if isinstance(condition, ConditionOR):
        return any(holds(each, record) for each in condition.args)
    if isinstance(condition, ConditionNOT):
        return not holds(condition.args[0], record)
    assert isinstance(condition, ConditionFieldEqualsValueExpression), condition
    value: Any = record
    for key in condition.field.split("."):
        value = value[key]
    return str(value) == str(condition.value)


def test_there_is_a_rule_for_each_kind() -> None:
    assert {path for path in RULES if path.startswith("kinds/")} == {
        f"kinds/{kind}.yml" for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_rule_of_a_kind_finds_its_alerts_and_no_others(kind: str) -> None:
    (parsed,) = SigmaRule.from_yaml(FILES[f"kinds/{kind}.yml"]).detection.parsed_condition
    found = {
        (verdict, other, outcome, confidence)
        for verdict in get_args(VerdictKind)
        for other in KINDS
        for outcome in OUTCOMES
        for confidence in get_args(Confidence)
        if holds(parsed.parsed, alert(verdict, other, outcome, confidence))
    }
    assert found == {
        ("violation", kind, each, confidence)
        for each in OUTCOMES
        if each != "blocked"
        for confidence in ("confirmed", "probable")
    }


def test_a_new_kind_gets_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigma, "KINDS", (*KINDS, "relay"))
    monkeypatch.setattr(sigma, "MEANING", {**sigma.MEANING, "relay": "it was relayed"})
    rule = yaml.safe_load(sigma.files()["kinds/relay.yml"])
    assert rule["detection"]["selection"]["kind.value"] == "relay"
    assert rule["level"] == "medium"


def test_sigma_finds_nothing_wrong() -> None:
    rules = [SigmaRule.from_yaml(text) for path, text in RULES.items() if "kinds/" in path]
    issues = SigmaValidator(validators.values()).validate_rules(iter(rules))
    assert issues == []
    assert len({rule.id for rule in rules}) == len(rules)


@pytest.mark.parametrize(
    ("backend", "pipeline", "expected"),
    [
        (SplunkBackend, "splunk", 'kind.value="{}"'),
        (ESQLBackend, "ecs", 'netwatch.kind.value=="{}"'),
        (LuceneBackend, "ecs", "netwatch.kind.value:{}"),
    ],
)
def test_rules_of_kinds_convert(backend: Any, pipeline: str, expected: str) -> None:
    made = backend(ProcessingPipeline.from_yaml(FILES[f"pipelines/{pipeline}.yml"]))
    for kind in KINDS:
        (query,) = made.convert(SigmaCollection.from_yaml(FILES[f"kinds/{kind}.yml"]))
        assert expected.format(kind) in query
        assert "blocked" in query


def test_the_archive_has_the_rules(tmp_path: Path) -> None:
    for path, text in RULES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    loaded = SigmaCollection.load_ruleset([tmp_path])
    assert loaded.errors == []
    assert len(loaded.rules) == 5 + len(KINDS)
