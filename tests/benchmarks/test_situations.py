"""What a tool is that is given a situation, and what it counts as a name of the app."""

import pytest
from situations import RIGHT, SILENT, WRONG, is_banned, of_netwatch, told
from support.judged_situations import Judged
from support.situations.situation import Expected, Situation


@pytest.mark.parametrize(
    ("contact", "names_app", "word"),
    [
        (True, True, RIGHT),
        (True, False, SILENT),
        (False, True, WRONG),
        (False, False, RIGHT),
        (None, True, "names it"),
        (None, False, "does not"),
    ],
)
def test_a_tool_is_right_if_it_names_what_was_contacted(
    contact: bool | None, names_app: bool, word: str
) -> None:
    assert told(contact, names_app) == word


def test_names_of_the_app_are_those_of_its_domains() -> None:
    named = ("tiktok.com", "www.TikTok.com.", "api16-normal.tiktokv.com:443")
    assert all(map(is_banned, named))
    others = (
        "",
        "nottiktok.com",
        "tiktok.com.example.org",
        "www.tiktok.com/x",
        "[2001:db8::1]:443",
    )
    assert not any(map(is_banned, others))


def test_what_netwatch_says_besides_is_in_the_row() -> None:
    situation = Situation("id", "forgery", "title", lambda: (), Expected(None), contact=False)
    alert = {
        "confidence": "possible",
        "kind": {"value": "background"},
        "outcome": "attempted",
        "contradictions": [{"type": "mac-not-bound"}],
    }
    found = Judged((alert,), frozenset(), frozenset({"ech"}))
    says = "possible, background, attempted, mac-not-bound, blind spot ech"
    assert of_netwatch(situation, found) == (WRONG, says)
    assert of_netwatch(situation, Judged((), frozenset(), frozenset())) == (RIGHT, "")
