"""Counts in sentences agree with their nouns."""

import pytest

from netwatch.core.text import quantity


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 packets"), (1, "1 packet"), (2, "2 packets"), (1_234_567, "1,234,567 packets")],
)
def test_the_noun_agrees_with_its_count(count: int, expected: str) -> None:
    assert quantity(count, "packet") == expected


def test_an_irregular_plural_is_given() -> None:
    assert quantity(1, "entry", "entries") == "1 entry"
    assert quantity(3, "entry", "entries") == "3 entries"
