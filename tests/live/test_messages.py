"""A channel: messages arrive whole and in order, nobody blocks, discarded ones are counted."""

import threading
from multiprocessing import Pipe

from hypothesis import given
from hypothesis import strategies as st

from netwatch.live.messages import Channel, pair


def limited_pair(limit: int) -> tuple[Channel, Channel]:
    one, other = Pipe()
    return Channel(one, limit), Channel(other, limit)


def receive_all(one: Channel, other: Channel) -> list[object]:
    messages: list[object] = []
    while one.queued:
        one.flush()
        messages += other.receive()[0]
    return messages + other.receive()[0]


@given(st.lists(st.binary(max_size=300_000), max_size=8))
def test_messages_arrive_whole_and_in_order(sent: list[bytes]) -> None:
    one, other = pair()
    for message in sent:
        assert one.send(message)
    assert receive_all(one, other) == sent
    one.close()
    other.close()


def test_sending_does_not_block_where_nobody_reads() -> None:
    one, other = limited_pair(1 << 20)
    accepted = sum(one.send(bytes(100_000)) for _ in range(100))
    assert 0 < accepted < 100
    assert one.discarded == 100 - accepted
    assert one.queued <= 1 << 20
    assert one.send("required", required=True)
    assert receive_all(one, other) == [bytes(100_000)] * accepted + ["required"]
    assert one.send("there is room again")
    one.close()
    other.close()


def test_the_end_is_noticed_after_the_last_message() -> None:
    one, other = pair()
    one.send("last")
    one.close()
    messages, is_open = other.receive()
    while is_open:
        more, is_open = other.receive()
        messages += more
    assert messages == ["last"]
    assert other.send("into nothing")
    other.send("again")
    assert other.queued == 0
    other.close()


def test_finish_sends_the_rest_however_long_that_takes() -> None:
    """The other end may read nothing for a while; it is waited for as long as it is there."""
    one, other = limited_pair(8 << 20)
    sent = [bytes(4 << 20), "last"]
    for message in sent:
        one.send(message)
    assert one.queued
    finishing = threading.Thread(target=one.finish)
    finishing.start()
    finishing.join(0.1)
    assert finishing.is_alive()
    received = []
    while received != sent:
        received += other.receive(30.0)[0]
    finishing.join()
    assert one.queued == 0
    one.close()
    other.close()


def test_finish_ends_with_the_other_end() -> None:
    one, other = limited_pair(8 << 20)
    one.send(bytes(4 << 20))
    finishing = threading.Thread(target=one.finish)
    finishing.start()
    other.close()
    finishing.join()
    one.close()


def test_the_rest_of_a_message_is_waited_for() -> None:
    one, other = pair()
    large = bytes(4 << 20)
    one.send(large)
    assert one.queued > 0
    assert other.receive()[0] == []

    def send_rest() -> None:
        while one.queued:
            one.flush()

    sender = threading.Thread(target=send_rest)
    sender.start()
    assert other.receive(30.0) == ([large], True)
    sender.join()
    one.close()
    other.close()


def test_the_rest_of_a_message_is_waited_for_no_longer_than_that() -> None:
    one, other = pair()
    one.send(bytes(4 << 20))
    assert other.receive(0.01) == ([], True)
    one.close()
    assert other.receive(30.0)[1] is False
    other.close()
