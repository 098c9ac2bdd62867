"""Situations with known answers: each must be judged as it says (`support.situations`)."""

from collections import Counter
from typing import get_args

import pytest
from docs_generator import situations as table
from docs_generator.pages import ROOT
from support.judged_situations import all_situations, judged
from support.situations.situation import Situation, Topic

SITUATIONS = all_situations()


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.id)
def test_netwatch_says_what_the_situation_expects(situation: Situation) -> None:
    expected, found = situation.expected, judged(situation)
    assert set(expected.names) <= found.names
    assert found.blind == ({expected.blind} if expected.blind else set())
    if expected.confidence is None:
        assert found.alerts == ()
        return
    (alert,) = found.alerts
    assert alert["confidence"] == expected.confidence, alert["confidence_reasons"]
    if expected.kind is not None:
        assert alert["kind"]["value"] == expected.kind, alert["kind"]["reasons"]
    if expected.outcome is not None:
        assert alert["outcome"] == expected.outcome, alert["counts"]["outcomes"]
    if "contradictions" in alert:
        types = {each["type"] for each in alert["contradictions"]}
        assert types == set(expected.contradictions)


def test_each_situation_has_an_id_and_a_title_of_its_own() -> None:
    for values in ([each.id for each in SITUATIONS], [each.title for each in SITUATIONS]):
        assert [value for value, count in Counter(values).items() if count > 1] == []
    assert {each.topic for each in SITUATIONS} <= set(get_args(Topic))


def test_the_page_lists_every_situation() -> None:
    page = (ROOT / "bench" / "situations.md").read_text(encoding="utf-8")
    assert table.block("") in page, "run 'make docs-tables' and commit the result"
    assert [each.id for each in SITUATIONS if f"| {each.title} |" not in page] == []
