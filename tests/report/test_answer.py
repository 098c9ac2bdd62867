"""The answer, as a table: what decides, and what leaves it open."""

from datetime import date
from typing import Any

import pytest

from netwatch.core.verdict import Ban, BanPeriod
from netwatch.report.answer import (
    NOTES,
    REASONS,
    WEIGHTS,
    Violation,
    Visible,
    answer,
    weight,
)
from netwatch.report.values import NetworkRow, Reason, Thresholds

LIMITS = Thresholds()


def ban(**changes: Any) -> Ban:
    values: dict[str, Any] = {
        "id": "city", "authority": "City", "apps": frozenset({"tiktok"}),
        "forbids": frozenset({"service"}), "advises": frozenset(),
        "periods": (BanPeriod(date(2023, 3, 10), None),), "review": None,
        "timezone": "Europe/Brussels", "legal_basis": "", "min_confidence": "probable",
        "severity": "high",
    }  # fmt: skip
    return Ban(**(values | changes))


def network(named: int = 1000, name: str = "hq", **unnamed: int) -> NetworkRow:
    reasons = {key.replace("_", "-"): count for key, count in unnamed.items()}
    return NetworkRow(name, "service", named + sum(unnamed.values()), named, reasons, None, {})


SEEN = Visible([network()])


@pytest.mark.parametrize(
    ("confidence", "kind", "outcome", "expected"),
    [
        ("confirmed", "session", "reached", "proved"),
        ("confirmed", "background", "reached", "proved"),
        ("confirmed", "session", "attempted", "unanswered"),
        ("confirmed", "background", "unknown", "unanswered"),
        ("confirmed", "background", "blocked", "blocked"),
        ("confirmed", "embed", "reached", "embed"),
        ("confirmed", "lookup", "reached", "lookup"),
        ("confirmed", "lookup", "blocked", "blocked"),
        ("probable", "session", "reached", "probable"),
        ("probable", "background", "attempted", "probable"),
        ("probable", "embed", "reached", "embed"),
        ("probable", "embed", "blocked", "embed"),
        ("probable", "lookup", "attempted", "lookup"),
        ("probable", "lookup", "blocked", "blocked"),
        ("possible", "session", "reached", "possible"),
        ("possible", "embed", "reached", "possible"),
    ],
)
def test_how_a_violation_counts(confidence: str, kind: str, outcome: str, expected: str) -> None:
    assert weight(confidence, kind, outcome) == expected


def test_an_embed_a_lookup_and_a_block_never_prove_anything() -> None:
    proved = {
        (confidence, kind, outcome)
        for confidence in ("confirmed", "probable", "possible")
        for kind in ("session", "background", "embed", "lookup")
        for outcome in ("reached", "attempted", "blocked", "unknown")
        if weight(confidence, kind, outcome) == "proved"
    }
    assert proved == {
        ("confirmed", "session", "reached"),
        ("confirmed", "background", "reached"),
    }


@pytest.mark.parametrize(
    ("weights", "word"),
    [
        ([], "kept"),
        (["possible"], "kept"),
        (["proved"], "not-kept"),
        (["embed", "proved", "blocked"], "not-kept"),
        *(([each], "cannot-be-said") for each in WEIGHTS if each not in ("proved", "possible")),
    ],
)
def test_the_word_by_what_was_seen(weights: list[str], word: str) -> None:
    found = answer(ban(), 30, 30, [Violation(each, "ws-1") for each in weights], SEEN, LIMITS)
    assert found.word == word
    expected = [each for each in WEIGHTS if each in weights and each != "possible"]
    assert [each.code for each in found.reasons] == (expected or ["no-violation"])


@pytest.mark.parametrize(
    ("visible", "code"),
    [
        (Visible([]), "no-coverage"),
        (Visible([network(0)]), "no-coverage"),
        (Visible([network(0, no_data=50)]), "no-coverage"),
        (Visible([network()], gaps=1, gap_hours=2.5), "gaps"),
        (Visible([network()], lost_hours=0.25), "lost"),
        (Visible([network(94, ech=6)]), "unnamed"),
        (Visible([network(100_000), network(1, "lab", vpn=9)]), "unnamed"),
        (Visible([network()], unseen=["lab"]), "network-unseen"),
        (Visible([network()], packets_lost=0.011), "packets"),
        (Visible([network()], partial_captures=1), "partial"),
        (Visible([network()], lost_rows=1), "partial"),
        (Visible([network()], pruned=True), "retention"),
        (Visible([network()], erased=1), "erased"),
    ],
)
def test_what_was_not_seen_leaves_it_open(visible: Visible, code: str) -> None:
    found = answer(ban(), 30, 30, [], visible, LIMITS)
    assert (found.word, [each.code for each in found.reasons]) == ("cannot-be-said", [code])
    accused = answer(ban(), 30, 30, [Violation("proved", "ws-1")], visible, LIMITS)
    assert (accused.word, [each.code for each in accused.reasons]) == ("not-kept", ["proved", code])


@pytest.mark.parametrize(
    "visible",
    [
        Visible([network(95, ech=5)]),
        Visible([network(95, ech=5, no_data=500)]),
        Visible([network()], packets_lost=0.01),
        Visible([network(), network(0, "empty", no_data=3)]),
    ],
)
def test_thresholds_are_what_still_does(visible: Visible) -> None:
    assert answer(ban(), 30, 30, [], visible, LIMITS).word == "kept"


def test_a_ban_that_stores_only_confirmed_contacts_cannot_be_said_to_be_kept() -> None:
    found = answer(ban(min_confidence="confirmed"), 30, 30, [], SEEN, LIMITS)
    assert (found.word, found.reasons[0].code) == ("cannot-be-said", "min-confidence")


def test_a_ban_that_is_not_in_force_has_no_other_answer() -> None:
    found = answer(ban(), 0, 30, [Violation("proved", "ws-1")], SEEN, LIMITS)
    assert (found.word, [each.code for each in found.reasons]) == ("not-in-force", ["not-in-force"])


def test_the_share_beside_the_answer_leaves_out_flows_without_content() -> None:
    visible = Visible([network(90, ech=10, no_data=900), network(100, "lab")])
    found = answer(ban(), 30, 30, [], visible, LIMITS)
    assert (found.flows, found.unnamed, found.unnamed_share) == (200, 10, 0.05)
    assert answer(ban(), 30, 30, [], Visible([]), LIMITS).unnamed_share is None


def test_reasons_count_incidents_and_devices() -> None:
    violations = [Violation("proved", "a"), Violation("proved", "a"), Violation("embed", "b")]
    found = answer(ban(), 10, 30, violations, SEEN, LIMITS, [Reason("exempt", {"incidents": 2})])
    assert found.reasons == (
        Reason("proved", {"incidents": 2, "devices": 1}),
        Reason("embed", {"incidents": 1, "devices": 1}),
    )
    assert [each.code for each in found.notes] == ["exempt", "part-in-force"]
    assert {each.code for each in found.reasons} <= {*REASONS}
    assert {each.code for each in found.notes} <= {*NOTES}
