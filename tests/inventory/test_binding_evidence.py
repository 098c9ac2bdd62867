import pytest

from netwatch.core.flow import Frame
from netwatch.inventory import bindings as bindings_module
from netwatch.inventory.bindings import AddressBinding, BindingEvidence, Host


def frame(number, size=100):
    return Frame("x", number, number, 9, 1, "", size, -1, bytes(size))


def binding():
    return AddressBinding(bytes(4), bytes(6), 0, False)


def test_the_last_packets_of_each_are_stored():
    evidence, one, host = BindingEvidence(), binding(), Host("x")
    evidence.store(one, (frame(1), frame(2)))
    evidence.store(one, (frame(3), frame(4)))
    evidence.store(host, (frame(4), frame(5)))
    assert evidence.frames_of(one) == (frame(3), frame(4))
    assert evidence.frames_of(host, one) == (frame(4), frame(5), frame(3))
    assert evidence.frames_of(None, binding()) == ()
    evidence.store(one, ())
    assert (evidence.frames_of(one), evidence.dropped) == ((), 0)


def test_too_large_an_entry_is_dropped_and_counted():
    evidence, one = BindingEvidence(), binding()
    evidence.store(one, (frame(1),))
    evidence.store(one, (frame(2, bindings_module.MAX_ENTRY_BYTES + 1),))
    assert (evidence.frames_of(one), evidence.dropped) == ((), 1)


@pytest.mark.parametrize("count", [3, 20])
def test_the_oldest_entries_are_evicted(monkeypatch, count):
    monkeypatch.setattr(bindings_module, "MAX_BYTES", 300)
    evidence, bindings = BindingEvidence(), [binding() for _ in range(count)]
    for number, each in enumerate(bindings):
        evidence.store(each, (frame(number),))
    stored = [bool(evidence.frames_of(each)) for each in bindings]
    assert stored == [False] * (count - 3) + [True] * 3
    assert evidence.dropped == count - 3
