"""Takes messages of a durable consumer as they come, a bounded number at a time.

One request for messages is open at any time. What arrives while a batch is being committed is the
next batch; the server gives no more than was asked for.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.fleet.subjects import STREAM

EXPIRES = 20.0
"""Seconds after which the server ends a request that it could not answer."""

_GATHER_SECONDS = 0.02
_NOBODY = "503"
_GONE = ("deleted", "not found", "leadership")


class StreamGoneError(NetwatchError):
    """The stream or the consumer does not exist any more."""


class Puller:
    """The consumer ``centre-<name>``; at most `batch` messages and `max_bytes` of them are taken at
    a time."""

    def __init__(self, client: Any, name: str, batch: int, max_bytes: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.centre-{name}"
        self._batch = batch
        self._max_bytes = max_bytes
        self._queue = asyncio.Queue[Any]()
        self._inbox = ""
        self._owed = 0
        self._asked_at = 0.0

    async def start(self) -> None:
        """Subscribe to the answers."""
        self._inbox = self._client.new_inbox()

        async def receive(message: Any) -> None:
            self._queue.put_nowait(message)

        await self._client.subscribe(self._inbox, cb=receive)

    async def take(self) -> list[Any]:
        """The next messages, as soon as there is one. Raises `StreamGoneError`."""
        while True:
            if self._owed <= 0 or time.monotonic() - self._asked_at > EXPIRES + 5:
                await self._ask()
            try:
                first = await asyncio.wait_for(self._queue.get(), EXPIRES + 5)
            except TimeoutError:
                raise StreamGoneError("the server does not answer a request for messages") from None
            await asyncio.sleep(_GATHER_SECONDS)
            found = [first]
            while not self._queue.empty():
                found.append(self._queue.get_nowait())
            if messages := await self._counted(found):
                return messages

    async def ready(self) -> list[Any]:
        """The messages that are there already. Raises `StreamGoneError`."""
        found = []
        while not self._queue.empty():
            found.append(self._queue.get_nowait())
        return await self._counted(found)

    async def _counted(self, found: Sequence[Any]) -> list[Any]:
        """Those of them that are messages; the next ones are asked for."""
        messages = [each for each in found if not self._is_status(each)]
        self._owed -= len(messages)
        if messages and self._owed <= 0:
            await self._ask()
        return messages

    async def _ask(self) -> None:
        request = {
            "batch": self._batch,
            "expires": int(EXPIRES * 1e9),
            "max_bytes": self._max_bytes,
        }
        self._owed, self._asked_at = self._batch, time.monotonic()
        await self._client.publish(self._subject, json.dumps(request).encode(), self._inbox)

    def _is_status(self, message: Any) -> bool:
        """Whether a message is about the request, which is over then, unless messages follow."""
        status = (message.headers or {}).get("Status")
        if status is None:
            return False
        said = (message.headers or {}).get("Description", "")
        if status == _NOBODY or any(word in said.lower() for word in _GONE):
            reason = f"{status} {said}".strip()
            raise StreamGoneError(f"the server ends a request for messages: {reason}")
        # It is answered: nothing was there (404), it has expired (408), or has all its bytes (409).
        self._owed = 0
        return True
