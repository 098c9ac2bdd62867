"""Dictionaries with a limit."""

import copy
import pickle

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


def test_another_process_gets_the_same() -> None:
    """Configurations with one go to the workers of a cluster."""
    table: LimitedDict[str, int] = LimitedDict(2)
    table.update({"a": 1, "b": 2, "c": 3})
    for copied in (pickle.loads(pickle.dumps(table)), copy.copy(table), copy.deepcopy(table)):
        assert list(copied.items()) == [("b", 2), ("c", 3)]
        assert (copied.limit, copied.evicted) == (2, 1)
        copied["d"] = 4
        assert list(copied) == ["c", "d"]
