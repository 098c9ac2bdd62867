"""Whole messages in their order, nobody waits, and what is too much is counted."""

import socket

from hypothesis import given
from hypothesis import strategies as st

from netwatch.live.channel import Channel, pair


def joined(limit: int) -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return Channel(one, limit), Channel(other, limit)


def received(one: Channel, other: Channel) -> list[object]:
    found: list[object] = []
    while one.waiting:
        one.pump()
        found += other.take()[0]
    return found + other.take()[0]


@given(st.lists(st.binary(max_size=300_000), max_size=8))
def test_messages_come_whole_and_in_order(sent: list[bytes]) -> None:
    one, other = pair()
    for message in sent:
        assert one.put(message)
    assert received(one, other) == sent
    one.close()
    other.close()


def test_nobody_reads_and_nobody_waits() -> None:
    one, other = joined(1 << 20)
    accepted = sum(one.put(bytes(100_000)) for _ in range(100))
    assert 0 < accepted < 100
    assert one.dropped == 100 - accepted
    assert one.waiting <= 1 << 20
    assert one.put("needed", needed=True)
    assert received(one, other) == [bytes(100_000)] * accepted + ["needed"]
    assert one.put("there is room again")
    one.close()
    other.close()


def test_the_end_is_told_after_what_was_sent() -> None:
    one, other = pair()
    one.put("last")
    one.close()
    messages, open_ = other.take()
    while open_:
        more, open_ = other.take()
        messages += more
    assert messages == ["last"]
    assert other.put("into nothing")
    other.put("again")
    assert other.waiting == 0
    other.close()


def test_finish_sends_what_is_left_or_gives_up() -> None:
    one, other = joined(8 << 20)
    big = bytes(4 << 20)
    one.put(big)
    assert one.waiting
    one.finish(0.01)
    assert one.waiting == 0
    one.close()
    other.close()
