"""A glob matches the names that its regular expression matches."""

import re

from hypothesis import given
from hypothesis import strategies as st

from netwatch.rules.catalog import glob_matches

GLOBS = st.text("ab*.", min_size=1, max_size=12)
NAMES = st.text("ab.", max_size=12)


def expression(glob: str) -> re.Pattern[str]:
    return re.compile("".join("[^.]*" if letter == "*" else re.escape(letter) for letter in glob))


@given(GLOBS, NAMES)
def test_aglob_matches_what_its_expression_matches(glob: str, name: str) -> None:
    assert glob_matches(glob, name) == (expression(glob).fullmatch(name) is not None)


def test_a_glob_of_many_wildcards_takes_no_time() -> None:
    assert not glob_matches("*a" * 120 + "*b", "a" * 100_000)
    assert glob_matches("*a" * 120 + "*", "a" * 100_000)
