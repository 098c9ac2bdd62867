"""Of too many connections the oldest is closed; none lasts too long."""

import socket
import time
from collections.abc import Iterator

import pytest
from support.waiting import wait_until

from netwatch.watch.connections import Connections

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    made = [socket.socketpair() for _ in range(4)]
    yield made
    for ends in made:
        for end in ends:
            end.close()


def is_closed(pair: Pair) -> bool:
    pair[1].setblocking(False)
    try:
        return pair[1].recv(1) == b""
    except BlockingIOError:
        return False


def test_the_oldest_makes_room(pairs: list[Pair]) -> None:
    connections = Connections(2, 60)
    for pair in pairs[:3]:
        connections.add(pair[0])
    assert [is_closed(pair) for pair in pairs] == [True, False, False, False]
    connections.remove(pairs[1][0])
    connections.add(pairs[3][0])
    assert [is_closed(pair) for pair in pairs] == [True, False, False, False]
    assert connections.closed == 1


def test_a_connection_has_a_time(pairs: list[Pair]) -> None:
    connections = Connections(10, 0.2)
    begun = time.monotonic()
    connections.add(pairs[0][0])
    connections.close_overdue()
    assert not is_closed(pairs[0]) or time.monotonic() - begun > 0.2
    wait_until(lambda: connections.close_overdue() or is_closed(pairs[0]))
    assert time.monotonic() - begun >= 0.2


def test_a_connection_that_was_closed_before_is_no_error(pairs: list[Pair]) -> None:
    connections = Connections(1, 60)
    connections.add(pairs[0][0])
    pairs[0][0].close()
    connections.add(pairs[1][0])
    connections.remove(pairs[0][0])
    assert not is_closed(pairs[1])
