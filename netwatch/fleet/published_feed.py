"""The sensor's side of the bucket of published bundles.

A sensor reads the index of what is for all and of what is for it alone: at the start of every
connection, whenever the centre writes one, and now and then, because a message can get lost. Of
each kind it takes the newest bundle, reads its parts and offers it to its `Applier`. What became of
that is reported to the centre, also what is in use at the start of a connection, which the centre
may have forgotten. A bundle that was refused is not read again until the local files change, in
which the reason may be.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.fleet.applying import KINDS, Applied, Applier
from netwatch.fleet.bundle import BundleError
from netwatch.fleet.published_index import Entry, read_index
from netwatch.fleet.publisher import read_value
from netwatch.fleet.subjects import PUBLISHED_BUCKET, bucket_subject, published_keys

LOOK_SECONDS = 60.0
"""Seconds between two looks, where the centre writes nothing."""

AGAIN_SECONDS = 1.0
"""Seconds between a look that a message of the centre caused and the next one: the message may
arrive before the server has stored it."""

Report = Callable[[Applied], Awaitable[None]]
"""Tells the centre what became of a bundle, and the capture what is in use now."""


class PublishedFeed:
    """What is published to `sensor`, for its `applier`."""

    def __init__(self, sensor: str, applier: Applier, report: Report) -> None:
        self._keys = published_keys(sensor)
        self._applier = applier
        self._report = report
        self._changed = asyncio.Event()
        self._refused: dict[str, object] = {}

    def retry(self) -> None:
        """Offer again what was refused: the local files have changed. From the loop's thread."""
        self._refused.clear()
        self._changed.set()

    async def run(self, client: Any) -> None:
        """Apply what is published, over a connection, until this is cancelled or the connection
        breaks. Raises errors of the library."""
        # The report of a refusal may have been lost with the last connection.
        self._refused.clear()
        for key in self._keys:
            await client.subscribe(bucket_subject(PUBLISHED_BUCKET, key), cb=self._on_change)
        await client.flush()
        for kind in KINDS:
            current = await asyncio.to_thread(self._in_use, kind)
            if current is not None:
                await self._report(current)
        jetstream = client.jetstream(timeout=10)
        seconds = LOOK_SECONDS
        while True:
            self._changed.clear()
            await self.look(jetstream)
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
                seconds = AGAIN_SECONDS
            except TimeoutError:
                seconds = LOOK_SECONDS

    async def _on_change(self, message: Any) -> None:
        self._changed.set()

    def _in_use(self, kind: str) -> Applied | None:
        try:
            return self._applier.in_use(kind)
        except NetwatchError as error:
            return self._applier.refuse("unwritable", str(error), kind, 0)

    async def look(self, jetstream: Any) -> None:
        """Compare once what is published with what is in use, and apply what is newer."""
        indexes: dict[str, dict[str, Entry]] = {}
        for key in self._keys:
            data = await read_value(jetstream, key)
            if data is None:
                continue
            try:
                indexes[key] = read_index(data)
            except BundleError as error:
                for kind in KINDS:
                    await self._refuse(error, kind, 0, data)
                return
        for kind in KINDS:
            found = [(entries[kind], key) for key, entries in indexes.items() if kind in entries]
            if not found:
                await self._settled(kind)
            else:
                entry, key = max(found, key=lambda each: each[0].version)
                await self._consider(jetstream, kind, key, entry)

    async def _consider(self, jetstream: Any, kind: str, key: str, entry: Entry) -> None:
        if self._refused.get(kind) == entry:
            return
        try:
            current, highest = await asyncio.to_thread(self._applier.versions, kind)
            if current is not None and (current.version, current.hash) == (
                entry.version,
                entry.hash,
            ):
                await self._settled(kind)
                return
            if entry.version <= highest:
                raise BundleError(
                    "older",
                    f"the newest {kind} on the server has version {entry.version}, and version"
                    f" {highest} was in use: an old state is served, or the centre lost its own",
                )
            data = await self._read(jetstream, kind, key, entry)
        except BundleError as error:
            await self._refuse(error, kind, entry.version, entry)
            return
        except NetwatchError as error:
            await self._refuse(BundleError("unwritable", str(error)), kind, entry.version, entry)
            return
        if data is None:
            return
        result = await asyncio.to_thread(self._applier.offer, data, kind, entry.version)
        if result is None:
            return
        if result.state == "rejected":
            self._refused[kind] = entry
        await self._report(result)

    async def _settled(self, kind: str) -> None:
        """What was refused of a kind is not there any more: say again what is in use."""
        if self._refused.pop(kind, None) is None:
            return
        self._applier.problems.pop(kind, None)
        current = await asyncio.to_thread(self._in_use, kind)
        if current is not None:
            await self._report(current)

    async def _read(self, jetstream: Any, kind: str, key: str, entry: Entry) -> bytes | None:
        """The bytes of a bundle; None where it was replaced meanwhile. Raises `BundleError`."""
        pieces: list[bytes] = []
        for part in entry.parts(key):
            piece = await read_value(jetstream, part)
            if piece is None:
                if await self._is_replaced(jetstream, kind, key, entry):
                    self._changed.set()
                    return None
                raise BundleError("truncated", f"part {len(pieces) + 1} of the bundle is missing")
            pieces.append(piece)
        data = b"".join(pieces)
        if len(data) != entry.length:
            raise BundleError("truncated", f"the bundle has {len(data):,} bytes instead of"
                                           f" {entry.length:,}")  # fmt: skip
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError("altered", "the bundle is not the one that the index names")
        return data

    async def _is_replaced(self, jetstream: Any, kind: str, key: str, entry: Entry) -> bool:
        """Whether the index names another bundle by now. The centre writes an index before it
        removes parts that are no longer named, but the message that announces it may come later."""
        data = await read_value(jetstream, key)
        try:
            return data is None or read_index(data).get(kind) != entry
        except BundleError:
            return True

    async def _refuse(self, error: BundleError, kind: str, version: int, what: object) -> None:
        if self._refused.get(kind) == what:
            return
        self._refused[kind] = what
        await self._report(self._applier.refuse(error.refusal, str(error), kind, version))
