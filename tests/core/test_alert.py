from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
from support.made_records import ALERT, BLOCKED

from netwatch.core.alert import (
    SITUATIONS,
    TITLES,
    IncidentCounts,
    IncidentKind,
    Kind,
    note,
    sentences,
    situation,
    verb,
)
from netwatch.core.verdict import Outcome, VerdictKind
from netwatch.formats import jsonl


def record_of(kind, outcome, handshakes: int = 1, **changes):
    counts = IncidentCounts(handshakes=handshakes)
    judged = Kind(kind, ())
    return jsonl.alert_record(
        replace(ALERT, kind=judged, outcome=outcome, counts=counts, **changes)
    )


def test_titles_that_rules_of_siems_match_already_stay() -> None:
    assert {verdict: of["contacted"] for verdict, of in TITLES.items()} == {
        "violation": "Banned app contacted",
        "advisory": "App contacted that is advised against",
        "exempt": "Banned app contacted under an exemption",
    }


def test_each_verdict_and_situation_has_a_title_of_its_own() -> None:
    assert set(TITLES) == set(get_args(VerdictKind))
    assert all(set(of) == set(SITUATIONS) for of in TITLES.values())
    titles = [title for of in TITLES.values() for title in of.values()]
    assert len(titles) == len(set(titles)) == 15
    assert not any("|" in title or "=" in title for title in titles)


@pytest.mark.parametrize(
    ("kind", "outcome", "expected"),
    [
        ("session", "reached", ("contacted", "contacted", "this looks like use of the app")),
        ("session", "attempted", ("attempted", "tried to contact", "no answer was seen")),
        ("session", "unknown", ("contacted", "contacted", "this looks like use of the app")),
        (
            "background",
            "reached",
            ("contacted", "contacted", "this looks like an installed app that keeps in touch"),
        ),
        ("embed", "reached", ("embedded", "contacted", "a page may have embedded it")),
        ("embed", "blocked", ("blocked", "tried to contact", "blocked")),
        ("lookup", "attempted", ("looked-up", "looked up", "")),
        ("lookup", "unknown", ("looked-up", "looked up", "")),
        ("lookup", "blocked", ("blocked", "looked up", "blocked")),
        ("background", "blocked", ("blocked", "tried to contact", "blocked")),
    ],
)
def test_words_of_each_pair(kind, outcome, expected: tuple[str, str, str]) -> None:
    record = record_of(kind, outcome)
    assert (situation(record), verb(record), note(record)) == expected


def test_lookups_alone_are_no_attempt_to_connect_whatever_their_kind() -> None:
    assert verb(record_of("background", "blocked", handshakes=0)) == "looked up"
    assert verb(record_of("background", "reached", handshakes=0)) == "contacted"


@pytest.mark.parametrize(("kind", "outcome"), [*product(get_args(IncidentKind), get_args(Outcome))])
def test_a_contact_that_did_not_come_about_is_never_said_to_be_use(kind, outcome) -> None:
    record = record_of(kind, outcome)
    use = "use of the app" in note(record)
    assert use is (kind == "session" and outcome in ("reached", "unknown"))


@pytest.mark.parametrize(
    ("blocked_by", "text"),
    [
        ((), "blocked, the app is probably still installed"),
        (("NXDOMAIN",), "blocked (NXDOMAIN), the app is probably still installed"),
        (
            ("0.0.0.0", "reset"),
            "blocked (0.0.0.0, reset), the app is probably still installed",
        ),
    ],
)
def test_note_says_by_what_a_contact_was_blocked(blocked_by, text: str) -> None:
    assert note(jsonl.alert_record(replace(BLOCKED, blocked_by=blocked_by))) == text


def test_a_name_that_pages_ask_for_too_does_not_show_that_the_app_is_there() -> None:
    (item,) = BLOCKED.evidence
    alert = replace(BLOCKED, evidence=(replace(item, app_only=False),))
    assert note(jsonl.alert_record(alert)) == "blocked (NXDOMAIN)"


def test_reasons_as_one_text() -> None:
    assert sentences(["Two names.", "3 s"]) == "Two names. 3 s."
    assert sentences([]) == ""
