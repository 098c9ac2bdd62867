"""The longest name of a rule that is inside of another name, as a search of all rules finds it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.cost import cost

from netwatch.core.verdict import App
from netwatch.rules.rule_names import NamesInside
from netwatch.rules.signature import Rule

APP = App("clips", "Clips", "maker", "video")
NAMES = st.lists(st.sampled_from(["a", "b", "ab", "ba", "bb"]), min_size=2, max_size=4).map(
    ".".join
)


def rule(name: str, line: int = 1) -> Rule:
    return Rule("suffix", name, APP, "exclusive", ("test",), "clips.yaml", line)


@given(st.lists(NAMES, max_size=6, unique=True), NAMES | st.text(alphabet="ab.", max_size=14))
@example(["tiktok.com"], "www.nottiktok.com")
@example(["tiktok.com"], "tiktok.community")
@example(["a.b.com"], "xa.b.com.example")
@example(["tiktok.com"], "tiktok.co")
def test_finds_what_a_search_of_all_rules_finds(names: list[str], name: str) -> None:
    inside = sorted((each for each in names if each in name), key=lambda each: (-len(each), each))
    found = NamesInside(map(rule, names)).longest(name)
    assert (found and found.name) == (inside[0] if inside else None)


@pytest.mark.parametrize("piece", ["a", "a.", "a.b.c.", "."])
def test_a_long_name_takes_work_in_proportion_to_its_length(piece: str) -> None:
    rules = NamesInside([rule("tiktok.com"), rule("a.b.c.example")])
    short, long = (piece * (size // len(piece)) for size in (1_000, 4_000))
    assert rules.longest(long) is None
    assert cost(lambda: rules.longest(long)).lines <= 5 * cost(lambda: rules.longest(short)).lines


def test_a_rule_is_found_at_the_end_of_a_very_long_name() -> None:
    rules = NamesInside([rule("tiktok.com"), rule("a.b.c.example")])
    found = rules.longest("a.b.c." * 2_000 + "nottiktok.com")
    assert found is not None
    assert found.name == "tiktok.com"
