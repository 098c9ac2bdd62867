"""What the server says of a request for messages.

Sensors take turns, and what waits of each is bounded.
"""

import asyncio
from types import SimpleNamespace

import pytest

from netwatch.fleet.receiver import (
    SHARE_BYTES,
    SHARE_MESSAGES,
    Pace,
    Puller,
    StreamGoneError,
    Turns,
)
from netwatch.fleet.server import pending_limit


class Client:
    """A server that answers each request with the next of `answers`."""

    def __init__(self, answers):
        self.answers = iter(answers)
        self.requests = 0

    def new_inbox(self):
        return "_INBOX.test"

    async def subscribe(self, inbox, cb):
        self.receive = cb

    async def publish(self, subject, data, reply):
        self.requests += 1
        for status, said in next(self.answers):
            headers = {"Status": status, "Description": said} if status else None
            await self.receive(SimpleNamespace(headers=headers, data=b"x"))


def take(answers):
    async def run():
        client = Client(answers)
        puller = Puller(client, "alerts", 8, 1000)
        await puller.start()
        return len(await puller.take()), client.requests

    return asyncio.run(run())


@pytest.mark.parametrize(
    "end", [("404", "No Messages"), ("408", "Request Timeout"), ("409", "Batch Completed")]
)
def test_request_that_is_over_is_made_again(end):
    assert take([[end], [(None, ""), (None, "")], []]) == (2, 2)
    assert take([[(None, ""), end], []])[0] == 1


@pytest.mark.parametrize("end", [("409", "Consumer Deleted"), ("503", "")])
def test_consumer_that_is_gone_is_noticed(end):
    with pytest.raises(StreamGoneError):
        take([[end]])


def test_a_sensor_that_floods_waits_for_itself_alone():
    turns = Turns(8, 1 << 20)
    assert [turns.put("evil", ("evil", each), 1) for each in range(SHARE_MESSAGES)][-1]
    assert not turns.put("evil", "one too many", 1)
    for number in range(3):
        assert turns.put("good", ("good", number), 1)
    assert turns.take() == [("evil", 0), ("good", 0), ("evil", 1), ("good", 1)]
    assert turns.take() == [("evil", 2), ("good", 2), ("evil", 3)]
    assert turns.put("evil", ("evil", "more"), 1)
    left = []
    while turns:
        part = turns.take()
        assert len(part) <= 2
        left += part
    assert [each[1] for each in left] == [*range(4, SHARE_MESSAGES), "more"]


def test_what_is_taken_at_a_time_is_bounded_by_bytes_too():
    turns = Turns(100, 1000)
    for number in range(10):
        assert turns.put(f"s{number}", number, 400)
    assert [len(turns.take()) for _ in range(4)] == [3, 3, 3, 1]
    assert turns.take() == []
    assert turns.put("s", "large", SHARE_BYTES)
    assert not turns.put("s", "next", 1)


def test_signs_of_life_of_one_sensor_leave_those_of_others(monkeypatch):
    now = [100.5]
    monkeypatch.setattr("netwatch.fleet.receiver.time.monotonic", lambda: now[0])
    pace = Pace(3)
    assert [pace.allows("evil") for _ in range(5)] == [True, True, True, False, False]
    assert pace.allows("good")
    now[0] += 1
    assert pace.allows("evil")


def test_a_sensor_takes_a_quarter_of_the_stream_at_most():
    assert pending_limit(4 << 30) == 256
    assert pending_limit(1 << 30) == 64
    assert pending_limit(64 << 20) == 20
