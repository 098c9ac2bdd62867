from dataclasses import replace
from datetime import date

import pytest
from support.bans import BAN

from netwatch.core.verdict import BanPeriod
from netwatch.rules.policy import review_ban, state_on

FIRST = BanPeriod(date(2023, 3, 10), date(2023, 9, 16), "the decision")
AGAIN = BanPeriod(date(2023, 9, 26), date(2024, 3, 26), "its extension")
EXTENDED = replace(BAN, periods=(FIRST, AGAIN), review=date(2023, 9, 10))


@pytest.mark.parametrize(
    ("day", "state"),
    [
        (date(2023, 3, 9), "not yet"),
        (date(2023, 3, 10), "in force"),
        (date(2023, 9, 16), "in force"),
        (date(2023, 9, 17), "gap"),
        (date(2023, 9, 25), "gap"),
        (date(2023, 9, 26), "in force"),
        (date(2024, 3, 26), "in force"),
        (date(2024, 3, 27), "over"),
    ],
)
def test_the_state_on_a_day(day: date, state: str) -> None:
    assert state_on(EXTENDED, day) == state


def test_a_ban_without_limits_is_always_in_force() -> None:
    ban = replace(BAN, periods=(BanPeriod(None, None),))
    assert {state_on(ban, day) for day in (date.min, date.max)} == {"in force"}


def found(day: date, within: int = 30) -> dict[str, str]:
    return {each.kind: each.text for each in review_ban(EXTENDED, day, within)}


@pytest.mark.parametrize(
    ("day", "review"),
    [
        (date(2023, 8, 10), None),
        (date(2023, 8, 11), "its review is due on 2023-09-10"),
        (date(2023, 9, 10), "its review is due on 2023-09-10"),
        (date(2023, 9, 11), "its review was due on 2023-09-10"),
        (date(2023, 9, 25), "its review was due on 2023-09-10"),
        (date(2023, 9, 26), None),
        (date(2025, 1, 1), None),
    ],
)
def test_a_review_is_due_until_a_later_period_answers_it(day: date, review: str | None) -> None:
    assert found(day).get("review") == review


def test_the_days_ahead_can_be_chosen() -> None:
    assert "review" in found(date(2023, 7, 1), within=71)
    assert "review" not in found(date(2023, 7, 1), within=70)
    assert "review" not in found(date(2023, 9, 9), within=0)


def test_what_has_ended_and_what_has_not_begun() -> None:
    assert found(date(2024, 3, 27))["expired"] == "was in force until 2024-03-26"
    assert "expired" not in found(date(2024, 3, 26))
    assert found(date(2023, 3, 9))["not-yet"] == "is in force only from 2023-03-10"
    assert "not-yet" not in found(date(2023, 3, 10))


def test_gaps_are_found_whatever_the_day() -> None:
    for day in (date(2023, 1, 1), date(2023, 9, 20), date(2025, 1, 1)):
        assert found(day)["gap"] == "not in force between 2023-09-17 and 2023-09-25"


def test_what_is_not_confirmed_is_given_with_the_status() -> None:
    (finding,) = review_ban(
        BAN, date(2023, 4, 1), 30, ("from", "in_force"), "only the month is known"
    )
    assert finding.kind == "unconfirmed"
    assert finding.text == "not confirmed: from, in_force (only the month is known)"
    assert list(review_ban(BAN, date(2023, 4, 1), 30)) == []
