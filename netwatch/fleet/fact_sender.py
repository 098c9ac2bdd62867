"""Sends the files of the spool to the centre, in order, and deletes what the centre has committed.

A few files are under way at a time. Where the centre does not commit any for a while, or another
connection begins, everything is sent again from the oldest on: the centre knows what it has.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from netwatch import __version__
from netwatch.fleet.envelope import Envelope, cut
from netwatch.fleet.spool import MAX_FILE_BYTES, Spool, SpoolFile, before
from netwatch.fleet.subjects import subject

UNDER_WAY = 16
"""Files that are sent and not committed."""

RESEND_SECONDS = 30.0
"""Seconds without a commit after which files are sent again."""

LOOK_SECONDS = 1.0
"""Seconds between two looks into the spool."""

FULL_SECONDS = 5.0
"""Seconds until a stream that is full is tried again."""

_FACTS = ("observation", "flow", "claim")


class FactSender:
    """Sends for `sensor` what is in `spool`. `committed` counts rows, `waiting` and `waiting_bytes`
    are the files that the spool has."""

    def __init__(self, sensor: str, spool: Spool) -> None:
        self._sensor = sensor
        self._spool = spool
        self._news = asyncio.Event()
        self._through: dict[str, int] = {}
        self._progress = 0.0
        self.committed = 0
        self.waiting = 0
        self.waiting_bytes = 0
        self.problem = ""

    def take_news(self, news: Mapping[str, Any]) -> None:
        """Note up to which file of an epoch the centre has committed; from the loop's thread."""
        epoch, through = news.get("epoch"), news.get("through")
        if isinstance(epoch, str) and type(through) is int:
            if through > self._through.get(epoch, 0):
                self._through[epoch] = through
                self._progress = time.monotonic()
            self._news.set()

    async def run(self, client: Any) -> None:
        """Send over a connection until this is cancelled. Raises errors of the library."""
        sent: set[SpoolFile] = set()
        attempt = 0
        self._progress = time.monotonic()
        while True:
            self._news.clear()
            files = await asyncio.to_thread(self._spool.files)
            files = await self._remove_committed(files)
            sent &= set(files)
            if sent and time.monotonic() - self._progress > RESEND_SECONDS:
                sent.clear()
                attempt += 1
                self._progress = time.monotonic()
            for file in files[:UNDER_WAY]:
                if file not in sent:
                    await self._send(client, files, file, attempt)
                    sent.add(file)
            if not sent:
                self._progress = time.monotonic()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _remove_committed(self, files: list[SpoolFile]) -> list[SpoolFile]:
        done = [file for file in files if file.sequence <= self._through.get(file.epoch, 0)]
        if done:
            await asyncio.to_thread(self._spool.remove, done)
            self.committed += sum(file.rows for file in done if file.table in _FACTS)
        gone = {*done}
        left = [file for file in files if file not in gone]
        epochs = {file.epoch for file in files}
        self._through = {
            epoch: through for epoch, through in self._through.items() if epoch in epochs
        }
        self.waiting, self.waiting_bytes = len(left), sum(file.size for file in left)
        return left

    async def _send(
        self, client: Any, files: list[SpoolFile], file: SpoolFile, attempt: int
    ) -> None:
        content = await asyncio.to_thread(self._spool.read, file)
        if content is None or len(content) > MAX_FILE_BYTES:
            # It was evicted meanwhile, or nobody can take it.
            if content is not None:
                await asyncio.to_thread(self._spool.evict, file)
            return
        kind = "facts" if file.table in _FACTS else "coverage"
        envelope = Envelope(
            sensor=self._sensor,
            kind=kind,
            sequence=file.sequence,
            sent=time.time_ns(),
            version=__version__,
            id=file.id,
            payload=content,
            fields={
                "epoch": file.epoch,
                "after": before(files, file),
                "table": file.table,
                "rows": file.rows,
            },
        )
        for number, data in enumerate(cut(envelope), 1):
            await self._publish(client, kind, f"{file.id}.{number}.{attempt}", data)

    async def _publish(self, client: Any, kind: str, identity: str, data: bytes) -> None:
        """Publish a message, however long it takes until the stream has room."""
        from nats.js.errors import APIError, NoStreamResponseError

        jetstream = client.jetstream(timeout=10)
        name = identity
        while True:
            try:
                ack = await jetstream.publish(
                    subject(self._sensor, kind), data, headers={"Nats-Msg-Id": name}
                )
            except NoStreamResponseError:
                self.problem = "the centre has made no stream yet"
            except APIError as error:
                self.problem = f"the server: {error.code} {error.description}"
            else:
                self.problem = ""
                if not ack.duplicate or name != identity:
                    return
                # The centre may have said that it has this when nobody listened.
                name = f"{identity}.{time.monotonic_ns()}"
                continue
            await asyncio.sleep(FULL_SECONDS)


def read_news(data: bytes) -> Mapping[str, Any]:
    """What the centre says that it has committed; empty for what is not understood."""
    try:
        news = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return news if isinstance(news, dict) else {}
