import pytest

from netwatch.core.frame import Frame
from netwatch.inventory import binding_evidence as grounds
from netwatch.inventory.binding_evidence import Grounds
from netwatch.inventory.bindings import Hold, Station


def frame(number, size=100):
    return Frame("x", number, number, 9, 1, "", size, -1, bytes(size))


def hold():
    return Hold(bytes(4), bytes(6), 0, False)


def test_the_last_packets_of_each_are_kept():
    kept, one, station = Grounds(), hold(), Station("x")
    kept.keep(one, (frame(1), frame(2)))
    kept.keep(one, (frame(3), frame(4)))
    kept.keep(station, (frame(4), frame(5)))
    assert kept.of(one) == (frame(3), frame(4))
    assert kept.of(station, one) == (frame(4), frame(5), frame(3))
    assert kept.of(None, hold()) == ()
    kept.keep(one, ())
    assert (kept.of(one), kept.lost) == ((), 0)


def test_too_much_for_one_is_not_kept_and_counted():
    kept, one = Grounds(), hold()
    kept.keep(one, (frame(1),))
    kept.keep(one, (frame(2, grounds.MAX_OF_ONE + 1),))
    assert (kept.of(one), kept.lost) == ((), 1)


@pytest.mark.parametrize("many", [3, 20])
def test_of_too_much_the_oldest_goes(monkeypatch, many):
    monkeypatch.setattr(grounds, "MAX_BYTES", 300)
    kept, holds = Grounds(), [hold() for _ in range(many)]
    for number, each in enumerate(holds):
        kept.keep(each, (frame(number),))
    assert [bool(kept.of(each)) for each in holds] == [False] * (many - 3) + [True] * 3
    assert kept.lost == many - 3
