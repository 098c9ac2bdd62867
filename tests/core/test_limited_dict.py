"""Dictionaries with a limit."""

import pytest

from netwatch.core.limited_dict import LimitedDict


def filled(*keys: int) -> LimitedDict[int, str]:
    table = LimitedDict[int, str](3)
    for key in keys:
        table[key] = ""
    return table


@pytest.mark.parametrize(
    ("added", "left", "evicted"),
    [
        ((1, 2, 3), [1, 2, 3], 0),
        ((1, 2, 3, 4), [2, 3, 4], 1),
        ((1, 2, 3, 4, 5, 1), [4, 5, 1], 3),
        ((1, 2, 3, 3, 1), [1, 2, 3], 0),
    ],
)
def test_limited_dict(added: tuple[int, ...], left: list[int], evicted: int) -> None:
    table = filled(*added)
    assert list(table) == left
    assert table.evicted == evicted


def test_limited_dict_moved() -> None:
    """An entry that was moved to the end counts as new."""
    table = filled(1, 2, 3)
    table.move_to_end(1)
    table[4] = ""
    assert list(table) == [3, 1, 4]


def test_limited_dict_default() -> None:
    """A default that is set counts as an entry too."""
    table = filled(1, 2, 3)
    table.setdefault(4, "four")
    assert (list(table), table.evicted) == ([2, 3, 4], 1)
