"""What the server says of a request for messages."""

import asyncio
from types import SimpleNamespace

import pytest

from netwatch.fleet.puller import Puller, StreamGoneError


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
